"""Task: one piece of work for an agent: its plan, and the life of each of its actions from proposal to outcome.

The aggregate fills five files: events (`task_event.py`), commands (`task_command.py`), states with `evolve`
(`task_state.py`), what is decided about actions (`task_action.py`) and, here, `decide`. Everything is imported from
here.
"""

from typing import assert_never

from .budget import BUDGET_MAX, MEASURES, UNITS, Budget, Usage, raised
from .errors import DomainError
from .plan import check_plan
from .task_action import decide_question, declined, not_begun, propose, record, running, settle_unknown, start
from .task_command import (
    AdoptPlan,
    AskAgain,
    AwaitConfirmation,
    CancelTask,
    DeclineAction,
    ExhaustBudget,
    FinishTask,
    InterruptTask,
    PauseTask,
    Proposal,
    ProposeActions,
    QueueTask,
    RaiseBudget,
    RecordConnection,
    RecordFailure,
    RecordProgress,
    RecordSuccess,
    RecordUnknown,
    ReportUsage,
    ResumeTask,
    SendMessage,
    SettleUnknown,
    SkipStep,
    StartAction,
    StartPlanning,
    StartTask,
    SteerTask,
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
    MessageStrategy,
    OutcomeEvent,
    PathsClaimed,
    StepBegun,
    StepSkipped,
    TaskAwaitingConfirmation,
    TaskBlocked,
    TaskBudgetExhausted,
    TaskBudgetRaised,
    TaskCancelled,
    TaskCompleted,
    TaskEnded,
    TaskEvent,
    TaskFailed,
    TaskInterrupted,
    TaskMessaged,
    TaskPaused,
    TaskPlanned,
    TaskPlanningStarted,
    TaskProgressed,
    TaskQueued,
    TaskResumed,
    TaskStarted,
    TaskSteered,
    UsageReported,
)
from .task_state import (
    FAILURE_CODES,
    INITIAL,
    NoTask,
    Settled,
    Task,
    TaskState,
    evolve,
    existing,
    open_action,
    open_questions,
    siblings_of,
)
from .task_steering import let_go, message, steer
from .task_values import (
    FINAL_STATUSES,
    TASK_STATUSES,
    ActionPhase,
    Awaiting,
    FinalStatus,
    Judgement,
    OpenAction,
    Proposed,
    Ready,
    Repeat,
    Started,
    Tally,
    TaskStatus,
    Unknown,
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
    "ExhaustBudget",
    "FinalStatus",
    "FinishTask",
    "InterruptTask",
    "Judgement",
    "LifeEvent",
    "MessageStrategy",
    "NoTask",
    "OpenAction",
    "OutcomeEvent",
    "PathsClaimed",
    "PauseTask",
    "Proposal",
    "ProposeActions",
    "Proposed",
    "QueueTask",
    "RaiseBudget",
    "Ready",
    "RecordConnection",
    "RecordFailure",
    "RecordProgress",
    "RecordSuccess",
    "RecordUnknown",
    "Repeat",
    "ReportUsage",
    "ResumeTask",
    "SendMessage",
    "SettleUnknown",
    "Settled",
    "SkipStep",
    "StartAction",
    "StartPlanning",
    "StartTask",
    "Started",
    "SteerTask",
    "StepBegun",
    "StepSkipped",
    "Tally",
    "Task",
    "TaskAwaitingConfirmation",
    "TaskBlocked",
    "TaskBudgetExhausted",
    "TaskBudgetRaised",
    "TaskCancelled",
    "TaskCommand",
    "TaskCompleted",
    "TaskEnded",
    "TaskEvent",
    "TaskFailed",
    "TaskInterrupted",
    "TaskMessaged",
    "TaskPaused",
    "TaskPlanned",
    "TaskPlanningStarted",
    "TaskProgressed",
    "TaskQueued",
    "TaskResumed",
    "TaskStarted",
    "TaskState",
    "TaskStatus",
    "TaskSteered",
    "Unknown",
    "UsageReported",
    "decide",
    "evolve",
    "existing",
    "let_go",
    "open_action",
    "open_questions",
    "running",
    "siblings_of",
]


