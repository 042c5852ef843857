"""Whatever a command does: its changes, carried out one by one, come to what it did, but for what they say they leave.

Random trees, and random sequences of real operations done in a real overlay; beside it the same operations done on a
plain copy.
"""

import os
import re
import shlex
import shutil
import stat
import subprocess
import tempfile
from pathlib import Path

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from cowork.domain.action import FileCreate, FileDelete, FileMove, FileRename, FileWrite
from cowork.domain.facts import FileState
from cowork.domain.path import name_of_text
from cowork.engine.ports import StagedChange
from tests.adapters.sandbox.overlay import NamedSight, Stage, stage_in

NAMES = ("a", "b", "c")
TEXTS = ("", "1\n", "22\n", "22\n", "a longer text\n", "another one\n")
MODES = ("644", "600", "755", "444")
UMASK = 0o022
IN_MEMORY = "/dev/shm"
"""The rules are the same there, and nobody waits for a disk."""


class Case(msgspec.Struct, frozen=True):
    """A tree, what of it is hidden (in the tests that hide), and what a command does."""

    tree: dict[str, str]
    hidden: set[str]
    operations: list[str]


def cases(operations_max: int = 8) -> st.SearchStrategy[Case]:
    paths: st.SearchStrategy[str] = st.lists(st.sampled_from(NAMES), min_size=1, max_size=3).map("/".join)
    trees: st.SearchStrategy[dict[str, str]] = st.dictionaries(paths, st.sampled_from(TEXTS), min_size=1, max_size=8)

    def with_operations(tree: dict[str, str]) -> st.SearchStrategy[Case]:
        # What is there is what most operations are about: a path that leads nowhere tells nothing.
        there = {path for file in tree for path in (file, *_folders_of(file))}
        places = st.one_of(st.sampled_from(sorted(there)), st.sampled_from(sorted(there)), paths)
        hidden = st.sets(st.sampled_from(sorted(there)), min_size=1, max_size=3)
        return st.builds(
            Case, st.just(tree), hidden, st.lists(_operations(places), min_size=1, max_size=operations_max)
        )

    return trees.flatmap(with_operations)


def _folders_of(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts))]


def _operations(paths: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    text = st.sampled_from(TEXTS).map(lambda t: shlex.quote(t.replace("\n", "\\n")))
    return st.one_of(
        st.builds(lambda p, t: f"printf {t} > {p}", paths, text),
        st.builds(lambda p, t: f"printf {t} >> {p}", paths, text),
        st.builds(lambda p, t: f"mkdir -p $(dirname {p}); printf {t} > {p}", paths, text),
        st.builds(lambda p, n: f"truncate -c -s {n} {p}", paths, st.integers(0, 9)),
        st.builds(lambda p: f"mkdir -p {p}", paths),
        st.builds(lambda p, n, t: f"rm -rf {p}; mkdir {p}; printf {t} > {p}/{n}", paths, st.sampled_from(NAMES), text),
        st.builds(lambda p, n: f"rm -rf {p}; mkdir -p {p}/{n}", paths, st.sampled_from(NAMES)),
        st.builds(lambda p: f"rm {p}", paths),
        st.builds(lambda p: f"rm -rf {p}", paths),
        st.builds(lambda p: f"rmdir {p}", paths),
        st.builds(lambda p, q: f"mv -T {p} {q}", paths, paths),
        st.builds(lambda p, q: f"mv {p} {q}", paths, paths),
        st.builds(lambda p, q: f"cp -rT {p} {q}", paths, paths),
        st.builds(lambda p, q: f"ln {p} {q}", paths, paths),
        st.builds(lambda p, q: f"ln -s {p} {q}", st.sampled_from(NAMES), paths),
        st.builds(lambda p, m: f"test -f {p} && test ! -L {p} && chmod {m} {p}", paths, st.sampled_from(MODES)),
        st.builds(lambda p: f"test -e {p} && touch -d 2001-01-01 {p}", paths),
    )


def grow(root: Path, tree: dict[str, str]) -> None:
    """Make the files of a tree; one whose place is taken is left away."""
    for path, text in sorted(tree.items()):
        target = root / path
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)
        except OSError:
            continue


def picture(root: Path) -> dict[str, str]:
    """Return what is in a tree: kind, permissions and bytes by path."""
    found: dict[str, str] = {}
    for place, folders, files in os.walk(root):
        for name in (*folders, *files):
            path = os.path.join(place, name)
            status = os.lstat(path)
            if stat.S_ISLNK(status.st_mode):
                shown = f"link {os.readlink(path)}"
            elif stat.S_ISDIR(status.st_mode):
                shown = "folder"
            else:
                shown = f"{stat.S_IMODE(status.st_mode):o} {Path(path).read_text()!r}"
            found[os.path.relpath(path, root)] = shown
    return found


