"""The library's SQLite classes with our file: declared positions, append-only tables, writers that lock at once.

Nothing here reads the process's environment: a variable in somebody's shell does not change the store.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

from eventsourcing.persistence import Mapper, Transcoder
from eventsourcing.sqlite import (
    SQLiteApplicationRecorder,
    SQLiteConnection,
    SQLiteConnectionPool,
    SQLiteCursor,
    SQLiteDatastore,
    SQLiteFactory,
    SQLiteTransaction,
)
from eventsourcing.utils import Environment

from .mapper import EventMapper
from .schema import EVENTS_TABLE, STATEMENTS

_BUSY_WAIT_S: Final = 5.0
"""How long a connection waits for a lock. The store's own writer does not: it waits in the event loop."""


class ImmediateTransaction(SQLiteTransaction):
    """A transaction that takes the write lock at its beginning, so that it can't fail half way for want of it."""

    def __enter__(self) -> SQLiteCursor:
        cursor = self.connection.cursor()
        cursor.execute("BEGIN IMMEDIATE" if self.commit else "BEGIN")
        return cursor


class EventConnection(SQLiteConnection):
    """A connection to the store's file."""

    @property
    def raw(self) -> sqlite3.Connection:
        """The driver's connection."""
        return self._sqlite_conn

    @contextmanager
    def transaction(self, *, commit: bool) -> Iterator[SQLiteCursor]:
        """Run a transaction; one that is going to commit locks at once."""
        with ImmediateTransaction(self, commit=commit) as cursor, cursor:
            yield cursor


class EventConnectionPool(SQLiteConnectionPool):
    """Opens the store's file, and never makes one."""

    def _create_connection(self) -> EventConnection:
        connection = sqlite3.connect(
            self.db_name, uri=True, timeout=_BUSY_WAIT_S, isolation_level=None, check_same_thread=False
        )
        with ExitStack() as unless_opened:
            unless_opened.callback(connection.close)
            connection.row_factory = sqlite3.Row
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA trusted_schema = OFF")
            # Without this a REPLACE would delete rows and fire no trigger.
            connection.execute("PRAGMA recursive_triggers = ON")
            unless_opened.pop_all()
        return EventConnection(connection, self.max_age)


class EventDatastore(SQLiteDatastore):
    """The file at `path`."""

    def __init__(self, uri: str) -> None:
        super().__init__(uri, originator_id_type="text")
        self.pool: EventConnectionPool = EventConnectionPool(db_name=uri)

    def connect(self) -> sqlite3.Connection:
        """Return a connection of the pool, which closes it in the end. Its rows are tuples."""
        connection = self.pool.get_connection()
        assert isinstance(connection, EventConnection)
        connection.raw.row_factory = None
        return connection.raw


class EventRecorder(SQLiteApplicationRecorder):
    """The library's view of the table, for its own tools: same columns, with a declared position."""

    def __init__(self, datastore: SQLiteDatastore, events_table_name: str = EVENTS_TABLE) -> None:
        super().__init__(datastore, events_table_name)
        self.insert_events_statement = (
            f"INSERT INTO {EVENTS_TABLE} (originator_id, originator_version, topic, state) VALUES (?, ?, ?, ?)"  # noqa: S608
        )

    def construct_create_table_statements(self) -> list[str]:
        """Return the statements that make the table and its triggers."""
        return list(STATEMENTS)


class EventStoreFactory(SQLiteFactory):
    """The library's factory for our file. Of its environment it reads `SQLITE_DBNAME`, a URI; all else is fixed."""

    application_recorder_class = EventRecorder

    def __init__(self, env: Environment | dict[str, str] | None) -> None:
        super().__init__(env)
        uri = self.datastore.pool.db_name
        self.datastore.close()
        self.datastore: EventDatastore = EventDatastore(uri)

    def mapper(self, transcoder: Transcoder | None = None, mapper_class: type[Mapper[Any]] | None = None) -> Any:  # noqa: ARG002 the library's
        """Return our mapper, whatever was asked for."""
        return EventMapper()


def factory_of(path: Path, *, read_only: bool) -> EventStoreFactory:
    """Return a factory for an existing file."""
    uri = f"{path.absolute().as_uri()}?mode={'ro' if read_only else 'rw'}"
    return EventStoreFactory(Environment("cowork", {"SQLITE_DBNAME": uri, "CREATE_TABLE": "no"}))
