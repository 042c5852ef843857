"""What a task did, as rows: its steps, actions, changes to files, questions and subagents, each with event positions.

The reader that makes a `TaskSummary` of them is `summary_report.py`.
"""

from typing import Final, TypeAlias, assert_never

from ..domain.confirmation import (
    ConfirmationApproved,
    ConfirmationExpired,
    ConfirmationRejected,
    ConfirmationRequested,
    ConfirmationWithdrawn,
)
from ..domain.effect import Effect
from ..domain.event import Recorded
from ..domain.grant import GrantEvent
from ..domain.session import SessionEvent
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
    EndEvent,
    LifeEvent,
    StepBegun,
    StepSkipped,
    TaskAwaitingConfirmation,
    TaskPaused,
    TaskPlanned,
    TaskPlanningStarted,
    TaskQueued,
    TaskResumed,
    TaskStarted,
)
from ..domain.topics import AnyEvent
from .fold import Fold, OnEvent, nothing, when
from .outcome import outcome_of_refusal
from .row import Changes, Put, Scalar, Table, json_text, rfc3339
from .subject import SUBJECT_COLUMNS, subject_of

TASKS: Final = Table(
    name="summary_tasks",
    key={"task_id": "text"},
    columns={"session_id": "text", "title": "text", "queued_position": "integer", "ended_position": "integer"},
)
STEPS: Final = Table(
    name="summary_steps",
    key={"task_id": "text", "step_id": "text"},
    columns={
        "number": "integer",
        "title": "text",
        "description": "text",
        "planned_position": "integer",
        "begun_position": "integer",
        "actions": "integer",
        "skipped_because": "text",
        "skipped_position": "integer",
    },
)
ACTIONS: Final = Table(
    name="summary_actions",
    key={"task_id": "text", "action_id": "text"},
    columns={
        "step_id": "text",
        "at": "text",
        **SUBJECT_COLUMNS,
        "outcome": "text",
        "rule_id": "text",
        "reason": "text",
        "reason_code": "text",
        "result": "text",
        "recovered": "integer",
        "confirmation_id": "text",
        "proposed_position": "integer",
        "decided_position": "integer",
        "started_position": "integer",
        "ended_position": "integer",
    },
)
EFFECTS: Final = Table(
    name="summary_effects",
    key={"task_id": "text", "position": "integer", "number": "integer"},
    columns={
        "action_id": "text",
        "change": "text",
        "grant_id": "text",
        "path": "text",
        "previous_grant": "text",
        "previous_path": "text",
        "digest_before": "text",
        "digest_after": "text",
        "new_folders": "json",
    },
)
QUESTIONS: Final = Table(
    name="summary_questions",
    key={"confirmation_id": "text"},
    columns={
        "task_id": "text",
        "step_id": "text",
        "headline": "text",
        "answer": "text",
        "answered_by": "text",
        "note": "text",
        "requested_position": "integer",
        "answered_position": "integer",
    },
    indexes=(("task_id",),),
)
SUBAGENTS: Final = Table(
    name="summary_subagents",
    key={"subagent_id": "text"},
    columns={
        "task_id": "text",
        "title": "text",
        "report": "text",
        "stopped_because": "text",
        "spawned_position": "integer",
        "ended_position": "integer",
    },
    indexes=(("task_id",),),
)

# Actions


def _proposed(recorded: Recorded[ActionProposed]) -> Changes:
    event = recorded.event
    values = subject_of(event.action)
    values["step_id"] = event.step_id
    values["at"] = rfc3339(recorded.origin.at)
    values["outcome"] = "waiting"
    values["proposed_position"] = recorded.position
    return (Put("summary_actions", (event.task_id, event.action_id), values),)


def _decided(recorded: Recorded[ActionAllowed | ActionDenied | ActionConfirmationRequired]) -> Changes:
    event = recorded.event
    values: dict[str, Scalar] = {
        "rule_id": event.decision.rule_id,
        "reason": event.decision.reason,
        "reason_code": event.decision.reason_code,
        "decided_position": recorded.position,
        "outcome": "waiting",
    }
    if isinstance(event, ActionDenied):
        values["outcome"] = "denied"
        values["at"] = rfc3339(recorded.origin.at)
    elif isinstance(event, ActionConfirmationRequired):
        values["confirmation_id"] = event.confirmation_id
    return (Put("summary_actions", (event.task_id, event.action_id), values),)


