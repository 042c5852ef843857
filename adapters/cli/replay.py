"""`cowork replay`: a task's history again, event by event. Nothing is run again."""

import sys
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from ...domain.errors import DomainError
from . import output
from .exit_status import ExitStatus
from .opening import opened
from .options import PLAIN_OPTIONS, Options, TaskId

if TYPE_CHECKING:
    from ...domain.task import Tally, Task
    from ...engine.application import Application
    from ...projections.place_names import PlaceNames

NOTICE = "replay shows what was recorded; nothing was run again"


def replay(
    task: TaskId,
    /,
    *,
    at: Annotated[int | None, Parameter(help="Stop at this position of the log, and show the task as it was.")] = None,
    step: Annotated[
        bool, Parameter(negative="", help="Wait for a key after each event: Space for the next, q to stop.")
    ] = False,
    options: Options = PLAIN_OPTIONS,
) -> ExitStatus:
    """Show a task's history event by event, with the task as it was then. Nothing is run again.

    cowork replay task-06bq2wr0t0x5k9qz
    cowork replay task-06bq2wr0t0x5k9qz --at 42
    cowork replay task-06bq2wr0t0x5k9qz --step
    """
    if at is not None and at < 1:
        raise DomainError("invalid", f"`{at}` is no position of the log", "positions begin with 1")
    with opened(options) as engine:
        if options.json:
            _print_json(engine, task, at)
            return ExitStatus.DONE
        last = print_frames(engine, task, at, step=step)
    if last is not None:
        print_state(last)
    output.line()
    output.line(NOTICE)
    return ExitStatus.DONE


def _print_json(engine: "Application", task_id: str, at: int | None) -> None:
    import msgspec

    from .event_json import event_object

    for frame in engine.replay(task_id, until=at):
        state = None if frame.task is None else task_state(frame.task)
        recorded = msgspec.to_builtins(event_object(frame.recorded))
        output.object_line({**recorded, "task": state})


def task_state(task: "Task") -> dict[str, object]:
    """Return what a replay shows of a task's state: its status and how its steps and open actions stand."""
    return {
        "taskId": task.task_id,
        "status": task.status,
        "actions": task.actions,
        "steps": [
            {
                "stepId": step_id,
                "actions": tally.actions,
                "succeeded": tally.succeeded,
                "failed": tally.failed,
                "denied": tally.denied,
                "skipped": tally.skipped,
                "leftOut": tally.left_out,
            }
            for step_id, tally in _in_order(task)
        ],
        "openActions": [
            {"actionId": action.action_id, "stepId": action.step_id, "phase": type(action.phase).__name__.lower()}
            for _, action in sorted(task.open_actions.items())
        ],
    }


def print_frames(engine: "Application", task_id: str, at: int | None = None, *, step: bool = False) -> "Task | None":
    """Print a line for each event and return the task as it was after the last of them."""
    from .event_words import what_happened

    names = _names(engine, task_id)
    last: Task | None = None
    stepping = step and sys.stdin.isatty() and sys.stdout.isatty()
    for frame in engine.replay(task_id, until=at):
        recorded = frame.recorded
        status = "-" if frame.task is None else frame.task.status
        name = recorded.event.TOPIC.rpartition(".")[0]
        output.line(
            f"{recorded.position:>6}  {recorded.origin.at:%H:%M:%S}  {status:<22}  {name:<32}  "
            f"{what_happened(recorded.event, names)}".rstrip()
        )
        last = frame.task
        if stepping and not _go_on():
            break
    return last


def _go_on() -> bool:
    """Wait for a key; False for `stop`."""
    import contextlib

    from .keyboard import Keyboard, Woken

    output.flush()
    keyboard = Keyboard()
    try:
        with contextlib.suppress(Woken), keyboard.keys():
            while True:
                match keyboard.key(60 * 60):
                    case " " | "\n" | "\r" | "j" | "l":
                        return True
                    case None | "" | "q" | "\x04" | "\x1b":
                        return False
                    case _:
                        pass
    finally:
        keyboard.close()
    return False


def _names(engine: "Application", task_id: str) -> "PlaceNames":
    from ...projections.place_names import names_in_rows

    return names_in_rows(engine.rows("grants", {"session_id": engine.task(task_id).session_id}))


def print_state(task: "Task") -> None:
    """Print how the task and its steps stood."""
    from ...projections.visible_text import quoted, visible
    from .layout import in_columns, plural

    output.line()
    output.line(f"task {task.task_id} {quoted(task.title)} as it was then: {task.status.replace('_', ' ')}")
    rows = [
        (
            f"  {visible(step_id)}",
            "left out" if tally.left_out else plural(tally.actions, "action"),
            f"{tally.succeeded} succeeded, {tally.failed} failed, {tally.denied} denied, {tally.skipped} skipped",
        )
        for step_id, tally in _in_order(task)
    ]
    for line in in_columns(rows):
        output.line(line)
    for _, action in sorted(task.open_actions.items()):
        output.line(f"  {action.action_id} of {visible(action.step_id)}: {type(action.phase).__name__.lower()}")


def _in_order(task: "Task") -> list[tuple[str, "Tally"]]:
    """Return the steps that have begun, in the order of the plan."""
    planned = () if task.plan is None else task.plan.steps
    return [(step.step_id, task.steps[step.step_id]) for step in planned if step.step_id in task.steps]
