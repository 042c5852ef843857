"""The ports of what the store keeps beside the log: finding and removing it, measuring it, and sessions' memories."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Literal, Protocol, TypeAlias

import msgspec

from ..domain.scope import FolderScope

KeptKind: TypeAlias = Literal["blob", "quarantine", "area"]
"""Contents, deleted files and folders, and the folders that commands worked in."""


class KeptItem(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Something of the engine's own on the disk, its size in bytes, and when it was last put or asked for.

    `name` is a blob's digest, the name in quarantine, or a command's area. `folder` is the granted folder that it lies
    in; it is None for what lies in the store. `going` says that an earlier removal was cut off: it is gone already, and
    takes up room still.
    """

    kind: KeptKind
    name: str
    size: int
    touched_at: datetime
    folder: FolderScope | None = None
    going: bool = False


class Collector(Protocol):
    """Finds and removes what one part of the store keeps. Never touches anything but the engine's own."""

    kind: KeptKind

    def kept(self) -> Iterator[KeptItem]:
        """Yield all there is in the store, in no order."""
        ...

    def remove(self, item: KeptItem, *, untouched_since: datetime) -> bool:
        """Remove it for good, unless it was put or asked for after `untouched_since`; return whether it is gone.

        It goes as a whole: cut off in between, nothing half removed is found under its name. Raises `DomainError`
        unavailable.
        """
        ...


class QuarantineCollector(Collector, Protocol):
    """The one for deleted files and folders, which may lie in granted folders, too."""

    def kept_in_folders(self, deleted: Mapping[str, FolderScope]) -> Iterator[KeptItem]:
        """Yield what lies in granted folders under these names, each with the folder that it was deleted from.

        Nothing else is looked at: another store may keep something in the same folder. A folder that is no longer the
        one that was granted is left out.
        """
        ...


class StorePart(msgspec.Struct, frozen=True, gc=False, kw_only=True, rename="camel"):
    """A part of the store on the disk: its name, how many files it has and how many bytes they have."""

    name: str
    files: int
    size_bytes: int


class StoreSizes(Protocol):
    """Measures the store on its disk."""

    def parts(self) -> tuple[StorePart, ...]:
        """Return every part there is: `log`, `read model`, `contents`, `deleted files`, `memory`, `areas`, `other`."""
        ...


class MemorySize(msgspec.Struct, frozen=True, gc=False):
    """How many entries the memory of a session has, and how many bytes with their names."""

    entries: int = 0
    held_bytes: int = 0


class SessionMemory(Protocol):
    """What the agents of a session note down for one another, until the session ends. Neither names nor contents can
    be read by who has not got the session's key, which is nowhere but in this memory.
    """

    def get(self, session_id: str, name: str) -> bytes | None:
        """Return what was put under the name, None where there is nothing. Raises `DomainError` damaged."""
        ...

    def names(self, session_id: str) -> list[str]:
        """Return the names of all entries, sorted. Raises `DomainError` damaged."""
        ...

    def size(self, session_id: str) -> MemorySize:
        """Return how much there is. Raises `DomainError` damaged."""
        ...

    def put(self, session_id: str, name: str, value: bytes | None) -> MemorySize:
        """Put the value under the name, or remove the entry (None); return how much there is then. Durable on return.

        The first entry makes the session's key. Raises `DomainError` limit (see `limits.py`), invalid (an empty name),
        conflict (it is being destroyed), damaged or unavailable; then nothing is changed.
        """
        ...

    def destroy(self, session_id: str) -> bool:
        """Destroy the session's key, so that nobody can read any of it from here on; return whether there was a key.

        What is left bears the session's name only. Raises `DomainError` unavailable.
        """
        ...

    def clear(self, session_id: str) -> None:
        """Remove what `destroy` left. Raises `DomainError` unavailable."""
        ...

    def sessions(self) -> list[str]:
        """Return the ids of all sessions that have a memory here, or left one."""
        ...
