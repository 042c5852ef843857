"""Task: one piece of work for an agent: its plan, and the life of each of its actions from proposal to outcome.

The aggregate fills four files: events (`task_event.py`), commands (`task_command.py`), states with `evolve`
(`task_state.py`) and, here, `decide`. Everything is imported from here.
"""

from collections.abc import Iterator, Sequence
from typing import Final, assert_never

from .errors import DomainError
from .ids import TaskId, action_id
from .plan import check_plan
from .reason import ReasonCode
from .task_command import (
    AdoptPlan,
    AskAgain,
    AwaitConfirmation,
    CancelTask,
    DeclineAction,
    FinishTask,
    PauseTask,
    Proposal,
    ProposeActions,
    QueueTask,
    RecordConnection,
    RecordFailure,
    RecordSuccess,
    RecordUnknown,
    ResumeTask,
    SkipStep,
    StartAction,
    StartPlanning,
    StartTask,
    TaskCommand,
)
from .task_event import (
    ActionAllowed,
    ActionConfirmationRequired,
    ActionDeclined,
    ActionDenied,
    ActionEvent,
    ActionFailed,
    ActionOutcomeUnknown,
    ActionProposed,
    ActionStarted,
    ActionSucceeded,
    ChangesStaged,
    ConnectionDecided,
    EndEvent,
    LifeEvent,
    OutcomeEvent,
    StepBegun,
    StepSkipped,
    TaskAwaitingConfirmation,
    TaskBlocked,
    TaskCancelled,
    TaskCompleted,
    TaskEnded,
    TaskEvent,
    TaskFailed,
    TaskPaused,
    TaskPlanned,
    TaskPlanningStarted,
    TaskQueued,
    TaskResumed,
    TaskStarted,
)
from .task_state import (
    FAILURE_CODES,
    FINAL_STATUSES,
    INITIAL,
    TASK_STATUSES,
    ActionPhase,
    Awaiting,
    FinalStatus,
    Judgement,
    NoTask,
    OpenAction,
    Proposed,
    Ready,
    Settled,
    Started,
    Tally,
    Task,
    TaskState,
    TaskStatus,
    Unknown,
    evolve,
    existing,
    open_action,
    open_questions,
    siblings_of,
)

__all__ = [
    "FAILURE_CODES",
    "FINAL_STATUSES",
    "INITIAL",
    "TASK_STATUSES",
    "ActionAllowed",
    "ActionConfirmationRequired",
    "ActionDeclined",
    "ActionDenied",
    "ActionEvent",
    "ActionFailed",
    "ActionOutcomeUnknown",
    "ActionPhase",
    "ActionProposed",
    "ActionStarted",
    "ActionSucceeded",
    "AdoptPlan",
    "AskAgain",
    "AwaitConfirmation",
    "Awaiting",
    "CancelTask",
    "ChangesStaged",
    "ConnectionDecided",
    "DeclineAction",
    "EndEvent",
    "FinalStatus",
    "FinishTask",
    "Judgement",
    "LifeEvent",
    "NoTask",
    "OpenAction",
    "OutcomeEvent",
    "PauseTask",
    "Proposal",
    "ProposeActions",
    "Proposed",
    "QueueTask",
    "Ready",
    "RecordConnection",
    "RecordFailure",
    "RecordSuccess",
    "RecordUnknown",
    "ResumeTask",
    "Settled",
    "SkipStep",
    "StartAction",
    "StartPlanning",
    "StartTask",
    "Started",
    "StepBegun",
    "StepSkipped",
    "Tally",
    "Task",
    "TaskAwaitingConfirmation",
    "TaskBlocked",
    "TaskCancelled",
    "TaskCommand",
    "TaskCompleted",
    "TaskEnded",
    "TaskEvent",
    "TaskFailed",
    "TaskPaused",
    "TaskPlanned",
    "TaskPlanningStarted",
    "TaskQueued",
    "TaskResumed",
    "TaskStarted",
    "TaskState",
    "TaskStatus",
    "Unknown",
    "decide",
    "evolve",
    "existing",
    "open_action",
    "open_questions",
    "siblings_of",
]


