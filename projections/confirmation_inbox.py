"""Questions to a person, open and answered: one row a confirmation."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final, Literal, TypeAlias, assert_never

import msgspec

from ..domain.confirmation import (
    Card,
    ConfirmationApproved,
    ConfirmationExpired,
    ConfirmationRejected,
    ConfirmationRequested,
    ConfirmationWithdrawn,
    Finding,
)
from ..domain.event import Recorded
from ..domain.grant import GrantEvent
from ..domain.ids import root_task_id, subagent_id, task_chain
from ..domain.ownership import OwnershipEvent
from ..domain.session import SessionEvent
from ..domain.subagent import SubagentEvent
from ..domain.task import TaskEvent
from ..domain.topics import AnyEvent, MachineEvent
from .fold import Fold, OnEvent, nothing, when
from .row import (
    Changes,
    Put,
    Row,
    Scalar,
    Table,
    choice_of,
    json_text,
    micros,
    positions_of,
    rfc3339,
    text_of,
    texts_of,
    time_of,
)
from .row_source import RowSource
from .visible_text import quoted, visible

ConfirmationStatus: TypeAlias = Literal["pending", "approved", "rejected", "expired", "withdrawn"]

NO_TITLES: Final[Mapping[str, str]] = {}

CONFIRMATIONS: Final = Table(
    name="confirmations",
    key={"confirmation_id": "text"},
    columns={
        "session_id": "text",
        "task_id": "text",
        "step_id": "text",
        "purpose": "text",
        "action_ids": "json",
        "digest": "text",
        "card": "json",
        "risk_tags": "json",
        "reason": "text",
        "rule_id": "text",
        "layer": "text",
        "requested_at": "integer",
        "expires_at": "integer",
        "status": "text",
        "answered_by": "text",
        "answered_at": "integer",
        "finding": "text",
        "note": "text",
        "requested_position": "integer",
        "answered_position": "integer",
    },
    indexes=(("status",), ("task_id",)),
)


class AskedBy(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One of those who stand above one another where a question is asked. `title` is empty where it was not looked up.

    `subagent_id` is absent for the task that a person started.
    """

    task_id: str
    subagent_id: str | None = None
    title: str = ""


