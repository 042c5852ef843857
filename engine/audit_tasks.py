"""Tasks as the log leaves them: their plans, trees, budgets and claims, and how they end (invariants 8 and 9)."""

from collections.abc import Iterator

from ..domain.confirmation import ConfirmationRequested, digest_of_question
from ..domain.facts import Facts
from ..domain.ids import root_task_id
from ..domain.ownership import TaskClaimed
from ..domain.subagent import SubagentReported, SubagentSpawned, SubagentStopped
from ..domain.task import (
    ActionAllowed,
    ActionConfirmationRequired,
    ActionDeclined,
    ActionDenied,
    ActionFailed,
    ActionOutcomeUnknown,
    ActionProposed,
    ActionStarted,
    ActionSucceeded,
    ChangesStaged,
    ConnectionDecided,
    PathsClaimed,
    StepBegun,
    StepSkipped,
    TaskBudgetExhausted,
    TaskBudgetRaised,
    TaskCancelled,
    TaskCompleted,
    TaskEnded,
    TaskEvent,
    TaskInterrupted,
    TaskPaused,
    TaskPlanned,
    TaskProgressed,
    TaskQueued,
    TaskResumed,
    TaskStarted,
    TaskSteered,
    UsageReported,
)
from .audit_actions import Actions
from .audit_budget import Budgets
from .audit_claims import Claims
from .audit_commands import Commands
from .audit_finding import Findings, Seen
from .audit_owners import Owners
from .audit_plans import Plans
from .audit_questions import Questions
from .audit_rights import Rights
from .audit_state import GONE, ActionSeen, TaskSeen
from .audit_tree import Tree

_ABOUT_ACTIONS = (ChangesStaged, ConnectionDecided)