def _started(recorded: Recorded[ActionStarted]) -> Changes:
    event = recorded.event
    values: dict[str, Scalar] = {"outcome": "started", "started_position": recorded.position}
    return (Put("summary_actions", (event.task_id, event.action_id), values),)


def _ended(recorded: Recorded[ActionEvent], outcome: str) -> dict[str, Scalar]:
    return {"outcome": outcome, "at": rfc3339(recorded.origin.at), "ended_position": recorded.position}


def _declined(recorded: Recorded[ActionDeclined]) -> Changes:
    event = recorded.event
    values = _ended(recorded, outcome_of_refusal(event.reason_code))
    values["reason"] = event.reason
    values["reason_code"] = event.reason_code
    return (Put("summary_actions", (event.task_id, event.action_id), values),)


def _failed(recorded: Recorded[ActionFailed]) -> Changes:
    event = recorded.event
    values = _ended(recorded, "failed")
    values["reason"] = event.reason
    values["reason_code"] = event.reason_code
    return (Put("summary_actions", (event.task_id, event.action_id), values),)


def _unknown(recorded: Recorded[ActionOutcomeUnknown]) -> Changes:
    event = recorded.event
    values = _ended(recorded, "unknown")
    values["reason"] = event.observed
    values["reason_code"] = "unknown"
    return (Put("summary_actions", (event.task_id, event.action_id), values),)


def _succeeded(recorded: Recorded[ActionSucceeded]) -> Changes:
    event = recorded.event
    values = _ended(recorded, "succeeded")
    if event.result is not None:
        values["result"] = event.result.summary
    if event.recovered:
        values["recovered"] = 1
    done = Put("summary_actions", (event.task_id, event.action_id), values)
    if not event.effects:
        return (done,)
    return (done, *(_effect(recorded, number, effect) for number, effect in enumerate(event.effects)))


def _effect(recorded: Recorded[ActionSucceeded], number: int, effect: Effect) -> Put:
    previous = effect.previous
    values: dict[str, Scalar] = {
        "action_id": recorded.event.action_id,
        "change": effect.change,
        "grant_id": effect.at.grant_id,
        "path": effect.at.path,
        "previous_grant": None if previous is None else previous.grant_id,
        "previous_path": None if previous is None else previous.path,
        "digest_before": effect.before,
        "digest_after": effect.after,
        "new_folders": json_text(effect.new_folders) if effect.new_folders else None,
    }
    return Put("summary_effects", (recorded.event.task_id, recorded.position, number), values)


def _choose_action(event: type[ActionEvent]) -> OnEvent:
    if issubclass(event, ActionProposed):
        return when(event, _proposed)
    if issubclass(event, ActionAllowed | ActionDenied | ActionConfirmationRequired):
        return when(event, _decided)
    if issubclass(event, ActionDeclined):
        return when(event, _declined)
    if issubclass(event, ActionStarted):
        return when(event, _started)
    if issubclass(event, ActionSucceeded):
        return when(event, _succeeded)
    if issubclass(event, ActionFailed):
        return when(event, _failed)
    if issubclass(event, ActionOutcomeUnknown):
        return when(event, _unknown)
    assert_never(event)


# The task and its steps


def _queued(recorded: Recorded[TaskQueued]) -> Changes:
    event = recorded.event
    values: dict[str, Scalar] = {
        "session_id": event.session_id,
        "title": event.title,
        "queued_position": recorded.position,
    }
    return (Put("summary_tasks", (event.task_id,), values),)


def _task_ended(recorded: Recorded[EndEvent]) -> Changes:
    return (Put("summary_tasks", (recorded.event.task_id,), {"ended_position": recorded.position}),)


