"""A task's events grouped by action: one row an event; the reader says when each group began and how it ended."""

from collections.abc import Iterable
from typing import Final, assert_never

import msgspec

from ..domain.confirmation import (
    ConfirmationApproved,
    ConfirmationExpired,
    ConfirmationRejected,
    ConfirmationRequested,
    ConfirmationWithdrawn,
)
from ..domain.event import Event, Recorded
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
    LifeEvent,
    StepBegun,
    StepSkipped,
    TaskAwaitingConfirmation,
    TaskBlocked,
    TaskCancelled,
    TaskCompleted,
    TaskFailed,
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
from .place_names import NO_NAMES, PlaceNames
from .row import Changes, Put, Row, Scalar, Table, number_of, rfc3339, text_of
from .subject import SUBJECT_COLUMNS, shown_subject, subject_of
from .visible_text import visible

EVENTS: Final = Table(
    name="timeline_events",
    key={"task_id": "text", "position": "integer"},
    columns={
        "group_id": "text",
        "step_id": "text",
        "subject": "text",
        "at": "text",
        "topic": "text",
        "outcome": "text",
        "details": "text",
        "actor": "text",
        **SUBJECT_COLUMNS,
    },
)
LATER: Final = Table(
    name="timeline_later",
    key={"subject": "text", "position": "integer"},
    columns={"at": "text", "topic": "text", "outcome": "text", "details": "text", "actor": "text"},
)
"""What happened later to a question or a subagent. Such an event does not name its task; `subject` leads to it."""

TASK_GROUP: Final = "task"
IN_THE_END: Final = frozenset(
    ["succeeded", "failed", "denied", "rejected", "expired", "skipped", "withdrawn", "cancelled", "blocked"]
)
"""Outcomes after which nothing follows. An approval is not among them, nor is an outcome that nobody knows."""


