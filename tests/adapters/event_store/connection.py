"""The store's own connection, for tests that put obstacles in its way."""

import sqlite3
from collections.abc import Sequence
from typing import Any, cast

from cowork.adapters.event_store import SqliteEventStore


def ask(store: SqliteEventStore, pragma: str) -> Any:
    """Run a PRAGMA on the connection that appends and return its value, if it has one."""
    row = store._writer.execute(f"PRAGMA {pragma}").fetchone()  # pyright: ignore[reportPrivateUsage]
    return None if row is None else row[0]


class Interrupted:
    """A connection on which a person presses Ctrl-C once, just before or just after a COMMIT."""

    def __init__(self, connection: sqlite3.Connection, *, before: bool) -> None:
        self._connection = connection
        self._before = before
        self._is_armed = True

    @property
    def in_transaction(self) -> bool:
        """As the connection says."""
        return self._connection.in_transaction

    def execute(self, statement: str, parameters: Sequence[object] = ()) -> sqlite3.Cursor:
        """Run the statement, with the interrupt where it is due."""
        is_due = self._is_armed and statement == "COMMIT"
        if is_due:
            self._is_armed = False
            if self._before:
                raise KeyboardInterrupt
        cursor = self._connection.execute(statement, cast(Any, parameters))
        if is_due:
            raise KeyboardInterrupt
        return cursor

    def executemany(self, statement: str, rows: Sequence[Sequence[object]]) -> sqlite3.Cursor:
        """Run the statement."""
        return self._connection.executemany(statement, cast(Any, rows))


def interrupt(store: SqliteEventStore, *, before_commit: bool) -> None:
    """Let the store's next commit be interrupted."""
    connection = store._writer  # pyright: ignore[reportPrivateUsage]
    store._writer = cast(Any, Interrupted(connection, before=before_commit))  # pyright: ignore[reportPrivateUsage]
