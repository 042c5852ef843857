"""An append on its way into the log: its rows, encoded before anything is locked, and the check against the log."""

from collections.abc import Callable, Sequence

import msgspec

from ...domain.event import Event, Origin, Recorded
from ...engine.ports import Guard, StreamWrite, VersionConflict
from .mapper import EventMapper, StoredRow


class StagedAppend(msgspec.Struct, frozen=True, gc=False):
    """One append: what it expects of the log, and what it adds. `keyed` are the rows without their positions."""

    writes: Sequence[StreamWrite]
    guards: Sequence[Guard]
    origin: Origin
    keyed: Sequence[tuple[str, int, str, bytes]]
    events: Sequence[Event]

    def rows(self, after: int) -> list[StoredRow]:
        """Return the rows to store, at the positions that follow `after`."""
        return [(position, *row) for position, row in enumerate(self.keyed, after + 1)]

    def recorded(self, after: int) -> tuple[Recorded[Event], ...]:
        """Return the events as recorded at the positions that follow `after`."""
        return tuple(
            [
                Recorded(position=position, stream=row[0], version=row[1], origin=self.origin, event=event)
                for position, (row, event) in enumerate(zip(self.keyed, self.events, strict=True), after + 1)
            ]
        )


def stage(mapper: EventMapper, writes: Sequence[StreamWrite], origin: Origin, guards: Sequence[Guard]) -> StagedAppend:
    """Encode an append. Raises `DomainError` invalid for what could not be read back."""
    keyed: list[tuple[str, int, str, bytes]] = []
    events: list[Event] = []
    for write in writes:
        for version, event in enumerate(write.events, write.expected_version + 1):
            topic, body = mapper.encode(write.stream, version, origin, event)
            keyed.append((write.stream, version, topic, body))
            events.append(event)
    return StagedAppend(writes, guards, origin, keyed, events)


def new_versions(append: StagedAppend, version_of: Callable[[str], int]) -> dict[str, int]:
    """Return the streams' versions after the append. Raises `VersionConflict` where the log is not as expected.

    Guards are about the log before the append, also where a guarded stream is written to.
    """
    for guard in append.guards:
        if version_of(guard.stream) != guard.version:
            raise VersionConflict(guard.stream)
    versions: dict[str, int] = {}
    for write in append.writes:
        found = versions.get(write.stream)
        if (version_of(write.stream) if found is None else found) != write.expected_version:
            raise VersionConflict(write.stream)
        versions[write.stream] = write.expected_version + len(write.events)
    return versions
