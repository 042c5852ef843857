"""What a projection says about its tables: their shape as data, and changes to one row at a time."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal, TypeAlias

import msgspec

Scalar: TypeAlias = str | int | None
"""What a column holds. Lists and objects are kept as JSON text, truth as 0 and 1."""

ColumnType: TypeAlias = Literal["text", "integer", "json"]


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """A table: its key, then its other columns, each with its type. Columns that no change has set are NULL.

    Rows are found by key; `indexes` name the other columns by which they are looked up.
    """

    name: str
    key: Mapping[str, ColumnType]
    columns: Mapping[str, ColumnType]
    indexes: tuple[tuple[str, ...], ...] = ()


class Put(msgspec.Struct, frozen=True, gc=False):
    """The row with this key has these values. Columns that are not named stay as they are; a missing row is made."""

    table: str
    key: tuple[Scalar, ...]
    values: Mapping[str, Scalar]


class Delete(msgspec.Struct, frozen=True, gc=False):
    """There is no row with this key."""

    table: str
    key: tuple[Scalar, ...]


RowChange: TypeAlias = Put | Delete
Changes: TypeAlias = tuple[RowChange, ...]

Row: TypeAlias = Mapping[str, object]
"""A row as the read model returns it: every column by name."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_ENCODER: Final = msgspec.json.Encoder(order="deterministic")


def json_text(value: object) -> str:
    """Return the value as JSON text, always the same for the same value."""
    return _ENCODER.encode(value).decode()


def micros(at: datetime) -> int:
    """Return the time as microseconds since 1970 UTC: how every column that ends in `_at`, or is `at`, keeps it."""
    return (at - _EPOCH) // _MICROSECOND


def rfc3339(at: datetime) -> str:
    """Return the time as RFC 3339 in UTC with microseconds and `Z`: sorted as text is sorted by time."""
    return f"{at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='microseconds')}Z"


# Reading a row. The read model returns `object`s; each of these says what the column holds, or fails loudly.


def text_of(row: Row, column: str) -> str:
    """Return a text column; NULL is the empty text."""
    value = row[column]
    if value is None:
        return ""
    if not isinstance(value, str):
        raise TypeError(f"column {column} holds no text")
    return value


def number_of(row: Row, column: str) -> int:
    """Return an integer column; NULL is 0."""
    value = row[column]
    if value is None:
        return 0
    if not isinstance(value, int):
        raise TypeError(f"column {column} holds no integer")
    return value


def time_of(row: Row, column: str) -> str:
    """Return a column of time as RFC 3339; NULL is the empty text."""
    value = row[column]
    return "" if value is None else rfc3339(_EPOCH + number_of(row, column) * _MICROSECOND)


def choice_of(row: Row, column: str, choices: Any) -> Any:
    """Return a text column that holds one of a `Literal`'s values. Raises `msgspec.ValidationError` for another."""
    return msgspec.convert(text_of(row, column), choices)


def texts_of(row: Row, column: str) -> tuple[str, ...]:
    """Return a column that holds a JSON list of texts; NULL is the empty list."""
    value = text_of(row, column)
    return msgspec.json.decode(value, type=tuple[str, ...]) if value else ()


def positions_of(row: Row, *columns: str) -> tuple[int, ...]:
    """Return the event positions in these columns, those that are set, each once and in order."""
    return tuple(sorted({position for position in (number_of(row, column) for column in columns) if position}))
