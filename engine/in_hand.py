"""Tasks that are this process's before it carries them on, so that nobody else takes them in between."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from ..domain.errors import DomainError
from .ports import TaskLocks


class TaskBusyError(DomainError):
    """Another process carries the task on: no failure for who wanted any task, and nothing to mend."""

    def __init__(self, sentence: str, hint: str) -> None:
        super().__init__("unavailable", sentence, hint)


def being_run(task_id: str) -> TaskBusyError:
    """Return the refusal of a task that another process has."""
    return TaskBusyError(f"task `{task_id}` is being run by another process", "wait for it, or pause it")


class TasksInHand:
    """Locks of tasks. One per process; see the port `TaskLocks`."""

    def __init__(self, locks: TaskLocks) -> None:
        self._locks = locks
        self._taken: dict[str, ExitStack] = {}

    def take(self, task_id: str) -> bool:
        """Make a task this process's until it was held or `close`; return False where it is somebody else's."""
        lock = ExitStack()
        if not lock.enter_context(self._locks.hold(task_id)):
            lock.close()
            return False
        self._taken[task_id] = lock
        return True

    def let_go(self, task_id: str) -> None:
        """Leave a task that was taken to others."""
        self._taken.pop(task_id).close()

    def is_elsewhere(self, task_id: str) -> bool:
        """Whether somebody carries the task on or is about to, who is not this caller with a task that it took."""
        if task_id in self._taken:
            return False
        with self._locks.hold(task_id) as mine:
            return not mine

    @contextmanager
    def hold(self, task_id: str) -> Iterator[bool]:
        """Enter with whether this process has the task, taken before or now; let it go with the block."""
        taken = self._taken.pop(task_id, None)
        if taken is None:
            with self._locks.hold(task_id) as mine:
                yield mine
            return
        with taken:
            yield True

    def close(self) -> None:
        """Let go of what was taken and never held."""
        for lock in self._taken.values():
            lock.close()
        self._taken.clear()
