"""The audit log's lines about everything that is not an action: sessions, grants, tasks, subagents and questions.

Several events know less than an auditor wants: an answer knows its question, not the task. The table `audit_subjects`
keeps what each stream's first event said, and the reader (`audit_log.py`) puts the two together.
"""

from typing import Final, TypeAlias, assert_never

from ..domain.confirmation import (
    ConfirmationApproved,
    ConfirmationEvent,
    ConfirmationExpired,
    ConfirmationRejected,
    ConfirmationRequested,
    ConfirmationWithdrawn,
)
from ..domain.event import Recorded
from ..domain.grant import (
    FolderGranted,
    GrantEvent,
    GrantExpired,
    GrantNarrowed,
    GrantRevoked,
    HostGranted,
    HostRevoked,
)
from ..domain.ownership import OwnershipEvent, TaskClaimed
from ..domain.session import (
    ROOT_ALLOWANCES,
    GrantAdded,
    PolicyAdopted,
    RootAllowed,
    SessionEnded,
    SessionEvent,
    SessionStarted,
)
from ..domain.subagent import SubagentEvent, SubagentReported, SubagentSpawned, SubagentStopped
from ..domain.task import (
    ChangesStaged,
    ConnectionDecided,
    LifeEvent,
    StepBegun,
    StepSkipped,
    TaskAwaitingConfirmation,
    TaskBlocked,
    TaskCancelled,
    TaskCompleted,
    TaskFailed,
    TaskInterrupted,
    TaskPaused,
    TaskPlanned,
    TaskPlanningStarted,
    TaskQueued,
    TaskResumed,
    TaskStarted,
)
from .audit_course import CourseEvent, choose_course
from .audit_row import life_row
from .fold import OnEvent, nothing, when
from .measure import count_words
from .outcome import outcome_of_step_left_out
from .row import Changes, Put, Scalar, Table, json_text
from .scope_words import rights_words

SUBJECTS: Final = Table(
    name="audit_subjects",
    key={"subject": "text"},
    columns={
        "session_id": "text",
        "task_id": "text",
        "parent": "text",
        "label": "text",
        "status": "text",
        "answered_by": "text",
    },
    indexes=(("session_id",), ("task_id",)),
)


def _session_started(recorded: Recorded[SessionStarted]) -> Changes:
    event = recorded.event
    known: dict[str, Scalar] = {"session_id": event.session_id, "label": event.title}
    return (
        life_row(recorded, "session.started", target=event.title, reason=f"by {event.user_id} on {event.device_id}"),
        Put("audit_subjects", (recorded.stream,), known),
    )


def _policy_adopted(recorded: Recorded[PolicyAdopted]) -> Changes:
    event = recorded.event
    return (
        life_row(
            recorded,
            "session.policy_adopted",
            target=", ".join(one.name for one in event.layers),
            reason=event.policy_digest,
        ),
    )


def _grant_added(recorded: Recorded[GrantAdded]) -> Changes:
    return (life_row(recorded, "session.grant_added", target=recorded.event.grant_id),)


def _root_allowed(recorded: Recorded[RootAllowed]) -> Changes:
    return (life_row(recorded, "session.root_allowed", reason=f"by {ROOT_ALLOWANCES[recorded.event.allowed_by]}"),)


def _session_ended(recorded: Recorded[SessionEnded]) -> Changes:
    return (life_row(recorded, "session.ended", reason=recorded.event.reason),)


def _granted(recorded: Recorded[FolderGranted]) -> Changes:
    event = recorded.event
    known: dict[str, Scalar] = {"session_id": event.session_id, "label": event.root_path}
    covers = f"{event.name}: {', '.join(event.verbs)}"
    return (
        life_row(recorded, "grant.given", target=event.root_path, reason=covers),
        Put("audit_subjects", (recorded.stream,), known),
    )


def _narrowed(recorded: Recorded[GrantNarrowed]) -> Changes:
    return (life_row(recorded, "grant.narrowed", reason=f"now only {', '.join(recorded.event.verbs) or 'nothing'}"),)


def _host_granted(recorded: Recorded[HostGranted]) -> Changes:
    event = recorded.event
    known: dict[str, Scalar] = {"session_id": event.session_id, "label": event.host}
    return (
        life_row(recorded, "grant.given", target=event.host, reason="a host"),
        Put("audit_subjects", (recorded.stream,), known),
    )


def _host_revoked(recorded: Recorded[HostRevoked]) -> Changes:
    return (life_row(recorded, "grant.revoked", reason=recorded.event.reason),)


def _grant_revoked(recorded: Recorded[GrantRevoked]) -> Changes:
    return (life_row(recorded, "grant.revoked", reason=recorded.event.reason),)


def _grant_expired(recorded: Recorded[GrantExpired]) -> Changes:
    return (life_row(recorded, "grant.expired"),)


