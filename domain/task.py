"""Task: one piece of work for an agent: its plan, and the life of each of its actions from proposal to outcome.

The aggregate fills five files: events (`task_event.py`), commands (`task_command.py`), states with `evolve`
(`task_state.py`), what is decided about actions (`task_action.py`) and, here, `decide`. Everything is imported from
here.
"""

from typing import assert_never

from .errors import DomainError
from .plan import check_plan
from .task_action import decide_question, declined, not_begun, propose, record, running, start
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
            return propose(command, existing(state))
        case SkipStep(step_id=step_id, reason=reason, reason_code=code):
            task = running(existing(state))
            not_begun(task, step_id)
            return (StepSkipped(task_id=task.task_id, step_id=step_id, reason=reason, reason_code=code),)
        case StartAction():
            return (start(command, running(existing(state))),)
        case AskAgain() | DeclineAction():
            return decide_question(command, existing(state))
        case RecordSuccess() | RecordFailure() | RecordUnknown() | RecordConnection():
            return record(command, existing(state))
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
            return (_finish(running(task)),)
        case CancelTask(reason=reason):
            unstarted = [a for a in task.open_actions.values() if not isinstance(a.phase, Started)]
            return (
                *(declined(task, a, "withdrawn", "the task was cancelled") for a in sorted(unstarted, key=_by_id)),
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
