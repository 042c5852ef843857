"""Ways of breaking invariants 2, 4, 11, 12, 13 and 15: words nobody gave, budgets, claims, plans, and owners."""

from datetime import timedelta
from typing import Any

import msgspec

from cowork.domain.action import Location
from cowork.domain.budget import Budget, Usage
from cowork.domain.confirmation import ConfirmationApproved, Finding
from cowork.domain.grant import FolderGranted
from cowork.domain.ownership import TaskClaimed
from cowork.domain.plan import Plan
from cowork.domain.policy import CLAIMED
from cowork.domain.task import (
    ActionAllowed,
    ActionConfirmationRequired,
    ActionDeclined,
    ActionFailed,
    ActionOutcomeUnknown,
    ActionStarted,
    ActionSucceeded,
    PathsClaimed,
    StepBegun,
    TaskBudgetExhausted,
    TaskBudgetRaised,
    TaskInterrupted,
    TaskPlanned,
    TaskProgressed,
    TaskQueued,
    TaskResumed,
    TaskStarted,
    TaskSteered,
    UsageReported,
)
from tests.engine.breaches_of_trees import of_task, parent_of, spawned, task_of
from tests.engine.planted import History, added, again, at_time, changed, place, without
from tests.engine.planted_trees import Breach, planted_in_tree

HOUR = timedelta(hours=1)

# 2 and 4: a person's word


def _answer(h: History, finding: Finding) -> int:
    return place(h, ConfirmationApproved, lambda event: event.finding == finding)


def _word(h: History, kind: Any) -> int:
    return place(h, kind, lambda event: bool(event.said_by))


@planted_in_tree(2)
def a_word_about_what_is_under_way(h: History) -> Breach:
    index = of_task(h, ActionStarted, task_of(h, "inner"))
    start: Any = h[index].event
    said = ActionFailed(
        task_id=start.task_id,
        action_id=start.action_id,
        digest=start.digest,
        attempt=1,
        reason_code="unknown",
        reason="no",
        said_by="person:ann",
    )
    return added(h, index, start.task_id, said), index + 1


@planted_in_tree(4)
def a_word_of_somebody_else(h: History) -> Breach:
    index = _word(h, ActionSucceeded)
    return changed(h, index, said_by="person:eve"), index


@planted_in_tree(4)
def a_word_that_says_the_opposite(h: History) -> Breach:
    return changed(h, _answer(h, "happened"), finding="not_happened"), _word(h, ActionSucceeded)


@planted_in_tree(4)
def a_word_that_was_not_given_to_fail(h: History) -> Breach:
    return changed(h, _answer(h, "not_happened"), finding="try_again"), _word(h, ActionFailed)


@planted_in_tree(4)
def a_word_before_the_answer(h: History) -> Breach:
    index = _answer(h, "happened")
    return without(h, index), _word(h, ActionSucceeded) - 1


@planted_in_tree(4)
def tried_again_though_it_happened(h: History) -> Breach:
    start = place(h, ActionStarted, lambda event: event.attempt == 2)
    return changed(h, _answer(h, "try_again"), finding="happened"), start


@planted_in_tree(4)
def a_plain_yes_about_an_unknown_outcome(h: History) -> Breach:
    index = _answer(h, "happened")
    return changed(h, index, finding=""), index


@planted_in_tree(4)
def a_finding_about_something_known(h: History) -> Breach:
    index = place(h, ConfirmationApproved)
    return changed(h, index, finding="happened"), index


# 11: budgets


def _budget_of_spender(h: History, budget: Budget) -> History:
    less = changed(h, of_task(h, TaskQueued, parent_of(h, "spender")), budget=budget)
    return changed(less, spawned(h, "spender"), budget=budget)


@planted_in_tree(11)
def a_subagent_that_outspends_its_parent(h: History) -> Breach:
    less = _budget_of_spender(h, Budget(bytes_written=4))
    return less, of_task(h, ActionStarted, task_of(h, "spender"))


@planted_in_tree(11)
def more_actions_than_the_task_has(h: History) -> Breach:
    less = _budget_of_spender(h, Budget(bytes_written=10, actions=2))
    return less, of_task(h, ActionStarted, task_of(h, "spender"), nth=1)


@planted_in_tree(11)
def gone_on_without_more_room(h: History) -> Breach:
    raised = place(h, TaskBudgetRaised)
    return without(h, raised), place(h, ActionStarted, _is_after(h, raised, task_of(h, "spender"))) - 1


def _is_after(h: History, index: int, task_id: str) -> Any:
    later = {id(one.event) for one in h[index:]}
    return lambda event: event.task_id == task_id and id(event) in later


