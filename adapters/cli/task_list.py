"""`cowork task list` as text: the tasks that people started, the newest first, with their subagents beneath them."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from ...domain.task import FINAL_STATUSES
from ...projections.budget_words import budget_words
from ...projections.measure import count_words
from ...projections.task_status import Task
from ...projections.visible_text import visible
from . import output
from .layout import clock_time, in_columns

SUBAGENTS_SHOWN_MAX: Final = 12
"""How many subagents of one task get a line of their own; the others are counted."""

_HEADER: Final = ("task", "status", "queued (UTC)", "title")


def print_tasks(tasks: Sequence[Task], *, all_of_them: bool) -> None:
    """Print the tasks, given with the newest first.

    Of a task that has ended its subagents are counted, unless `all_of_them` are wanted.
    """
    if not tasks:
        output.line("no tasks")
        return
    known = {task.task_id for task in tasks}
    below: dict[str, list[Task]] = {}
    for task in reversed(tasks):
        if task.parent_task_id in known:
            below.setdefault(task.parent_task_id or "", []).append(task)
    rows: list[tuple[str, ...]] = []
    for task in tasks:
        if task.parent_task_id not in known:
            rows += _rows_of(task, below, 0, all_of_them=all_of_them)
    for line in in_columns(rows, _HEADER):
        output.line(line)


def _rows_of(
    task: Task, below: Mapping[str, Sequence[Task]], depth: int, *, all_of_them: bool
) -> Iterator[tuple[str, ...]]:
    children = below.get(task.task_id, ())
    folded = 0
    if not all_of_them:
        # Those that still do something are what somebody wants to see first.
        ordered = sorted(children, key=lambda child: child.status in FINAL_STATUSES)
        shown = [] if task.status in FINAL_STATUSES else ordered[:SUBAGENTS_SHOWN_MAX]
        folded = len(children) - len(shown)
        children = [child for child in children if child in shown]
    yield _row(task, depth)
    for child in children:
        yield from _rows_of(child, below, depth + 1, all_of_them=all_of_them)
    if folded:
        more = "more " if children else ""
        yield f"{'  ' * (depth + 1)}{count_words(folded, f'{more}subagent')}", "", "", ""


def _row(task: Task, depth: int) -> tuple[str, ...]:
    status = "stopped at once" if task.interrupted else task.status.replace("_", " ")
    about = "; ".join((*_waiting_words(task), *_budget_words(task)))
    title = visible(task.title) or "-"
    return (
        f"{'  ' * depth}{task.task_id}",
        status,
        clock_time(task.created_at),
        f"{title} ({about})" if about else title,
    )


def _waiting_words(task: Task) -> list[str]:
    """Return what a task waits for."""
    if not task.waiting_for:
        return []
    if task.status == "awaiting_confirmation":
        return [f"waits for {count_words(len(task.waiting_for), 'answer')}"]
    return [visible(", ".join(task.waiting_for))]


def _budget_words(task: Task) -> list[str]:
    bounds = budget_words(task.budget)
    return [f"at most {', '.join(bounds)}"] if bounds else []
