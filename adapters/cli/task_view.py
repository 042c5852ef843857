"""A task and its summary as text."""

from collections.abc import Iterable, Sequence

from ...projections.command_runs import CommandRun
from ...projections.measure import size_words
from ...projections.summary_shape import TaskSummary
from ...projections.task_status import Task
from ...projections.task_timeline import TASK_GROUP
from ...projections.timeline_report import TimelineGroup
from ...projections.visible_text import quoted, visible
from . import output
from .layout import clock_time, in_columns, plural


def print_task(task: Task, groups: Sequence[TimelineGroup]) -> None:
    """Print the task, its plan, and what became of each action."""
    _print_head(task)
    if task.plan is not None:
        needs = {one.step_id: one.depends_on for one in task.plan.dependencies}
        _section("plan")
        rows = [
            (
                f"  {visible(step.step_id)}",
                visible(step.title) or "-",
                "asks" if step.requires_confirmation else "",
                f"needs {', '.join(map(visible, needs[step.step_id]))}" if step.step_id in needs else "",
            )
            for step in task.plan.steps
        ]
        _print_rows(rows)
    _section("actions")
    actions = [group for group in groups if group.group != TASK_GROUP and not group.group.startswith("step:")]
    _print_rows([_group_row(group) for group in actions] or [("  none",)])


def _group_row(group: TimelineGroup) -> tuple[str, ...]:
    details = next((event.details for event in reversed(group.events) if event.details), "")
    return f"  {visible(group.step_id)}", group.outcome, group.kind, group.label, visible(details)


def _print_head(task: Task) -> None:
    output.line(f"task {task.task_id} {quoted(task.title)}")
    words = task.status.replace("_", " ")
    why = task.reason or ", ".join(task.waiting_for)
    output.line(f"  status    {words}{f': {visible(why)}' if why else ''}")
    output.line(f"  session   {task.session_id}")
    output.line(f"  queued    {clock_time(task.created_at)} UTC, last event {clock_time(task.updated_at)} UTC")


def print_summary(task: Task, summary: TaskSummary) -> None:
    """Print what the task did and what it left open; empty sections are left out."""
    _print_head(task)
    _listing("outputs", ((f"  {visible(one.path)}", one.kind) for one in summary.outputs))
    _listing(
        "changes to files",
        (
            (
                f"  {one.change}",
                f"{visible(one.previous_path)} to {visible(one.path)}" if one.previous_path else visible(one.path),
            )
            for one in summary.file_changes
        ),
    )
    _listing(
        "actions",
        ((f"  {clock_time(one.timestamp)[11:]}", one.outcome, one.action, one.details) for one in summary.action_log),
    )
    _listing("commands", (_command_row(one) for one in summary.commands))
    _listing(
        "reached by commands",
        (
            (
                f"  {'refused' if one.reason_code else 'reached'}",
                f"{visible(one.host)}:{one.port}",
                plural(one.times, "time"),
                visible(one.refused or ", ".join(one.addresses)),
            )
            for command in summary.commands
            for one in command.connections
        ),
    )
    _listing(
        "questions",
        (
            (f"  {one.answer}", one.headline, f"by {visible(one.by)}" if one.by else "", visible(one.note or ""))
            for one in summary.questions
        ),
    )
    _listing("skipped", ((f"  {visible(one.step_id)}", visible(one.title), one.reason) for one in summary.skipped))
    _listing("left open", ((f"  {one.text}",) for one in summary.followups))
    _listing(
        "said by agents, not checked",
        ((f"  {visible(one.by)}", visible(one.about), quoted(one.text)) for one in summary.claims),
    )


def _command_row(run: CommandRun) -> tuple[str, ...]:
    if run.signal is not None:
        ended = f"signal {run.signal}"
    else:
        ended = "-" if run.exit_code is None else f"exit code {run.exit_code}"
    notes = [f"{size_words(run.stdout_bytes)} of output"]
    notes += [f"{size_words(run.stderr_bytes)} of errors"] if run.stderr_bytes else []
    notes += [f"{plural(run.hidden, 'file')} hidden by policy"] if run.hidden else []
    notes += [f"{plural(len(run.left_out), 'change')} left out"] if run.left_out else []
    return f"  {run.action_id}", ended, f"{run.milliseconds / 1000:.2f} s", ", ".join(notes)


def _listing(title: str, rows: Iterable[tuple[str, ...]]) -> None:
    lines = list(rows)
    if lines:
        _section(f"{title} ({len(lines)})")
        _print_rows(lines)


def _section(title: str) -> None:
    output.line()
    output.line(title)


def _print_rows(rows: Sequence[tuple[str, ...]]) -> None:
    for line in in_columns(rows):
        output.line(line)
