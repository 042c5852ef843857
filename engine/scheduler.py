"""The tasks that this process carries on, each with its subagents, and what wakes them.

What a person or another process records is noticed here: an interrupt or a cancellation cuts off what is under way, an
answer, a pause, another plan or more room wakes those whom it is about.
"""

from collections.abc import Sequence

from ..domain.confirmation import (
    ConfirmationApproved,
    ConfirmationExpired,
    ConfirmationRejected,
    ConfirmationRequested,
    ConfirmationWithdrawn,
)
from ..domain.errors import DomainError
from ..domain.event import Event, Recorded
from ..domain.ids import root_task_id
from ..domain.task import (
    NoTask,
    Task,
    TaskBudgetRaised,
    TaskCancelled,
    TaskInterrupted,
    TaskPaused,
    TaskResumed,
    TaskSteered,
)
from .answering import Asker
from .beginning import Paused
from .command_handler import TASK
from .cutting_off import Attempts
from .task_run import RunParts, TaskRun


class Scheduler:
    """Runs tasks until they end or nothing can go on without a person. One per process."""

    def __init__(self, parts: RunParts, attempts: Attempts) -> None:
        self._parts = parts
        self._attempts = attempts
        parts.handler.listen(self._on)

    async def run(
        self, task_id: str, asker: Asker | None = None, *, paused: Paused, agent: str, closes_session: bool
    ) -> Task:
        """Carry the task on as far as it goes and return it as it is then.

        A waiting task is resumed, a paused one where it was among `paused`, as `begin_run` says. It ends, or is left
        `awaiting_confirmation`, `budget_exhausted`, or `paused`. With `closes_session`, the session ends in the same
        commit as the task.
        """
        run = TaskRun(self._parts, task_id, agent=agent, asker=asker, closes_session=closes_session)
        try:
            await run.drive(paused)
        except BaseExceptionGroup as group:
            # Workers beside each other fail together; where it was one, that one is what happened.
            alone = _alone(group)
            raise group if alone is None else alone from None
        except DomainError as error:
            # Somebody paused or cancelled it between two commands: that is an answer, not a failure.
            if error.code != "conflict" or self._task(task_id).status == "running":
                raise
        return self._task(task_id)

    def halt(self) -> None:
        """Come to rest for good: every run ends when what it has under way has its outcome, and stays as it is."""
        self._parts.halt.is_asked = True
        for run in self._parts.runs.values():
            run.wake()

    def _task(self, task_id: str) -> Task:
        state = self._parts.handler.load(task_id, TASK).state
        if isinstance(state, NoTask):
            raise DomainError("not_found", f"there is no task `{task_id}`", "see `cowork task list`")
        return state

    def _on(self, recorded: Sequence[Recorded[Event]]) -> None:
        if not self._parts.runs:
            return
        for one in recorded:
            match one.event:
                case TaskInterrupted(task_id=task_id) | TaskCancelled(task_id=task_id):
                    self._attempts.cut_off(task_id)
                    self._wake(task_id)
                case (
                    TaskPaused(task_id=task_id)
                    | TaskResumed(task_id=task_id)
                    | TaskSteered(task_id=task_id)
                    | ConfirmationRequested(task_id=task_id)
                ):
                    self._wake(task_id)
                case (
                    ConfirmationApproved()
                    | ConfirmationRejected()
                    | ConfirmationExpired()
                    | ConfirmationWithdrawn()
                    | TaskBudgetRaised()
                ):
                    for run in self._parts.runs.values():
                        run.wake()
                case _:
                    continue

    def _wake(self, task_id: str) -> None:
        """Wake a task's run and those above it, which may be waiting for it."""
        root = root_task_id(task_id)
        for name in [name for name in self._parts.runs if root_task_id(name) == root]:
            if task_id == name or task_id.startswith(f"{name}-"):
                self._parts.runs[name].wake()


def _alone(group: BaseExceptionGroup[BaseException]) -> BaseException | None:
    """Return the only error of a group of groups, None where there are several."""
    if len(group.exceptions) != 1:
        return None
    (only,) = group.exceptions
    return _alone(only) if isinstance(only, BaseExceptionGroup) else only
