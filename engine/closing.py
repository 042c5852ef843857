"""What is left open by tasks that have ended: attempts that a crash cut off, and the actions that started subagents."""

from ..domain.action import SubagentSpawn
from ..domain.ids import child_task_id
from ..domain.task import NoTask, Started, existing
from .command_handler import TASK, CommandHandler
from .recovery import Recovery
from .spawning import Spawning


class Closing:
    """Closes what nobody is at any more. Only for who carries the tree on, or knows that nobody does."""

    def __init__(self, *, handler: CommandHandler, recovery: Recovery, spawning: Spawning) -> None:
        self._handler = handler
        self._recovery = recovery
        self._spawning = spawning

    async def close(self, task_id: str) -> None:
        """Find out what became of what was under way in a task that has ended, those deepest down first.

        Nothing is made again; each action that started a subagent gets how that one ended as its outcome.
        """
        for action in list(existing(self._handler.load(task_id, TASK).state).open_actions.values()):
            if isinstance(action.action, SubagentSpawn) and isinstance(action.phase, Started):
                child = child_task_id(action.action_id)
                if isinstance(self._handler.load(child, TASK).state, NoTask):
                    await self._spawning.give_up(task_id, action.action_id)
                else:
                    await self.close(child)
                    await self._spawning.settle(task_id, action.action_id)
        await self._recovery.close(existing(self._handler.load(task_id, TASK).state))
