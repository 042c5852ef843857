"""Task: one piece of work for an agent: its plan, and the life of each of its actions from proposal to outcome.

The folded state keeps only what a decision needs: actions that are not settled yet and a tally per step. A task's
ten-thousandth action therefore costs what its tenth did.
"""

from __future__ import annotations

from typing import ClassVar, Literal, TypeAlias, assert_never, get_args

import msgspec
from rpds import HashTrieMap

from .action import Action
from .effect import Effect, Result
from .errors import DomainError
from .event import Event
from .facts import Facts
from .ids import TaskId, action_id
from .plan import Plan, check_plan
from .policy import Decision
from .reason import ReasonCode

TaskStatus: TypeAlias = Literal[
    "queued",
    "planning",
    "ready",
    "running",
    "awaiting_confirmation",
    "paused",
    "completed",
    "completed_with_skips",
    "failed",
    "cancelled",
    "blocked",
]
TASK_STATUSES: tuple[TaskStatus, ...] = get_args(TaskStatus)
FinalStatus: TypeAlias = Literal["completed", "completed_with_skips", "failed", "cancelled", "blocked"]
FINAL_STATUSES: tuple[FinalStatus, ...] = get_args(FinalStatus)

# Events: the task


class TaskQueued(Event, frozen=True, kw_only=True):
    """A person handed over a piece of work."""

    TOPIC: ClassVar[str] = "task.queued.v1"
    task_id: str
    session_id: str
    title: str
    prompt: str = ""
    parent_task_id: str = ""


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
    """A step was not begun: one that it needs did not succeed."""

    TOPIC: ClassVar[str] = "task.step_skipped.v1"
    task_id: str
    step_id: str
    reason: str


# Events: an action's life


class ActionProposed(Event, frozen=True, kw_only=True):
    """The agent asks for an action."""

    TOPIC: ClassVar[str] = "task.action_proposed.v1"
    task_id: str
    action_id: str
    step_id: str
    action: Action
    digest: str
    proposed_by: str


class ActionAllowed(Event, frozen=True, kw_only=True):
    """Policy allows it, for these facts and this scope."""

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
    """Policy wants a person's answer to `confirmation_id` first. Again, where the world moved after the first answer."""

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
    """It was carried out. `recovered` says that a restart found it done."""

    TOPIC: ClassVar[str] = "task.action_succeeded.v1"
    task_id: str
    action_id: str
    digest: str
    attempt: int
    effects: tuple[Effect, ...] = ()
    result: Result | None = None
    recovered: bool = False


class ActionFailed(Event, frozen=True, kw_only=True):
    """It was tried, and nothing was changed."""

    TOPIC: ClassVar[str] = "task.action_failed.v1"
    task_id: str
    action_id: str
    digest: str
    attempt: int
    reason_code: ReasonCode
    reason: str


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
    | TaskResumed
    | StepBegun
    | StepSkipped
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
    | OutcomeEvent
)
TaskEvent: TypeAlias = LifeEvent | ActionEvent

# Commands


class QueueTask(msgspec.Struct, frozen=True, kw_only=True):
    """Hand over a piece of work."""

    task_id: str
    session_id: str
    title: str
    prompt: str = ""
    parent_task_id: str = ""


class StartPlanning(msgspec.Struct, frozen=True):
    """Let a planner begin."""

    planner: str


class AdoptPlan(msgspec.Struct, frozen=True):
    """Take a plan over; it is checked."""

    plan: Plan


class StartTask(msgspec.Struct, frozen=True):
    """Begin with the first step."""


class Proposal(msgspec.Struct, frozen=True, kw_only=True):
    """One action of a step with what policy said about it. `confirmation_id` where it has to be asked."""

    action: Action
    digest: str
    decision: Decision
    facts: Facts
    scope_digest: str
    confirmation_id: str = ""


class ProposeActions(msgspec.Struct, frozen=True, kw_only=True):
    """Begin a step with all its actions. With `start`, a single allowed action starts in the same breath."""

    step_id: str
    proposals: tuple[Proposal, ...]
    proposed_by: str
    start: bool = False