class Tasks:
    """All tasks: of those that are over a name, and how they stand."""

    def __init__(self, findings: Findings, rights: Rights, questions: Questions) -> None:
        self._findings = findings
        self._rights = rights
        self._questions = questions
        self._tree = Tree(findings, rights)
        self._budgets = Budgets(findings)
        self._claims = Claims(findings, rights)
        self._owners = Owners(findings)
        self._actions = Actions(findings, rights, questions, self._tree, self._budgets, self._claims)
        self._tasks: dict[str, TaskSeen] = {}

    def on_commit(self, seen: Seen) -> None:
        """Look at what the commit before this event's left unsaid, and let go of trees that are over."""
        gone = self._tree.on_commit(seen)
        if gone:
            for one in (self._budgets, self._claims, self._owners):
                one.release(gone)

    def on(self, seen: Seen, event: TaskEvent) -> None:
        """Fold an event of a task."""
        if isinstance(event, TaskQueued):
            self._queue(seen, event)
            return
        task = self._tasks.get(event.task_id)
        if task is None:
            self._findings.add(9, seen, f"an event of task `{event.task_id}`, which was never queued")
            return
        about = task.actions.get(event.action_id) if isinstance(event, _ABOUT_ACTIONS) else None
        task.commands.on(seen, event, about)
        match event:
            case (
                ActionProposed()
                | ActionAllowed()
                | ActionDenied()
                | ActionConfirmationRequired()
                | ActionDeclined()
                | ActionStarted()
                | ActionSucceeded()
                | ActionFailed()
                | ActionOutcomeUnknown()
            ):
                if not isinstance(event, ActionProposed | ActionAllowed | ActionDenied | ActionConfirmationRequired):
                    self._owners.on_act(seen, task.task_id)
                self._actions.on(seen, task, event)
                if task.stands in GONE:
                    self._let_go(task)
            case TaskEnded():
                self._end(seen, task, event)
            case _:
                self._on_life(seen, task, event)

    def _on_life(self, seen: Seen, task: TaskSeen, event: TaskEvent) -> None:
        match event:
            case TaskStarted() | TaskResumed():
                task.stands = "running"
                task.node.is_interrupted = False
            case TaskPaused():
                task.stands = "still"
            case TaskInterrupted():
                task.stands = "interrupted"
                task.node.is_interrupted = True
            case TaskPlanned():
                task.stands = "still"
                task.plans.on_planned(seen, event)
            case TaskSteered():
                task.plans.on_steered(seen, event)
            case StepBegun() | StepSkipped():
                task.plans.on_step(seen, event)
            case TaskProgressed() | UsageReported():
                self._budgets.on_told(seen, task.node, event)
            case TaskBudgetRaised():
                self._budgets.on_raised(seen, event)
            case TaskBudgetExhausted():
                task.stands = "exhausted"
                self._budgets.on_exhausted(seen, task.node, event)
            case PathsClaimed(action_id=action_id):
                self._claims.on_claimed(seen, event, task.actions.get(action_id))
            case _:
                pass

    def _queue(self, seen: Seen, event: TaskQueued) -> None:
        self._findings.count("tasks")
        if self._rights.in_force(event.session_id) is None:
            self._findings.add(9, seen, f"task `{event.task_id}` was queued in no open session")
        if event.task_id in self._tasks:
            return
        node = self._tree.on_queued(seen, event)
        self._budgets.on_queued(seen, node, event)
        commands, plans = Commands(self._findings), Plans(self._findings)
        self._tasks[event.task_id] = TaskSeen(event.task_id, event.session_id, node, commands, plans)

    # What others say of tasks

    def on_spawned(self, seen: Seen, event: SubagentSpawned) -> None:
        """Fold the beginning of a subagent."""
        parent = self._tasks.get(event.parent_task_id)
        action = None if parent is None else parent.actions.get(event.action_id)
        self._budgets.on_spawned(seen, event, self._tree.get(event.parent_task_id))
        self._tree.on_spawned(seen, event, action)

    def on_gone(self, seen: Seen, event: SubagentReported | SubagentStopped) -> None:
        """Fold the end of a subagent."""
        self._tree.on_gone(seen, event)

    def on_claimed(self, seen: Seen, event: TaskClaimed) -> None:
        """Fold that a process carries a task on."""
        self._owners.on_claimed(seen, event, is_known=event.task_id in self._tasks)

    def on_question(self, seen: Seen, event: ConfirmationRequested) -> None:
        """Check that a question is about actions of its own task, as they were found."""
        task = self._tasks.get(event.task_id)
        if task is None or task.session_id != event.session_id:
            self._findings.add(9, seen, f"a question about task `{event.task_id}`, which is not of its session")
            return
        shown: list[tuple[str, Facts]] = []
        for item in event.items:
            action = task.actions.get(item.action_id)
            if action is None:
                self._findings.add(9, seen, f"a question about action `{item.action_id}`, which is not of its task")
                return
            if action.facts is not None:
                shown.append((item.digest, action.facts))
        if digest_of_question(shown) != event.digest:
            self._findings.add(4, seen, "the question's digest is not that of its actions as they were found")

    # Over

    def _end(self, seen: Seen, task: TaskSeen, event: TaskEnded) -> None:
        waiting = [action for action in task.actions.values() if action.phase != "started"]
        if task.stands in GONE:
            self._findings.add(8, seen, f"task `{task.task_id}` ended a second time")
        elif isinstance(event, TaskCancelled):
            if waiting:
                self._findings.add(8, seen, f"task `{task.task_id}` was cancelled and left actions waiting")
        elif task.actions:
            word = "completed" if isinstance(event, TaskCompleted) else "ended"
            self._findings.add(8, seen, f"task `{task.task_id}` {word} with actions that are not settled")
        task.stands = "cancelled" if isinstance(event, TaskCancelled) else "ended"
        self._tree.on_ended(seen, task.node, event)
        self._claims.on_ended(task.task_id)
        self._let_go(task)

    def _let_go(self, task: TaskSeen) -> None:
        """Keep of a task that is over only that it was, once nothing of it is under way."""
        if task.node.is_released or task.is_under_way:
            return
        task.commands.close()
        task.commands, task.plans = Commands(self._findings), Plans(self._findings)
        task.actions, task.over = {}, {}
        self._questions.forget(task.task_id)
        self._tree.release(task.node)

    def finish(self) -> Iterator[tuple[int, str, str, int, str]]:
        """Yield what is left open: the invariant, the task, its root, the position that shows it, and a sentence."""
        for task in self._tasks.values():
            task.commands.close()
            for action_id, action in self._left_open(task):
                sentence = f"task `{task.task_id}` is over, and nobody will find out what became of `{action_id}`"
                position = 0 if action.open is None else action.open.position
                yield 8, task.task_id, root_task_id(task.task_id), position, sentence
        for task_id, position, sentence in self._tree.finish():
            yield 14, task_id, root_task_id(task_id), position, sentence
        for seen, sentence in self._owners.finish():
            self._findings.add(15, seen, sentence)

    def _left_open(self, task: TaskSeen) -> list[tuple[str, ActionSeen]]:
        if task.stands not in GONE:
            return []
        return [(action_id, action) for action_id, action in task.actions.items() if action.is_under_way]
