"""The engine's ports for asking: everything that a question may show, and the one rendering of it."""

from datetime import datetime
from typing import Protocol

import msgspec

from ..domain.action import Action
from ..domain.confirmation import Card
from ..domain.facts import Facts
from ..domain.policy_decision import Decision
from ..domain.scope import Scope


class CardItem(msgspec.Struct, frozen=True, gc=False):
    """One action that a question is about, with what was found out and decided about it."""

    action_id: str
    action: Action
    digest: str
    decision: Decision
    facts: Facts


class CommandsChanges(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Which command made the changes that a question is about, how many there are with those that need no answer.

    Those that are `together` are made all or none.
    """

    command: Action
    changes: int
    together: bool = False


class CardRequest(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Everything that a question may show. `changed` says, in a question asked again, what is no longer as shown.

    `staged` is there where the actions are what a command changed in its copy of a folder.
    """

    confirmation_id: str
    task_id: str
    task_title: str
    step_title: str
    step_description: str
    asked_by: str
    items: tuple[CardItem, ...]
    scope: Scope
    digest: str
    now: datetime
    expires_at: datetime
    changed: str = ""
    unknown_outcome: bool = False
    staged: CommandsChanges | None = None


class CardRenderer(Protocol):
    """The one rendering of a question that every approver sees."""

    def __call__(self, request: CardRequest) -> Card:
        """Return the card: nothing cut, hidden characters made visible, the agent's words last and labelled."""
        ...
