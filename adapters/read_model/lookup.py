"""Tables and columns by name, so that no name from outside ever reaches a statement."""

from collections.abc import Iterable, Mapping, Sequence

from ...domain.errors import DomainError
from ...projections.row import Table


class Lookup:
    """The tables of all projections. `tables` maps projections to their tables; table names are unique."""

    def __init__(self, tables: Mapping[str, Sequence[Table]]) -> None:
        self._of_projection = {name: tuple(of_one) for name, of_one in tables.items()}
        self.projections = tuple(self._of_projection)
        self.tables = {table.name: table for of_one in tables.values() for table in of_one}

    def of_projection(self, projection: str) -> tuple[Table, ...]:
        """Return the projection's tables. Raises `DomainError` not_found."""
        if projection not in self._of_projection:
            raise DomainError("not_found", f"there is no projection `{projection}`")
        return self._of_projection[projection]

    def table(self, name: str) -> Table:
        """Return the table. Raises `DomainError` not_found."""
        if name not in self.tables:
            raise DomainError("not_found", f"there is no table `{name}`")
        return self.tables[name]

    def check_columns(self, table: Table, columns: Iterable[str]) -> None:
        """Raise `DomainError` not_found for a column that the table does not have."""
        for column in columns:
            if column not in table.key and column not in table.columns:
                raise DomainError("not_found", f"table `{table.name}` has no column `{column}`")