def decide(command: TaskCommand, state: TaskState) -> tuple[TaskEvent, ...]:
    """Return the events of a command; raises `DomainError` (invalid, not_found, conflict, denied)."""
    match command:
        case QueueTask():
            return (_queue(command, state),)
        case StartPlanning() | AdoptPlan() | StartTask():
            return _decide_beginning(command, existing(state))
        case PauseTask() | ResumeTask() | AwaitConfirmation() | FinishTask() | CancelTask():
            return _decide_life(command, existing(state))
        case ProposeActions():
            return _propose(command, existing(state))
        case SkipStep(step_id=step_id, reason=reason, reason_code=code):
            task = _running(existing(state))
            _not_begun(task, step_id)
            return (StepSkipped(task_id=task.task_id, step_id=step_id, reason=reason, reason_code=code),)
        case StartAction():
            return (_start(command, _running(existing(state))),)
        case AskAgain() | DeclineAction():
            return _decide_question(command, existing(state))
        case RecordSuccess() | RecordFailure() | RecordUnknown() | RecordConnection():
            return _record(command, existing(state))
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
    if step_id not in task.step_ids:
        raise DomainError("not_found", f"task `{task.task_id}` has no step `{step_id}`")
    if step_id in task.steps:
        raise DomainError("conflict", f"step `{step_id}` was begun already")


def _propose(command: ProposeActions, task: Task) -> tuple[TaskEvent, ...]:
    _running(task)
    _not_begun(task, command.step_id)
    begun = StepBegun(task_id=task.task_id, step_id=command.step_id, actions=len(command.proposals))
    proposed = _proposed(task, command.step_id, command.proposals, command.proposed_by, start=command.start)
    return (begun, *proposed)


def _proposed(
    task: Task,
    step_id: str,
    proposals: Sequence[Proposal],
    proposed_by: str,
    *,
    start: bool = False,
    staged_by: str = "",
    together: bool = False,
) -> Iterator[TaskEvent]:
    """Yield the events of new actions of a step: each is proposed and decided, and settled where nobody is asked."""
    dropped = together and any(_is_refused(proposal) for proposal in proposals)
    for number, proposal in enumerate(proposals, start=task.actions + 1):
        name = action_id(TaskId(task.task_id), number)
        yield ActionProposed(
            task_id=task.task_id,
            action_id=name,
            step_id=step_id,
            action=proposal.action,
            digest=proposal.digest,
            proposed_by=proposed_by,
            staged_by=staged_by,
            together=together,
        )
        yield _decided(task.task_id, name, proposal)
        if proposal.decision.verdict == "allow_with_confirm" and not proposal.decision.is_leave and proposal.unasked:
            reason = f"it needs a person: {proposal.decision.reason}"
            yield _let_go(task, name, proposal.digest, proposal.unasked, reason)
        elif dropped and not _is_refused(proposal):
            yield _let_go(task, name, proposal.digest, "withdrawn", _TOGETHER)
        elif start and proposal.decision.is_leave:
            yield ActionStarted(task_id=task.task_id, action_id=name, digest=proposal.digest, attempt=1)


_TOGETHER: Final = "another change of the same command was refused, and they go together"


def _is_refused(proposal: Proposal) -> bool:
    return proposal.decision.verdict == "deny" or (not proposal.decision.is_leave and bool(proposal.unasked))


def _let_go(task: Task, name: str, digest: str, code: ReasonCode, reason: str) -> ActionDeclined:
    return ActionDeclined(task_id=task.task_id, action_id=name, digest=digest, reason_code=code, reason=reason)