class StartAction(msgspec.Struct, frozen=True, kw_only=True):
    """Start an allowed action, an approved one (`approval` names the confirmation), or try again after a crash."""

    action_id: str
    digest: str
    approval: str = ""
    facts: Facts | None = None


class AskAgain(msgspec.Struct, frozen=True, kw_only=True):
    """Put a new question about an action whose approval no longer fits the world, or whose outcome is unknown."""

    action_id: str
    confirmation_id: str
    decision: Decision
    facts: Facts
    scope_digest: str
    changed: str


class DeclineAction(msgspec.Struct, frozen=True, kw_only=True):
    """Settle an action that will not be carried out."""

    action_id: str
    reason_code: ReasonCode
    reason: str


class RecordSuccess(msgspec.Struct, frozen=True, kw_only=True):
    """The executor, or a look after a restart, says that it is done."""

    action_id: str
    effects: tuple[Effect, ...]
    result: Result | None = None
    recovered: bool = False


class RecordFailure(msgspec.Struct, frozen=True, kw_only=True):
    """The executor says that it changed nothing."""

    action_id: str
    reason_code: ReasonCode
    reason: str


class RecordUnknown(msgspec.Struct, frozen=True, kw_only=True):
    """Nobody can tell."""

    action_id: str
    observed: str


class SkipStep(msgspec.Struct, frozen=True):
    """Leave a step out whose needs did not succeed."""

    step_id: str
    reason: str


class AwaitConfirmation(msgspec.Struct, frozen=True):
    """Stop until one of the open questions is answered."""


class PauseTask(msgspec.Struct, frozen=True):
    """Stop after the action at hand."""

    reason: str


class ResumeTask(msgspec.Struct, frozen=True):
    """Go on."""


class FinishTask(msgspec.Struct, frozen=True):
    """End the task; how it ended follows from its steps."""


class CancelTask(msgspec.Struct, frozen=True):
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
    | SkipStep
    | AwaitConfirmation
    | PauseTask
    | ResumeTask
    | FinishTask
    | CancelTask
)

# States


class Judgement(msgspec.Struct, frozen=True):
    """What policy said last about an action, and what it was told."""

    decision: Decision
    facts: Facts
    scope_digest: str


class Proposed(msgspec.Struct, frozen=True):
    """Asked for; what policy says follows in the same commit."""


class Ready(msgspec.Struct, frozen=True):
    """Allowed, not started."""

    judgement: Judgement


class Awaiting(msgspec.Struct, frozen=True):
    """Waiting for the answer to a question."""

    judgement: Judgement
    confirmation_id: str


class Started(msgspec.Struct, frozen=True):
    """Started, no outcome yet."""

    judgement: Judgement
    confirmation_id: str = ""


class Unknown(msgspec.Struct, frozen=True):
    """The outcome of the last attempt is unknown, and no question about it is open yet."""

    judgement: Judgement
    observed: str


ActionPhase: TypeAlias = Proposed | Ready | Awaiting | Started | Unknown


class OpenAction(msgspec.Struct, frozen=True):
    """An action that is not settled."""

    action_id: str
    step_id: str
    action: Action
    digest: str
    phase: ActionPhase
    attempts: int = 0


class Tally(msgspec.Struct, frozen=True):
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


class NoTask(msgspec.Struct, frozen=True):
    """Before the first event."""


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """A task. `open_actions` maps action ids to what is not settled; `steps` maps step ids to tallies."""

    task_id: str
    session_id: str
    title: str
    status: TaskStatus
    plan: Plan | None = None
    open_actions: HashTrieMap[str, OpenAction] = msgspec.field(default_factory=HashTrieMap)
    steps: HashTrieMap[str, Tally] = msgspec.field(default_factory=HashTrieMap)
    actions: int = 0
    pause_reason: str = ""

    @property
    def is_final(self) -> bool:
        """Whether the task has ended for good."""
        return self.status in FINAL_STATUSES


