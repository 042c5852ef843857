"""A task and its summary as text."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from ...domain.budget import MEASURES, plus
from ...projections.budget_words import used_words
from ...projections.command_runs import CommandRun
from ...projections.measure import size_words
from ...projections.summary_shape import FileChange, SteeringLine, SubagentLine, TaskSummary
from ...projections.task_plan import PlanDependency
from ...projections.task_status import Task
from ...projections.task_timeline import TASK_GROUP
from ...projections.timeline_report import TimelineGroup
from ...projections.visible_text import quoted, visible
from . import output
from .layout import clock_time, in_columns, plural


def print_task(
    task: Task, groups: Sequence[TimelineGroup], states: Mapping[str, str], steering: Sequence[SteeringLine]
) -> None:
    """Print the task, its plan with how each step stands, what changed its course, and what became of each action."""
    _print_head(task)
    if task.plan is not None:
        needs = {one.step_id: _needs_words(one) for one in task.plan.dependencies}
        _section("plan")
        rows = [
            (
                f"  {visible(step.step_id)}",
                visible(step.title) or "-",
                states[step.step_id],
                "asks" if step.requires_confirmation else "",
                needs.get(step.step_id, ""),
            )
            for step in task.plan.steps
        ]
        _print_rows(rows)
    _listing("changed on the way", (_steering_row(one) for one in steering))
    _section("actions")
    about = [group for group in groups if group.group != TASK_GROUP and not group.group.startswith("step:")]
    actions = [group for group in about if group.kind != "subagent"]
    _print_rows([_group_row(group) for group in actions] or [("  none",)])
    _listing("subagents", (_subagent_row(group) for group in about if group.kind == "subagent"))


def _needs_words(one: PlanDependency) -> str:
    parts = [("needs", one.depends_on), ("after", one.after)]
    return ", ".join(f"{word} {', '.join(map(visible, steps))}" for word, steps in parts if steps)


def _group_row(group: TimelineGroup) -> tuple[str, ...]:
    details = next((event.details for event in reversed(group.events) if event.details), "")
    # Of an action the group's name is its id, which `task output` and `undo` want whole.
    return f"  {visible(group.group)}", visible(group.step_id), group.outcome, group.kind, group.label, visible(details)


def _subagent_row(group: TimelineGroup) -> tuple[str, ...]:
    said = [event.details for event in group.events if event.outcome]
    # The label is visible text already.
    return f'  "{group.label}"', group.outcome, _task_of(group.group), visible(said[-1] if said else "")


def _task_of(subagent_id: str) -> str:
    """Return the id of a subagent's own task."""
    return f"task-{subagent_id.partition('-')[2]}"


def _print_head(task: Task) -> None:
    output.line(f"task {task.task_id} {quoted(task.title)}")
    words = "stopped at once" if task.interrupted else task.status.replace("_", " ")
    why = task.reason or ", ".join(task.waiting_for)
    output.line(f"  status    {words}{f': {visible(why)}' if why else ''}")
    if task.exhausted is not None:
        output.line(f"  to do     {task.exhausted.to_do}, then cowork resume {task.root_task_id}")
    if task.parent_task_id is not None:
        output.line(f"  of        subagent {task.subagent_id}, started by task {task.parent_task_id}")
    if task.undoes is not None:
        output.line(f"  undoes    {visible(task.undoes)}")
    output.line(f"  session   {task.session_id}")
    output.line(f"  queued    {clock_time(task.created_at)} UTC, last event {clock_time(task.updated_at)} UTC")
    if task.progress is not None:
        progress = task.progress
        steps = f"{progress.steps_settled} of {plural(progress.steps, 'step')}"
        output.line(f"  so far    {steps} and {progress.settled} of {plural(progress.actions, 'action')} had ended")
    for number, used in enumerate(_used(task)):
        output.line(f"  {'' if number else 'used':<8}  {used}")


def _used(task: Task) -> Iterator[str]:
    """Yield what the task and its subagents used, with what is under way, beside its own bounds."""
    if task.usage is None:
        return
    used = plus(task.usage.total, task.usage.total_under_way)
    for measure in MEASURES:
        if used.of(measure) or task.budget.of(measure) is not None:
            yield used_words(used, task.budget, measure)


def print_summary(task: Task, summary: TaskSummary) -> None:
    """Print what the task did and what it left open; empty sections are left out."""
    titles = {one.subagent_id: quoted(one.title) for one in summary.subagents}

    def by(subagent_id: str | None) -> str:
        """Return whose it is, where it is not the task's own."""
        return f"by {titles.get(subagent_id, subagent_id)}" if subagent_id else ""

    _print_head(task)
    _listing("outputs", ((f"  {visible(one.path)}", one.kind, by(one.subagent_id)) for one in summary.outputs))
    _listing("changes to files", (_change_row(one, by(one.subagent_id)) for one in summary.file_changes))
    _listing(
        "actions",
        ((f"  {clock_time(one.timestamp)[11:]}", one.outcome, one.action, one.details) for one in summary.action_log),
    )
    _listing("subagents", (_subagent_line(one) for one in summary.subagents))
    _listing("commands", (_command_row(one) for one in summary.commands))
    _listing("reached by commands", (row for command in summary.commands for row in _reached_rows(command)))
    _listing("changed on the way", (_steering_row(one) for one in summary.steering))
    _listing(
        "questions",
        (
            (
                f"  {one.finding.replace('_', ' ') or one.answer}",
                one.headline,
                f"by {visible(one.by)}" if one.by else "",
                visible(one.note or ""),
                f"asked {by(one.subagent_id)}" if one.subagent_id else "",
            )
            for one in summary.questions
        ),
    )
    _listing("skipped", ((f"  {visible(one.step_id)}", visible(one.title), one.reason) for one in summary.skipped))
    _listing(
        "left open",
        ((f"  {one.text}{f' ({by(one.subagent_id)})' if one.subagent_id else ''}",) for one in summary.followups),
    )
    _listing(
        "said by agents, not checked",
        ((f"  {visible(one.by)}", visible(one.about), quoted(one.text)) for one in summary.claims),
    )


def _change_row(change: FileChange, by: str) -> tuple[str, ...]:
    path, before = visible(change.path), change.previous_path
    return f"  {change.change}", f"{visible(before)} to {path}" if before else path, by


def _subagent_line(one: SubagentLine) -> tuple[str, ...]:
    changed = plural(one.file_changes, "change") if one.file_changes else ""
    why = visible(one.stopped or one.reason)
    indent = "  " * one.depth
    return f"{indent}{quoted(one.title)}", one.status.replace("_", " "), one.task_id, changed, why


def _steering_row(one: SteeringLine) -> tuple[str, ...]:
    steps = (("added", one.added), ("changed", one.changed), ("dropped", one.dropped))
    parts = [f"{word} {', '.join(map(visible, names))}" for word, names in steps if names]
    said = quoted(one.text) if one.kind.startswith("message") else visible(one.text)
    who = f"by {visible(one.by)}" if one.by else ""
    return f"  {clock_time(one.at)[11:]}", one.kind.replace("_", " "), "; ".join(parts) or said, who


def _reached_rows(command: CommandRun) -> Iterator[tuple[str, ...]]:
    for one in command.connections:
        yield (
            f"  {'refused' if one.reason_code else 'reached'}",
            f"{visible(one.host)}:{one.port}",
            plural(one.times, "time"),
            visible(one.refused or ", ".join(one.addresses)),
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
