"""A task's events as rows, each in its group. The reader that makes a timeline of them is `timeline_report.py`."""

from typing import Final, assert_never

from ..domain.budget import Usage
from ..domain.confirmation import (
    ConfirmationApproved,
    ConfirmationExpired,
    ConfirmationRejected,
    ConfirmationRequested,
    ConfirmationWithdrawn,
)
from ..domain.event import Event, Recorded
from ..domain.grant import GrantEvent
from ..domain.ownership import TaskClaimed
from ..domain.session import ROOT_ALLOWANCES, GrantAdded, PolicyAdopted, RootAllowed, SessionEnded, SessionStarted
from ..domain.subagent import SubagentReported, SubagentSpawned, SubagentStopped
from ..domain.task import (
    ActionAllowed,
    ActionConfirmationRequired,
    ActionDeclined,
    ActionDenied,
    ActionEvent,
    ActionFailed,
    ActionOutcomeUnknown,
    ActionProposed,
    ActionStarted,
    ActionSucceeded,
    ChangesStaged,
    ConnectionDecided,
    LifeEvent,
    PathsClaimed,
    StepBegun,
    StepSkipped,
    TaskAwaitingConfirmation,
    TaskBlocked,
    TaskBudgetExhausted,
    TaskBudgetRaised,
    TaskCancelled,
    TaskCompleted,
    TaskFailed,
    TaskInterrupted,
    TaskMessaged,
    TaskPaused,
    TaskPlanned,
    TaskPlanningStarted,
    TaskProgressed,
    TaskQueued,
    TaskResumed,
    TaskStarted,
    TaskSteered,
    UsageReported,
)
from ..domain.topics import AnyEvent, MachineEvent
from .budget_words import exhausted_words, usage_words
from .fold import Fold, OnEvent, nothing, when
from .measure import count_words, milliseconds_words
from .outcome import outcome_of_step_left_out
from .row import Changes, Put, Scalar, Table, json_text, micros
from .steering_words import messaged_words, raised_words, steered_words

EVENTS: Final = Table(
    name="timeline_events",
    key={"task_id": "text", "position": "integer"},
    columns={
        "group_id": "text",
        "step_id": "text",
        "subject": "text",
        # Of a subagent: its own task, the events of which stand in its group, too.
        "child_task_id": "text",
        "at": "integer",
        "topic": "text",
        "outcome": "text",
        "details": "text",
        "actor": "text",
    },
)
"""The events of a task, except those of its actions that happen to each only once: `task_actions.py` has them."""

LATER: Final = Table(
    name="timeline_later",
    key={"subject": "text", "position": "integer"},
    columns={"at": "integer", "topic": "text", "outcome": "text", "details": "text", "actor": "text"},
)
"""What happened later to a question, a subagent or the session. It does not name the task; `subject` leads to it."""

TASK_GROUP: Final = "task"


def _line(recorded: Recorded[Event], outcome: str | None, details: str | None) -> dict[str, Scalar]:
    return {
        "at": micros(recorded.origin.at),
        "topic": recorded.event.TOPIC,
        "outcome": outcome,
        "details": details,
        "actor": recorded.origin.actor,
    }


# Actions, as far as something can happen to one again


def _again(recorded: Recorded[ActionEvent], outcome: str, details: str) -> Changes:
    event = recorded.event
    values = _line(recorded, outcome, details)
    values["group_id"] = event.action_id
    return (Put("timeline_events", (event.task_id, recorded.position), values),)


def _confirmation_required(recorded: Recorded[ActionConfirmationRequired]) -> Changes:
    event = recorded.event
    return _again(recorded, "waiting", event.changed or f"{event.decision.rule_id}: {event.decision.reason}")


def _started(recorded: Recorded[ActionStarted]) -> Changes:
    attempt = recorded.event.attempt
    return () if attempt == 1 else _again(recorded, "started", f"attempt {attempt}")


def _unknown(recorded: Recorded[ActionOutcomeUnknown]) -> Changes:
    return _again(recorded, "unknown", recorded.event.observed)