class TimelineEvent(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One event of a group. `event` is its stored topic without the version; `details` the text as recorded."""

    position: int
    at: str
    event: str
    actor: str
    details: str


class TimelineGroup(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What happened to one thing: an action (`group` is its id), a step (`step:…`), a subagent, or the task (`task`).

    `label` is for people, in visible characters. `outcome` is the last word about it, empty while there is none;
    `ended_at` is set when nothing more can follow. A question about one action stands in that action's group, a
    question about several in their step's.
    """

    group: str
    step_id: str
    kind: str
    label: str
    started_at: str
    ended_at: str | None
    outcome: str
    events: tuple[TimelineEvent, ...]


def _line(recorded: Recorded[Event], outcome: str | None, details: str | None) -> dict[str, Scalar]:
    return {
        "at": rfc3339(recorded.origin.at),
        "topic": recorded.event.TOPIC,
        "outcome": outcome,
        "details": details,
        "actor": recorded.origin.actor,
    }


# Actions


def _of_action(recorded: Recorded[ActionEvent], outcome: str | None, details: str | None) -> Changes:
    event = recorded.event
    values = _line(recorded, outcome, details)
    values["group_id"] = event.action_id
    return (Put("timeline_events", (event.task_id, recorded.position), values),)


def _proposed(recorded: Recorded[ActionProposed]) -> Changes:
    event = recorded.event
    values = _line(recorded, "waiting", None) | subject_of(event.action)
    values["group_id"] = event.action_id
    values["step_id"] = event.step_id
    return (Put("timeline_events", (event.task_id, recorded.position), values),)


def _allowed(recorded: Recorded[ActionAllowed]) -> Changes:
    decision = recorded.event.decision
    return _of_action(recorded, "waiting", f"{decision.rule_id}: {decision.reason}")


def _denied(recorded: Recorded[ActionDenied]) -> Changes:
    decision = recorded.event.decision
    return _of_action(recorded, "denied", f"{decision.rule_id}: {decision.reason}")


def _confirmation_required(recorded: Recorded[ActionConfirmationRequired]) -> Changes:
    event = recorded.event
    return _of_action(recorded, "waiting", event.changed or f"{event.decision.rule_id}: {event.decision.reason}")


def _declined(recorded: Recorded[ActionDeclined]) -> Changes:
    event = recorded.event
    return _of_action(recorded, outcome_of_refusal(event.reason_code), event.reason)


def _started(recorded: Recorded[ActionStarted]) -> Changes:
    attempt = recorded.event.attempt
    return _of_action(recorded, "started", None if attempt == 1 else f"attempt {attempt}")


def _succeeded(recorded: Recorded[ActionSucceeded]) -> Changes:
    event = recorded.event
    found = "found done after a restart" if event.recovered else None
    return _of_action(recorded, "succeeded", event.result.summary if event.result is not None else found)


def _failed(recorded: Recorded[ActionFailed]) -> Changes:
    return _of_action(recorded, "failed", recorded.event.reason)


def _unknown(recorded: Recorded[ActionOutcomeUnknown]) -> Changes:
    return _of_action(recorded, "unknown", recorded.event.observed)


def _choose_action(event: type[ActionEvent]) -> OnEvent:
    if issubclass(event, ActionProposed):
        return when(event, _proposed)
    if issubclass(event, ActionAllowed):
        return when(event, _allowed)
    if issubclass(event, ActionDenied):
        return when(event, _denied)
    if issubclass(event, ActionConfirmationRequired):
        return when(event, _confirmation_required)
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


def _life(recorded: Recorded[LifeEvent]) -> Changes:
    event = recorded.event
    values = _line(recorded, *_said(event))
    values["group_id"] = TASK_GROUP
    if isinstance(event, StepBegun | StepSkipped):
        values["group_id"] = f"step:{event.step_id}"
        values["step_id"] = event.step_id
    return (Put("timeline_events", (event.task_id, recorded.position), values),)


def _said(event: LifeEvent) -> tuple[str | None, str | None]:
    """Return the event's outcome and its details."""
    match event:
        case StepBegun(actions=actions):
            return None, "nothing matched" if not actions else f"{actions} action{'' if actions == 1 else 's'}"
        case StepSkipped(reason=reason):
            return "skipped", reason
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
        case TaskPaused(reason=reason):
            return "waiting", reason
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


# Questions and subagents


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
    details = f"by {event.answered_by}: {event.note}" if event.note else f"by {event.answered_by}"
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
    return (Put("timeline_events", (event.task_id, recorded.position), values),)


def _reported(recorded: Recorded[SubagentReported]) -> Changes:
    line = _line(recorded, "succeeded", recorded.event.report)
    return (Put("timeline_later", (recorded.event.subagent_id, recorded.position), line),)


def _stopped(recorded: Recorded[SubagentStopped]) -> Changes:
    line = _line(recorded, "cancelled", recorded.event.reason)
    return (Put("timeline_later", (recorded.event.subagent_id, recorded.position), line),)


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
    if issubclass(event, SessionEvent | GrantEvent):
        return nothing
    assert_never(event)


TASK_TIMELINE: Final = Fold("task_timeline", 1, (EVENTS, LATER), _choose)


def timeline_of(events: Iterable[Row], later: Iterable[Row], names: PlaceNames = NO_NAMES) -> list[TimelineGroup]:
    """Return the groups of one task in the order in which they began.

    `events` are the task's rows of `timeline_events`; `later` rows of `timeline_later` (those of other tasks are
    left out); `names` the place names of its session.
    """
    groups: dict[str, list[Row]] = {}
    group_of: dict[str, str] = {}
    ordered = sorted(events, key=lambda row: number_of(row, "position"))
    for row in ordered:
        groups.setdefault(text_of(row, "group_id"), []).append(row)
        if subject := text_of(row, "subject"):
            group_of[subject] = text_of(row, "group_id")
    for row in later:
        group = group_of.get(text_of(row, "subject"))
        if group is not None:
            groups[group].append(row)
    return [_group(name, rows, names) for name, rows in groups.items()]


def _group(name: str, rows: list[Row], names: PlaceNames) -> TimelineGroup:
    rows.sort(key=lambda row: number_of(row, "position"))
    first, last = rows[0], rows[-1]
    kind = text_of(first, "kind")
    said = [outcome for row in rows if (outcome := text_of(row, "outcome"))]
    outcome = said[-1] if said else ""
    return TimelineGroup(
        group=name,
        step_id=text_of(first, "step_id"),
        kind=kind or name.partition(":")[0],
        label=shown_subject(first, names) if kind else visible(text_of(first, "details")),
        started_at=text_of(first, "at"),
        ended_at=text_of(last, "at") if outcome in IN_THE_END else None,
        outcome=outcome,
        events=tuple(
            TimelineEvent(
                position=number_of(row, "position"),
                at=text_of(row, "at"),
                event=text_of(row, "topic").rpartition(".")[0],
                actor=text_of(row, "actor"),
                details=text_of(row, "details"),
            )
            for row in rows
        ),
    )
