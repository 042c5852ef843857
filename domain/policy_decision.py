"""The answer to a request: the strictest answer of all layers in all frames, with its whole explanation."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

import msgspec
from msgspec import UNSET

from .action import ActionKind
from .policy_atom import Atom, Sight, atoms_of
from .policy_document import VERDICTS, Layer, Rule, Verdict
from .policy_frame import ReadyScope
from .policy_invariant import NO_POLICY, Broken, find_broken_atom, find_broken_request, kind_named
from .policy_layer import CONFIRM, DENY, LEVEL, Answer, Asking, ReadyLayer, numbers_of
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


_LATE: Final = "comes after the first rule that matches"
_AUDIT: Final[dict[Verdict, str]] = {
    verdict: f"would have said {verdict}, and is only tried out (audit)" for verdict in VERDICTS
}


class ReadyFrame(NamedTuple):
    """A frame made ready for many decisions: what was granted, and the layers that hold in it."""

    scope: ReadyScope
    layers: tuple[ReadyLayer, ...]


def ready_frame(scope: FrameScope, layers: Iterable[Layer]) -> ReadyFrame:
    """Return a frame made ready for many decisions."""
    return ReadyFrame(ReadyScope(scope), tuple(ReadyLayer(layer) for layer in layers))


class Said(msgspec.Struct, frozen=True, gc=False, eq=False):
    """What one layer said about one atom; a limit is about the request as a whole and has no sight."""

    layer: ReadyLayer
    sight: Sight | None
    answer: Answer


class Judgement(msgspec.Struct, frozen=True, gc=False, eq=False):
    """The answer to one request. Its explanation is put together when it is asked for.

    `broken` is the invariant that it breaks; without one, `said` is what all layers said about all atoms, and
    `reported` is what decided.
    """

    request: Request
    kind: ActionKind | None
    level: int
    broken: Broken | None
    said: Sequence[Said] = ()
    reported: Said | None = None

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
        if self.reported is None:
            return (self.broken or NO_POLICY).rule_id
        decider = self.reported.answer.rule or self.reported.answer.limit
        return DEFAULT_IDS[self.level] if decider is None else decider.id

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
        return {tag for said in self.said if (rule := said.answer.rule) is not None for tag in rule.risk_tags}

    def asking(self) -> list[Asking]:
        """Return everything that asks for a person, as `layer:id`, with whether the answer may be remembered."""
        asking: dict[str, bool] = {}
        if self.level == CONFIRM:
            for said in self.said:
                if said.answer.level == CONFIRM:
                    for cited, kept in _asking(said):
                        asking[cited] = kept and asking.get(cited, True)
        return list(asking.items())

    @property
    def rememberable(self) -> bool:
        """Whether a person's answer may be remembered: every rule that asks lets it, and nothing unknown decided."""
        return self.level == CONFIRM and not self.by_missing_fact and all(kept for _, kept in self.asking())

    def reason(self) -> str:
        """Return the sentence that says why."""
        if self.reported is None:
            return (self.broken or NO_POLICY).reason
        name, limit, rule = self.reported.layer.name, self.reported.answer.limit, self.rule
        if limit is not None:
            return limit.reason or f"over the limit `{limit.id}` of `{name}`: at most {limit.max}"
        if rule is not None:
            return rule.reason or f"rule `{rule.id}` of `{name}`"
        if self.level == DENY:
            return f"no rule of `{name}` allows {self.request.action}: what is not allowed is denied"
        word = "asked about" if self.level == CONFIRM else "allowed"
        return f"no rule of `{name}` is about it: {self.request.action} is {word} by default"

    def reason_code(self) -> ReasonCode | None:
        """Return the short code of a denial."""
        if self.level != DENY:
            return None
        return "policy" if self.rule is None else self.rule.code

    def missing_facts(self) -> list[str]:
        """Return what was not known and would have told whether some rule matches."""
        found = [fact for said in self.said if _leaves_open(said.answer) for fact in _missing(said)]
        return list(dict.fromkeys(found))

    def matched(self) -> list[str]:
        """Return every rule that matched, as `layer:id`."""
        answers = [said.answer for said in self.said if said.answer.known_rows]
        cited = [one.program.cited[number] for one in answers if one.program for number in numbers_of(one.known_rows)]
        return list(dict.fromkeys(cited))

    def lost(self) -> list[LostRule]:
        """Return the rules that matched, or may have matched, and did not decide, each with why."""
        answers = [said.answer for said in self.said if said.answer.known_rows or said.answer.maybe_rows]
        if not answers:
            return []
        deciding = f"{self.layer}:{self.rule_id}"
        why = self._why_lost(deciding)
        lost: dict[str, LostRule] = {}
        for answer in answers:
            program, known = answer.program, answer.known_rows
            if program is None:
                continue
            # In version 1.0 what stands behind the first match has no say.
            late = -(2 * (known & -known)) if program.first_match else 0
            for number in numbers_of(known | answer.maybe_rows):
                cited, rule = program.cited[number], program.rules[number]
                if cited != deciding and cited not in lost:
                    reason = _LATE if late >> number & 1 else why[rule.decision]
                    lost[cited] = LostRule(cited, _AUDIT[rule.decision] if rule.mode == "audit" else reason)
        return list(lost.values())

    def _why_lost(self, deciding: str) -> dict[Verdict, str]:
        same = f"says the same as `{deciding}`"
        return {
            verdict: same if level >= self.level else f"says {verdict}, `{deciding}` is stricter"
            for verdict, level in LEVEL.items()
        }

    def explained(self, *, risk_tags: tuple[str, ...], policy_digest: str = "", approval_id: str = "") -> Decision:
        """Return the decision as it is recorded."""
        asking = self.asking()
        by_missing_fact = self.by_missing_fact
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
            by_missing_fact=by_missing_fact,
            by_default=self.by_default,
            confirm_rules=tuple([rule for rule, _ in asking]),
            rememberable=self.level == CONFIRM and not by_missing_fact and all(kept for _, kept in asking),
            approval_id=approval_id,
            policy_digest=policy_digest,
        )


