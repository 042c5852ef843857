"""A canonical copy of all tables as bytes: the same rows give the same bytes, whoever keeps them and since when."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

import msgspec

from ...projections.row import Table

_ENCODER: Final = msgspec.json.Encoder()


def dump_tables(tables: Iterable[Table], rows_of: Callable[[str], Sequence[Mapping[str, object]]]) -> bytes:
    """Return one line of JSON a row: the table's name, then the row's columns; tables by name, rows by key.

    `rows_of` returns a table's rows ordered by key. Where a projection stands is not part of it.
    """
    return b"".join(
        _ENCODER.encode([table.name, *(row[column] for column in (*table.key, *table.columns))]) + b"\n"
        for table in sorted(tables, key=lambda table: table.name)
        for row in rows_of(table.name)
    )
