"""Questions about policy and the past: what a change would have done, what was needed, and why something is decided."""

from typing import TYPE_CHECKING, Final

from ..domain.policy_document import Layer
from ..domain.scope import Scope
from .inquiry import Inquiry
from .policy_records import ORGANISATION, ROOT, RUN, PolicyRecords, in_force
from .ports import Clock, EventStore

if TYPE_CHECKING:
    from .backtest_report import BacktestReport, Since
    from .explain import Explanation
    from .explain_at import AtPosition
    from .tighten import Proposal

# What answers is imported when it is asked: every command loads this file, and hardly any asks.
_FIRST: Final = (ORGANISATION, ROOT, RUN)
"""The names of documents that take a session's first place."""


class PolicyInquiries:
    """Answers from the log and from the machine's documents; nothing is changed."""

    def __init__(self, store: EventStore, policies: PolicyRecords, clock: Clock) -> None:
        self._store = store
        self._policies = policies
        self._clock = clock

    def backtest(self, layer: Layer, *, since: "Since" = None) -> "BacktestReport":
        """Return what a document would have done to the decisions on record.

        It takes the place of each session's first layer, or, by its name, that of its user's, folder's, session's or
        task's. Raises `DomainError` damaged or unavailable.
        """
        from .backtest import backtest
        from .backtest_report import instead_of_first, under_its_name

        change = instead_of_first(layer) if layer.name in _FIRST else under_its_name(layer)
        return backtest(self._store, change, since=since)

    def tighten(self, *, since: "Since" = None) -> "Proposal":
        """Return the least that the actions on record would have needed. Raises as `backtest`."""
        from .tighten import tighten

        return tighten(self._store, since=since)

    def at(self, position: int, inquiry: Inquiry | None = None, *, session: str = "") -> "AtPosition":
        """Return what was in force at a position of the log, 0 for its end, and what would have been decided there.

        Raises `DomainError` not_found (the position, the session), invalid (the inquiry) or damaged.
        """
        from .explain_at import explain_at

        return explain_at(self._store, position or self._store.head(), inquiry, session=session)

    def anew(self, inquiry: Inquiry, scope: Scope) -> "Explanation":
        """Return what would be decided in a session that began now with these grants. Raises `DomainError` invalid."""
        from .explain import explain

        layers = in_force(self._policies.standing([folder.root_path for folder in scope.folders]))
        return explain(layers, scope, inquiry, now=self._clock.now())