TaskState: TypeAlias = NoTask | Task
INITIAL: TaskState = NoTask()


def decide(command: TaskCommand, state: TaskState) -> tuple[TaskEvent, ...]:
    """Return the events of a command; raises `DomainError` (invalid, not_found, conflict, denied)."""
    match command:
        case QueueTask():
            return (_queue(command, state),)
        case StartPlanning() | AdoptPlan() | StartTask():
            return _decide_beginning(command, _existing(state))
        case PauseTask() | ResumeTask() | AwaitConfirmation() | FinishTask() | CancelTask():
            return _decide_life(command, _existing(state))
        case ProposeActions():
            return _propose(command, _existing(state))
        case SkipStep(step_id=step_id, reason=reason):
            task = _running(_existing(state))
            _not_begun(task, step_id)
            return (StepSkipped(task_id=task.task_id, step_id=step_id, reason=reason),)
        case StartAction():
            return (_start(command, _running(_existing(state))),)
        case AskAgain() | DeclineAction():
            return (_decide_question(command, _existing(state)),)
        case RecordSuccess() | RecordFailure() | RecordUnknown():
            return (_record(command, _existing(state)),)
        case _:
            assert_never(command)


def _queue(command: QueueTask, state: TaskState) -> TaskQueued:
    if not isinstance(state, NoTask):
        raise DomainError("conflict", f"task `{command.task_id}` was queued already")
    return TaskQueued(
        task_id=command.task_id,
        session_id=command.session_id,
        title=command.title,
        prompt=command.prompt,
        parent_task_id=command.parent_task_id,
    )


def _existing(state: TaskState) -> Task:
    if isinstance(state, NoTask):
        raise DomainError("not_found", "no such task", "see `cowork task list`")
    return state


def _running(task: Task) -> Task:
    if task.status not in ("running", "awaiting_confirmation"):
        raise DomainError("conflict", f"task `{task.task_id}` is {task.status}, not running")
    return task


def _decide_beginning(command: StartPlanning | AdoptPlan | StartTask, task: Task) -> tuple[TaskEvent, ...]:
    match command:
        case StartPlanning(planner=planner):
            _expect(task, "queued")
            return (TaskPlanningStarted(task_id=task.task_id, planner=planner),)
        case AdoptPlan(plan=plan):
            _expect(task, "planning")
            check_plan(plan)
            return (TaskPlanned(task_id=task.task_id, plan=plan),)
        case StartTask():
            _expect(task, "ready")
            return (TaskStarted(task_id=task.task_id),)
        case _:
            assert_never(command)


def _expect(task: Task, status: TaskStatus) -> None:
    if task.status != status:
        raise DomainError("conflict", f"task `{task.task_id}` is {task.status}, not {status}")


def _decide_life(
    command: PauseTask | ResumeTask | AwaitConfirmation | FinishTask | CancelTask, task: Task
) -> tuple[TaskEvent, ...]:
    if task.is_final:
        if isinstance(command, CancelTask) and task.status == "cancelled":
            return ()
        raise DomainError("conflict", f"task `{task.task_id}` has ended: it is {task.status}")
    match command:
        case PauseTask(reason=reason):
            return () if task.status == "paused" else (TaskPaused(task_id=task.task_id, reason=reason),)
        case ResumeTask():
            waits = task.status in ("paused", "awaiting_confirmation")
            return (TaskResumed(task_id=task.task_id),) if waits else ()
        case AwaitConfirmation():
            asked = open_questions(task)
            if task.status != "running" or not asked:
                return ()
            return (TaskAwaitingConfirmation(task_id=task.task_id, confirmation_ids=asked),)
        case FinishTask():
            return (_finish(_running(task)),)
        case CancelTask(reason=reason):
            unstarted = [a for a in task.open_actions.values() if not isinstance(a.phase, Started)]
            return (
                *(_declined(task, a, "withdrawn", "the task was cancelled") for a in sorted(unstarted, key=_by_id)),
                TaskCancelled(task_id=task.task_id, reason=reason),
            )
        case _:
            assert_never(command)


