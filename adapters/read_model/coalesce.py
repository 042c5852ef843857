"""Many changes to few rows become one change a row: what a batch comes to in the end."""

from collections.abc import Iterable

from ...projections.row import Delete, Put, RowChange, Scalar

Key = tuple[Scalar, ...]


class Batch:
    """What a sequence of changes comes to: rows that go first, then columns that rows get.

    `puts` maps tables to keys to columns; `deletes` names the rows that have to be gone before (a row in both was
    deleted and made again).
    """

    def __init__(self, changes: Iterable[RowChange]) -> None:
        self.puts: dict[str, dict[Key, dict[str, Scalar]]] = {}
        self.deletes: dict[str, set[Key]] = {}
        puts = self.puts
        for change in changes:
            rows = puts.get(change.table)
            if rows is None:
                rows = puts[change.table] = {}
            if isinstance(change, Put):
                known = rows.get(change.key)
                if known is None:
                    rows[change.key] = dict(change.values)
                else:
                    known.update(change.values)
            else:
                self._delete(change, rows)

    def _delete(self, change: Delete, rows: dict[Key, dict[str, Scalar]]) -> None:
        rows.pop(change.key, None)
        self.deletes.setdefault(change.table, set()).add(change.key)
