"""Checkpointed delivery of the log to the projections: each knows how far it is, and can start again from zero."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Generic, TypeVar

from ..domain.errors import DomainError
from ..domain.event import Event, Recorded
from ..domain.task import TaskProgressed
from . import limits
from .ports import EventStore, Projection, ReadModel

R = TypeVar("R")


class CatchUp(Generic[R]):
    """Brings every projection up to the end of the log, a page at a time."""

    def __init__(self, store: EventStore, read_model: ReadModel[R], projections: Sequence[Projection[R]]) -> None:
        self._store = store
        self._read_model = read_model
        self._projections = tuple(projections)
        self._kept_up_to = 0

    def run(self) -> int:
        """Deliver what is new; return the position up to which everything has been applied."""
        for _ in range(limits.COMMAND_RETRIES_MAX):
            try:
                return self._run()
            except DomainError as error:
                # Another process began a projection anew: what was folded for it starts from another place now.
                if error.code != "conflict":
                    raise
        return self._run()

    def keep_up(self, recorded: Sequence[Recorded[Event]]) -> None:
        """Deliver what is new, once it is much, so that nobody who looks has long to wait for it.

        That is done when a task records how far it is: not between an action's start and its outcome.
        """
        if not any(isinstance(one.event, TaskProgressed) for one in recorded):
            return
        if recorded[-1].position - self._kept_up_to >= limits.CATCH_UP_BEHIND_EVENTS:
            # Whoever looks delivers the rest, or hears why that can't be done: the work goes on.
            with suppress(DomainError):
                self._kept_up_to = self.run()

    def _run(self) -> int:
        positions = {p.name: self._position(p) for p in self._projections}
        after = min(positions.values(), default=0)
        while page := self._store.read_log(after=after, limit=limits.CATCH_UP_PAGE_EVENTS):
            after = page[-1].position
            for projection in self._projections:
                if positions[projection.name] < after:
                    self._deliver(projection, page, positions[projection.name])
                    positions[projection.name] = after
        return after

    def _position(self, projection: Projection[R]) -> int:
        position = self._read_model.position(projection.name, projection.code_version)
        if position <= self._store.head():
            return position
        # The log is shorter than what was read of it: it was put back from a copy, so everything is folded again.
        self._read_model.reset(projection.name)
        return 0

    def _deliver(self, projection: Projection[R], page: Sequence[Recorded[Event]], position: int) -> None:
        changes = [change for recorded in page if recorded.position > position for change in projection.on(recorded)]
        self._read_model.apply(projection.name, projection.code_version, changes, page[-1].position)

    def rebuild(self) -> int:
        """Empty every projection and fold the whole log again; return the position reached."""
        for projection in self._projections:
            self._read_model.reset(projection.name)
        return self.run()

    def dump_at(self, position: int) -> bytes:
        """Return all rows as canonical bytes, after everything up to `position` (at least) has been delivered."""
        if position > min((self._read_model.position(p.name, p.code_version) for p in self._projections), default=0):
            self.run()
        return self._read_model.dump()
