"""What decisions rest on that only a task's whole tree knows: who writes where, and how many actions were started.

A rule that limits how often something may be done holds for a task with all its subagents, however it is split up.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import anyio

from ..domain.action import Action
from ..domain.facts import Facts
from ..domain.ids import root_task_id
from ..domain.task import Task
from .claims import Claims
from .command_handler import TASK, CommandHandler
from .session_view import SessionView


class TreeFacts:
    """Facts about the trees of tasks that this process carries on."""

    def __init__(self, handler: CommandHandler, claims: Claims) -> None:
        self._handler = handler
        self._claims = claims
        self._locks: dict[str, anyio.Lock] = {}

    def claim(self, task: Task, action: Action, facts: Facts) -> frozenset[str]:
        """See `Claims.claim`."""
        return self._claims.claim(task, action, facts)

    def started_kinds(self, task: Task) -> dict[str, int]:
        """Return how many actions of each kind were started by the task's whole tree."""
        counts: dict[str, int] = {}
        for one in self._tree(root_task_id(task.task_id)):
            for kind, number in one.started_kinds.items():
                counts[kind] = counts.get(kind, 0) + number
        return counts

    @asynccontextmanager
    async def counted(self, task_id: str, view: SessionView) -> AsyncIterator[None]:
        """Let nobody else of the tree decide until what is decided in the block is on record, where a rule counts."""
        if not view.policy.has_limits:
            yield
            return
        async with self._locks.setdefault(root_task_id(task_id), anyio.Lock()):
            yield

    def _tree(self, task_id: str) -> Iterator[Task]:
        state = self._handler.known(task_id, TASK).state
        if isinstance(state, Task):
            yield state
            for child in state.children:
                yield from self._tree(child)
