"""The rows that a summary is made of: those of one task, and beneath them those of its subagents' tasks."""

from collections.abc import Iterator, Sequence

import msgspec

from .row import Row, number_of, text_of
from .row_source import RowSource


class SummaryRows(msgspec.Struct, frozen=True, kw_only=True):
    """The rows of one task in `summary_tasks`, `summary_steps`, `actions`, `more_effects`, `connections` and so on.

    `subtasks` are those of the tasks of its subagents, in the order in which these were started.
    """

    task: Row
    steps: Sequence[Row] = ()
    actions: Sequence[Row] = ()
    more_effects: Sequence[Row] = ()
    connections: Sequence[Row] = ()
    questions: Sequence[Row] = ()
    subagents: Sequence[Row] = ()
    course: Sequence[Row] = ()
    subtasks: Sequence["SummaryRows"] = ()

    @property
    def task_id(self) -> str:
        """The task's id."""
        return text_of(self.task, "task_id")

    def tree(self) -> Iterator["SummaryRows"]:
        """Yield this task's rows, then those of all beneath it."""
        yield self
        for one in self.subtasks:
            yield from one.tree()


def summary_rows(rows: RowSource, task_id: str) -> SummaryRows | None:
    """Return the rows of a task with those of all beneath it; None for an unknown one."""
    where = {"task_id": task_id}
    found = rows("summary_tasks", where)
    if not found:
        return None
    subagents = sorted(rows("summary_subagents", where), key=lambda row: number_of(row, "spawned_position"))
    children = (summary_rows(rows, text_of(row, "child_task_id")) for row in subagents)
    return SummaryRows(
        task=found[0],
        steps=rows("summary_steps", where),
        actions=rows("actions", where),
        more_effects=rows("more_effects", where),
        connections=rows("connections", where),
        questions=rows("summary_questions", where),
        subagents=subagents,
        course=rows("summary_course", where),
        subtasks=tuple(child for child in children if child is not None),
    )
