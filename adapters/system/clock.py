"""The machine's clock."""

from datetime import UTC, datetime


class SystemClock:
    """Time as the machine has it, in UTC."""

    def now(self) -> datetime:
        """Return the present time."""
        return datetime.now(UTC)
