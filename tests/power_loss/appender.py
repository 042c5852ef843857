"""A process that appends to a store and says what was recorded: `python -m … STORE MARKS ROUNDS [PRAGMA…]`.

In each round the store is opened, appended to by three tasks at once, folded into a read model, and closed. Every event
names a blob that was kept before. The pragmas are set on the store's own connection; `no-fsync` among them takes away
what Python syncs, which is everything but SQLite's own files.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import anyio

from cowork.adapters.blobs.store import FileBlobStore
from cowork.adapters.event_store import SqliteEventStore, open_sqlite_store
from cowork.adapters.read_model.sqlite import SqliteReadModel
from cowork.domain.event import Event, Recorded
from cowork.domain.task import TaskQueued
from cowork.engine.catch_up import CatchUp
from cowork.engine.ports import Guard, StreamWrite, VersionConflict
from cowork.projections.row import Put, RowChange, Table
from tests.adapters.event_store.connection import ask
from tests.adapters.event_store.generated import origin
from tests.power_loss.unsynced import NO_FSYNC, sync_nothing

TASKS = 3
APPENDS = 8
"""So many by each task in each round."""

TITLES = Table(name="titles", key={"position": "integer"}, columns={"stream": "text", "title": "text"})


class Titles:
    """A projection with a row for each event."""

    name = "titles"
    code_version = 1

    def on(self, recorded: Recorded[Event]) -> Sequence[RowChange]:
        """Return the event's row."""
        assert isinstance(recorded.event, TaskQueued)
        return [Put("titles", (recorded.position,), {"stream": recorded.stream, "title": recorded.event.title})]


def read_model_of(folder: Path) -> SqliteReadModel:
    """Return the read model in the folder."""
    return SqliteReadModel(folder / "read.db", {"titles": [TITLES]})


def catch_up_of(store: SqliteEventStore, model: SqliteReadModel) -> CatchUp[RowChange]:
    """Return what brings the read model up to the log."""
    return CatchUp(store, model, [Titles()])


def content_of(stream: str, version: int) -> bytes:
    """Return what is kept for an event: for some a few bytes, for some several pages."""
    return f"{stream} {version}\n".encode() * (1 + 300 * (version % 3))


async def append(store: SqliteEventStore, blobs: FileBlobStore, stream: str, command: str) -> None:
    """Append two events to the stream and one to `shared`, and say so."""
    while True:
        version = len(store.read_stream(stream))
        shared = len(store.read_stream("shared"))
        writes: list[StreamWrite] = []
        for to, after, count in ((stream, version, 2), ("shared", shared, 1)):
            kept = [blobs.put(content_of(to, after + n)).digest for n in range(1, count + 1)]
            events = tuple(TaskQueued(task_id=to, session_id="session-1", title=digest) for digest in kept)
            writes.append(StreamWrite(to, after, events))
        try:
            await store.append(writes, origin(command), [Guard("shared", shared)])
        except VersionConflict:
            continue
        return


async def run(folder: Path, marks: int, turn: int, pragmas: Sequence[str]) -> None:
    """Open the store, append, and close it."""
    store = open_sqlite_store(folder / "events.db")
    for pragma in pragmas:
        ask(store, pragma)
    blobs = FileBlobStore(folder / "blobs")
    model = read_model_of(folder)
    catch_up = catch_up_of(store, model)

    async def work(task: int) -> None:
        for number in range(APPENDS):
            command = f"command-{turn}.{task}.{number}"
            await append(store, blobs, f"task-{task}", command)
            os.write(marks, f"{command}\n".encode())
            if number % 3 == task:
                catch_up.run()

    async with anyio.create_task_group() as group:
        for task in range(TASKS):
            group.start_soon(work, task)
    model.close()
    store.close()


def main() -> None:
    """Do what the arguments say."""
    folder, marks, rounds, *pragmas = sys.argv[1:]
    if NO_FSYNC in pragmas:
        pragmas.remove(NO_FSYNC)
        sync_nothing()
    said = os.open(marks, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for turn in range(int(rounds)):
        anyio.run(run, Path(folder), said, turn, pragmas)


if __name__ == "__main__":
    main()
