"""A lint of policy: rules that do nothing, rules that come too late, and documents that hold nothing back.

Every finding that names a request was confirmed by the evaluator; every "never" is proved under `ASSUMPTIONS`; what
is neither is a finding of its own with the status `not settled`.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from .action import ActionKind
from .policy_atom import MOVES
from .policy_decision import Judgement
from .policy_document import KINDS, Conditions, Layer, Rule
from .policy_encoding import EncodedStack, is_always_exceeded
from .policy_finding import Finding, FindingCode, LintReport, Severity, listed, shown_request
from .policy_invariant import kind_named
from .policy_layer import CONFIRM, LEVEL, ReadyLayer
from .policy_lint_model import LayerKind, LayerModel
from .policy_lint_reason import dead_patterns, why_dead
from .policy_question import ASSUMPTIONS, KindModel, NotSettled, Searches
from .policy_request import FrameScope, Request
from .policy_solver import Literal
from .policy_witness import Witness, judged, witness_of

RISKY: Final[tuple[ActionKind, ...]] = ("shell.exec", "code.run", "network.request")
"""Kinds that a person should be asked about."""

_SHADOWS_MAX: Final = 3


def lint_layers(layers: Sequence[Layer]) -> LintReport:
    """Return what there is to say of layers, each by itself and all together."""
    searches = Searches()
    models = [LayerModel(layer, searches) for layer in layers]
    findings = [finding for model in models for finding in _findings_of_layer(model)]
    findings += _findings_of_stack(models, searches)
    return LintReport(tuple(findings), ASSUMPTIONS)


def _findings_of_layer(model: LayerModel) -> Iterator[Finding]:
    for rule in model.layer.document.rules:
        yield from _findings_of_rule(model, rule)
    for rule in model.layer.document.rules:
        yield from _findings_of_members(model, rule)
    for limit in model.layer.document.limits:
        if is_always_exceeded(limit):
            sentence = (
                f"limit `{limit.id}` is exceeded by the first request already: it answers {limit.on_exceed} always"
            )
            yield _finding(model, (limit.id,), "limit-always-exceeded", "warning", sentence, None)


def _findings_of_rule(model: LayerModel, rule: Rule) -> Iterator[Finding]:
    shown = model.shown[rule.id]
    if rule.mode == "audit" and model.layer.document.version != "1.0":
        if _find_match(model, rule) is None:
            yield _dead(model, rule)
        return
    is_open: NotSettled | None = None
    if not shown.makes_difference:
        found = model.find(rule, lambda kind: kind.difference(rule), lambda _, judgement: judgement.rule is rule)
        is_open = found if isinstance(found, NotSettled) else None
        if found is None or is_open is not None:
            yield from _findings_of_idle(model, rule, is_open)
    if model.layer.document.version == "1.0":
        yield from _findings_of_order(model, rule)


def _findings_of_idle(model: LayerModel, rule: Rule, is_open: NotSettled | None) -> Iterator[Finding]:
    """Yield what is to be said of a rule without which no answer is known to be another."""
    decides = model.shown[rule.id].decides or model.find(
        rule,
        lambda kind: kind.decision(rule),
        lambda kind, judgement: _is_decided_so(model, kind, judgement, rule),
    )
    if isinstance(decides, Witness):
        if is_open is not None:
            yield _open(model, rule, "redundant-rule", is_open)
        elif not rule.risk_tags and rule.remember and not _brings_back_alias(model, rule):
            yield _redundant(model, rule, decides)
        return
    matches = _find_match(model, rule)
    unsettled = is_open or (decides if isinstance(decides, NotSettled) else None)
    if isinstance(matches, NotSettled):
        yield _open(model, rule, "dead-rule", matches)
    elif matches is None:
        yield _dead(model, rule)
    elif unsettled is not None:
        yield _open(model, rule, "never-decides", unsettled)
    else:
        yield _never_decides(model, rule, matches)


def _is_decided_so(model: LayerModel, kind: LayerKind, judgement: Judgement, rule: Rule) -> bool:
    """Whether the rule decided (in 1.1: matched, and the answer is its answer)."""
    if judgement.rule is rule:
        return True
    return not kind.first_match and model.is_matched(judgement, rule) and judgement.level == LEVEL[rule.decision]


def _find_match(model: LayerModel, rule: Rule) -> Witness | NotSettled | None:
    return model.shown[rule.id].matches or model.find(
        rule,
        lambda kind: [kind.model.matches(rule)],
        lambda _, judgement: model.is_matched(judgement, rule),
    )


def _brings_back_alias(model: LayerModel, rule: Rule) -> bool:
    return any(model.kind(kind).brings_back_alias(rule) for kind in model.kinds_of(rule))


def _never_decides(model: LayerModel, rule: Rule, witness: Witness) -> Finding:
    """Return the finding of a rule that matches and never decides, with the rules that do."""
    if model.layer.document.version != "1.0":
        code: FindingCode = "overridden-everywhere"
        why = "wherever it matches, a stricter rule matches too"
    else:
        code = "deny-never-bites" if rule.decision == "deny" else "never-decides"
        why = "wherever it matches, an earlier rule has answered"
    shadows = _shadows(model, rule, witness)
    weaker = LEVEL[witness.verdict] < LEVEL[rule.decision]
    severity: Severity = "error" if weaker or rule.decision == "deny" else "warning"
    sentence = (
        f"rule `{rule.id}` ({rule.decision}) never decides: {why} ({listed(shadows)}); "
        f"{shown_request(witness)} is answered {witness.verdict}"
    )
    return _finding(model, (rule.id, *shadows), code, severity, sentence, witness)


def _shadows(model: LayerModel, rule: Rule, witness: Witness) -> tuple[str, ...]:
    """Return some of the rules that decide where this one matches."""
    start = len(model.layer.name) + 1
    shadows = [witness.rule[start:]]
    for _ in range(_SHADOWS_MAX - 1):
        found = model.find(
            rule,
            lambda kind: [
                kind.model.matches(rule),
                *(row.decides ^ 1 for row in kind.rows if row.rule is not None and row.rule.id in shadows),
            ],
            lambda _, judgement: model.is_matched(judgement, rule) and judgement.rule_id not in shadows,
        )
        if not isinstance(found, Witness):
            break
        shadows.append(found.rule[start:])
    return tuple(shadows)


def _dead(model: LayerModel, rule: Rule) -> Finding:
    why, is_harmless = why_dead(model, rule)
    severity: Severity = "note" if is_harmless else "error" if rule.decision == "deny" else "warning"
    return _finding(model, (rule.id,), "dead-rule", severity, f"rule `{rule.id}` never matches: {why}", None)


def _redundant(model: LayerModel, rule: Rule, witness: Witness) -> Finding:
    sentence = (
        f"rule `{rule.id}` makes no difference: without it every answer is the same; {shown_request(witness)} "
        f"would still be answered {witness.verdict}"
    )
    return _finding(model, (rule.id,), "redundant-rule", "note", sentence, witness)


def _open(model: LayerModel, rule: Rule, code: FindingCode, unsettled: NotSettled) -> Finding:
    return Finding(
        code=code,
        severity="note",
        layer=model.layer.name,
        rules=(rule.id,),
        sentence=f"whether rule `{rule.id}` is one of these could not be settled: {unsettled.why}",
        status="not settled",
    )


def _finding(
    model: LayerModel,
    rules: tuple[str, ...],
    code: FindingCode,
    severity: Severity,
    sentence: str,
    witness: Witness | None,
) -> Finding:
    return Finding(
        code=code,
        severity=severity,
        layer=model.layer.name,
        rules=rules,
        kind=None if witness is None else kind_named(witness.request.action),
        sentence=sentence,
        witness=witness,
    )


# Order --------------------------------------------------------------------------------------------------------------


def _findings_of_order(model: LayerModel, rule: Rule) -> Iterator[Finding]:
    """Yield where a rule of version 1.0 comes too late."""
    shown = model.shown[rule.id]
    for weaker in (True, False):
        pair = shown.overridden if weaker else shown.ordered
        if pair is None:
            found = _find_late(model, rule, weaker=weaker)
            if isinstance(found, NotSettled):
                yield _open(model, rule, "overridden-by-weaker" if weaker else "order-dependent", found)
            if not isinstance(found, Witness):
                continue
            start = len(model.layer.name) + 1
            pair = (found, next(one for one in model.layer.document.rules if one.id == found.rule[start:]))
        yield _overridden(model, rule, *pair) if weaker else _ordered(model, rule, *pair)


def _find_late(model: LayerModel, rule: Rule, *, weaker: bool) -> Witness | NotSettled | None:
    return model.find(
        rule,
        lambda kind: kind.lateness(rule, weaker=weaker),
        lambda kind, judgement: _is_late(model, kind, judgement, rule, weaker=weaker),
    )


def _is_late(model: LayerModel, kind: LayerKind, judgement: Judgement, rule: Rule, *, weaker: bool) -> bool:
    first = judgement.rule
    if first is None or first is rule or not model.is_matched(judgement, rule):
        return False
    if kind.kind in MOVES and judgement.request.path != judgement.request.to_path:
        return False
    level = kind.rows[kind.places[rule.id]].level
    return judgement.level < level if weaker else judgement.level != level and kind.is_same_group(first, rule)


def _overridden(model: LayerModel, rule: Rule, witness: Witness, first: Rule) -> Finding:
    sentence = (
        f"rule `{rule.id}` ({rule.decision}) matches {shown_request(witness)}, which `{first.id}` answers "
        f"{witness.verdict} before it is asked"
    )
    return _finding(model, (rule.id, first.id), "overridden-by-weaker", "warning", sentence, witness)


def _ordered(model: LayerModel, rule: Rule, witness: Witness, first: Rule) -> Finding:
    sentence = (
        f"the order of `{first.id}` and `{rule.id}` matters: {shown_request(witness)} is answered {witness.verdict}, "
        f"and would not be if they changed places"
    )
    return _finding(model, (rule.id, first.id), "order-dependent", "note", sentence, witness)


# Members of lists ---------------------------------------------------------------------------------------------------


def _findings_of_members(model: LayerModel, rule: Rule) -> Iterator[Finding]:
    """Yield the exceptions and patterns of a rule that do nothing."""
    for pattern in dead_patterns(model, rule):
        sentence = f"`{pattern}` in rule `{rule.id}` can never match: no absolute path, name or host is written so"
        yield _finding(model, (rule.id,), "dead-pattern", "warning", sentence, None)
    if not rule.unless or _find_match(model, rule) is None:
        return
    for number, unless in enumerate(rule.unless):
        found = _find_exception(model, rule, unless)
        if isinstance(found, NotSettled):
            yield _open(model, rule, "dead-exception", found)
        elif found is None:
            sentence = f"exception {number + 1} of rule `{rule.id}` never applies: the rule matches nothing of the kind"
            yield _finding(model, (rule.id,), "dead-exception", "warning", sentence, None)


def _find_exception(model: LayerModel, rule: Rule, unless: Conditions) -> Witness | NotSettled | None:
    return model.find(
        rule,
        lambda kind: [kind.model.conditions(rule.when), kind.model.conditions(unless)],
        lambda _, judgement: judgement.broken is None and not model.is_matched(judgement, rule),
    )


# All layers together ------------------------------------------------------------------------------------------------


class _Stack:
    """All layers together, kind by kind."""

    def __init__(self, models: Sequence[LayerModel], searches: Searches) -> None:
        self.ready = [ReadyLayer(model.layer) for model in models]
        self._searches = searches
        self._kinds: dict[ActionKind, tuple[KindModel, EncodedStack]] = {}

    def kind(self, kind: ActionKind) -> tuple[KindModel, EncodedStack]:
        known = self._kinds.get(kind)
        if known is None:
            model = KindModel(kind, self._searches)
            known = self._kinds[kind] = (model, model.stack(self.ready))
        return known

    def find(
        self, kind: ActionKind, goals: Sequence[Literal], confirm: Callable[[Judgement], bool]
    ) -> Witness | NotSettled | None:
        model, _ = self.kind(kind)

        def judge_it(request: Request, scope: FrameScope) -> Witness | None:
            judgement = judged(self.ready, request, scope)
            return witness_of(judgement, scope) if judgement.broken is None and confirm(judgement) else None

        return model.find([*goals, *model.within_limits()], judge_it)

    def find_held_back(self, kind: ActionKind) -> Witness | NotSettled | None:
        """Return a request that is asked about or denied."""
        return self.find(kind, [self.kind(kind)[1].asks], lambda judgement: judgement.level >= CONFIRM)

    def find_allowed(self, kind: ActionKind) -> Witness | NotSettled | None:
        """Return a request that is allowed without asking."""
        return self.find(kind, [self.kind(kind)[1].asks ^ 1], lambda judgement: judgement.level < CONFIRM)


def _findings_of_stack(models: Sequence[LayerModel], searches: Searches) -> Iterator[Finding]:
    stack = _Stack(models, searches)
    name = models[0].layer.name if len(models) == 1 else ""
    if models and all(stack.find_held_back(kind) is None for kind in KINDS):
        sentence = "everything is allowed: nothing is asked about or denied, but by the invariants"
        yield Finding(code="allows-everything", severity="warning", layer=name, sentence=sentence)
    for kind in RISKY if models else ():
        found = stack.find_allowed(kind)
        if isinstance(found, Witness):
            sentence = f"{kind} is allowed without asking: {shown_request(found)}, by `{found.rule}`"
            yield Finding(
                code="allowed-unasked", severity="warning", layer=name, kind=kind, sentence=sentence, witness=found
            )
        elif found is not None:
            sentence = f"whether {kind} is allowed without asking could not be settled: {found.why}"
            yield Finding(code="allowed-unasked", severity="note", kind=kind, sentence=sentence, status="not settled")
    if len(models) > 1:
        for model in models:
            for rule in model.layer.document.rules:
                if rule.decision != "deny" and model.shown[rule.id].decides is not None:
                    yield from _findings_between(model, rule, stack)


def _has_its_way(cited: str, level: int) -> Callable[[Judgement], bool]:
    """Return the question whether a rule matched a request, and the answer is no stricter than the rule's."""
    return lambda judgement: judgement.level <= level and cited in judgement.matched()


