"""The JSON object `TaskSummary`, made of the rows of `task_summary.py`. Every line cites the positions it rests on."""

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from ..domain.confirmation import Finding
from ..domain.effect import Effect
from ..domain.ids import subagent_id
from ..domain.task import TaskStatus
from .command_runs import CommandRun, command_runs
from .outcome import Outcome
from .output_files import output_kind, standing_outputs
from .place_names import NO_NAMES, PlaceNames
from .row import Row, choice_of, number_of, positions_of, text_of, texts_of, time_of
from .summary_rows import SummaryRows
from .summary_shape import (
    ActionLogLine,
    Claim,
    FileChange,
    Followup,
    Output,
    QuestionLine,
    Skipped,
    SteeringKind,
    SteeringLine,
    SubagentLine,
    TaskSummary,
)
from .summary_words import action_words, followup_words, refused_connection_words, step_words, stop_words
from .task_actions import POSITIONS as ACTION_POSITIONS
from .task_actions import effect_in, outcome_in
from .visible_text import visible

_LEFT_OPEN: Final[frozenset[Outcome]] = frozenset(
    ["failed", "unknown", "denied", "rejected", "expired", "skipped", "withdrawn"]
)


class _Changed(msgspec.Struct, frozen=True):
    """An effect with the action that had it, the position at which it was recorded, and whose subagent it was."""

    effect: Effect
    action_id: str
    position: int
    subagent_id: str | None


def summary_of(rows: SummaryRows, names: PlaceNames = NO_NAMES) -> TaskSummary:
    """Return the summary of a task, finished or not; `names` are the place names of its session."""
    actions = _in_order(rows.actions, "proposed_position")
    changes = _changes(rows)
    steps = _in_order(rows.steps, "number")
    commands = tuple(command_runs(actions, rows.connections))
    return TaskSummary(
        task_id=rows.task_id,
        title=text_of(rows.task, "title"),
        outputs=_outputs(changes, names),
        file_changes=tuple(_file_change(change, names) for change in changes),
        action_log=tuple(_log_line(row, names) for row in actions),
        commands=commands,
        subagents=tuple(_subagents(rows, changes)),
        steering=steering_of(rows.course),
        followups=tuple(_followups(rows, commands, names)),
        skipped=_skipped(steps, actions, names),
        questions=tuple(
            _question(row, _whose(one, rows))
            for one in rows.tree()
            for row in _in_order(one.questions, "requested_position")
        ),
        claims=_claims(steps),
    )


def _in_order(rows: Sequence[Row], column: str) -> list[Row]:
    return sorted(rows, key=lambda row: number_of(row, column))


def _whose(rows: SummaryRows, top: SummaryRows) -> str | None:
    """Return the subagent's id that a task of the tree belongs to; None for the one that the summary is about."""
    return None if rows is top else subagent_id(rows.task_id)


def _changes(rows: SummaryRows) -> list[_Changed]:
    """Return all changes of the task and of all beneath it in the order in which they were recorded."""
    changes: list[tuple[int, int, _Changed]] = []
    for one in rows.tree():
        whose = _whose(one, rows)
        ended = {text_of(row, "action_id"): number_of(row, "ended_position") for row in one.actions}
        for row in (*one.actions, *one.more_effects):
            effect, action_id = effect_in(row), text_of(row, "action_id")
            if effect is not None:
                number = number_of(row, "number") if "number" in row else 0
                at = ended[action_id]
                changes.append((at, number, _Changed(effect, action_id, at, whose)))
    return [changed for _, _, changed in sorted(changes, key=lambda change: change[:2])]


