"""What a task and all its subagents have used up, and whether there is room for one more action.

Everything is folded from the tasks' own events, so a restart knows what the process before knew. What is about to be
recorded is held here until it is, so that two that start at the same moment can't both take the last of it.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from ..domain.budget import NO_USAGE, Overrun, Usage, find_overrun, minus, plus
from ..domain.task import NoTask, Task, TaskBudgetExhausted
from .command_handler import TASK, CommandHandler
from .ports import Guard


class Spent(msgspec.Struct, frozen=True, gc=False):
    """A budget without room: the task that it is of, and the bound that would be passed.

    `guard` is for who records it: there may be another budget before that.
    """

    of_task: str
    overrun: Overrun
    guard: Guard


class Ledger:
    """Usage of tasks and of all beneath them. One per process."""

    def __init__(self, handler: CommandHandler) -> None:
        self._handler = handler
        self._held: dict[str, Usage] = {}
        self._running: dict[str, int] = {}

    def note_running(self, task_id: str, milliseconds: int) -> None:
        """Count the time that a task has been at work since it last said so on record."""
        self._running[task_id] = milliseconds

    def used(self, task: Task) -> Usage:
        """Return what the task and its subagents used up and have under way. Of time only its own counts."""
        own = plus(plus(task.spent, task.reserved), self._held.get(task.task_id, NO_USAGE))
        total = plus(own, Usage(wall_ms=self._running.get(task.task_id, 0)))
        for child in task.children:
            state = self._handler.known(child, TASK).state
            if isinstance(state, Task):
                total = plus(total, msgspec.structs.replace(self.used(state), wall_ms=0))
        return total

    def guard_of_bound(self, spent: TaskBudgetExhausted) -> Guard | None:
        """Return what holds as long as the bound does at which a task stopped; None where it is another by now."""
        live = self._handler.known(spent.of_task, TASK)
        if isinstance(live.state, NoTask) or live.state.budget.of(spent.measure) != spent.bound:
            return None
        return Guard(spent.of_task, live.version)

    def find_spent(self, task: Task, wanted: Usage, *, tells_sent: bool) -> Spent | None:
        """Return the first budget, from the task upwards, that has no room for what is wanted; as `find_overrun`."""
        for one in self._upwards(task):
            if not one.budget.is_bound:
                continue
            over = find_overrun(one.budget, self.used(one), wanted, tells_sent=tells_sent)
            if over is not None:
                return Spent(one.task_id, over, Guard(one.task_id, self._handler.known(one.task_id, TASK).version))
        return None

    @contextmanager
    def holding(self, task: Task, wanted: Usage) -> Iterator[None]:
        """Count what is wanted as used until the block ends: by then it is on record, or was not taken."""
        self._held[task.task_id] = plus(self._held.get(task.task_id, NO_USAGE), wanted)
        try:
            yield
        finally:
            left = minus(self._held.pop(task.task_id, NO_USAGE), wanted)
            if left != NO_USAGE:
                self._held[task.task_id] = left

    def _upwards(self, task: Task) -> Iterator[Task]:
        yield task
        while task.parent_task_id:
            above = self._handler.known(task.parent_task_id, TASK).state
            if isinstance(above, NoTask):
                return
            task = above
            yield task