@planted_in_tree(11)
def gone_on_without_being_resumed(h: History) -> Breach:
    child = task_of(h, "spender")
    resumed = of_task(h, TaskResumed, child)
    return without(h, resumed), place(h, ActionStarted, _is_after(h, resumed, child)) - 1


@planted_in_tree(11)
def raised_by_more_than_was_said(h: History) -> Breach:
    index = place(h, TaskBudgetRaised)
    return changed(h, index, budget=Budget(bytes_written=1000)), index


@planted_in_tree(11)
def raised_by_less_than_nothing(h: History) -> Breach:
    index = place(h, TaskBudgetRaised)
    return changed(h, index, by=Usage(bytes_written=-5), budget=Budget(bytes_written=5)), index


@planted_in_tree(11)
def stopped_at_a_bound_that_nobody_set(h: History) -> Breach:
    index = place(h, TaskBudgetExhausted)
    return changed(h, index, bound=7), index


@planted_in_tree(11)
def a_task_with_another_budget_than_its_subagent(h: History) -> Breach:
    index = of_task(h, TaskQueued, task_of(h, "outer"))
    return changed(h, index, budget=Budget(bytes_written=5)), index


def _told_early(h: History, budget: Budget, told: Any) -> Breach:
    """Return the history of the steered task in which a bound was reached an hour before its first start."""
    task_id = h[place(h, TaskSteered)].stream
    bound = changed(h, of_task(h, TaskQueued, task_id), budget=budget)
    index = of_task(h, TaskStarted, task_id)
    history = at_time(added(bound, index, task_id, told(task_id)), index + 1, -HOUR)
    return history, of_task(history, ActionStarted, task_id)


@planted_in_tree(11)
def started_when_all_tokens_were_used_up(h: History) -> Breach:
    return _told_early(h, Budget(tokens=5), lambda name: UsageReported(task_id=name, tokens=5, reported_by="p"))


@planted_in_tree(11)
def started_when_all_money_was_used_up(h: History) -> Breach:
    return _told_early(h, Budget(cost_micros=5), lambda n: UsageReported(task_id=n, cost_micros=9, reported_by="p"))


@planted_in_tree(11)
def started_when_all_time_was_used_up(h: History) -> Breach:
    def told(name: str) -> TaskProgressed:
        return TaskProgressed(task_id=name, running_ms=7, actions=0, settled=0, steps_settled=0, steps=3)

    return _told_early(h, Budget(wall_ms=7), told)


@planted_in_tree(11)
def used_less_than_nothing(h: History) -> Breach:
    index = place(h, TaskStarted)
    task_id = h[index].stream
    return added(h, index, task_id, UsageReported(task_id=task_id, tokens=-5, reported_by="p")), index + 1


# 12: claims


@planted_in_tree(12)
def written_without_a_claim(h: History) -> Breach:
    index = place(h, PathsClaimed)
    claim: Any = h[index].event
    start = place(h, ActionStarted, lambda event: event.action_id == claim.action_id)
    return without(h, index), start - 1


@planted_in_tree(12)
def a_claim_of_something_else(h: History) -> Breach:
    index = place(h, PathsClaimed)
    grant = h[place(h, FolderGranted)].stream
    return changed(h, index, places=(Location(grant, "elsewhere"),)), index


@planted_in_tree(12)
def a_claim_of_nothing(h: History) -> Breach:
    index = place(h, PathsClaimed)
    return changed(h, index, places=()), index


@planted_in_tree(12)
def two_writers_and_nobody_was_asked(h: History) -> Breach:
    index = place(h, ActionConfirmationRequired, lambda event: event.decision.rule_id == CLAIMED)
    asked: Any = h[index].event
    first = next(
        one.event for one in h if isinstance(one.event, ActionAllowed) and one.event.decision.rule_id == "rest"
    )
    leave = msgspec.structs.replace(first.decision, risk_tags=asked.decision.risk_tags)
    allowed = ActionAllowed(
        task_id=asked.task_id,
        action_id=asked.action_id,
        digest=asked.digest,
        decision=leave,
        facts=msgspec.structs.replace(asked.facts, claimed_by=""),
        scope_digest=asked.scope_digest,
    )
    start = place(h, ActionStarted, lambda event: event.action_id == asked.action_id)
    return [*h[:index], msgspec.structs.replace(h[index], event=allowed), *h[index + 1 :]], start


@planted_in_tree(12)
def a_writer_of_whom_the_answer_says_nothing(h: History) -> Breach:
    index = place(h, ActionConfirmationRequired, lambda event: event.decision.rule_id == CLAIMED)
    asked: Any = h[index].event
    start = place(h, ActionStarted, lambda event: event.action_id == asked.action_id)
    return changed(h, index, facts=msgspec.structs.replace(asked.facts, claimed_by="task-other")), start


