"""The granted folder as it is now, after a command has run over it, compared with what the command could see of it."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from operator import itemgetter
from typing import Final

import msgspec

from ...domain.errors import DomainError
from ...domain.facts import ABSENT, FileState
from ...engine.limits import HASH_BYTES_MAX
from .descriptors import FOLDER, digest_of_file, is_same_object, list_folder, opened, state_of
from .seen import Seen, above, join
from .tree import Tree


class Now(msgspec.Struct, frozen=True):
    """What stands at a place. `is_steady`: every folder above it that the command saw is still that folder.

    `is_blocked`: something else than a folder stands where the path needs one, so that nothing can be made there.
    """

    status: os.stat_result | None
    is_steady: bool
    is_blocked: bool

    @property
    def state(self) -> FileState:
        """What the `stat` says, without a digest."""
        return ABSENT if self.status is None else state_of(self.status)


class LowerError(Exception):
    """The operating system refuses to show what stands somewhere in the granted folder."""

    def __init__(self, error: OSError) -> None:
        super().__init__(str(error))
        self.words = (error.strerror or str(error)).lower()


@contextmanager
def _telling() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise LowerError(error) from error


class Lower:
    """The granted folder; everything here raises `LowerError`. `marked_ns` is a moment just before the command ran."""

    def __init__(self, tree: Tree, seen: Seen, marked_ns: int) -> None:
        self._tree = tree
        self._seen = seen
        self._marked_ns: Final = marked_ns

    def look(self, path: bytes) -> Now:
        """Look at a place without opening it."""
        with _telling():
            return self._look(path)

    def _look(self, path: bytes) -> Now:
        folders = above(path)
        found = self._tree.passages(path)
        is_steady = True
        for count, folder in enumerate(folders):
            known = self._seen.folders.get(folder)
            if known is not None and (count >= len(found) or os.fstat(found[count]).st_ino != known.inode):
                is_steady = False
        if len(found) < len(folders):
            name = folders[len(found)].rpartition(b"/")[2]
            return Now(None, is_steady, _exists(found[-1], name))
        try:
            status = os.stat(path.rpartition(b"/")[2], dir_fd=found[-1], follow_symlinks=False)
        except FileNotFoundError:
            return Now(None, is_steady, is_blocked=False)
        return Now(status, is_steady, is_blocked=False)

    def is_as_seen(self, path: bytes, status: os.stat_result) -> bool:
        """Whether what stands there is what the command could see there, unchanged since before it ran."""
        if stat.S_ISDIR(status.st_mode):
            known = self._seen.folders.get(path)
            return known is not None and known.inode == status.st_ino
        stamp = self._seen.stamp(path)
        return stamp == (status.st_ino, status.st_ctime_ns) and status.st_ctime_ns < self._marked_ns

    def digest(self, path: bytes, status: os.stat_result) -> str | None:
        """Return `sha256:<hex>` of a file, None where it changes meanwhile.

        Raises `DomainError` limit for one that is too large to be read.
        """
        if status.st_size > HASH_BYTES_MAX:
            raise DomainError("limit", f"a file of {status.st_size:,} bytes is too large to be compared")
        with _telling():
            try:
                file = self._tree.open_file(path)
            except FileNotFoundError:
                return None
            with opened(file):
                digest = digest_of_file(file)
                now = os.fstat(file)
            return digest if is_same_object(now, status) and now.st_ctime_ns == status.st_ctime_ns else None

    def link_text(self, path: bytes) -> bytes:
        """Return where a link points."""
        with _telling():
            return self._tree.link_text(path)

    def beneath(self, path: bytes) -> Iterator[tuple[bytes, os.stat_result]]:
        """Yield path and `stat` of all that is in a folder the command could see, at any depth, in no order.

        Folders that it could not see are yielded and not entered.
        """
        waiting = [path]
        while waiting:
            for inner, status in self.directly_in(waiting.pop()):
                yield inner, status
                if stat.S_ISDIR(status.st_mode) and self.is_as_seen(inner, status):
                    waiting.append(inner)

    def directly_in(self, path: bytes) -> list[tuple[bytes, os.stat_result]]:
        """Return path and `stat` of what is in a folder, in byte order of the names."""
        with _telling(), opened(os.open(b".", FOLDER, dir_fd=self._tree.parent(join(path, b".")))) as listed:
            return [(join(path, name), status) for name, status in sorted(list_folder(listed), key=itemgetter(0))]


def _exists(folder: int, name: bytes) -> bool:
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True
