"""Invariant 13: a task follows its plan. What was begun stays as it was, what was dropped never starts."""

import hashlib

import msgspec

from ..domain.errors import DomainError
from ..domain.plan import Plan, Step, check_plan
from ..domain.task import ActionProposed, StepBegun, StepSkipped, TaskPlanned, TaskSteered
from .audit_finding import Findings, Seen

_ENCODER = msgspec.json.Encoder(order="sorted")


class Plans:
    """The plan of one task, as digests of its steps, and which of them were begun."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._steps: dict[str, bytes] = {}
        self._begun: set[str] = set()
        self._dropped: set[str] = set()
        self._unstarted: dict[str, str] = {}

    def on_planned(self, seen: Seen, event: TaskPlanned) -> None:
        """Fold the first plan."""
        self._check(seen, event.plan)
        if self._steps:
            self._findings.add(13, seen, f"task `{event.task_id}` was planned a second time")
        self._steps = _digests(event.plan)

    def on_steered(self, seen: Seen, event: TaskSteered) -> None:
        """Fold another plan: every step that was begun is in it as it was, but for what it had to wait for."""
        self._check(seen, event.plan)
        steps = _digests(event.plan)
        for step_id in sorted(self._begun):
            if steps.get(step_id) != self._steps.get(step_id):
                self._findings.add(13, seen, f"step `{step_id}` was begun, and the new plan has it otherwise")
        added, gone = [name for name in steps if name not in self._steps], self._steps.keys() - steps.keys()
        if list(event.added) != added:
            self._findings.add(13, seen, "the steps that are new in the plan are not those that it says")
        if not gone <= set(event.dropped) or (set(event.dropped) - gone) - self._begun:
            self._findings.add(13, seen, "the steps that are no longer in the plan are not those that it says")
        self._steps = steps
        self._dropped = (self._dropped | set(event.dropped)) - set(added)

    def _check(self, seen: Seen, plan: Plan) -> None:
        try:
            check_plan(plan)
        except DomainError as error:
            self._findings.add(13, seen, f"the plan is none that can be followed: {error.message}")

    def on_step(self, seen: Seen, event: StepBegun | StepSkipped) -> None:
        """Fold that a step was begun, or left out: once, and only one of the plan."""
        step_id = event.step_id
        if step_id not in self._steps:
            was = "was dropped from" if step_id in self._dropped else "is not in"
            self._findings.add(13, seen, f"step `{step_id}` was begun, and {was} the plan")
        if step_id in self._begun:
            self._findings.add(13, seen, f"step `{step_id}` was begun a second time")
        self._begun.add(step_id)

    def on_proposed(self, seen: Seen, event: ActionProposed) -> None:
        """Fold an action of a step."""
        if event.step_id not in self._begun:
            self._findings.add(13, seen, f"`{event.action_id}` is of step `{event.step_id}`, which was not begun")
        if not event.staged_by:
            self._unstarted[event.action_id] = event.step_id

    def on_start(self, seen: Seen, action_id: str) -> None:
        """Check that a plan's own action that starts for the first time is of a step that was not dropped."""
        step_id = self._unstarted.pop(action_id, "")
        if step_id in self._dropped:
            self._findings.add(13, seen, f"`{action_id}` started, and its step `{step_id}` was dropped")

    def on_closed(self, action_id: str) -> None:
        """Let go of an action that will not be carried out."""
        self._unstarted.pop(action_id, None)


def _digests(plan: Plan) -> dict[str, bytes]:
    return {step.step_id: _digest(step) for step in plan.steps}


def _digest(step: Step) -> bytes:
    # What a step that was begun had to wait for is history, and a new plan may leave out what it was.
    return hashlib.sha256(_ENCODER.encode(msgspec.structs.replace(step, needs=(), after=()))).digest()
