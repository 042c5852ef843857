"""What a power cut leaves of a change to files: all of a change that was reported, and of any other the old or the new.

Each kind of change is made once, recorded call by call; then the power is cut after each call, in many ways. What is
found afterwards is the truth, and nothing is left over.
"""

import pickle
import random
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from cowork.adapters.blobs.store import FileBlobStore
from cowork.domain.facts import FileState
from cowork.domain.scope import FolderIdentity
from cowork.engine.ports import Done, Finding, NotApplied, Outcome, Permit
from tests.adapters.files.cases.direct import DirectDriver, executor_of
from tests.adapters.files.cases.ground import Ground
from tests.adapters.files.crash_server import What
from tests.adapters.files.test_crashes import CHANGES, Tree, tree_of
from tests.house.tree import ROOT
from tests.power_loss.disk import Disk, draw_chances
from tests.power_loss.recording import record_disk
from tests.power_loss.unsynced import NO_FSYNC

DRAWS = 6
"""So many ways of cutting the power after each call."""


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def beside() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        yield Path(folder)


class Change:
    """A change that was made, call by call; what stood there before and stands there after it."""

    def __init__(self, ground: Ground, permit: Permit, beside: Path, *faults: str) -> None:
        self._ground = ground
        self._beside = beside
        self.permit = permit
        self._before = self._trees()
        self.disk, outcome = self._traced("perform", permit, *faults)
        assert isinstance(outcome, Done)
        self._outcome = outcome
        self._after = self._trees()

    def _traced(self, what: What, permit: Permit, *faults: str) -> tuple[Disk, Outcome | Finding]:
        """Do something in a process of its own; return what it asked of the disk, and what it came to."""
        request, marks = self._beside / "request", self._beside / "marks"
        request.write_bytes(
            pickle.dumps((what, permit, self._ground.state, self._ground.state / "blobs", "openat2", 0))
        )
        marks.unlink(missing_ok=True)
        command = [sys.executable, "-m", "tests.power_loss.performer", str(request), str(marks), *faults]
        disk = record_disk(command, self._ground.base, self._beside, cwd=ROOT)
        return disk, pickle.loads(bytes.fromhex(marks.read_text(encoding="ascii")))

    def _trees(self) -> tuple[Tree, Tree]:
        return tree_of(self._ground.grant), tree_of(self._ground.grant2)

    def cut_power(self, disk: Disk, permit: Permit, cut: int, draw: random.Random) -> Permit:
        """Put what a power cut leaves in the place of the ground, and return the permit with its inode numbers."""
        # No file system shows what another file had held before.
        chances = msgspec.structs.replace(draw_chances(draw), garbage=False)
        numbers = disk.after_cut(cut, draw, chances).lay_out(self._ground.base)
        self._ground.blobs = FileBlobStore(self._ground.state / "blobs")
        found: Permit = renumbered(permit, {old: new for new, old in numbers.items()})
        return found

    def is_done(self) -> bool:
        """Whether the new stands there."""
        return self._trees() == self._after

    def settle(self, permit: Permit) -> Finding:
        """Look at what was left, as after a crash; the finding is the truth, and stays so."""
        finding = self._look(permit)
        self.check(finding)
        assert self._look(permit) == finding
        return finding

    def settle_traced(self, permit: Permit) -> tuple[Disk, Finding]:
        """Look at what was left in a process of its own; return what that asked of the disk as well."""
        disk, finding = self._traced("reconcile", permit)
        assert isinstance(finding, Done | NotApplied)
        return disk, finding

    def _look(self, permit: Permit) -> Finding:
        executor = executor_of(self._ground.blobs, self._ground.state)
        try:
            return executor.reconcile_now(permit)
        finally:
            executor.close()

    def check(self, finding: Outcome | Finding | None = None) -> None:
        """What stands there is what was found (or reported: done), and nothing is left over beside it."""
        assert self._ground.leftovers() == []
        if isinstance(finding, NotApplied):
            assert self._trees() == self._before
            return
        assert finding is None or isinstance(finding, Done), finding
        assert self.is_done()
        for effect in self._outcome.effects:
            where, _, name = effect.kept.partition(":")
            if where == "blob":
                assert self._ground.blobs.get(name)
            elif where == "quarantine":
                assert (self._ground.state / "quarantine" / name).exists()


