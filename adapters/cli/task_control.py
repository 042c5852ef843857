"""`cowork task pause`, `interrupt`, `cancel` and `message`: what a person tells a task that may be under way."""

from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

from cyclopts import Parameter

from . import output
from .opening import on_record, opened, person
from .options import PLAIN_OPTIONS, Options, TaskId
from .task_rows import summary_in, task_in

if TYPE_CHECKING:
    from ...engine.application import Application
    from ...projections.task_status import Task

ReasonOption: TypeAlias = Annotated[str, Parameter(help="Why, for the record.")]
StrategyName: TypeAlias = Literal["queue", "steer", "reject"]


def pause_task(task_id: TaskId, /, *, reason: ReasonOption = "", options: Options = PLAIN_OPTIONS) -> None:
    """Stop a task and its subagents after what is under way, whichever process is running them.

    What has begun is carried out to its end, however long it takes: `cowork task interrupt` cuts it off.

    cowork task pause task-06bq2wr0t0x5k9qz
    """
    import anyio

    with opened(options) as engine:
        before = engine.task(task_id).status
        anyio.run(lambda: engine.pause(task_id, by=person(), reason=reason))
        _print_stopped(engine, task_id, options, "paused already" if before == "paused" else "paused")


def interrupt_task(task_id: TaskId, /, *, reason: ReasonOption = "", options: Options = PLAIN_OPTIONS) -> None:
    """Stop a task and its subagents now, in the middle of what is under way, whichever process is running them.

    A command that runs is ended. What became of each attempt that was cut off is looked at and goes on record; where
    nobody can tell, you are asked. The task can be gone on with.

    cowork task interrupt task-06bq2wr0t0x5k9qz --reason "the disk is filling up"
    """
    import anyio

    with opened(options) as engine:
        before = engine.task(task_id)
        anyio.run(lambda: engine.interrupt(task_id, by=person(), reason=reason))
        _print_stopped(engine, task_id, options, "interrupted already" if before.is_interrupted else "interrupted")


def _print_stopped(engine: "Application", task_id: str, options: Options, how: str) -> None:
    with on_record():
        task = task_in(engine, task_id)
        below = [row for row in _below(engine, task) if row["status"] == "paused"]
    if options.json:
        output.document(task)
        return
    output.line(f"task {task_id} is {how}{_with_subagents(len(below))}; go on with: cowork resume {task_id}")


def _below(engine: "Application", task: "Task") -> list[dict[str, object]]:
    rows = engine.rows("tasks", {"root_task_id": task.root_task_id})
    return [row for row in rows if str(row["task_id"]).startswith(f"{task.task_id}-")]


def _with_subagents(count: int) -> str:
    from .layout import plural

    return f" with {plural(count, 'subagent')}" if count else ""


def cancel_task(task_id: TaskId, /, *, reason: ReasonOption = "", options: Options = PLAIN_OPTIONS) -> None:
    """End a task and its subagents for good: what is under way is cut off, and open questions are taken back.

    What was done until then stays as it is, and `cowork undo` takes it back.

    cowork task cancel task-06bq2wr0t0x5k9qz --reason "wrong folder"
    """
    import anyio

    with opened(options) as engine:
        anyio.run(lambda: engine.cancel(task_id, by=person(), reason=reason))
        with on_record():
            task = task_in(engine, task_id)
            changes = len(summary_in(engine, task).file_changes)
    if options.json:
        output.document(task)
        return
    from .layout import plural

    output.line(f"task {task_id} is cancelled; what it did until then: cowork task summary {task_id}")
    if changes:
        output.line(f"  {plural(changes, 'change')} to files can be taken back: cowork undo {task_id}")


def message_task(
    task_id: TaskId,
    text: Annotated[str, Parameter(help="What to say.")],
    /,
    *,
    strategy: Annotated[
        StrategyName,
        Parameter(
            help="Of a task that is at work: `queue` lets the agent hear it when the plan as it stands is done, `steer`"
            " at once, `reject` says nothing to it.",
        ),
    ] = "queue",
    options: Options = PLAIN_OPTIONS,
) -> None:
    """Say something to the agent of a task. It goes on record, whether or not the agent is one that listens.

    A plan from a file has no agent that reads: another plan is given with `cowork task steer`.

    cowork task message task-06bq2wr0t0x5k9qz "leave the 2023 folder alone"

    cowork task message task-06bq2wr0t0x5k9qz "stop at ten files" --strategy steer
    """
    import anyio

    with opened(options) as engine:
        anyio.run(lambda: engine.say(task_id, text, strategy, by=person()))
        with on_record():
            task = task_in(engine, task_id)
    if options.json:
        output.document(task)
        return
    when = "at once" if strategy == "steer" else "when the plan as it stands is done"
    output.line(f"said to the agent of task {task_id}, for it to hear {when}")
