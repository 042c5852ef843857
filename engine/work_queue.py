"""The queue: tasks that nobody is at, carried on by workers, the one with the highest priority first, then the oldest.

Any number of processes may work on one store. Locks keep two of them from one task and hold all of them together to how
many tasks a store and a session have under way; a lock ends with its process, however that ends, so what a killed
worker was at is carried on by another.
"""

import json
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from datetime import datetime, timedelta
from typing import Final, Protocol, TypeAlias

import anyio
import anyio.abc
import msgspec

from ..domain.budget import MEASURES, Budget
from ..domain.errors import DomainError
from ..domain.ids import root_task_id
from ..domain.task import NoTask, Task, existing, open_questions
from . import limits
from .answering import Answering
from .command_handler import TASK, CommandHandler
from .in_hand import TasksInHand
from .ports import Clock, TaskLocks

Rows: TypeAlias = Callable[..., Sequence[Mapping[str, object]]]
"""Reads a table, as `Application.rows`."""

_STATUSES: Final = ("ready", "running", "awaiting_confirmation", "budget_exhausted")
"""How a task stands that may be carried on. What a person paused is for a person to resume."""


class QueueListener(Protocol):
    """Hears how the work goes on."""

    def begun(self, task: Task) -> None:
        """Take note of a task that is carried on from here on."""
        ...

    def rested(self, task: Task) -> None:
        """Take note of one that has ended, or can't go on for now."""
        ...

    def refused(self, task_id: str, error: DomainError) -> None:
        """Take note of one that could not be carried on."""
        ...


class _News(msgspec.Struct, frozen=True):
    """What may let a task go on that has come to rest: its questions, those still to be answered, and its budgets."""

    asked: frozenset[str]
    pending: frozenset[str]
    budgets: tuple[Budget, ...]