def _decided(task_id: str, name: str, proposal: Proposal) -> ActionAllowed | ActionDenied | ActionConfirmationRequired:
    verdict = "allow" if proposal.decision.is_leave else proposal.decision.verdict
    match verdict:
        case "allow":
            return ActionAllowed(
                task_id=task_id,
                action_id=name,
                digest=proposal.digest,
                decision=proposal.decision,
                facts=proposal.facts,
                scope_digest=proposal.scope_digest,
            )
        case "deny":
            return ActionDenied(
                task_id=task_id,
                action_id=name,
                digest=proposal.digest,
                decision=proposal.decision,
                facts=proposal.facts,
                scope_digest=proposal.scope_digest,
            )
        case "allow_with_confirm":
            if not proposal.confirmation_id and not proposal.unasked:
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
            assert_never(verdict)


def _start(command: StartAction, task: Task) -> ActionStarted:
    action = open_action(task, command.action_id)
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


def _decide_question(command: AskAgain | DeclineAction, task: Task) -> tuple[TaskEvent, ...]:
    action = open_action(task, command.action_id)
    if isinstance(action.phase, Started):
        raise DomainError("conflict", f"action `{command.action_id}` has started")
    match command:
        case AskAgain():
            asked = ActionConfirmationRequired(
                task_id=task.task_id,
                action_id=action.action_id,
                digest=action.digest,
                confirmation_id=command.confirmation_id,
                decision=command.decision,
                facts=command.facts,
                scope_digest=command.scope_digest,
                changed=command.changed,
            )
            return (asked,)
        case DeclineAction():
            others = [one for one in siblings_of(task, action) if not isinstance(one.phase, Started)]
            return (
                _declined(task, action, command.reason_code, command.reason),
                *(_declined(task, one, "withdrawn", _TOGETHER) for one in others),
            )
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


def _record(
    command: RecordSuccess | RecordFailure | RecordUnknown | RecordConnection, task: Task
) -> tuple[TaskEvent, ...]:
    action = open_action(task, command.action_id)
    if not isinstance(action.phase, Started):
        raise DomainError("conflict", f"action `{command.action_id}` has not started")
    match command:
        case RecordSuccess():
            return tuple(_succeeded(command, task, action))
        case RecordFailure():
            failed = ActionFailed(
                task_id=task.task_id,
                action_id=action.action_id,
                digest=action.digest,
                attempt=action.attempts,
                reason_code=command.reason_code,
                reason=command.reason,
                result=command.result,
            )
            return (failed,)
        case RecordUnknown():
            unknown = ActionOutcomeUnknown(
                task_id=task.task_id,
                action_id=action.action_id,
                digest=action.digest,
                attempt=action.attempts,
                observed=command.observed,
            )
            return (unknown,)
        case RecordConnection():
            connection = ConnectionDecided(
                task_id=task.task_id,
                action_id=action.action_id,
                host=command.host,
                port=command.port,
                address=command.address,
                reason_code=command.reason_code,
                reason=command.reason,
            )
            return (connection,)
        case _:
            assert_never(command)


def _succeeded(command: RecordSuccess, task: Task, action: OpenAction) -> Iterator[TaskEvent]:
    if command.staged and task.is_final:
        raise DomainError("conflict", f"task `{task.task_id}` has ended: it takes no changes any more")
    if command.staged:
        # Before the command itself is settled: its step must never look finished in between.
        yield ChangesStaged(
            task_id=task.task_id,
            action_id=action.action_id,
            step_id=action.step_id,
            actions=len(command.staged),
            step_actions=task.steps[action.step_id].actions + len(command.staged),
        )
    yield ActionSucceeded(
        task_id=task.task_id,
        action_id=action.action_id,
        digest=action.digest,
        attempt=action.attempts,
        effects=command.effects,
        result=command.result,
        recovered=command.recovered,
    )
    yield from _proposed(
        task,
        action.step_id,
        command.staged,
        command.proposed_by,
        staged_by=action.action_id,
        together=command.together,
    )
