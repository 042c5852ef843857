"""The event log: in one SQLite file, and its twin in memory. The only folder that imports `eventsourcing`.

`open_sqlite_store(path) -> SqliteEventStore` opens or makes a store; `read_only=True` for commands that only look.
`MemoryEventStore()` keeps the same rows in a list, with `fail_next` for faults on request. Both are `EventStore`s of
`engine/ports.py` and pass `tests/contract/test_event_store.py`.
"""

from .memory import MemoryEventStore
from .sqlite_store import SqliteEventStore, open_sqlite_store

__all__ = ["MemoryEventStore", "SqliteEventStore", "open_sqlite_store"]
