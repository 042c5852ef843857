"""Ending a session before its task has ended by itself."""

from collections.abc import Awaitable, Sequence
from typing import Protocol

from ..domain.errors import DomainError
from ..domain.session import EndSession, NoSession, OpenSession
from ..domain.task import Started, Task
from .command_handler import SESSION, TASK, CommandHandler, order_session
from .session_memory import Memories


class Cancel(Protocol):
    """Cancels a task with all its subagents'."""

    def __call__(self, task_id: str, *, by: str, reason: str) -> Awaitable[None]:
        """See `Application.cancel`."""
        ...


class SessionEnding:
    """Ends sessions. One per process."""

    def __init__(self, handler: CommandHandler, memories: Memories) -> None:
        self._handler = handler
        self._memories = memories

    async def end(self, session_id: str, task_ids: Sequence[str], cancel: Cancel, *, by: str, reason: str) -> None:
        """Cancel the session's tasks that are open, and end it: its grants and its memory are gone then.

        A session that has ended stays so, and what a crash left of its memory goes. Raises `DomainError` not_found, or
        unavailable where an action is still under way in another process: the session ends with it.
        """
        self._known(session_id)
        words = reason or "the session was ended"
        for task_id in task_ids:
            task = self._handler.load(task_id, TASK).state
            if isinstance(task, Task) and (not task.is_final or _is_under_way(task)):
                await cancel(task_id, by=by, reason=words)
        for task_id in task_ids:
            task = self._handler.load(task_id, TASK).state
            if isinstance(task, Task) and _is_under_way(task):
                said = f"an action of task `{task_id}` is under way in another process, and the session ends with it"
                raise DomainError("unavailable", said, f"see `cowork session show {session_id}` in a moment")
        if isinstance(self._handler.load(session_id, SESSION).state, OpenSession):
            await self._handler.execute(order_session(session_id, EndSession(words)), actor=by, cause="session end")
        await self._memories.settle()

    def _known(self, session_id: str) -> None:
        if isinstance(self._handler.load(session_id, SESSION).state, NoSession):
            raise DomainError("not_found", f"there is no session `{session_id}`", "see `cowork session list`")


def _is_under_way(task: Task) -> bool:
    return any(isinstance(action.phase, Started) for action in task.open_actions.values())
