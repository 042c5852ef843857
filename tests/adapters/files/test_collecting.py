"""What was deleted long ago is removed for good: as a whole, by its own name, and nothing beside it."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cowork.adapters.files.collecting import FileQuarantineCollector
from cowork.domain.attempt import mark_of_attempt
from cowork.domain.errors import DomainError
from cowork.domain.scope import VERBS, FolderIdentity, FolderScope
from cowork.engine.keeping_ports import KeptItem

ROOT = Path(__file__).resolve().parents[3]
NAME = mark_of_attempt("task-1.1", 1)
OTHER = mark_of_attempt("task-1.2", 1)
LATER = timedelta(hours=1)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    (tmp_path / "state" / "quarantine").mkdir(parents=True)
    return tmp_path / "state"


@pytest.fixture
def grant() -> Iterator[Path]:
    """A folder on another disk than the store."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        (Path(folder) / ".cowork" / "quarantine").mkdir(parents=True)
        yield Path(folder)


def scope_of(folder: Path) -> FolderScope:
    status = folder.stat()
    identity = FolderIdentity(status.st_dev, status.st_ino)
    return FolderScope(grant_id="grant-1", name="work", root_path=str(folder), verbs=VERBS, identity=identity)


def tree(at: Path) -> Path:
    """Make a tree with everything that makes removing difficult, and an outside that it points to."""
    (at / "inner" / "locked").mkdir(parents=True)
    (at / "inner" / "locked" / "file").write_bytes(b"12345")
    (at / "inner" / "file").write_bytes(b"123")
    outside = at.parent / "outside"
    outside.mkdir()
    (outside / "precious").write_text("stays")
    (at / "link").symlink_to(outside)
    (at / "inner" / "locked").chmod(0o000)
    (at / "inner").chmod(0o500)
    return outside


def remove(state: Path, item: KeptItem) -> bool:
    return FileQuarantineCollector(state).remove(item, untouched_since=datetime.now(UTC) + LATER)


def test_what_lies_in_the_stores_quarantine_is_found_by_attempts_names_only(state: Path) -> None:
    (state / "quarantine" / NAME).write_bytes(b"1234")
    (state / "quarantine" / f"{OTHER}.going").write_bytes(b"12")
    for strange in ("notes.txt", "0123", NAME.upper(), f"{NAME}.kept"):
        (state / "quarantine" / strange).write_text("somebody's")
    found = {item.name: (item.size, item.going, item.folder) for item in FileQuarantineCollector(state).kept()}
    assert found == {NAME: (4, False, None), f"{OTHER}.going": (2, True, None)}
    (item, _) = FileQuarantineCollector(state).kept()
    assert abs(datetime.now(UTC) - item.touched_at) < timedelta(minutes=5)
    assert list(FileQuarantineCollector(state.parent).kept()) == []


def test_a_tree_goes_whole_however_it_is_locked_and_what_its_links_point_to_stays(state: Path) -> None:
    outside = tree(state / "quarantine" / NAME)
    (item,) = (one for one in FileQuarantineCollector(state).kept() if one.name == NAME)
    assert remove(state, item)
    assert not (state / "quarantine" / NAME).exists()
    assert [path.name for path in (state / "quarantine").iterdir()] == ["outside"]
    assert (outside / "precious").read_text() == "stays"
    assert not remove(state, item)


def test_what_was_put_there_a_short_while_ago_stays(state: Path) -> None:
    (state / "quarantine" / NAME).write_bytes(b"1234")
    (item,) = FileQuarantineCollector(state).kept()
    untouched_since = datetime.now(UTC) - LATER
    assert not FileQuarantineCollector(state).remove(item, untouched_since=untouched_since)
    assert (state / "quarantine" / NAME).exists()


