"""Removing what commands and self tests left that were killed: their areas, where nobody works in them any more."""

import os
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from ...engine.keeping_ports import KeptItem, KeptKind
from .area import area_names, clear

_AREAS: Final = "commands"


class AreaCollector:
    """The Collector port over the areas of commands. What says that nobody works in one is the caller's to know.

    An area is touched when it is made. Nothing in it is worth keeping, so one that is half removed is as good as whole.
    """

    kind: KeptKind = "area"

    def __init__(self, state_dir: Path) -> None:
        self._state_dir = state_dir

    def kept(self) -> Iterator[KeptItem]:
        """Yield all areas there are, under the names of their actions (`self-test-…` for those of self tests)."""
        for name in area_names(self._state_dir):
            with suppress(FileNotFoundError, NotADirectoryError):
                place = self._state_dir / _AREAS / name
                touched_at = datetime.fromtimestamp(place.lstat().st_mtime, UTC)
                yield KeptItem(kind="area", name=name, size=_size(place), touched_at=touched_at)

    def remove(self, item: KeptItem, *, untouched_since: datetime) -> bool:
        """Remove the area. Raises `DomainError` unavailable."""
        try:
            if (self._state_dir / _AREAS / item.name).lstat().st_mtime > untouched_since.timestamp():
                return False
        except FileNotFoundError:
            return False
        clear(self._state_dir, item.name)
        return True


def _size(place: Path) -> int:
    """Return the bytes of all files that can be looked at; a command may have locked folders of its copy."""
    total = 0
    for folder, _, files in os.walk(place):
        for file in files:
            with suppress(OSError):
                total += (Path(folder) / file).lstat().st_size
    return total