class Confirmation(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The JSON object `Confirmation`. `action_id` is the first of `action_ids`; `note` may say why it was withdrawn.

    `chain` leads from the task that a person started, through its subagents, to the one that asks. `finding` is what a
    person says of an attempt that nobody else can tell about; empty for every other question.
    """

    confirmation_id: str
    session_id: str
    task_id: str
    chain: tuple[AskedBy, ...]
    step_id: str
    action_id: str
    action_ids: tuple[str, ...]
    purpose: str
    digest: str
    card: Card
    risk_tags: tuple[str, ...]
    reason: str
    rule_id: str
    layer: str
    requested_at: str
    expires_at: str
    status: ConfirmationStatus
    answered_by: str | None = None
    answered_at: str | None = None
    finding: Finding = ""
    note: str | None = None
    positions: tuple[int, ...] = ()


def _requested(recorded: Recorded[ConfirmationRequested]) -> Changes:
    event = recorded.event
    values: dict[str, Scalar] = {
        "session_id": event.session_id,
        "task_id": event.task_id,
        "step_id": event.step_id,
        "purpose": event.purpose,
        "action_ids": json_text([item.action_id for item in event.items]),
        "digest": event.digest,
        "card": json_text(event.card),
        "risk_tags": json_text(event.risk_tags),
        "reason": event.reason,
        "rule_id": event.rule_id,
        "layer": event.layer,
        "requested_at": micros(recorded.origin.at),
        "expires_at": micros(event.expires_at),
        "status": "pending",
        "requested_position": recorded.position,
    }
    return (Put("confirmations", (event.confirmation_id,), values),)


Answer: TypeAlias = ConfirmationApproved | ConfirmationRejected | ConfirmationExpired | ConfirmationWithdrawn


def _answered(
    recorded: Recorded[Answer], status: ConfirmationStatus, answered_by: str, note: str, finding: Finding = ""
) -> Changes:
    values: dict[str, Scalar] = {
        "status": status,
        "answered_by": answered_by,
        "answered_at": micros(recorded.origin.at),
        "finding": finding or None,
        "note": note,
        "answered_position": recorded.position,
    }
    return (Put("confirmations", (recorded.event.confirmation_id,), values),)


def _approved(recorded: Recorded[ConfirmationApproved]) -> Changes:
    event = recorded.event
    return _answered(recorded, "approved", event.answered_by, event.note, event.finding)


def _rejected(recorded: Recorded[ConfirmationRejected]) -> Changes:
    return _answered(recorded, "rejected", recorded.event.answered_by, recorded.event.note)


def _expired(recorded: Recorded[ConfirmationExpired]) -> Changes:
    return _answered(recorded, "expired", "", "")


def _withdrawn(recorded: Recorded[ConfirmationWithdrawn]) -> Changes:
    return _answered(recorded, "withdrawn", "", recorded.event.reason)


def _choose(event: type[AnyEvent]) -> OnEvent:
    if issubclass(event, ConfirmationRequested):
        return when(event, _requested)
    if issubclass(event, ConfirmationApproved):
        return when(event, _approved)
    if issubclass(event, ConfirmationRejected):
        return when(event, _rejected)
    if issubclass(event, ConfirmationExpired):
        return when(event, _expired)
    if issubclass(event, ConfirmationWithdrawn):
        return when(event, _withdrawn)
    if issubclass(event, SessionEvent | GrantEvent | TaskEvent | SubagentEvent | OwnershipEvent | MachineEvent):
        return nothing
    assert_never(event)


CONFIRMATION_INBOX: Final = Fold("confirmation_inbox", 2, (CONFIRMATIONS,), _choose)


def confirmation_of(row: Row, now: datetime | None = None, titles: Mapping[str, str] = NO_TITLES) -> Confirmation:
    """Return the JSON object of a row of `confirmations`; its chain has the `titles` of tasks by their ids.

    With `now`, a question whose time is over is `expired` although nobody has recorded that yet.
    """
    status = msgspec.convert(text_of(row, "status"), ConfirmationStatus)
    if status == "pending" and now is not None and rfc3339(now) >= time_of(row, "expires_at"):
        status = "expired"
    action_ids = texts_of(row, "action_ids")
    return Confirmation(
        confirmation_id=text_of(row, "confirmation_id"),
        session_id=text_of(row, "session_id"),
        task_id=text_of(row, "task_id"),
        chain=asking_chain(text_of(row, "task_id"), titles),
        step_id=text_of(row, "step_id"),
        action_id=action_ids[0],
        action_ids=action_ids,
        purpose=text_of(row, "purpose"),
        digest=text_of(row, "digest"),
        card=msgspec.json.decode(text_of(row, "card"), type=Card),
        risk_tags=texts_of(row, "risk_tags"),
        reason=text_of(row, "reason"),
        rule_id=text_of(row, "rule_id"),
        layer=text_of(row, "layer"),
        requested_at=time_of(row, "requested_at"),
        expires_at=time_of(row, "expires_at"),
        status=status,
        answered_by=text_of(row, "answered_by") or None,
        answered_at=time_of(row, "answered_at") or None,
        finding=choice_of(row, "finding", Finding),
        note=text_of(row, "note") or None,
        positions=positions_of(row, "requested_position", "answered_position"),
    )


def titles_in(tasks: Iterable[Row]) -> dict[str, str]:
    """Return the titles of rows of `tasks` by task id."""
    return {text_of(row, "task_id"): text_of(row, "title") for row in tasks}


def titles_above(rows: RowSource, questions: Iterable[Row]) -> dict[str, str]:
    """Return the titles that the chains of these rows of `confirmations` need."""
    roots = {root_task_id(text_of(question, "task_id")) for question in questions}
    return titles_in(row for root in sorted(roots) for row in rows("tasks", {"root_task_id": root}))


def asking_chain(task_id: str, titles: Mapping[str, str] = NO_TITLES) -> tuple[AskedBy, ...]:
    """Return who stands above a task, and the task itself as the last; `titles` are those of tasks by their ids."""
    return tuple(
        AskedBy(
            task_id=one,
            subagent_id=None if number == 0 else subagent_id(one),
            title=titles.get(one, ""),
        )
        for number, one in enumerate(task_chain(task_id))
    )


def chain_words(chain: Iterable[AskedBy]) -> str:
    """Return the chain in a line: `"tidy up" › "sort the photos"`, by ids where a title was not looked up."""
    return " › ".join(quoted(one.title) if one.title else visible(one.subagent_id or one.task_id) for one in chain)