def _queued(recorded: Recorded[TaskQueued]) -> Changes:
    event = recorded.event
    known: dict[str, Scalar] = {
        "session_id": event.session_id,
        "task_id": event.task_id,
        "parent": event.parent_task_id,
        "label": event.title,
    }
    return (
        life_row(recorded, "task.queued", target=event.title, reason=event.prompt),
        Put("audit_subjects", (recorded.stream,), known),
    )


def _planning(recorded: Recorded[TaskPlanningStarted]) -> Changes:
    return (life_row(recorded, "task.planning_started", target=recorded.event.planner),)


def _planned(recorded: Recorded[TaskPlanned]) -> Changes:
    plan = recorded.event.plan
    return (life_row(recorded, "task.planned", target=plan.title, reason=count_words(len(plan.steps), "step")),)


def _task_started(recorded: Recorded[TaskStarted]) -> Changes:
    return (life_row(recorded, "task.started"),)


def _awaiting(recorded: Recorded[TaskAwaitingConfirmation]) -> Changes:
    return (life_row(recorded, "task.awaiting_confirmation", target=", ".join(recorded.event.confirmation_ids)),)


def _stopped_for_now(recorded: Recorded[TaskPaused | TaskInterrupted]) -> Changes:
    kind = "task.paused" if isinstance(recorded.event, TaskPaused) else "task.interrupted"
    return (life_row(recorded, kind, reason=recorded.event.reason),)


def _resumed(recorded: Recorded[TaskResumed]) -> Changes:
    return (life_row(recorded, "task.resumed"),)


def _completed(recorded: Recorded[TaskCompleted]) -> Changes:
    event = recorded.event
    why = f"skipped: {', '.join(event.skipped)}" if event.skipped else event.reason
    return (life_row(recorded, "task.completed", reason=why, outcome="succeeded"),)


def _task_failed(recorded: Recorded[TaskFailed]) -> Changes:
    return (life_row(recorded, "task.failed", reason=recorded.event.reason, outcome="failed"),)


def _blocked(recorded: Recorded[TaskBlocked]) -> Changes:
    return (life_row(recorded, "task.blocked", reason=recorded.event.reason, outcome="denied"),)


def _cancelled(recorded: Recorded[TaskCancelled]) -> Changes:
    return (life_row(recorded, "task.cancelled", reason=recorded.event.reason, outcome="withdrawn"),)


def _step_begun(recorded: Recorded[StepBegun]) -> Changes:
    event = recorded.event
    if event.actions:
        # Its actions have lines of their own.
        return ()
    return (life_row(recorded, "task.step_begun", step_id=event.step_id, reason="nothing matched"),)


def _step_skipped(recorded: Recorded[StepSkipped]) -> Changes:
    event = recorded.event
    outcome = outcome_of_step_left_out(event.reason_code)
    return (life_row(recorded, "task.step_skipped", step_id=event.step_id, reason=event.reason, outcome=outcome),)


def connection_line(recorded: Recorded[ConnectionDecided]) -> Changes:
    """Return the line about a connection that a command asked for."""
    event = recorded.event
    refused = event.reason_code is not None
    row = life_row(
        recorded,
        "network.connection",
        target=f"{event.host}:{event.port}",
        reason=event.reason if refused else f"at {event.address}, for {event.action_id}",
        outcome="denied" if refused else "succeeded",
    )
    return (row,)


def _spawned(recorded: Recorded[SubagentSpawned]) -> Changes:
    event = recorded.event
    known: dict[str, Scalar] = {
        "session_id": event.session_id,
        "task_id": event.parent_task_id,
        "parent": event.parent_task_id,
        "label": event.title,
    }
    by = f"by {event.action_id}, its task is {event.task_id}, depth {event.depth}, {rights_words(event)}"
    return (
        life_row(recorded, "subagent.spawned", target=event.title, reason=by),
        Put("audit_subjects", (recorded.stream,), known),
    )


def _reported(recorded: Recorded[SubagentReported]) -> Changes:
    # How its task ended is that task's to say.
    return (life_row(recorded, "subagent.reported", reason=recorded.event.report),)


def _stopped(recorded: Recorded[SubagentStopped]) -> Changes:
    return (life_row(recorded, "subagent.stopped", reason=recorded.event.reason, outcome="withdrawn"),)


def _task_claimed(recorded: Recorded[TaskClaimed]) -> Changes:
    event = recorded.event
    return (
        life_row(recorded, "ownership.claimed", target=event.owner, reason=f"with cowork {event.engine}"),
        Put("audit_subjects", (recorded.stream,), {"task_id": event.task_id, "label": event.owner}),
    )


