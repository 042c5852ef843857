"""The engine's ports for planning: what a planner hands over, and what a plan says of a subagent."""

from datetime import datetime
from typing import Protocol

import msgspec

from ..domain.action import Action
from ..domain.budget import NO_BUDGET, Budget
from ..domain.plan import Plan
from ..domain.scope import Scope


class PlannedTask(msgspec.Struct, frozen=True, gc=False):
    """A plan with the bytes that its actions refer to by digest, how much it may use up, and how urgent it is."""

    plan: Plan
    contents: tuple[bytes, ...] = ()
    budget: Budget = NO_BUDGET
    priority: int = 0


class Planner(Protocol):
    """Turns a person's request into a plan."""

    name: str

    async def plan(self) -> PlannedTask:
        """Return the plan. Raises `DomainError` invalid with the offending value and what to do."""
        ...


class SubagentRequest(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What an action that starts a subagent stands for: its plan, and what it wishes to have of what its parent has."""

    planned: PlannedTask
    scope: Scope
    budget: Budget = NO_BUDGET


class SpawnReader(Protocol):
    """Reads what a `subagent.spawn` action says in the words of a plan."""

    def read(self, action: Action, scope: Scope, now: datetime) -> SubagentRequest:
        """Return what is wished for, bound to the parent's `scope`. What is not stated is not given.

        Raises `DomainError` invalid (the steps, the scope), denied (a folder, verb or host that the parent lacks).
        """
        ...
