"""`cowork task budget`: how much a task and its subagents may use up, what they have used, and giving it more room."""

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import msgspec
from cyclopts import Parameter

from ...domain.budget import Budget, Usage
from ...domain.task import TaskStatus
from ...projections.usage_report import TaskUsage
from . import output
from .opening import on_record, opened, person
from .options import PLAIN_OPTIONS, Options, TaskId

if TYPE_CHECKING:
    from ...engine.application import Application


@Parameter(name="*")
@dataclass(frozen=True)
class Additions:
    """How much more room a task gets."""

    add_actions: Annotated[int | None, Parameter(help="So many actions more.")] = None
    add_bytes_written: Annotated[str | None, Parameter(help="So much more to write, such as `10MB`.")] = None
    add_bytes_sent: Annotated[str | None, Parameter(help="So much more to send, such as `500KB`.")] = None
    add_files_deleted: Annotated[int | None, Parameter(help="So many files more to delete.")] = None
    add_wall: Annotated[str | None, Parameter(help="So much more time at work, such as `2h` or `90s`.")] = None
    add_tokens: Annotated[int | None, Parameter(help="So many tokens more.")] = None
    add_cost: Annotated[str | None, Parameter(help="So much more money, such as `2.50`.")] = None

    def usage(self) -> Usage:
        """Return what is added. Raises `DomainError` invalid."""
        from .amounts import micros_in, seconds_in, size_in

        return Usage(
            wall_ms=0 if self.add_wall is None else seconds_in(self.add_wall) * 1000,
            actions=self.add_actions or 0,
            bytes_written=0 if self.add_bytes_written is None else size_in(self.add_bytes_written),
            bytes_sent=0 if self.add_bytes_sent is None else size_in(self.add_bytes_sent),
            files_deleted=self.add_files_deleted or 0,
            tokens=self.add_tokens or 0,
            cost_micros=0 if self.add_cost is None else micros_in(self.add_cost),
        )


NOTHING_ADDED = Additions()


class TaskBudget(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A task's budget and what is left of it. `usage` is what it and all beneath it used.

    `left` is how much it may still use of each measure that its budget, or that of a task above it, bounds.
    """

    task_id: str
    title: str
    status: TaskStatus
    usage: TaskUsage
    left: Budget


def show_or_raise_budget(
    task_id: TaskId, /, *, additions: Additions = NOTHING_ADDED, options: Options = PLAIN_OPTIONS
) -> None:
    """Show what a task and its subagents may use up, used, and have left; or give it more room.

    A budget holds for a task with all its subagents, and whoever stands above an action must have room for it. A task
    that stopped because its budget was used up goes on with `cowork resume` when it has room again.

    cowork task budget task-06bq2wr0t0x5k9qz

    cowork task budget task-06bq2wr0t0x5k9qz --add-actions 100 --add-wall 2h --add-bytes-written 10MB
    """
    import anyio

    with opened(options) as engine:
        before = engine.task(task_id)
        if additions != NOTHING_ADDED:
            more = additions.usage()
            anyio.run(lambda: engine.top_up(task_id, more, by=person()))
        with on_record() if additions != NOTHING_ADDED else nullcontext():
            budgets = list(_budgets(engine, task_id))
    if options.json:
        output.document(budgets)
        return
    _print(budgets)
    if before.status == "budget_exhausted" and additions != NOTHING_ADDED:
        output.line(f"go on with: cowork resume {task_id}")


def _budgets(engine: "Application", task_id: str) -> Iterator[TaskBudget]:
    """Yield the budget of the task, then those of all beneath it, each after the one that it is beneath."""
    from ...domain.ids import root_task_id
    from ...projections.task_status import task_of
    from ...projections.usage_report import usage_of_tree, usage_rows

    root = root_task_id(task_id)
    usage = usage_of_tree(usage_rows(engine.rows, root))
    for row in engine.rows("tasks", {"root_task_id": root}, order_by="task_id"):
        task = task_of(row)
        if task.task_id == task_id or task.task_id.startswith(f"{task_id}-"):
            yield TaskBudget(
                task_id=task.task_id,
                title=task.title,
                status=task.status,
                usage=usage[task.task_id],
                left=_left(task.task_id, usage),
            )


def _left(task_id: str, usage: dict[str, TaskUsage]) -> Budget:
    from ...domain.budget import MEASURES, narrowest, plus
    from ...domain.ids import task_chain

    left = Budget()
    for name in task_chain(task_id):
        one = usage[name]
        used = plus(one.total, one.total_under_way)
        left = narrowest(
            left, Budget(**{measure: _rest(one.budget.of(measure), used.of(measure)) for measure in MEASURES})
        )
    return left


def _rest(bound: int | None, used: int) -> int | None:
    return None if bound is None else max(bound - used, 0)


def _print(budgets: list[TaskBudget]) -> None:
    from ...domain.budget import MEASURES, plus
    from ...projections.budget_words import amount_words
    from ...projections.visible_text import quoted
    from .layout import in_columns

    depth = budgets[0].task_id.count("-")
    for one in budgets:
        indent = "  " * (one.task_id.count("-") - depth)
        output.line(f"{indent}task {one.task_id} {quoted(one.title)}: {one.status.replace('_', ' ')}")
        used = plus(one.usage.total, one.usage.total_under_way)
        rows: list[tuple[str, ...]] = []
        for measure in MEASURES:
            bound, left = one.usage.budget.of(measure), one.left.of(measure)
            if bound is None and left is None and not used.of(measure):
                continue
            of = "no bound of its own" if bound is None else f"of {amount_words(measure, bound)}"
            rest = "" if left is None else f"{amount_words(measure, left)} left"
            rows.append((f"{indent}  {amount_words(measure, used.of(measure))}", of, rest))
        for line in in_columns(rows) if rows else (f"{indent}  nothing used, and no bound",):
            output.line(line)
