"""Session memory: what is on record about it. Counts and sizes only; what it says, and how it calls it, never is.

It has a stream of its own beside the session's: writing to it changes nothing of what the session permits, so nothing
that is being decided meanwhile has to be decided again.
"""

from typing import ClassVar, TypeAlias, assert_never

import msgspec

from .errors import DomainError
from .event import Event


def stream_of_memory(session_id: str) -> str:
    """Return the stream of a session's memory."""
    return f"memory-{session_id}"


class MemoryWritten(Event, frozen=True, kw_only=True):
    """The session's memory has this many entries now, of this many bytes with their names."""

    TOPIC: ClassVar[str] = "memory.written.v1"
    session_id: str
    entries: int
    held_bytes: int


class MemoryDestroyed(Event, frozen=True, kw_only=True):
    """The session is over, and so is its memory: the key is destroyed. It last had this many entries and bytes."""

    TOPIC: ClassVar[str] = "memory.destroyed.v1"
    session_id: str
    entries: int
    held_bytes: int


MemoryEvent: TypeAlias = MemoryWritten | MemoryDestroyed


class NoteWritten(msgspec.Struct, frozen=True):
    """Note that the memory was written to."""

    session_id: str
    entries: int
    held_bytes: int


class NoteDestroyed(msgspec.Struct, frozen=True):
    """Note that the memory was destroyed; noted once."""

    session_id: str


MemoryCommand: TypeAlias = NoteWritten | NoteDestroyed


class Memory(msgspec.Struct, frozen=True):
    """How much there is in it, and whether it is gone."""

    entries: int = 0
    held_bytes: int = 0
    destroyed: bool = False


MemoryState: TypeAlias = Memory
INITIAL: MemoryState = Memory()


def decide(command: MemoryCommand, state: MemoryState) -> tuple[MemoryEvent, ...]:
    """Return the events of a command; raises `DomainError` conflict for a memory that was destroyed."""
    match command:
        case NoteWritten(session_id=session_id, entries=entries, held_bytes=size):
            if state.destroyed:
                raise DomainError("conflict", f"the memory of session `{session_id}` is gone: the session has ended")
            return (MemoryWritten(session_id=session_id, entries=entries, held_bytes=size),)
        case NoteDestroyed(session_id=session_id):
            if state.destroyed:
                return ()
            return (MemoryDestroyed(session_id=session_id, entries=state.entries, held_bytes=state.held_bytes),)
        case _:
            assert_never(command)


def evolve(state: MemoryState, event: MemoryEvent) -> MemoryState:
    """Return the state after an event."""
    del state
    match event:
        case MemoryWritten(entries=entries, held_bytes=size):
            return Memory(entries, size)
        case MemoryDestroyed(entries=entries, held_bytes=size):
            return Memory(entries, size, destroyed=True)
        case _:
            assert_never(event)
