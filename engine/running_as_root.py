"""That a process of root's works in a session, which a person allowed: recorded once a process and session."""

from ..domain.session import AllowRoot, RootAllowance
from .command_handler import Order, order_session


class RunningAsRoot:
    """What this process has to record about being root's; nothing where it is not (`allowed_by` None)."""

    def __init__(self, allowed_by: RootAllowance | None) -> None:
        self._allowed_by: RootAllowance | None = allowed_by
        self._recorded: set[str] = set()

    def orders(self, session_id: str) -> list[Order]:
        """Return the orders that put it on record in an open session, for the first time that this process asks."""
        if self._allowed_by is None or session_id in self._recorded:
            return []
        self._recorded.add(session_id)
        return [order_session(session_id, AllowRoot(self._allowed_by))]
