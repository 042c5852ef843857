"""The entries of a session's memory as values, and how many there may be."""

from typing import TypeAlias

from ...domain.errors import DomainError
from ...engine import limits
from ...engine.keeping_ports import MemorySize

Entries: TypeAlias = dict[str, bytes]


def size_of(entries: Entries) -> MemorySize:
    """Return how many entries there are and how many bytes they have with their names."""
    return MemorySize(len(entries), sum(len(name.encode()) + len(value) for name, value in entries.items()))


def changed(entries: Entries, name: str, value: bytes | None) -> Entries:
    """Return the entries with one put or (None) removed. Raises `DomainError` invalid or limit.

    What is refused is not repeated in the sentence: nobody but the session is to learn of it.
    """
    try:
        length = len(name.encode())
    except UnicodeEncodeError:
        raise DomainError("invalid", "the name of an entry of a session's memory is no text") from None
    if not name:
        raise DomainError("invalid", "an entry of a session's memory needs a name")
    if length > limits.MEMORY_NAME_BYTES_MAX:
        raise DomainError("limit", f"the name of an entry has at most {limits.MEMORY_NAME_BYTES_MAX} bytes")
    after = {key: kept for key, kept in entries.items() if key != name}
    if value is None:
        return after
    after[name] = value
    if len(after) > limits.MEMORY_ENTRIES_MAX:
        raise DomainError("limit", f"a session's memory has at most {limits.MEMORY_ENTRIES_MAX} entries")
    if size_of(after).held_bytes > limits.MEMORY_BYTES_MAX:
        raise DomainError("limit", f"a session's memory has at most {limits.MEMORY_BYTES_MAX} bytes in all")
    return after
