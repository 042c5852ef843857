"""Where a report takes its rows from: the engine's `Application.rows`, or a read model itself."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from .row import Row


class RowSource(Protocol):
    """Reads a table."""

    def __call__(self, table: str, where: Mapping[str, object] | None = None, /) -> Sequence[Row]:
        """Return the rows in which these columns have these values, in the order of their keys."""
        ...
