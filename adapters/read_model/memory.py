"""The read model in dictionaries: for simulations, and as the yardstick for the one that lasts."""

from collections.abc import Mapping, Sequence

from ...domain.errors import DomainError
from ...projections.row import RowChange, Scalar, Table
from .coalesce import Batch, Key
from .dump import dump_tables
from .lookup import Lookup


class MemoryReadModel:
    """A `ReadModel` (`engine/ports.py`) that ends with its process."""

    def __init__(self, tables: Mapping[str, Sequence[Table]]) -> None:
        self._lookup = Lookup(tables)
        self._rows: dict[str, dict[Key, dict[str, Scalar]]] = {name: {} for name in self._lookup.tables}
        self._positions: dict[str, tuple[int, int]] = {}

    def position(self, projection: str, code_version: int) -> int:
        """Return up to where the projection has been applied; 0, with its tables emptied, for another code version."""
        known_version, position = self._positions.get(projection, (code_version, 0))
        if known_version != code_version:
            self.reset(projection)
            return 0
        return position

    def apply(self, projection: str, code_version: int, changes: Sequence[RowChange], position: int) -> None:
        """Apply the changes in order and remember the position; nothing where the projection is that far already."""
        known_version, known = self._positions.get(projection, (code_version, 0))
        if known_version != code_version:
            raise DomainError("conflict", f"projection `{projection}` was rebuilt by another version")
        if known >= position:
            return
        batch = Batch(changes)
        for table, keys in batch.deletes.items():
            for key in keys:
                self._rows[table].pop(key, None)
        for table, puts in batch.puts.items():
            shape = self._lookup.table(table)
            rows = self._rows[table]
            for key, values in puts.items():
                row = rows.get(key)
                if row is None:
                    row = rows[key] = {**dict(zip(shape.key, key, strict=True)), **dict.fromkeys(shape.columns)}
                row.update(values)
        self._positions[projection] = (code_version, position)

    def reset(self, projection: str) -> None:
        """Empty the projection's tables and set its position to 0."""
        for table in self._lookup.of_projection(projection):
            self._rows[table.name].clear()
        self._positions.pop(projection, None)

    def rows(
        self, table: str, where: Mapping[str, object] | None = None, *, order_by: str = ""
    ) -> list[dict[str, object]]:
        """Return rows as plain values, by equality of the given columns, ordered by a column or by key."""
        shape = self._lookup.table(table)
        self._lookup.check_columns(shape, [*(where or {}), *([order_by] if order_by else [])])
        wanted = list((where or {}).items())
        found: list[tuple[Key, dict[str, Scalar]]] = [
            (key, row)
            for key, row in sorted(self._rows[table].items(), key=lambda item: _sortable(item[0]))
            if all(row[column] == value and value is not None for column, value in wanted)
        ]
        if order_by:
            found.sort(key=lambda item: _sortable((item[1][order_by],)))
        return [dict(row) for _, row in found]

    def dump(self) -> bytes:
        """Return all rows as canonical bytes."""
        return dump_tables(self._lookup.tables.values(), self.rows)

    def close(self) -> None:
        """Forget everything."""
        self._rows = {name: {} for name in self._lookup.tables}
        self._positions.clear()


def _sortable(key: Key) -> tuple[tuple[int, int, bytes], ...]:
    """Return what sorts as SQLite does: NULL, then numbers, then text by its bytes."""
    return tuple(
        (0, 0, b"") if part is None else (1, part, b"") if isinstance(part, int) else (2, 0, part.encode())
        for part in key
    )
