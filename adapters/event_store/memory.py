"""The event store's twin in memory, for tests and the simulation: same checks, same encoding, faults on request."""

from collections import deque
from collections.abc import Sequence

import anyio.lowlevel

from ...domain.event import Event, Origin, Recorded
from ...engine.ports import Guard, StreamWrite
from .mapper import EventMapper, StoredRow
from .staging import new_versions, stage


class MemoryEventStore:
    """An `EventStore` on a list of encoded rows. Another store on the same list is another process, or a restart."""

    def __init__(self, rows: list[StoredRow] | None = None) -> None:
        self.rows: list[StoredRow] = [] if rows is None else rows
        self._mapper = EventMapper()
        self._streams: dict[str, list[StoredRow]] = {}
        self._indexed = 0
        self._faults: deque[tuple[BaseException, bool]] = deque()
        self._notice_others()
        self._others_wrote = False

    def fail_next(self, error: BaseException, *, after_commit: bool = False) -> None:
        """Let the next append raise `error`: instead of recording anything, or after everything is recorded.

        The second is what a crash between a commit and its answer looks like. Several calls add up, in order.
        """
        self._faults.append((error, after_commit))

    async def append(
        self, writes: Sequence[StreamWrite], origin: Origin, guards: Sequence[Guard] = ()
    ) -> tuple[Recorded[Event], ...]:
        """Record all the events, or none. Raises as the port says, or what `fail_next` was given."""
        staged = stage(self._mapper, writes, origin, guards)
        await anyio.lowlevel.cancel_shielded_checkpoint()
        fault, after_commit = self._faults.popleft() if self._faults else (None, False)
        if fault is not None and not after_commit:
            raise fault
        self._notice_others()
        new_versions(staged, self._version_of)
        position = len(self.rows)
        self.rows += staged.rows(position)
        self._index()
        if fault is not None:
            raise fault
        return staged.recorded(position)

    def read_stream(self, stream: str, *, after_version: int = 0) -> list[Recorded[Event]]:
        """Return the stream's events with a greater version."""
        self._notice_others()
        return self._mapper.decode_rows(self._streams.get(stream, [])[max(after_version, 0) :])

    def read_log(self, *, after: int, limit: int) -> list[Recorded[Event]]:
        """Return at most `limit` events with a greater position."""
        first = max(after, 0)
        return self._mapper.decode_rows(self.rows[first : first + limit])

    def head(self) -> int:
        """Return the position of the last event."""
        return len(self.rows)

    def others_appended(self) -> bool:
        """Return whether another store appended to the same rows since the last call or the opening."""
        self._notice_others()
        others_wrote, self._others_wrote = self._others_wrote, False
        return others_wrote

    def close(self) -> None:
        """Do nothing: the rows are the caller's."""

    def _version_of(self, stream: str) -> int:
        return len(self._streams.get(stream, ()))

    def _notice_others(self) -> None:
        if len(self.rows) > self._indexed:
            self._others_wrote = True
            self._index()

    def _index(self) -> None:
        for row in self.rows[self._indexed :]:
            self._streams.setdefault(row[1], []).append(row)
        self._indexed = len(self.rows)