def _connection(recorded: Recorded[ConnectionDecided]) -> Changes:
    event = recorded.event
    host = f"{event.host}:{event.port}"
    if event.reason_code is not None:
        return _again(recorded, "denied", f"no connection to {host}: {event.reason}")
    return _again(recorded, "started", f"connection to {host} at {event.address}")


def _choose_action(event: type[ActionEvent]) -> OnEvent:
    if issubclass(event, ActionConfirmationRequired):
        return when(event, _confirmation_required)
    if issubclass(event, ActionStarted):
        return when(event, _started)
    if issubclass(event, ActionOutcomeUnknown):
        return when(event, _unknown)
    if issubclass(event, ConnectionDecided):
        return when(event, _connection)
    if issubclass(
        event, ActionProposed | ActionAllowed | ActionDenied | ActionDeclined | ActionSucceeded | ActionFailed
    ):
        return nothing
    assert_never(event)


# The task and its steps


def _life(recorded: Recorded[LifeEvent]) -> Changes:
    event = recorded.event
    values = _line(recorded, *_said(event))
    values["group_id"] = TASK_GROUP
    if isinstance(event, TaskQueued):
        values["subject"] = event.session_id
    if isinstance(event, StepBegun | StepSkipped):
        values["group_id"] = f"step:{event.step_id}"
        values["step_id"] = event.step_id
    elif isinstance(event, ChangesStaged | PathsClaimed):
        values["group_id"] = event.action_id
    return (Put("timeline_events", (event.task_id, recorded.position), values),)


def _said(event: LifeEvent) -> tuple[str | None, str | None]:
    """Return the event's outcome and its details."""
    match event:
        case StepBegun(actions=actions):
            return None, "nothing matched" if not actions else f"{actions} action{'' if actions == 1 else 's'}"
        case ChangesStaged(actions=actions):
            return None, f"{actions} change{'' if actions == 1 else 's'} to decide about"
        case StepSkipped(reason=reason, reason_code=code):
            return outcome_of_step_left_out(code), reason
        case TaskQueued(title=title):
            return "waiting", title
        case TaskPlanningStarted(planner=planner):
            return "started", planner
        case TaskPlanned(plan=plan):
            return "waiting", plan.title
        case TaskStarted() | TaskResumed():
            return "started", None
        case TaskAwaitingConfirmation(confirmation_ids=asked):
            return "waiting", ", ".join(asked)
        case TaskPaused(reason=reason) | TaskInterrupted(reason=reason):
            return "waiting", reason
        case TaskMessaged() | TaskSteered() | TaskProgressed() | UsageReported() | TaskBudgetRaised() | PathsClaimed():
            return None, _said_on_the_way(event)
        case TaskBudgetExhausted(of_task=of_task, measure=measure, bound=bound, needed=needed):
            return "waiting", exhausted_words(of_task, measure, bound, needed)
        case TaskCompleted(skipped=skipped):
            return "succeeded", f"skipped: {', '.join(skipped)}" if skipped else event.reason or None
        case TaskFailed(reason=reason):
            return "failed", reason
        case TaskBlocked(reason=reason):
            return "blocked", reason
        case TaskCancelled(reason=reason):
            return "cancelled", reason
        case _:
            assert_never(event)


def _said_on_the_way(
    event: TaskMessaged | TaskSteered | TaskProgressed | UsageReported | TaskBudgetRaised | PathsClaimed,
) -> str:
    match event:
        case TaskMessaged():
            return messaged_words(event)
        case TaskSteered():
            return steered_words(event)
        case TaskProgressed(running_ms=running_ms, settled=settled, actions=actions):
            return f"{settled} of {count_words(actions, 'action')} ended, {milliseconds_words(running_ms)} more at work"
        case UsageReported(tokens=tokens, cost_micros=cost, reported_by=by):
            return f"{', '.join(usage_words(Usage(tokens=tokens, cost_micros=cost)))}, says {by}"
        case TaskBudgetRaised():
            return raised_words(event)
        case PathsClaimed(places=places):
            # Their folders' names are the reader's to tell.
            return json_text(places)
        case _:
            assert_never(event)


# Questions, subagents, owners and the session


