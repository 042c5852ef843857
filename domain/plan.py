"""A plan: steps with ids, needs and one request each, as a planner proposed it.

Places in a plan are text as its author wrote it (`photos:2024/a.jpg`); the engine binds them to grants when a step's
turn comes. A request is one action, or a pattern that stands for many.
"""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Literal, TypeAlias, get_args

import msgspec

from .action import Action
from .errors import DomainError

OnAsk: TypeAlias = Literal["wait", "skip", "fail"]
ON_ASK: tuple[OnAsk, ...] = get_args(OnAsk)
BatchKind: TypeAlias = Literal["file.read", "file.rename", "file.move", "file.delete"]


class Listed(msgspec.Struct, frozen=True, gc=False, kw_only=True, tag_field="kind", tag="listed", omit_defaults=True):
    """One request for several actions, carried out in their order, each decided alone, asked about in one question.

    All of one group of kinds (files, or commands, or requests). Plans made by the engine have them: an undo does.
    """

    actions: tuple[Action, ...]


class Batch(msgspec.Struct, frozen=True, gc=False, kw_only=True, tag_field="kind", tag="batch", omit_defaults=True):
    """One request for many files: everything that `match` matches, each its own action. `to` is a folder."""

    of: BatchKind
    match: str
    to: str = ""


Request: TypeAlias = Action | Batch | Listed


class Step(msgspec.Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True, rename="camel"):
    """One step: it starts when all that it needs has succeeded, and all that it comes `after` has ended, in any way.

    `changes` says what becomes of a command's changes where some are refused: those allowed are kept one by one
    (`each`), or none is made (`together`).
    """

    step_id: str
    title: str
    description: str = ""
    needs: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    request: Request
    changes: Literal["each", "together"] = "each"


class Plan(msgspec.Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True, rename="camel"):
    """Steps in the order of the plan. `on_ask` says what to do where a step would have to ask a person.

    `answer_within_s` (seconds) is how long a question waits for its answer; without it, as long as the engine lets it.
    """

    title: str
    steps: tuple[Step, ...]
    on_ask: OnAsk = "wait"
    source_digest: str = ""
    answer_within_s: int | None = None


def check_plan(plan: Plan) -> None:
    """Raise `DomainError("invalid")` for a plan without steps, a duplicate id, a missing need or a cycle."""
    if not plan.steps:
        raise DomainError("invalid", "the plan has no steps", "add at least one [[step]]")
    needs: dict[str, tuple[str, ...]] = {}
    for step in plan.steps:
        if step.step_id in needs:
            raise DomainError("invalid", f"two steps have the id `{step.step_id}`", "give each step an id of its own")
        needs[step.step_id] = (*step.needs, *step.after)
    for step in plan.steps:
        for need in needs[step.step_id]:
            if need not in needs:
                near = get_close_matches(need, needs, n=1)
                raise DomainError(
                    "invalid",
                    f"step `{step.step_id}` needs `{need}`, which is not in the plan",
                    f"did you mean `{near[0]}`?" if near else f"the plan's steps are: {', '.join(needs)}",
                )
    cycle = find_cycle(needs)
    if cycle:
        chain = " -> ".join(f"`{step_id}`" for step_id in cycle)
        raise DomainError("invalid", f"the steps need each other in a circle: {chain}", "take one of the needs out")


def find_cycle(needs: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """Return one circle of needs, its first id repeated at the end, or an empty tuple."""
    done: set[str] = set()
    for start in needs:
        trail: list[str] = []
        open_needs = [iter((start,))]
        while open_needs:
            step_id = next(open_needs[-1], None)
            if step_id is None:
                open_needs.pop()
                if trail:
                    done.add(trail.pop())
            elif step_id in trail:
                return (*trail[trail.index(step_id) :], step_id)
            elif step_id not in done:
                trail.append(step_id)
                open_needs.append(iter(needs[step_id]))
    return ()
