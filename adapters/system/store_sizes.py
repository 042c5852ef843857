"""How large a store is on its disk, part by part."""

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

from ...engine.keeping_ports import StorePart

_PARTS: Final = {
    "events.db": "log",
    "events.db-wal": "log",
    "events.db-shm": "log",
    "read.db": "read model",
    "read.db-wal": "read model",
    "read.db-shm": "read model",
    "blobs": "contents",
    "quarantine": "deleted files",
    "memory": "memory",
    "commands": "areas",
}
_OTHER: Final = "other"


class FolderSizes:
    """The StoreSizes port over the store's folder. Sizes are those of the files' contents, not of their blocks."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def parts(self) -> tuple[StorePart, ...]:
        """Return every part, those that are empty too. What goes away while it is measured does not count."""
        sizes: dict[str, tuple[int, int]] = dict.fromkeys((*_PARTS.values(), _OTHER), (0, 0))
        for entry in os.scandir(self._folder):
            part = _PARTS.get(entry.name, _OTHER)
            files, size = _measured(entry)
            sizes[part] = (sizes[part][0] + files, sizes[part][1] + size)
        return tuple(StorePart(name=name, files=files, size_bytes=size) for name, (files, size) in sizes.items())


def _measured(entry: os.DirEntry[str]) -> tuple[int, int]:
    """Return how many files there are in a file or folder, and how many bytes."""
    count = total = 0
    if not entry.is_dir(follow_symlinks=False):
        with suppress(FileNotFoundError):
            return 1, entry.stat(follow_symlinks=False).st_size
        return 0, 0
    for folder, _, files in os.walk(entry.path):
        for file in files:
            with suppress(OSError):
                total += os.lstat(os.path.join(folder, file)).st_size
                count += 1
    return count, total