def _asked(recorded: Recorded[ConfirmationRequested]) -> Changes:
    event = recorded.event
    values = _line(recorded, "waiting", event.card.headline)
    values["group_id"] = event.items[0].action_id if len(event.items) == 1 else f"step:{event.step_id}"
    values["step_id"] = event.step_id
    values["subject"] = event.confirmation_id
    return (Put("timeline_events", (event.task_id, recorded.position), values),)


def _answered(recorded: Recorded[ConfirmationApproved | ConfirmationRejected]) -> Changes:
    event = recorded.event
    word = "approved" if isinstance(event, ConfirmationApproved) else "rejected"
    found = event.finding.replace("_", " ") if isinstance(event, ConfirmationApproved) else ""
    by = f"by {event.answered_by}{f', {found}' if found else ''}"
    details = f"{by}: {event.note}" if event.note else by
    return (Put("timeline_later", (event.confirmation_id, recorded.position), _line(recorded, word, details)),)


def _expired(recorded: Recorded[ConfirmationExpired]) -> Changes:
    line = _line(recorded, "expired", "nobody answered in time")
    return (Put("timeline_later", (recorded.event.confirmation_id, recorded.position), line),)


def _withdrawn(recorded: Recorded[ConfirmationWithdrawn]) -> Changes:
    line = _line(recorded, "withdrawn", recorded.event.reason)
    return (Put("timeline_later", (recorded.event.confirmation_id, recorded.position), line),)


def _spawned(recorded: Recorded[SubagentSpawned]) -> Changes:
    event = recorded.event
    values = _line(recorded, "started", event.title)
    values["group_id"] = values["subject"] = event.subagent_id
    values["child_task_id"] = event.task_id
    return (Put("timeline_events", (event.parent_task_id, recorded.position), values),)


def _reported(recorded: Recorded[SubagentReported]) -> Changes:
    # That it ended by itself does not say how: its task's own last event does.
    line = _line(recorded, None, recorded.event.report)
    return (Put("timeline_later", (recorded.event.subagent_id, recorded.position), line),)


def _stopped(recorded: Recorded[SubagentStopped]) -> Changes:
    line = _line(recorded, "cancelled", recorded.event.reason)
    return (Put("timeline_later", (recorded.event.subagent_id, recorded.position), line),)


def _claimed(recorded: Recorded[TaskClaimed]) -> Changes:
    event = recorded.event
    values = _line(recorded, None, f"carried on by {event.owner}, cowork {event.engine}")
    values["group_id"] = TASK_GROUP
    return (Put("timeline_events", (event.task_id, recorded.position), values),)


def _root_allowed(recorded: Recorded[RootAllowed]) -> Changes:
    event = recorded.event
    line = _line(recorded, None, f"by {ROOT_ALLOWANCES[event.allowed_by]}")
    return (Put("timeline_later", (event.session_id, recorded.position), line),)


def _choose(event: type[AnyEvent]) -> OnEvent:
    if issubclass(event, ActionEvent):
        return _choose_action(event)
    if issubclass(event, LifeEvent):
        return when(event, _life)
    if issubclass(event, ConfirmationRequested):
        return when(event, _asked)
    if issubclass(event, ConfirmationApproved | ConfirmationRejected):
        return when(event, _answered)
    if issubclass(event, ConfirmationExpired):
        return when(event, _expired)
    if issubclass(event, ConfirmationWithdrawn):
        return when(event, _withdrawn)
    if issubclass(event, SubagentSpawned):
        return when(event, _spawned)
    if issubclass(event, SubagentReported):
        return when(event, _reported)
    if issubclass(event, SubagentStopped):
        return when(event, _stopped)
    if issubclass(event, TaskClaimed):
        return when(event, _claimed)
    if issubclass(event, RootAllowed):
        return when(event, _root_allowed)
    if issubclass(event, SessionStarted | PolicyAdopted | GrantAdded | SessionEnded | GrantEvent | MachineEvent):
        return nothing
    assert_never(event)


TASK_TIMELINE: Final = Fold("task_timeline", 3, (EVENTS, LATER), _choose)
