"""Group commit: items that wait at the same moment share one durable commit, each with its own outcome.

The first to wait leads: it gives way once, so that the others of the same moment can join, and then commits for all
of them without a pause in between. Nothing can therefore be half done when a task is cancelled.
"""

from collections import deque
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Final, Generic, TypeVar

import anyio
import anyio.lowlevel

from ...domain.errors import DomainError

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")

GROUP_ITEMS_MAX: Final = 256
"""How many items share one commit, so that the event loop is not held up for long."""

LOCK_POLL_MIN_S: Final = 0.001
LOCK_POLL_MAX_S: Final = 0.020
"""How often a lock that another process holds is tried again, at first and later."""


class Waiter(Generic[ItemT, ResultT]):
    """One item with its outcome: a result, an error, or nothing yet."""

    __slots__ = ("_error", "_result", "deadline", "is_settled", "item")

    def __init__(self, item: ItemT) -> None:
        self.item = item
        self.is_settled = False
        self.deadline = 0.0
        self._result: ResultT | None = None
        self._error: Exception | None = None

    def succeed(self, result: ResultT) -> None:
        """Set the result."""
        self._result, self._error = result, None

    def fail(self, error: Exception) -> None:
        """Set the error that the waiting task will raise."""
        self._result, self._error = None, error

    def outcome(self) -> ResultT:
        """Return the result or raise the error."""
        if self._error is not None:
            raise self._error
        if self._result is None:
            raise DomainError(
                "unavailable", "the commit was interrupted before its outcome was known", "look at the log"
            )
        return self._result


class GroupCommit(Generic[ItemT, ResultT]):
    """Hands items to `commit` in groups, in the order in which they came. For the tasks of one event loop.

    `commit` gives every waiter its outcome and returns True; or it has done nothing and returns False, because another
    process holds the lock. It is then tried again until `lock_wait_s` seconds have passed, and the item fails with
    `DomainError` unavailable and `locked_message`.
    """

    def __init__(
        self, commit: Callable[[Sequence[Waiter[ItemT, ResultT]]], bool], *, lock_wait_s: float, locked_message: str
    ) -> None:
        self._commit = commit
        self._lock_wait_s = lock_wait_s
        self._locked_message = locked_message
        self._queue: deque[Waiter[ItemT, ResultT]] = deque()
        self._leader: Waiter[ItemT, ResultT] | None = None
        # Set, and made anew by the next to wait, when some have an outcome or another one leads.
        self._news: anyio.Event | None = None

    async def submit(self, item: ItemT) -> ResultT:
        """Return the item's result once it is committed, or raise its error.

        What was submitted is carried out: a cancellation of the caller's scope is seen at its next checkpoint, not in
        here. (A bare `asyncio.Task.cancel()`, which no shield holds off, takes an item back that is not begun.)
        """
        waiter: Waiter[ItemT, ResultT] = Waiter(item)
        self._queue.append(waiter)
        try:
            if self._leader is None:
                self._leader = waiter
            else:
                await self._wait(waiter)
            if not waiter.is_settled:
                await self._lead(waiter)
        finally:
            self._leave(waiter)
        return waiter.outcome()

    async def _wait(self, waiter: Waiter[ItemT, ResultT]) -> None:
        """Wait until the waiter has its outcome, or leads."""
        with anyio.CancelScope(shield=True):
            while not waiter.is_settled and self._leader is not waiter:
                if self._news is None:
                    self._news = anyio.Event()
                await self._news.wait()

    def _tell(self) -> None:
        if self._news is not None:
            self._news.set()
            self._news = None

    async def _lead(self, leader: Waiter[ItemT, ResultT]) -> None:
        waiting = 0
        while waiting < len(self._queue) < GROUP_ITEMS_MAX:
            # Others that are about to come share the commit; whoever is alone waits for one turn of the loop.
            waiting = len(self._queue)
            await anyio.lowlevel.cancel_shielded_checkpoint()
        if self._commit_group():
            return
        with anyio.CancelScope(shield=True):
            pause_s = LOCK_POLL_MIN_S
            while not leader.is_settled:
                self._expire(anyio.current_time())
                if not leader.is_settled:
                    await anyio.sleep(pause_s)
                    pause_s = min(2 * pause_s, LOCK_POLL_MAX_S)
                    self._commit_group()

    def _commit_group(self) -> bool:
        """Commit those that came first, the leader among them. Return False where the lock is held."""
        group = list(islice(self._queue, GROUP_ITEMS_MAX))
        is_locked = False
        try:
            is_locked = not self._commit(group)
        finally:
            # An error that `commit` did not foresee is raised in the leader; the others must not wait for ever.
            if not is_locked:
                for waiter in group:
                    self._queue.popleft()
                    waiter.is_settled = True
                self._tell()
        return not is_locked

    def _expire(self, now: float) -> None:
        """Start the clock of those that have just come, and give up for those that have waited long enough."""
        for waiter in list(self._queue):
            if not waiter.deadline:
                waiter.deadline = now + self._lock_wait_s
            elif now >= waiter.deadline:
                waiter.fail(DomainError("unavailable", self._locked_message, "try again when that has finished"))
                self._queue.remove(waiter)
                waiter.is_settled = True
                self._tell()

    def _leave(self, waiter: Waiter[ItemT, ResultT]) -> None:
        """Take back what was not begun, and pass the lead on."""
        if not waiter.is_settled:
            self._queue.remove(waiter)
        if self._leader is waiter:
            self._leader = self._queue[0] if self._queue else None
            self._tell()
