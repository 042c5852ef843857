"""Four commands that are four different things: pause, interrupt, cancel and steer; each for a task and all beneath it.

*Pause* stops after what is under way, *interrupt* cuts that off, *cancel* ends the task for good, *steer* changes what
is left to do. Whichever process carries the task on notices what is recorded here.
"""

from collections.abc import Callable, Iterator
from typing import Literal, TypeAlias

from ..domain.budget import MEASURES, NO_USAGE, UNITS, Usage
from ..domain.confirmation import Withdraw
from ..domain.errors import DomainError
from ..domain.plan import Plan
from ..domain.subagent import Stop, Working
from ..domain.task import (
    Awaiting,
    CancelTask,
    InterruptTask,
    NoTask,
    PauseTask,
    RaiseBudget,
    SendMessage,
    SteerTask,
    Task,
    let_go,
    open_questions,
)
from . import limits
from .command_handler import (
    CONFIRMATION,
    SUBAGENT,
    TASK,
    CommandHandler,
    Order,
    StaleRead,
    order_confirmation,
    order_subagent,
    order_task,
)
from .ports import Guard

Strategy: TypeAlias = Literal["queue", "steer", "reject"]
"""What becomes of a message that arrives while a task is under way."""


class Stopping:
    """Records what a person wants of a task that may be under way, here or in another process."""

    def __init__(self, handler: CommandHandler) -> None:
        self._handler = handler

    async def pause(self, task_id: str, *, by: str, reason: str = "") -> None:
        """Stop a task after what is under way. Raises `DomainError` not_found or conflict (it has ended)."""
        words = reason or f"paused by {by}"
        await self._stop(task_id, lambda one: [order_task(one.task_id, PauseTask(words))], by=by, cause="pause")

    async def interrupt(self, task_id: str, *, by: str, reason: str = "") -> None:
        """Stop a task now, in the middle of what is under way. Raises `DomainError` as `pause`."""
        words = reason or f"interrupted by {by}"
        await self._stop(task_id, lambda one: [order_task(one.task_id, InterruptTask(words))], by=by, cause="interrupt")

    async def cancel(self, task_id: str, *, by: str, reason: str = "") -> None:
        """End a task early, cut off what is under way and take its open questions back.

        Raises `DomainError` as `pause`; a task that is cancelled already stays so.
        """
        words = reason or f"cancelled by {by}"

        def cancelling(one: Task) -> list[Order]:
            orders = [order_task(one.task_id, CancelTask(words))]
            orders += [order_confirmation(asked, Withdraw("the task was cancelled")) for asked in open_questions(one)]
            if isinstance(self._handler.load(one.subagent_id, SUBAGENT).state, Working):
                orders.append(order_subagent(one.subagent_id, Stop(words)))
            return orders

        await self._stop(task_id, cancelling, by=by, cause="cancel")

    async def steer(self, task_id: str, plan: Plan, *, by: str) -> None:
        """Let a task follow another plan from here on; questions that no longer apply are taken back.

        Raises `DomainError` not_found, invalid (the plan) or conflict (it has ended, or changes a step that was begun).
        """
        kept = {step.step_id for step in plan.steps}
        gone = "the plan was changed, and has no such step any more"

        def steering() -> tuple[list[Order], list[Guard]]:
            task = self._task(task_id)
            left = let_go(task, set(task.steps) - kept)
            asked = {action.phase.confirmation_id for action in left if isinstance(action.phase, Awaiting)}
            orders = [order_task(task_id, SteerTask(plan=plan, said_by=by))]
            orders += [order_confirmation(name, Withdraw(gone)) for name in sorted(asked) if self._is_known(name)]
            return orders, [self._guard(task_id)]

        await self._execute(steering, by=by, cause="steer")

    async def say(self, task_id: str, text: str, strategy: Strategy, *, by: str) -> None:
        """Say something to the agent of a task that is under way.

        With `reject` nothing is said to a task that is at work. Raises `DomainError` not_found, invalid (nothing said),
        limit (too long) or conflict (it has ended, or is at work).
        """
        if len(text.encode()) > limits.MESSAGE_BYTES_MAX:
            raise DomainError("limit", f"a message has at most {limits.MESSAGE_BYTES_MAX} bytes", "put it into a file")
        if strategy == "reject" and self._task(task_id).status == "running":
            raise DomainError("conflict", f"task `{task_id}` is at work and takes no messages", "pause it first")
        said = SendMessage(text=text, strategy="queue" if strategy == "reject" else strategy, said_by=by)
        await self._handler.execute(order_task(task_id, said), actor=by, cause="message")

    async def top_up(self, task_id: str, more: Usage, *, by: str) -> None:
        """Give a task more room in its budget. Raises `DomainError` not_found, invalid or conflict (it has ended)."""
        task = self._task(task_id)
        if more == NO_USAGE or any(more.of(measure) < 0 for measure in MEASURES):
            raise DomainError("invalid", "a budget is raised by something", "say by how much, as `--add-actions 10`")
        unbound = [UNITS[one] for one in MEASURES if more.of(one) and task.budget.of(one) is None]
        if unbound:
            said = f"the budget of task `{task_id}` has no bound on {', '.join(unbound)}, so there is nothing to raise"
            raise DomainError("invalid", said, f"see `cowork task budget {task_id}`")
        await self._handler.execute(order_task(task_id, RaiseBudget(more)), actor=by, cause="top-up")

    async def _stop(self, task_id: str, orders_of: Callable[[Task], list[Order]], *, by: str, cause: str) -> None:
        """Give orders to a task and to all beneath it, as they are at that very moment, in one commit."""

        def stopping() -> tuple[list[Order], list[Guard]]:
            tree = list(self._tree(task_id))
            # A subagent that is about to begin is not there yet: it has to wait, and finds out that it must not.
            named = dict.fromkeys(name for one in tree for name in (one.task_id, *one.children))
            return [order for one in tree for order in orders_of(one)], [self._guard(name) for name in named]

        await self._execute(stopping, by=by, cause=cause)

    async def _execute(self, decided: Callable[[], tuple[list[Order], list[Guard]]], *, by: str, cause: str) -> None:
        for _ in range(limits.STOP_RETRIES_MAX):
            orders, guards = decided()
            streams = {order.stream for order in orders} | {guard.stream for guard in guards}
            # With everybody of this process kept away, only another one can be faster.
            async with self._handler.turn(streams):
                orders, guards = decided()
                if not {order.stream for order in orders} | {guard.stream for guard in guards} <= streams:
                    continue
                try:
                    await self._handler.execute(*orders, actor=by, cause=cause, guards=guards, held=streams)
                except StaleRead:
                    continue
            return
        raise DomainError("conflict", "the task is changed too often by others", "try again")

    def _guard(self, task_id: str) -> Guard:
        return Guard(task_id, self._handler.known(task_id, TASK).version)

    def _tree(self, task_id: str) -> Iterator[Task]:
        """Yield the task, whatever it is, and those beneath it that have not ended."""
        task = self._task(task_id)
        yield task
        for child in task.children:
            state = self._handler.load(child, TASK).state
            if isinstance(state, Task) and not state.is_final:
                yield from self._tree(child)

    def _task(self, task_id: str) -> Task:
        state = self._handler.load(task_id, TASK).state
        if isinstance(state, NoTask):
            raise DomainError("not_found", f"there is no task `{task_id}`", "see `cowork task list`")
        return state

    def _is_known(self, confirmation_id: str) -> bool:
        return self._handler.load(confirmation_id, CONFIRMATION).version > 0
