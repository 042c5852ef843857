"""What a summary needs beside the actions, as rows: steps, questions, subagents and what a person changed on the way.

Each row has event positions. The reader that makes a `TaskSummary` of them and of `task_actions.py` is
`summary_report.py`.
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
from ..domain.ownership import OwnershipEvent
from ..domain.session import SessionEvent
from ..domain.subagent import SubagentReported, SubagentSpawned, SubagentStopped
from ..domain.task import (
    ActionEvent,
    ChangesStaged,
    EndEvent,
    LifeEvent,
    PathsClaimed,
    StepBegun,
    StepSkipped,
    TaskAwaitingConfirmation,
    TaskBudgetExhausted,
    TaskBudgetRaised,
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
from .budget_words import exhausted_words, top_up_command
from .fold import Fold, OnEvent, nothing, when
from .row import Changes, Put, Scalar, Table, json_text, micros
from .status_change import status_after
from .steering_words import raised_words

TASKS: Final = Table(
    name="summary_tasks",
    key={"task_id": "text"},
    columns={
        "session_id": "text",
        "parent_task_id": "text",
        "title": "text",
        "status": "text",
        "reason": "text",
        # What gives it room again, while a budget is used up.
        "to_do": "text",
        "queued_position": "integer",
        # The last event that gave it its status.
        "status_position": "integer",
        "ended_position": "integer",
    },
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
        "dropped_position": "integer",
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
        "finding": "text",
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
        # Whose subagent it is, and its own task.
        "task_id": "text",
        "child_task_id": "text",
        "action_id": "text",
        "depth": "integer",
        "title": "text",
        "report": "text",
        "stopped_because": "text",
        "spawned_position": "integer",
        "ended_position": "integer",
    },
    indexes=(("task_id",),),
)
COURSE: Final = Table(
    name="summary_course",
    key={"task_id": "text", "position": "integer"},
    columns={
        "at": "integer",
        "kind": "text",
        "said_by": "text",
        "text": "text",
        "added": "json",
        "changed": "json",
        "dropped": "json",
    },
)
"""What a person changed on the way: messages, other plans, more room; and where the task was stopped."""

# The task and its steps


def _task(recorded: Recorded[LifeEvent], values: dict[str, Scalar]) -> Put:
    """Return what an event makes of the task's row: its status, why it has it, and since when."""
    status = status_after(recorded.event)
    if status is not None:
        values = {"reason": None, "to_do": None, "status": status, "status_position": recorded.position, **values}
    return Put("summary_tasks", (recorded.event.task_id,), values)


def _queued(recorded: Recorded[TaskQueued]) -> Changes:
    event = recorded.event
    values: dict[str, Scalar] = {
        "session_id": event.session_id,
        "parent_task_id": event.parent_task_id,
        "title": event.title,
        "queued_position": recorded.position,
    }
    return (_task(recorded, values),)


def _gone_on(
    recorded: Recorded[TaskPlanningStarted | TaskStarted | TaskAwaitingConfirmation | TaskResumed],
) -> Changes:
    return (_task(recorded, {}),)


def _stopped(recorded: Recorded[TaskPaused | TaskInterrupted]) -> Changes:
    event = recorded.event
    kind = "paused" if isinstance(event, TaskPaused) else "interrupted"
    line = _course(recorded, kind, said_by=recorded.origin.actor, text=event.reason)
    return (_task(recorded, {"reason": event.reason}), line)


def _exhausted(recorded: Recorded[TaskBudgetExhausted]) -> Changes:
    event = recorded.event
    why = exhausted_words(event.of_task, event.measure, event.bound, event.needed)
    to_do = top_up_command(event.of_task, event.measure, event.bound, event.needed)
    return (_task(recorded, {"reason": why, "to_do": to_do}), _course(recorded, "budget_exhausted", text=why))


def _task_ended(recorded: Recorded[EndEvent]) -> Changes:
    return (_task(recorded, {"reason": recorded.event.reason, "ended_position": recorded.position}),)


def _course(recorded: Recorded[LifeEvent], kind: str, **values: Scalar) -> Put:
    line: dict[str, Scalar] = {"at": micros(recorded.origin.at), "kind": kind, **values}
    return Put("summary_course", (recorded.event.task_id, recorded.position), line)


def _messaged(recorded: Recorded[TaskMessaged]) -> Changes:
    event = recorded.event
    kind = "message" if event.strategy == "steer" else "message_for_later"
    return (_course(recorded, kind, said_by=event.said_by, text=event.text),)


def _raised(recorded: Recorded[TaskBudgetRaised]) -> Changes:
    return (_course(recorded, "budget_raised", said_by=recorded.origin.actor, text=raised_words(recorded.event)),)


def _steered(recorded: Recorded[TaskSteered]) -> Changes:
    event = recorded.event
    line = _course(
        recorded,
        "steered",
        said_by=event.said_by,
        text=event.plan.title,
        added=json_text(event.added),
        changed=json_text(event.changed),
        dropped=json_text(event.dropped),
    )
    new = {*event.added, *event.changed}
    changes: list[Put] = [line]
    for number, step in enumerate(event.plan.steps, start=1):
        values: dict[str, Scalar] = {
            "number": number,
            "title": step.title,
            "description": step.description,
            "dropped_position": recorded.position if step.step_id in event.dropped else None,
        }
        if step.step_id in new:
            values["planned_position"] = recorded.position
        changes.append(Put("summary_steps", (event.task_id, step.step_id), values))
    planned = {step.step_id for step in event.plan.steps}
    gone: dict[str, Scalar] = {"dropped_position": recorded.position}
    changes += (Put("summary_steps", (event.task_id, one), gone) for one in event.dropped if one not in planned)
    return tuple(changes)


def _planned(recorded: Recorded[TaskPlanned]) -> Changes:
    event = recorded.event
    steps = (
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
    return (_task(recorded, {}), *steps)


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
    if issubclass(event, TaskPlanningStarted | TaskStarted | TaskAwaitingConfirmation | TaskResumed):
        return when(event, _gone_on)
    if issubclass(event, TaskPaused | TaskInterrupted):
        return when(event, _stopped)
    if issubclass(event, TaskBudgetExhausted):
        return when(event, _exhausted)
    if issubclass(event, TaskMessaged):
        return when(event, _messaged)
    if issubclass(event, TaskSteered):
        return when(event, _steered)
    if issubclass(event, TaskBudgetRaised):
        return when(event, _raised)
    if issubclass(event, TaskProgressed | UsageReported | PathsClaimed):
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
            values |= {"finding": event.finding} if event.finding else {}
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
        "task_id": event.parent_task_id,
        "child_task_id": event.task_id,
        "action_id": event.action_id,
        "depth": event.depth,
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
    if issubclass(event, ActionEvent | SessionEvent | GrantEvent | OwnershipEvent | MachineEvent):
        return nothing
    assert_never(event)


TASK_SUMMARY: Final = Fold("task_summary", 3, (TASKS, STEPS, QUESTIONS, SUBAGENTS, COURSE), _choose)
