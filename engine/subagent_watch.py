"""Whether there is anything to do for a subagent that came to rest: an answer, another budget, somebody resumed it."""

from ..domain.ids import child_task_id
from ..domain.task import NoTask, Task, open_questions
from .answering import Answering
from .command_handler import TASK, CommandHandler
from .ledger import Ledger
from .live_tasks import live_below, live_children
from .ports import Clock


class SubagentWatch:
    """Watches the subagents of one run, and remembers how it was when each came to rest."""

    def __init__(self, handler: CommandHandler, answering: Answering, ledger: Ledger, clock: Clock) -> None:
        self._handler = handler
        self._answering = answering
        self._ledger = ledger
        self._clock = clock
        self._rested: dict[str, int] = {}

    def note_rest(self, action_id: str) -> None:
        """Remember that the subagent of an action came to rest, and at which version of its task."""
        self._rested[action_id] = self._handler.known(child_task_id(action_id), TASK).version

    def can_go_on(self, action_id: str) -> bool:
        """Whether there is something to do for a subagent: always at first, later when something has changed."""
        state, version = (live := self._handler.known(child_task_id(action_id), TASK)).state, live.version
        if isinstance(state, NoTask) or state.is_final:
            return True
        is_first = action_id not in self._rested
        match state.status:
            case "awaiting_confirmation":
                # Another plan may have other steps to begin, and no question any more; and whoever carries the tree on
                # carries on what was paused beneath one that waits.
                has_more = self._has_more(state) if is_first else self._rested[action_id] != version
                return has_more or self._has_answers(state)
            case "paused":
                return is_first
            case "budget_exhausted" if state.exhausted is not None:
                return is_first or self._ledger.guard_of_bound(state.exhausted) is None
            case _:
                return True

    def _has_more(self, task: Task) -> bool:
        """Whether one beneath the task is paused, or has steps that were not begun; or the task itself has such."""
        tree = (task, *live_below(self._handler, task))
        return any(one.status == "paused" or any(name not in one.steps for name in one.step_ids) for one in tree)

    def _has_answers(self, task: Task) -> bool:
        """Whether a question of a task that waits, or of those beneath it, was answered, or is too late to answer."""
        pending = self._answering.pending(task)
        if len(pending) < len(open_questions(task)) or any(self._is_late(name) for name in pending):
            return True
        if not self._answering.pending_of_tree(task):
            return True
        return any(map(self._is_awake, live_children(self._handler, task)))

    def _is_awake(self, task: Task) -> bool:
        match task.status:
            case "ready" | "running":
                return True
            case "awaiting_confirmation":
                return self._has_answers(task)
            case "budget_exhausted" if task.exhausted is not None:
                return self._ledger.guard_of_bound(task.exhausted) is None
            case _:
                return False

    def _is_late(self, confirmation_id: str) -> bool:
        question = self._answering.question(confirmation_id)
        return question is None or self._clock.now() >= question.expires_at