class WorkQueue:
    """One worker: carries several tasks on at once, each in a task of its own. One per process."""

    def __init__(
        self,
        *,
        rows: Rows,
        carry_on: Callable[[str], Awaitable[Task]],
        halt: Callable[[], None],
        handler: CommandHandler,
        answering: Answering,
        in_hand: TasksInHand,
        locks: TaskLocks,
        clock: Clock,
    ) -> None:
        self._rows = rows
        self._carry_on = carry_on
        self._halt = halt
        self._handler = handler
        self._answering = answering
        self._in_hand = in_hand
        self._locks = locks
        self._clock = clock
        self._active: set[str] = set()
        self._rested: dict[str, _News] = {}
        self._aside: dict[str, datetime] = {}
        self._failure: DomainError | None = None
        self._stopping = False
        self._to_close: dict[str, Mapping[str, object]] | None = None
        self._changed = anyio.Event()

    def stop(self) -> None:
        """Come to rest after what is under way. The tasks stay as they are, for the next worker to go on with."""
        self._stopping = True
        self._halt()
        self._changed.set()

    async def run(
        self, listener: QueueListener, *, at_once: int = limits.TASKS_AT_ONCE_MAX, until_idle: bool = False
    ) -> None:
        """Carry tasks on, `at_once` of them, until `stop`; with `until_idle`, until nothing is left to do.

        A task that can't be carried on is tried again later. Raises `DomainError` damaged, or unavailable where tasks
        can't be looked for, when what was under way has its outcome; and invalid for a number that can't be.
        """
        if not 1 <= at_once <= limits.TASKS_AT_ONCE_MAX:
            raise DomainError("invalid", f"a worker carries 1 to {limits.TASKS_AT_ONCE_MAX} tasks on, not {at_once}")
        async with anyio.create_task_group() as group:
            while not self._stopping:
                self._changed = anyio.Event()
                try:
                    self._begin(group, listener, at_once)
                except DomainError as error:
                    self._give_up(error)
                if until_idle and not self._active:
                    break
                with anyio.move_on_after(limits.QUEUE_INTERVAL_S):
                    await self._changed.wait()
        if self._failure is not None:
            raise self._failure

    def _begin(self, group: anyio.abc.TaskGroup, listener: QueueListener, at_once: int) -> None:
        """Begin with as many tasks as there is room for."""
        for row in self._candidates() if len(self._active) < at_once else ():
            with ExitStack() as slots:
                if not self._takes_slot(slots, "queue", limits.TASKS_AT_ONCE_MAX):
                    return
                task = self._take(row, slots)
                if task is not None:
                    self._active.add(task.task_id)
                    group.start_soon(self._carry, task, slots.pop_all(), listener)
            if len(self._active) >= at_once:
                return

    def _give_up(self, error: DomainError) -> None:
        """Come to rest, and let the error be the last word."""
        self._failure = self._failure or error
        self.stop()

    def _take(self, row: Mapping[str, object], slots: ExitStack) -> Task | None:
        """Make a task this worker's; None where it is somebody else's, or there is nothing to do for it."""
        session = f"queue-{row['session_id']}"
        task = self._task(str(row["task_id"]))
        if task is None or not self._may_go_on(task, row):
            return None
        if not self._takes_slot(slots, session, limits.TASKS_OF_SESSION_AT_ONCE_MAX):
            return None
        if not self._in_hand.take(task.task_id):
            return None
        # Whoever had it until now may have ended it, or brought it to rest.
        task = existing(self._handler.load(task.task_id, TASK).state)
        if self._may_go_on(task, row):
            return task
        self._in_hand.let_go(task.task_id)
        return None

    def _takes_slot(self, slots: ExitStack, name: str, number: int) -> bool:
        for slot in range(1, number + 1):
            lock = ExitStack()
            if lock.enter_context(self._locks.hold(f"{name}-{slot}")):
                slots.push(lock)
                return True
            lock.close()
        return False

    async def _carry(self, task: Task, slots: ExitStack, listener: QueueListener) -> None:
        try:
            with slots:
                listener.begun(task)
                task = await self._carry_on(task.task_id)
                self._rested[task.task_id] = self._news(task)
                listener.rested(task)
        except DomainError as error:
            if error.code == "damaged":
                self._give_up(error)
            elif error.code != "conflict":
                # Ended or stopped meanwhile is no reason to say anything; this is: it is set aside, not given up.
                listener.refused(task.task_id, error)
            self._aside[task.task_id] = self._clock.now() + timedelta(seconds=limits.QUEUE_RETRY_S)
        finally:
            self._active.discard(task.task_id)
            if self._to_close is not None:
                self._to_close.pop(task.task_id, None)
            self._changed.set()

    # What there is to do

    def _candidates(self) -> Iterator[Mapping[str, object]]:
        """Yield the rows of tasks that nobody of this process is at, in the order in which their turn comes."""
        now = self._clock.now()
        found = [row for status in _STATUSES for row in self._rows("tasks", {"status": status})]
        if self._to_close is None:
            self._to_close = {str(row["task_id"]): row for row in self._unclosed()}
        found += self._to_close.values()
        for row in sorted(found, key=lambda row: (-_number(row, "priority"), _number(row, "created_position"))):
            task_id = str(row["task_id"])
            is_aside = task_id in self._aside and now < self._aside[task_id]
            if root_task_id(task_id) == task_id and task_id not in self._active and not is_aside:
                yield row

    def _unclosed(self) -> Iterator[Mapping[str, object]]:
        """Yield tasks that were cancelled, and whose process died before it had ended their session."""
        for session in self._rows("sessions", {"status": "open"}):
            for row in self._rows("tasks", {"session_id": session["session_id"]}):
                if row["status"] == "cancelled":
                    yield row

    def _may_go_on(self, task: Task, row: Mapping[str, object]) -> bool:
        """Whether there is something to do for a task: nothing where it came to rest here and no news is there."""
        news = self._news(task)
        match task.status:
            case "awaiting_confirmation":
                return bool(news.asked - news.pending) and news != self._rested.get(task.task_id)
            case "budget_exhausted":
                return self._has_more_room(row) and news != self._rested.get(task.task_id)
            case _:
                return task.status in ("ready", "running", "cancelled")

    def _has_more_room(self, row: Mapping[str, object]) -> bool:
        """Whether the budget that stopped a task was raised since."""
        exhausted = json.loads(str(row["exhausted"] or "{}"))
        over = self._task(str(exhausted.get("ofTask", "")))
        bounds = [] if over is None else [over.budget.of(one) for one in MEASURES if one == exhausted["measure"]]
        return all(bound is None or bound > int(exhausted["bound"]) for bound in bounds)

    def _news(self, task: Task) -> _News:
        tree = list(self._tree(task))
        return _News(
            asked=frozenset(name for one in tree for name in open_questions(one)),
            pending=frozenset(name for name in self._answering.pending_of_tree(task) if not self._is_late(name)),
            budgets=tuple(one.budget for one in tree),
        )

    def _tree(self, task: Task) -> Iterator[Task]:
        yield task
        for child in task.children:
            state = self._task(child)
            if state is not None and not state.is_final:
                yield from self._tree(state)

    def _is_late(self, confirmation_id: str) -> bool:
        question = self._answering.question(confirmation_id)
        return question is None or self._clock.now() >= question.expires_at

    def _task(self, task_id: str) -> Task | None:
        state = self._handler.load(task_id, TASK).state
        return None if isinstance(state, NoTask) else state


def _number(row: Mapping[str, object], column: str) -> int:
    value = row[column]
    return value if isinstance(value, int) else 0
