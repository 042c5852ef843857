"""Steps (2) and (3) of the pipeline: the facts that only the log knows are added, and policy is asked."""

from collections.abc import Sequence

import msgspec

from ..domain.action import Action, kind_of
from ..domain.approvals import UseApproval, after_use
from ..domain.facts import Facts, names_of
from ..domain.ids import root_task_id
from ..domain.policy import broken_evaluation
from ..domain.policy_approval import Approval
from ..domain.policy_decision import Decision
from ..domain.task import OpenAction, Proposed, Started, Task
from .command_handler import Order, order_approval
from .session_view import SessionView
from .tree_facts import TreeFacts


class Decided(msgspec.Struct, frozen=True, gc=False):
    """What was decided about one action, and the facts that it was decided on."""

    facts: Facts
    decision: Decision


def decide_all(
    actions: Sequence[Action], facts: Sequence[Facts], task: Task, view: SessionView, tree: TreeFacts
) -> list[Decided]:
    """Decide about the actions of one step, in order.

    Limits count those before as if they were carried out, and an approval's last use answers only once.
    """
    started = tree.started_kinds(task) if view.policy.has_limits else {}
    approvals = view.approvals.in_force(facts[0].now) if facts else ()
    decided: list[Decided] = []
    for action, found in zip(actions, facts, strict=True):
        full = found
        if view.policy.has_limits:
            full = msgspec.structs.replace(found, usage=view.policy.usage(started))
            started[kind_of(action)] = started.get(kind_of(action), 0) + 1
        one = _decided(action, full, task, view, approvals, tree)
        if one.decision.approval_id:
            approvals = after_use(approvals, one.decision.approval_id)
        decided.append(one)
    return decided


def decide_again(action: OpenAction, facts: Facts, task: Task, view: SessionView, tree: TreeFacts) -> Decided:
    """Decide about an action that was decided on before. What it used up itself does not count against it."""
    full = facts
    if view.policy.has_limits:
        started = tree.started_kinds(task)
        if isinstance(action.phase, Started):
            started[kind_of(action.action)] -= 1
        full = msgspec.structs.replace(facts, usage=view.policy.usage(started))
    approvals = view.approvals.in_force(facts.now, own=_own_approval(action))
    return _decided(action.action, full, task, view, approvals, tree)


def _decided(
    action: Action, facts: Facts, task: Task, view: SessionView, approvals: tuple[Approval, ...], tree: TreeFacts
) -> Decided:
    """Decide, and once more where another agent of the same tree is writing there: only what may be done is claimed."""
    decision = _decide(action, facts, task, view, approvals)
    if decision.verdict == "deny":
        return Decided(facts, decision)
    others = tree.claim(task, action, facts)
    if not others:
        return Decided(facts, decision)
    claimed = msgspec.structs.replace(facts, claimed_by=names_of(others))
    return Decided(claimed, _decide(action, claimed, task, view, approvals))


def uses_of(decided: Sequence[Decided], action_ids: Sequence[str]) -> tuple[Order, ...]:
    """Return the orders that count the approvals which answered."""
    return tuple(
        order_approval(UseApproval(approval_id=one.decision.approval_id, action_id=action_id, now=one.facts.now))
        for one, action_id in zip(decided, action_ids, strict=True)
        if one.decision.approval_id
    )


def _own_approval(action: OpenAction) -> str:
    return "" if isinstance(action.phase, Proposed) else action.phase.judgement.decision.approval_id


def _decide(action: Action, facts: Facts, task: Task, view: SessionView, approvals: tuple[Approval, ...]) -> Decision:
    try:
        return view.policy.decide(
            action, facts, view.scope, session=task.session_id, task=root_task_id(task.task_id), approvals=approvals
        )
    except Exception as error:  # a rule that breaks must deny, and be on record, not let the action slip by
        return broken_evaluation(f"{type(error).__name__}: {error}", view.policy.digest)
