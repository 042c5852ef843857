"""Whether trees of tasks kept to what was said: who may start what, and when; who has how much; who writes where.

Everything is made again from the events and from the plans' own words: nothing of the engine's own arithmetic is used,
but the shapes of events.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime

import msgspec

from cowork.domain.action import Action, FileCreate, FileWrite, NetworkRequest, SubagentSpawn, hosts_of
from cowork.domain.budget import Budget
from cowork.domain.confirmation import ConfirmationApproved
from cowork.domain.event import Event, Recorded
from cowork.domain.ids import child_task_id, root_task_id
from cowork.domain.ownership import TaskClaimed
from cowork.domain.subagent import SubagentReported, SubagentSpawned, SubagentStopped
from cowork.domain.task import (
    ActionConfirmationRequired,
    ActionDeclined,
    ActionFailed,
    ActionOutcomeUnknown,
    ActionProposed,
    ActionStarted,
    ActionSucceeded,
    StepBegun,
    StepSkipped,
    TaskAwaitingConfirmation,
    TaskBudgetExhausted,
    TaskBudgetRaised,
    TaskCancelled,
    TaskEnded,
    TaskInterrupted,
    TaskPaused,
    TaskPlanned,
    TaskQueued,
    TaskResumed,
    TaskStarted,
    TaskSteered,
)
from tests.simulation.truth import Attempt, Truth, meet


class TaskOfTree(msgspec.Struct):
    """What is known of one task: how it stands, what it may use up, and what it wrote to."""

    task_id: str
    above: str
    budget: Budget
    stands: str = "queued"
    steps: set[str] = msgspec.field(default_factory=set)
    begun: set[str] = msgspec.field(default_factory=set)


class TreeAccount:
    """Folds the log as it grows. `run` returns what is not as it must be, since the last time."""

    def __init__(self, truth: Truth, written_by: dict[int, int]) -> None:
        self._truth = truth
        self._written_by = written_by
        self._folded = 0
        self._counted = 0
        self._tasks: dict[str, TaskOfTree] = {}
        self._actions: dict[str, Action] = {}
        self._ends: set[str] = set()
        self._said: list[str] = []
        self._owner: dict[str, int] = {}
        self._claimed_at: dict[str, int] = {}
        self._stopped_at: dict[str, int] = {}
        self._spawned: set[str] = set()
        self._gone: set[str] = set()
        self._asked: dict[str, str] = {}
        self._shown: dict[str, frozenset[str]] = {}
        self._approved: set[str] = set()
        self._starts: dict[int, ActionStarted] = {}
        self._ended_at: dict[str, int] = {}
        self._sent: list[tuple[str, datetime, int]] = []
        self._outcomes: dict[str, list[tuple[int, int]]] = {}

    def run(self, log: Sequence[Recorded[Event]], *, at_rest: bool) -> list[str]:
        """Fold what is new, and look at what the processes did meanwhile."""
        self._said = []
        new = log[self._folded :]
        for number, one in enumerate(new):
            self._fold(one)
            is_last = number + 1 == len(new) or new[number + 1].origin.command_id != one.origin.command_id
            if is_last and isinstance(one.event, TaskEnded):
                self._said += self._orphans(one.event.task_id)
        self._folded = len(log)
        self._said += self._attempts_astray()
        self._said += self._overspent()
        if at_rest:
            self._said += [
                f"subagent of {name} was never said to be over" for name in sorted(self._spawned - self._gone)
            ]
        return self._said

    # The log

    def _fold(self, one: Recorded[Event]) -> None:
        event = one.event
        match event:
            case TaskQueued():
                self._queue(event)
            case TaskClaimed(task_id=task_id):
                self._owner[task_id] = self._written_by.get(one.position, 0)
                self._claimed_at[task_id] = one.position
            case SubagentSpawned(task_id=task_id):
                if task_id in self._spawned:
                    self._said.append(f"the subagent of {task_id} was begun twice")
                self._spawned.add(task_id)
            case SubagentReported(subagent_id=name) | SubagentStopped(subagent_id=name):
                self._gone.add(f"task-{name.partition('-')[2]}")
            case ActionConfirmationRequired(action_id=name, confirmation_id=asked, facts=facts):
                self._asked[name] = asked
                self._shown[name] = frozenset(facts.claimed_by.split(", "))
            case ConfirmationApproved(confirmation_id=name):
                self._approved.add(name)
            case _:
                pass
        self._fold_task(one)
        self._check_owner(one)

    def _queue(self, event: TaskQueued) -> None:
        if event.task_id in self._tasks:
            self._said.append(f"task {event.task_id} was queued twice")
        self._tasks[event.task_id] = TaskOfTree(event.task_id, event.parent_task_id, event.budget)
        for above in self._above(event.task_id):
            if above.stands in ("ended", "cancelled", "paused", "interrupted"):
                self._said.append(f"{event.task_id} began beneath {above.task_id}, which is {above.stands}")

    def _fold_task(self, one: Recorded[Event]) -> None:
        event = one.event
        match event:
            case TaskStarted(task_id=task_id) | TaskResumed(task_id=task_id):
                # To resume it is to carry on the tree that it is of; who stopped it after that meant it.
                if self._stopped_at.get(task_id, 0) > self._claimed_at.get(root_task_id(task_id), 0):
                    self._said.append(f"{task_id} was resumed, and nobody wanted that since it was stopped")
                self._stand(task_id, "running")
            case TaskPaused(task_id=task_id, reason=reason):
                # What a run pauses itself, its subagents finish what they are at.
                by_person = one.origin.actor.startswith("person:")
                self._stand(task_id, "paused" if by_person else "resting")
                if by_person:
                    self._stopped_at[task_id] = one.position
                if "defect" in reason:
                    self._said.append(f"{task_id} could not go on, and nobody was asked")
            case TaskInterrupted(task_id=task_id):
                self._stand(task_id, "interrupted")
                self._stopped_at[task_id] = one.position
            case TaskAwaitingConfirmation(task_id=task_id):
                self._stand(task_id, "waiting")
            case TaskBudgetExhausted(task_id=task_id):
                self._stand(task_id, "exhausted")
            case TaskCancelled(task_id=task_id):
                self._stand(task_id, "cancelled")
                self._ended_at[task_id] = one.position
            case TaskEnded(task_id=task_id):
                self._stand(task_id, "ended")
                self._ended_at[task_id] = one.position
            case TaskBudgetRaised(task_id=task_id, budget=budget):
                self._tasks[task_id].budget = budget
            case TaskPlanned(task_id=task_id, plan=plan):
                self._tasks[task_id].steps = {step.step_id for step in plan.steps}
            case TaskSteered(task_id=task_id, plan=plan):
                self._steer(self._tasks[task_id], {step.step_id for step in plan.steps})
            case StepBegun(task_id=task_id, step_id=step_id) | StepSkipped(task_id=task_id, step_id=step_id):
                self._tasks[task_id].begun.add(step_id)
            case ActionProposed(action_id=name, action=action):
                self._actions[name] = action
            case ActionStarted():
                self._start(one.position, event)
            case ActionSucceeded() | ActionFailed() | ActionOutcomeUnknown():
                self._outcomes.setdefault(event.action_id, []).append((event.attempt, one.position))
                if not isinstance(event, ActionOutcomeUnknown) and event.result is not None and event.result.command:
                    self._sent.append((event.task_id, one.origin.at, event.result.command.bytes_sent))
                self._end(event)
            case ActionDeclined(action_id=name):
                self._ends.add(name)
            case _:
                pass

    def _stand(self, task_id: str, how: str) -> None:
        task = self._tasks[task_id]
        if task.stands in ("ended", "cancelled"):
            self._said.append(f"{task_id} is {task.stands}, and then {how}")
        task.stands = how

    def _steer(self, task: TaskOfTree, steps: set[str]) -> None:
        if lost := sorted(task.begun - steps):
            self._said.append(f"{task.task_id} was steered, and lost {', '.join(lost)}, which it had begun")
        task.steps = steps

    def _start(self, position: int, event: ActionStarted) -> None:
        self._starts[position] = event
        task = self._tasks[event.task_id]
        if task.stands != "running":
            self._said.append(f"{event.action_id} started, and its task was {task.stands}")
        for above in self._above(event.task_id):
            if above.stands in ("ended", "cancelled", "paused", "interrupted"):
                self._said.append(f"{event.action_id} started, and {above.task_id} above it was {above.stands}")
        action = self._actions[event.action_id]
        if event.facts is not None and (isinstance(action, NetworkRequest) or hosts_of(action)):
            self._check_sent(event, event.facts.now)

    def _check_sent(self, event: ActionStarted, looked_at: datetime) -> None:
        """What commands had sent when this action was looked at: with nothing left, it may not begin to send."""
        for one in (self._tasks[event.task_id], *self._above(event.task_id)):
            its = (entry for entry in self._sent if f"{entry[0]}-".startswith(f"{one.task_id}-"))
            sent = sum(size for _, at, size in its if at < looked_at)
            if one.budget.bytes_sent is not None and sent >= one.budget.bytes_sent:
                self._said.append(f"{event.action_id} started, and {one.task_id} had no bytes left to send")

    def _end(self, event: ActionSucceeded | ActionFailed | ActionOutcomeUnknown) -> None:
        if event.action_id in self._ends:
            self._said.append(f"{event.action_id} ended twice")
        if not isinstance(event, ActionOutcomeUnknown):
            self._ends.add(event.action_id)
        child = self._tasks.get(child_task_id(event.action_id))
        is_spawn = isinstance(self._actions[event.action_id], SubagentSpawn)
        if is_spawn and child is not None and child.stands not in ("ended", "cancelled"):
            self._said.append(f"{event.action_id} has an outcome, and its subagent is {child.stands}")

    def _orphans(self, task_id: str) -> Iterator[str]:
        for other in self._tasks.values():
            is_beneath = other.task_id.startswith(f"{task_id}-")
            if is_beneath and other.stands not in ("ended", "cancelled"):
                yield f"{task_id} is {self._tasks[task_id].stands}, and {other.task_id} beneath it is {other.stands}"

    def _check_owner(self, one: Recorded[Event]) -> None:
        """A process that is not the last one that claimed a task records nothing of it."""
        writer = self._written_by.get(one.position, 0)
        if not writer or not one.stream.startswith("task-") or one.origin.actor.startswith("person:"):
            return
        owner = self._owner.get(root_task_id(one.stream), writer)
        if owner != writer:
            self._said.append(
                f"process {writer} recorded {type(one.event).__name__} of {one.stream}, which process {owner} has"
            )

    def _above(self, task_id: str) -> Iterator[TaskOfTree]:
        task = self._tasks.get(self._tasks[task_id].above)
        while task is not None:
            yield task
            task = self._tasks.get(task.above)

    # What was really done

    def _attempts_astray(self) -> Iterator[str]:
        """What executors were at since the last look: each with its start on record, and where nobody else was."""
        for number in range(self._counted, len(self._truth.attempts)):
            attempt = self._truth.attempts[number]
            start = self._starts.get(attempt.position)
            if start is None or (start.action_id, start.attempt) != (attempt.action_id, attempt.number):
                yield f"{attempt.action_id} was carried out, and its start is not on record"
            if attempt.writes:
                yield from self._collisions(number, attempt)
        self._counted = len(self._truth.attempts)

    def _collisions(self, number: int, attempt: Attempt) -> Iterator[str]:
        """Another task of the tree that was at the same place before, and had not ended when this attempt started."""
        name = attempt.action_id
        shown = self._shown.get(name, frozenset()) if self._asked.get(name) in self._approved else frozenset[str]()
        for other in self._truth.attempts[:number]:
            if root_task_id(other.task_id) != root_task_id(attempt.task_id) or other.task_id == attempt.task_id:
                continue
            if attempt.task_id.startswith(f"{other.task_id}-") and self._was_over(other, attempt.position):
                continue
            is_live = self._ended_at.get(other.task_id, attempt.position) >= attempt.position
            if is_live and other.task_id not in shown and meet(other.writes, attempt.writes):
                yield f"{attempt.action_id} was at the same place as {other.action_id}, and nobody was asked"

    def _was_over(self, attempt: Attempt, position: int) -> bool:
        # Of an attempt that a crash cut off, the outcome is that of the next one.
        outcomes = self._outcomes.get(attempt.action_id, ())
        return any(number >= attempt.number and at < position for number, at in outcomes)

    def _overspent(self) -> Iterator[str]:
        """What was done beneath each task against the widest budget it has had: budgets only ever grow."""
        taken: defaultdict[str, Counter[str]] = defaultdict(Counter)
        for event in self._starts.values():
            if event.attempt == 1:
                self._take(taken, event.task_id, "actions", 1)
        for name in {one.action_id for one in self._truth.attempts}:
            action = self._actions[name]
            if isinstance(action, NetworkRequest) and action.body is not None:
                self._take(taken, name.rpartition(".")[0], "bytesSent", action.body.size)
        for name, attempt in {one.action_id: one for one in self._truth.effects}.items():
            action = self._actions[name]
            if isinstance(action, FileWrite | FileCreate):
                self._take(taken, attempt.task_id, "bytesWritten", action.content.size)
            deleted = sum(effect.change == "delete" for effect in attempt.effects or ())
            self._take(taken, attempt.task_id, "filesDeleted", deleted)
        for task_id, amounts in taken.items():
            bounds: dict[str, int] = msgspec.to_builtins(self._tasks[task_id].budget)
            for measure in bounds.keys() & amounts.keys():
                if amounts[measure] > bounds[measure]:
                    yield f"{task_id} may take {bounds[measure]} {measure}, and took {amounts[measure]}"

    def _take(self, taken: defaultdict[str, Counter[str]], task_id: str, measure: str, amount: int) -> None:
        taken[task_id][measure] += amount
        for above in self._above(task_id):
            taken[above.task_id][measure] += amount