def open_questions(task: Task) -> tuple[str, ...]:
    """Return the ids of the confirmations that the task waits for, oldest first."""
    phases = (action.phase for action in task.open_actions.values())
    return tuple(sorted({phase.confirmation_id for phase in phases if isinstance(phase, Awaiting)}))


def _by_id(action: OpenAction) -> tuple[int, str]:
    return (len(action.action_id), action.action_id)


def _finish(task: Task) -> EndEvent:
    if task.open_actions or task.plan is None:
        raise DomainError("conflict", f"task `{task.task_id}` has actions that are not settled")
    tallies = {step.step_id: task.steps.get(step.step_id, Tally()) for step in task.plan.steps}
    unbegun = [step_id for step_id in tallies if step_id not in task.steps]
    if unbegun:
        raise DomainError("conflict", f"task `{task.task_id}` has steps that were not begun: {', '.join(unbegun)}")
    failed = [step_id for step_id, tally in tallies.items() if tally.failed]
    denied = [step_id for step_id, tally in tallies.items() if tally.denied]
    if failed:
        return TaskFailed(task_id=task.task_id, reason=f"did not succeed: {', '.join(failed)}")
    if denied:
        return TaskBlocked(task_id=task.task_id, reason=f"denied: {', '.join(denied)}")
    skipped = tuple(step_id for step_id, tally in tallies.items() if tally.skipped or tally.left_out)
    return TaskCompleted(task_id=task.task_id, skipped=skipped)


def _not_begun(task: Task, step_id: str) -> None:
    if task.plan is None or step_id not in {step.step_id for step in task.plan.steps}:
        raise DomainError("not_found", f"task `{task.task_id}` has no step `{step_id}`")
    if step_id in task.steps:
        raise DomainError("conflict", f"step `{step_id}` was begun already")


def _propose(command: ProposeActions, task: Task) -> tuple[TaskEvent, ...]:
    _running(task)
    _not_begun(task, command.step_id)
    events: list[TaskEvent] = [StepBegun(task_id=task.task_id, step_id=command.step_id, actions=len(command.proposals))]
    for number, proposal in enumerate(command.proposals, start=task.actions + 1):
        name = action_id(TaskId(task.task_id), number)
        events.append(
            ActionProposed(
                task_id=task.task_id,
                action_id=name,
                step_id=command.step_id,
                action=proposal.action,
                digest=proposal.digest,
                proposed_by=command.proposed_by,
            )
        )
        events.append(_decided(task.task_id, name, proposal))
        if command.start and proposal.decision.verdict == "allow":
            events.append(ActionStarted(task_id=task.task_id, action_id=name, digest=proposal.digest, attempt=1))
    return tuple(events)


def _decided(task_id: str, name: str, proposal: Proposal) -> ActionAllowed | ActionDenied | ActionConfirmationRequired:
    match proposal.decision.verdict:
        case "allow":
            verdict = ActionAllowed
        case "deny":
            verdict = ActionDenied
        case "allow_with_confirm":
            if not proposal.confirmation_id:
                raise DomainError("invalid", f"action `{name}` needs a question")
            return ActionConfirmationRequired(
                task_id=task_id,
                action_id=name,
                digest=proposal.digest,
                confirmation_id=proposal.confirmation_id,
                decision=proposal.decision,
                facts=proposal.facts,
                scope_digest=proposal.scope_digest,
            )
        case _:
            assert_never(proposal.decision.verdict)
    return verdict(
        task_id=task_id,
        action_id=name,
        digest=proposal.digest,
        decision=proposal.decision,
        facts=proposal.facts,
        scope_digest=proposal.scope_digest,
    )


def _open(task: Task, name: str) -> OpenAction:
    action = task.open_actions.get(name)
    if action is None:
        raise DomainError("conflict", f"action `{name}` of task `{task.task_id}` is not open")
    return action


