"""Recorded decisions with everything that they were made on, in the order of the log.

The log is read once, from its beginning. What was in force (grants, adopted layers, remembered approvals) is folded
from its own events, never taken from a projection, so each decision can be made again as it was made then.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, TypeAlias, get_args

import msgspec

from ..domain import approvals as approvals_aggregate
from ..domain import grant as grant_aggregate
from ..domain import session as session_aggregate
from ..domain.approvals import ApprovalRemembered, ApprovalRevoked, ApprovalUsed, RememberedApprovals, after_use
from ..domain.confirmation import (
    ConfirmationApproved,
    ConfirmationExpired,
    ConfirmationRejected,
    ConfirmationWithdrawn,
)
from ..domain.errors import DomainError
from ..domain.event import Event, Recorded
from ..domain.grant import FolderGrant, FolderGranted, GrantEvent, GrantState, HostGranted, NoGrant, scope_of
from ..domain.plan import OnAsk
from ..domain.policy import Policy
from ..domain.policy_approval import Approval
from ..domain.policy_document import Layer
from ..domain.policy_record import DocumentStored, StoredDocument
from ..domain.reason import ReasonCode
from ..domain.scope import attenuate
from ..domain.session import (
    AdoptedLayer,
    EndedSession,
    GrantAdded,
    OpenSession,
    PolicyAdopted,
    SessionEnded,
    SessionEvent,
    SessionStarted,
    SessionState,
)
from ..domain.subagent import SubagentSpawned
from ..domain.task import (
    ActionAllowed,
    ActionConfirmationRequired,
    ActionDeclined,
    ActionDenied,
    ActionFailed,
    ActionOutcomeUnknown,
    ActionProposed,
    ActionStarted,
    ActionSucceeded,
    TaskBlocked,
    TaskCancelled,
    TaskCompleted,
    TaskFailed,
    TaskPlanned,
    TaskQueued,
)
from . import limits
from .history_moment import (
    Answered,
    Began,
    Decided,
    Ended,
    Fault,
    GivenGrant,
    Moment,
    Outcome,
    PastAction,
    Standing,
)
from .ports import EventStore

__all__ = ["Began", "Decided", "Ended", "Fault", "Moment", "PastAction", "PolicyHistory", "Standing"]

Seen: TypeAlias = Recorded[Any]


class _Task(msgspec.Struct):
    session_id: str
    on_ask: OnAsk = "wait"


class PolicyHistory:
    """Reads a log's events, one after the other, and says which decisions they record."""

    def __init__(self) -> None:
        self.position = 0
        self.at: datetime | None = None
        self.faults: list[Fault] = []
        self.approvals: RememberedApprovals = approvals_aggregate.INITIAL
        self.granted: dict[str, GivenGrant] = {}
        self._started: dict[str, SessionStarted] = {}
        self._sessions: dict[str, SessionState] = {}
        self._standings: dict[str, Standing] = {}
        self._grants: dict[str, GrantState] = {}
        self._documents: dict[str, StoredDocument] = {}
        self._policies: dict[str, Policy | None] = {}
        self._tasks: dict[str, _Task] = {}
        self._spawned: dict[str, SubagentSpawned] = {}
        self._of_subagents: dict[str, tuple[Standing, Standing]] = {}
        self._actions: dict[str, PastAction] = {}
        self._asked: dict[str, list[PastAction]] = {}
        self._command = ""
        self._used_in_command: list[str] = []
        self._handlers: Mapping[type[Event], Callable[[Seen], Moment | None]] = {
            **dict.fromkeys((SessionStarted, PolicyAdopted, GrantAdded, SessionEnded), self._on_session),
            **dict.fromkeys(get_args(GrantEvent), self._on_grant),
            DocumentStored: self._on_document,
            **dict.fromkeys((ApprovalRemembered, ApprovalUsed, ApprovalRevoked), self._on_approval),
            TaskQueued: self._on_queued,
            SubagentSpawned: self._on_spawned,
            TaskPlanned: self._on_planned,
            **dict.fromkeys((TaskCompleted, TaskFailed, TaskBlocked, TaskCancelled), self._on_task_over),
            ActionProposed: self._on_proposed,
            **dict.fromkeys((ActionAllowed, ActionDenied, ActionConfirmationRequired), self._on_decided),
            ActionStarted: self._on_started,
            ActionDeclined: self._on_declined,
            **dict.fromkeys((ActionSucceeded, ActionFailed), self._on_outcome),
            ActionOutcomeUnknown: self._on_unknown,
            ConfirmationApproved: self._on_answer("approved"),
            ConfirmationRejected: self._on_answer("rejected"),
            ConfirmationExpired: self._on_answer("expired"),
            ConfirmationWithdrawn: self._on_answer("withdrawn"),
        }

    def read(self, store: EventStore, *, until: int | None = None) -> Iterator[Moment]:
        """Read on from where it stands, up to and including position `until`, and yield what is decided on the way.

        A denial is `Decided` and then `Ended`. What a moment says of an action (`past`) holds as of that moment only.
        Raises `DomainError` damaged for a log that can't be followed at all, unavailable.
        """
        handlers = self._handlers
        while page := store.read_log(after=self.position, limit=limits.LOG_PAGE_EVENTS):
            for seen in page:
                if until is not None and seen.position > until:
                    return
                self.position, self.at = seen.position, seen.origin.at
                handler = handlers.get(type(seen.event))
                if handler is None:
                    continue
                try:
                    moment = handler(seen)
                except DomainError as error:
                    raise DomainError(
                        "damaged", f"position {seen.position} can't be followed: {error.message}", "run `cowork audit`"
                    ) from error
                if moment is not None:
                    yield moment
                    if isinstance(moment, Decided) and isinstance(seen.event, ActionDenied):
                        yield self._end(seen, moment.past, "denied", seen.event.decision.reason_code)

    def unfinished(self) -> list[PastAction]:
        """Return the actions of which more may still be heard."""
        return list(self._actions.values())

    # What was in force

    def standings(self) -> list[Standing]:
        """Return what is in force in every open session, where the reading stands."""
        names = [name for name, state in self._sessions.items() if isinstance(state, OpenSession)]
        found = (self.standing(name) for name in names)
        return [one for one in found if one is not None]

    def standing(self, session_id: str) -> Standing | None:
        """Return what is in force in a session, None where it is not open."""
        known = self._standings.get(session_id)
        if known is None:
            state = self._sessions.get(session_id)
            if not isinstance(state, OpenSession):
                return None
            known = self._standings[session_id] = self._make_standing(state)
        return known

    def _standing_of(self, task_id: str, session_id: str) -> Standing | None:
        """Return what is in force for a task: of a subagent's, what is left of what those above it have."""
        given = self._spawned.get(task_id)
        if given is None:
            return self.standing(session_id)
        above = self._standing_of(given.parent_task_id, session_id)
        if above is None:
            return None
        known = self._of_subagents.get(task_id)
        if known is None or known[0] is not above:
            scope = attenuate(above.scope, given.scope)
            standing = msgspec.structs.replace(above, scope=scope, scope_digest=scope.digest())
            known = self._of_subagents[task_id] = (above, standing)
        return known[1]

    def _on_spawned(self, seen: Seen) -> None:
        self._spawned[seen.event.task_id] = seen.event

    def _make_standing(self, session: OpenSession) -> Standing:
        grants = (self._grants.get(name) for name in session.grant_ids)
        scope = scope_of(grant for grant in grants if grant is not None)
        return Standing(
            session_id=session.session_id,
            user_id=session.user_id,
            title=self._started[session.session_id].title,
            adopted=session.layers,
            policy_digest=session.policy_digest,
            policy=self._policy(session),
            scope=scope,
            scope_digest=scope.digest(),
        )

    def _policy(self, session: OpenSession) -> Policy | None:
        digest = session.policy_digest
        if digest not in self._policies:
            try:
                layers = [self._layer(adopted) for adopted in session.layers]
            except DomainError as error:
                self._fault(error.message)
                self._policies[digest] = None
            else:
                policy = self._policies[digest] = Policy(layers)
                if policy.digest != digest:
                    self._fault(f"session `{session.session_id}` adopted rules that are not those its digest names")
        return self._policies[digest]

    def _layer(self, adopted: AdoptedLayer) -> Layer:
        document = self._documents.get(adopted.digest)
        if document is None:
            raise DomainError(
                "damaged", f"the document of layer `{adopted.name}` was not on record when it was adopted"
            )
        return document.as_layer(adopted.name)

    def _fault(self, sentence: str) -> None:
        self.faults.append(Fault(self.position, sentence))

    def _on_session(self, seen: Seen) -> None:
        event: SessionEvent = seen.event
        name = event.session_id
        if isinstance(event, SessionStarted):
            self._started[name] = event
        state = session_aggregate.evolve(self._sessions.get(name, session_aggregate.INITIAL), event)
        self._standings.pop(name, None)
        if isinstance(state, EndedSession):
            before = self._sessions.pop(name, None)
            self._started.pop(name, None)
            for grant_id in before.grant_ids if isinstance(before, OpenSession) else ():
                self._grants.pop(grant_id, None)
        else:
            self._sessions[name] = state

    def _on_grant(self, seen: Seen) -> None:
        event = seen.event
        known = self._grants.get(event.grant_id)
        if known is None and not isinstance(event, FolderGranted | HostGranted):
            # The grant of a session that is over, and was let go of with it.
            return
        state = grant_aggregate.evolve(known or grant_aggregate.INITIAL, event)
        self._grants[event.grant_id] = state
        if not isinstance(state, NoGrant):
            self._standings.pop(state.session_id, None)
            if isinstance(event, FolderGranted) and isinstance(state, FolderGrant):
                self.granted[event.grant_id] = GivenGrant(seen.position, seen.origin.at, state.session_id, state.scope)

    def _on_document(self, seen: Seen) -> None:
        event: DocumentStored = seen.event
        self._documents[event.digest] = StoredDocument(event.digest, event.source.encode())

    def _on_approval(self, seen: Seen) -> None:
        self.approvals = approvals_aggregate.evolve(self.approvals, seen.event)
        if isinstance(seen.event, ApprovalUsed) and seen.event.approval_id in self._used_in_command:
            self._used_in_command.remove(seen.event.approval_id)

    def _approvals(self, seen: Seen, now: datetime, own: str) -> tuple[Approval, ...]:
        """Return the approvals that could answer; not those that this very command has used up before."""
        if not self.approvals.by_id:
            return ()
        if seen.origin.command_id != self._command:
            self._command, self._used_in_command = seen.origin.command_id, []
        found = self.approvals.in_force(now, own=own)
        for name in self._used_in_command:
            found = after_use(found, name)
        return found

    # Tasks and actions

    def _on_queued(self, seen: Seen) -> None:
        self._tasks[seen.event.task_id] = _Task(seen.event.session_id)

    def _on_planned(self, seen: Seen) -> None:
        task = self._tasks.get(seen.event.task_id)
        if task is not None:
            task.on_ask = seen.event.plan.on_ask

    def _on_task_over(self, seen: Seen) -> None:
        self._tasks.pop(seen.event.task_id, None)

    def _on_proposed(self, seen: Seen) -> None:
        event: ActionProposed = seen.event
        task = self._tasks.get(event.task_id)
        if task is None:
            self._fault(f"action `{event.action_id}` was proposed by no task that is at work")
            return
        self._actions[event.action_id] = PastAction(
            task_id=event.task_id,
            session_id=task.session_id,
            step_id=event.step_id,
            action_id=event.action_id,
            action=event.action,
            proposed_by=event.proposed_by,
            on_ask=task.on_ask,
        )

    def _open(self, seen: Seen) -> tuple[PastAction, Standing] | None:
        """Return the action that an event is about, and what is in force for it."""
        name = seen.event.action_id
        past = self._actions.get(name)
        standing = None if past is None else self._standing_of(past.task_id, past.session_id)
        if past is None or standing is None:
            self._fault(f"something was decided about `{name}`, which is not open")
            return None
        return past, standing

    def _on_decided(self, seen: Seen) -> Decided | None:
        event: ActionAllowed | ActionDenied | ActionConfirmationRequired = seen.event
        found = self._open(seen)
        if found is None:
            return None
        past, standing = found
        asked = event.confirmation_id if isinstance(event, ActionConfirmationRequired) else ""
        moment = Decided(
            position=seen.position,
            at=seen.origin.at,
            command_id=seen.origin.command_id,
            past=past,
            facts=event.facts,
            recorded=event.decision,
            scope_digest=event.scope_digest,
            standing=standing,
            approvals=self._approvals(seen, event.facts.now, past.approval_id),
            confirmation_id=asked,
            is_about_outcome=past.outcome == "unknown",
        )
        past.outcome = ""
        past.approval_id = event.decision.approval_id
        if past.approval_id:
            self._used_in_command.append(past.approval_id)
        if asked:
            past.questions = (*past.questions, asked)
            past.answer = ""
            self._asked.setdefault(asked, []).append(past)
        return moment

    def _on_started(self, seen: Seen) -> Began | None:
        event: ActionStarted = seen.event
        found = self._open(seen)
        if found is None:
            return None
        past, standing = found
        past.attempts = event.attempt
        now = seen.origin.at if event.facts is None else event.facts.now
        return Began(
            position=seen.position,
            at=seen.origin.at,
            past=past,
            attempt=event.attempt,
            facts=event.facts,
            standing=standing,
            approvals=self._approvals(seen, now, past.approval_id),
        )

    def _on_declined(self, seen: Seen) -> Ended | None:
        past = self._actions.get(seen.event.action_id)
        return None if past is None else self._end(seen, past, "declined", seen.event.reason_code)

    def _on_outcome(self, seen: Seen) -> Ended | None:
        event: ActionSucceeded | ActionFailed = seen.event
        past = self._actions.get(event.action_id)
        if past is None:
            return None
        if isinstance(event, ActionFailed):
            return self._end(seen, past, "failed", event.reason_code)
        return self._end(seen, past, "succeeded", None)

    def _on_unknown(self, seen: Seen) -> None:
        past = self._actions.get(seen.event.action_id)
        if past is not None:
            past.outcome = "unknown"

    def _end(self, seen: Seen, past: PastAction, outcome: Outcome, code: ReasonCode | None) -> Ended:
        past.outcome = outcome
        past.reason_code = code
        del self._actions[past.action_id]
        for asked in past.questions:
            self._asked.pop(asked, None)
        return Ended(position=seen.position, at=seen.origin.at, past=past)

    def _on_answer(self, answer: Answered) -> Callable[[Seen], None]:
        def note(seen: Seen) -> None:
            for past in self._asked.pop(seen.event.confirmation_id, ()):
                past.answer = answer

        return note