# 13: plans and interrupts


def _steered(h: History, **fields: Any) -> Breach:
    index = place(h, TaskSteered)
    return changed(h, index, **fields), index


def _plan(h: History) -> Plan:
    plan: Plan = h[place(h, TaskSteered)].event.plan  # type: ignore[attr-defined]
    return plan


@planted_in_tree(13)
def a_step_that_was_begun_is_another_one(h: History) -> Breach:
    plan = _plan(h)
    other = tuple(msgspec.structs.replace(one, title="other") if one.step_id == "s1" else one for one in plan.steps)
    return _steered(h, plan=msgspec.structs.replace(plan, steps=other))


@planted_in_tree(13)
def a_step_that_was_begun_is_left_out(h: History) -> Breach:
    plan = _plan(h)
    steps = tuple(one for one in plan.steps if one.step_id != "s1")
    return _steered(h, plan=msgspec.structs.replace(plan, steps=steps), dropped=("s1", "s2"))


@planted_in_tree(13)
def a_plan_that_does_not_say_what_is_new(h: History) -> Breach:
    return _steered(h, added=())


@planted_in_tree(13)
def a_plan_that_can_not_be_followed(h: History) -> Breach:
    plan = _plan(h)
    steps = tuple(msgspec.structs.replace(one, needs=("nothing",)) for one in plan.steps)
    return _steered(h, plan=msgspec.structs.replace(plan, steps=steps))


@planted_in_tree(13)
def started_though_its_step_was_dropped(h: History) -> Breach:
    index = place(h, ActionDeclined, lambda event: event.task_id == h[place(h, TaskSteered)].stream)
    no: Any = h[index].event
    start = ActionStarted(
        task_id=no.task_id, action_id=no.action_id, digest=no.digest, attempt=1, confirmation_id=no.confirmation_id
    )
    history = without(h, index)
    resumed = place(history, TaskResumed, _is_after(history, place(history, TaskSteered), no.task_id))
    return added(history, resumed, no.task_id, start), resumed + 1


@planted_in_tree(13)
def begun_though_it_is_in_no_plan(h: History) -> Breach:
    index = place(h, StepBegun, lambda event: event.step_id == "new")
    return changed(h, index, step_id="other"), index


@planted_in_tree(13)
def begun_twice(h: History) -> Breach:
    index = place(h, StepBegun)
    return again(h, index), index + 1


@planted_in_tree(13)
def planned_twice(h: History) -> Breach:
    index = place(h, TaskPlanned)
    return again(h, index), index + 1


def _never_resumed(h: History, task_id: str) -> Breach:
    interrupted = place(h, TaskInterrupted)
    later = [n for n, one in enumerate(h) if isinstance(one.event, TaskResumed) and one.stream == task_id]
    start = place(h, ActionStarted, _is_after(h, interrupted, task_of(h, "stopped")))
    for index in reversed(later):
        h = without(h, index)
    return h, start - len(later)


@planted_in_tree(13)
def started_while_it_was_interrupted(h: History) -> Breach:
    return _never_resumed(h, task_of(h, "stopped"))


@planted_in_tree(13)
def started_while_what_is_above_it_was_interrupted(h: History) -> Breach:
    return _never_resumed(h, parent_of(h, "stopped"))


# 14: the outcome of a subagent


@planted_in_tree(14)
def nobody_knows_what_became_of_a_subagent(h: History) -> Breach:
    index = place(h, ActionSucceeded, lambda event: event.task_id == parent_of(h, "outer"))
    said: Any = h[index].event
    unknown = ActionOutcomeUnknown(
        task_id=said.task_id, action_id=said.action_id, digest=said.digest, attempt=1, observed="nothing"
    )
    return [*h[:index], msgspec.structs.replace(h[index], event=unknown), *h[index + 1 :]], index


# 15: owners


@planted_in_tree(15)
def carried_on_by_nobody(h: History) -> Breach:
    root = parent_of(h, "cancelled")
    claim = place(h, TaskClaimed, lambda event: event.task_id == root)
    return without(h, claim), of_task(h, ActionStarted, root) - 1


@planted_in_tree(15)
def claimed_by_nobody(h: History) -> Breach:
    index = place(h, TaskClaimed)
    return changed(h, index, owner=""), index


@planted_in_tree(15)
def a_subagent_claimed_apart(h: History) -> Breach:
    index = place(h, TaskClaimed, nth=1)
    return changed(h, index, task_id=task_of(h, "outer")), index
