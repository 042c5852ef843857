"""Policy as the engine asks it: the layers in force, and the decision about one action.

Three parts decide, and the strictest answer wins:

1. *invariants*, which no document can relax (`action_invariant.py`, `policy_invariant.py`);
2. the *layers*: documents of the organisation or the machine's owner, the user, the folder, the session, the task;
3. the *floor*: what runs code later and what has other names elsewhere needs at least a person, whatever a rule says.

Everything is a value: the same action, facts, scope, layers and approvals give the same decision for ever.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from .action import Action, connections_of
from .action_invariant import Refusal, find_refusal
from .baseline import FLOOR
from .canonical_json import canonical_json, sha256_of
from .facts import Facts, writing_too
from .policy_approval import Approval, find_approval
from .policy_decision import INVARIANT, Decision, ReadyFrame, judge, ready_frame
from .policy_document import Layer, Verdict, kinds_named
from .policy_frame import ReadyScope
from .policy_request import FrameScope, Request
from .policy_translation import frame_scope_of, request_of
from .risk import derive_risk_tags
from .scope import Scope

EVALUATION_BROKE: Final = "invariant.evaluation-broke"
CLAIMED: Final = "invariant.claimed-path"
_FRAMES_MAX: Final = 1024
"""How many scopes are kept ready: as many as there are sessions at work."""


def digest_of_layers(layers: Sequence[Layer]) -> str:
    """Return `sha256:<hex>` of the layers' names and document digests in their order, the floor included."""
    named: list[object] = [[layer.name, layer.digest] for layer in (*layers, FLOOR)]
    return f"sha256:{sha256_of(canonical_json(named))}"


def with_floor(layers: Sequence[Layer]) -> tuple[Layer, ...]:
    """Return the layers that decide: those given and the floor. Without a layer there is no policy, and no floor."""
    return (*layers, FLOOR) if layers else ()


class Policy:
    """Layers made ready for many decisions. Without a layer everything is denied."""

    def __init__(self, layers: Sequence[Layer]) -> None:
        self.layers = tuple(layers)
        self.digest = digest_of_layers(self.layers)
        self._layers = ready_frame(FrameScope(), with_floor(self.layers)).layers
        self._frames: dict[int, tuple[Scope, ReadyFrame]] = {}
        self._limits = tuple(
            (limit.id, kinds_named(limit.actions))
            for one in self.layers
            for limit in one.document.limits
            if not limit.unit
        )
        self.has_limits = bool(self._limits)
        self.has_windows = any(
            conditions.time_window is not None
            for one in self.layers
            for rule in one.document.rules
            for conditions in (rule.when, *rule.unless)
        )

    def decide(
        self,
        action: Action,
        facts: Facts,
        scope: Scope,
        *,
        session: str = "",
        task: str = "",
        approvals: Sequence[Approval] = (),
    ) -> Decision:
        """Return the decision about one action. `approvals` are remembered answers, of `session` and `task` perhaps."""
        tags = derive_risk_tags(action, facts)
        refusal = find_refusal(action, facts, scope)
        if refusal is not None:
            return _denied(refusal, tags, self.digest)
        said = self.answer(request_of(action, facts, scope, session=session, task=task), scope, tags, approvals)
        for connection in connections_of(action):
            # The network of a command is the network: what no rule lets a request reach, no command reaches either.
            asked = request_of(connection, facts, scope, session=session, task=task)
            said = _stricter(said, self.answer(asked, scope, tags))
        return _claimed(said, facts) if facts.claimed_by and said.is_leave else said

    def verdict(self, action: Action, facts: Facts, scope: Scope, *, session: str = "", task: str = "") -> Verdict:
        """Return what `decide` says of an action that opens no connection, without its explanation or approvals."""
        if find_refusal(action, facts, scope) is not None:
            return "deny"
        return judge(self.frames(scope), request_of(action, facts, scope, session=session, task=task)).verdict

    def answer(
        self, request: Request, scope: Scope, tags: tuple[str, ...], approvals: Sequence[Approval] = ()
    ) -> Decision:
        """Return what the layers say of a request that breaks no invariant of actions. `tags` are its derived risks."""
        judgement = judge(self.frames(scope), request)
        declared = judgement.rule_tags
        all_tags = (*tags, *sorted(declared.difference(tags))) if declared else tags
        approval = find_approval(approvals, request, judgement, all_tags) if approvals else None
        return judgement.explained(
            risk_tags=all_tags, policy_digest=self.digest, approval_id="" if approval is None else approval.id
        )

    def usage(self, counts: Mapping[str, int]) -> tuple[tuple[str, int], ...]:
        """Return what each limit has counted, given how many actions of each kind were started.

        Costs in money or tokens are nobody's to count yet: such a limit is unknown, and so exceeded.
        """
        used: dict[str, int] = {}
        for name, kinds in self._limits:
            used[name] = max(used.get(name, 0), sum(counts.get(kind, 0) for kind in kinds))
        return tuple(used.items())

    def frames(self, scope: Scope) -> tuple[ReadyFrame, ...]:
        """Return the frames that an action is judged in: the session's, and one for each subagent beneath it."""
        return (*(self._frame(above) for above in scope.above), self._frame(scope))

    def _frame(self, scope: Scope) -> ReadyFrame:
        """Return a scope's own frame; a scope hardly ever changes from one decision to the next."""
        known = self._frames.get(id(scope))
        if known is None or known[0] is not scope:
            if len(self._frames) >= _FRAMES_MAX:
                self._frames.clear()
            # The scope is kept beside its frame: no other can have its identity as long as it is.
            known = self._frames[id(scope)] = (scope, ReadyFrame(ReadyScope(frame_scope_of(scope)), self._layers))
        return known[1]


def _stricter(one: Decision, other: Decision) -> Decision:
    """Return the decision that allows less; the first where both allow as much."""
    return other if _strictness(other) > _strictness(one) else one


def _claimed(said: Decision, facts: Facts) -> Decision:
    """Return the question that a leave becomes where another agent writes at the same place: no rule may skip it."""
    return msgspec.structs.replace(
        said,
        verdict="allow_with_confirm",
        rule_id=CLAIMED,
        reason=writing_too(facts.claimants),
        layer=INVARIANT,
        rememberable=False,
        approval_id="",
        confirm_rules=(f"{INVARIANT}:{CLAIMED}",),
    )


def _strictness(decision: Decision) -> int:
    return 2 if decision.verdict == "deny" else 0 if decision.is_leave else 1


def broken_evaluation(what: str, policy_digest: str) -> Decision:
    """Return the denial of an action about which the rules could not be asked: a bug, never a way in."""
    refusal = Refusal("policy", EVALUATION_BROKE, f"the rules could not be asked: {what}")
    return _denied(refusal, (), policy_digest)


def _denied(refusal: Refusal, tags: tuple[str, ...], policy_digest: str) -> Decision:
    return Decision(
        verdict="deny",
        rule_id=refusal.rule_id,
        reason=refusal.reason,
        reason_code=refusal.code,
        risk_tags=tags,
        layer=INVARIANT,
        policy_digest=policy_digest,
    )
