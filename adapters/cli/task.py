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
    from collections.abc import Iterator, Sequence

    from ...engine.application import Application
    from ...projections.row import Row
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
    status: Annotated[str | None, Parameter(help="Only tasks with this status, such as `paused`.")] = None,
    all_of_them: Annotated[
        bool, Parameter(name="--all", negative="", help="Also every subagent of tasks that have ended.")
    ] = False,
    options: Options = PLAIN_OPTIONS,
) -> None:
    """List the tasks, the newest first, with their subagents beneath them.

    cowork task list
    cowork task list --status awaiting_confirmation --json
    """
    from ...domain.errors import DomainError
    from ...domain.task import TASK_STATUSES
    from ...projections.visible_text import visible
    from .task_list import print_tasks

    if status is not None and status not in TASK_STATUSES:
        raise DomainError("invalid", f"`{visible(status)}` is no status", f"one of {', '.join(TASK_STATUSES)}")
    with opened(options, absent_is_empty=True) as engine:
        where = None if status is None else {"status": status}
        rows = list(reversed(engine.rows("tasks", where, order_by="created_position")))
        tasks = list(_tasks(engine, rows, with_plans=options.json))
    if options.json:
        output.document(tasks)
    else:
        print_tasks(tasks, all_of_them=all_of_them or status is not None)


def _tasks(engine: "Application", rows: "Sequence[Row]", *, with_plans: bool) -> "Iterator[Task]":
    """Yield the tasks of these rows; reading thousands of planned steps is only worth it where they are printed."""
    from ...projections.task_status import task_of

    steps: dict[object, list[Row]] = {}
    for step in engine.rows("task_steps") if with_plans else ():
        steps.setdefault(step["task_id"], []).append(step)
    for row in rows:
        yield task_of(row if with_plans else {**row, "plan": None}, steps.get(row["task_id"], ()))


@app.command(name="show")
def show_task(task_id: TaskId, /, *, options: Options = PLAIN_OPTIONS) -> None:
    """Show a task: how it stands, its plan with what became of each step, its actions and its subagents.

    cowork task show task-06bq2wr0t0x5k9qz
    """
    from ...projections.summary_report import steering_of
    from ...projections.timeline_report import timeline_of, timeline_rows
    from .step_states import step_states

    with opened(options) as engine:
        task = task_in(engine, task_id)
        if options.json:
            output.document(task)
            return
        groups = timeline_of(timeline_rows(engine.rows, task_id), names_of_session(engine, task.session_id))
        states = step_states(engine.task(task_id))
        steering = steering_of(engine.rows("summary_course", {"task_id": task_id}))
    from .task_view import print_task

    print_task(task, groups, states, steering)


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
