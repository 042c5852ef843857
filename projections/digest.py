"""What a person who was away wants to know, as rows: how tasks ended or stopped, and what was not done and why.

A row for each such event; of what went well there is none. The reader that makes a `Digest` of them is
`digest_report.py`.
"""

from typing import Final, Literal, TypeAlias, assert_never

from ..domain.confirmation import ConfirmationEvent, ConfirmationExpired
from ..domain.event import Event, Recorded
from ..domain.grant import GrantEvent
from ..domain.ownership import OwnershipEvent
from ..domain.session import SessionEvent
from ..domain.subagent import SubagentEvent
from ..domain.task import (
    ActionDeclined,
    ActionDenied,
    ActionEvent,
    ActionFailed,
    ActionOutcomeUnknown,
    EndEvent,
    LifeEvent,
    StepSkipped,
    TaskBudgetExhausted,
    TaskInterrupted,
    TaskPaused,
)
from ..domain.topics import AnyEvent, MachineEvent
from .budget_words import exhausted_words
from .fold import Fold, OnEvent, nothing, when
from .row import Changes, Put, Table, micros
from .status_change import status_after

ItemKind: TypeAlias = Literal["ended", "stopped", "budget", "action", "step", "expired"]

ITEMS: Final = Table(
    name="digest_items",
    key={"position": "integer"},
    columns={
        "at": "integer",
        "kind": "text",
        "task_id": "text",
        # The action, the step or the question that it is about.
        "subject": "text",
        # Of a task that ended or stopped: its status, and why.
        "status": "text",
        "reason": "text",
    },
)


def _item(
    recorded: Recorded[Event],
    kind: ItemKind,
    task_id: str = "",
    subject: str = "",
    *,
    status: str | None = None,
    reason: str | None = None,
) -> Changes:
    row = {
        "at": micros(recorded.origin.at),
        "kind": kind,
        "task_id": task_id,
        "subject": subject,
        "status": status,
        "reason": reason,
    }
    return (Put("digest_items", (recorded.position,), row),)


def _ended(recorded: Recorded[EndEvent]) -> Changes:
    event = recorded.event
    return _item(recorded, "ended", event.task_id, status=status_after(event), reason=event.reason)


def _stopped(recorded: Recorded[TaskPaused | TaskInterrupted]) -> Changes:
    event = recorded.event
    status = "interrupted" if isinstance(event, TaskInterrupted) else "paused"
    return _item(recorded, "stopped", event.task_id, status=status, reason=event.reason)


def _exhausted(recorded: Recorded[TaskBudgetExhausted]) -> Changes:
    event = recorded.event
    why = exhausted_words(event.of_task, event.measure, event.bound, event.needed)
    return _item(recorded, "budget", event.task_id, status="budget_exhausted", reason=why)


def _step_skipped(recorded: Recorded[StepSkipped]) -> Changes:
    return _item(recorded, "step", recorded.event.task_id, recorded.event.step_id)


def _action(recorded: Recorded[ActionDenied | ActionDeclined | ActionFailed | ActionOutcomeUnknown]) -> Changes:
    return _item(recorded, "action", recorded.event.task_id, recorded.event.action_id)


def _expired(recorded: Recorded[ConfirmationExpired]) -> Changes:
    return _item(recorded, "expired", subject=recorded.event.confirmation_id)


def _choose(event: type[AnyEvent]) -> OnEvent:
    if issubclass(event, EndEvent):
        return when(event, _ended)
    if issubclass(event, TaskPaused | TaskInterrupted):
        return when(event, _stopped)
    if issubclass(event, TaskBudgetExhausted):
        return when(event, _exhausted)
    if issubclass(event, StepSkipped):
        return when(event, _step_skipped)
    if issubclass(event, ActionDenied | ActionDeclined | ActionFailed | ActionOutcomeUnknown):
        return when(event, _action)
    if issubclass(event, ConfirmationExpired):
        return when(event, _expired)
    if issubclass(event, LifeEvent | ActionEvent | SubagentEvent | OwnershipEvent):
        return nothing
    if issubclass(event, ConfirmationEvent | SessionEvent | GrantEvent | MachineEvent):
        return nothing
    assert_never(event)


DIGEST: Final = Fold("digest", 1, (ITEMS,), _choose)