def renumbered(value: Any, numbers: dict[int, int]) -> Any:
    """Return the value with other inode numbers: a copy of a disk has others, and the disk itself would not."""
    match value:
        case FileState(inode=inode) | FolderIdentity(inode=inode):
            return msgspec.structs.replace(value, inode=numbers.get(inode, 0))
        case msgspec.Struct():
            new = {name: renumbered(getattr(value, name), numbers) for name in value.__struct_fields__}
            return msgspec.structs.replace(value, **new)
        case tuple():
            return tuple(renumbered(one, numbers) for one in value)
        case _:
            return value


async def changed(name: str, ground: Ground, beside: Path, *faults: str) -> Change:
    action = CHANGES[name](ground)
    executor = executor_of(ground.blobs, ground.state)
    driver = DirectDriver(executor, ground.blobs, ground.scope)
    permit = driver.permit(action, await driver.observe(action))
    executor.close()
    return Change(ground, permit, beside, *faults)


def cuts(disk: Disk, draws: int) -> Iterator[tuple[int, random.Random]]:
    for cut in disk.cuts():
        for seed in range(draws):
            yield cut, random.Random(1000 * seed + cut)


@pytest.mark.anyio
@pytest.mark.parametrize("name", CHANGES)
async def test_a_power_cut_leaves_the_old_or_the_new_and_is_told_truly(name: str, ground: Ground, beside: Path) -> None:
    change = await changed(name, ground, beside)
    findings = set()
    for cut, draw in cuts(change.disk, DRAWS):
        permit = change.cut_power(change.disk, change.permit, cut, draw)
        if change.disk.marks(cut):
            # It was on record as done: nobody looks at it again.
            change.check()
        else:
            findings.add(type(change.settle(permit)))
    assert findings == {Done, NotApplied}


async def cut_twice(name: str, ground: Ground, beside: Path, draw: random.Random) -> None:
    """Cut the power while a change is made, and again while it is found out what became of it."""
    change = await changed(name, ground, beside)
    first = draw.choice([cut for cut in change.disk.cuts() if not change.disk.marks(cut)])
    permit = change.cut_power(change.disk, change.permit, first, draw)
    disk, finding = change.settle_traced(permit)
    for cut, other in cuts(disk, DRAWS):
        found = change.cut_power(disk, permit, cut, other)
        if disk.marks(cut):
            change.check(finding)
        else:
            change.settle(found)


@pytest.mark.anyio
@pytest.mark.parametrize(
    "name", ["create with new folders", "replace", "delete a tree", "move a tree with new folders"]
)
async def test_a_second_power_cut_while_looking_changes_nothing_about_that(
    name: str, ground: Ground, beside: Path
) -> None:
    await cut_twice(name, ground, beside, random.Random(name))


@pytest.mark.anyio
@pytest.mark.fuzz_long
@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("name", CHANGES)
async def test_many_second_power_cuts_while_looking_change_nothing_about_that(
    name: str, seed: int, ground: Ground, beside: Path
) -> None:
    await cut_twice(name, ground, beside, random.Random(seed))


@pytest.mark.anyio
@pytest.mark.parametrize("name", ["create with new folders", "replace", "delete a file", "rename"])
async def test_a_change_that_is_not_synced_is_found_out(name: str, ground: Ground, beside: Path) -> None:
    change = await changed(name, ground, beside, NO_FSYNC)
    end = len(change.disk.steps)
    lost = 0
    for seed in range(20):
        change.cut_power(change.disk, change.permit, end, random.Random(seed))
        lost += not change.is_done()
    assert lost > 2
