"""Parts that are put together when they are first used: most runs of the program need few of them."""

from collections.abc import Callable, Sequence
from datetime import datetime

from ..domain.action import Action, ActionKind
from ..domain.facts import Facts
from ..domain.scope import Scope
from ..engine.planning_ports import SpawnReader, SubagentRequest
from ..engine.ports import Closable, Executor, Finding, Outcome, Permit


class OnDemand:
    """An `Executor` for the kinds that makes the real one at first use. `close` closes what `make` gave with it."""

    def __init__(self, kinds: frozenset[ActionKind], make: Callable[[], tuple[Executor, Sequence[Closable]]]) -> None:
        self.kinds = kinds
        self._make = make
        self._made: Executor | None = None
        self._closing: Sequence[Closable] = ()

    async def observe(self, actions: Sequence[Action], scope: Scope, now: datetime, *, batch: int) -> list[Facts]:
        """See the port `Executor`."""
        return await self._executor().observe(actions, scope, now, batch=batch)

    async def perform(self, permit: Permit) -> Outcome:
        """See the port `Executor`."""
        return await self._executor().perform(permit)

    async def reconcile(self, permit: Permit) -> Finding:
        """See the port `Executor`."""
        return await self._executor().reconcile(permit)

    def close(self) -> None:
        """Let go of what was made."""
        for one in self._closing:
            one.close()

    def _executor(self) -> Executor:
        if self._made is None:
            self._made, self._closing = self._make()
        return self._made


class SpawnsOnDemand:
    """A `SpawnReader` that makes the real one when the first subagent begins."""

    def __init__(self, make: Callable[[], SpawnReader]) -> None:
        self._make = make
        self._made: SpawnReader | None = None

    def read(self, action: Action, scope: Scope, now: datetime) -> SubagentRequest:
        """See the port `SpawnReader`."""
        if self._made is None:
            self._made = self._make()
        return self._made.read(action, scope, now)
