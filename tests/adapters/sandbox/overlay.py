"""A granted folder, an area for it, and shell lines run in a real overlay of the two, as the launcher mounts it."""

import os
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec

from cowork.adapters.blobs.memory import MemoryBlobStore
from cowork.adapters.sandbox.area import Area, prepare
from cowork.adapters.sandbox.changes import Changes, read_changes
from cowork.domain.facts import FileState
from cowork.domain.scope import VERBS, FolderIdentity, FolderScope, Verb

_LINE = """
set -e
cd "$1"
mount -i -n -c -t overlay -o "$2" overlay "$3"
cd "$3"
exec sh -c "$4"
"""

Hides = Callable[[str, FileState], bool]


def hides_nothing(_path: str, _state: FileState) -> bool:
    return False


class NamedSight(msgspec.Struct, frozen=True):
    """A sight that hides what a function says."""

    answer: Hides

    def hides(self, grant_id: str, path: str, state: FileState) -> bool:
        assert grant_id == "grant_1"
        return self.answer(path, state)


def hiding(*paths: str) -> NamedSight:
    return NamedSight(lambda path, _state: path in paths)


class Stage(msgspec.Struct, frozen=True, kw_only=True):
    """A granted folder `root` with a store beside it."""

    place: Path
    verbs: tuple[Verb, ...] = VERBS
    blobs: MemoryBlobStore = msgspec.field(default_factory=MemoryBlobStore)

    @property
    def root(self) -> Path:
        return self.place / "grant"

    @property
    def state(self) -> Path:
        return self.place / "state"

    def folder(self) -> FolderScope:
        status = self.root.stat()
        return FolderScope(
            grant_id="grant_1",
            name="docs",
            root_path=str(self.root),
            verbs=self.verbs,
            identity=FolderIdentity(status.st_dev, status.st_ino),
        )

    @contextmanager
    def held(self) -> Iterator[int]:
        fd = os.open(self.root, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            yield fd
        finally:
            os.close(fd)

    def prepare(
        self,
        sight: NamedSight | None = None,
        *,
        writes: bool = True,
        pinned: Mapping[str, bytes] | None = None,
        name: str = "act_1",
    ) -> Area:
        with self.held() as root:
            return prepare(self.state, name, root, self.folder(), sight or hiding(), writes=writes, pinned=pinned or {})

    def changes(self, area: Area) -> Changes:
        with self.held() as root:
            return read_changes(area, root, self.folder(), self.blobs)

    def run(self, area: Area, line: str, *, writes: bool = True, check: bool = True) -> str:
        """Run a shell line in the overlay; return what it printed."""
        options = f"userxattr,lowerdir={area.mask}:."
        options = f"{options},upperdir={area.upper},workdir={area.work}" if writes else f"ro,{options}"
        done = subprocess.run(
            ["unshare", "-U", "-r", "-m", "sh", "-c", _LINE, "sh", str(self.root), options, area.merged, line],
            capture_output=True,
            check=False,
            env={"PATH": os.environ["PATH"]},
        )
        if check and done.returncode != 0:
            raise AssertionError(f"{line!r} ended with {done.returncode}: {done.stderr.decode(errors='replace')}")
        return done.stdout.decode(errors="surrogateescape")

    def after(self, line: str, sight: NamedSight | None = None) -> Changes:
        """Run a shell line in a fresh area, and return what it changed."""
        area = self.prepare(sight)
        try:
            self.run(area, line)
            return self.changes(area)
        finally:
            area.remove()


def stage_in(place: Path, *, verbs: tuple[Verb, ...] = VERBS) -> Stage:
    stage = Stage(place=place, verbs=verbs)
    stage.root.mkdir()
    stage.state.mkdir()
    return stage


def write_tree(root: Path, files: Mapping[str, str]) -> None:
    """Write files by their relative paths."""
    for path, text in files.items():
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
