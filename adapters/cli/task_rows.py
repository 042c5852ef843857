"""A task as the read model has it, for the commands that show one."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ...engine.application import Application
    from ...projections.place_names import PlaceNames
    from ...projections.summary_shape import TaskSummary
    from ...projections.task_status import Task


def task_in(engine: "Application", task_id: str) -> "Task":
    """Return the task's JSON object, with what it used up. Raises `DomainError` not_found."""
    from ...projections.task_status import task_of
    from ...projections.usage_report import usage_of_tree, usage_rows

    engine.task(task_id)
    (row,) = engine.rows("tasks", {"task_id": task_id})
    usage = usage_of_tree(usage_rows(engine.rows, str(row["root_task_id"])))
    return task_of(row, engine.rows("task_steps", {"task_id": task_id}), usage[task_id])


def summary_in(engine: "Application", task: "Task") -> "TaskSummary":
    """Return the task's summary from the read model."""
    from ...projections.summary_report import summary_of
    from ...projections.summary_rows import summary_rows

    rows = summary_rows(engine.rows, task.task_id)
    assert rows is not None, "a task has a row in every table of tasks"
    return summary_of(rows, names_of_session(engine, task.session_id))


def names_of_session(engine: "Application", session_id: str) -> "PlaceNames":
    """Return the names of a session's granted folders."""
    from ...projections.place_names import names_in_rows

    return names_in_rows(engine.rows("grants", {"session_id": session_id}))
