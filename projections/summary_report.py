"""The JSON object `TaskSummary`, made of the rows of `task_summary.py`. Every line cites the positions it rests on."""

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from ..domain.effect import Change, Effect
from .command_runs import CommandRun, command_runs
from .outcome import Outcome
from .output_files import OutputKind, output_kind, standing_outputs
from .place_names import NO_NAMES, PlaceNames
from .row import Row, number_of, positions_of, text_of, time_of
from .summary_words import action_words, followup_words, refused_connection_words, step_words
from .task_actions import POSITIONS as ACTION_POSITIONS
from .task_actions import effect_in, outcome_in
from .visible_text import visible

_LEFT_OPEN: Final[frozenset[Outcome]] = frozenset(
    ["failed", "unknown", "denied", "rejected", "expired", "skipped", "withdrawn"]
)


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
    commands: tuple[CommandRun, ...]
    followups: tuple[Followup, ...]
    skipped: tuple[Skipped, ...]
    questions: tuple[QuestionLine, ...]
    claims: tuple[Claim, ...]


class SummaryRows(msgspec.Struct, frozen=True, kw_only=True):
    """The rows of one task in `summary_tasks`, `summary_steps`, `actions`, `more_effects`, `connections` and so on."""

    task: Row
    steps: Sequence[Row] = ()
    actions: Sequence[Row] = ()
    more_effects: Sequence[Row] = ()
    connections: Sequence[Row] = ()
    questions: Sequence[Row] = ()
    subagents: Sequence[Row] = ()


class _Changed(msgspec.Struct, frozen=True):
    """An effect with the action that had it and the position at which it was recorded."""

    effect: Effect
    action_id: str
    position: int


def summary_of(rows: SummaryRows, names: PlaceNames = NO_NAMES) -> TaskSummary:
    """Return the summary of a task, finished or not; `names` are the place names of its session."""
    actions = sorted(rows.actions, key=lambda row: number_of(row, "proposed_position"))
    changes = _changes(actions, rows.more_effects)
    steps = sorted(rows.steps, key=lambda row: number_of(row, "number"))
    commands = tuple(command_runs(actions, rows.connections))
    questions = sorted(rows.questions, key=lambda row: number_of(row, "requested_position"))
    return TaskSummary(
        task_id=text_of(rows.task, "task_id"),
        title=text_of(rows.task, "title"),
        outputs=_outputs(changes, names),
        file_changes=tuple(_file_change(change, names) for change in changes),
        action_log=tuple(_log_line(row, names) for row in actions),
        commands=commands,
        followups=(
            *(_followup(row, names) for row in actions if outcome_in(row) in _LEFT_OPEN),
            *_command_followups(commands),
            *(_step_followup(row) for row in steps if number_of(row, "skipped_position")),
            *(_open_question(row) for row in questions if text_of(row, "answer") == "pending"),
        ),
        skipped=_skipped(steps, actions, names),
        questions=tuple(_question(row) for row in questions),
        claims=_claims(steps, rows.subagents),
    )


def _changes(actions: Sequence[Row], more_effects: Sequence[Row]) -> list[_Changed]:
    """Return all changes in the order in which they were recorded."""
    ended = {text_of(row, "action_id"): number_of(row, "ended_position") for row in actions}
    changes: list[tuple[int, int, _Changed]] = []
    for row in (*actions, *more_effects):
        effect, action_id = effect_in(row), text_of(row, "action_id")
        if effect is not None:
            number = number_of(row, "number") if "number" in row else 0
            changes.append((ended[action_id], number, _Changed(effect, action_id, ended[action_id])))
    return [changed for _, _, changed in sorted(changes, key=lambda change: change[:2])]


def _outputs(changes: Sequence[_Changed], names: PlaceNames) -> tuple[Output, ...]:
    standing = standing_outputs((changed.position, changed.effect) for changed in changes)
    return tuple(
        Output(path=names.at(output.at), kind=output_kind(output.at.path), positions=output.positions)
        for output in standing
    )


def _file_change(changed: _Changed, names: PlaceNames) -> FileChange:
    effect = changed.effect
    return FileChange(
        path=names.at(effect.at),
        change=effect.change,
        previous_path=None if effect.previous is None else names.at(effect.previous),
        digest_before=effect.before or None,
        digest_after=effect.after or None,
        action_id=changed.action_id,
        positions=(changed.position,),
    )


def _log_line(row: Row, names: PlaceNames) -> ActionLogLine:
    outcome = outcome_in(row)
    return ActionLogLine(
        timestamp=time_of(row, "ended_at") or time_of(row, "decided_at") or time_of(row, "proposed_at"),
        action=text_of(row, "kind"),
        details=action_words(row, outcome, names),
        action_id=text_of(row, "action_id"),
        step_id=text_of(row, "step_id"),
        outcome=outcome,
        positions=positions_of(row, *ACTION_POSITIONS),
    )


def _followup(row: Row, names: PlaceNames) -> Followup:
    return Followup(
        text=followup_words(row, outcome_in(row), names),
        action_id=text_of(row, "action_id"),
        step_id=text_of(row, "step_id"),
        positions=positions_of(row, *ACTION_POSITIONS),
    )


def _command_followups(commands: Sequence[CommandRun]) -> Iterator[Followup]:
    """Yield what commands were refused, and what they changed that can't be kept."""
    for run in commands:
        for line in run.connections:
            if line.reason_code is not None:
                text = refused_connection_words(line.host, line.port, line.refused or "", line.reason_code)
                yield Followup(text=text, action_id=run.action_id, step_id=run.step_id, positions=line.positions)
        for sentence in run.left_out:
            text = f"left out of what a command changed: {visible(sentence)}. To do: do it yourself if it is meant"
            yield Followup(text=text, action_id=run.action_id, step_id=run.step_id, positions=run.positions)


def _step_followup(row: Row) -> Followup:
    return Followup(
        text=step_words(row), step_id=text_of(row, "step_id"), positions=positions_of(row, "skipped_position")
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
        if number_of(row, "skipped_position") and not text_of(row, "skipped_code")
    ]
    left_out += [
        Skipped(
            step_id=text_of(row, "step_id"),
            title=titles.get(text_of(row, "step_id"), ""),
            action_id=text_of(row, "action_id"),
            reason=action_words(row, outcome_in(row), names),
            positions=positions_of(row, *ACTION_POSITIONS),
        )
        for row in actions
        if outcome_in(row) in ("skipped", "withdrawn")
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
