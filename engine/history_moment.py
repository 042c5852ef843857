"""What recorded history has of policy: decisions, starts and ends of actions, with what was in force at each moment."""

from datetime import datetime
from typing import Literal, TypeAlias

import msgspec

from ..domain.action import Action
from ..domain.facts import Facts
from ..domain.plan import OnAsk
from ..domain.policy import Policy
from ..domain.policy_approval import Approval
from ..domain.policy_decision import Decision
from ..domain.reason import ReasonCode
from ..domain.scope import FolderScope, Scope
from ..domain.session import AdoptedLayer

Answered: TypeAlias = Literal["", "approved", "rejected", "expired", "withdrawn"]
Outcome: TypeAlias = Literal["", "succeeded", "failed", "unknown", "denied", "declined"]


class Standing(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """What was in force in a session; the same object for as long as none of it changed.

    `policy` is None where the adopted documents can't be had from the log.
    """

    session_id: str
    user_id: str
    title: str
    adopted: tuple[AdoptedLayer, ...]
    policy_digest: str
    policy: Policy | None
    scope: Scope
    scope_digest: str


class PastAction(msgspec.Struct, kw_only=True, eq=False):
    """An action and what has become of it, as far as the log has been read: it changes while it is read.

    `questions` are the ids of those that were asked about it, `answer` is the last one's. `attempts` counts starts.
    """

    task_id: str
    session_id: str
    step_id: str
    action_id: str
    action: Action
    proposed_by: str
    on_ask: OnAsk
    questions: tuple[str, ...] = ()
    answer: Answered = ""
    attempts: int = 0
    outcome: Outcome = ""
    reason_code: ReasonCode | None = None
    approval_id: str = ""


class Decided(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """A decision on record. `approvals` are those that could have answered; `command_id` is that of its whole step.

    `confirmation_id` names the question that it led to. `is_about_outcome` says that this question was put because a
    crash left the action's outcome open, whatever policy said.
    """

    position: int
    at: datetime
    command_id: str
    past: PastAction
    facts: Facts
    recorded: Decision
    scope_digest: str
    standing: Standing
    approvals: tuple[Approval, ...]
    confirmation_id: str = ""
    is_about_outcome: bool = False


class Began(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """A start on record. With `facts` policy was asked again just before, and did not deny."""

    position: int
    at: datetime
    past: PastAction
    attempt: int
    facts: Facts | None
    standing: Standing
    approvals: tuple[Approval, ...]


class Ended(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Nothing more will happen to the action; its `past` says how it ended."""

    position: int
    at: datetime
    past: PastAction


Moment: TypeAlias = Decided | Began | Ended


class Fault(msgspec.Struct, frozen=True):
    """Where the log can't be followed: the position and a sentence."""

    position: int
    sentence: str


class GivenGrant(msgspec.Struct, frozen=True):
    """A grant as it was given, and where."""

    position: int
    at: datetime
    session_id: str
    scope: FolderScope
