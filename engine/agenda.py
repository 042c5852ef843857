"""Which steps of a plan may begin: those whose needs, and what they come after, are settled, in the order of the plan.

Kept while a task runs, so that a plan of ten thousand steps costs each of them the same as one of ten.
"""

import heapq

from ..domain.action import SubagentSpawn
from ..domain.plan import Plan, Step
from ..domain.task import Task


class Agenda:
    """The steps of one plan that were not begun yet. Another plan needs another agenda."""

    def __init__(self, plan: Plan, task: Task) -> None:
        self.plan = plan
        self.number = task.plans
        self.has_subagents = any(isinstance(step.request, SubagentSpawn) for step in plan.steps)
        self._order = {step.step_id: number for number, step in enumerate(plan.steps)}
        self._missing: dict[str, int] = {}
        self._dependents: dict[str, list[str]] = {}
        self._unsettled: set[str] = set()
        self._ready: list[int] = []
        settled = {step_id for step_id, tally in task.steps.items() if tally.is_settled}
        self._unsettled = {step.step_id for step in plan.steps if step.step_id in task.steps} - settled
        for step in plan.steps:
            if step.step_id in task.steps:
                continue
            missing = {need for need in (*step.needs, *step.after) if need not in settled}
            self._missing[step.step_id] = len(missing)
            for need in missing:
                self._dependents.setdefault(need, []).append(step.step_id)
            if not missing:
                heapq.heappush(self._ready, self._order[step.step_id])

    def step(self, step_id: str) -> Step:
        """Return a step of the plan."""
        return self.plan.steps[self._order[step_id]]

    def refresh(self, task: Task) -> None:
        """Take note of steps that have been settled meanwhile."""
        for step_id in [one for one in self._unsettled if one in task.steps and task.steps[one].is_settled]:
            self._unsettled.discard(step_id)
            for dependent in self._dependents.pop(step_id, ()):
                self._missing[dependent] -= 1
                if not self._missing[dependent]:
                    heapq.heappush(self._ready, self._order[dependent])

    def take(self) -> Step | None:
        """Return the next step that may begin, in order. One that is not begun after all is to be put back."""
        if not self._ready:
            return None
        step = self.plan.steps[heapq.heappop(self._ready)]
        self._unsettled.add(step.step_id)
        return step

    def put_back(self, step: Step) -> None:
        """Keep a step for later."""
        self._unsettled.discard(step.step_id)
        heapq.heappush(self._ready, self._order[step.step_id])

    @property
    def is_done(self) -> bool:
        """Whether every step was begun and is settled, as far as was noted."""
        return not self._unsettled and not self._ready and not self._dependents
