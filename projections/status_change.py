"""Which event of a task's life gives it which status: once, for every table that keeps one."""

from typing import assert_never

from ..domain.task import (
    ChangesStaged,
    LifeEvent,
    PathsClaimed,
    StepBegun,
    StepSkipped,
    TaskAwaitingConfirmation,
    TaskBlocked,
    TaskBudgetExhausted,
    TaskBudgetRaised,
    TaskCancelled,
    TaskCompleted,
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
    TaskStatus,
    TaskSteered,
    UsageReported,
)


def status_after(event: LifeEvent) -> TaskStatus | None:
    """Return the status that the task has from this event on, or None where the event leaves it as it is."""
    match event:
        case TaskQueued():
            return "queued"
        case TaskPlanningStarted():
            return "planning"
        case TaskPlanned():
            return "ready"
        case TaskStarted() | TaskResumed():
            return "running"
        case TaskAwaitingConfirmation():
            return "awaiting_confirmation"
        case TaskPaused() | TaskInterrupted():
            return "paused"
        case TaskBudgetExhausted():
            return "budget_exhausted"
        case TaskCompleted(skipped=skipped):
            return "completed_with_skips" if skipped else "completed"
        case TaskFailed():
            return "failed"
        case TaskBlocked():
            return "blocked"
        case TaskCancelled():
            return "cancelled"
        case (
            TaskMessaged()
            | TaskSteered()
            | TaskProgressed()
            | UsageReported()
            | TaskBudgetRaised()
            | PathsClaimed()
            | StepBegun()
            | StepSkipped()
            | ChangesStaged()
        ):
            return None
        case _:
            assert_never(event)
