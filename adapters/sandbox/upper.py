"""The upper layer of an overlay: what a command wrote, and what it deleted, as the kernel notes it down.

A whiteout (a device 0:0) is a deletion; a folder marked opaque has none of what was below it. Everything else is an
entry of its kind: new, or a copy that was made because something about it was changed.
"""

import errno
import os
import stat
from operator import itemgetter
from typing import Final, Literal, TypeAlias

import msgspec

from ...domain.errors import DomainError
from ...domain.path import COMPONENTS_MAX, PATH_BYTES_MAX
from .descriptors import FOLDER, list_folder, opened, set_mode
from .seen import Seen, join

UpperKind: TypeAlias = Literal["file", "folder", "link", "special"]

_OPAQUE: Final = "user.overlay.opaque"
_FOREIGN: Final = frozenset({"user.overlay.redirect", "user.overlay.metacopy"})
"""What this kernel is asked not to use: with it, a name would stand for something that is elsewhere."""


class Written(msgspec.Struct, frozen=True, gc=False):
    """An entry of the upper layer: its permission bits (never the set-id ones) and, of a file, its apparent size.

    `is_empty`: a folder in which the command put nothing.
    """

    path: bytes
    kind: UpperKind
    mode: int
    size: int
    is_empty: bool = False


class Survey(msgspec.Struct, frozen=True):
    """All of an upper layer, in the order of a walk: what was written, and what was removed that could be seen.

    `beyond` are folders in which there is more than any path can name.
    """

    written: list[Written] = msgspec.field(default_factory=list)
    removed: list[bytes] = msgspec.field(default_factory=list)
    beyond: list[bytes] = msgspec.field(default_factory=list)


def survey_upper(upper: int, seen: Seen, *, entries_max: int) -> Survey:
    """Walk an upper layer in which nothing runs any more, reading no file; what is locked is made readable.

    Raises `OSError`; `DomainError` limit for more entries, damaged for what this kernel never writes there.
    """
    surveying = _Surveying(seen, entries_max)
    surveying.folder(upper, b"", os.fstat(upper), covered=False)
    return surveying.result


def require_whole(fd: int) -> None:
    """Raise `DomainError` damaged for an entry that stands for something elsewhere in place of being it."""
    if not _FOREIGN.isdisjoint(os.listxattr(fd)):
        raise DomainError("damaged", "the overlay left something that it was told not to use")


class _Surveying:
    def __init__(self, seen: Seen, entries_max: int) -> None:
        self.result = Survey()
        self._seen = seen
        self._entries_max = entries_max
        self._count = 0

    def folder(self, fd: int, path: bytes, status: os.stat_result, *, covered: bool) -> None:
        """Survey an open folder; `covered` says that nothing of the lower folder is to be seen through it.

        At most COMPONENTS_MAX calls deep: what is deeper has no path.
        """
        covered = _is_opaque(fd) or covered
        entries = sorted(list_folder(fd, most=self._entries_max - self._count + 1), key=itemgetter(0))
        self._count += len(entries)
        if self._count > self._entries_max:
            raise DomainError("limit", f"the command wrote more than {self._entries_max:,} files and folders")
        self._note(path, status, is_empty=not entries)
        if covered and path in self._seen.folders:
            there = {name for name, _ in entries}
            gone = [name for name in self._seen.folders[path].names if name not in there]
            self.result.removed.extend(join(path, name) for name in gone)
        if entries and path and path.count(b"/") + 2 > COMPONENTS_MAX:
            self.result.beyond.append(path)
            return
        for name, inner_status in entries:
            inner = join(path, name)
            if len(inner) <= PATH_BYTES_MAX:
                self._entry(fd, name, inner, inner_status, covered=covered)
            elif self.result.beyond[-1:] != [path]:
                self.result.beyond.append(path)

    def _entry(self, fd: int, name: bytes, path: bytes, status: os.stat_result, *, covered: bool) -> None:
        if stat.S_ISDIR(status.st_mode):
            if status.st_mode & 0o700 != 0o700:
                set_mode(fd, name, 0o700)
            with opened(os.open(name, FOLDER, dir_fd=fd)) as inner:
                self.folder(inner, path, status, covered=covered)
        elif stat.S_ISCHR(status.st_mode) and status.st_rdev == 0:
            if self._seen.is_folder(path) or self._seen.stamp(path) is not None:
                self.result.removed.append(path)
        else:
            if stat.S_ISREG(status.st_mode) and not status.st_mode & 0o400:
                set_mode(fd, name, 0o600)
            self._note(path, status)

    def _note(self, path: bytes, status: os.stat_result, *, is_empty: bool = False) -> None:
        kind = _kind_of(status.st_mode)
        size = status.st_size if kind == "file" else 0
        self.result.written.append(Written(path, kind, status.st_mode & 0o777, size, is_empty))


def _kind_of(mode: int) -> UpperKind:
    if stat.S_ISREG(mode):
        return "file"
    if stat.S_ISDIR(mode):
        return "folder"
    return "link" if stat.S_ISLNK(mode) else "special"


def _is_opaque(fd: int) -> bool:
    require_whole(fd)
    try:
        return os.getxattr(fd, _OPAQUE) == b"y"
    except OSError as error:
        if error.errno == errno.ENODATA:
            return False
        raise
