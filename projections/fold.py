"""How a projection is put together: tables as data, and for each kind of event what it changes.

A projection chooses a function per event class once, with `assert_never` over all events, so that a new event is a
type error in every projection until each has decided what it means there. After that an event costs one look-up.
"""

from collections.abc import Callable, Sequence
from typing import TypeAlias, TypeVar, cast

from ..domain.event import Event, Recorded
from ..domain.topics import EVENT_TYPES, AnyEvent
from .row import Changes, RowChange, Table

E = TypeVar("E", bound=Event)
OnEvent: TypeAlias = Callable[[Recorded[Event]], Changes]


def when(event: type[E], change: Callable[[Recorded[E]], Changes]) -> OnEvent:  # noqa: ARG001
    """Return `change` for events of this class: the one place where a checked pair loses its type."""
    return cast("OnEvent", change)


def nothing(recorded: Recorded[Event]) -> Changes:  # noqa: ARG001
    """The event says nothing to this projection."""
    return ()


class Fold:
    """A projection (`engine/ports.py`) made of a function per event class."""

    def __init__(
        self,
        name: str,
        code_version: int,
        tables: tuple[Table, ...],
        choose: Callable[[type[AnyEvent]], OnEvent],
    ) -> None:
        self.name: str = name
        self.code_version: int = code_version
        self.tables = tables
        self._on = {event: choose(cast("type[AnyEvent]", event)) for event in EVENT_TYPES}

    def on(self, recorded: Recorded[Event]) -> Sequence[RowChange]:
        """Return what the event changes. Raises `KeyError` for an event that is not in the registry."""
        return self._on[type(recorded.event)](recorded)
