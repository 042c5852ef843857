"""Sessions' memories that go with the process, for tests and for engines that leave nothing behind."""

from ...engine.keeping_ports import MemorySize
from .bounds import Entries, changed, size_of


class VolatileSessionMemory:
    """The SessionMemory port without a disk."""

    def __init__(self) -> None:
        self._entries: dict[str, Entries] = {}
        self._left: set[str] = set()

    def get(self, session_id: str, name: str) -> bytes | None:
        """Return what was put under the name, None where there is nothing."""
        return self._entries.get(session_id, {}).get(name)

    def names(self, session_id: str) -> list[str]:
        """Return the names of all entries, sorted."""
        return sorted(self._entries.get(session_id, {}))

    def size(self, session_id: str) -> MemorySize:
        """Return how much there is."""
        return size_of(self._entries.get(session_id, {}))

    def put(self, session_id: str, name: str, value: bytes | None) -> MemorySize:
        """Put or remove an entry; return how much there is then. Raises `DomainError` invalid or limit."""
        entries = changed(self._entries.get(session_id, {}), name, value)
        self._entries[session_id] = entries
        return size_of(entries)

    def destroy(self, session_id: str) -> bool:
        """Forget everything; return whether there was anything to forget."""
        if self._entries.pop(session_id, None) is None:
            return False
        self._left.add(session_id)
        return True

    def clear(self, session_id: str) -> None:
        """Forget that there was something."""
        self._left.discard(session_id)

    def sessions(self) -> list[str]:
        """Return the ids of all sessions that have a memory here, or left one."""
        return sorted({*self._entries, *self._left})
