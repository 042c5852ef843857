"""The memory of sessions: written to while they are open, destroyed when they end, whoever ended them.

When the log says that a session has ended, its key is destroyed at once, then that goes on record, then what is left is
removed. A process that dies in between leaves that to the next one, which looks when it starts.
"""

from collections.abc import Sequence
from contextlib import suppress

import anyio.to_thread

from ..domain.errors import DomainError
from ..domain.event import Event, Recorded
from ..domain.session import OpenSession, SessionEnded
from ..domain.session_memory import Memory, NoteDestroyed, NoteWritten, stream_of_memory
from . import limits
from .command_handler import MEMORY, SESSION, CommandHandler, StaleRead, order_memory
from .keeping_ports import MemorySize, SessionMemory
from .ports import Guard


class Memories:
    """All sessions' memories. One per process."""

    def __init__(self, handler: CommandHandler, memory: SessionMemory) -> None:
        self._handler = handler
        self._memory = memory
        self._destroyed: set[str] = set()
        self._undestroyed: set[str] = set()
        self._forget_ended()
        handler.listen(self._on_events)
        handler.follow(self._settle_after)

    def of(self, session_id: str) -> "MemoryOfSession":
        """Return the memory of one session, and of no other."""
        return MemoryOfSession(self._handler, self._memory, session_id)

    def on_record(self, session_id: str) -> Memory:
        """Return what the log says about a session's memory: how much there is or was, and whether it is gone."""
        return self._handler.load(stream_of_memory(session_id), MEMORY).state

    async def settle(self) -> None:
        """Put on record which memories were destroyed, and remove what is left of them.

        Raises `DomainError` unavailable where a key can't be destroyed.
        """
        for session_id in sorted(self._undestroyed):
            self._destroyed.add(session_id)
            self._memory.destroy(session_id)
            self._undestroyed.discard(session_id)
        for session_id in sorted(self._destroyed):
            order = order_memory(session_id, NoteDestroyed(session_id))
            await self._handler.execute(order, actor="engine", cause="session end")
            self._memory.clear(session_id)
            self._destroyed.discard(session_id)

    def _forget_ended(self) -> None:
        """Destroy what a process that died had no time for. A session that the log does not know is over as well."""
        for session_id in self._memory.sessions():
            if not isinstance(self._handler.load(session_id, SESSION).state, OpenSession):
                self._destroyed.add(session_id)
                self._destroy(session_id)

    def _on_events(self, events: Sequence[Recorded[Event]]) -> None:
        for recorded in events:
            if isinstance(recorded.event, SessionEnded) and self._destroy(recorded.event.session_id):
                self._destroyed.add(recorded.event.session_id)

    def _destroy(self, session_id: str) -> bool:
        """Destroy a key, or note that it could not be: what was being recorded does not depend on it."""
        try:
            return self._memory.destroy(session_id)
        except DomainError:
            self._undestroyed.add(session_id)
            return False

    async def _settle_after(self, events: Sequence[Recorded[Event]]) -> None:
        if any(isinstance(recorded.event, SessionEnded) for recorded in events):
            # What ended the session is recorded already, and stays so: what fails now is tried again at the next start.
            with suppress(DomainError):
                await self.settle()


class MemoryOfSession:
    """What the agents of one session noted down: names and contents, for as long as the session is open.

    The log learns how many entries there are and how large they are, and nothing else.
    """

    def __init__(self, handler: CommandHandler, memory: SessionMemory, session_id: str) -> None:
        self._handler = handler
        self._memory = memory
        self._session_id = session_id

    async def get(self, name: str) -> bytes | None:
        """Return what was put under the name, None where there is nothing. Raises `DomainError` conflict, damaged."""
        self._open()
        return await anyio.to_thread.run_sync(self._memory.get, self._session_id, name)

    async def names(self) -> list[str]:
        """Return the names of all entries, sorted. Raises `DomainError` conflict, damaged."""
        self._open()
        return await anyio.to_thread.run_sync(self._memory.names, self._session_id)

    async def put(self, name: str, value: bytes) -> MemorySize:
        """Put the value under the name; return how much there is then.

        Raises `DomainError` conflict (the session has ended), not_found (there is none), limit, invalid, damaged or
        unavailable.
        """
        return await self._change(name, value)

    async def delete(self, name: str) -> MemorySize:
        """Remove the entry, if there is one; return how much there is then. Raises `DomainError` as `put`."""
        return await self._change(name, None)

    async def _change(self, name: str, value: bytes | None) -> MemorySize:
        self._open()
        size = await anyio.to_thread.run_sync(self._memory.put, self._session_id, name, value)
        note = order_memory(self._session_id, NoteWritten(self._session_id, size.entries, size.held_bytes))
        for _ in range(limits.COMMAND_RETRIES_MAX):
            try:
                await self._handler.execute(note, actor="engine", cause="memory", guards=(self._open(),))
            except StaleRead:
                continue
            except DomainError:
                if not isinstance(self._handler.load(self._session_id, SESSION).state, OpenSession):
                    # It ended while this was being written: then nothing of it stays, what was just written included.
                    self._memory.destroy(self._session_id)
                    self._memory.clear(self._session_id)
                raise
            return size
        raise DomainError("conflict", f"session `{self._session_id}` is changed too often by others", "try again")

    def _open(self) -> Guard:
        """Return a guard on the session. Raises `DomainError` conflict where it has ended, not_found."""
        session = self._handler.load(self._session_id, SESSION)
        if isinstance(session.state, OpenSession):
            return Guard(self._session_id, session.version)
        if session.version == 0:
            raise DomainError("not_found", f"there is no session `{self._session_id}`", "see `cowork session list`")
        raise DomainError("conflict", f"session `{self._session_id}` has ended, and its memory is gone with it")