def _planned(recorded: Recorded[TaskPlanned]) -> Changes:
    event = recorded.event
    return tuple(
        Put(
            "summary_steps",
            (event.task_id, step.step_id),
            {
                "number": number,
                "title": step.title,
                "description": step.description,
                "planned_position": recorded.position,
            },
        )
        for number, step in enumerate(event.plan.steps, start=1)
    )


def _step_begun(recorded: Recorded[StepBegun]) -> Changes:
    event = recorded.event
    values: dict[str, Scalar] = {"begun_position": recorded.position, "actions": event.actions}
    return (Put("summary_steps", (event.task_id, event.step_id), values),)


def _step_skipped(recorded: Recorded[StepSkipped]) -> Changes:
    event = recorded.event
    values: dict[str, Scalar] = {"skipped_because": event.reason, "skipped_position": recorded.position}
    return (Put("summary_steps", (event.task_id, event.step_id), values),)


def _choose_life(event: type[LifeEvent]) -> OnEvent:
    if issubclass(event, TaskQueued):
        return when(event, _queued)
    if issubclass(event, TaskPlanned):
        return when(event, _planned)
    if issubclass(event, StepBegun):
        return when(event, _step_begun)
    if issubclass(event, StepSkipped):
        return when(event, _step_skipped)
    if issubclass(event, EndEvent):
        return when(event, _task_ended)
    if issubclass(event, TaskPlanningStarted | TaskStarted | TaskAwaitingConfirmation | TaskPaused | TaskResumed):
        return nothing
    assert_never(event)


# Questions and subagents


def _asked(recorded: Recorded[ConfirmationRequested]) -> Changes:
    event = recorded.event
    values: dict[str, Scalar] = {
        "task_id": event.task_id,
        "step_id": event.step_id,
        "headline": event.card.headline,
        "answer": "pending",
        "requested_position": recorded.position,
    }
    return (Put("summary_questions", (event.confirmation_id,), values),)


Answer: TypeAlias = ConfirmationApproved | ConfirmationRejected | ConfirmationExpired | ConfirmationWithdrawn


def _answered(recorded: Recorded[Answer]) -> Changes:
    event = recorded.event
    values: dict[str, Scalar] = {"answered_position": recorded.position}
    match event:
        case ConfirmationApproved():
            values |= {"answer": "approved", "answered_by": event.answered_by, "note": event.note}
        case ConfirmationRejected():
            values |= {"answer": "rejected", "answered_by": event.answered_by, "note": event.note}
        case ConfirmationExpired():
            values |= {"answer": "expired"}
        case ConfirmationWithdrawn():
            values |= {"answer": "withdrawn", "note": event.reason}
        case _:
            assert_never(event)
    return (Put("summary_questions", (event.confirmation_id,), values),)


def _spawned(recorded: Recorded[SubagentSpawned]) -> Changes:
    event = recorded.event
    values: dict[str, Scalar] = {
        "task_id": event.task_id,
        "title": event.title,
        "spawned_position": recorded.position,
    }
    return (Put("summary_subagents", (event.subagent_id,), values),)


def _subagent_ended(recorded: Recorded[SubagentReported | SubagentStopped]) -> Changes:
    event = recorded.event
    column = "report" if isinstance(event, SubagentReported) else "stopped_because"
    words = event.report if isinstance(event, SubagentReported) else event.reason
    values: dict[str, Scalar] = {column: words, "ended_position": recorded.position}
    return (Put("summary_subagents", (event.subagent_id,), values),)


def _choose(event: type[AnyEvent]) -> OnEvent:
    if issubclass(event, ActionEvent):
        return _choose_action(event)
    if issubclass(event, LifeEvent):
        return _choose_life(event)
    if issubclass(event, ConfirmationRequested):
        return when(event, _asked)
    if issubclass(event, Answer):
        return when(event, _answered)
    if issubclass(event, SubagentSpawned):
        return when(event, _spawned)
    if issubclass(event, SubagentReported | SubagentStopped):
        return when(event, _subagent_ended)
    if issubclass(event, SessionEvent | GrantEvent):
        return nothing
    assert_never(event)


TASK_SUMMARY: Final = Fold("task_summary", 1, (TASKS, STEPS, ACTIONS, EFFECTS, QUESTIONS, SUBAGENTS), _choose)
