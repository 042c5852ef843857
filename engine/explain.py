"""Explain: what policy says of an action and why, with every rule that could have said something else."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from ..domain.action import Action, FileMove, FileRename
from ..domain.action_invariant import find_refusal
from ..domain.facts import Facts, FileState
from ..domain.policy import Policy, with_floor
from ..domain.policy_approval import Approval, find_approval
from ..domain.policy_decision import Decision, judge, ready_frame
from ..domain.policy_document import Layer
from ..domain.policy_frame import ReadyScope
from ..domain.policy_invariant import find_broken_request, kind_named
from ..domain.policy_request import FrameScope, Request
from ..domain.policy_risk import tags_of_request
from ..domain.policy_translation import frame_scope_of, request_of
from ..domain.risk import derive_risk_tags
from ..domain.scope import Scope
from .explain_rules import LimitNote, RuleNote, limit_notes, rule_notes
from .inquiry import Inquiry

__all__ = ["Explanation", "Inquiry", "LimitNote", "RuleNote", "explain", "explain_action", "explain_request"]


class Explanation(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A decision and what it was made of: the request as policy saw it, and every rule and limit about its kind.

    `decision` itself says what matched, what lost and why, which facts were missing, and whether a default decided.
    There are no `rules` where an invariant leaves nothing to hold them against.
    """

    decision: Decision
    request: Request
    rules: tuple[RuleNote, ...]
    limits: tuple[LimitNote, ...]


def explain_request(
    layers: Sequence[Layer], scope: FrameScope, request: Request, approvals: Sequence[Approval] = ()
) -> Explanation:
    """Explain the answer of these very layers to a request, as `cowork policy evaluate` asks it."""
    judgement = judge((ready_frame(scope, layers),), request)
    tags = (*sorted(tags_of_request(request)), *sorted(judgement.rule_tags))
    approval = find_approval(approvals, request, judgement, tags)
    decision = judgement.explained(risk_tags=tags, approval_id="" if approval is None else approval.id)
    return _with_notes(layers, ReadyScope(scope), request, decision)


def explain_action(
    layers: Sequence[Layer],
    scope: Scope,
    action: Action,
    facts: Facts,
    *,
    session: str = "",
    task: str = "",
    approvals: Sequence[Approval] = (),
) -> Explanation:
    """Explain the engine's decision about an action. `layers` are those of a session, without the floor."""
    decision = Policy(layers).decide(action, facts, scope, session=session, task=task, approvals=approvals)
    request = request_of(action, facts, scope, session=session, task=task)
    return _with_notes(with_floor(layers), ReadyScope(frame_scope_of(scope)), request, decision)


def explain(
    layers: Sequence[Layer],
    scope: Scope,
    inquiry: Inquiry,
    *,
    now: datetime,
    session: str = "",
    task: str = "",
    approvals: Sequence[Approval] = (),
) -> Explanation:
    """Explain what would be decided about an action that nobody proposed, as the first of its task.

    What the inquiry leaves open is unknown. Raises `DomainError` invalid where it lacks what its kind needs.
    """
    policy = Policy(layers)
    action = inquiry.action(scope)
    state = inquiry.state()
    moves = isinstance(action, (FileMove, FileRename))
    facts = Facts(
        now=now,
        # What is to be moved is there, or nobody would ask; what is not known of it is taken out again below.
        target=FileState("file", links=inquiry.links or 1) if moves else state,
        destination=state if moves else None,
        batch=inquiry.batch,
        labels=inquiry.labels,
        depth=inquiry.depth,
        usage=policy.usage({}),
    )
    request = msgspec.structs.replace(
        request_of(action, facts, scope, session=session, task=task),
        file_size_bytes=inquiry.size,
        link_count=1 if inquiry.exists is False and not moves else inquiry.links,
    )
    if find_refusal(action, facts, scope) is not None:
        decision = policy.decide(action, facts, scope)
    else:
        decision = policy.answer(request, scope, derive_risk_tags(action, facts), approvals)
    return _with_notes(with_floor(layers), ReadyScope(frame_scope_of(scope)), request, decision)


def _with_notes(layers: Sequence[Layer], scope: ReadyScope, request: Request, decision: Decision) -> Explanation:
    kind = kind_named(request.action)
    if kind is None or find_broken_request(request) is not None:
        return Explanation(decision=decision, request=request, rules=(), limits=())
    return Explanation(
        decision=decision,
        request=request,
        rules=tuple(rule_notes(layers, scope, kind, request, decision)),
        limits=tuple(limit_notes(layers, kind, request)),
    )
