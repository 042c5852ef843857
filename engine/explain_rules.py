"""What each rule about a kind of action has to say of one request: matched, may match, or which condition kept it."""

from collections.abc import Iterator, Sequence
from typing import Literal, TypeAlias

import msgspec

from ..domain.action import ActionKind
from ..domain.policy_atom import Atom, Sight, atoms_of
from ..domain.policy_decision import Decision
from ..domain.policy_document import ALIASES, Conditions, Layer, Rule, Verdict, kinds_named, layer_of_rules
from ..domain.policy_frame import ReadyScope
from ..domain.policy_layer import DENY, ReadyLayer
from ..domain.policy_request import Request

Holds: TypeAlias = Literal["yes", "no", "unknown"]
RuleState: TypeAlias = Literal["decided", "matched", "may match", "not matched", "excepted", "passed over"]
"""`excepted`: an `unless` keeps it from matching. `passed over`: version 1.0, where another rule names the kind."""


class RuleNote(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A rule (`layer:id`) that names the kind. `about` is the place, host or command that it was held against.

    `refuted` are the keys of the conditions that do not hold, `unknown` those that can't be told.
    """

    rule: str
    verdict: Verdict
    state: RuleState
    about: str = ""
    refuted: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    audit: bool = False


class LimitNote(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A limit (`layer:id`) on the kind: how much was used (None: not known), and how much may be."""

    limit: str
    used: float | None
    max: float


def rule_notes(
    layers: Sequence[Layer], scope: ReadyScope, kind: ActionKind, request: Request, decision: Decision
) -> Iterator[RuleNote]:
    """Yield a note on each rule that names the kind, in the order of the layers and their documents."""
    sights = [(Sight(atom, scope), _about(atom)) for atom in atoms_of(kind, request)]
    for layer in layers:
        rules = layer.document.rules
        is_named = any(kind in rule.actions for rule in rules)
        for rule in rules:
            cited = f"{layer.name}:{rule.id}"
            if layer.document.version == "1.0" and is_named and ALIASES.get(kind) in rule.actions:
                yield RuleNote(rule=cited, verdict=rule.decision, state="passed over")
            elif _is_about(layer, rule, kind):
                notes = [_note(cited, rule, kind, sight, about) for sight, about in sights]
                note = min(notes, key=lambda one: (_ORDER[one.state], len(one.refuted)))
                decides = (decision.layer, decision.rule_id) == (layer.name, rule.id)
                yield msgspec.structs.replace(note, state="decided") if decides else note


_ORDER: dict[RuleState, int] = {"matched": 0, "may match": 1, "excepted": 2, "not matched": 3}


def _is_about(layer: Layer, rule: Rule, kind: ActionKind) -> bool:
    if layer.document.version == "1.0" and ALIASES.get(kind) in rule.actions:
        return True
    return kind in kinds_named(rule.actions)


def _note(cited: str, rule: Rule, kind: ActionKind, sight: Sight, about: str) -> RuleNote:
    found = [(key, holds(kind, one, sight)) for key, one in _single(rule.when)]
    refuted = tuple(key for key, answer in found if answer == "no")
    unknown = tuple(key for key, answer in found if answer == "unknown")
    exceptions = {holds(kind, one, sight) for one in rule.unless}
    state: RuleState = "may match" if unknown else "matched"
    if refuted:
        state = "not matched"
    elif "yes" in exceptions:
        state, refuted = "excepted", ("unless",)
    elif "unknown" in exceptions:
        state, unknown = "may match", (*unknown, "unless")
    return RuleNote(
        rule=cited,
        verdict=rule.decision,
        state=state,
        about=about,
        refuted=refuted,
        unknown=unknown,
        audit=rule.mode == "audit",
    )


def _single(conditions: Conditions) -> list[tuple[str, Conditions]]:
    """Return each condition that is given, alone, under its key in a document."""
    values = {name: value for name, value in msgspec.structs.asdict(conditions).items() if value is not None}
    keys = dict(zip(Conditions.__struct_fields__, Conditions.__struct_encode_fields__, strict=True))
    return [(keys[name], Conditions(**{name: value})) for name, value in values.items()]


def holds(kind: ActionKind, conditions: Conditions, sight: Sight) -> Holds:
    """Return whether all the conditions hold, as the evaluator itself sees it."""
    asked = layer_of_rules("asked", (Rule("asked", kind, "deny", conditions),), "allow")
    answer = ReadyLayer(asked).answer(sight)
    if answer.level != DENY:
        return "no"
    return "yes" if answer.known else "unknown"


def _about(atom: Atom) -> str:
    if atom.command is not None:
        return " ".join(atom.command)
    if atom.places:
        return atom.places[0][1]
    return atom.request.host or atom.request.tool or ""


def limit_notes(layers: Sequence[Layer], kind: ActionKind, request: Request) -> Iterator[LimitNote]:
    """Yield a note on each limit that counts the kind."""
    for layer in layers:
        for limit in layer.document.limits:
            if kind in kinds_named(limit.actions):
                used = (request.usage or {}).get(limit.id)
                yield LimitNote(limit=f"{layer.name}:{limit.id}", used=used, max=limit.max)
