"""The values that a task's state is made of: statuses, the phases of an action, and tallies of steps."""

from typing import Literal, TypeAlias, get_args

import msgspec

from .action import Action
from .budget import NO_USAGE, Usage
from .facts import Facts
from .policy_decision import Decision

TaskStatus: TypeAlias = Literal[
    "queued",
    "planning",
    "ready",
    "running",
    "awaiting_confirmation",
    "paused",
    "budget_exhausted",
    "completed",
    "completed_with_skips",
    "failed",
    "cancelled",
    "blocked",
]
TASK_STATUSES: tuple[TaskStatus, ...] = get_args(TaskStatus)
FinalStatus: TypeAlias = Literal["completed", "completed_with_skips", "failed", "cancelled", "blocked"]
FINAL_STATUSES: tuple[FinalStatus, ...] = get_args(FinalStatus)


class Judgement(msgspec.Struct, frozen=True, gc=False):
    """What policy said last about an action, and what it was told."""

    decision: Decision
    facts: Facts
    scope_digest: str


class Proposed(msgspec.Struct, frozen=True, gc=False):
    """Asked for; what policy says follows in the same commit."""


class Ready(msgspec.Struct, frozen=True, gc=False):
    """Allowed, not started."""

    judgement: Judgement


class Awaiting(msgspec.Struct, frozen=True, gc=False):
    """Waiting for the answer to a question."""

    judgement: Judgement
    confirmation_id: str


class Started(msgspec.Struct, frozen=True, gc=False):
    """Started, no outcome yet."""

    judgement: Judgement
    confirmation_id: str = ""


class Unknown(msgspec.Struct, frozen=True, gc=False):
    """The outcome of the last attempt is unknown, and no question about it is open yet."""

    judgement: Judgement
    observed: str


ActionPhase: TypeAlias = Proposed | Ready | Awaiting | Started | Unknown


class OpenAction(msgspec.Struct, frozen=True, gc=False):
    """An action that is not settled. One that a command staged names that command's action in `staged_by`.

    `reserved` is what its last attempt will take at least.
    """

    action_id: str
    step_id: str
    action: Action
    digest: str
    phase: ActionPhase
    attempts: int = 0
    proposed_by: str = ""
    staged_by: str = ""
    together: bool = False
    reserved: Usage = NO_USAGE


class Tally(msgspec.Struct, frozen=True, gc=False):
    """How far a step is: how many actions it has, and how those that are settled ended."""

    actions: int = 0
    succeeded: int = 0
    failed: int = 0
    denied: int = 0
    skipped: int = 0
    left_out: bool = False

    @property
    def is_settled(self) -> bool:
        """Whether every action of the step has ended."""
        return self.left_out or self.succeeded + self.failed + self.denied + self.skipped == self.actions

    @property
    def is_success(self) -> bool:
        """Whether steps that need this one may run."""
        return not self.left_out and self.succeeded == self.actions


class Repeat(msgspec.Struct, frozen=True, gc=False):
    """How often in a row the same action brought the same result and changed nothing."""

    digest: str = ""
    outcome: str = ""
    count: int = 0
