"""Tasks, their status and what they wait for: one row a task, and one a step of which something is known."""

from collections.abc import Sequence
from typing import Final, assert_never

import msgspec

from ..domain.budget import Budget, Measure
from ..domain.confirmation import ConfirmationEvent, ConfirmationRequested
from ..domain.event import Recorded
from ..domain.grant import GrantEvent
from ..domain.ids import root_task_id, task_chain
from ..domain.ownership import TaskClaimed
from ..domain.session import SessionEvent
from ..domain.subagent import SubagentEvent
from ..domain.task import (
    ActionAllowed,
    ActionConfirmationRequired,
    ActionDenied,
    ActionEvent,
    ChangesStaged,
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
    TaskEvent,
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
    TaskStatus,
    TaskSteered,
    UsageReported,
)
from ..domain.topics import AnyEvent, MachineEvent
from .budget_words import exhausted_words, top_up_command
from .fold import Fold, OnEvent, nothing, when
from .row import Changes, Put, Row, Scalar, Table, json_text, micros, number_of, rfc3339, text_of, texts_of, time_of
from .status_change import status_after
from .task_plan import TaskPlan, plan_shape, with_what_happened
from .usage_report import TaskUsage

TASKS: Final = Table(
    name="tasks",
    key={"task_id": "text"},
    columns={
        "session_id": "text",
        # The task that a person started: all of its subagents' tasks have it, too.
        "root_task_id": "text",
        "parent_task_id": "text",
        "subagent_id": "text",
        "title": "text",
        "prompt": "text",
        "priority": "integer",
        "undoes": "text",
        "planner": "text",
        "status": "text",
        "interrupted": "integer",
        "waiting_for": "json",
        "exhausted": "json",
        "reason": "text",
        "skipped": "json",
        "plan": "json",
        "progress": "json",
        "budget": "json",
        "owner": "text",
        "policy_digest": "text",
        "created_at": "integer",
        "updated_at": "integer",
        "created_position": "integer",
        "updated_position": "integer",
    },
    indexes=(("session_id",), ("status",), ("root_task_id",)),
)
STEPS: Final = Table(
    name="task_steps",
    key={"task_id": "text", "step_id": "text"},
    columns={"begun": "integer", "asked": "integer", "actions": "integer", "skipped_because": "text"},
)


