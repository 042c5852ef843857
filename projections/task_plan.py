"""A plan as programs outside see it: the JSON object `TaskPlan`."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

import msgspec

from ..domain.action import Action, ActionKind, kind_of
from ..domain.facts import Facts
from ..domain.plan import Batch, Listed, OnAsk, Plan, Request
from ..domain.risk import RISK_TAGS, RiskTag, derive_risk_tags
from .row import Row, number_of, text_of

ASKED_AS_A_RULE: Final = frozenset(["file.rename", "file.move"])
"""Kinds that carry no risk tag and yet need a person under the rules in force by default."""


class PlanStep(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A step. `requires_confirmation` is an estimate until the step begins, and what happened from then on.

    `actions` are its requests as planned, as JSON objects: one action, or one pattern that stands for many.
    """

    step_id: str
    title: str
    description: str
    requires_confirmation: bool
    actions: tuple[object, ...]


class PlanDependency(msgspec.Struct, frozen=True, rename="camel"):
    """A step with the steps that it needs, and those that have to have ended before it, in whatever way."""

    step_id: str
    depends_on: tuple[str, ...]
    after: tuple[str, ...] = ()


class TaskPlan(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The JSON object `TaskPlan`. `risk_tags` and `estimated_actions` (kinds) are those of all steps, each once.

    `on_ask` says what becomes of a step that would have to ask; a question waits `answer_within_s` seconds, or as long
    as the engine lets it.
    """

    plan_id: str
    steps: tuple[PlanStep, ...]
    dependencies: tuple[PlanDependency, ...]
    risk_tags: tuple[str, ...]
    estimated_actions: tuple[str, ...]
    on_ask: OnAsk = "wait"
    answer_within_s: int | None = None


def plan_shape(task_id: str, plan: Plan, now: datetime) -> TaskPlan:
    """Return the plan as it was adopted, with estimates where nothing has been looked at yet."""
    tags = [_expected_tags(step.request, now) for step in plan.steps]
    kinds = [_kinds(step.request) for step in plan.steps]
    return TaskPlan(
        plan_id=f"plan-{task_id.removeprefix('task-')}",
        steps=tuple(
            PlanStep(
                step_id=step.step_id,
                title=step.title,
                description=step.description,
                requires_confirmation=not ASKED_AS_A_RULE.isdisjoint(of_kinds)
                or any(tag != "batch" for tag in of_step),
                actions=tuple(msgspec.to_builtins(one) for one in _requests(step.request)),
            )
            for step, of_step, of_kinds in zip(plan.steps, tags, kinds, strict=True)
        ),
        dependencies=tuple(
            PlanDependency(step.step_id, step.needs, step.after) for step in plan.steps if step.needs or step.after
        ),
        risk_tags=tuple(tag for tag in RISK_TAGS if any(tag in of_step for of_step in tags)),
        estimated_actions=tuple(dict.fromkeys(kind for of_kinds in kinds for kind in of_kinds)),
        on_ask=plan.on_ask,
        answer_within_s=plan.answer_within_s,
    )


def _is_likely_to_ask(kinds: Sequence[ActionKind], tags: Sequence[RiskTag]) -> bool:
    return not ASKED_AS_A_RULE.isdisjoint(kinds) or any(tag != "batch" for tag in tags)


def with_what_happened(plan: TaskPlan, steps: Sequence[Row]) -> TaskPlan:
    """Return the plan with what the rows of `task_steps` know about steps that were begun or asked about."""
    known: Mapping[str, Row] = {text_of(row, "step_id"): row for row in steps}
    return msgspec.structs.replace(
        plan, steps=tuple(_with_answer(step, known.get(step.step_id)) for step in plan.steps)
    )


def _with_answer(step: PlanStep, row: Row | None) -> PlanStep:
    if row is None or row["begun"] is None:
        return step
    return msgspec.structs.replace(step, requires_confirmation=number_of(row, "asked") > 0)


def _requests(request: Request) -> tuple[Action | Batch, ...]:
    return request.actions if isinstance(request, Listed) else (request,)


def _kinds(request: Request) -> tuple[ActionKind, ...]:
    kinds: list[ActionKind] = [one.of if isinstance(one, Batch) else kind_of(one) for one in _requests(request)]
    return tuple(dict.fromkeys(kinds))


def _expected_tags(request: Request, now: datetime) -> tuple[RiskTag, ...]:
    if isinstance(request, Batch):
        return ("delete", "batch") if request.of == "file.delete" else ("batch",)
    if isinstance(request, Listed):
        facts = Facts(now=now, batch=len(request.actions))
        tags = {tag for action in request.actions for tag in derive_risk_tags(action, facts)}
        return tuple(tag for tag in RISK_TAGS if tag in tags)
    return derive_risk_tags(request, Facts(now=now))
