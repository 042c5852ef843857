"""Retention: what the store let go of, and when. One aggregate for a store.

That bytes go is on record before the first of them does: who misses them later can be told since when, and why.
"""

from datetime import datetime
from typing import ClassVar, Final, TypeAlias, assert_never

import msgspec

from .errors import DomainError
from .event import Event

STORE_STREAM: Final = "store"
"""The one stream of what is kept in a store."""


class CollectionStarted(Event, frozen=True, kw_only=True):
    """From here on the bytes of tasks that had ended at `ended_up_to` or before are no longer kept.

    (None: those of no task.) They would be kept for `keep_days`, and for as long as all is within `bytes_max`. `tasks`
    are those that lose something now. `blobs` (contents), `quarantined` (deleted files and folders), `leftovers` (of
    commands that are over) and `freed_bytes` are what is about to go; `unreferenced` counts the blobs among them that
    belong to nothing on record.
    """

    TOPIC: ClassVar[str] = "store.collection_started.v1"
    ended_up_to: datetime | None = None
    keep_days: int
    bytes_max: int
    tasks: int = 0
    blobs: int = 0
    quarantined: int = 0
    leftovers: int = 0
    freed_bytes: int = 0
    unreferenced: int = 0


class CollectionFinished(Event, frozen=True, kw_only=True):
    """What went, and how many bytes of contents are left.

    `spared` counts what was needed again by then, or could not be removed.
    """

    TOPIC: ClassVar[str] = "store.collection_finished.v1"
    blobs: int = 0
    quarantined: int = 0
    leftovers: int = 0
    freed_bytes: int = 0
    spared: int = 0
    left_bytes: int = 0


StoreEvent: TypeAlias = CollectionStarted | CollectionFinished


class StartCollection(msgspec.Struct, frozen=True):
    """Let go of what is no longer to be kept."""

    started: CollectionStarted


class FinishCollection(msgspec.Struct, frozen=True):
    """Note what went."""

    finished: CollectionFinished


StoreCommand: TypeAlias = StartCollection | FinishCollection


class Kept(msgspec.Struct, frozen=True):
    """Whose bytes are no longer kept, and whether a collection is under way (or was cut off)."""

    ended_up_to: datetime | None = None
    collecting: bool = False


INITIAL: Final = Kept()


def decide(command: StoreCommand, state: Kept) -> tuple[StoreEvent, ...]:
    """Return the events of a command; raises `DomainError` conflict. What a crash cut off is simply started again."""
    match command:
        case StartCollection(started=started):
            return (started,)
        case FinishCollection(finished=finished):
            if not state.collecting:
                raise DomainError("conflict", "nothing is being collected")
            return (finished,)
        case _:
            assert_never(command)


def evolve(state: Kept, event: StoreEvent) -> Kept:
    """Return the state after an event."""
    match event:
        case CollectionStarted(ended_up_to=ended_up_to):
            known = [one for one in (state.ended_up_to, ended_up_to) if one is not None]
            return Kept(max(known, default=None), collecting=True)
        case CollectionFinished():
            return Kept(state.ended_up_to)
        case _:
            assert_never(event)
