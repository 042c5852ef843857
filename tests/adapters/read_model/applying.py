"""A process that brings a read model up to date, a few events at a time, until it is done or killed.
It says `ready`, and begins when it is told anything.

python -m tests.adapters.read_model.applying <read.db> <seed of the history> <seed of the page sizes>
"""

import sys
from pathlib import Path
from random import Random

from cowork.adapters.read_model.sqlite import SqliteReadModel
from cowork.domain.errors import DomainError
from cowork.domain.event import Event, Recorded
from cowork.projections.registry import PROJECTIONS, TABLES
from tests.projections.history import History

STEPS = 700


def history(seed: int) -> list[Recorded[Event]]:
    """Return the log that every process sees."""
    return History(Random(seed)).grow(STEPS).events


def apply_all(model: SqliteReadModel, events: list[Recorded[Event]], sizes: Random) -> None:
    """Bring every projection to the end, in pages of one to four events, the projections taking turns."""
    unfinished = list(PROJECTIONS)
    while unfinished:
        projection = sizes.choice(unfinished)
        position = model.position(projection.name, projection.code_version)
        page = [recorded for recorded in events if recorded.position > position][: sizes.randint(1, 4)]
        if not page:
            unfinished.remove(projection)
            continue
        changes = [change for recorded in page for change in projection.on(recorded)]
        try:
            model.apply(projection.name, projection.code_version, changes, page[-1].position)
        except DomainError as error:
            # Somebody began it anew: the next turn asks for its position again.
            if error.code != "conflict":
                raise


def _main() -> None:
    path, seed, sizes = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    events = history(seed)
    model = SqliteReadModel(path, TABLES)
    print("ready", flush=True)
    sys.stdin.readline()
    apply_all(model, events, Random(sizes))
    model.close()


if __name__ == "__main__":
    _main()
