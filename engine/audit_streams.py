"""Invariant 7: every stream has its versions without gaps, folds, and folds to the same state a second time."""

from typing import Any, Final

from ..domain.approvals import ApprovalEvent
from ..domain.confirmation import ConfirmationRequested, Expired, Rejected, Withdrawn
from ..domain.errors import DomainError
from ..domain.event import Event
from ..domain.folder_trust import TrustEvent
from ..domain.grant import FolderGranted, HostGranted
from ..domain.ownership import TaskClaimed
from ..domain.policy_record import DocumentStored
from ..domain.retention import StoreEvent
from ..domain.sandbox import SandboxChecked
from ..domain.session import EndedSession, SessionStarted
from ..domain.session_memory import MemoryEvent
from ..domain.subagent import Ended, SubagentSpawned
from ..domain.task import Started, Task, TaskQueued
from .audit_finding import Findings, Seen
from .command_handler import (
    APPROVALS,
    CONFIRMATION,
    FOLDER_TRUST,
    GRANT,
    MEMORY,
    OWNERSHIP,
    POLICY_RECORD,
    SANDBOX,
    SESSION,
    STORE,
    SUBAGENT,
    TASK,
    Aggregate,
)
from .ports import EventStore

_AGGREGATES: Final[dict[str, Aggregate[Any, Any, Any]]] = {
    aggregate.name: aggregate
    for aggregate in (
        SESSION,
        GRANT,
        TASK,
        SUBAGENT,
        CONFIRMATION,
        APPROVALS,
        FOLDER_TRUST,
        POLICY_RECORD,
        SANDBOX,
        STORE,
        MEMORY,
        OWNERSHIP,
    )
}
_BEGINNINGS: Final = (
    SessionStarted,
    FolderGranted,
    HostGranted,
    TaskQueued,
    SubagentSpawned,
    ConfirmationRequested,
    DocumentStored,
)
_ANYWHERE: Final = ApprovalEvent | TrustEvent | SandboxChecked | StoreEvent | MemoryEvent | TaskClaimed
"""Events of the store's own streams, which have no first event of their own kind."""


def aggregate_of(event: Event) -> Aggregate[Any, Any, Any]:
    """Return the aggregate that the event belongs to, by its topic's first word."""
    return _AGGREGATES[event.TOPIC.partition(".")[0]]


class StreamFolds:
    """Folds every stream as the log is read. What has ended is compared with a second fold and let go of."""

    def __init__(self, store: EventStore, findings: Findings) -> None:
        self._store = store
        self._findings = findings
        self._versions: dict[str, int] = {}
        self._states: dict[str, tuple[Aggregate[Any, Any, Any], Any]] = {}
        self._broken: set[str] = set()
        self._position = 0

    def on(self, seen: Seen) -> None:
        """Check one event's place, and fold it."""
        self._check_place(seen)
        if seen.stream in self._broken:
            return
        aggregate = aggregate_of(seen.event)
        known, state = self._states.get(seen.stream) or self._again(seen, aggregate)
        if known is not aggregate:
            self._break(seen, f"`{seen.stream}` is the stream of a {known.name}, and {seen.event.TOPIC} is not its")
            return
        try:
            state = aggregate.evolve(state, seen.event)
        except (DomainError, KeyError, AssertionError) as error:
            self._break(seen, f"{seen.event.TOPIC} can't be folded: {error}")
            return
        self._states[seen.stream] = (aggregate, state)
        if _is_over(state):
            self._compare(seen.stream)
            del self._states[seen.stream]

    def finish(self) -> int:
        """Compare what is still open; return how many streams there are."""
        for stream in list(self._states):
            self._compare(stream)
        return len(self._versions)

    def _check_place(self, seen: Seen) -> None:
        expected = self._versions.get(seen.stream, 0) + 1
        if seen.version != expected:
            self._findings.add(7, seen, f"version {seen.version} stands where version {expected} must follow")
        if seen.position <= self._position:
            self._findings.add(7, seen, f"position {seen.position} is read after position {self._position}")
        if not isinstance(seen.event, _ANYWHERE) and isinstance(seen.event, _BEGINNINGS) is not (expected == 1):
            said = "begins with" if expected == 1 else "begins again with"
            self._findings.add(7, seen, f"`{seen.stream}` {said} {seen.event.TOPIC}")
        self._position = seen.position
        self._versions[seen.stream] = seen.version

    def _break(self, seen: Seen, sentence: str) -> None:
        self._findings.add(7, seen, sentence)
        self._broken.add(seen.stream)
        self._states.pop(seen.stream, None)

    def _again(self, seen: Seen, aggregate: Aggregate[Any, Any, Any]) -> tuple[Aggregate[Any, Any, Any], Any]:
        """Return the state of a stream that is new, or that had ended and been let go of."""
        state = aggregate.initial
        for earlier in self._store.read_stream(seen.stream):
            if earlier.position >= seen.position:
                break
            aggregate = aggregate_of(earlier.event)
            state = aggregate.evolve(state, earlier.event)
        return aggregate, state

    def _compare(self, stream: str) -> None:
        aggregate, state = self._states[stream]
        again, version = aggregate.initial, 0
        for seen in self._store.read_stream(stream):
            # What others appended since the log was read is the next audit's.
            if seen.version > self._versions[stream]:
                break
            again, version = aggregate.evolve(again, seen.event), seen.version
        if version != self._versions[stream]:
            sentence = f"the stream ends at version {version}, the log at version {self._versions[stream]}"
            self._findings.add_at(7, self._position, stream, sentence)
        elif again != state:
            self._findings.add_at(7, self._position, stream, "a second fold gives another state")


def _is_over(state: object) -> bool:
    if isinstance(state, Task):
        return state.is_final and not any(isinstance(a.phase, Started) for a in state.open_actions.values())
    return isinstance(state, EndedSession | Ended | Rejected | Expired | Withdrawn)
