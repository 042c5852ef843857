"""The answer to a request: the strictest answer of all layers in all frames, with its whole explanation."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

import msgspec

from .action import ActionKind
from .policy_atom import Atom, Sight, atoms_of
from .policy_document import VERDICTS, Layer, Rule, Verdict
from .policy_frame import ReadyScope
from .policy_invariant import NO_POLICY, Broken, find_broken_atom, find_broken_request, kind_named
from .policy_layer import CONFIRM, DENY, FALLBACK, LEVEL, Answer, ReadyLayer
from .policy_request import FrameScope, Request
from .reason import ReasonCode

INVARIANT: Final = "invariant"
"""The layer under which invariants are cited."""

DEFAULT_IDS: Final[tuple[str, ...]] = ("default-allow", "default-ask", "default-deny")
"""How a fallback is called where a rule's id stands, by its verdict."""


class LostRule(msgspec.Struct, frozen=True, gc=False):
    """A rule that matched or may have matched and did not decide: its `layer:id`, and why it did not."""

    rule: str
    why: str


class Decision(msgspec.Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True, rename="camel"):
    """The answer with its whole explanation: stored in the event, printed by the CLI, drawn on the card.

    `matched` are all rules that matched (`layer:id`); `lost` those that matched or may have matched and did not
    decide; `missing_facts` what was not known and some rule asked about; `by_missing_fact` says that this decided;
    `by_default` that no rule did, but a document's fallback; `confirm_rules` are the rules that ask; `approval_id`
    names the remembered approval that answered them.
    """

    verdict: Verdict
    rule_id: str
    reason: str
    reason_code: ReasonCode | None = None
    risk_tags: tuple[str, ...] = ()
    layer: str = ""
    matched: tuple[str, ...] = ()
    lost: tuple[LostRule, ...] = ()
    missing_facts: tuple[str, ...] = ()
    by_missing_fact: bool = False
    by_default: bool = False
    confirm_rules: tuple[str, ...] = ()
    rememberable: bool = False
    approval_id: str = ""
    policy_digest: str = ""

    @property
    def is_leave(self) -> bool:
        """Whether the action may go ahead without a question: it is allowed, or was approved before for such cases."""
        return self.verdict == "allow" or bool(self.approval_id)


class ReadyFrame(NamedTuple):
    """A frame made ready for many decisions: what was granted, and the layers that hold in it."""

    scope: ReadyScope
    layers: tuple[ReadyLayer, ...]


def ready_frame(scope: FrameScope, layers: Iterable[Layer]) -> ReadyFrame:
    """Return a frame made ready for many decisions."""
    return ReadyFrame(ReadyScope(scope), tuple(ReadyLayer(layer) for layer in layers))


class Said(NamedTuple):
    """What one layer said about one atom; a limit is about the request as a whole and has no sight."""

    layer: ReadyLayer
    sight: Sight | None
    answer: Answer


