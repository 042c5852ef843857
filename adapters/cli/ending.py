"""What is said when a task stops: how it stands, what it changed, and the command that goes on with it."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ...domain.ids import task_chain
from ...projections.visible_text import quoted, visible
from . import output
from .layout import plural

if TYPE_CHECKING:
    from ...domain.task import Task
    from ...engine.application import Application


def print_ending(app: "Application", task: "Task") -> None:
    """Print how the task stands, and what to do next where something is left to do."""
    from ...projections.task_status import task_of
    from .task_rows import summary_in

    told = task_of(app.rows("tasks", {"task_id": task.task_id})[0])
    words = "stopped at once" if told.interrupted else task.status.replace("_", " ")
    reason = told.reason or ("" if task.status == "awaiting_confirmation" else ", ".join(told.waiting_for))
    output.line(f"task {task.task_id} {quoted(task.title)}: {words}{f' ({visible(reason)})' if reason else ''}")
    match task.status:
        case "awaiting_confirmation":
            asked = [row for row in app.rows("confirmations", {"status": "pending"}) if _is_of(row, task.task_id)]
            output.line(f"  {plural(len(asked), 'question')} for you: cowork confirmation list")
            output.line(f"  then go on with: cowork resume {task.task_id}")
        case "budget_exhausted":
            if told.exhausted is not None:
                output.line(f"  give it more room with: {told.exhausted.to_do}")
            output.line(f"  then go on with: cowork resume {task.task_id}")
        case "paused" | "ready" | "running" | "queued" | "planning":
            output.line(f"  go on with: cowork resume {task.task_id}")
        case "completed" | "completed_with_skips" | "failed" | "blocked" | "cancelled":
            output.line(f"  what it did: cowork task summary {task.task_id}")
            if task.status == "cancelled" and summary_in(app, told).file_changes:
                output.line(f"  take it back with: cowork undo {task.task_id}")


def _is_of(row: Mapping[str, object], task_id: str) -> bool:
    """Whether a question is the task's own or one of its subagents'."""
    return task_id in task_chain(str(row["task_id"]))
