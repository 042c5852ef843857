"""A run whose power is cut at any moment comes, resumed on what is left of the disk, to what an undisturbed run does.

Folder and store are on the disk. What was not synced when the power failed is there, or not, or torn: see
`tests/power_loss`.
"""

import contextlib
import os
import random
import sys
from collections.abc import Iterator
from difflib import unified_diff

import msgspec
import pytest

from cowork.adapters.blobs.store import FileBlobStore
from cowork.adapters.event_store import open_sqlite_store
from cowork.adapters.read_model.dump import dump_tables
from cowork.domain.errors import DomainError
from cowork.domain.task import ActionSucceeded
from cowork.projections.registry import TABLES
from tests.acceptance.log_facts import LogFacts, facts_of
from tests.acceptance.normal import lines_of, tree_of
from tests.acceptance.test_crash import RESUME, RUN, arrange, let_a_day_pass, reading, residue
from tests.acceptance.workplace import Forks, Workplace, fork_server, workplace
from tests.house.tree import ROOT
from tests.power_loss.disk import Disk, draw_chances
from tests.power_loss.recording import record_disk

CUTS = 40
CUTS_OF_CONTROL = 12
CUTS_LONG = 1000

MAIN = "from cowork.adapters.cli.main import main; main()"
WITHOUT_SYNCS = f"from tests.power_loss.unsynced import sync_nothing; sync_nothing(); {MAIN}"


class Left(msgspec.Struct, frozen=True):
    """What a run leaves behind."""

    tree: dict[str, tuple[str, ...]]
    facts: LogFacts
    quarantined: int


class Recorded(msgspec.Struct, frozen=True):
    """An undisturbed run: all that it asked of the disk, and what it left behind."""

    place: Workplace
    disk: Disk
    left: Left


@pytest.fixture(scope="module")
def forks() -> Iterator[Forks]:
    with fork_server() as server:
        yield server


@contextlib.contextmanager
def recorded_run(forks: Forks, program: str) -> Iterator[Recorded]:
    """Run the plan in a process of its own, call by call."""
    with workplace(forks) as place, workplace(forks) as beside:
        arrange(place)
        # Where the package is, and nothing of this machine besides.
        environment = [f"PYTHONPATH={os.pathsep.join(sys.path)}", f"PATH={os.environ['PATH']}", "LANG=C.UTF-8"]
        environment += [f"COWORK_STORE={place.store}", f"HOME={place.folder}", "USER=somebody"]
        run = [
            word.replace("plan.toml", f"{place.folder}/plan.toml").replace("inbox", str(place.inbox)) for word in RUN
        ]
        command = ["env", "-i", *environment, sys.executable, "-c", program, *run]
        disk = record_disk(command, place.folder, beside.folder, cwd=ROOT)
        yield Recorded(place, disk, left_in(place))


@pytest.fixture(scope="module")
def recorded(forks: Forks) -> Iterator[Recorded]:
    with recorded_run(forks, MAIN) as run:
        yield run


def left_in(place: Workplace) -> Left:
    """Return what a run left behind, after checking what holds for every one that has ended."""
    let_a_day_pass(place)
    with contextlib.closing(open_sqlite_store(place.store / "events.db", read_only=True)) as store:
        log = store.read_log(after=0, limit=1_000_000)
    blobs = FileBlobStore(place.store / "blobs")
    for effect in (effect for r in log if isinstance(r.event, ActionSucceeded) for effect in r.event.effects):
        if effect.kept.startswith("blob:"):
            assert blobs.get(effect.kept.removeprefix("blob:"))
    with reading(place) as application:
        assert application.audit().violations == ()
        tables = [table for one in TABLES.values() for table in one]
        grown = dump_tables(tables, application.rows)
        application.rebuild_projections()
        assert dump_tables(tables, application.rows) == grown, "the projections rebuilt differ from those that grew"
    assert residue(place) == []
    tree = {path: tuple(str(part) for part in entry) for path, entry in tree_of(place.inbox).items()}
    return Left(tree, facts_of(log), len(list((place.store / "quarantine").iterdir())))


def cut_power(of: Recorded, draw: random.Random) -> int:
    """Cut the power at some moment, and resume on what is left of the disk; return how many events that has."""
    cut = draw.choice(of.disk.cuts())
    chances = msgspec.structs.replace(draw_chances(draw), garbage=False)
    of.place.inodes = of.disk.after_cut(cut, draw, chances).lay_out(of.place.folder, shared_memory=draw.randbytes(40))
    events = of.place.recorded()
    ended = of.place.run(*(RESUME if of.place.has_task() else RUN))
    assert ended.status == 0, (chances, ended)
    found, wanted = (lines_of(msgspec.to_builtins(one)) for one in (left_in(of.place), of.left))
    assert "\n".join(unified_diff(wanted, found, "undisturbed", "cut off", lineterm="")) == "", f"cut {cut}, {chances}"
    return events


def test_a_power_cut_at_any_moment_and_a_resume_come_to_the_same(recorded: Recorded) -> None:
    left = [cut_power(recorded, random.Random(seed)) for seed in range(CUTS)]
    assert len(set(left)) > CUTS / 4


def test_a_run_that_does_not_sync_is_found_out(forks: Forks) -> None:
    lost = 0
    with recorded_run(forks, WITHOUT_SYNCS) as run:
        for seed in range(CUTS_OF_CONTROL):
            try:
                cut_power(run, random.Random(seed))
            except (AssertionError, DomainError):
                lost += 1
    assert lost > CUTS_OF_CONTROL / 4


@pytest.mark.fuzz_long
@pytest.mark.parametrize("chunk", range(10))
def test_a_power_cut_at_any_of_many_moments_comes_to_the_same(chunk: int, recorded: Recorded) -> None:
    for seed in range(CUTS_LONG // 10):
        cut_power(recorded, random.Random(1000 * (chunk + 1) + seed))