def test_in_a_granted_folder_only_what_is_asked_for_is_found_and_removed(state: Path, grant: Path) -> None:
    for name in (NAME, OTHER):
        (grant / ".cowork" / "quarantine" / name).write_bytes(b"123")
    wanted = {NAME: scope_of(grant), mark_of_attempt("task-1.3", 1): scope_of(grant)}
    (item,) = FileQuarantineCollector(state).kept_in_folders(wanted)
    assert (item.name, item.size, item.folder) == (NAME, 3, scope_of(grant))
    assert remove(state, item)
    # Another store may have put the other one there.
    assert [path.name for path in (grant / ".cowork" / "quarantine").iterdir()] == [OTHER]


def test_the_engines_folder_goes_with_the_last_thing_in_it(state: Path, grant: Path) -> None:
    (grant / ".cowork" / "quarantine" / NAME).write_bytes(b"123")
    (grant / "file").write_text("the person's")
    (item,) = FileQuarantineCollector(state).kept_in_folders({NAME: scope_of(grant)})
    assert remove(state, item)
    assert [path.name for path in grant.iterdir()] == ["file"]


def test_another_folder_under_the_granted_ones_path_is_left_alone(state: Path, grant: Path) -> None:
    scope = scope_of(grant / ".cowork")
    replaced = FolderScope(grant_id="grant-1", name="work", root_path=str(grant), verbs=VERBS, identity=scope.identity)
    (grant / ".cowork" / "quarantine" / NAME).write_bytes(b"123")
    assert list(FileQuarantineCollector(state).kept_in_folders({NAME: replaced})) == []
    (item,) = FileQuarantineCollector(state).kept_in_folders({NAME: scope_of(grant)})
    moved = KeptItem(kind="quarantine", name=NAME, size=3, touched_at=item.touched_at, folder=replaced)
    assert not remove(state, moved)
    assert (grant / ".cowork" / "quarantine" / NAME).exists()


def test_a_link_in_place_of_the_quarantine_leads_nowhere(state: Path, grant: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / NAME).write_text("the person's")
    (grant / ".cowork" / "quarantine").rmdir()
    (grant / ".cowork" / "quarantine").symlink_to(elsewhere)
    assert list(FileQuarantineCollector(state).kept_in_folders({NAME: scope_of(grant)})) == []
    assert (elsewhere / NAME).exists()


def test_what_can_not_be_removed_is_named(state: Path) -> None:
    (state / "quarantine" / NAME).write_bytes(b"x")
    (item,) = FileQuarantineCollector(state).kept()
    (state / "quarantine").chmod(0o500)
    try:
        with pytest.raises(DomainError, match=NAME) as caught:
            remove(state, item)
    finally:
        (state / "quarantine").chmod(0o700)
    assert caught.value.code == "unavailable"


DIES = """
import os, signal, sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from cowork.adapters.files.collecting import FileQuarantineCollector

left = int(sys.argv[2])

def count(event, _arguments):
    global left
    if event in ("os.remove", "os.rmdir", "os.chmod", "os.open", "shutil.rmtree", "ctypes.call_function"):
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)

collector = FileQuarantineCollector(Path(sys.argv[1]))
items = list(collector.kept())
sys.addaudithook(count)
for item in items:
    collector.remove(item, untouched_since=datetime.now(UTC) + timedelta(hours=1))
"""


def test_killed_at_any_point_it_is_there_whole_or_goes_on_being_removed(state: Path) -> None:
    place = state / "quarantine" / NAME
    for number in range(20):
        (place / f"folder {number}").mkdir(parents=True)
        (place / f"folder {number}" / "file").write_text("x")
    whole = len(list(place.rglob("*")))
    died = 0
    for calls in range(0, 60, 6):
        run = subprocess.run([sys.executable, "-c", DIES, str(state), str(calls)], cwd=ROOT, check=False)
        died += run.returncode == -signal.SIGKILL
        if place.exists():
            assert len(list(place.rglob("*"))) == whole
        else:
            left = list(FileQuarantineCollector(state).kept())
            assert all(item.going and item.name == f"{NAME}.going" for item in left)
    for item in FileQuarantineCollector(state).kept():
        assert remove(state, item)
    assert died > 3
    assert os.listdir(state / "quarantine") == []
