"""Tasks, their status and what they wait for: one row a task, and one a step of which something is known."""

from collections.abc import Sequence
from typing import Final, TypeAlias, assert_never

import msgspec

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
from ..domain.subagent import SubagentEvent
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
    ChangesStaged,
    ConnectionDecided,
    StepBegun,
    StepSkipped,
    TaskAwaitingConfirmation,
    TaskBlocked,
    TaskCancelled,
    TaskCompleted,
    TaskEvent,
    TaskFailed,
    TaskPaused,
    TaskPlanned,
    TaskPlanningStarted,
    TaskQueued,
    TaskResumed,
    TaskStarted,
    TaskStatus,
)
from ..domain.topics import AnyEvent, MachineEvent
from .fold import Fold, OnEvent, nothing, when
from .row import Changes, Put, Row, Scalar, Table, json_text, micros, number_of, text_of, texts_of, time_of
from .task_plan import TaskPlan, plan_shape, with_what_happened

TASKS: Final = Table(
    name="tasks",
    key={"task_id": "text"},
    columns={
        "session_id": "text",
        "parent_task_id": "text",
        "title": "text",
        "prompt": "text",
        "planner": "text",
        "status": "text",
        "waiting_for": "json",
        "reason": "text",
        "skipped": "json",
        "plan": "json",
        "policy_digest": "text",
        "created_at": "integer",
        "updated_at": "integer",
        "created_position": "integer",
        "updated_position": "integer",
    },
    indexes=(("session_id",), ("status",)),
)
STEPS: Final = Table(
    name="task_steps",
    key={"task_id": "text", "step_id": "text"},
    columns={"begun": "integer", "asked": "integer", "actions": "integer", "skipped_because": "text"},
)


