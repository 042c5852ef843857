"""What the audit keeps of a task and of its actions while they are not over."""

from typing import Final, Literal, TypeAlias

import msgspec

from ..domain.action import Action
from ..domain.facts import Facts
from ..domain.scope import Scope
from .audit_commands import Commands
from .audit_plans import Plans
from .audit_tree import Node

Phase: TypeAlias = Literal["proposed", "allowed", "asked", "denied", "declined", "started", "unknown", "settled"]

Standing: TypeAlias = Literal["running", "still", "interrupted", "exhausted", "cancelled", "ended"]
GONE: Final[tuple[Standing, ...]] = ("cancelled", "ended")


class AttemptSeen(msgspec.Struct, frozen=True):
    """An attempt without an outcome: where it started, its number, and what was in force and found then."""

    position: int
    number: int
    scope: Scope
    facts: Facts


class ActionSeen(msgspec.Struct):
    """An action that was proposed. `claimants` are the other agents that its last question named."""

    action: Action
    digest: str
    proposed_by: str
    phase: Phase = "proposed"
    facts: Facts | None = None
    asked: str = ""
    claimants: frozenset[str] = frozenset()
    by_person: bool = False
    approval_id: str = ""
    attempts: int = 0
    open: AttemptSeen | None = None

    @property
    def is_under_way(self) -> bool:
        """Whether it was started and has no outcome yet."""
        return self.open is not None


class TaskSeen(msgspec.Struct):
    """A task, its place in its tree, its plan, those of its actions that are not over, and how the others ended."""

    task_id: str
    session_id: str
    node: Node
    commands: Commands
    plans: Plans
    stands: Standing = "still"
    actions: dict[str, ActionSeen] = msgspec.field(default_factory=dict)
    over: dict[str, Phase] = msgspec.field(default_factory=dict)

    @property
    def is_under_way(self) -> bool:
        """Whether an attempt of it has no outcome yet."""
        return any(action.open is not None for action in self.actions.values())
