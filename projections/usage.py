"""What tasks use up, as rows: what each attempt takes, what planners report, and how long a task was at work.

Each amount is worked out with the functions of `domain/budget.py`, by which the engine counts, too. The reader that
adds the rows up, for a task and for all beneath it, is `usage_report.py`.
"""

from typing import Final, assert_never

from ..domain.action import FileDelete, Location
from ..domain.budget import bytes_sent, reservation
from ..domain.confirmation import ConfirmationEvent
from ..domain.event import Recorded
from ..domain.facts import Facts
from ..domain.grant import GrantEvent
from ..domain.ids import root_task_id
from ..domain.ownership import OwnershipEvent
from ..domain.session import SessionEvent
from ..domain.subagent import SubagentEvent
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
    ConnectionDecided,
    LifeEvent,
    TaskBudgetRaised,
    TaskProgressed,
    TaskQueued,
    UsageReported,
)
from ..domain.topics import AnyEvent, MachineEvent
from .fold import Fold, OnEvent, nothing, when
from .row import Changes, Put, Scalar, Table, json_text

TASKS: Final = Table(
    name="usage_tasks",
    key={"task_id": "text"},
    columns={"root_task_id": "text", "parent_task_id": "text", "budget": "json"},
    indexes=(("root_task_id",),),
)
ACTIONS: Final = Table(
    name="usage_actions",
    key={"task_id": "text", "action_id": "text"},
    columns={
        # What the action itself says that it will take.
        "bytes_written": "integer",
        "bytes_sent": "integer",
        "files_deleted": "integer",
        # The last attempt: before it, nothing is taken; once it has ended, it is settled.
        "started_position": "integer",
        "ended": "text",
        "sent": "integer",
    },
)
FOLDERS: Final = Table(
    name="usage_folders",
    key={"task_id": "text", "action_id": "text", "position": "integer"},
    columns={"files": "integer"},
)
"""How many files a deletion takes, as it was seen at that position; none says that it takes one."""

REPORTED: Final = Table(
    name="usage_reported",
    key={"task_id": "text", "position": "integer"},
    columns={"wall_ms": "integer", "tokens": "integer", "cost_micros": "integer", "reported_by": "text"},
)

SUCCEEDED: Final = "succeeded"
FAILED: Final = "failed"
WRITTEN_OFF: Final = "written off"
"""Nobody knows whether the attempt happened, and nobody makes it again: it counts as if it had."""

_ANY_DELETION: Final = FileDelete(at=Location("", "."))


def _queued(recorded: Recorded[TaskQueued]) -> Changes:
    event = recorded.event
    values: dict[str, Scalar] = {
        "root_task_id": root_task_id(event.task_id),
        "parent_task_id": event.parent_task_id,
        "budget": json_text(event.budget),
    }
    return (Put("usage_tasks", (event.task_id,), values),)


def _raised(recorded: Recorded[TaskBudgetRaised]) -> Changes:
    return (Put("usage_tasks", (recorded.event.task_id,), {"budget": json_text(recorded.event.budget)}),)


def _progressed(recorded: Recorded[TaskProgressed]) -> Changes:
    event = recorded.event
    return (Put("usage_reported", (event.task_id, recorded.position), {"wall_ms": event.running_ms}),)


def _reported(recorded: Recorded[UsageReported]) -> Changes:
    event = recorded.event
    values: dict[str, Scalar] = {
        "tokens": event.tokens,
        "cost_micros": event.cost_micros,
        "reported_by": event.reported_by,
    }
    return (Put("usage_reported", (event.task_id, recorded.position), values),)


def _proposed(recorded: Recorded[ActionProposed]) -> Changes:
    event = recorded.event
    wanted = reservation(event.action, Facts(now=recorded.origin.at))
    values: dict[str, Scalar] = {
        "bytes_written": wanted.bytes_written or None,
        "bytes_sent": wanted.bytes_sent or None,
        "files_deleted": wanted.files_deleted or None,
    }
    return (Put("usage_actions", (event.task_id, event.action_id), values),)


def _files(facts: Facts) -> int:
    return reservation(_ANY_DELETION, facts).files_deleted


def _seen(recorded: Recorded[ActionAllowed | ActionConfirmationRequired | ActionStarted], facts: Facts) -> Changes:
    event = recorded.event
    return (Put("usage_folders", (event.task_id, event.action_id, recorded.position), {"files": _files(facts)}),)


def _allowed(recorded: Recorded[ActionAllowed]) -> Changes:
    facts = recorded.event.facts
    return () if _files(facts) == 1 else _seen(recorded, facts)


def _asked(recorded: Recorded[ActionConfirmationRequired]) -> Changes:
    event = recorded.event
    # Asked again, it may be about something else than before; the first time, there is nothing to correct.
    return () if _files(event.facts) == 1 and not event.changed else _seen(recorded, event.facts)


def _started(recorded: Recorded[ActionStarted]) -> Changes:
    event = recorded.event
    started = Put("usage_actions", (event.task_id, event.action_id), {"started_position": recorded.position})
    if event.facts is None or (_files(event.facts) == 1 and event.attempt == 1):
        return (started,)
    return (started, *_seen(recorded, event.facts))


def _ended(recorded: Recorded[ActionSucceeded | ActionFailed]) -> Changes:
    event = recorded.event
    how = SUCCEEDED if isinstance(event, ActionSucceeded) else FAILED
    values: dict[str, Scalar] = {"ended": how, "sent": bytes_sent(event.result) or None}
    return (Put("usage_actions", (event.task_id, event.action_id), values),)


def _declined(recorded: Recorded[ActionDeclined]) -> Changes:
    event = recorded.event
    return (Put("usage_actions", (event.task_id, event.action_id), {"ended": WRITTEN_OFF}),)


def _choose(event: type[AnyEvent]) -> OnEvent:
    if issubclass(event, ActionEvent):
        return _choose_action(event)
    if issubclass(event, TaskQueued):
        return when(event, _queued)
    if issubclass(event, TaskBudgetRaised):
        return when(event, _raised)
    if issubclass(event, TaskProgressed):
        return when(event, _progressed)
    if issubclass(event, UsageReported):
        return when(event, _reported)
    if issubclass(event, LifeEvent | SubagentEvent | OwnershipEvent | ConfirmationEvent):
        return nothing
    if issubclass(event, SessionEvent | GrantEvent | MachineEvent):
        return nothing
    assert_never(event)


def _choose_action(event: type[ActionEvent]) -> OnEvent:
    if issubclass(event, ActionProposed):
        return when(event, _proposed)
    if issubclass(event, ActionAllowed):
        return when(event, _allowed)
    if issubclass(event, ActionConfirmationRequired):
        return when(event, _asked)
    if issubclass(event, ActionStarted):
        return when(event, _started)
    if issubclass(event, ActionSucceeded | ActionFailed):
        return when(event, _ended)
    if issubclass(event, ActionDeclined):
        return when(event, _declined)
    if issubclass(event, ActionDenied | ActionOutcomeUnknown | ConnectionDecided):
        return nothing
    assert_never(event)


USAGE: Final = Fold("usage", 1, (TASKS, ACTIONS, FOLDERS, REPORTED), _choose)
