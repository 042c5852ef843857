"""What happens to a task and to each of its actions: the events of the task aggregate."""

from typing import ClassVar, Literal, TypeAlias

from .action import Action, Location
from .budget import NO_BUDGET, Budget, Measure, Usage
from .effect import Effect, Result
from .event import Event
from .facts import Facts
from .plan import Plan
from .policy_decision import Decision
from .reason import ReasonCode

MessageStrategy: TypeAlias = Literal["queue", "steer"]
"""What becomes of a message that arrives while a task is under way."""

# Events: the task


class TaskQueued(Event, frozen=True, kw_only=True):
    """A person handed over a piece of work. A subagent's has `subagent_id` and `parent_task_id`.

    Of waiting tasks the one with the highest `priority` goes first. `undoes` names the task or action that it undoes.
    """

    TOPIC: ClassVar[str] = "task.queued.v1"
    task_id: str
    session_id: str
    title: str
    prompt: str = ""
    parent_task_id: str = ""
    subagent_id: str = ""
    priority: int = 0
    budget: Budget = NO_BUDGET
    undoes: str = ""


class TaskPlanningStarted(Event, frozen=True, kw_only=True):
    """A planner is at work."""

    TOPIC: ClassVar[str] = "task.planning_started.v1"
    task_id: str
    planner: str


class TaskPlanned(Event, frozen=True, kw_only=True):
    """There is a plan."""

    TOPIC: ClassVar[str] = "task.planned.v1"
    task_id: str
    plan: Plan


class TaskStarted(Event, frozen=True, kw_only=True):
    """The first step may run."""

    TOPIC: ClassVar[str] = "task.started.v1"
    task_id: str


class TaskAwaitingConfirmation(Event, frozen=True, kw_only=True):
    """Nothing can go on until a person answers."""

    TOPIC: ClassVar[str] = "task.awaiting_confirmation.v1"
    task_id: str
    confirmation_ids: tuple[str, ...]


class TaskPaused(Event, frozen=True, kw_only=True):
    """The task stops after the action at hand, until it is resumed."""

    TOPIC: ClassVar[str] = "task.paused.v1"
    task_id: str
    reason: str


class TaskInterrupted(Event, frozen=True, kw_only=True):
    """The task stops at once: what is under way is cut off, and looked at afterwards."""

    TOPIC: ClassVar[str] = "task.interrupted.v1"
    task_id: str
    reason: str


class TaskMessaged(Event, frozen=True, kw_only=True):
    """A person said something to the agent while the task was under way.

    `steer`: it counts from here on. `queue`: it is for after the plan as it stands.
    """

    TOPIC: ClassVar[str] = "task.messaged.v1"
    task_id: str
    text: str
    strategy: MessageStrategy
    said_by: str


class TaskSteered(Event, frozen=True, kw_only=True):
    """From here on the task follows this plan. Steps that were begun are in it as they were; `dropped` are left out."""

    TOPIC: ClassVar[str] = "task.steered.v1"
    task_id: str
    plan: Plan
    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    said_by: str


class TaskProgressed(Event, frozen=True, kw_only=True):
    """How far the task is: recorded every so often while it runs, and whenever it stops.

    `running_ms` is the time it was at work since the last such event; `settled` of `actions` have ended.
    """

    TOPIC: ClassVar[str] = "task.progressed.v1"
    task_id: str
    running_ms: int
    actions: int
    settled: int
    steps_settled: int
    steps: int


class UsageReported(Event, frozen=True, kw_only=True):
    """What a planner used up for the task: tokens, and money in millionths of the currency it reports in."""

    TOPIC: ClassVar[str] = "task.usage_reported.v1"
    task_id: str
    tokens: int = 0
    cost_micros: int = 0
    reported_by: str


