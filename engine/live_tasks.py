"""The tasks beneath a task that have not ended, as last noticed of other processes."""

from collections.abc import Iterator

from ..domain.task import Task
from .command_handler import TASK, CommandHandler


def live_children(handler: CommandHandler, task: Task) -> Iterator[Task]:
    """Yield the tasks of the subagents that the task itself has started, without those that have ended."""
    for name in task.children:
        child = handler.known(name, TASK).state
        if isinstance(child, Task) and not child.is_final:
            yield child


def live_below(handler: CommandHandler, task: Task) -> Iterator[Task]:
    """Yield all tasks beneath the task, each before those beneath it. Below one that has ended nothing is alive."""
    for child in live_children(handler, task):
        yield child
        yield from live_below(handler, child)