def decide(command: TaskCommand, state: TaskState) -> tuple[TaskEvent, ...]:
    """Return the events of a command; raises `DomainError` (invalid, not_found, conflict, denied)."""
    match command:
        case QueueTask():
            return (_queue(command, state),)
        case StartPlanning() | AdoptPlan() | StartTask():
            return _decide_beginning(command, existing(state))
        case PauseTask() | InterruptTask() | ResumeTask() | AwaitConfirmation() | FinishTask() | CancelTask():
            return _decide_life(command, existing(state))
        case SendMessage() | SteerTask() | RecordProgress() | ReportUsage() | ExhaustBudget() | RaiseBudget():
            return _decide_course(command, existing(state))
        case ProposeActions():
            return propose(command, existing(state))
        case SkipStep(step_id=step_id, reason=reason, reason_code=code):
            task = running(existing(state))
            not_begun(task, step_id, command.of_plan)
            return (StepSkipped(task_id=task.task_id, step_id=step_id, reason=reason, reason_code=code),)
        case StartAction():
            return start(command, running(existing(state)))
        case AskAgain() | DeclineAction():
            return decide_question(command, existing(state))
        case RecordSuccess() | RecordFailure() | RecordUnknown() | RecordConnection():
            return record(command, existing(state))
        case SettleUnknown():
            return settle_unknown(command, existing(state))
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
        subagent_id=command.subagent_id,
        priority=command.priority,
        budget=command.budget,
        undoes=command.undoes,
    )


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
    command: PauseTask | InterruptTask | ResumeTask | AwaitConfirmation | FinishTask | CancelTask, task: Task
) -> tuple[TaskEvent, ...]:
    if task.is_final:
        if isinstance(command, CancelTask) and task.status == "cancelled":
            return ()
        raise DomainError("conflict", f"task `{task.task_id}` has ended: it is {task.status}")
    match command:
        case PauseTask(reason=reason):
            return () if task.status == "paused" else (TaskPaused(task_id=task.task_id, reason=reason),)
        case ResumeTask():
            waits = task.status in ("paused", "awaiting_confirmation", "budget_exhausted")
            return (TaskResumed(task_id=task.task_id),) if waits else ()
        case InterruptTask(reason=reason):
            return () if task.is_interrupted else (TaskInterrupted(task_id=task.task_id, reason=reason),)
        case AwaitConfirmation(of_subagents=theirs):
            asked = (*open_questions(task), *theirs)
            if task.status != "running" or not asked:
                return ()
            return (TaskAwaitingConfirmation(task_id=task.task_id, confirmation_ids=asked),)
        case FinishTask():
            return (_finish(running(task)),)
        case CancelTask(reason=reason):
            unstarted = [a for a in task.open_actions.values() if not isinstance(a.phase, Started)]
            return (
                *(declined(task, a, "withdrawn", "the task was cancelled") for a in sorted(unstarted, key=_by_id)),
                TaskCancelled(task_id=task.task_id, reason=reason),
            )
        case _:
            assert_never(command)


def _decide_course(
    command: SendMessage | SteerTask | RecordProgress | ReportUsage | ExhaustBudget | RaiseBudget, task: Task
) -> tuple[TaskEvent, ...]:
    match command:
        case RecordProgress(running_ms=running_ms):
            return _progress(task, running_ms)
        case ReportUsage(tokens=tokens, cost_micros=cost, reported_by=by):
            if tokens < 0 or cost < 0:
                raise DomainError("invalid", "what was used up can't be less than nothing")
            used = UsageReported(task_id=task.task_id, tokens=tokens, cost_micros=cost, reported_by=by)
            return (used,) if tokens or cost else ()
        case _:
            pass
    if task.is_final:
        raise DomainError("conflict", f"task `{task.task_id}` has ended: it is {task.status}")
    match command:
        case SendMessage():
            return message(command, task)
        case SteerTask():
            return steer(command, task)
        case ExhaustBudget(of_task=of_task, overrun=over):
            if task.status != "running":
                return ()
            exhausted = TaskBudgetExhausted(
                task_id=task.task_id,
                of_task=of_task,
                measure=over.measure,
                bound=over.bound,
                needed=over.needed,
            )
            return (exhausted,)
        case RaiseBudget(by=more):
            budget = raised(task.budget, more)
            _check_amounts(task.task_id, budget, more)
            return () if budget == task.budget else (TaskBudgetRaised(task_id=task.task_id, by=more, budget=budget),)
        case _:
            assert_never(command)


def _check_amounts(task_id: str, budget: Budget, more: Usage) -> None:
    for measure in MEASURES:
        bound = budget.of(measure) or 0
        if more.of(measure) and bound > BUDGET_MAX:
            said = (
                f"the budget of task `{task_id}` would allow `{bound}` {UNITS[measure]}, and {BUDGET_MAX} is the most"
            )
            raise DomainError("limit", said, "add less")


def _progress(task: Task, running_ms: int) -> tuple[TaskProgressed, ...]:
    steps = () if task.plan is None else task.plan.steps
    settled = [step for step in steps if step.step_id in task.steps and task.steps[step.step_id].is_settled]
    progressed = TaskProgressed(
        task_id=task.task_id,
        running_ms=max(running_ms, 0),
        actions=task.actions,
        settled=task.actions - len(task.open_actions),
        steps_settled=len(settled),
        steps=len(steps),
    )
    return (progressed,)


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
