"""Inode numbers as they were on the disk that a folder is a copy of.

A power cut takes no inode number away, and the engine knows files and folders again by theirs. A copy of a disk has
others: this process is told the old ones instead.
"""

import os
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any, Final, Self

_EXTRA: Final = ("st_atime", "st_mtime", "st_ctime", "st_atime_ns", "st_mtime_ns", "st_ctime_ns")
_MORE: Final = ("st_blksize", "st_blocks", "st_rdev")


class _Entry:
    """An entry of a folder; only what `stat` says of it is another."""

    def __init__(self, entry: "os.DirEntry[Any]", numbers: Mapping[int, int]) -> None:
        self._entry = entry
        self._numbers = numbers
        self.name = entry.name
        self.path = entry.path
        self.is_dir = entry.is_dir
        self.is_file = entry.is_file
        self.is_symlink = entry.is_symlink

    def __fspath__(self) -> Any:
        return self._entry.path

    def inode(self) -> int:
        """Return the number."""
        return self._numbers.get(self._entry.inode(), self._entry.inode())

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
        """Return what `stat` says."""
        return _as_before(self._entry.stat(follow_symlinks=follow_symlinks), self._numbers)


class _Entries:
    """The entries of a folder, as `os.scandir` gives them."""

    def __init__(self, entries: Any, numbers: Mapping[int, int]) -> None:
        self._entries = entries
        self._numbers = numbers

    def __iter__(self) -> Iterator[_Entry]:
        return self

    def __next__(self) -> _Entry:
        return _Entry(next(self._entries), self._numbers)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the folder."""
        self._entries.close()


def _as_before(status: os.stat_result, numbers: Mapping[int, int]) -> os.stat_result:
    number = numbers.get(status.st_ino)
    if number is None:
        return status
    fields = (status.st_mode, number, *tuple(status)[2:])
    return os.stat_result(fields, {name: getattr(status, name) for name in (*_EXTRA, *_MORE)})


def pretend(numbers: Mapping[int, int]) -> None:
    """Let this process see the given numbers (by those that there are) from now on."""
    stat, lstat, fstat, scandir = os.stat, os.lstat, os.fstat, os.scandir

    def as_before(of: Any) -> Any:
        def told(*arguments: Any, **options: Any) -> os.stat_result:
            return _as_before(of(*arguments, **options), numbers)

        return told

    def entries_as_before(path: Any = ".") -> Any:
        return _Entries(scandir(path), numbers)

    patched: Any = os
    patched.stat, patched.lstat, patched.fstat = as_before(stat), as_before(lstat), as_before(fstat)
    patched.scandir = entries_as_before