class TaskBudgetExhausted(Event, frozen=True, kw_only=True):
    """The next action has no room in the budget of `of_task`: this task, one above, or a subagent that it waits for.

    Nothing more starts until there is room.
    """

    TOPIC: ClassVar[str] = "task.budget_exhausted.v1"
    task_id: str
    of_task: str
    measure: Measure
    bound: int
    needed: int


class TaskBudgetRaised(Event, frozen=True, kw_only=True):
    """A person gave the task more room: `budget` is what holds from here on."""

    TOPIC: ClassVar[str] = "task.budget_raised.v1"
    task_id: str
    by: Usage
    budget: Budget


class PathsClaimed(Event, frozen=True, kw_only=True):
    """The task is about to write these places: until it has ended, nobody else of its tree does so unasked."""

    TOPIC: ClassVar[str] = "task.paths_claimed.v1"
    task_id: str
    action_id: str
    places: tuple[Location, ...]


class TaskResumed(Event, frozen=True, kw_only=True):
    """The task goes on."""

    TOPIC: ClassVar[str] = "task.resumed.v1"
    task_id: str


class TaskEnded(Event, frozen=True, kw_only=True):
    """Fields of every event that ends a task."""

    task_id: str
    reason: str = ""


class TaskCompleted(TaskEnded, frozen=True, kw_only=True):
    """Every step was carried out; `skipped` names those that the plan allowed to be left out instead of asking."""

    TOPIC: ClassVar[str] = "task.completed.v1"
    skipped: tuple[str, ...] = ()


class TaskFailed(TaskEnded, frozen=True, kw_only=True):
    """At least one step was tried and did not succeed."""

    TOPIC: ClassVar[str] = "task.failed.v1"


class TaskBlocked(TaskEnded, frozen=True, kw_only=True):
    """At least one step was denied by policy or by a person."""

    TOPIC: ClassVar[str] = "task.blocked.v1"


class TaskCancelled(TaskEnded, frozen=True, kw_only=True):
    """A person ended the task early."""

    TOPIC: ClassVar[str] = "task.cancelled.v1"


class StepBegun(Event, frozen=True, kw_only=True):
    """A step's request stands for this many actions (none, where a pattern matched nothing)."""

    TOPIC: ClassVar[str] = "task.step_begun.v1"
    task_id: str
    step_id: str
    actions: int


class StepSkipped(Event, frozen=True, kw_only=True):
    """A step was not begun: one that it needs did not succeed, or (with a reason code) its request can't be met."""

    TOPIC: ClassVar[str] = "task.step_skipped.v1"
    task_id: str
    step_id: str
    reason: str
    reason_code: ReasonCode | None = None


# Events: an action's life


class ActionProposed(Event, frozen=True, kw_only=True):
    """The agent asks for an action. One that a command staged names the command's action in `staged_by`.

    Those that are `together` are carried out all or none: as soon as one is refused, the others are let go.
    """

    TOPIC: ClassVar[str] = "task.action_proposed.v1"
    task_id: str
    action_id: str
    step_id: str
    action: Action
    digest: str
    proposed_by: str
    staged_by: str = ""
    together: bool = False


class ActionAllowed(Event, frozen=True, kw_only=True):
    """Policy allows it, or a remembered approval answers for it, for these facts and this scope."""

    TOPIC: ClassVar[str] = "task.action_allowed.v1"
    task_id: str
    action_id: str
    digest: str
    decision: Decision
    facts: Facts
    scope_digest: str


class ActionDenied(Event, frozen=True, kw_only=True):
    """Policy denies it: nothing was touched."""

    TOPIC: ClassVar[str] = "task.action_denied.v1"
    task_id: str
    action_id: str
    digest: str
    decision: Decision
    facts: Facts
    scope_digest: str


class ActionConfirmationRequired(Event, frozen=True, kw_only=True):
    """Policy wants a person's answer first; asked again where the world moved after the first answer."""

    TOPIC: ClassVar[str] = "task.action_confirmation_required.v1"
    task_id: str
    action_id: str
    digest: str
    confirmation_id: str
    decision: Decision
    facts: Facts
    scope_digest: str
    changed: str = ""


