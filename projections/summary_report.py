"""The JSON object `TaskSummary`, made of the rows of `task_summary.py`. Every line cites the positions it rests on."""

from collections.abc import Sequence
from typing import Final

import msgspec

from ..domain.action import Location
from ..domain.effect import Change, Effect
from .outcome import Outcome
from .output_files import OutputKind, output_kind, standing_outputs
from .place_names import NO_NAMES, PlaceNames
from .row import Row, number_of, positions_of, text_of
from .summary_words import action_words, followup_words
from .visible_text import visible

_LEFT_OPEN: Final[frozenset[Outcome]] = frozenset(
    ["failed", "unknown", "denied", "rejected", "expired", "skipped", "withdrawn"]
)
_ACTION_POSITIONS: Final = ("proposed_position", "decided_position", "started_position", "ended_position")


class Output(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A file that the task made or changed and that stands at its end. `path` is as a plan would write it."""

    path: str
    kind: OutputKind
    positions: tuple[int, ...]


class FileChange(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One change to one file or folder. Digests are `sha256:<hex>`."""

    path: str
    change: Change
    previous_path: str | None = None
    digest_before: str | None = None
    digest_after: str | None = None
    action_id: str
    positions: tuple[int, ...]


class ActionLogLine(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One action: its kind, and in `details` what became of it, for people."""

    timestamp: str
    action: str
    details: str
    action_id: str
    step_id: str
    outcome: Outcome
    positions: tuple[int, ...]


class Followup(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What was left open, and what a person can do about it."""

    text: str
    action_id: str | None = None
    step_id: str | None = None
    positions: tuple[int, ...]


class Skipped(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A step or an action that was left out."""

    step_id: str
    title: str
    action_id: str | None = None
    reason: str
    positions: tuple[int, ...]


class QuestionLine(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A question and its answer: `pending`, `approved`, `rejected`, `expired` or `withdrawn`."""

    confirmation_id: str
    headline: str
    answer: str
    note: str | None = None
    by: str | None = None
    positions: tuple[int, ...]


class Claim(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What an agent or a subagent says, unchecked. `by` is `agent` or the subagent's id."""

    by: str
    about: str
    text: str
    positions: tuple[int, ...]


class TaskSummary(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What a task did. Paths and an agent's words are as recorded; sentences have visible characters only."""

    task_id: str
    title: str
    outputs: tuple[Output, ...]
    file_changes: tuple[FileChange, ...]
    action_log: tuple[ActionLogLine, ...]
    followups: tuple[Followup, ...]
    skipped: tuple[Skipped, ...]
    questions: tuple[QuestionLine, ...]
    claims: tuple[Claim, ...]


class SummaryRows(msgspec.Struct, frozen=True, kw_only=True):
    """The rows of one task in the tables `summary_…`."""

    task: Row
    steps: Sequence[Row] = ()
    actions: Sequence[Row] = ()
    effects: Sequence[Row] = ()
    questions: Sequence[Row] = ()
    subagents: Sequence[Row] = ()


def summary_of(rows: SummaryRows, names: PlaceNames = NO_NAMES) -> TaskSummary:
    """Return the summary of a task, finished or not; `names` are the place names of its session."""
    actions = sorted(rows.actions, key=lambda row: number_of(row, "proposed_position"))
    effects = sorted(rows.effects, key=lambda row: (number_of(row, "position"), number_of(row, "number")))
    steps = sorted(rows.steps, key=lambda row: number_of(row, "number"))
    questions = sorted(rows.questions, key=lambda row: number_of(row, "requested_position"))
    return TaskSummary(
        task_id=text_of(rows.task, "task_id"),
        title=text_of(rows.task, "title"),
        outputs=_outputs(effects, names),
        file_changes=tuple(_file_change(row, names) for row in effects),
        action_log=tuple(_log_line(row, names) for row in actions),
        followups=(
            *(_followup(row, names) for row in actions if _outcome(row) in _LEFT_OPEN),
            *(_step_followup(row) for row in steps if number_of(row, "skipped_position")),
            *(_open_question(row) for row in questions if text_of(row, "answer") == "pending"),
        ),
        skipped=_skipped(steps, actions, names),
        questions=tuple(_question(row) for row in questions),
        claims=_claims(steps, rows.subagents),
    )


def _outcome(row: Row) -> Outcome:
    outcome: Outcome = msgspec.convert(text_of(row, "outcome"), Outcome)
    return outcome


def _outputs(effects: Sequence[Row], names: PlaceNames) -> tuple[Output, ...]:
    changes = [(number_of(row, "position"), _effect(row)) for row in effects]
    return tuple(
        Output(path=names.at(output.at), kind=output_kind(output.at.path), positions=output.positions)
        for output in standing_outputs(changes)
    )


def _effect(row: Row) -> Effect:
    change: Change = msgspec.convert(text_of(row, "change"), Change)
    at = Location(text_of(row, "grant_id"), text_of(row, "path"))
    return Effect(change=change, at=at, previous=_previous(row))


def _previous(row: Row) -> Location | None:
    path = text_of(row, "previous_path")
    return Location(text_of(row, "previous_grant"), path) if path else None


def _file_change(row: Row, names: PlaceNames) -> FileChange:
    effect = _effect(row)
    return FileChange(
        path=names.at(effect.at),
        change=effect.change,
        previous_path=None if effect.previous is None else names.at(effect.previous),
        digest_before=text_of(row, "digest_before") or None,
        digest_after=text_of(row, "digest_after") or None,
        action_id=text_of(row, "action_id"),
        positions=(number_of(row, "position"),),
    )


def _log_line(row: Row, names: PlaceNames) -> ActionLogLine:
    outcome = _outcome(row)
    return ActionLogLine(
        timestamp=text_of(row, "at"),
        action=text_of(row, "kind"),
        details=action_words(row, outcome, names),
        action_id=text_of(row, "action_id"),
        step_id=text_of(row, "step_id"),
        outcome=outcome,
        positions=positions_of(row, *_ACTION_POSITIONS),
    )


def _followup(row: Row, names: PlaceNames) -> Followup:
    return Followup(
        text=followup_words(row, _outcome(row), names),
        action_id=text_of(row, "action_id"),
        step_id=text_of(row, "step_id"),
        positions=positions_of(row, *_ACTION_POSITIONS),
    )


def _step_followup(row: Row) -> Followup:
    step_id = text_of(row, "step_id")
    why = visible(text_of(row, "skipped_because"))
    return Followup(
        text=f"step {visible(step_id)} was left out: {why}. To do: see to what it needs, then run the task again",
        step_id=step_id,
        positions=positions_of(row, "skipped_position"),
    )


def _open_question(row: Row) -> Followup:
    confirmation_id = text_of(row, "confirmation_id")
    return Followup(
        # The headline is a card's: its characters are visible already.
        text=f"{text_of(row, 'headline')}: waiting for a person. To do: cowork confirmation show {confirmation_id}",
        step_id=text_of(row, "step_id"),
        positions=positions_of(row, "requested_position"),
    )


def _skipped(steps: Sequence[Row], actions: Sequence[Row], names: PlaceNames) -> tuple[Skipped, ...]:
    titles = {text_of(row, "step_id"): text_of(row, "title") for row in steps}
    left_out = [
        Skipped(
            step_id=text_of(row, "step_id"),
            title=text_of(row, "title"),
            reason=text_of(row, "skipped_because"),
            positions=positions_of(row, "skipped_position"),
        )
        for row in steps
        if number_of(row, "skipped_position")
    ]
    left_out += [
        Skipped(
            step_id=text_of(row, "step_id"),
            title=titles.get(text_of(row, "step_id"), ""),
            action_id=text_of(row, "action_id"),
            reason=action_words(row, _outcome(row), names),
            positions=positions_of(row, *_ACTION_POSITIONS),
        )
        for row in actions
        if _outcome(row) in ("skipped", "withdrawn")
    ]
    return tuple(sorted(left_out, key=lambda skipped: skipped.positions))


def _question(row: Row) -> QuestionLine:
    return QuestionLine(
        confirmation_id=text_of(row, "confirmation_id"),
        headline=text_of(row, "headline"),
        answer=text_of(row, "answer"),
        note=text_of(row, "note") or None,
        by=text_of(row, "answered_by") or None,
        positions=positions_of(row, "requested_position", "answered_position"),
    )


def _claims(steps: Sequence[Row], subagents: Sequence[Row]) -> tuple[Claim, ...]:
    described = [
        Claim(
            by="agent",
            about=text_of(row, "step_id"),
            text=text_of(row, "description"),
            positions=positions_of(row, "planned_position"),
        )
        for row in steps
        if text_of(row, "description")
    ]
    reported = [
        Claim(
            by=text_of(row, "subagent_id"),
            about=text_of(row, "title"),
            text=text_of(row, "report"),
            positions=positions_of(row, "spawned_position", "ended_position"),
        )
        for row in sorted(subagents, key=lambda row: number_of(row, "spawned_position"))
        if text_of(row, "report")
    ]
    return (*described, *reported)
