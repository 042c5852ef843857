"""The store's own connection, for tests that put obstacles in its way."""

from typing import Any

from cowork.adapters.event_store import SqliteEventStore


def ask(store: SqliteEventStore, pragma: str) -> Any:
    """Run a PRAGMA on the connection that appends and return its value, if it has one."""
    row = store._writer.execute(f"PRAGMA {pragma}").fetchone()  # pyright: ignore[reportPrivateUsage]
    return None if row is None else row[0]
