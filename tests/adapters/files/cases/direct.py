"""The driver without an engine: executor and policy, in the order of the action pipeline."""

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from cowork.adapters.files.executor import FileExecutor
from cowork.adapters.files.resolver import Openat2Resolver, Resolver, WalkResolver
from cowork.adapters.files.world import FileLimits, pass_by
from cowork.domain.action import Action, digest_of
from cowork.domain.baseline import BASELINE
from cowork.domain.facts import Facts
from cowork.domain.policy import Policy
from cowork.domain.policy_document import Layer
from cowork.domain.scope import Scope
from cowork.engine.ports import BlobStore, Done, Failed, Permit
from tests.adapters.files.cases.bystanders import NoWitness, SilentSight
from tests.adapters.files.cases.case import Answer, Drivers
from tests.adapters.files.cases.ground import Ground

RESOLVERS: dict[str, type[Openat2Resolver] | type[WalkResolver]] = {"openat2": Openat2Resolver, "walk": WalkResolver}
_NUMBERS = itertools.count(1)


class DirectDriver:
    """Observes, decides and performs; whoever is asked says yes."""

    def __init__(self, executor: FileExecutor, blobs: BlobStore, scope: Scope, rules: Layer = BASELINE) -> None:
        self.executor = executor
        self.blobs = blobs
        self.scope = scope
        self._policy = Policy((rules,))

    async def observe(self, action: Action) -> Facts:
        """Return the facts about one action."""
        return (await self.executor.observe([action], self.scope, datetime.now(UTC), batch=1))[0]

    def permit(self, action: Action, facts: Facts, attempt: int = 1) -> Permit:
        """Return leave for a new action with these facts."""
        number = next(_NUMBERS)
        return Permit(
            position=number,
            action_id=f"action-{number}",
            attempt=attempt,
            action=action,
            digest=digest_of(action),
            facts=facts,
            scope=self.scope,
            sight=SilentSight(),
            witness=NoWitness(),
        )

    async def act(self, action: Action) -> Answer:
        """See `Driver.act`."""
        facts = await self.observe(action)
        decision = self._policy.decide(action, facts, self.scope)
        shown = msgspec.json.encode([facts, decision])
        if decision.verdict == "deny":
            return Answer("denied", decision.reason_code or "", shown=shown, facts=facts, decision=decision)
        asked = decision.verdict == "allow_with_confirm"
        performed = await self.executor.perform(self.permit(action, facts))
        shown += msgspec.json.encode(performed)
        match performed:
            case Done(result=result):
                brought = self.blobs.get(result.digest) if result is not None and result.digest else b""
                return Answer("completed", "", asked, shown + brought, facts, decision, performed, brought)
            case Failed(reason_code=code):
                return Answer("failed", code, asked, shown, facts, decision, performed)


def direct(resolver: str, limits: FileLimits | None = None) -> Drivers:
    """Return what makes drivers with that resolver."""

    @asynccontextmanager
    async def drivers(ground: Ground, rules: Layer) -> AsyncIterator[DirectDriver]:
        executor = executor_of(ground.blobs, ground.state, resolver, limits)
        try:
            yield DirectDriver(executor, ground.blobs, ground.scope, rules)
        finally:
            executor.close()

    return drivers


def executor_of(
    blobs: BlobStore, state: Path, resolver: str | Resolver = "openat2", limits: FileLimits | None = None
) -> FileExecutor:
    """Return an executor with the resolver of that name."""
    chosen = RESOLVERS[resolver]() if isinstance(resolver, str) else resolver
    return FileExecutor(blobs, state, chosen, limits, pass_by)
