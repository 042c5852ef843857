"""One action and what was known of it, put to one set of layers after another.

The answers are those of `Policy.decide`. What they share (invariants, the places, what a layer says that both sets
have) is worked out once, and nothing is explained that nobody asks about: made for a hundred thousand decisions.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final

import msgspec

from ..domain.action import Action, ActionKind, kind_of
from ..domain.action_invariant import Refusal, find_refusal
from ..domain.facts import Facts
from ..domain.policy import CLAIMED, Policy, with_floor
from ..domain.policy_approval import Approval, find_approval
from ..domain.policy_atom import Sight, atoms_of
from ..domain.policy_decision import INVARIANT, Decision, Judgement, Said, decisive
from ..domain.policy_document import VERDICTS, Layer, Verdict
from ..domain.policy_frame import ReadyScope
from ..domain.policy_invariant import NO_POLICY, find_broken_atom, find_broken_request
from ..domain.policy_layer import ALLOW, CONFIRM, DENY, ReadyLayer
from ..domain.policy_request import Request
from ..domain.policy_translation import frame_scope_of, request_of
from ..domain.risk import derive_risk_tags
from ..domain.scope import Scope


class Ruling(msgspec.Struct, frozen=True, gc=False, rename="camel", omit_defaults=True):
    """What was or would be decided: the verdict, what decided, and the remembered approval that answered, if one did.

    `rule` is `layer:id`, or the id alone of an invariant.
    """

    verdict: Verdict
    rule: str
    approval_id: str = ""

    @property
    def is_leave(self) -> bool:
        """Whether the action may go ahead without a question."""
        return self.verdict == "allow" or self.approval_id != ""

    @property
    def asks(self) -> bool:
        """Whether a person would be asked."""
        return self.verdict == "allow_with_confirm" and not self.approval_id


def cited(layer: str, rule_id: str) -> str:
    """Return how what decided is named: `layer:id`, an invariant by its id alone."""
    return rule_id if layer == INVARIANT else f"{layer}:{rule_id}"


@lru_cache(maxsize=4096)
def _ruling(verdict: Verdict, layer: str, rule_id: str, approval_id: str) -> Ruling:
    """Return the short form, the same object for the same values: of hundred thousand decisions few are different."""
    return Ruling(verdict, cited(layer, rule_id), approval_id)


def ruling_of(decision: Decision) -> Ruling:
    """Return the short form of a recorded decision."""
    return _ruling(decision.verdict, decision.layer, decision.rule_id, decision.approval_id)


class ReadyLayers:
    """Makes layers ready for many decisions, each document under its name only once."""

    def __init__(self) -> None:
        self._layers: dict[tuple[str, str], ReadyLayer] = {}
        self._policies: dict[str, tuple[ReadyLayer, ...]] = {}

    def of_policy(self, policy: Policy) -> tuple[ReadyLayer, ...]:
        """Return the layers that decide under a policy, the floor among them; none where it has no layer."""
        known = self._policies.get(policy.digest)
        if known is None:
            known = self._policies[policy.digest] = tuple(map(self.of_layer, with_floor(policy.layers)))
        return known

    def of_layer(self, layer: Layer) -> ReadyLayer:
        """Return one layer."""
        key = (layer.name, layer.digest)
        if key not in self._layers:
            self._layers[key] = ReadyLayer(layer)
        return self._layers[key]


_SCOPES_MAX: Final = 1024
"""How many sessions' scopes are kept ready."""


class ReadyScopes:
    """Makes scopes ready for many decisions; the last one of each session is kept."""

    def __init__(self) -> None:
        self._last: dict[str, tuple[Scope, ReadyScope]] = {}

    def of(self, session_id: str, scope: Scope) -> ReadyScope:
        """Return the scope as policy compares it."""
        known = self._last.get(session_id)
        if known is None or known[0] is not scope:
            if len(self._last) >= _SCOPES_MAX:
                self._last.clear()
            known = self._last[session_id] = (scope, ReadyScope(frame_scope_of(scope)))
        return known[1]


def matter_of(
    action: Action, facts: Facts, scope: Scope, ready: ReadyScope, *, session: str, task: str
) -> "Matter | Refusal":
    """Return what layers can be asked about, or the denial of an invariant, which they are not asked about."""
    refusal = find_refusal(action, facts, scope)
    if refusal is not None:
        return refusal
    return Matter(action, facts, request_of(action, facts, scope, session=session, task=task), ready)


class Matter:
    """An action with its facts in a scope, before any layer is asked."""

    __slots__ = ("_action", "_broken", "_facts", "_kind", "_last", "_request", "_said", "_sights", "_tags")

    def __init__(self, action: Action, facts: Facts, request: Request, ready: ReadyScope) -> None:
        self._action = action
        self._facts = facts
        self._request = request
        self._kind: ActionKind = kind_of(action)
        self._tags: tuple[str, ...] | None = None
        self._said: dict[ReadyLayer, list[Said]] = {}
        self._last: tuple[Sequence[ReadyLayer], Judgement] | None = None
        self._sights: list[Sight] = []
        self._broken = find_broken_request(request)
        if self._broken is None:
            for atom in atoms_of(self._kind, request):
                self._broken = self._broken or find_broken_atom(atom, ready)
                self._sights.append(Sight(atom, ready))

    def judged(self, layers: Sequence[ReadyLayer], usage: Mapping[str, int] | None = None) -> Judgement:
        """Return what the layers answer. `usage` is what each limit has counted, where the facts say something else."""
        if usage is not None:
            request = msgspec.structs.replace(self._request, usage=dict(usage))
            return self._judged(layers, request)
        if self._last is None or self._last[0] is not layers:
            self._last = (layers, self._judged(layers, self._request))
        return self._last[1]

    def _judged(self, layers: Sequence[ReadyLayer], request: Request) -> Judgement:
        if not layers:
            return Judgement(request, self._kind, DENY, NO_POLICY)
        if self._broken is not None:
            return Judgement(request, self._kind, DENY, self._broken)
        said: list[Said] = []
        for layer in layers:
            answers = self._said.get(layer)
            if answers is None:
                answer = layer.program(self._kind).answer
                answers = self._said[layer] = [Said(layer, sight, answer(sight)) for sight in self._sights]
            said += answers
            if layer.has_limits:
                said += [Said(layer, None, exceeded) for exceeded in layer.exceeded(self._kind, request, 1)]
        reported = decisive(said)
        return Judgement(request, self._kind, reported.answer.level, None, said, reported)

    def ruling(self, judgement: Judgement, approvals: Sequence[Approval]) -> Ruling:
        """Return the short form of a judgement of this matter, with the approval that answers its question."""
        answered = ""
        if approvals and judgement.level == CONFIRM:
            tags = {*self._risk_tags(), *judgement.rule_tags}
            approval = find_approval(approvals, judgement.request, judgement, tuple(tags))
            answered = "" if approval is None else approval.id
        if self._facts.claimed_by and (judgement.level == ALLOW or answered):
            # Another agent was writing there: `Policy.decide` makes a question of any leave.
            return _ruling("allow_with_confirm", INVARIANT, CLAIMED, "")
        reported = judgement.reported
        layer = INVARIANT if reported is None else reported.layer.name
        return _ruling(VERDICTS[judgement.level], layer, judgement.rule_id, answered)

    def _risk_tags(self) -> tuple[str, ...]:
        if self._tags is None:
            self._tags = derive_risk_tags(self._action, self._facts)
        return self._tags


def ruling_of_refusal(refusal: Refusal) -> Ruling:
    """Return the short form of an invariant's denial."""
    return _ruling("deny", INVARIANT, refusal.rule_id, "")
