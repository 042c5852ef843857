"""A task's timeline, made of the rows of `task_timeline.py` and `task_actions.py`: groups of events, one each thing."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import msgspec

from ..domain.action import Location
from ..domain.task import (
    ActionAllowed,
    ActionDeclined,
    ActionDenied,
    ActionFailed,
    ActionProposed,
    ActionStarted,
    ActionSucceeded,
    PathsClaimed,
)
from .place_names import NO_NAMES, PlaceNames
from .row import Row, number_of, text_of, time_of
from .row_source import RowSource
from .subject import shown_subject
from .task_actions import outcome_in
from .task_timeline import TASK_GROUP
from .visible_text import visible

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

    A subagent's group has what happened to its task as a whole; what its actions did is in that task's own timeline.

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


class TimelineRows(msgspec.Struct, frozen=True, kw_only=True):
    """The rows of one task in `actions` and `timeline_events`.

    `later` are rows of `timeline_later` (those of other tasks are left out), `children` those that the tasks of its
    subagents have in `timeline_events` about themselves.
    """

    actions: Iterable[Row] = ()
    events: Iterable[Row] = ()
    later: Iterable[Row] = ()
    children: Iterable[Row] = ()


def timeline_rows(rows: RowSource, task_id: str) -> TimelineRows:
    """Return the rows that a task's timeline is made of."""
    events = rows("timeline_events", {"task_id": task_id})
    subjects = {text_of(event, "subject") for event in events if text_of(event, "subject")}
    children = sorted(text_of(event, "child_task_id") for event in events if text_of(event, "child_task_id"))
    return TimelineRows(
        actions=rows("actions", {"task_id": task_id}),
        events=events,
        later=[row for subject in sorted(subjects) for row in rows("timeline_later", {"subject": subject})],
        children=[row for child in children for row in _about_itself(rows, child)],
    )


def _about_itself(rows: RowSource, task_id: str) -> Sequence[Row]:
    return rows("timeline_events", {"task_id": task_id, "group_id": TASK_GROUP})


def timeline_of(rows: TimelineRows, names: PlaceNames = NO_NAMES) -> list[TimelineGroup]:
    """Return the groups of one task in the order in which they began; `names` are the place names of its session."""
    known = {text_of(row, "action_id"): row for row in rows.actions}
    groups: dict[str, list[TimelineEvent]] = {name: list(_once(row)) for name, row in known.items()}
    steps: dict[str, str] = {name: text_of(row, "step_id") for name, row in known.items()}
    group_of: dict[str, str] = {}
    for row in rows.events:
        group = text_of(row, "group_id")
        groups.setdefault(group, []).append(_event(row, names))
        steps.setdefault(group, text_of(row, "step_id"))
        if subject := text_of(row, "subject"):
            group_of[subject] = group
        if child := text_of(row, "child_task_id"):
            group_of[child] = group
    for row, subject in (
        *((row, text_of(row, "subject")) for row in rows.later),
        *((row, text_of(row, "task_id")) for row in rows.children),
    ):
        if (known_group := group_of.get(subject)) is not None:
            groups[known_group].append(_event(row, names))
    made = [_group(name, steps[name], seen, known.get(name), names) for name, seen in groups.items()]
    return sorted(made, key=lambda group: group.events[0].position)


def _group(
    name: str, step_id: str, events: list[TimelineEvent], action: Row | None, names: PlaceNames
) -> TimelineGroup:
    events.sort(key=lambda event: event.position)
    said = [event for event in events if event.outcome]
    outcome = said[-1].outcome if said else ""
    is_over = outcome in IN_THE_END or (action is not None and number_of(action, "ended_position") > 0)
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
        ended_at=said[-1].at if said and is_over else None,
        outcome=outcome,
        events=tuple(events),
    )


def _event(row: Row, names: PlaceNames) -> TimelineEvent:
    topic, details = text_of(row, "topic"), text_of(row, "details")
    return TimelineEvent(
        position=number_of(row, "position"),
        at=time_of(row, "at"),
        event=_name(topic),
        outcome=text_of(row, "outcome"),
        details=_places(details, names) if topic == PathsClaimed.TOPIC else details,
        actor=text_of(row, "actor"),
    )


def _places(text: str, names: PlaceNames) -> str:
    return ", ".join(map(names.at, msgspec.json.decode(text, type=tuple[Location, ...])))


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
        topic = text_of(row, "end_topic") or _TOPIC_OF_END.get(outcome, ActionDeclined.TOPIC)
        yield _slot(row, "ended", topic, outcome, _said_in_the_end(row))


def _said_in_the_end(row: Row) -> str:
    said = text_of(row, "outcome_reason") or text_of(row, "result")
    if not said and text_of(row, "said_by"):
        return f"{text_of(row, 'said_by')} says that it happened"
    return said or ("found done after a restart" if number_of(row, "recovered") else "")


def _slot(row: Row, slot: str, topic: str, outcome: str, details: str, actor: str = "") -> TimelineEvent:
    return TimelineEvent(
        position=number_of(row, f"{slot}_position"),
        at=time_of(row, f"{slot}_at"),
        event=_name(topic),
        outcome=outcome,
        details=details,
        actor=actor,
    )