def _start(command: StartAction, task: Task) -> ActionStarted:
    action = _open(task, command.action_id)
    if command.digest != action.digest:
        raise DomainError("denied", f"action `{command.action_id}` is not the one that was decided on")
    match action.phase:
        case Ready():
            approval = ""
        case Started(confirmation_id=given):
            approval = given
        case Awaiting(confirmation_id=asked):
            if command.approval != asked:
                raise DomainError("denied", f"action `{command.action_id}` was not approved")
            approval = asked
        case Unknown():
            raise DomainError("denied", f"the outcome of action `{command.action_id}` is unknown: a person must answer")
        case Proposed():
            raise DomainError("denied", f"nothing was decided about action `{command.action_id}`")
        case _:
            assert_never(action.phase)
    return ActionStarted(
        task_id=task.task_id,
        action_id=action.action_id,
        digest=action.digest,
        attempt=action.attempts + 1,
        confirmation_id=approval,
        facts=command.facts,
    )


def _decide_question(command: AskAgain | DeclineAction, task: Task) -> ActionConfirmationRequired | ActionDeclined:
    action = _open(task, command.action_id)
    if isinstance(action.phase, Started):
        raise DomainError("conflict", f"action `{command.action_id}` has started")
    match command:
        case AskAgain():
            return ActionConfirmationRequired(
                task_id=task.task_id,
                action_id=action.action_id,
                digest=action.digest,
                confirmation_id=command.confirmation_id,
                decision=command.decision,
                facts=command.facts,
                scope_digest=command.scope_digest,
                changed=command.changed,
            )
        case DeclineAction():
            return _declined(task, action, command.reason_code, command.reason)
        case _:
            assert_never(command)


def _declined(task: Task, action: OpenAction, code: ReasonCode, reason: str) -> ActionDeclined:
    return ActionDeclined(
        task_id=task.task_id,
        action_id=action.action_id,
        digest=action.digest,
        reason_code=code,
        reason=reason,
        confirmation_id=action.phase.confirmation_id if isinstance(action.phase, Awaiting) else "",
    )


def _record(command: RecordSuccess | RecordFailure | RecordUnknown, task: Task) -> OutcomeEvent:
    action = _open(task, command.action_id)
    if not isinstance(action.phase, Started):
        raise DomainError("conflict", f"action `{command.action_id}` has not started")
    match command:
        case RecordSuccess():
            return ActionSucceeded(
                task_id=task.task_id,
                action_id=action.action_id,
                digest=action.digest,
                attempt=action.attempts,
                effects=command.effects,
                result=command.result,
                recovered=command.recovered,
            )
        case RecordFailure():
            return ActionFailed(
                task_id=task.task_id,
                action_id=action.action_id,
                digest=action.digest,
                attempt=action.attempts,
                reason_code=command.reason_code,
                reason=command.reason,
            )
        case RecordUnknown():
            return ActionOutcomeUnknown(
                task_id=task.task_id,
                action_id=action.action_id,
                digest=action.digest,
                attempt=action.attempts,
                observed=command.observed,
            )
        case _:
            assert_never(command)


# Fold


def evolve(state: TaskState, event: TaskEvent) -> TaskState:
    """Return the state after an event."""
    match event:
        case TaskQueued():
            return Task(task_id=event.task_id, session_id=event.session_id, title=event.title, status="queued")
        case (
            ActionProposed()
            | ActionAllowed()
            | ActionDenied()
            | ActionConfirmationRequired()
            | ActionDeclined()
            | ActionStarted()
            | ActionSucceeded()
            | ActionFailed()
            | ActionOutcomeUnknown()
        ):
            return _evolve_action(_existing(state), event)
        case _:
            return _evolve_life(_existing(state), event)


