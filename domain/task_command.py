"""What can be asked of a task: the commands of the task aggregate."""

from typing import Literal, TypeAlias

import msgspec

from .action import Action
from .budget import NO_BUDGET, Budget, Overrun, Usage
from .effect import Effect, Result
from .facts import Facts
from .plan import Plan
from .policy_decision import Decision
from .reason import ReasonCode
from .task_event import MessageStrategy


class QueueTask(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Hand over a piece of work."""

    task_id: str
    session_id: str
    title: str
    prompt: str = ""
    parent_task_id: str = ""
    subagent_id: str = ""
    priority: int = 0
    budget: Budget = NO_BUDGET
    undoes: str = ""


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
    """Begin a step with all its actions. With `start`, a single allowed action starts in the same breath.

    `after` is how many actions the task had when these were numbered; it is refused where there are more by now.
    `of_plan` is the number of the plan that the step is of; it is refused where the task follows another one by now.
    """

    step_id: str
    proposals: tuple[Proposal, ...]
    proposed_by: str
    start: bool = False
    after: int | None = None
    of_plan: int | None = None


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
    after: int | None = None


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


class SettleUnknown(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Take a person's word for whether an attempt happened that nobody else can tell about."""

    action_id: str
    happened: bool
    said_by: str


class SkipStep(msgspec.Struct, frozen=True, gc=False):
    """Leave a step out whose needs did not succeed, or, with a reason code, whose request can't be met.

    `of_plan` as in `ProposeActions`.
    """

    step_id: str
    reason: str
    reason_code: ReasonCode | None = None
    of_plan: int | None = None


class AwaitConfirmation(msgspec.Struct, frozen=True, gc=False):
    """Stop until one of the open questions is answered; `of_subagents` are those that its subagents wait for."""

    of_subagents: tuple[str, ...] = ()


class PauseTask(msgspec.Struct, frozen=True, gc=False):
    """Stop after the action at hand."""

    reason: str


class InterruptTask(msgspec.Struct, frozen=True, gc=False):
    """Stop at once, in the middle of what is under way."""

    reason: str


class SendMessage(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Say something to the agent."""

    text: str
    strategy: MessageStrategy
    said_by: str


class SteerTask(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Follow another plan from here on; what was begun stays as it is."""

    plan: Plan
    said_by: str


class RecordProgress(msgspec.Struct, frozen=True, gc=False):
    """Note how far the task is, and that it was at work for so many milliseconds since the last time."""

    running_ms: int


class ReportUsage(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Note what a planner used up."""

    tokens: int = 0
    cost_micros: int = 0
    reported_by: str


class ExhaustBudget(msgspec.Struct, frozen=True, gc=False):
    """Stop, because the next action has no room in the budget of `of_task`."""

    of_task: str
    overrun: Overrun


class RaiseBudget(msgspec.Struct, frozen=True, gc=False):
    """Give the task more room."""

    by: Usage


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
    | SettleUnknown
    | SkipStep
    | AwaitConfirmation
    | PauseTask
    | InterruptTask
    | SendMessage
    | SteerTask
    | RecordProgress
    | ReportUsage
    | ExhaustBudget
    | RaiseBudget
    | ResumeTask
    | FinishTask
    | CancelTask
)
