"""Whether there is anything to do for a subagent that came to rest: an answer, another budget, somebody resumed it."""

from ..domain.budget import Budget
from ..domain.ids import child_task_id
from ..domain.task import NoTask, Task, open_questions
from .answering import Answering
from .command_handler import TASK, CommandHandler
from .ledger import Ledger
from .ports import Clock


class SubagentWatch:
    """Watches the subagents of one run, and remembers how it was when each came to rest."""

    def __init__(self, handler: CommandHandler, answering: Answering, ledger: Ledger, clock: Clock) -> None:
        self._handler = handler
        self._answering = answering
        self._ledger = ledger
        self._clock = clock
        self._rested: dict[str, tuple[Budget, ...]] = {}

    def note_rest(self, task: Task, action_id: str) -> None:
        """Remember that the subagent of a task's action came to rest, and under which budgets."""
        self._rested[action_id] = self._ledger.budgets(task)

    def can_go_on(self, task: Task, action_id: str) -> bool:
        """Whether there is something to do for a subagent: always at first, later when something has changed."""
        state = self._handler.known(child_task_id(action_id), TASK).state
        if isinstance(state, NoTask) or state.is_final:
            return True
        match state.status:
            case "awaiting_confirmation":
                return self._has_answers(state)
            case "paused":
                return action_id not in self._rested
            case "budget_exhausted":
                return self._rested.get(action_id) != self._ledger.budgets(task)
            case _:
                return True

    def _has_answers(self, task: Task) -> bool:
        """Whether a question of the task or of those beneath it was answered, or is too late to answer."""
        pending = self._answering.pending(task)
        if len(pending) < len(open_questions(task)) or any(self._is_late(name) for name in pending):
            return True
        children = (self._handler.known(child, TASK).state for child in task.children)
        return any(
            isinstance(child, Task)
            and (child.status in ("ready", "running") or (not child.is_final and self._has_answers(child)))
            for child in children
        )

    def _is_late(self, confirmation_id: str) -> bool:
        question = self._answering.question(confirmation_id)
        return question is None or self._clock.now() >= question.expires_at