class Exhausted(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Which bound keeps a task from going on. `of_task` is whose it is: its own, or that of one above or beneath it.

    `bound` and `needed` are in the unit of `measure`; `to_do` is the command that gives it room for the next action.
    """

    of_task: str
    measure: Measure
    bound: int
    needed: int
    reason: str
    to_do: str


class TaskProgress(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How far a task was when it last said so (`at`): how many of its actions and steps had ended."""

    at: str
    actions: int
    settled: int
    steps: int
    steps_settled: int


class Task(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The JSON object `Task`.

    `waiting_for` are the confirmations that it waits for (its own and its subagents'), the reason for its pause, or
    which budget is used up. A task that is paused was stopped after the actions at hand, or, where it is `interrupted`,
    in the middle of them. `depth` is 0 for a task that a person started, 1 for a subagent's, and so on. `reason` is why
    it ended as it did; `position` that of the last event that was about it. `usage` is there where one task is shown.
    """

    task_id: str
    session_id: str
    title: str
    prompt: str
    status: TaskStatus
    created_at: str
    updated_at: str
    waiting_for: tuple[str, ...] = ()
    interrupted: bool = False
    exhausted: Exhausted | None = None
    reason: str = ""
    skipped: tuple[str, ...] = ()
    policy_digest: str = ""
    parent_task_id: str | None = None
    root_task_id: str = ""
    subagent_id: str | None = None
    depth: int = 0
    priority: int = 0
    undoes: str | None = None
    budget: Budget
    progress: TaskProgress | None = None
    usage: TaskUsage | None = None
    owner: str | None = None
    plan: TaskPlan | None = None
    position: int


def _touch(recorded: Recorded[TaskEvent], values: dict[str, Scalar]) -> Put:
    values["updated_at"] = micros(recorded.origin.at)
    values["updated_position"] = recorded.position
    return Put("tasks", (recorded.event.task_id,), values)


def _life(recorded: Recorded[LifeEvent]) -> Changes:
    values = _life_values(recorded)
    status = status_after(recorded.event)
    if status is not None:
        # Whatever it waited for, it does so no longer, except for what this event says.
        waits_no_more: dict[str, Scalar] = {"waiting_for": None, "interrupted": None, "exhausted": None}
        values = {"status": status, **waits_no_more, **values}
    return (_touch(recorded, values),)


def _life_values(recorded: Recorded[LifeEvent]) -> dict[str, Scalar]:
    event = recorded.event
    match event:
        case TaskQueued():
            return _queued(event, recorded)
        case TaskPlanningStarted(planner=planner):
            return {"planner": planner}
        case TaskPlanned(plan=plan) | TaskSteered(plan=plan):
            return {"plan": json_text(plan_shape(event.task_id, plan, recorded.origin.at))}
        case TaskAwaitingConfirmation(confirmation_ids=asked):
            return {"waiting_for": json_text(asked)}
        case TaskPaused(reason=reason):
            return {"waiting_for": json_text([reason])}
        case TaskInterrupted(reason=reason):
            return {"waiting_for": json_text([reason]), "interrupted": 1}
        case TaskBudgetExhausted(of_task=of_task, measure=measure, bound=bound, needed=needed):
            why = exhausted_words(of_task, measure, bound, needed)
            exhausted = Exhausted(
                of_task=of_task,
                measure=measure,
                bound=bound,
                needed=needed,
                reason=why,
                to_do=top_up_command(of_task, measure, bound, needed),
            )
            return {"waiting_for": json_text([why]), "exhausted": json_text(exhausted)}
        case TaskBudgetRaised(budget=budget):
            return {"budget": json_text(budget)}
        case TaskProgressed():
            return {"progress": json_text(_progress(event, recorded))}
        case TaskCompleted(skipped=skipped):
            return {"reason": event.reason, "skipped": json_text(skipped)}
        case TaskFailed(reason=reason) | TaskBlocked(reason=reason) | TaskCancelled(reason=reason):
            return {"reason": reason, "skipped": None}
        case TaskStarted() | TaskResumed() | TaskMessaged() | UsageReported() | PathsClaimed():
            return {}
        case StepBegun() | StepSkipped() | ChangesStaged():
            return {}
        case _:
            assert_never(event)


def _queued(event: TaskQueued, recorded: Recorded[LifeEvent]) -> dict[str, Scalar]:
    return {
        "session_id": event.session_id,
        "root_task_id": root_task_id(event.task_id),
        "parent_task_id": event.parent_task_id,
        "subagent_id": event.subagent_id,
        "title": event.title,
        "prompt": event.prompt,
        "priority": event.priority,
        "undoes": event.undoes,
        "budget": json_text(event.budget),
        "created_at": micros(recorded.origin.at),
        "created_position": recorded.position,
    }


def _progress(event: TaskProgressed, recorded: Recorded[LifeEvent]) -> TaskProgress:
    return TaskProgress(
        at=rfc3339(recorded.origin.at),
        actions=event.actions,
        settled=event.settled,
        steps=event.steps,
        steps_settled=event.steps_settled,
    )


def _claimed(recorded: Recorded[TaskClaimed]) -> Changes:
    return (Put("tasks", (recorded.event.task_id,), {"owner": recorded.event.owner}),)


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


def _action(recorded: Recorded[ActionEvent]) -> Changes:
    return (_touch(recorded, {}),)


def _asked(recorded: Recorded[ConfirmationRequested]) -> Changes:
    event = recorded.event
    return (Put("task_steps", (event.task_id, event.step_id), {"asked": recorded.position}),)


def _choose(event: type[AnyEvent]) -> OnEvent:
    if issubclass(event, ActionAllowed | ActionDenied | ActionConfirmationRequired):
        return when(event, _decided)
    if issubclass(event, ActionEvent):
        return when(event, _action)
    if issubclass(event, ChangesStaged):
        return when(event, _changes_staged)
    if issubclass(event, StepBegun):
        return when(event, _step_begun)
    if issubclass(event, StepSkipped):
        return when(event, _step_skipped)
    if issubclass(event, LifeEvent):
        return when(event, _life)
    if issubclass(event, TaskClaimed):
        return when(event, _claimed)
    if issubclass(event, ConfirmationRequested):
        return when(event, _asked)
    if issubclass(event, ConfirmationEvent | SessionEvent | GrantEvent | SubagentEvent | MachineEvent):
        return nothing
    assert_never(event)


TASK_STATUS: Final = Fold("task_status", 4, (TASKS, STEPS), _choose)


def task_of(row: Row, steps: Sequence[Row] = (), usage: TaskUsage | None = None) -> Task:
    """Return the JSON object of a row of `tasks`; `steps` are the rows of `task_steps` of the same task."""
    task_id, plan, progress = text_of(row, "task_id"), text_of(row, "plan"), text_of(row, "progress")
    exhausted = text_of(row, "exhausted")
    return Task(
        task_id=task_id,
        session_id=text_of(row, "session_id"),
        title=text_of(row, "title"),
        prompt=text_of(row, "prompt"),
        status=_status(text_of(row, "status")),
        created_at=time_of(row, "created_at"),
        updated_at=time_of(row, "updated_at"),
        waiting_for=texts_of(row, "waiting_for"),
        interrupted=bool(number_of(row, "interrupted")),
        exhausted=msgspec.json.decode(exhausted, type=Exhausted) if exhausted else None,
        reason=text_of(row, "reason"),
        skipped=texts_of(row, "skipped"),
        policy_digest=text_of(row, "policy_digest"),
        parent_task_id=text_of(row, "parent_task_id") or None,
        root_task_id=text_of(row, "root_task_id"),
        subagent_id=text_of(row, "subagent_id") or None,
        depth=len(task_chain(task_id)) - 1,
        priority=number_of(row, "priority"),
        undoes=text_of(row, "undoes") or None,
        budget=msgspec.json.decode(text_of(row, "budget"), type=Budget),
        progress=msgspec.json.decode(progress, type=TaskProgress) if progress else None,
        usage=usage,
        owner=text_of(row, "owner") or None,
        plan=with_what_happened(msgspec.json.decode(plan, type=TaskPlan), steps) if plan else None,
        position=number_of(row, "updated_position"),
    )


def _status(text: str) -> TaskStatus:
    status: TaskStatus = msgspec.convert(text, TaskStatus)
    return status