class Task(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The JSON object `Task`. `waiting_for` are the confirmations that it waits for, or the reason for its pause.

    `reason` is why it ended as it did; `position` that of the last event that was about it.
    """

    task_id: str
    session_id: str
    title: str
    prompt: str
    status: TaskStatus
    created_at: str
    updated_at: str
    waiting_for: tuple[str, ...] = ()
    reason: str = ""
    skipped: tuple[str, ...] = ()
    policy_digest: str = ""
    parent_task_id: str | None = None
    plan: TaskPlan | None = None
    position: int


def _touch(recorded: Recorded[TaskEvent], values: dict[str, Scalar]) -> Put:
    values["updated_at"] = micros(recorded.origin.at)
    values["updated_position"] = recorded.position
    return Put("tasks", (recorded.event.task_id,), values)


def _queued(recorded: Recorded[TaskQueued]) -> Changes:
    event = recorded.event
    return (
        _touch(
            recorded,
            {
                "session_id": event.session_id,
                "parent_task_id": event.parent_task_id,
                "title": event.title,
                "prompt": event.prompt,
                "status": "queued",
                "created_at": micros(recorded.origin.at),
                "created_position": recorded.position,
            },
        ),
    )


def _planning(recorded: Recorded[TaskPlanningStarted]) -> Changes:
    return (_touch(recorded, {"status": "planning", "planner": recorded.event.planner}),)


def _planned(recorded: Recorded[TaskPlanned]) -> Changes:
    shape = plan_shape(recorded.event.task_id, recorded.event.plan, recorded.origin.at)
    return (_touch(recorded, {"status": "ready", "plan": json_text(shape)}),)


def _running(recorded: Recorded[TaskStarted | TaskResumed]) -> Changes:
    return (_touch(recorded, {"status": "running", "waiting_for": None}),)


def _awaiting(recorded: Recorded[TaskAwaitingConfirmation]) -> Changes:
    asked = json_text(recorded.event.confirmation_ids)
    return (_touch(recorded, {"status": "awaiting_confirmation", "waiting_for": asked}),)


def _paused(recorded: Recorded[TaskPaused]) -> Changes:
    return (_touch(recorded, {"status": "paused", "waiting_for": json_text([recorded.event.reason])}),)


def _completed(recorded: Recorded[TaskCompleted]) -> Changes:
    skipped = recorded.event.skipped
    status: TaskStatus = "completed_with_skips" if skipped else "completed"
    return (_ended(recorded, status, recorded.event.reason, json_text(skipped)),)


def _failed(recorded: Recorded[TaskFailed]) -> Changes:
    return (_ended(recorded, "failed", recorded.event.reason),)


def _blocked(recorded: Recorded[TaskBlocked]) -> Changes:
    return (_ended(recorded, "blocked", recorded.event.reason),)


def _cancelled(recorded: Recorded[TaskCancelled]) -> Changes:
    return (_ended(recorded, "cancelled", recorded.event.reason),)


def _ended(recorded: Recorded[TaskEvent], status: TaskStatus, reason: str, skipped: str | None = None) -> Put:
    return _touch(recorded, {"status": status, "waiting_for": None, "reason": reason, "skipped": skipped})


def _step_begun(recorded: Recorded[StepBegun]) -> Changes:
    event = recorded.event
    begun = Put("task_steps", (event.task_id, event.step_id), {"begun": recorded.position, "actions": event.actions})
    return (_touch(recorded, {}), begun)


def _changes_staged(recorded: Recorded[ChangesStaged]) -> Changes:
    event = recorded.event
    more = Put("task_steps", (event.task_id, event.step_id), {"actions": event.step_actions})
    return (_touch(recorded, {}), more)


def _step_skipped(recorded: Recorded[StepSkipped]) -> Changes:
    event = recorded.event
    left_out: dict[str, Scalar] = {"begun": recorded.position, "skipped_because": event.reason}
    return (_touch(recorded, {}), Put("task_steps", (event.task_id, event.step_id), left_out))


def _decided(recorded: Recorded[ActionAllowed | ActionDenied | ActionConfirmationRequired]) -> Changes:
    return (_touch(recorded, {"policy_digest": recorded.event.decision.policy_digest}),)


def _action(
    recorded: Recorded[
        ActionProposed
        | ActionDeclined
        | ActionStarted
        | ConnectionDecided
        | ActionSucceeded
        | ActionFailed
        | ActionOutcomeUnknown
    ],
) -> Changes:
    return (_touch(recorded, {}),)


def _asked(recorded: Recorded[ConfirmationRequested]) -> Changes:
    event = recorded.event
    return (Put("task_steps", (event.task_id, event.step_id), {"asked": recorded.position}),)


Answer: TypeAlias = ConfirmationApproved | ConfirmationRejected | ConfirmationExpired | ConfirmationWithdrawn


def _choose(event: type[AnyEvent]) -> OnEvent:
    if issubclass(event, ActionAllowed | ActionDenied | ActionConfirmationRequired):
        return when(event, _decided)
    if issubclass(
        event,
        ActionProposed
        | ActionDeclined
        | ActionStarted
        | ConnectionDecided
        | ActionSucceeded
        | ActionFailed
        | ActionOutcomeUnknown,
    ):
        return when(event, _action)
    if issubclass(event, ChangesStaged):
        return when(event, _changes_staged)
    if issubclass(event, StepBegun):
        return when(event, _step_begun)
    if issubclass(event, StepSkipped):
        return when(event, _step_skipped)
    if issubclass(event, TaskQueued):
        return when(event, _queued)
    if issubclass(event, TaskPlanningStarted):
        return when(event, _planning)
    if issubclass(event, TaskPlanned):
        return when(event, _planned)
    if issubclass(event, TaskStarted | TaskResumed):
        return when(event, _running)
    if issubclass(event, TaskAwaitingConfirmation):
        return when(event, _awaiting)
    if issubclass(event, TaskPaused):
        return when(event, _paused)
    if issubclass(event, TaskCompleted):
        return when(event, _completed)
    if issubclass(event, TaskFailed):
        return when(event, _failed)
    if issubclass(event, TaskBlocked):
        return when(event, _blocked)
    if issubclass(event, TaskCancelled):
        return when(event, _cancelled)
    if issubclass(event, ConfirmationRequested):
        return when(event, _asked)
    if issubclass(event, Answer | SessionEvent | GrantEvent | SubagentEvent | MachineEvent):
        return nothing
    assert_never(event)


TASK_STATUS: Final = Fold("task_status", 2, (TASKS, STEPS), _choose)


def task_of(row: Row, steps: Sequence[Row] = ()) -> Task:
    """Return the JSON object of a row of `tasks`; `steps` are the rows of `task_steps` of the same task."""
    plan = text_of(row, "plan")
    return Task(
        task_id=text_of(row, "task_id"),
        session_id=text_of(row, "session_id"),
        title=text_of(row, "title"),
        prompt=text_of(row, "prompt"),
        status=_status(text_of(row, "status")),
        created_at=time_of(row, "created_at"),
        updated_at=time_of(row, "updated_at"),
        waiting_for=texts_of(row, "waiting_for"),
        reason=text_of(row, "reason"),
        skipped=texts_of(row, "skipped"),
        policy_digest=text_of(row, "policy_digest"),
        parent_task_id=text_of(row, "parent_task_id") or None,
        plan=with_what_happened(msgspec.json.decode(plan, type=TaskPlan), steps) if plan else None,
        position=number_of(row, "updated_position"),
    )


def _status(text: str) -> TaskStatus:
    status: TaskStatus = msgspec.convert(text, TaskStatus)
    return status