def _outputs(changes: Sequence[_Changed], names: PlaceNames) -> tuple[Output, ...]:
    whose = {changed.position: changed.subagent_id for changed in changes}
    standing = standing_outputs((changed.position, changed.effect) for changed in changes)
    return tuple(
        Output(
            path=names.at(output.at),
            kind=output_kind(output.at.path),
            subagent_id=whose[output.positions[-1]],
            positions=output.positions,
        )
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
        subagent_id=changed.subagent_id,
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


def _subagents(rows: SummaryRows, changes: Sequence[_Changed]) -> Iterator[SubagentLine]:
    """Yield a line for each subagent of the tree, those of one parent after another, each before its own."""
    counts: dict[str | None, int] = {}
    for changed in changes:
        counts[changed.subagent_id] = counts.get(changed.subagent_id, 0) + 1
    tasks = {one.task_id: one for one in rows.tree()}
    for one in rows.tree():
        for row in _in_order(one.subagents, "spawned_position"):
            child = tasks.get(text_of(row, "child_task_id"))
            if child is not None:
                yield _subagent(row, child.task, counts.get(text_of(row, "subagent_id"), 0))


def _subagent(row: Row, task: Row, file_changes: int) -> SubagentLine:
    status: TaskStatus = choice_of(task, "status", TaskStatus)
    spawned = positions_of(row, "spawned_position", "ended_position")
    return SubagentLine(
        subagent_id=text_of(row, "subagent_id"),
        task_id=text_of(row, "child_task_id"),
        action_id=text_of(row, "action_id"),
        title=text_of(row, "title"),
        depth=number_of(row, "depth"),
        status=status,
        reason=text_of(task, "reason"),
        report=text_of(row, "report") or None,
        stopped=text_of(row, "stopped_because") or None,
        file_changes=file_changes,
        positions=tuple(sorted({*spawned, *positions_of(task, "status_position")})),
    )


def steering_of(rows: Sequence[Row]) -> tuple[SteeringLine, ...]:
    """Return what changed a task's course, of its rows of `summary_course`."""
    return tuple(_steering(row) for row in _in_order(rows, "position"))


def _steering(row: Row) -> SteeringLine:
    kind: SteeringKind = choice_of(row, "kind", SteeringKind)
    return SteeringLine(
        at=time_of(row, "at"),
        kind=kind,
        by=text_of(row, "said_by") or None,
        text=text_of(row, "text"),
        added=texts_of(row, "added"),
        changed=texts_of(row, "changed"),
        dropped=texts_of(row, "dropped"),
        positions=positions_of(row, "position"),
    )


# What was left open


def _followups(rows: SummaryRows, commands: Sequence[CommandRun], names: PlaceNames) -> Iterator[Followup]:
    if text_of(rows.task, "status") == "paused":
        yield _stopped(rows)
    yield from _left_open(rows, commands, names)
    told = {text_of(rows.task, "to_do")}
    for child in rows.subtasks:
        for one in child.tree():
            runs = tuple(command_runs(_in_order(one.actions, "proposed_position"), one.connections))
            # Where one budget stopped them all, it is enough to say so once.
            is_told = text_of(one.task, "to_do") in told
            told.add(text_of(one.task, "to_do"))
            for followup in _left_open(one, runs, names, is_told=is_told):
                yield msgspec.structs.replace(followup, subagent_id=subagent_id(one.task_id))


def _left_open(
    rows: SummaryRows, commands: Sequence[CommandRun], names: PlaceNames, *, is_told: bool = False
) -> Iterator[Followup]:
    """Yield what one task itself left open; `is_told` says that what its budget lacks was said already."""
    if text_of(rows.task, "status") == "budget_exhausted" and not is_told:
        yield _stopped(rows)
    for row in _in_order(rows.actions, "proposed_position"):
        if outcome_in(row) in _LEFT_OPEN:
            yield _followup(row, names)
    yield from _command_followups(commands)
    for row in _in_order(rows.steps, "number"):
        if number_of(row, "skipped_position"):
            yield _step_followup(row)
    for row in _in_order(rows.questions, "requested_position"):
        if text_of(row, "answer") == "pending":
            yield _open_question(row)


def _stopped(rows: SummaryRows) -> Followup:
    return Followup(text=stop_words(rows.task), positions=positions_of(rows.task, "status_position"))


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


def _question(row: Row, whose: str | None) -> QuestionLine:
    finding: Finding = choice_of(row, "finding", Finding)
    return QuestionLine(
        confirmation_id=text_of(row, "confirmation_id"),
        headline=text_of(row, "headline"),
        answer=text_of(row, "answer"),
        finding=finding,
        note=text_of(row, "note") or None,
        by=text_of(row, "answered_by") or None,
        subagent_id=whose,
        positions=positions_of(row, "requested_position", "answered_position"),
    )


def _claims(steps: Sequence[Row]) -> tuple[Claim, ...]:
    return tuple(
        Claim(
            by="agent",
            about=text_of(row, "step_id"),
            text=text_of(row, "description"),
            positions=positions_of(row, "planned_position"),
        )
        for row in steps
        if text_of(row, "description")
    )
