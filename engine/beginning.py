"""How a run begins: its task is started or resumed, unless somebody stopped it, or what it is beneath, meanwhile."""

from collections.abc import Iterator
from typing import TypeAlias

from ..domain.errors import DomainError
from ..domain.task import NoTask, ResumeTask, StartTask, Task, existing
from . import limits
from .command_handler import TASK, CommandHandler, StaleRead, order_task
from .ports import Guard

Paused: TypeAlias = dict[str, bool]
"""The tasks of a tree that were paused when somebody wanted it carried on, and whether they were interrupted."""


def paused_in_tree(handler: CommandHandler, task_id: str) -> Paused:
    """Return which tasks of the tree are paused: each of them is to be resumed once, when the tree is carried on."""
    return {one.task_id: one.is_interrupted for one in _live(handler, task_id) if one.status == "paused"}


async def begin_run(handler: CommandHandler, task_id: str, paused: Paused) -> None:
    """Start or resume a task, if it is not running, and take it out of those that are to be resumed.

    Whoever stops it after somebody wanted it carried on means it: then it stays as it is, and so does one beneath a
    task that was stopped. Raises `DomainError` as `CommandHandler.execute`.
    """
    was_interrupted = paused.pop(task_id, None)
    streams = {name for name in (task_id, existing(handler.load(task_id, TASK).state).parent_task_id) if name}
    async with handler.turn(streams):
        for _ in range(limits.COMMAND_RETRIES_MAX):
            found = {name: handler.load(name, TASK) for name in streams}
            task = existing(found[task_id].state)
            command = _beginning(task, was_interrupted)
            if command is None or any(_is_stopped(found[name].state) for name in streams - {task_id}):
                return
            order = order_task(task_id, command)
            guards = [Guard(name, live.version) for name, live in found.items()]
            try:
                await handler.execute(order, actor="engine", cause="scheduler", guards=guards, held=streams)
            except StaleRead:
                continue
            return
    raise DomainError("conflict", f"task `{task_id}` changes too often to be carried on", "try again")


def _beginning(task: Task, was_interrupted: bool | None) -> StartTask | ResumeTask | None:
    match task.status:
        case "ready":
            return StartTask()
        case "awaiting_confirmation" | "budget_exhausted":
            return ResumeTask()
        case "paused" if task.is_interrupted is was_interrupted:
            return ResumeTask()
        case _:
            return None


def _is_stopped(above: NoTask | Task) -> bool:
    return isinstance(above, Task) and (above.is_final or above.status == "paused")


def _live(handler: CommandHandler, task_id: str) -> Iterator[Task]:
    state = handler.load(task_id, TASK).state
    if isinstance(state, Task) and not state.is_final:
        yield state
        for child in state.children:
            yield from _live(handler, child)
