"""`cowork task …`: the tasks, how they stand and what they did; and what a person tells them (`task_control.py`)."""

from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from . import output
from .opening import opened
from .options import PLAIN_OPTIONS, Options, TaskId
from .task_budget import show_or_raise_budget
from .task_control import cancel_task, interrupt_task, message_task, pause_task
from .task_output import show_output
from .task_rows import names_of_session, summary_in, task_in
from .task_steer import steer_task

if TYPE_CHECKING:
    from ...projections.task_status import Task

app = App(name="task", help="List and show tasks, see what they did, and pause, interrupt, cancel or steer them.")
app.command(show_output, name="output")
app.command(pause_task, name="pause")
app.command(interrupt_task, name="interrupt")
app.command(cancel_task, name="cancel")
app.command(steer_task, name="steer")
app.command(message_task, name="message")
app.command(show_or_raise_budget, name="budget")


@app.command(name="list")
def list_tasks(
    *,
    status: Annotated[str, Parameter(help="Only tasks with this status, such as `paused`.")] = "",
    options: Options = PLAIN_OPTIONS,
) -> None:
    """List the tasks, the newest first.

    cowork task list
    cowork task list --status awaiting_confirmation --json
    """
    from ...domain.errors import DomainError
    from ...domain.task import TASK_STATUSES
    from ...projections.task_status import task_of
    from ...projections.visible_text import visible

    if status and status not in TASK_STATUSES:
        raise DomainError("invalid", f"`{visible(status)}` is no status", f"one of {', '.join(TASK_STATUSES)}")
    with opened(options, absent_is_empty=True) as engine:
        rows = engine.rows("tasks", {"status": status} if status else None, order_by="created_position")
        tasks = [task_of(row, engine.rows("task_steps", {"task_id": row["task_id"]})) for row in reversed(rows)]
    if options.json:
        output.document(tasks)
        return
    _print_tasks(tasks)


def _print_tasks(tasks: list["Task"]) -> None:
    from ...projections.visible_text import visible
    from .layout import clock_time, in_columns

    if not tasks:
        output.line("no tasks")
        return
    rows = [(task.task_id, task.status, clock_time(task.created_at), visible(task.title) or "-") for task in tasks]
    for line in in_columns(rows, ("task", "status", "queued (UTC)", "title")):
        output.line(line)


@app.command(name="show")
def show_task(task_id: TaskId, /, *, options: Options = PLAIN_OPTIONS) -> None:
    """Show a task: its plan and every action with what became of it.

    cowork task show task-06bq2wr0t0x5k9qz
    """
    from ...projections.timeline_report import timeline_of, timeline_rows

    with opened(options) as engine:
        task = task_in(engine, task_id)
        if options.json:
            output.document(task)
            return
        groups = timeline_of(timeline_rows(engine.rows, task_id), names_of_session(engine, task.session_id))
    from .task_view import print_task

    print_task(task, groups)


@app.command(name="summary")
def summarise_task(task_id: TaskId, /, *, options: Options = PLAIN_OPTIONS) -> None:
    """Say what a task did: results, changes to files, every action, questions, and what was left open.

    cowork task summary task-06bq2wr0t0x5k9qz --json
    """
    with opened(options) as engine:
        task = task_in(engine, task_id)
        summary = summary_in(engine, task)
    if options.json:
        output.document(summary)
        return
    from .task_view import print_summary

    print_summary(task, summary)