def _asked(recorded: Recorded[ConfirmationRequested]) -> Changes:
    event = recorded.event
    known: dict[str, Scalar] = {
        "session_id": event.session_id,
        "task_id": event.task_id,
        "label": event.card.headline,
        "status": "pending",
    }
    line = life_row(
        recorded,
        "confirmation.requested",
        step_id=event.step_id,
        target=event.card.headline,
        reason=event.reason,
        rule_id=event.rule_id,
        risk_tags=json_text(event.risk_tags),
        outcome="waiting",
    )
    return (line, Put("audit_subjects", (recorded.stream,), known))


Answer: TypeAlias = ConfirmationApproved | ConfirmationRejected | ConfirmationExpired | ConfirmationWithdrawn


def _answer(recorded: Recorded[Answer], status: str, answered_by: str, note: str) -> Changes:
    known: dict[str, Scalar] = {"status": status, "answered_by": answered_by}
    return (
        life_row(recorded, f"confirmation.{status}", reason=note, outcome=status),
        Put("audit_subjects", (recorded.stream,), known),
    )


def _approved(recorded: Recorded[ConfirmationApproved]) -> Changes:
    event = recorded.event
    said = ": ".join(part for part in (event.finding.replace("_", " "), event.note) if part)
    return _answer(recorded, "approved", event.answered_by, said)


def _rejected(recorded: Recorded[ConfirmationRejected]) -> Changes:
    return _answer(recorded, "rejected", recorded.event.answered_by, recorded.event.note)


def _question_expired(recorded: Recorded[ConfirmationExpired]) -> Changes:
    return _answer(recorded, "expired", "", "nobody answered in time")


def _withdrawn(recorded: Recorded[ConfirmationWithdrawn]) -> Changes:
    return _answer(recorded, "withdrawn", "", recorded.event.reason)


# Choosing


def choose_session(event: type[SessionEvent | GrantEvent]) -> OnEvent:
    """Return what to do about an event of a session or a grant."""
    if issubclass(event, SessionStarted):
        return when(event, _session_started)
    if issubclass(event, PolicyAdopted):
        return when(event, _policy_adopted)
    if issubclass(event, GrantAdded):
        return when(event, _grant_added)
    if issubclass(event, RootAllowed):
        return when(event, _root_allowed)
    if issubclass(event, SessionEnded):
        return when(event, _session_ended)
    if issubclass(event, FolderGranted):
        return when(event, _granted)
    if issubclass(event, HostGranted):
        return when(event, _host_granted)
    if issubclass(event, HostRevoked):
        return when(event, _host_revoked)
    if issubclass(event, GrantNarrowed):
        return when(event, _narrowed)
    if issubclass(event, GrantRevoked):
        return when(event, _grant_revoked)
    if issubclass(event, GrantExpired):
        return when(event, _grant_expired)
    assert_never(event)


def choose_life(event: type[LifeEvent]) -> OnEvent:
    """Return what to do about an event of a task that is not an action's."""
    if issubclass(event, TaskQueued):
        return when(event, _queued)
    if issubclass(event, TaskPlanningStarted):
        return when(event, _planning)
    if issubclass(event, TaskPlanned):
        return when(event, _planned)
    if issubclass(event, TaskStarted):
        return when(event, _task_started)
    if issubclass(event, TaskAwaitingConfirmation):
        return when(event, _awaiting)
    if issubclass(event, TaskPaused | TaskInterrupted):
        return when(event, _stopped_for_now)
    if issubclass(event, CourseEvent):
        return choose_course(event)
    if issubclass(event, TaskResumed):
        return when(event, _resumed)
    if issubclass(event, StepBegun):
        return when(event, _step_begun)
    if issubclass(event, ChangesStaged):
        # The changes have lines of their own, each with the command that they come from.
        return nothing
    if issubclass(event, StepSkipped):
        return when(event, _step_skipped)
    if issubclass(event, TaskCompleted):
        return when(event, _completed)
    if issubclass(event, TaskFailed):
        return when(event, _task_failed)
    if issubclass(event, TaskBlocked):
        return when(event, _blocked)
    if issubclass(event, TaskCancelled):
        return when(event, _cancelled)
    assert_never(event)


def choose_other(event: type[SubagentEvent | OwnershipEvent | ConfirmationEvent]) -> OnEvent:
    """Return what to do about an event of a subagent, of who carries a task on, or of a question."""
    if issubclass(event, TaskClaimed):
        return when(event, _task_claimed)
    if issubclass(event, SubagentSpawned):
        return when(event, _spawned)
    if issubclass(event, SubagentReported):
        return when(event, _reported)
    if issubclass(event, SubagentStopped):
        return when(event, _stopped)
    if issubclass(event, ConfirmationRequested):
        return when(event, _asked)
    if issubclass(event, ConfirmationApproved):
        return when(event, _approved)
    if issubclass(event, ConfirmationRejected):
        return when(event, _rejected)
    if issubclass(event, ConfirmationExpired):
        return when(event, _question_expired)
    if issubclass(event, ConfirmationWithdrawn):
        return when(event, _withdrawn)
    assert_never(event)
