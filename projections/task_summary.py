"""What a summary needs beside the actions, as rows: steps, questions and subagents, each with event positions.

The reader that makes a `TaskSummary` of them and of `task_actions.py` is `summary_report.py`.
"""

from typing import Final, TypeAlias, assert_never

from ..domain.confirmation import (
    ConfirmationApproved,
    ConfirmationExpired,
    ConfirmationRejected,
    ConfirmationRequested,
    ConfirmationWithdrawn,
)
from ..domain.event import Recorded
from ..domain.grant import GrantEvent
from ..domain.session import SessionEvent
from ..domain.subagent import SubagentReported, SubagentSpawned, SubagentStopped
from ..domain.task import (
    ActionEvent,
    ChangesStaged,
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
from ..domain.topics import AnyEvent, MachineEvent
from .fold import Fold, OnEvent, nothing, when
from .row import Changes, Put, Scalar, Table

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
        "skipped_code": "text",
        "skipped_position": "integer",
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


def _changes_staged(recorded: Recorded[ChangesStaged]) -> Changes:
    event = recorded.event
    return (Put("summary_steps", (event.task_id, event.step_id), {"actions": event.step_actions}),)


def _step_skipped(recorded: Recorded[StepSkipped]) -> Changes:
    event = recorded.event
    values: dict[str, Scalar] = {
        "skipped_because": event.reason,
        "skipped_code": event.reason_code,
        "skipped_position": recorded.position,
    }
    return (Put("summary_steps", (event.task_id, event.step_id), values),)


def _choose_life(event: type[LifeEvent]) -> OnEvent:
    if issubclass(event, TaskQueued):
        return when(event, _queued)
    if issubclass(event, TaskPlanned):
        return when(event, _planned)
    if issubclass(event, StepBegun):
        return when(event, _step_begun)
    if issubclass(event, ChangesStaged):
        return when(event, _changes_staged)
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
    if issubclass(event, ActionEvent | SessionEvent | GrantEvent | MachineEvent):
        return nothing
    assert_never(event)


TASK_SUMMARY: Final = Fold("task_summary", 2, (TASKS, STEPS, QUESTIONS, SUBAGENTS), _choose)
