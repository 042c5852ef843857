"""What can go wrong at any moment: a crash, a store that refuses, an executor that breaks, somebody who interferes.

Every wait of the engine on a port passes `Moment`, which decides by the seed what happens there. A crash is a
`BaseException` that nobody may catch; work on files is cut off at its checkpoints, with nothing undone on the way out,
as a kill would.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime
from random import Random
from typing import Any, Protocol, TypeVar

import anyio.lowlevel
import anyio.to_thread

from cowork.adapters.event_store.memory import MemoryEventStore
from cowork.adapters.files import deleting, moving, writing
from cowork.domain.action import Action, ActionKind, locations_of
from cowork.domain.errors import DomainError
from cowork.domain.event import Event, Origin, Recorded
from cowork.domain.facts import Facts
from cowork.domain.scope import Scope
from cowork.engine.ports import Done, Executor, Finding, Guard, Outcome, Permit, StreamWrite

T = TypeVar("T")


class Crash(BaseException):
    """The process dies here. What is in memory is gone, what was committed or done stays."""


class Moment(Protocol):
    """Told where the engine is; may wait, interfere, or raise `Crash`."""

    async def __call__(self, point: str) -> None: ...


class Odds:
    """How likely each fault is, per opportunity."""

    crash = 0.02
    crash_in_files = 0.12
    interfere = 0.07
    interfere_in_files = 0.02
    refuse = 0.02
    break_down = 0.01


class FaultyStore:
    """The store of one process: every append may be refused, or be the last thing that the process sees."""

    def __init__(self, inner: MemoryEventStore, random: Random, moment: Moment, is_quiet: Callable[[], bool]) -> None:
        self._inner = inner
        self._random = random
        self._moment = moment
        self._is_quiet = is_quiet

    async def append(
        self, writes: Sequence[StreamWrite], origin: Origin, guards: Sequence[Guard] = ()
    ) -> tuple[Recorded[Event], ...]:
        await self._moment("before a commit")
        if self._random.random() < Odds.refuse and not self._is_quiet():
            raise DomainError("unavailable", "the disk is full")
        recorded = await self._inner.append(writes, origin, guards)
        await self._moment("after a commit")
        return recorded

    def read_stream(self, stream: str, *, after_version: int = 0) -> list[Recorded[Event]]:
        return self._inner.read_stream(stream, after_version=after_version)

    def read_log(self, *, after: int, limit: int) -> list[Recorded[Event]]:
        return self._inner.read_log(after=after, limit=limit)

    def head(self) -> int:
        return self._inner.head()

    def others_appended(self) -> bool:
        return self._inner.others_appended()

    def close(self) -> None:
        self._inner.close()


class FaultyExecutor:
    """An executor that may die with its process, or break, before, in or after its work. It counts what was done."""

    def __init__(self, inner: Executor, random: Random, moment: Moment, is_quiet: Callable[[], bool]) -> None:
        self.kinds: frozenset[ActionKind] = inner.kinds
        self._inner = inner
        self._random = random
        self._moment = moment
        self._is_quiet = is_quiet
        self.done: list[tuple[str, int]] = []
        self.now: Callable[[], int] = lambda: 0
        self.at_work_on = ""
        self.looking_at: list[str] = []

    async def observe(self, actions: Sequence[Action], scope: Scope, now: datetime, *, batch: int) -> list[Facts]:
        await self._moment("before a look")
        self.looking_at = [at.path for action in actions for at in locations_of(action)]
        facts = await self._inner.observe(actions, scope, now, batch=batch)
        await self._moment("after a look")
        return facts

    async def perform(self, permit: Permit) -> Outcome:
        self.looking_at = [at.path for at in locations_of(permit.action)]
        await self._moment("before an effect")
        self._break_down("before its work")
        self.at_work_on = permit.action_id
        since = self.now()
        outcome = await self._inner.perform(permit)
        if isinstance(outcome, Done) and outcome.effects:
            self.done.append((permit.action_id, since))
        self._break_down("after its work")
        await self._moment("after an effect")
        return outcome

    async def reconcile(self, permit: Permit) -> Finding:
        await self._moment("before a look back")
        self.at_work_on = permit.action_id
        finding = await self._inner.reconcile(permit)
        await self._moment("after a look back")
        return finding

    def _break_down(self, when: str) -> None:
        if self._random.random() < Odds.break_down and not self._is_quiet():
            raise RuntimeError(f"broke {when}")


class FileFaults:
    """The checkpoints of file work: at one of them, chosen beforehand, the process may die."""

    def __init__(
        self, random: Random, interfere: Callable[[], None], note: Callable[[], None], is_quiet: Callable[[], bool]
    ) -> None:
        self._random = random
        self._interfere = interfere
        self._note = note
        self._is_quiet = is_quiet
        self.died = False

    def __call__(self, point: str) -> None:
        if self._is_quiet():
            return
        if self._random.random() < Odds.interfere_in_files:
            self._note()
            self._interfere()
        if self._random.random() < Odds.crash_in_files / 4:
            self.died = True
            self._note()
            raise Crash(f"in file work, at {point}")


@contextmanager
def as_if_killed(files: Callable[[], FileFaults]) -> Iterator[None]:
    """Let file work that dies at a checkpoint leave everything as it is: no undoing on the way out."""

    class Abandoned(ExitStack):
        def callback(self, undo: Callable[..., Any], /, *args: Any, **more: Any) -> Callable[..., Any]:
            return super().callback(lambda: None if files().died else undo(*args, **more))

    modules: tuple[Any, ...] = (writing, moving, deleting)
    for module in modules:
        module.ExitStack = Abandoned
    try:
        yield
    finally:
        for module in modules:
            module.ExitStack = ExitStack


async def _inline(work: Callable[..., T], *args: Any, **_how: Any) -> T:
    await anyio.lowlevel.checkpoint()
    return work(*args)


@contextmanager
def without_threads() -> Iterator[None]:
    """Let work that would go to a thread run at once, so that one seed always gives one order of events."""
    to_thread: Any = anyio.to_thread
    threaded = to_thread.run_sync
    to_thread.run_sync = _inline
    try:
        yield
    finally:
        to_thread.run_sync = threaded