class Judgement:
    """The answer to one request. Its explanation is put together when it is asked for."""

    __slots__ = ("broken", "kind", "level", "reported", "request", "said")

    def __init__(
        self,
        request: Request,
        kind: ActionKind | None,
        level: int,
        *,
        broken: Broken | None = None,
        said: Sequence[Said] = (),
        reported: Said | None = None,
    ) -> None:
        self.request = request
        self.kind = kind
        self.level = level
        self.broken = broken
        self.said = said
        self.reported = reported

    @property
    def verdict(self) -> Verdict:
        """The answer."""
        return VERDICTS[self.level]

    @property
    def rule(self) -> Rule | None:
        """The rule that decided; None for an invariant, a limit or a fallback."""
        return None if self.reported is None else self.reported.answer.rule

    @property
    def rule_id(self) -> str:
        """The id of what decided."""
        if self.broken is not None or self.reported is None:
            return (self.broken or NO_POLICY).rule_id
        answer = self.reported.answer
        decider = answer.rule or answer.limit
        return DEFAULT_IDS[answer.level] if decider is None else decider.id

    @property
    def layer(self) -> str:
        """The name of the layer that decided."""
        return INVARIANT if self.reported is None else self.reported.layer.name

    @property
    def by_default(self) -> bool:
        """Whether a document's fallback decided, and no rule."""
        return self.reported is not None and self.rule is None and self.reported.answer.limit is None

    @property
    def by_missing_fact(self) -> bool:
        """Whether a fact that is not known decided."""
        return self.reported is not None and not self.reported.answer.known

    @property
    def rule_tags(self) -> set[str]:
        """The risk tags that the deciding rules of all layers declare."""
        return {tag for said in self.said if said.answer.rule is not None for tag in said.answer.rule.risk_tags}

    def asking(self) -> list[tuple[str, bool]]:
        """Return everything that asks for a person, as `layer:id`, with whether the answer may be remembered."""
        if self.level != CONFIRM:
            return []
        return list(dict.fromkeys(one for said in self.said if said.answer.level == CONFIRM for one in _asking(said)))

    @property
    def rememberable(self) -> bool:
        """Whether a person's answer may be remembered: every rule that asks lets it, and nothing unknown decided."""
        return self.level == CONFIRM and not self.by_missing_fact and all(kept for _, kept in self.asking())

    def reason(self) -> str:
        """Return the sentence that says why."""
        if self.broken is not None or self.reported is None:
            return (self.broken or NO_POLICY).reason
        answer, name = self.reported.answer, self.reported.layer.name
        if answer.limit is not None:
            return answer.limit.reason or f"over the limit `{answer.limit.id}` of `{name}`: at most {answer.limit.max}"
        if answer.rule is not None:
            return answer.rule.reason or f"rule `{answer.rule.id}` of `{name}`"
        if answer.level == DENY:
            return f"no rule of `{name}` allows {self.request.action}: what is not allowed is denied"
        word = "asked about" if answer.level == CONFIRM else "allowed"
        return f"no rule of `{name}` is about it: {self.request.action} is {word} by default"

    def reason_code(self) -> ReasonCode | None:
        """Return the short code of a denial."""
        if self.level != DENY:
            return None
        return "policy" if self.rule is None else self.rule.code

    def missing_facts(self) -> list[str]:
        """Return what was not known and would have told whether some rule matches."""
        return list(dict.fromkeys(fact for said in self.said for fact in _missing(said)))

    def matched(self) -> list[str]:
        """Return every rule that matched, as `layer:id`."""
        return list(
            dict.fromkeys(
                f"{said.layer.name}:{rule.id}"
                for said in self.said
                if said.answer.program is not None
                for rule in said.answer.program.rules_of(said.answer.known_rows)
            )
        )

    def lost(self) -> list[LostRule]:
        """Return the rules that matched, or may have matched, and did not decide, each with why."""
        deciding = f"{self.layer}:{self.rule_id}"
        found = {one.rule: one for said in self.said for one in _lost(said, self) if one.rule != deciding}
        return list(found.values())

    def explained(self, *, risk_tags: tuple[str, ...], policy_digest: str = "", approval_id: str = "") -> Decision:
        """Return the decision as it is recorded."""
        asking = self.asking()
        return Decision(
            verdict=self.verdict,
            rule_id=self.rule_id,
            reason=self.reason(),
            reason_code=self.reason_code(),
            risk_tags=risk_tags,
            layer=self.layer,
            matched=tuple(self.matched()),
            lost=tuple(self.lost()),
            missing_facts=tuple(self.missing_facts()),
            by_missing_fact=self.by_missing_fact,
            by_default=self.by_default,
            confirm_rules=tuple([rule for rule, _ in asking]),
            rememberable=self.rememberable,
            approval_id=approval_id,
            policy_digest=policy_digest,
        )


