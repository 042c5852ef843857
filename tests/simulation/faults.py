"""What can go wrong at any moment: a crash, a store that refuses, an executor that breaks, somebody who interferes.

Every wait of the engine on a port is a moment of its process, which decides by the seed what happens there. Work on
files is cut off at its checkpoints, with nothing undone on the way out, as a kill would.
"""

import importlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime
from random import Random
from typing import Any, TypeVar

import anyio.lowlevel
import anyio.to_thread

from cowork.adapters.event_store.memory import MemoryEventStore
from cowork.adapters.files import deleting, moving, restoring, writing
from cowork.domain.action import Action, ActionKind, locations_of
from cowork.domain.errors import DomainError
from cowork.domain.event import Event, Origin, Recorded
from cowork.domain.facts import Facts
from cowork.domain.scope import Scope
from cowork.engine.ports import Done, Executor, Finding, Guard, Outcome, Permit, StreamWrite
from tests.simulation.process import AT_WORK, HERE, Odds, Process
from tests.simulation.truth import Truth

T = TypeVar("T")


class FaultyStore:
    """The store of one process: every append may be refused, or be the last thing that the process sees.

    It notes in `written_by` which process appended what, by position.
    """

    def __init__(
        self,
        inner: MemoryEventStore,
        random: Random,
        process: Process,
        is_quiet: Callable[[], bool],
        written_by: dict[int, int],
    ) -> None:
        self._inner = inner
        self._random = random
        self._process = process
        self._is_quiet = is_quiet
        self._written_by = written_by

    async def append(
        self, writes: Sequence[StreamWrite], origin: Origin, guards: Sequence[Guard] = ()
    ) -> tuple[Recorded[Event], ...]:
        await self._process.moment("before a commit")
        if self._random.random() < Odds.refuse and not self._is_quiet():
            raise DomainError("unavailable", "the disk is full")
        recorded = await self._inner.append(writes, origin, guards)
        self._written_by.update((one.position, self._process.number) for one in recorded)
        await self._process.moment("after a commit")
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
    """An executor that may die with its process, or break, before, in or after its work. What it does is noted."""

    def __init__(
        self,
        inner: Executor,
        random: Random,
        process: Process,
        is_quiet: Callable[[], bool],
        truth: Truth,
        snatch: Callable[[Process], None],
    ) -> None:
        self.kinds: frozenset[ActionKind] = inner.kinds
        self._inner = inner
        self._random = random
        self._process = process
        self._is_quiet = is_quiet
        self._truth = truth
        self._snatch = snatch

    async def observe(self, actions: Sequence[Action], scope: Scope, now: datetime, *, batch: int) -> list[Facts]:
        await self._process.moment("before a look")
        self._process.at_stake = [at.path for action in actions for at in locations_of(action)]
        facts = await self._inner.observe(actions, scope, now, batch=batch)
        await self._process.moment("after a look")
        return facts

    async def perform(self, permit: Permit) -> Outcome:
        self._process.at_stake = [at.path for at in locations_of(permit.action)]
        self._process.at_hand = permit.action_id.rpartition(".")[0]
        await self._process.moment("before an effect")
        if self._random.random() < Odds.snatch and not self._is_quiet():
            self._snatch(self._process)
        self._break_down("before its work")
        AT_WORK.set(permit.action_id)
        begun = self._truth.begin(permit, self._process.number)
        outcome = await self._inner.perform(permit)
        if isinstance(outcome, Done) and outcome.effects:
            self._truth.done(begun, outcome.effects)
        self._break_down("after its work")
        await self._process.moment("after an effect")
        return outcome

    async def reconcile(self, permit: Permit) -> Finding:
        await self._process.moment("before a look back")
        AT_WORK.set(permit.action_id)
        finding = await self._inner.reconcile(permit)
        await self._process.moment("after a look back")
        return finding

    def _break_down(self, when: str) -> None:
        if self._random.random() < Odds.break_down and not self._is_quiet():
            raise RuntimeError(f"broke {when}")


class FileFaults:
    """The checkpoints of file work: at any of them the person may do something, or the process die."""

    def __init__(
        self,
        random: Random,
        process: Process,
        interfere: Callable[[Process], None],
        note: Callable[[str], None],
        is_quiet: Callable[[], bool],
    ) -> None:
        self._random = random
        self._process = process
        self._interfere = interfere
        self._note = note
        self._is_quiet = is_quiet

    def __call__(self, point: str) -> None:
        if self._is_quiet():
            return
        if self._random.random() < Odds.interfere_in_files:
            self._note(AT_WORK.get())
            self._interfere(self._process)
        if self._random.random() < Odds.crash_in_files:
            self._note(AT_WORK.get())
            self._process.die(f"in file work, at {point}")


@contextmanager
def as_if_killed() -> Iterator[None]:
    """Let file work that dies at a checkpoint leave everything as it is: no undoing on the way out."""

    class Abandoned(ExitStack):
        def callback(self, undo: Callable[..., Any], /, *args: Any, **more: Any) -> Callable[..., Any]:
            process = HERE.get()
            return super().callback(lambda: None if process is not None and process.is_dead else undo(*args, **more))

    modules: tuple[Any, ...] = (writing, moving, deleting, restoring)
    for module in modules:
        module.ExitStack = Abandoned
    try:
        yield
    finally:
        for module in modules:
            module.ExitStack = ExitStack


async def _inline(work: Callable[..., T], *args: Any, **_how: Any) -> T:
    await anyio.lowlevel.checkpoint()
    process = HERE.get()
    if process is not None:
        process.require_alive()
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


@contextmanager
def in_order(seed: int) -> Iterator[None]:
    """Let trio take tasks that are ready in an order that follows from the seed; asyncio takes them as they come."""
    run: Any = importlib.import_module("trio._core._run")
    before = run._ALLOW_DETERMINISTIC_SCHEDULING, run._r.getstate()
    run._ALLOW_DETERMINISTIC_SCHEDULING = True
    run._r.seed(seed)
    try:
        yield
    finally:
        run._ALLOW_DETERMINISTIC_SCHEDULING = before[0]
        run._r.setstate(before[1])
