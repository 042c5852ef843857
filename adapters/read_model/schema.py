"""The read model's tables in SQLite: made from the projections' definitions, and known again by their digest."""

import hashlib
import sqlite3
from collections.abc import Sequence
from typing import Final

import msgspec
from sqlite_utils import Database

from ...projections.row import ColumnType, Table

APPLICATION_ID: Final = 0x636F776B
"""`cowk`: how a file says that it is a read model, and not somebody else's database."""

PROGRESS: Final = "projection"
"""The table of how far each projection is."""

_PYTHON_TYPES: Final[dict[ColumnType, type]] = {"text": str, "json": str, "integer": int}


def schema_digest(tables: Sequence[Table]) -> str:
    """Return a digest of the definitions: tables made from others have another one, whatever the code version says."""
    shapes = [(t.name, list(t.key.items()), list(t.columns.items()), t.indexes) for t in tables]
    return hashlib.sha256(msgspec.json.encode(shapes)).hexdigest()


def create_progress(connection: sqlite3.Connection) -> None:
    """Make the table `projection` where it is missing. To be called within a transaction."""
    table = Database(connection, execute_plugins=False, recursive_triggers=False).table(PROGRESS)
    table.create({"name": str, "code_version": int, "schema": str, "position": int}, pk="name", if_not_exists=True)


def recreate_tables(connection: sqlite3.Connection, tables: Sequence[Table]) -> None:
    """Drop the tables and make them anew, empty. To be called within a transaction."""
    database = Database(connection, execute_plugins=False, recursive_triggers=False)
    for table in tables:
        connection.execute(f"DROP TABLE IF EXISTS {quoted_name(table.name)}")
        connection.execute(_create_statement(database, table))
        for columns in table.indexes:
            database.table(table.name).create_index(columns)


def _create_statement(database: Database, table: Table) -> str:
    columns = {name: _PYTHON_TYPES[kind] for name, kind in (*table.key.items(), *table.columns.items())}
    statement = database.create_table_sql(table.name, columns, pk=tuple(table.key))
    if len(table.key) == 1:
        return statement
    # Short rows that are read by the first part of their key: kept in the key's order, without a second tree.
    return f"{statement.rstrip().removesuffix(';')} WITHOUT ROWID"


def quoted_name(name: str) -> str:
    """Return a table's or column's name as an identifier of SQL."""
    return '"' + name.replace('"', '""') + '"'


def upsert_statement(table: Table, columns: Sequence[str]) -> str:
    """Return the statement that puts these columns into a row: parameters are the key, then the columns."""
    names = [*map(quoted_name, (*table.key, *columns))]
    key = ", ".join(map(quoted_name, table.key))
    update = ", ".join(f"{name} = excluded.{name}" for name in map(quoted_name, columns))
    marks = ", ".join("?" * len(names))
    change = f"UPDATE SET {update}" if columns else "NOTHING"
    # Every name is one of the projections' own definitions, and quoted; values are parameters. So below.
    insert = f"INSERT INTO {quoted_name(table.name)} ({', '.join(names)}) VALUES ({marks})"  # noqa: S608
    return f"{insert} ON CONFLICT ({key}) DO {change}"


def delete_statement(table: Table) -> str:
    """Return the statement that deletes the row with a key."""
    return f"DELETE FROM {quoted_name(table.name)} WHERE {_equals(tuple(table.key))}"  # noqa: S608


def select_statement(table: Table, where: Sequence[str], order_by: str) -> str:
    """Return the statement that reads rows by equality of columns, ordered by a column, then by key."""
    names = ", ".join(map(quoted_name, (*table.key, *table.columns)))
    order = ", ".join(map(quoted_name, ((order_by,) if order_by else ()) + tuple(table.key)))
    condition = f" WHERE {_equals(where)}" if where else ""
    return f"SELECT {names} FROM {quoted_name(table.name)}{condition} ORDER BY {order}"  # noqa: S608


def _equals(columns: Sequence[str]) -> str:
    return " AND ".join(f"{quoted_name(column)} = ?" for column in columns)
