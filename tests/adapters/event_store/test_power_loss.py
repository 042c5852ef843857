"""What a power cut leaves of a store, whatever it does to all that was not synced: everything that was acknowledged.

A run is recorded call by call; then the power is cut at hundreds of moments of it, and the product opens what is left.
"""

import random
import sqlite3
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import anyio
import pytest

from cowork.adapters.blobs.store import FileBlobStore
from cowork.adapters.event_store import open_sqlite_store
from cowork.domain.errors import DomainError
from cowork.domain.event import Event, Recorded
from cowork.domain.task import TaskQueued
from tests.adapters.event_store.generated import SOMEBODY, write
from tests.adapters.event_store.test_processes import check_log
from tests.house.tree import ROOT
from tests.power_loss.appender import catch_up_of, read_model_of
from tests.power_loss.disk import Disk, draw_chances
from tests.power_loss.recording import record_disk
from tests.power_loss.unsynced import NO_FSYNC

CUTS = 300
CUTS_OF_CONTROLS = 100
CUTS_LONG = 4000
ROUNDS = 2
SMALL_LOG = "wal_autocheckpoint = 12"
"""Has the write-ahead log emptied into the file every few appends, and begun again from its start."""

STORE = Path("home", "store")
"""Where the store lies on the disk; neither folder is there at the beginning."""

Log = list[Recorded[Event]]


class LossError(AssertionError):
    """Something that had to be on the disk is not."""


@contextmanager
def folder_in_memory() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        yield Path(folder)


def recorded(folder: Path, *pragmas: str) -> tuple[Disk, Log]:
    """Run the appender on a new disk; return what happened to that, and the log in the end."""
    disk = folder / "disk"
    disk.mkdir()
    command = [sys.executable, "-m", "tests.power_loss.appender", disk / STORE, folder / "marks", ROUNDS, *pragmas]
    happened = record_disk([str(word) for word in command], disk, folder, cwd=ROOT)
    store = open_sqlite_store(disk / STORE / "events.db", read_only=True)
    log = store.read_log(after=0, limit=1_000_000)
    store.close()
    return happened, log


@pytest.fixture(scope="module", params=[(), (SMALL_LOG,)], ids=["large-log", "small-log"])
def run(request: pytest.FixtureRequest) -> Iterator[tuple[Disk, Log]]:
    with folder_in_memory() as folder:
        yield recorded(folder, *request.param)


def cut_power(disk: Disk, whole: Log, seed: int, folder: Path) -> int:
    """Cut the power at some moment and hold what is left against the log of the whole run; return its events."""
    draw = random.Random(seed)
    cut = draw.choice(disk.cuts())
    chances = draw_chances(draw)
    disk.after_cut(cut, draw, chances).lay_out(folder, shared_memory=draw.randbytes(1 + draw.randrange(64)))
    try:
        return check_store(folder / STORE, whole, disk.marks(cut))
    except (DomainError, AssertionError, sqlite3.Error) as error:
        raise LossError(f"seed {seed}, cut {cut} of {len(disk.steps)}, {chances}: {error}") from error


def check_store(folder: Path, whole: Log, acknowledged: list[str]) -> int:
    """Everything acknowledged is there, nothing by half, and the store goes on; return how many events there are."""
    with closing(open_sqlite_store(folder / "events.db")) as store, closing(read_model_of(folder)) as model:
        log = store.read_log(after=0, limit=1_000_000)
        assert log == whole[: len(log)], "what is there is not a beginning of the log"
        found = set(check_log(store))
        assert set(acknowledged) <= found, f"{len(set(acknowledged) - found)} acknowledged appends are gone"
        blobs = FileBlobStore(folder / "blobs")
        for one in log:
            assert isinstance(one.event, TaskQueued)
            blobs.get(one.event.title)
        assert model.notices == []
        catch_up = catch_up_of(store, model)
        catch_up.run()
        assert [row["position"] for row in model.rows("titles")] == [one.position for one in log]
        grown = model.dump()
        catch_up.rebuild()
        assert model.dump() == grown, "the rows that survived are not those of the log"
        (added,) = anyio.run(store.append, [write("afterwards")], SOMEBODY)
        assert added.position == len(log) + 1
    with closing(sqlite3.connect(folder / "events.db")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    return len(log)


def test_a_power_cut_takes_nothing_that_was_acknowledged(run: tuple[Disk, Log]) -> None:
    disk, whole = run
    with folder_in_memory() as folder:
        left = [cut_power(disk, whole, seed, folder) for seed in range(CUTS)]
    assert 0 in left, "no cut hit the beginning"
    assert len(set(left)) > len(whole) / 3 / 2, "most of the appends were never hit"


@pytest.mark.fuzz_long
def test_many_power_cuts_take_nothing_that_was_acknowledged(run: tuple[Disk, Log]) -> None:
    disk, whole = run
    with folder_in_memory() as folder:
        for seed in range(1000, 1000 + CUTS_LONG):
            cut_power(disk, whole, seed, folder)


@pytest.mark.parametrize("fault", ["synchronous = OFF", "synchronous = NORMAL", NO_FSYNC])
def test_a_store_that_does_not_sync_is_found_out(fault: str) -> None:
    with folder_in_memory() as folder, folder_in_memory() as after:
        disk, whole = recorded(folder, fault, SMALL_LOG)
        lost = 0
        for seed in range(CUTS_OF_CONTROLS):
            try:
                cut_power(disk, whole, seed, after)
            except LossError:
                lost += 1
    assert lost > CUTS_OF_CONTROLS / 10, "what was not synced has survived too many cuts"
