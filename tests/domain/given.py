"""Given events, when a command comes, then these events or that refusal: tests of aggregates, written as rules."""

from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

import pytest

from cowork.domain.errors import DomainError, ErrorCode

S = TypeVar("S")


class Given(Generic[S]):
    """An aggregate with a history."""

    def __init__(
        self,
        initial: S,
        decide: Callable[[Any, S], Sequence[Any]],
        evolve: Callable[[S, Any], S],
        events: Sequence[Any] = (),
    ) -> None:
        self._decide = decide
        self._evolve = evolve
        self.state = initial
        for event in events:
            self.state = evolve(self.state, event)

    def when(self, command: object) -> tuple[Any, ...]:
        """Return the events of the command, folded in."""
        events = tuple(self._decide(command, self.state))
        for event in events:
            self.state = self._evolve(self.state, event)
        return events

    def refused(self, command: object, code: ErrorCode) -> DomainError:
        """Return the refusal of the command; nothing changes."""
        before = self.state
        with pytest.raises(DomainError) as caught:
            self._decide(command, self.state)
        assert caught.value.code == code
        assert self.state is before
        return caught.value
