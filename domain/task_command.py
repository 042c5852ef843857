"""What can be asked of a task: the commands of the task aggregate."""

from typing import Literal, TypeAlias

import msgspec

from .action import Action
from .effect import Effect, Result
from .facts import Facts
from .plan import Plan
from .policy_decision import Decision
from .reason import ReasonCode


class QueueTask(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Hand over a piece of work."""

    task_id: str
    session_id: str
    title: str
    prompt: str = ""
    parent_task_id: str = ""


class StartPlanning(msgspec.Struct, frozen=True, gc=False):
    """Let a planner begin."""

    planner: str


class AdoptPlan(msgspec.Struct, frozen=True, gc=False):
    """Take a plan over; it is checked."""

    plan: Plan


class StartTask(msgspec.Struct, frozen=True, gc=False):
    """Begin with the first step."""


class Proposal(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One action of a step with what policy said about it.

    Where policy wants a person, `confirmation_id` names the question, or `unasked` says why none is put (`withdrawn`:
    it goes together with a change that is denied).
    """

    action: Action
    digest: str
    decision: Decision
    facts: Facts
    scope_digest: str
    confirmation_id: str = ""
    unasked: Literal["", "skipped", "no_approval", "withdrawn"] = ""


class ProposeActions(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Begin a step with all its actions. With `start`, a single allowed action starts in the same breath."""

    step_id: str
    proposals: tuple[Proposal, ...]
    proposed_by: str
    start: bool = False


class StartAction(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Start an allowed action, an approved one (`approval` names the confirmation), or try again after a crash."""

    action_id: str
    digest: str
    approval: str = ""
    facts: Facts | None = None


class AskAgain(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Put a new question about an action whose approval no longer fits the world, or whose outcome is unknown."""

    action_id: str
    confirmation_id: str
    decision: Decision
    facts: Facts
    scope_digest: str
    changed: str


class DeclineAction(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Settle an action that will not be carried out."""

    action_id: str
    reason_code: ReasonCode
    reason: str


class RecordSuccess(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """The executor, or a look after a restart, says that it is done.

    `staged` are the changes that a command would make, as they were decided, `proposed_by` whose command it was; those
    that are `together` are carried out all or none.
    """

    action_id: str
    effects: tuple[Effect, ...]
    result: Result | None = None
    recovered: bool = False
    staged: tuple[Proposal, ...] = ()
    proposed_by: str = ""
    together: bool = False


class RecordConnection(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A command that runs asked for a connection; what was decided about it."""

    action_id: str
    host: str
    port: int
    address: str = ""
    reason_code: ReasonCode | None = None
    reason: str = ""


class RecordFailure(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """The executor says that it changed nothing."""

    action_id: str
    reason_code: ReasonCode
    reason: str
    result: Result | None = None


class RecordUnknown(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Nobody can tell."""

    action_id: str
    observed: str


class SkipStep(msgspec.Struct, frozen=True, gc=False):
    """Leave a step out whose needs did not succeed, or, with a reason code, whose request can't be met."""

    step_id: str
    reason: str
    reason_code: ReasonCode | None = None


class AwaitConfirmation(msgspec.Struct, frozen=True, gc=False):
    """Stop until one of the open questions is answered."""


class PauseTask(msgspec.Struct, frozen=True, gc=False):
    """Stop after the action at hand."""

    reason: str


class ResumeTask(msgspec.Struct, frozen=True, gc=False):
    """Go on."""


class FinishTask(msgspec.Struct, frozen=True, gc=False):
    """End the task; how it ended follows from its steps."""


class CancelTask(msgspec.Struct, frozen=True, gc=False):
    """End the task early. An action that has started still gets its outcome."""

    reason: str


TaskCommand: TypeAlias = (
    QueueTask
    | StartPlanning
    | AdoptPlan
    | StartTask
    | ProposeActions
    | StartAction
    | AskAgain
    | DeclineAction
    | RecordSuccess
    | RecordFailure
    | RecordUnknown
    | RecordConnection
    | SkipStep
    | AwaitConfirmation
    | PauseTask
    | ResumeTask
    | FinishTask
    | CancelTask
)
