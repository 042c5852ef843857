"""A task's events grouped by action: when each group began, what happened, and how it ended."""

from collections.abc import Iterable, Iterator
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
from ..domain.topics import AnyEvent, MachineEvent
from .fold import Fold, OnEvent, nothing, when
from .outcome import outcome_of_step_left_out
from .place_names import NO_NAMES, PlaceNames
from .row import Changes, Put, Row, Scalar, Table, micros, number_of, text_of, time_of
from .subject import shown_subject
from .task_actions import outcome_in
from .visible_text import visible

EVENTS: Final = Table(
    name="timeline_events",
    key={"task_id": "text", "position": "integer"},
    columns={
        "group_id": "text",
        "step_id": "text",
        "subject": "text",
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

IN_THE_END: Final = frozenset(
    ["succeeded", "failed", "denied", "rejected", "expired", "skipped", "withdrawn", "cancelled", "blocked"]
)
"""Outcomes after which nothing follows. An approval is not among them, nor is an outcome that nobody knows."""

_TOPIC_OF_END: Final = {"succeeded": ActionSucceeded.TOPIC, "failed": ActionFailed.TOPIC}


class TimelineEvent(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One event of a group. `event` is its stored topic without the version; `details` the text as recorded."""

    position: int
    at: str
    event: str
    outcome: str
    details: str
    actor: str


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
    elif isinstance(event, ChangesStaged):
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


# Questions, subagents and the session


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
    if issubclass(event, RootAllowed):
        return when(event, _root_allowed)
    if issubclass(event, SessionStarted | PolicyAdopted | GrantAdded | SessionEnded | GrantEvent | MachineEvent):
        return nothing
    assert_never(event)


TASK_TIMELINE: Final = Fold("task_timeline", 2, (EVENTS, LATER), _choose)


def timeline_of(
    actions: Iterable[Row], events: Iterable[Row], later: Iterable[Row], names: PlaceNames = NO_NAMES
) -> list[TimelineGroup]:
    """Return the groups of one task in the order in which they began.

    `actions` and `events` are the task's rows of `actions` and `timeline_events`; `later` are rows of
    `timeline_later` (those of other tasks are left out); `names` the place names of its session.
    """
    known = {text_of(row, "action_id"): row for row in actions}
    groups: dict[str, list[TimelineEvent]] = {name: list(_once(row)) for name, row in known.items()}
    steps: dict[str, str] = {name: text_of(row, "step_id") for name, row in known.items()}
    group_of: dict[str, str] = {}
    for row in events:
        group = text_of(row, "group_id")
        groups.setdefault(group, []).append(_event(row))
        steps.setdefault(group, text_of(row, "step_id"))
        if subject := text_of(row, "subject"):
            group_of[subject] = group
    for row in later:
        if (known_group := group_of.get(text_of(row, "subject"))) is not None:
            groups[known_group].append(_event(row))
    made = [_group(name, steps[name], seen, known.get(name), names) for name, seen in groups.items()]
    return sorted(made, key=lambda group: group.events[0].position)


def _group(
    name: str, step_id: str, events: list[TimelineEvent], action: Row | None, names: PlaceNames
) -> TimelineGroup:
    events.sort(key=lambda event: event.position)
    said = [event.outcome for event in events if event.outcome]
    outcome = said[-1] if said else ""
    if action is not None:
        kind, label = text_of(action, "kind"), shown_subject(action, names)
    else:
        kind, label = name.partition(":")[0].partition("-")[0], visible(events[0].details)
    return TimelineGroup(
        group=name,
        step_id=step_id,
        kind=kind,
        label=label,
        started_at=events[0].at,
        ended_at=events[-1].at if outcome in IN_THE_END else None,
        outcome=outcome,
        events=tuple(events),
    )


def _event(row: Row) -> TimelineEvent:
    return TimelineEvent(
        position=number_of(row, "position"),
        at=time_of(row, "at"),
        event=_name(text_of(row, "topic")),
        outcome=text_of(row, "outcome"),
        details=text_of(row, "details"),
        actor=text_of(row, "actor"),
    )


def _name(topic: str) -> str:
    return topic.rpartition(".")[0]


def _once(row: Row) -> Iterator[TimelineEvent]:
    """Yield the events of an action that happen at most once. Who recorded the later ones is the engine."""
    outcome = outcome_in(row)
    yield _slot(row, "proposed", ActionProposed.TOPIC, "waiting", "", text_of(row, "proposed_by"))
    if number_of(row, "decided_position"):
        # A denial ends an action by itself; whatever else refuses it is an event of its own.
        denied = outcome == "denied" and not number_of(row, "ended_position")
        rule_id = text_of(row, "decided_by")
        if denied:
            yield _slot(row, "decided", ActionDenied.TOPIC, outcome, f"{rule_id}: {text_of(row, 'reason')}")
        else:
            yield _slot(row, "decided", ActionAllowed.TOPIC, "waiting", rule_id)
    if number_of(row, "started_position"):
        yield _slot(row, "started", ActionStarted.TOPIC, "started", "")
    if number_of(row, "ended_position"):
        said = text_of(row, "outcome_reason") or text_of(row, "result")
        found = "found done after a restart" if number_of(row, "recovered") else ""
        yield _slot(row, "ended", _TOPIC_OF_END.get(outcome, ActionDeclined.TOPIC), outcome, said or found)


def _slot(row: Row, slot: str, topic: str, outcome: str, details: str, actor: str = "") -> TimelineEvent:
    return TimelineEvent(
        position=number_of(row, f"{slot}_position"),
        at=time_of(row, f"{slot}_at"),
        event=_name(topic),
        outcome=outcome,
        details=details,
        actor=actor,
    )