def judge(frames: Sequence[ReadyFrame], request: Request) -> Judgement:
    """Return the answer to a request. Frame 0 is the session; a subagent in it appends a frame."""
    kind = kind_named(request.action)
    if not frames or not frames[0].layers:
        return Judgement(request, kind, DENY, NO_POLICY)
    broken = find_broken_request(request)
    if broken is not None or kind is None:
        return Judgement(request, kind, DENY, broken)
    atoms = atoms_of(kind, request)
    for scope, _ in frames:
        for atom in atoms:
            broken = find_broken_atom(atom, scope)
            if broken is not None:
                return Judgement(request, kind, DENY, broken)
    said = _said(frames, request, kind, atoms)
    reported = decisive(said)
    return Judgement(request, kind, reported.answer.level, None, said, reported)


def decisive(said: Sequence[Said]) -> Said:
    """Return the strictest; of those that are as strict the first that is certain, and else the first."""
    best = said[0]
    for one in said:
        answer, level = one.answer, best.answer.level
        if answer.level > level or (answer.level == level and answer.known and not best.answer.known):
            best = one
    return best


def _said(frames: Sequence[ReadyFrame], request: Request, kind: ActionKind, atoms: Sequence[Atom]) -> list[Said]:
    """Return what all layers say: the outermost frame's first, and of each layer first the rules, then the limits."""
    said: list[Said] = []
    for scope, layers in frames:
        sights = [Sight(atom, scope) for atom in atoms]
        for layer in layers:
            answer = layer.program(kind).answer
            said += [Said(layer, sight, answer(sight)) for sight in sights]
            if layer.has_limits:
                items = 1 if request.items is UNSET or request.items is None else len(request.items)
                said += [Said(layer, None, exceeded) for exceeded in layer.exceeded(kind, request, items)]
    return said


def _asking(said: Said) -> Iterable[Asking]:
    answer = said.answer
    if answer.program is not None:
        return answer.program.asking(answer)
    return [] if answer.limit is None else [(f"{said.layer.name}:{answer.limit.id}", False)]


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


def _leaves_open(answer: Answer) -> bool:
    return answer.maybe_rows != 0 or not answer.known


def _missing(said: Said) -> Iterator[str]:
    answer = said.answer
    if answer.limit is not None and not answer.known:
        yield "cost" if answer.limit.unit else "usage"
    if answer.maybe_rows and answer.program is not None and said.sight is not None:
        for condition in answer.program.unknown_conditions(answer.maybe_rows, said.sight):
            yield FACT_OF_CONDITION[condition]
