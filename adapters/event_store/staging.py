"""An append on its way into the log: its rows, encoded before anything is locked, and the check against the log."""

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

from ...domain.event import Event, Origin, Recorded
from ...engine.ports import Guard, StreamWrite, VersionConflict
from .mapper import EventMapper

StoredRow: TypeAlias = tuple[int, str, int, str, bytes]
"""Position, stream, version, topic, body."""


class StagedEvent(NamedTuple):
    """One event with its topic and body; it has no position yet."""

    stream: str
    version: int
    topic: str
    body: bytes
    event: Event


class StagedAppend(NamedTuple):
    """One append: what it expects of the log and what it adds."""

    expected: Sequence[StreamWrite]
    guards: Sequence[Guard]
    origin: Origin
    events: Sequence[StagedEvent]

    def rows(self, after: int) -> list[StoredRow]:
        """Return the rows to store, at the positions that follow `after`."""
        return [(after + n, e.stream, e.version, e.topic, e.body) for n, e in enumerate(self.events, 1)]

    def recorded(self, after: int) -> tuple[Recorded[Event], ...]:
        """Return the events as recorded at the positions that follow `after`."""
        return tuple(
            Recorded(position=after + n, stream=e.stream, version=e.version, origin=self.origin, event=e.event)
            for n, e in enumerate(self.events, 1)
        )


def stage(mapper: EventMapper, writes: Sequence[StreamWrite], origin: Origin, guards: Sequence[Guard]) -> StagedAppend:
    """Encode an append. Raises `DomainError` invalid for what could not be read back."""
    events: list[StagedEvent] = []
    for write in writes:
        for version, event in enumerate(write.events, write.expected_version + 1):
            topic, body = mapper.encode(write.stream, version, origin, event)
            events.append(StagedEvent(write.stream, version, topic, body, event))
    return StagedAppend(writes, guards, origin, events)


def new_versions(append: StagedAppend, version_of: Callable[[str], int]) -> dict[str, int]:
    """Return the streams' versions after the append. Raises `VersionConflict` where the log is not as expected.

    Guards are about the log before the append, also where a guarded stream is written to.
    """
    for guard in append.guards:
        if version_of(guard.stream) != guard.version:
            raise VersionConflict(guard.stream)
    versions: dict[str, int] = {}
    for write in append.expected:
        found = versions.get(write.stream)
        if (version_of(write.stream) if found is None else found) != write.expected_version:
            raise VersionConflict(write.stream)
        versions[write.stream] = write.expected_version + len(write.events)
    return versions
