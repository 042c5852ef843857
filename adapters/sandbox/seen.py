"""What a command could see of the granted folder, written down as it was laid before it.

Only with that can its changes be told afterwards from those that somebody else made meanwhile.
"""

from typing import TypeAlias

import msgspec

Stamp: TypeAlias = tuple[int, int]
"""Inode number and time of the last change of any kind (ctime, in nanoseconds) of something that is no folder."""


class SeenFolder(msgspec.Struct, frozen=True):
    """A folder that the command could list: which one it was, its mode, and what was in it (None: a folder again)."""

    inode: int
    mode: int
    names: dict[bytes, Stamp | None]


class Seen(msgspec.Struct, frozen=True):
    """Paths are bytes relative to the granted folder, which is the empty path itself.

    `folders` is empty for a command that can't write. `hidden` are the places that were kept from it, of a folder the
    outermost; `pinned` is `sha256:<hex>` of the frozen copies that it saw instead of the files of that name.
    """

    folders: dict[bytes, SeenFolder]
    hidden: set[bytes]
    pinned: dict[bytes, str]

    def is_folder(self, path: bytes) -> bool:
        """Whether a folder was to be seen there."""
        return path in self.folders

    def stamp(self, path: bytes) -> Stamp | None:
        """Return the stamp of the file or link that was to be seen there, or None."""
        parent, _, name = path.rpartition(b"/")
        folder = self.folders.get(parent)
        return None if folder is None else folder.names.get(name)

    def is_hidden(self, path: bytes) -> bool:
        """Whether the place, or a folder that it is in, was kept from the command."""
        while path:
            if path in self.hidden:
                return True
            path = path.rpartition(b"/")[0]
        return False


def join(folder: bytes, name: bytes) -> bytes:
    """Return the path of a name in a folder (the empty path: the granted folder)."""
    return folder + b"/" + name if folder else name


def above(path: bytes) -> list[bytes]:
    """Return the folders that the path lies in, the granted one (the empty path) first."""
    found = [b""]
    end = path.find(b"/")
    while end >= 0:
        found.append(path[:end])
        end = path.find(b"/", end + 1)
    return found
