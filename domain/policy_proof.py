"""Proofs about layers: whether a claim holds, with a request that refutes it; and who can do what, by which rule."""

from collections.abc import Sequence
from typing import Literal, TypeAlias

import msgspec

from .action import ActionKind
from .errors import DomainError
from .policy_claim import Claim, Probe, kinds_met, parse_claim
from .policy_diff import Unsettled
from .policy_document import KINDS, VERDICTS, Conditions, Layer, Rule, Verdict, kinds_named
from .policy_encoding import Decider
from .policy_finding import shown_request
from .policy_host import parse_entry
from .policy_layer import CONFIRM, ReadyLayer
from .policy_question import ASSUMPTIONS, KindModel, NotSettled, Searches
from .policy_request import FrameScope, Request
from .policy_witness import Witness, judged, witness_of

ProofStatus: TypeAlias = Literal["proved", "refuted", "not settled"]


class Proof(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Whether a claim holds. A refuted one has a witness; `why` says what it rests on, or what stays open.

    `kinds` are those that the claim is about. `by_invariant`: no document can make it false.
    """

    claim: str
    status: ProofStatus
    why: str
    kinds: tuple[ActionKind, ...]
    witness: Witness | None = None
    by_invariant: bool = False
    assumptions: tuple[str, ...] = ASSUMPTIONS


def prove_claim(layers: Sequence[Layer], text: str) -> Proof:
    """Return whether a claim (`policy_claim.py`) holds under layers. Raises `DomainError` invalid for what is none."""
    claim = parse_claim(text)
    ready = [ReadyLayer(layer) for layer in layers]
    searches = Searches()
    unsettled: list[str] = []
    is_met = False
    for kind in claim.kinds:
        question = _ClaimQuestion(claim, kind, ready, searches)
        found = question.find_refutation()
        if isinstance(found, Witness):
            why = f"{shown_request(found)} is answered {found.verdict} by `{found.rule}`"
            return Proof(claim=claim.text, status="refuted", why=why, kinds=claim.kinds, witness=found)
        if found is not None:
            unsettled.append(f"{kind}: {found.why}")
        is_met = is_met or question.is_met()
    if unsettled:
        return Proof(claim=claim.text, status="not settled", why="; ".join(unsettled), kinds=claim.kinds)
    why = "no request is answered so" if is_met else "held by the invariants, whatever a document says"
    return Proof(claim=claim.text, status="proved", why=why, kinds=claim.kinds, by_invariant=not is_met)


class _ClaimQuestion:
    """A claim, asked of one kind of action."""

    def __init__(self, claim: Claim, kind: ActionKind, ready: Sequence[ReadyLayer], searches: Searches) -> None:
        self._ready = ready
        self._may_ask = claim.may_ask
        self._model = KindModel(kind, searches)
        self._stack = self._model.stack(ready)
        self._about = self._model.matches(claim.rule)
        self._probe = Probe(claim.rule)

    def find_refutation(self) -> Witness | NotSettled | None:
        """Return a request that the claim says can't be."""
        if not self._ready:
            return None
        held = (self._stack.asks if self._may_ask else self._stack.denies) ^ 1
        return self._model.find([self._about, held, *self._model.within_limits()], self._refute)

    def _refute(self, request: Request, scope: FrameScope) -> Witness | None:
        judgement = judged(self._ready, request, scope)
        is_refuted = judgement.level < (CONFIRM if self._may_ask else CONFIRM + 1)
        return witness_of(judgement, scope) if is_refuted and self._probe.is_about(request, scope) else None

    def is_met(self) -> bool:
        """Whether any request at all is what the claim is about, so that it is the documents that hold it."""
        return self._model.find([self._about], lambda request, _: request) is not None


# Who can ------------------------------------------------------------------------------------------------------------


class Reach(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A way to an answer: what decides (`layer:id`; `layer:default-…` for a fallback), and a request that gets it."""

    kind: ActionKind
    verdict: Verdict
    rule: str
    witness: Witness


class Nobody(msgspec.Struct, frozen=True):
    """An answer that no request of a kind gets."""

    kind: ActionKind
    verdict: Verdict


class ReachReport(msgspec.Struct, frozen=True, rename="camel"):
    """All ways to all answers, the answers that nobody gets (proved), and what can't be settled."""

    reached: tuple[Reach, ...]
    nobody: tuple[Nobody, ...]
    unsettled: tuple[Unsettled, ...]
    assumptions: tuple[str, ...] = ASSUMPTIONS


def reach_of(layers: Sequence[Layer], action: str, *, pattern: str = "", host: str = "") -> ReachReport:
    """Return one request for every rule, limit and fallback that decides about an action, in a place, to a host.

    `action` is a kind or a glob over kinds. Raises `DomainError` invalid for an action, pattern or host that is none.
    """
    about = _asked_about(action, pattern, host)
    ready = [ReadyLayer(layer) for layer in layers]
    searches, probe = Searches(), Probe(about)
    reached: list[Reach] = []
    nobody: list[Nobody] = []
    unsettled: list[Unsettled] = []
    for kind in kinds_met(about):
        model = KindModel(kind, searches)
        stack = model.stack(ready)
        where = model.matches(about)
        open_verdicts: set[Verdict] = set()
        for decider in stack.deciders if ready else ():
            goals = [decider.decides, where, *(model.within_limits() if decider.limit is None else ())]
            found = model.find(goals, _Confirmation(ready, probe, decider))
            if isinstance(found, Witness):
                reached.append(Reach(kind=kind, verdict=found.verdict, rule=found.rule, witness=found))
            elif found is not None:
                open_verdicts.add(VERDICTS[decider.level])
                unsettled.append(Unsettled(kind, f"whether {_cited(decider)} decides: {found.why}"))
        open_verdicts |= {one.verdict for one in reached if one.kind == kind}
        nobody += [Nobody(kind, verdict) for verdict in VERDICTS if verdict not in open_verdicts]
    return ReachReport(tuple(reached), tuple(nobody), tuple(unsettled))


class _Confirmation(msgspec.Struct, frozen=True):
    """Asks the evaluator whether a decider decides about a request that is what was asked about."""

    ready: Sequence[ReadyLayer]
    probe: Probe
    decider: Decider

    def __call__(self, request: Request, scope: FrameScope) -> Witness | None:
        judgement = judged(self.ready, request, scope)
        decider = self.decider
        is_so = judgement.broken is None and judgement.rule is decider.rule and judgement.level == decider.level
        if not is_so or judgement.layer != decider.layer or (decider.limit and judgement.rule_id != decider.limit.id):
            return None
        return witness_of(judgement, scope) if self.probe.is_about(request, scope) else None


def _cited(decider: Decider) -> str:
    one = decider.rule or decider.limit
    return f"the fallback of `{decider.layer}`" if one is None else f"`{decider.layer}:{one.id}`"


def _asked_about(action: str, pattern: str, host: str) -> Rule:
    if not kinds_named((action,)):
        raise DomainError("invalid", f"there is no action `{action}`", f"the actions are {', '.join(KINDS)}")
    if pattern and not pattern.startswith(("/", "*")):
        raise DomainError("invalid", f"`{pattern}` is no absolute path or pattern", "write it as /folder/** or **/name")
    if host and parse_entry(host) is None:
        raise DomainError(
            "invalid", f"`{host}` is not a host", "write it as in hostMatches: example.com or *.example.com"
        )
    conditions = Conditions(matches_pattern=(pattern,) if pattern else None, host_matches=(host,) if host else None)
    about = Rule(id="asked", action=action, decision="deny", when=conditions)
    if not kinds_met(about):
        raise DomainError("invalid", f"`{action}` has no host", "a host goes with network.request")
    return about
