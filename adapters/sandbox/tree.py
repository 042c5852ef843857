"""Opening what lies beneath a folder by its relative path, component by component and never through a link.

Paths come in the order of a walk: the folders of the last path stay open, so that most look-ups are one call.
"""

import os
import stat
from typing import Final

from .descriptors import DATA, PASSAGE

_UNREACHABLE: Final = (FileNotFoundError, NotADirectoryError)


class Tree:
    """A folder and what is beneath it. To be used as a context; the folder's own descriptor stays the caller's."""

    def __init__(self, root: int) -> None:
        self._root = root
        self._open: list[tuple[bytes, int]] = []

    def __enter__(self) -> "Tree":
        return self

    def __exit__(self, *_exception: object) -> None:
        self._close_to(0)

    def passages(self, path: bytes) -> list[int]:
        """Return descriptors of the folders on the way to the path's last name, the outermost (the root) first.

        They stay the tree's, until the next call. Where the way ends early, so does the list.
        """
        parts = path.split(b"/")[:-1]
        shared = 0
        while shared < min(len(parts), len(self._open)) and self._open[shared][0] == parts[shared]:
            shared += 1
        self._close_to(shared)
        found = [self._root, *(fd for _, fd in self._open)]
        for part in parts[shared:]:
            try:
                fd = os.open(part, PASSAGE, dir_fd=found[-1])
            except _UNREACHABLE:
                break
            self._open.append((part, fd))
            found.append(fd)
        return found

    def parent(self, path: bytes) -> int:
        """Return the descriptor of the folder that the path's last name is in. Raises `FileNotFoundError`."""
        found = self.passages(path)
        if len(found) <= path.count(b"/"):
            raise FileNotFoundError(path)
        return found[-1]

    def status(self, path: bytes) -> os.stat_result:
        """Return the `stat` of what stands at the path, a link as a link. Raises `OSError`."""
        return os.stat(path.rpartition(b"/")[2], dir_fd=self.parent(path), follow_symlinks=False)

    def open_file(self, path: bytes) -> int:
        """Open an ordinary file for reading. Raises `OSError`, `FileNotFoundError` for what is none as well."""
        fd = os.open(path.rpartition(b"/")[2], DATA, dir_fd=self.parent(path))
        if stat.S_ISREG(os.fstat(fd).st_mode):
            return fd
        os.close(fd)
        raise FileNotFoundError(path)

    def link_text(self, path: bytes) -> bytes:
        """Return where a link points."""
        return os.readlink(path.rpartition(b"/")[2], dir_fd=self.parent(path))

    def _close_to(self, count: int) -> None:
        while len(self._open) > count:
            os.close(self._open.pop()[1])
