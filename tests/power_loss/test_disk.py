"""The emulated disk loses what a real one may lose, keeps what it has to keep, and can tell the two apart."""

import os
import random
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.house.tree import ROOT
from tests.power_loss.disk import Chances, Disk, draw_chances
from tests.power_loss.image import Flat, flat_of
from tests.power_loss.recording import record_disk

DRAWS: Final = 150
OLD: Final = b"old and long\n" * 900
NEW: Final = b"the new one\n" * 700

BEGINNING: Final = "import os; from os import *; new = b'the new one\\n' * 700\n"
SAVE: Final = {
    "write": "f = open('new', O_CREAT | O_WRONLY, 0o600); write(f, new[:5000]); write(f, new[5000:])",
    "sync": "fsync(f)",
    "rename": "rename('{top}/new', '{top}/file')",
    "sync-folder": "d = open('.', O_RDONLY); fsync(d)",
    "say": "m = open('../marks', O_CREAT | O_WRONLY); write(m, b'saved\\n')",
}
"""How a file is replaced so that whatever happens there is the old one or the new one."""


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as made:
        yield Path(made)


def happened(folder: Path, program: str) -> Disk:
    """Run a program in the folder `disk`, which has a file."""
    disk = folder / "disk"
    disk.mkdir()
    (disk / "file").write_bytes(OLD)
    (disk / "file").chmod(0o600)
    text = f"import os; os.chdir({os.fspath(disk)!r})\n{BEGINNING}{program}"
    return record_disk([sys.executable, "-ISc", text.replace("{top}", os.fspath(disk))], disk, folder, cwd=ROOT)


def outcomes(disk: Disk) -> Iterator[tuple[Flat, list[str]]]:
    """Cut the power at every moment in many ways; yield what is left, and what had been said by then."""
    for seed in range(DRAWS):
        draw = random.Random(seed)
        for cut in disk.cuts():
            yield disk.after_cut(cut, draw, draw_chances(draw)).flat(), disk.marks(cut)


def losses(disk: Disk) -> set[str]:
    """Return what can go wrong with the one file."""
    found: set[str] = set()
    for left, said in outcomes(disk):
        content = left[b"file"][2] if b"file" in left else None
        if content not in (OLD, NEW):
            found.add("torn")
        elif said and content != NEW:
            found.add("lost")
    return found


@pytest.mark.parametrize(
    ("left_out", "wrong"),
    [("sync", {"torn"}), ("sync-folder", {"lost"}), ("rename", {"lost"})],
)
def test_a_step_left_out_of_a_safe_replacement_is_found(left_out: str, wrong: set[str], folder: Path) -> None:
    steps = [step for name, step in SAVE.items() if name != left_out]
    assert wrong <= losses(happened(folder, "\n".join(steps)))


def test_a_safe_replacement_has_nothing_wrong_with_it(folder: Path) -> None:
    assert losses(happened(folder, "\n".join(SAVE.values()))) == set()


def test_a_file_written_in_place_can_be_torn(folder: Path) -> None:
    program = "f = open('file', O_WRONLY); write(f, new); fsync(f)"
    assert losses(happened(folder, program)) == {"torn"}


def test_all_of_it_or_none_of_it_are_among_what_can_be_left(folder: Path) -> None:
    disk = happened(
        folder, "mkdir('{top}/a'); open('a/b', O_CREAT | O_WRONLY, 0o600); rename('{top}/file', '{top}/a/file')"
    )
    end = len(disk.steps)
    before, after = (disk.after_cut(end, random.Random(0), Chances(c, c, c)).flat() for c in (0.0, 1.0))
    assert before == {b"file": ("file", 0o600, OLD)}
    assert after == disk.whole().flat() == flat_of(folder / "disk")


def test_a_rename_between_two_folders_is_one_step_and_syncing_either_makes_it_durable(folder: Path) -> None:
    program = "mkdir('{top}/a'); d = open('.', O_RDONLY); fsync(d); rename('{top}/file', '{top}/a/file')"
    disk = happened(folder, program)
    for left, _ in outcomes(disk):
        assert (b"file" in left) != (b"a/file" in left)
    again = Path(tempfile.mkdtemp(dir=folder))
    disk = happened(again, f"{program}; fsync(d)")
    left = disk.after_cut(len(disk.steps), random.Random(0), Chances(0, 0, 0)).flat()
    assert left[b"a/file"][2] == OLD


def test_names_that_do_not_depend_on_each_other_are_lost_one_by_one(folder: Path) -> None:
    program = "; ".join(f"open('{name}', O_CREAT | O_WRONLY, 0o600)" for name in "abc")
    kept = {frozenset(left) - {b"file"} for left, _ in outcomes(happened(folder, program))}
    assert len(kept) == 8


def test_what_was_laid_out_is_what_was_left(folder: Path) -> None:
    program = (
        "mkdir('{top}/a'); symlink('b', '{top}/a/c'); link('{top}/file', '{top}/a/two'); chmod('{top}/file', 0o640)"
    )
    disk = happened(folder, program)
    for seed, cut in enumerate(disk.cuts()):
        image = disk.after_cut(cut, random.Random(seed), Chances(0.5, 0.5, 0.5))
        image.lay_out(folder / "laid-out")
        assert flat_of(folder / "laid-out") == image.flat()
    numbers = disk.whole().lay_out(folder / "laid-out")
    made, first = ((folder / where / "a/two").stat() for where in ("laid-out", "disk"))
    assert made.st_nlink == 2
    assert numbers[made.st_ino] == first.st_ino
