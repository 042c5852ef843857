"""The JSON object `TaskUsage`, made of the rows of `usage.py`: what a task and all beneath it used, beside its budget.

Counted as the engine's ledger does: what is under way counts with what it takes at least, and the time at work is a
task's own, because its subagents' runs on the same clock.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from ..domain.budget import NO_USAGE, Budget, Usage, plus, settled
from .row import Row, number_of, text_of
from .row_source import RowSource
from .usage import SUCCEEDED, WRITTEN_OFF

_ONE_ACTION: Final = Usage(actions=1)


class TaskUsage(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What a task used up, and what it may.

    `own` is what its own actions and planner took, `own_under_way` what those of its actions that have not ended take
    at least. `total` and `total_under_way` are with all its subagents; the budget holds for these two together.
    """

    task_id: str
    budget: Budget
    own: Usage
    own_under_way: Usage
    total: Usage
    total_under_way: Usage


class UsageRows(msgspec.Struct, frozen=True, kw_only=True):
    """The rows of one task in `usage_tasks`, `usage_actions`, `usage_folders` and `usage_reported`."""

    task: Row
    actions: Sequence[Row] = ()
    folders: Sequence[Row] = ()
    reported: Sequence[Row] = ()


def usage_rows(rows: RowSource, root_task_id: str) -> list[UsageRows]:
    """Return the rows of a task that a person started and of all beneath it."""
    return [
        UsageRows(
            task=task,
            actions=rows("usage_actions", {"task_id": task["task_id"]}),
            folders=rows("usage_folders", {"task_id": task["task_id"]}),
            reported=rows("usage_reported", {"task_id": task["task_id"]}),
        )
        for task in rows("usage_tasks", {"root_task_id": root_task_id})
    ]


def usage_of_tree(tree: Iterable[UsageRows]) -> dict[str, TaskUsage]:
    """Return the usage of each task by its id; `tree` has a task's rows and those of all beneath it."""
    known = {text_of(one.task, "task_id"): one for one in tree}
    own = {task_id: own_usage(one) for task_id, one in known.items()}
    children: dict[str, list[str]] = {}
    for task_id, one in known.items():
        children.setdefault(text_of(one.task, "parent_task_id"), []).append(task_id)
    totals: dict[str, tuple[Usage, Usage]] = {}
    # Whoever is deeper has a longer id, so that all beneath a task are added up before it is.
    for task_id in sorted(known, key=len, reverse=True):
        totals[task_id] = _with_children(own[task_id], [totals[child] for child in children.get(task_id, ())])
    return {task_id: _usage(known[task_id].task, own[task_id], totals[task_id]) for task_id in known}


def _with_children(own: tuple[Usage, Usage], children: Iterable[tuple[Usage, Usage]]) -> tuple[Usage, Usage]:
    spent, under_way = own
    for theirs, open_ones in children:
        spent = plus(spent, msgspec.structs.replace(theirs, wall_ms=0))
        under_way = plus(under_way, open_ones)
    return spent, under_way


def _usage(task: Row, own: tuple[Usage, Usage], total: tuple[Usage, Usage]) -> TaskUsage:
    return TaskUsage(
        task_id=text_of(task, "task_id"),
        budget=msgspec.json.decode(text_of(task, "budget"), type=Budget),
        own=own[0],
        own_under_way=own[1],
        total=total[0],
        total_under_way=total[1],
    )


def own_usage(rows: UsageRows) -> tuple[Usage, Usage]:
    """Return what a task's own actions and planner took, and what its actions that are under way take at least."""
    spent = under_way = NO_USAGE
    for row in rows.reported:
        wall_ms, tokens, cost = (number_of(row, name) for name in ("wall_ms", "tokens", "cost_micros"))
        spent = plus(spent, Usage(wall_ms=wall_ms, tokens=tokens, cost_micros=cost))
    folders: dict[str, list[Row]] = {}
    for row in rows.folders:
        folders.setdefault(text_of(row, "action_id"), []).append(row)
    for row in rows.actions:
        if not number_of(row, "started_position"):
            continue
        reserved, how = _reserved(row, folders), text_of(row, "ended")
        if not how:
            under_way = plus(under_way, reserved)
        elif how == WRITTEN_OFF:
            spent = plus(spent, reserved)
        else:
            spent = plus(spent, settled(reserved, number_of(row, "sent"), succeeded=how == SUCCEEDED))
    return spent, under_way


def _reserved(row: Row, folders: Mapping[str, Sequence[Row]]) -> Usage:
    written, sent, deleted = (number_of(row, name) for name in ("bytes_written", "bytes_sent", "files_deleted"))
    if not (written or sent or deleted):
        return _ONE_ACTION
    if deleted:
        for seen in folders.get(text_of(row, "action_id"), ()):
            if number_of(seen, "position") <= number_of(row, "started_position"):
                deleted = number_of(seen, "files")
    return Usage(actions=1, bytes_written=written, bytes_sent=sent, files_deleted=deleted)
