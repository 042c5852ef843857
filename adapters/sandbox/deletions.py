"""What a command deleted, as deletions that take away nothing but what it could see."""

import os
import stat

import msgspec

from ...domain.errors import DomainError
from ...domain.facts import ABSENT, FileState, Obstacle
from ...domain.path import text_of_name
from . import obstacles
from .descriptors import state_of
from .lower import Lower, LowerError, Now
from .seen import Seen


class Deletion(msgspec.Struct, frozen=True):
    """Something that is to go: its path, what stands there, and why it can't go whatever policy says."""

    path: bytes
    base: FileState
    obstacle: Obstacle | None = None


class _Contents(msgspec.Struct):
    """What is in a folder now, at any depth: entries, bytes of files; whether all was seen, and is as it was."""

    entries: int = 0
    size: int = 0
    is_seen: bool = True
    is_steady: bool = True


class Deleting:
    """Turns removed paths into deletions, one by one; `left_out` takes a sentence for each folder that stays."""

    def __init__(self, lower: Lower, seen: Seen, left_out: list[str]) -> None:
        self._lower = lower
        self._seen = seen
        self._left_out = left_out

    def delete(self, path: bytes) -> list[Deletion]:
        """Return what the removal of a path comes to; nothing where somebody else has removed it already.

        A folder goes as one, if the command could see all that is in it; else what it could see goes, and the folder
        stays.
        """
        try:
            now = self._lower.look(path)
            if now.status is None:
                return []
            if self._seen.is_folder(path):
                return self._folder(path, now, now.status)
            return [self._file(path, now, now.status)]
        except LowerError as error:
            return [Deletion(path, ABSENT, obstacles.unusable(path, error.words))]

    def _file(self, path: bytes, now: Now, status: os.stat_result) -> Deletion:
        state = now.state
        if not now.is_steady or not self._lower.is_as_seen(path, status):
            return Deletion(path, state, obstacles.changed(path))
        if stat.S_ISLNK(status.st_mode):
            return Deletion(path, state, obstacles.link(path))
        try:
            digest = self._lower.digest(path, status)
        except DomainError as error:
            return Deletion(path, state, Obstacle("limit", error.message))
        if digest is None or self._seen.pinned.get(path, digest) != digest:
            return Deletion(path, state, obstacles.changed(path))
        return Deletion(path, msgspec.structs.replace(state, digest=digest))

    def _folder(self, path: bytes, now: Now, status: os.stat_result) -> list[Deletion]:
        """Calls itself for the folders in one that stays: no deeper than the mask's walk went."""
        if not now.is_steady or not self._lower.is_as_seen(path, status):
            return [Deletion(path, now.state, obstacles.changed(path))]
        contents = self._contents(path)
        if contents.is_seen:
            base = msgspec.structs.replace(state_of(status), size=contents.size, entries=contents.entries)
            return [Deletion(path, base, None if contents.is_steady else obstacles.folder_changed(path))]
        self._left_out.append(
            f"the folder `{text_of_name(path)}` was deleted and stays: there is something in it that the command could"
            " not see"
        )
        found: list[Deletion] = []
        for inner, inner_status in self._lower.directly_in(path):
            if self._seen.is_hidden(inner):
                continue
            if not self._lower.is_as_seen(inner, inner_status):
                found.append(Deletion(inner, state_of(inner_status), obstacles.changed(inner)))
            else:
                found.extend(self.delete(inner))
        return found

    def _contents(self, path: bytes) -> _Contents:
        contents = _Contents()
        for inner, status in self._lower.beneath(path):
            contents.entries += 1
            if stat.S_ISREG(status.st_mode):
                contents.size += status.st_size
            if self._lower.is_as_seen(inner, status):
                continue
            if self._seen.is_hidden(inner):
                contents.is_seen = False
            else:
                contents.is_steady = False
        return contents