def _findings_between(model: LayerModel, rule: Rule, stack: _Stack) -> Iterator[Finding]:
    """Yield that other layers overrule a rule wherever its own layer answers with it."""
    cited = f"{model.layer.name}:{rule.id}"
    unsettled: NotSettled | None = None
    for kind in model.kinds_of(rule):
        _, encoded = stack.kind(kind)
        own = next(one for part in encoded.layers for one in part.deciders if one.rule is rule)
        goals = [own.decides, (encoded.asks, encoded.denies)[own.level] ^ 1]
        found = stack.find(kind, goals, _has_its_way(cited, own.level))
        if isinstance(found, Witness):
            return
        unsettled = found or unsettled
    if unsettled is not None:
        yield _open(model, rule, "overridden-by-layers", unsettled)
        return
    witness = model.shown[rule.id].decides
    assert witness is not None, "it was looked for in rules that decide in their layer"
    judgement = judged(stack.ready, witness.request, witness.scope)
    sentence = (
        f"rule `{rule.id}` of `{model.layer.name}` ({rule.decision}) never has its way: wherever it decides there, "
        f"another layer is stricter; {shown_request(witness)} is answered {judgement.verdict}"
    )
    shown = witness_of(judgement, witness.scope)
    yield _finding(model, (rule.id,), "overridden-by-layers", "note", sentence, shown)
