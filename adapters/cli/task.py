"""`cowork task …`: the tasks, how they stand, what they did, and stopping them."""

from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from . import output
from .opening import opened, person
from .options import PLAIN_OPTIONS, Options, TaskId
from .task_output import show_output

if TYPE_CHECKING:
    from ...engine.application import Application
    from ...projections.place_names import PlaceNames
    from ...projections.summary_shape import TaskSummary
    from ...projections.task_status import Task

app = App(name="task", help="List, show, summarise, pause and cancel tasks, and see what their actions brought back.")
app.command(show_output, name="output")


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
        groups = timeline_of(timeline_rows(engine.rows, task_id), _names(engine, task.session_id))
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


def summary_in(engine: "Application", task: "Task") -> "TaskSummary":
    """Return the task's summary from the read model."""
    from ...projections.summary_report import summary_of
    from ...projections.summary_rows import summary_rows

    rows = summary_rows(engine.rows, task.task_id)
    assert rows is not None, "a task has a row in every table of tasks"
    return summary_of(rows, _names(engine, task.session_id))


@app.command(name="pause")
def pause_task(
    task_id: TaskId,
    /,
    *,
    reason: Annotated[str, Parameter(help="Why, for the record.")] = "",
    options: Options = PLAIN_OPTIONS,
) -> None:
    """Stop a task after the action at hand, whichever process is running it.

    cowork task pause task-06bq2wr0t0x5k9qz
    """
    import anyio

    with opened(options) as engine:
        before = engine.task(task_id).status
        anyio.run(lambda: engine.pause(task_id, by=person(), reason=reason))
        task = task_in(engine, task_id)
    if options.json:
        output.document(task)
    elif before == "paused":
        output.line(f"task {task_id} is paused already")
    else:
        output.line(f"task {task_id} is paused; go on with: cowork resume {task_id}")


@app.command(name="cancel")
def cancel_task(
    task_id: TaskId,
    /,
    *,
    reason: Annotated[str, Parameter(help="Why, for the record.")] = "",
    options: Options = PLAIN_OPTIONS,
) -> None:
    """End a task early and take its open questions back. An action that has started still gets its outcome.

    cowork task cancel task-06bq2wr0t0x5k9qz --reason "wrong folder"
    """
    import anyio

    with opened(options) as engine:
        anyio.run(lambda: engine.cancel(task_id, by=person(), reason=reason))
        task = task_in(engine, task_id)
    if options.json:
        output.document(task)
    else:
        output.line(f"task {task_id} is cancelled; what it did until then: cowork task summary {task_id}")


def task_in(engine: "Application", task_id: str) -> "Task":
    """Return the task's JSON object, with what it used up. Raises `DomainError` not_found."""
    from ...projections.task_status import task_of
    from ...projections.usage_report import usage_of_tree, usage_rows

    engine.task(task_id)
    (row,) = engine.rows("tasks", {"task_id": task_id})
    usage = usage_of_tree(usage_rows(engine.rows, str(row["root_task_id"])))
    return task_of(row, engine.rows("task_steps", {"task_id": task_id}), usage[task_id])


def _names(engine: "Application", session_id: str) -> "PlaceNames":
    from ...projections.place_names import names_in_rows

    return names_in_rows(engine.rows("grants", {"session_id": session_id}))