def judge(frames: Sequence[ReadyFrame], request: Request) -> Judgement:
    """Return the answer to a request. Frame 0 is the session; a subagent in it appends a frame."""
    kind = kind_named(request.action)
    if not frames or not frames[0].layers:
        return Judgement(request, kind, DENY, broken=NO_POLICY)
    broken = find_broken_request(request)
    if broken is not None or kind is None:
        return Judgement(request, kind, DENY, broken=broken)
    atoms = atoms_of(kind, request)
    for frame in frames:
        for atom in atoms:
            broken = find_broken_atom(atom, frame.scope)
            if broken is not None:
                return Judgement(request, kind, DENY, broken=broken)
    said = list(_said(frames, request, kind, atoms))
    level = max([one.answer.level for one in said])
    worst = [one for one in said if one.answer.level == level]
    reported = next((one for one in worst if one.answer.known), worst[0])
    return Judgement(request, kind, level, said=said, reported=reported)


def _said(frames: Sequence[ReadyFrame], request: Request, kind: ActionKind, atoms: Sequence[Atom]) -> Iterator[Said]:
    items = len(request.items) if isinstance(request.items, tuple) else 1
    for frame in frames:
        sights = [Sight(atom, frame.scope) for atom in atoms]
        for layer in frame.layers:
            for sight in sights:
                yield Said(layer, sight, layer.answer(sight))
            if layer.has_limits:
                for exceeded in layer.exceeded(kind, request, items):
                    yield Said(layer, None, exceeded)


def _asking(said: Said) -> Iterator[tuple[str, bool]]:
    name, answer = said.layer.name, said.answer
    if answer.limit is not None:
        yield f"{name}:{answer.limit.id}", False
    elif answer.program is None or answer.rule is None:
        yield f"{name}:{FALLBACK}", True
    elif answer.program.first_match:
        yield f"{name}:{answer.rule.id}", answer.rule.remember
    else:
        # Every rule that asks is asked: an answer to one of them is none to another.
        for rule in answer.program.rules_of(answer.known_rows | answer.maybe_rows):
            if rule.decision == "allow_with_confirm" and rule.mode == "enforce":
                yield f"{name}:{rule.id}", rule.remember


FACT_OF_CONDITION: Final = {
    "pathWithinGrant": "path",
    "pathWithinOutputRoot": "path",
    "matchesPattern": "path",
    "extensionIn": "path",
    "hidden": "path",
    "sensitive": "path",
    "executed": "path",
    "crossRoot": "path",
    "fileSizeGreaterThan": "fileSizeBytes",
    "targetExists": "targetExists",
    "hardLink": "linkCount",
    "hostInAllowlist": "host",
    "hostMatches": "host",
    "methodIn": "method",
    "connectorScopeAllowed": "connector",
    "connectorIn": "connector",
    "toolMatches": "tool",
    "toolHint": "annotations",
    "commandPrefix": "commands",
    "tainted": "labels",
    "taintIn": "labels",
    "subagentDepthGreaterThan": "depth",
    "batchCountGreaterThan": "batchCount",
    "timeWindow": "now",
}
"""Which fact answers a condition. A path is unknown where its spellings, or the real path, give different answers."""


def _missing(said: Said) -> Iterator[str]:
    answer = said.answer
    if answer.limit is not None and not answer.known:
        yield "cost" if answer.limit.unit else "usage"
    if answer.program is not None and said.sight is not None and answer.maybe_rows:
        for condition in answer.program.unknown_conditions(answer.maybe_rows, said.sight):
            yield FACT_OF_CONDITION[condition]


def _lost(said: Said, judgement: Judgement) -> Iterator[LostRule]:
    answer = said.answer
    if answer.program is None:
        return
    deciding = f"`{judgement.layer}:{judgement.rule_id}`"
    for rule in answer.program.rules_of(answer.known_rows | answer.maybe_rows):
        cited = f"{said.layer.name}:{rule.id}"
        if rule.mode == "audit":
            yield LostRule(cited, f"would have said {rule.decision}, and is only tried out (audit)")
        elif answer.program.first_match and rule is not answer.rule:
            yield LostRule(cited, f"comes after {deciding}" if answer.known else "was not the strictest that may match")
        elif LEVEL[rule.decision] < judgement.level:
            yield LostRule(cited, f"says {rule.decision}, {deciding} is stricter")
        else:
            yield LostRule(cited, f"says the same as {deciding}")