class ActionDeclined(Event, frozen=True, kw_only=True):
    """It will not be carried out: rejected, expired, skipped, or withdrawn. Nothing was touched."""

    TOPIC: ClassVar[str] = "task.action_declined.v1"
    task_id: str
    action_id: str
    digest: str
    reason_code: ReasonCode
    reason: str
    confirmation_id: str = ""


class ActionStarted(Event, frozen=True, kw_only=True):
    """The executor is about to act. Recorded before any effect; `facts` where they were taken anew."""

    TOPIC: ClassVar[str] = "task.action_started.v1"
    task_id: str
    action_id: str
    digest: str
    attempt: int
    confirmation_id: str = ""
    facts: Facts | None = None


class ActionSucceeded(Event, frozen=True, kw_only=True):
    """It was carried out. `recovered` says that a restart found it done; `said_by` that a person says so."""

    TOPIC: ClassVar[str] = "task.action_succeeded.v1"
    task_id: str
    action_id: str
    digest: str
    attempt: int
    effects: tuple[Effect, ...] = ()
    result: Result | None = None
    recovered: bool = False
    said_by: str = ""


class ActionFailed(Event, frozen=True, kw_only=True):
    """It was tried, and nothing was changed. `result` is what it brought back nevertheless.

    Of a subagent it says that its task did not succeed; what that changed is in that task's own events. `said_by` says
    that it is a person's word that it did not happen.
    """

    TOPIC: ClassVar[str] = "task.action_failed.v1"
    task_id: str
    action_id: str
    digest: str
    attempt: int
    reason_code: ReasonCode
    reason: str
    result: Result | None = None
    said_by: str = ""


class ChangesStaged(Event, frozen=True, kw_only=True):
    """A command changed its own copy of a granted folder: this many more actions are proposed in the same commit.

    `step_actions` is how many its step has with them.
    """

    TOPIC: ClassVar[str] = "task.changes_staged.v1"
    task_id: str
    action_id: str
    step_id: str
    actions: int
    step_actions: int


class ConnectionDecided(Event, frozen=True, kw_only=True):
    """A command in the sandbox asked for a connection. Recorded before a byte of an allowed one leaves.

    `address` is the one that is dialled; `reason_code` says why it was refused, None where it was not.
    """

    TOPIC: ClassVar[str] = "task.connection_decided.v1"
    task_id: str
    action_id: str
    host: str
    port: int
    address: str = ""
    reason_code: ReasonCode | None = None
    reason: str = ""


class ActionOutcomeUnknown(Event, frozen=True, kw_only=True):
    """A crash left it open whether it happened: neither the old state nor the intended one was found."""

    TOPIC: ClassVar[str] = "task.action_outcome_unknown.v1"
    task_id: str
    action_id: str
    digest: str
    attempt: int
    observed: str


EndEvent: TypeAlias = TaskCompleted | TaskFailed | TaskBlocked | TaskCancelled
LifeEvent: TypeAlias = (
    TaskQueued
    | TaskPlanningStarted
    | TaskPlanned
    | TaskStarted
    | TaskAwaitingConfirmation
    | TaskPaused
    | TaskInterrupted
    | TaskResumed
    | TaskMessaged
    | TaskSteered
    | TaskProgressed
    | UsageReported
    | TaskBudgetExhausted
    | TaskBudgetRaised
    | PathsClaimed
    | StepBegun
    | StepSkipped
    | ChangesStaged
    | EndEvent
)
OutcomeEvent: TypeAlias = ActionSucceeded | ActionFailed | ActionOutcomeUnknown
ActionEvent: TypeAlias = (
    ActionProposed
    | ActionAllowed
    | ActionDenied
    | ActionConfirmationRequired
    | ActionDeclined
    | ActionStarted
    | ConnectionDecided
    | OutcomeEvent
)
TaskEvent: TypeAlias = LifeEvent | ActionEvent
