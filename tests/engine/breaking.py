"""Ports that stop working at a chosen moment: a process that dies, a store that refuses, an executor that breaks."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime

from cowork.adapters.event_store.memory import MemoryEventStore
from cowork.adapters.files.executor import FileExecutor
from cowork.domain.action import Action, ActionKind
from cowork.domain.facts import Facts
from cowork.domain.scope import Scope
from cowork.engine.application import Application
from cowork.engine.ports import Finding, Outcome, Permit
from tests.engine.rig import Rig


class Died(BaseException):
    """The process is gone."""


class Executing:
    """The real executor, with something happening before or after its work."""

    def __init__(
        self, rig: Rig, *, before: Callable[[], None] | None = None, after: Callable[[], None] | None = None
    ) -> None:
        self._inner = FileExecutor(rig.blobs, rig.state)
        self.kinds: frozenset[ActionKind] = self._inner.kinds
        self._before, self._after = before, after
        self.performed: list[Permit] = []

    async def observe(self, actions: Sequence[Action], scope: Scope, now: datetime, *, batch: int) -> list[Facts]:
        return await self._inner.observe(actions, scope, now, batch=batch)

    async def perform(self, permit: Permit) -> Outcome:
        self.performed.append(permit)
        if self._before is not None:
            self._before()
        outcome = await self._inner.perform(permit)
        if self._after is not None:
            self._after()
        return outcome

    async def reconcile(self, permit: Permit) -> Finding:
        return await self._inner.reconcile(permit)


class Interrupted(Executing):
    """Something happens elsewhere while an action is carried out, and then the process dies before its effect."""

    def __init__(self, rig: Rig, meanwhile: Callable[[], Awaitable[None]]) -> None:
        super().__init__(rig)
        self._meanwhile = meanwhile

    async def perform(self, permit: Permit) -> Outcome:
        await self._meanwhile()
        raise Died


def die() -> None:
    """End the process."""
    raise Died


def fall_over() -> None:
    """Break, as only a bug does."""
    raise RuntimeError("out of cheese")


def with_executor(rig: Rig, executing: Executing) -> Application:
    """Let the rig's engine be one with this executor; return it."""
    rig.store = MemoryEventStore(rig.rows)
    rig.app = rig.engine(rig.store, (executing,))
    return rig.app
