"""What is said when a task stops: how it stands, what it changed, and the command that goes on with it."""

from typing import TYPE_CHECKING

from ...projections.visible_text import quoted, visible
from . import output
from .layout import plural

if TYPE_CHECKING:
    from ...domain.task import Task
    from ...engine.application import Application


def print_ending(app: "Application", task: "Task") -> None:
    """Print how the task stands, and what to do next where something is left to do."""
    row = app.rows("tasks", {"task_id": task.task_id})[0]
    reason = str(row["reason"] or "")
    words = task.status.replace("_", " ")
    output.line(f"task {task.task_id} {quoted(task.title)}: {words}{f' ({visible(reason)})' if reason else ''}")
    match task.status:
        case "awaiting_confirmation":
            open_questions = app.rows("confirmations", {"task_id": task.task_id, "status": "pending"})
            output.line(f"  {plural(len(open_questions), 'question')} for you: cowork confirmation list")
            output.line(f"  then go on with: cowork resume {task.task_id}")
        case "paused":
            output.line(f"  go on with: cowork resume {task.task_id}")
        case "ready" | "running" | "queued" | "planning":
            output.line(f"  go on with: cowork resume {task.task_id}")
        case "completed" | "completed_with_skips" | "failed" | "blocked" | "cancelled":
            output.line(f"  what it did: cowork task summary {task.task_id}")