def is_as_based(root: Path, path: str, base: FileState) -> bool:
    """Whether what stands at the path is what a change is based on."""
    try:
        status = os.lstat(os.fsencode(root) + b"/" + name_of_text(path))
    except (FileNotFoundError, NotADirectoryError):
        return base.kind == "absent"
    if base.kind == "folder":
        entries = sum(len(folders) + len(files) for _, folders, files in os.walk(root / path))
        return (base.device, base.inode, base.entries) == (status.st_dev, status.st_ino, entries)
    return (base.device, base.inode, base.size) == (status.st_dev, status.st_ino, status.st_size)


def carry_out(stage: Stage, change: StagedChange) -> None:
    """Do one change on the granted folder, the way the file executor does, each bound to what it is based on."""
    action = change.action
    assert change.obstacle is None
    assert is_as_based(stage.root, action.at.path, change.base), change
    target = stage.root / action.at.path
    match action:
        case FileCreate(content=content, mode=mode):
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("xb") as file:
                file.write(stage.blobs.get(content.digest))
            target.chmod((0o666 if mode is None else mode) & ~UMASK)
        case FileWrite(content=content, mode=mode):
            was = target.stat().st_mode & 0o777
            target.unlink()
            target.write_bytes(stage.blobs.get(content.digest))
            target.chmod(was if mode is None else mode)
        case FileDelete():
            shutil.rmtree(target) if target.is_dir() else target.unlink()
        case FileRename(to=to) | FileMove(to=to):
            goal = stage.root / to.path
            assert not os.path.lexists(goal)
            goal.parent.mkdir(parents=True, exist_ok=True)
            target.rename(goal)
        case other:
            raise AssertionError(other)


def is_excused(path: str, pair: tuple[str | None, str | None], excused: set[str]) -> bool:
    """Whether the path, or one above it, is said to be left out, or it is a folder with nothing else in it."""
    if _is_beneath(path, excused):
        return True
    return set(pair) == {None, "folder"} and any(_is_beneath(other, {path}) for other in excused)


def told(staged: tuple[StagedChange, ...], left_out: tuple[str, ...]) -> set[str]:
    """Return the paths at which a command's change is refused or left out, as the sentences name them."""
    named = [found[1] for sentence in left_out if "permissions" not in sentence and (found := _NAMED.search(sentence))]
    return {change.action.at.path for change in staged if change.obstacle is not None} | set(named)


_NAMED = re.compile("`([^`]*)`")


@settings(max_examples=120)
@given(case=cases())
def test_the_changes_come_to_what_the_command_did(case: Case) -> None:
    line = "\n".join(f"({operation}) 2>/dev/null" for operation in case.operations) + "\ntrue"
    with tempfile.TemporaryDirectory(dir=IN_MEMORY) as place:
        stage = stage_in(Path(place))
        grow(stage.root, case.tree)
        plain = stage.place / "plain"
        subprocess.run(["cp", "-a", stage.root, plain], check=True)
        before = picture(stage.root)

        changes = stage.after(line)
        assert picture(stage.root) == before
        # In a user namespace too, as its root: no permission stops the one and lets the other through.
        beside = ["unshare", "-U", "-r", "sh", "-c", line]
        subprocess.run(beside, cwd=plain, check=True, env={"PATH": os.environ["PATH"]})
        for change in changes.staged:
            if change.obstacle is None:
                carry_out(stage, change)

        excused = told(changes.staged, changes.left_out)
        mine, theirs = picture(stage.root), picture(plain)
        unlike = {path: (mine.get(path), theirs.get(path)) for path in mine.keys() | theirs.keys()}
        unlike = {
            path: pair for path, pair in unlike.items() if pair[0] != pair[1] and not is_excused(path, pair, excused)
        }
        assert unlike == {}, changes


@settings(max_examples=60)
@given(case=cases(operations_max=5))
def test_what_is_hidden_is_never_shown_nor_touched(case: Case) -> None:
    line = "\n".join(f"({operation}) 2>/dev/null" for operation in case.operations)
    hidden = case.hidden
    with tempfile.TemporaryDirectory(dir=IN_MEMORY) as place:
        stage = stage_in(Path(place))
        grow(
            stage.root,
            {path: f"SECRET {text}" if _is_beneath(path, hidden) else text for path, text in case.tree.items()},
        )
        before = {path: shown for path, shown in picture(stage.root).items() if _is_beneath(path, hidden)}
        area = stage.prepare(NamedSight(lambda path, _state: path in hidden))
        shown = stage.run(area, f"find . -type f -exec cat {{}} +; {line}\ntrue")
        assert "SECRET" not in shown

        changes = stage.changes(area)
        for change in changes.staged:
            if change.obstacle is None:
                carry_out(stage, change)

        after = picture(stage.root)
        assert {path: after.get(path) for path in before} == before


def _is_beneath(path: str, folders: set[str]) -> bool:
    return any(path == folder or path.startswith(f"{folder}/") for folder in folders)
