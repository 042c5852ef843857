"""Each thing that a command can do to its copy becomes one proposed action, or is said to be none."""

import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import pytest

from cowork.adapters.sandbox.changes import Changes
from cowork.domain.action import Content, FileCreate, FileDelete, FileMove, FileRename, FileWrite, Location
from cowork.domain.errors import DomainError
from cowork.domain.facts import ABSENT
from cowork.engine import limits
from cowork.engine.ports import StagedChange
from tests.adapters.sandbox.overlay import Stage, hiding, stage_in, write_tree


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return stage_in(tmp_path)


@pytest.fixture
def fast_stage() -> Iterator[Stage]:
    """In memory, for many files: nobody waits for a disk."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as place:
        yield stage_in(Path(place))


def said(stage: Stage, changes: Sequence[StagedChange]) -> list[str]:
    """Return the changes in short: what, where, the bytes, the mode, and the code of the obstacle."""
    return [
        " ".join(filter(None, [_said(stage, change), change.obstacle.code if change.obstacle else ""]))
        for change in changes
    ]


def _said(stage: Stage, change: StagedChange) -> str:
    match change.action:
        case FileCreate(at=at, content=content, mode=mode):
            return f"create {at.path} {_text(stage, content)}{_mode(mode)}"
        case FileWrite(at=at, content=content, mode=mode):
            return f"write {at.path} {_text(stage, content)}{_mode(mode)}"
        case FileDelete(at=at):
            return f"delete {at.path}"
        case FileRename(at=at, to=to):
            return f"rename {at.path} {to.path}"
        case FileMove(at=at, to=to):
            return f"move {at.path} {to.path}"
        case other:
            raise AssertionError(other)


def _text(stage: Stage, content: Content) -> str:
    data = stage.blobs.get(content.digest)
    assert len(data) == content.size
    return repr(data.decode())


def _mode(mode: int | None) -> str:
    return "" if mode is None else f" {mode:o}"


BEFORE = {"a": "1", "b": "22", "d/x": "333", "d/e/y": "4444", "d/e/z": "55555", "w/one": "6"}

CASES: dict[str, tuple[str, list[str], list[str]]] = {
    "nothing": ("true", [], []),
    "only looking": ("cat a d/e/y; ls -R", [], []),
    "a new file": ("echo n > n", ["create n 'n\\n'"], []),
    "a new empty file": ("touch n", ["create n ''"], []),
    "a new file in new folders": ("mkdir -p n/m; echo 1 > n/m/f", ["create n/m/f '1\\n'"], []),
    "a new program": ("echo n > n; chmod 755 n", ["create n 'n\\n' 755"], []),
    "a new private file": ("(umask 077; echo n > n)", ["create n 'n\\n' 600"], []),
    "a set-id bit is not carried over": ("echo n > n; chmod 6755 n", ["create n 'n\\n' 755"], []),
    "a file replaced": ("echo new > a", ["write a 'new\\n'"], []),
    "a file appended to": ("echo more >> d/e/y", ["write d/e/y '4444more\\n'"], []),
    "a file replaced by a rename": ("echo new > t; mv t a", ["write a 'new\\n'"], []),
    "a file made again": ("rm a; echo new > a", ["write a 'new\\n'"], []),
    "a file emptied": (": > a", ["write a ''"], []),
    "the same size": ("printf 9 > a", ["write a '9'"], []),
    "only permissions": ("chmod 755 a", ["write a '1' 755"], []),
    "bytes and permissions": ("echo new > a; chmod 600 a", ["write a 'new\\n' 600"], []),
    "a copy that is as it was": ("touch a; cat b > c; cat c > b; rm c; chmod 600 a; chmod 644 a", [], []),
    "a file deleted": ("rm a", ["delete a"], []),
    "made and deleted": ("echo n > n; rm n; mkdir m; rmdir m", [], []),
    "a folder deleted": ("rm -r d", ["delete d"], []),
    "a folder emptied": ("rm -r d/*", ["delete d/x", "delete d/e"], []),
    "a folder made again": ("rm -r d; mkdir d; echo 1 > d/n; echo 2 > d/x",
        ["create d/n '1\\n'", "write d/x '2\\n'", "delete d/e"], []),
    "a folder made again inside": ("rm -r d; mkdir -p d/e; echo 1 > d/e/n; printf 4444 > d/e/y",
        ["create d/e/n '1\\n'", "delete d/x", "delete d/e/z"], []),
    "a file renamed": ("mv a n", ["rename a n"], []),
    "a file moved": ("mv a d/a", ["move a d/a"], []),
    "a file moved into a new folder": ("mkdir -p n/m; mv a n/m/a", ["move a n/m/a"], []),
    "a file moved over another": ("mv a b", ["write b '1'", "delete a"], []),
    "a file moved and changed": ("mv b n; echo 1 >> n", ["create n '221\\n'", "delete b"], []),
    "a file moved and made again": ("mv b n; echo 1 > b", ["write b '1\\n'", "create n '22'"], []),
    "two files that change places": ("mv a t; mv b a; mv t b", ["write a '22'", "write b '1'"], []),
    "a file moved, two like it": ("mv b n; cp n m", ["create m '22'", "create n '22'", "delete b"], []),
    "a file moved and made executable": ("mv b n; chmod 755 n", ["create n '22' 755", "delete b"], []),
    "a folder renamed": ("mv d n", ["rename d n"], []),
    "a folder moved": ("mv d w/d", ["move d w/d"], []),
    "a folder renamed and locked": ("mv w n; chmod 700 n", ["create n/one '6'", "delete w"],
        ["the new folder `n` gets the usual permissions, not those that the command set"]),
    "a folder renamed and changed": ("mv d n; echo 1 > n/x",
        ["create n/e/y '4444'", "create n/e/z '55555'", "create n/x '1\\n'", "delete d"], []),
    "a file moved out of a folder that went": ("mv d/x n; rm -r d", ["create n '333'", "delete d"], []),
    "a hard link": ("echo n > n; ln n m", ["create m 'n\\n'", "create n 'n\\n'"], []),
    "a hard link to a file": ("ln b m", ["create m '22'"], []),
    "a link": ("ln -s a n", ["create n 'a' symlink"], []),
    "a link in the place of a file": ("ln -sf b a", ["write a 'b' symlink"], []),
    "a pipe": ("mkfifo p", ["create p '' special"], []),
    "a file that became a folder": ("rm a; mkdir a; echo 1 > a/n",
        ["create a/n '1\\n' conflict", "delete a conflict"], []),
    "a folder that became a file": ("rm -r d; echo 1 > d", ["create d '1\\n' conflict"], []),
    "an empty folder": ("mkdir -p n/m", [], ["the new folder `n/m` is empty: no action makes a folder alone"]),
    "permissions of a folder": ("chmod 700 d", [],
        ["the permissions of the folder `d` were changed, and stay as they were"]),
    "permissions of the whole": ("chmod 700 .", [],
        ["the permissions of the folder `.` were changed, and stay as they were"]),
    "permissions of a new folder": ("mkdir -m 700 n; echo 1 > n/f", ["create n/f '1\\n'"],
        ["the new folder `n` gets the usual permissions, not those that the command set"]),
    "locked files and folders": ("mkdir n; echo 1 > n/f; chmod 000 n/f n; chmod 000 a",
        ["write a '1' 0", "create n/f '1\\n' 0"],
        ["the new folder `n` gets the usual permissions, not those that the command set"]),
    "times": ("touch -d 2001-01-01 a d d/x", [], []),
}  # fmt: skip


@pytest.mark.parametrize(("line", "expected", "left_out"), list(CASES.values()), ids=list(CASES))
def test_a_change_becomes_an_action(stage: Stage, line: str, expected: list[str], left_out: list[str]) -> None:
    write_tree(stage.root, BEFORE)
    changes = stage.after(line)
    assert said(stage, changes.staged) == expected
    assert list(changes.left_out) == left_out
    assert {p: (stage.root / p).read_text() for p in BEFORE} == BEFORE


def test_without_the_verb_move_a_renamed_file_is_a_new_one_and_a_deleted_one(tmp_path: Path) -> None:
    stage = stage_in(tmp_path, verbs=("read", "create", "write", "delete"))
    write_tree(stage.root, BEFORE)
    assert said(stage, stage.after("mv b n").staged) == ["create n '22'", "delete b"]


def test_a_change_is_bound_to_what_the_command_saw(stage: Stage) -> None:
    write_tree(stage.root, BEFORE)
    file, folder = (stage.root / "b").stat(), (stage.root / "d").stat()
    by_path = {change.action.at.path: change for change in stage.after("echo 1 > b; rm -r d; echo n > n").staged}

    written = by_path["b"].base
    assert (written.kind, written.device, written.inode) == ("file", file.st_dev, file.st_ino)
    assert (written.size, written.mtime_ns, written.mode, written.links) == (2, file.st_mtime_ns, 0o644, 1)
    assert written.digest == "sha256:785f3ec7eb32f30b90cd0fcf3657d388b5ff4297f2f9716ff66e9b69c05ddd09"
    deleted = by_path["d"].base
    assert (deleted.kind, deleted.device, deleted.inode) == ("folder", folder.st_dev, folder.st_ino)
    assert (deleted.entries, deleted.size) == (4, 12)
    assert by_path["n"].base == ABSENT
    assert by_path["n"].action.at == Location("grant_1", "n")


def test_names_of_any_bytes_come_back_as_they_are(stage: Stage) -> None:
    (Path(os.fsdecode(os.fsencode(stage.root) + b"/\xff"))).write_text("1")
    changes = stage.after("echo 2 > \"$(printf '\\377')\"; echo n > \"$(printf 'a\\nb\\377')\"")
    assert said(stage, changes.staged) == ["create a\nb\U0010feff 'n\\n'", "write \U0010feff '2\\n'"]


def test_a_link_that_was_there_is_no_change_when_it_is_copied_and_one_deleted_is_refused(stage: Stage) -> None:
    write_tree(stage.root, BEFORE)
    for name in ("copied", "deleted", "replaced"):
        (stage.root / name).symlink_to("a")
    changes = stage.after("touch -h -d 2001-01-01 copied; rm deleted; rm replaced; echo 1 > replaced")
    assert said(stage, changes.staged) == ["write replaced '1\\n' conflict", "delete deleted symlink"]


# What was hidden


def test_a_deleted_folder_with_something_hidden_in_it_stays_and_loses_only_what_was_seen(stage: Stage) -> None:
    write_tree(stage.root, {"d/.env": "secret", "d/a": "1", "d/e/b": "2", "d/f/.env": "secret", "d/f/c": "3"})
    changes = stage.after("rm -r d", hiding("d/.env", "d/f/.env"))
    assert said(stage, changes.staged) == ["delete d/f/c", "delete d/e", "delete d/a"]
    assert list(changes.left_out) == [
        f"the folder `{path}` was deleted and stays: there is something in it that the command could not see"
        for path in ("d/f", "d")
    ]


def test_a_hidden_file_made_anew_is_a_conflict_and_never_a_replacement(stage: Stage) -> None:
    write_tree(stage.root, {".env": "secret", "keys/k": "secret"})
    changes = stage.after(
        "echo mine > .env; mkdir keys; echo mine > keys/k; echo mine > keys/n", hiding(".env", "keys")
    )
    assert said(stage, changes.staged) == [
        "create .env 'mine\\n' conflict",
        "create keys/k 'mine\\n' conflict",
        "create keys/n 'mine\\n'",
    ]
    assert changes.staged[0].base.inode == (stage.root / ".env").stat().st_ino
    assert changes.staged[0].base.digest == ""
    assert changes.staged[2].base == ABSENT


def test_a_folder_in_the_place_of_a_hidden_file_is_a_conflict(stage: Stage) -> None:
    write_tree(stage.root, {".env": "secret"})
    assert said(stage, stage.after("mkdir .env; echo 1 > .env/x", hiding(".env")).staged) == [
        "create .env/x '1\\n' conflict"
    ]


def test_what_was_hidden_and_made_and_deleted_again_is_nothing(stage: Stage) -> None:
    write_tree(stage.root, {".env": "secret", "keys/k": "secret"})
    assert stage.after("echo 1 > .env; rm .env; mkdir keys; rmdir keys", hiding(".env", "keys")) == Changes((), ())


# Somebody else was faster


EDITS: dict[str, tuple[str, str, list[str]]] = {
    "a file that both wrote": ("echo mine > b", "echo theirs > b", ["write b 'mine\\n' conflict"]),
    "a file that both wrote, of the same size": ("printf 33 > b", "printf 44 > b", ["write b '33' conflict"]),
    "a file that was put back in time": ("echo mine > b", "printf 44 > b; touch -d 2001-01-01 b",
        ["write b 'mine\\n' conflict"]),
    "a file that was replaced": ("echo mine > b", "printf 22 > t; mv t b", ["write b 'mine\\n' conflict"]),
    "a file that was removed": ("echo mine > b", "rm b", ["write b 'mine\\n' conflict"]),
    "a file that became a link": ("echo mine > b", "ln -sf a b", ["write b 'mine\\n' conflict"]),
    "a file that became a folder": ("echo mine > b", "rm b; mkdir b", ["write b 'mine\\n' conflict"]),
    "a deleted file that was changed": ("rm b", "echo theirs > b", ["delete b conflict"]),
    "a file that both deleted": ("rm b", "rm b", []),
    "a renamed file that was changed": ("mv b n", "echo theirs > b", ["create n '22'", "delete b conflict"]),
    "a file that both made": ("echo mine > n", "echo theirs > n", ["create n 'mine\\n' conflict"]),
    "a folder that both made": ("mkdir n; echo mine > n/m", "mkdir n; echo theirs > n/t", ["create n/m 'mine\\n'"]),
    "a new folder where they made a file": ("mkdir n; echo mine > n/m", "echo theirs > n",
        ["create n/m 'mine\\n' conflict"]),
    "a deleted folder with a new file": ("rm -r d", "echo theirs > d/e/n", ["delete d conflict"]),
    "a deleted folder with a changed file": ("rm -r d", "echo theirs > d/e/y", ["delete d conflict"]),
    "a deleted folder that another took the place of": ("rm -r d", "mv d gone; mv w d", ["delete d conflict"]),
    "a folder moved into a deleted one": ("rm -r d", "mv w d/w", ["delete d conflict"]),
    "a renamed folder with a new file": ("mv d n", "echo theirs > d/n",
        ["create n/e/y '4444'", "create n/e/z '55555'", "create n/x '333'", "delete d conflict"]),
    "a file in a folder that another took the place of": ("echo mine > d/x", "mv d gone; mkdir d; mv gone/x d/x",
        ["write d/x 'mine\\n' conflict"]),
    "a new file in a folder that is gone": ("echo mine > w/n", "rm -r w", ["create w/n 'mine\\n' conflict"]),
    "a new file in a folder that is a link now": ("echo mine > w/n", "mv w v; ln -s v w",
        ["create w/n 'mine\\n' conflict"]),
    "another file in the same folder": ("echo mine > d/x", "echo theirs > d/n; rm d/e/y", ["write d/x 'mine\\n'"]),
}  # fmt: skip


@pytest.mark.parametrize(("mine", "theirs", "expected"), list(EDITS.values()), ids=list(EDITS))
@pytest.mark.parametrize("order", ["theirs last", "theirs first"])
def test_what_somebody_else_changed_meanwhile_is_a_conflict(
    stage: Stage, mine: str, theirs: str, expected: list[str], order: str
) -> None:
    write_tree(stage.root, BEFORE)
    area = stage.prepare()
    edit = f"cd {stage.root} && {theirs}"
    if order == "theirs last":
        stage.run(area, mine)
        assert os.system(edit) == 0
    else:
        # The command has looked at everything, and they are faster than its own change.
        stage.run(area, f"ls -R > /dev/null; ({edit}); ls -R > /dev/null; {mine} || true")
    staged = stage.changes(area).staged
    if order == "theirs last":
        assert said(stage, staged) == expected
    for change in staged:
        target = stage.root / change.action.at.path
        if change.obstacle is None and not isinstance(change.action, FileCreate):
            assert (target.lstat().st_dev, target.lstat().st_ino) == (change.base.device, change.base.inode)
        if change.obstacle is None and isinstance(change.action, FileCreate):
            assert not target.exists()
        assert change.obstacle is not None or "theirs" not in (target.read_text() if target.is_file() else "")


def test_a_time_equal_to_the_markers_counts_as_later(stage: Stage) -> None:
    write_tree(stage.root, BEFORE)
    area = stage.prepare()
    stage.run(area, "echo mine > b; echo mine > a")
    # As on a kernel whose clock for files ticks in milliseconds, with a change in the very tick of the marker.
    area = msgspec.structs.replace(area, marked_ns=(stage.root / "b").stat().st_ctime_ns)
    assert said(stage, stage.changes(area).staged) == ["write a 'mine\\n'", "write b 'mine\\n' conflict"]


def test_a_pinned_file_that_is_not_what_was_pinned_is_a_conflict(stage: Stage) -> None:
    write_tree(stage.root, {"s.sh": "theirs", "t.sh": "same"})
    area = stage.prepare(pinned={"s.sh": b"approved", "t.sh": b"same"})
    stage.run(area, "chmod 755 s.sh t.sh")
    assert said(stage, stage.changes(area).staged) == ["write s.sh 'approved' 755 conflict", "write t.sh 'same' 755"]


def test_a_pinned_file_that_was_only_read_is_no_change(stage: Stage) -> None:
    write_tree(stage.root, {"s.sh": "echo 1"})
    area = stage.prepare(pinned={"s.sh": b"echo 1"})
    assert stage.run(area, "sh s.sh; touch s.sh") == "1\n"
    assert stage.changes(area) == Changes((), ())


# Bounds


def test_a_large_file_is_refused_by_its_apparent_size_and_not_read(stage: Stage) -> None:
    write_tree(stage.root, {"a": "1"})
    changes = stage.after("truncate -s 1T n; truncate -s 1T a; echo 1 > m")
    assert said(stage, changes.staged) == ["write a '' limit", "create m '1\\n'", "create n '' limit"]
    assert changes.staged[0].obstacle is not None
    assert "1,099,511,627,776 bytes, more than 67,108,864 at once" in changes.staged[0].obstacle.message


@pytest.mark.parametrize(
    "line",
    [
        "seq 10001 | xargs touch",
        "seq 5001 | xargs touch; mkdir n; cd n; seq 5000 | xargs touch",
    ],
)
def test_too_many_changes_are_refused_in_one_sentence(fast_stage: Stage, line: str) -> None:
    with pytest.raises(DomainError, match="the command changed more than 10,000 files") as refused:
        fast_stage.after(line)
    assert refused.value.code == "limit"


def test_too_many_deletions_count_too(fast_stage: Stage) -> None:
    (fast_stage.root / "d").mkdir()
    for number in range(10_001):
        (fast_stage.root / "d" / str(number)).touch()
    with pytest.raises(DomainError, match="the command changed more than 10,000 files"):
        fast_stage.after("cd d; seq 0 10000 | xargs rm")
    assert said(fast_stage, fast_stage.after("rm -r d").staged) == ["delete d"]


def test_too_many_bytes_are_refused_before_any_is_kept(stage: Stage) -> None:
    count = limits.COMMAND_STAGED_BYTES_MAX // limits.READ_BYTES_MAX + 1
    line = f"for n in $(seq {count}); do truncate -s {limits.READ_BYTES_MAX} $n; done"
    with pytest.raises(DomainError, match="the command wrote more than 2,147,483,648 bytes") as refused:
        stage.after(line)
    assert refused.value.code == "limit"


def test_what_has_no_path_is_left_out_and_the_rest_is_not(stage: Stage) -> None:
    line = """echo 1 > n; python3 -c '