def _evolve_life(task: Task, event: LifeEvent) -> Task:
    match event:
        case TaskPlanningStarted():
            return _with(task, status="planning")
        case TaskPlanned(plan=plan):
            return _with(task, status="ready", plan=plan)
        case TaskStarted() | TaskResumed():
            return _with(task, status="running", pause_reason="")
        case TaskAwaitingConfirmation():
            return _with(task, status="awaiting_confirmation")
        case TaskPaused(reason=reason):
            return _with(task, status="paused", pause_reason=reason)
        case TaskCompleted(skipped=skipped):
            return _with(task, status="completed_with_skips" if skipped else "completed")
        case TaskFailed():
            return _with(task, status="failed")
        case TaskBlocked():
            return _with(task, status="blocked")
        case TaskCancelled():
            return _with(task, status="cancelled")
        case StepBegun(step_id=step_id, actions=actions):
            return _with(task, steps=task.steps.insert(step_id, Tally(actions=actions)))
        case StepSkipped(step_id=step_id):
            return _with(task, steps=task.steps.insert(step_id, Tally(left_out=True)))
        case TaskQueued():
            raise DomainError("damaged", f"task `{task.task_id}` was queued twice")
        case _:
            assert_never(event)


_with = msgspec.structs.replace


def _evolve_action(task: Task, event: ActionEvent) -> Task:
    match event:
        case ActionProposed():
            proposed = OpenAction(event.action_id, event.step_id, event.action, event.digest, Proposed())
            opened = task.open_actions.insert(event.action_id, proposed)
            return _with(task, actions=task.actions + 1, open_actions=opened)
        case ActionAllowed():
            return _put(task, event.action_id, Ready(_judgement(event)))
        case ActionConfirmationRequired():
            return _put(task, event.action_id, Awaiting(_judgement(event), event.confirmation_id))
        case ActionStarted():
            return _put(task, event.action_id, _started(_open(task, event.action_id), event), event.attempt)
        case ActionOutcomeUnknown():
            return _put(task, event.action_id, Unknown(_last_judgement(_open(task, event.action_id)), event.observed))
        case ActionDenied():
            failed = event.decision.reason_code in FAILURE_CODES
            return _settle(task, event.action_id, "failed" if failed else "denied")
        case ActionDeclined():
            skipped = event.reason_code in ("skipped", "withdrawn")
            return _settle(task, event.action_id, "skipped" if skipped else "denied")
        case ActionSucceeded():
            return _settle(task, event.action_id, "succeeded")
        case ActionFailed():
            return _settle(task, event.action_id, "failed")
        case _:
            assert_never(event)


FAILURE_CODES: tuple[ReasonCode, ...] = ("not_found", "conflict", "io")
"""A denial for one of these says that the world is not as the plan expected: the step failed, nobody forbade it."""


def _judgement(event: ActionAllowed | ActionConfirmationRequired) -> Judgement:
    return Judgement(event.decision, event.facts, event.scope_digest)


def _last_judgement(action: OpenAction) -> Judgement:
    if isinstance(action.phase, Proposed):
        raise DomainError("damaged", f"nothing was decided about action `{action.action_id}`")
    return action.phase.judgement


def _started(action: OpenAction, event: ActionStarted) -> Started:
    judgement = _last_judgement(action)
    if event.facts is not None:
        judgement = Judgement(judgement.decision, event.facts, judgement.scope_digest)
    return Started(judgement, event.confirmation_id)


def _put(task: Task, name: str, phase: ActionPhase, attempts: int | None = None) -> Task:
    action = _open(task, name)
    known = action.attempts if attempts is None else attempts
    changed = OpenAction(name, action.step_id, action.action, action.digest, phase, known)
    return _with(task, open_actions=task.open_actions.insert(name, changed))


def _settle(task: Task, name: str, how: Literal["succeeded", "failed", "denied", "skipped"]) -> Task:
    action = _open(task, name)
    tally = task.steps[action.step_id]
    counted: Tally
    match how:
        case "succeeded":
            counted = _with(tally, succeeded=tally.succeeded + 1)
        case "failed":
            counted = _with(tally, failed=tally.failed + 1)
        case "denied":
            counted = _with(tally, denied=tally.denied + 1)
        case "skipped":
            counted = _with(tally, skipped=tally.skipped + 1)
        case _:
            assert_never(how)
    return _with(task, open_actions=task.open_actions.remove(name), steps=task.steps.insert(action.step_id, counted))
