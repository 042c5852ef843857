"""Invariant 11: what starts has room in the budget of its task and of every task above it, added up anew.

What an action will take is counted from its start on, and what it took from its end on. Time, tokens and money are told
afterwards: once their bound is reached, nothing starts that was looked at later. What commands and requests without a
body send is told afterwards as well: once that bound is reached, none of these starts.
"""

from datetime import datetime

import msgspec

from ..domain.action import Action
from ..domain.budget import (
    MEASURES,
    NO_BUDGET,
    NO_USAGE,
    TOLD_AFTERWARDS,
    UNITS,
    Budget,
    Measure,
    Usage,
    minus,
    narrowest,
    plus,
    raised,
    reservation,
    settlement,
    tells_what_it_sent,
)
from ..domain.effect import Result
from ..domain.facts import Facts
from ..domain.subagent import SubagentSpawned
from ..domain.task import TaskBudgetExhausted, TaskBudgetRaised, TaskProgressed, TaskQueued, UsageReported
from .audit_finding import Findings, Seen
from .audit_tree import Node


class _Account(msgspec.Struct):
    """A task's budget, and what it and all beneath it took or have under way; of time only its own."""

    budget: Budget
    used: Usage = NO_USAGE
    held: dict[str, Usage] = msgspec.field(default_factory=dict)
    reached: dict[Measure, datetime] = msgspec.field(default_factory=dict)


class Budgets:
    """The accounts of all tasks in trees that are not over."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._accounts: dict[str, _Account] = {}

    def release(self, task_ids: list[str]) -> None:
        """Let go of tasks whose tree is over."""
        for task_id in task_ids:
            self._accounts.pop(task_id, None)

    def _upwards(self, node: Node) -> list[tuple[str, _Account]]:
        named = ((one.task_id, self._accounts.get(one.task_id)) for one in node.upwards())
        return [(name, account) for name, account in named if account is not None]

    def _in_force(self, node: Node | None) -> Budget:
        budget = NO_BUDGET
        for _, account in () if node is None else self._upwards(node):
            budget = narrowest(budget, account.budget)
        return budget

    # Bounds

    def on_spawned(self, seen: Seen, event: SubagentSpawned, parent: Node | None) -> None:
        """Check that a subagent's budget is no wider than what those above it have."""
        if narrowest(self._in_force(parent), event.budget) != event.budget:
            sentence = f"subagent `{event.subagent_id}` may use up more than `{event.parent_task_id}` may"
            self._findings.add(5, seen, sentence)

    def on_queued(self, seen: Seen, node: Node, event: TaskQueued) -> None:
        """Open the account of a task."""
        given = node.given
        # Somebody may have raised a budget above it at that very moment: the subagent was given less then.
        bounds = NO_BUDGET if given is None else narrowest(self._in_force(node.above), event.budget)
        if given is not None and narrowest(bounds, given.budget) != given.budget:
            self._findings.add(11, seen, f"task `{event.task_id}` has another budget than its subagent was given")
        account = self._accounts[event.task_id] = _Account(event.budget)
        _note_sent(seen, account)

    def on_raised(self, seen: Seen, event: TaskBudgetRaised) -> None:
        """Fold that a task was given more room."""
        account = self._accounts.get(event.task_id)
        if account is None:
            return
        if event.budget != raised(account.budget, event.by) or any(event.by.of(one) < 0 for one in MEASURES):
            self._findings.add(11, seen, f"the budget of `{event.task_id}` is not what it was and what was added")
        account.budget = event.budget
        account.reached = {one: at for one, at in account.reached.items() if _is_reached(account, one)}

    def on_exhausted(self, seen: Seen, node: Node, event: TaskBudgetExhausted) -> None:
        """Check that the bound that stopped a task is its own, that of a task above it or of one that it waits for."""
        is_in_line = event.of_task.startswith(f"{node.task_id}-") or event.of_task in dict(self._upwards(node))
        account = self._accounts.get(event.of_task) if is_in_line else None
        bound = None if account is None else account.budget.of(event.measure)
        if bound is None or bound != event.bound or event.needed < bound:
            sentence = f"`{event.task_id}` stopped at a bound of {event.bound:,} that `{event.of_task}` does not have"
            self._findings.add(11, seen, sentence)

    # Use

    def on_start(self, seen: Seen, node: Node, action_id: str, action: Action, facts: Facts) -> None:
        """Count what an action will take, and check that there is room for it."""
        wanted = reservation(action, facts)
        own = self._accounts.get(node.task_id)
        held = NO_USAGE if own is None else own.held.get(action_id, NO_USAGE)
        for name, account in self._upwards(node):
            before = minus(account.used, held)
            for measure in MEASURES:
                bound = account.budget.of(measure)
                needed = before.of(measure) + wanted.of(measure)
                # A second attempt has the room that the first one had.
                if bound is not None and needed > bound and wanted.of(measure) > held.of(measure):
                    over = f"{needed:,} {UNITS[measure]}, and `{name}` has {bound:,}"
                    self._findings.add(11, seen, f"with `{action_id}`, which started, it is {over}")
                at = account.reached.get(measure)
                is_about = measure in TOLD_AFTERWARDS or tells_what_it_sent(action)
                if at is not None and facts.now > at and is_about:
                    all_gone = f"all {bound or 0:,} {UNITS[measure]} of `{name}` were used up"
                    self._findings.add(11, seen, f"`{action_id}` started when {all_gone}")
            account.used = plus(before, wanted)
            _note_sent(seen, account)
        if own is not None:
            own.held[action_id] = wanted

    def on_settled(self, seen: Seen, node: Node, action_id: str, result: Result | None, *, succeeded: bool) -> None:
        """Count what an action took instead of what it would."""
        own = self._accounts.get(node.task_id)
        held = None if own is None else own.held.pop(action_id, None)
        if held is None:
            return
        took = settlement(held, result, succeeded=succeeded)
        for _, account in self._upwards(node):
            account.used = plus(minus(account.used, held), took)
            _note_sent(seen, account)

    def on_given_up(self, node: Node, action_id: str) -> None:
        """Count as taken what an attempt held of which nobody knows whether it happened."""
        own = self._accounts.get(node.task_id)
        if own is not None:
            own.held.pop(action_id, None)

    def on_told(self, seen: Seen, node: Node, event: TaskProgressed | UsageReported) -> None:
        """Count what is told afterwards: a task's own time, and what a planner used up for it."""
        if isinstance(event, TaskProgressed):
            told, whose = Usage(wall_ms=event.running_ms), self._upwards(node)[:1]
        else:
            told, whose = Usage(tokens=event.tokens, cost_micros=event.cost_micros), self._upwards(node)
        if any(told.of(measure) < 0 for measure in MEASURES):
            self._findings.add(11, seen, f"`{node.task_id}` says that it used less than nothing")
        for _, account in whose:
            account.used = plus(account.used, told)
            for measure in TOLD_AFTERWARDS:
                if _is_reached(account, measure):
                    account.reached.setdefault(measure, seen.origin.at)


def _note_sent(seen: Seen, account: _Account) -> None:
    """Note since when nothing is left to send; what was reserved and then not sent makes room again."""
    if not _is_reached(account, "bytes_sent"):
        account.reached.pop("bytes_sent", None)
    else:
        account.reached.setdefault("bytes_sent", seen.origin.at)


def _is_reached(account: _Account, measure: Measure) -> bool:
    bound = account.budget.of(measure)
    return bound is not None and account.used.of(measure) >= bound