import os
for _ in range(300):
    os.mkdir("d"); os.chdir("d")
open("f", "w")
'; mkdir l; cd l; python3 -c '
import os
for _ in range(20):
    os.mkdir("e" * 250); os.chdir("e" * 250)
open("f", "w")
'"""
    changes = stage.after(line)
    assert said(stage, changes.staged) == ["create n '1\\n'"]
    assert list(changes.left_out) == [
        f"what is in `{'/'.join(['d'] * 128)}` has paths that are too long for any action",
        f"what is in `l/{'/'.join(['e' * 250] * 16)}` has paths that are too long for any action",
    ]


def test_sentences_are_counted_where_there_are_too_many(fast_stage: Stage) -> None:
    changes = fast_stage.after("seq 1000 | xargs mkdir")
    assert changes.staged == ()
    assert len(changes.left_out) == limits.COMMAND_LEFT_OUT_MAX + 1
    assert changes.left_out[-1] == "and 900 more of this kind"


def test_an_area_that_is_gone_is_told_in_a_sentence(stage: Stage) -> None:
    area = stage.prepare()
    area.remove()
    with pytest.raises(DomainError, match="what the command changed can't be read") as refused:
        stage.changes(area)
    assert refused.value.code == "damaged"


def test_a_copy_that_stands_for_something_elsewhere_is_not_believed(stage: Stage) -> None:
    write_tree(stage.root, {"a": "1"})
    area = stage.prepare()
    stage.run(area, "echo 1 > n")
    os.setxattr(Path(area.upper) / "n", "user.overlay.metacopy", b"")
    with pytest.raises(DomainError, match="told not to use") as refused:
        stage.changes(area)
    assert refused.value.code == "damaged"
