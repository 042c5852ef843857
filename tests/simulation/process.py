"""A simulated process: where its engine waits, time passes, somebody interferes, or it dies and does nothing any more.

Several may be alive at once, on one store and one folder. Which of them a piece of work belongs to travels with it in a
context variable.
"""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import timedelta
from random import Random
from typing import Any, Protocol

import anyio
import anyio.lowlevel

MOMENTS_MAX = 20_000
"""How many moments a life may have: one that has more does not come to its end."""


class Crash(BaseException):
    """The process dies here. What is in memory is gone, what was committed or done stays."""


class Odds:
    """How likely each fault is, per opportunity."""

    crash = 0.012
    crash_in_files = 0.03
    interfere = 0.06
    interfere_in_files = 0.02
    snatch = 0.04
    refuse = 0.012
    break_down = 0.01


class Life(Protocol):
    """What the processes of a seed have in common."""

    random: Random
    moments: int

    @property
    def is_quiet(self) -> bool:
        """Whether nothing goes wrong any more."""
        ...

    def pass_time(self, by: timedelta) -> None:
        """Move the clock."""
        ...

    async def interfere(self, point: str, process: "Process") -> None:
        """Let the person or another process do something."""
        ...


HERE: ContextVar["Process | None"] = ContextVar("HERE", default=None)
"""The process whose work is being done; None for the person's own."""

AT_WORK: ContextVar[str] = ContextVar("AT_WORK", default="")
"""The action that is being carried out, or looked at after a crash."""

_DEED: ContextVar[bool] = ContextVar("_DEED", default=False)


class Process:
    """A process. `at_stake` are the files that it is about to touch: the person likes to edit just these.

    `at_hand` is the task that it acted for last: the person likes to want something of just that.
    """

    def __init__(self, number: int, life: Life) -> None:
        self.number = number
        self.is_dead = False
        self.is_stale = False
        """Whether it has lost a task without noticing."""
        self.at_stake: list[str] = []
        self.at_hand = ""
        self._life = life

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Let what is done in the block, and whatever it starts, be the work of this process."""
        token, before = HERE.set(self), _DEED.set(False)
        try:
            yield
        finally:
            _DEED.reset(before)
            HERE.reset(token)

    async def moment(self, point: str) -> None:
        """Somewhere the engine waits. Raises `Crash`: from the first on, each time."""
        life = self._life
        for _ in range(1 if life.is_quiet else life.random.choice((1, 1, 1, 2, 4))):
            await anyio.lowlevel.checkpoint()
        self.require_alive()
        life.moments += 1
        if life.is_quiet:
            return
        life.pass_time(timedelta(seconds=life.random.choice((0, 0, 0, 1, 1, 2, 30, 1500))))
        if not _DEED.get() and life.random.random() < Odds.interfere:
            await as_deed(lambda: life.interfere(point, self))
            self.require_alive()
        if life.random.random() < Odds.crash or life.moments > MOMENTS_MAX:
            self.die(point)

    def require_alive(self) -> None:
        """Raise `Crash` where the process is dead: what is left of it does nothing."""
        if self.is_dead:
            raise Crash("it is dead already")

    def die(self, point: str) -> None:
        """End the process. Raises `Crash`."""
        self.is_dead = True
        raise Crash(point)


class Calm(Process):
    """A process in which nothing happens but what it does."""

    async def moment(self, point: str) -> None:
        """Let the others have a turn."""
        await anyio.lowlevel.checkpoint()


async def as_deed(deed: Callable[[], Awaitable[Any]]) -> None:
    """Do what somebody else does in the middle of it all: it is not cut off, and not interfered with."""
    token = _DEED.set(True)
    try:
        with anyio.CancelScope(shield=True):
            await deed()
    finally:
        _DEED.reset(token)


@contextmanager
def by_the_person() -> Iterator[None]:
    """Let what is done in the block be nobody's work but the person's own."""
    token = HERE.set(None)
    try:
        yield
    finally:
        HERE.reset(token)


def crash_of(error: BaseException) -> Crash | None:
    """Return the crash that an error is, or that a group of errors holds; None where it is something else."""
    if isinstance(error, Crash):
        return error
    if isinstance(error, BaseExceptionGroup):
        found = (crash_of(one) for one in error.exceptions)
        return next((one for one in found if one is not None), None)
    return None


def others_in(error: BaseException) -> list[BaseException]:
    """Return what else than crashes an error is, or a group of errors holds."""
    if isinstance(error, BaseExceptionGroup):
        return [other for one in error.exceptions for other in others_in(one)]
    return [] if isinstance(error, Crash) else [error]
