"""What a card is made from, as its shape: the engine's `CardRequest` (`engine/ports.py`) has it.

The two rings do not import each other; a shape is what both can name.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from ..domain.action import Action
from ..domain.facts import Facts
from ..domain.policy_decision import Decision
from ..domain.scope import Scope


class QuestionItem(Protocol):
    """One action that a question is about, with what was found out and decided about it."""

    @property
    def action_id(self) -> str:
        """The action's id."""
        ...

    @property
    def action(self) -> Action:
        """The action itself."""
        ...

    @property
    def decision(self) -> Decision:
        """What policy said."""
        ...

    @property
    def facts(self) -> Facts:
        """What was found out about its targets."""
        ...


class StagedBy(Protocol):
    """Which command made the changes that a question is about."""

    @property
    def command(self) -> Action:
        """The command, as it was approved or allowed."""
        ...

    @property
    def changes(self) -> int:
        """How many changes it made, with those that need no answer."""
        ...

    @property
    def together(self) -> bool:
        """Whether they are made all or none."""
        ...


class Question(Protocol):
    """Everything that a question may show."""

    @property
    def confirmation_id(self) -> str:
        """The question's id."""
        ...

    @property
    def task_id(self) -> str:
        """The task that waits for the answer."""
        ...

    @property
    def task_title(self) -> str:
        """What the task is called, by the agent or a person."""
        ...

    @property
    def step_title(self) -> str:
        """What the plan calls the step."""
        ...

    @property
    def step_description(self) -> str:
        """What the agent says about it, unchecked."""
        ...

    @property
    def asked_by(self) -> str:
        """Who asks: the task, or a subagent with its chain."""
        ...

    @property
    def items(self) -> Sequence[QuestionItem]:
        """The actions, at least one."""
        ...

    @property
    def scope(self) -> Scope:
        """The granted folders, the session's first one first."""
        ...

    @property
    def digest(self) -> str:
        """`sha256:<hex>` of what the answer is bound to."""
        ...

    @property
    def now(self) -> datetime:
        """When it is asked."""
        ...

    @property
    def expires_at(self) -> datetime:
        """When it counts as rejected."""
        ...

    @property
    def changed(self) -> str:
        """In a question asked again: what is no longer as it was shown."""
        ...

    @property
    def unknown_outcome(self) -> bool:
        """Whether it is about an action of which nobody knows if it happened."""
        ...

    @property
    def staged(self) -> StagedBy | None:
        """The command whose changes these are, None where they are an agent's own actions."""
        ...
