"""The read model in a SQLite file of its own, which may be deleted at any time: it is made again from the log."""

import logging
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from ...domain.errors import DomainError
from ...projections.row import RowChange, Scalar, Table
from .coalesce import Batch
from .dump import dump_tables
from .lookup import Lookup
from .opening import ForeignFileError, connect, hint_of, is_damage, opening_lock, set_aside
from .schema import (
    create_progress,
    delete_statement,
    recreate_tables,
    schema_digest,
    select_statement,
    upsert_statement,
)

LOCK_WAIT_S: Final = 10.0
_LOG: Final = logging.getLogger(__name__)


class SqliteReadModel:
    """A `ReadModel` (`engine/ports.py`) in WAL mode; several processes may apply to it and read it at once.

    A file that is damaged or is not a read model is set aside (`read.db.set-aside`) and a new one begun; `notices`
    says so, in sentences for a person. Errors of the world are `DomainError` unavailable.
    """

    def __init__(self, path: Path, tables: Mapping[str, Sequence[Table]], *, lock_wait_s: float = LOCK_WAIT_S) -> None:
        self.path = path
        self.notices: list[str] = []
        self._lookup = Lookup(tables)
        self._schemas = {name: schema_digest(tables[name]) for name in tables}
        self._lock_wait_s = lock_wait_s
        self._lock = threading.RLock()
        self._statements: dict[tuple[str, tuple[str, ...]], str] = {}
        # Up to where this object has said that each projection is: what its caller's next changes start from.
        self._told: dict[str, int] = {}
        self._inode = 0
        try:
            self._connection = self._open()
        except (sqlite3.Error, OSError) as error:
            raise self._unavailable(error) from error

    # Opening

    def _open(self) -> sqlite3.Connection:
        with opening_lock(self.path):
            try:
                return self._prepared()
            except ForeignFileError:
                self._set_aside("is not a read model")
            except sqlite3.DatabaseError as error:
                if not is_damage(error):
                    raise
                self._set_aside("is damaged")
            return self._prepared()

    def _prepared(self) -> sqlite3.Connection:
        connection = connect(self.path, self._lock_wait_s)
        with ExitStack() as unless_prepared:
            unless_prepared.callback(connection.close)
            with _transaction(connection):
                create_progress(connection)
                self._make_missing(connection)
            self._inode = self.path.stat().st_ino
            unless_prepared.pop_all()
        return connection

    def _make_missing(self, connection: sqlite3.Connection) -> None:
        """Make anew the tables of each projection that is unknown, differently shaped or incomplete."""
        present = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        known = dict(connection.execute("SELECT name, schema FROM projection"))
        for projection, schema in self._schemas.items():
            tables = self._lookup.of_projection(projection)
            if known.get(projection) != schema or any(table.name not in present for table in tables):
                self._begin_anew(connection, projection, 0)

    def _begin_anew(self, connection: sqlite3.Connection, projection: str, code_version: int) -> None:
        recreate_tables(connection, self._lookup.of_projection(projection))
        connection.execute(
            "INSERT OR REPLACE INTO projection (name, code_version, schema, position) VALUES (?, ?, ?, 0)",
            (projection, code_version, self._schemas[projection]),
        )

    def _set_aside(self, why: str) -> None:
        aside = set_aside(self.path)
        notice = f"`{self.path}` {why}: it was moved to `{aside}`, and is made again from the log"
        self.notices.append(notice)
        _LOG.warning(notice)

    def _start_over(self) -> None:
        """Set the damaged file aside, unless another process has done so, and begin a new one."""
        self._connection.close()
        with opening_lock(self.path):
            if self.path.exists() and self.path.stat().st_ino == self._inode:
                self._set_aside("is damaged")
        self._told.clear()
        self._connection = self._open()

    # The port

    def position(self, projection: str, code_version: int) -> int:
        """Return up to where the projection has been applied; 0, with its tables emptied, for another code version."""
        with self._lock:
            try:
                position = self._position(projection, code_version)
            except (sqlite3.Error, OSError) as error:
                self._recover(error)
                position = 0
            self._told[projection] = position
            return position

    def _position(self, projection: str, code_version: int) -> int:
        self._lookup.of_projection(projection)
        known = self._progress(projection)
        if known is not None and known[0] == code_version:
            return known[1]
        with _transaction(self._connection):
            known = self._progress(projection)
            if known is not None and known[0] == code_version:
                return known[1]
            self._begin_anew(self._connection, projection, code_version)
            return 0

    def _progress(self, projection: str) -> tuple[int, int] | None:
        """Return the code version and position on record, None where the tables have another shape."""
        row = self._connection.execute(
            "SELECT code_version, position, schema FROM projection WHERE name = ?", (projection,)
        ).fetchone()
        return None if row is None or row[2] != self._schemas[projection] else (row[0], row[1])

    def apply(self, projection: str, code_version: int, changes: Sequence[RowChange], position: int) -> None:
        """Apply the changes in order and remember the position, all or nothing.

        Nothing is done where another process has come that far already. Raises `DomainError` conflict where the
        projection was begun anew since `position` was asked: the caller asks again and starts from there.
        """
        self._lookup.of_projection(projection)
        batch = Batch(changes)
        with self._lock:
            try:
                with _transaction(self._connection):
                    self._apply(projection, code_version, batch, position)
            except (sqlite3.Error, OSError) as error:
                self._recover(error)
                raise _begun_anew(projection) from error
            self._told[projection] = max(position, self._told.get(projection, 0))

    def _apply(self, projection: str, code_version: int, batch: Batch, position: int) -> None:
        known = self._progress(projection)
        if known is None or known[0] != code_version or known[1] < self._told.get(projection, 0):
            raise _begun_anew(projection)
        if known[1] >= position:
            return
        for table, keys in batch.deletes.items():
            self._connection.executemany(delete_statement(self._lookup.table(table)), keys)
        for table, puts in batch.puts.items():
            alike: dict[tuple[str, ...], list[tuple[Scalar, ...]]] = {}
            for key, values in puts.items():
                columns = tuple(values)
                parameters = (*key, *values.values())
                if columns in alike:
                    alike[columns].append(parameters)
                else:
                    alike[columns] = [parameters]
            for columns, many in alike.items():
                self._connection.executemany(self._upsert(table, columns), many)
        self._connection.execute("UPDATE projection SET position = ? WHERE name = ?", (position, projection))

    def _upsert(self, table: str, columns: tuple[str, ...]) -> str:
        statement = self._statements.get((table, columns))
        if statement is None:
            shape = self._lookup.table(table)
            self._lookup.check_columns(shape, columns)
            statement = self._statements[table, columns] = upsert_statement(shape, columns)
        return statement

    def reset(self, projection: str) -> None:
        """Empty the projection's tables and set its position to 0."""
        self._lookup.of_projection(projection)
        with self._lock:
            try:
                with _transaction(self._connection):
                    known = self._progress(projection)
                    self._begin_anew(self._connection, projection, 0 if known is None else known[0])
            except (sqlite3.Error, OSError) as error:
                self._recover(error)
            self._told[projection] = 0

    def rows(
        self, table: str, where: Mapping[str, object] | None = None, *, order_by: str = ""
    ) -> list[dict[str, object]]:
        """Return rows as plain values, by equality of the given columns, ordered by a column or by key."""
        shape = self._lookup.table(table)
        wanted = where or {}
        self._lookup.check_columns(shape, [*wanted, *([order_by] if order_by else [])])
        columns = (*shape.key, *shape.columns)
        statement = select_statement(shape, tuple(wanted), order_by)
        with self._lock:
            try:
                found = self._connection.execute(statement, tuple(wanted.values())).fetchall()
            except (sqlite3.Error, OSError) as error:
                self._recover(error)
                raise DomainError(
                    "unavailable", f"`{self.path}` was damaged and is being made again", "try again"
                ) from error
        return [dict(zip(columns, row, strict=True)) for row in found]

    def dump(self) -> bytes:
        """Return all rows as canonical bytes, from one moment: equal for equal rows, however they came about."""
        with self._lock:
            self._connection.execute("BEGIN")
            try:
                return dump_tables(self._lookup.tables.values(), self.rows)
            finally:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._connection.close()

    # Errors

    def _recover(self, error: sqlite3.Error | OSError) -> None:
        """Begin anew where the file is damaged; raise `DomainError` unavailable for anything else."""
        if isinstance(error, sqlite3.DatabaseError) and is_damage(error):
            try:
                self._start_over()
            except (sqlite3.Error, OSError) as again:
                raise self._unavailable(again) from again
            return
        raise self._unavailable(error) from error

    def _unavailable(self, error: sqlite3.Error | OSError) -> DomainError:
        return DomainError("unavailable", f"the read model `{self.path}` can't be used: {error}", hint_of(error))


def _begun_anew(projection: str) -> DomainError:
    return DomainError("conflict", f"projection `{projection}` was begun anew meanwhile", "ask for its position again")


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
