"""The rules of layers, for one kind of action, as formulas over facts.

Each layer comes to a list of deciders in the order in which they decide: the first that matches does. For version 1.0
that is the document's own order (`policy_layer.py`); for 1.1 the strictest come first, which is the same as "the
strictest of all matching rules". The fallback is the last, and always matches. Over layers the strictest wins.

Which rules a kind can meet is the evaluator's answer (`Program.rules`), and so are the floors of version 1.0, which
facts a kind needs and which folder it may touch: they are asked of it here, not written down a second time.
"""

from bisect import bisect_left, insort
from collections.abc import Sequence
from functools import cache
from typing import Final

import msgspec

from .action import ActionKind
from .policy_circuit import Circuit, Fact
from .policy_column import ABOUT
from .policy_document import (
    CommandPattern,
    Conditions,
    Defaults,
    Limit,
    PolicyDocument,
    Rule,
    TimeWindow,
    ToolHint,
    Version,
    kinds_named,
    layer,
)
from .policy_invariant import find_broken_request
from .policy_layer import ALLOW, CONFIRM, DENY, LEVEL, ReadyLayer
from .policy_place_search import CROSSING, Place
from .policy_request import Request
from .policy_solver import FALSE, TRUE, Literal
from .policy_witness import Sketch, candidates, judged

PLACE: Final = Fact("place")
"""That the request has a path (kinds without one may: an upload has)."""


class Decider(msgspec.Struct, frozen=True, gc=False):
    """What can decide in a layer: a rule, a limit, or (neither given) the fallback.

    `matches` says that it matches, `decides` that the layer's answer is its. `level` is that answer.
    """

    layer: str
    level: int
    matches: Literal
    decides: Literal
    rule: Rule | None = None
    limit: Limit | None = None


class EncodedLayer(msgspec.Struct, frozen=True):
    """What a layer, or one of its limits, says: its deciders, and the literals "at least asks" and "denies"."""

    name: str
    deciders: tuple[Decider, ...]
    asks: Literal
    denies: Literal

    def at_least(self, level: int) -> Literal:
        """Return the literal of an answer as strict as the level."""
        return (TRUE, self.asks, self.denies)[level]


class EncodedStack:
    """Layers over each other: the strictest answer of all, given by the first layer that gives it."""

    def __init__(self, circuit: Circuit, layers: Sequence[EncodedLayer]) -> None:
        self.layers = tuple(layers)
        self.asks = circuit.any_of([one.asks for one in layers])
        self.denies = circuit.any_of([one.denies for one in layers])
        self.deciders: list[Decider] = []
        """Every decider with `decides` meaning that the whole answer is its."""
        for number, one in enumerate(self.layers):
            before = self.layers[:number]
            for decider in one.deciders:
                milder = [other.at_least(decider.level) ^ 1 for other in before]
                stricter = (self.asks ^ 1, self.denies ^ 1, TRUE)[decider.level]
                decides = circuit.all_of([decider.decides, stricter, *milder])
                if decides != FALSE:
                    self.deciders.append(msgspec.structs.replace(decider, decides=decides))

    def exactly(self, circuit: Circuit, level: int) -> Literal:
        """Return the literal of the answer."""
        return (self.asks ^ 1, circuit.all_of([self.asks, self.denies ^ 1]), self.denies)[level]


class Encoder:
    """Makes formulas of layers, all for one kind of action and over the same facts."""

    def __init__(self, kind: ActionKind) -> None:
        self.kind: ActionKind = kind
        self.circuit = Circuit()
        self.has_place = TRUE if needs_path(kind) else self._flag(PLACE)
        self.windows: dict[TimeWindow, None] = {}
        self.limits: dict[Limit, None] = {}
        self._conditions: dict[Conditions, Literal] = {}
        self._bounds: dict[str, list[float]] = {}
        self._taken: dict[object, Literal] = {}

    def stack(self, layers: Sequence[ReadyLayer]) -> EncodedStack:
        """Return what layers say together."""
        return EncodedStack(self.circuit, [part for one in layers for part in (self.layer(one), *self._limits_of(one))])

    def layer(self, ready: ReadyLayer) -> EncodedLayer:
        """Return what a layer says, its limits aside."""
        program = ready.program(self.kind)
        is_floored = program.first_match and has_floor(self.kind)
        fallback = LEVEL[ready.layer.document.defaults.fallback]
        rows: list[tuple[Rule, int]] = []
        for rule in program.rules:
            raised = CONFIRM if is_floored and self.kind not in rule.actions else ALLOW
            if program.first_match or rule.mode != "audit":
                rows.append((rule, max(LEVEL[rule.decision], raised)))
        if not program.first_match:
            rows.sort(key=lambda row: -row[1])
        deciders: list[Decider] = []
        rest = TRUE
        for rule, level in rows:
            matches = self.matches(rule)
            decides = self.circuit.all_of((rest, matches))
            deciders.append(Decider(ready.name, level, matches, decides, rule=rule))
            rest = self.circuit.all_of((rest, matches ^ 1))
        fallback = max(fallback, CONFIRM) if is_floored else fallback
        deciders.append(Decider(ready.name, fallback, TRUE, rest))
        return EncodedLayer(
            ready.name,
            tuple(deciders),
            self.circuit.any_of([one.decides for one in deciders if one.level >= CONFIRM]),
            self.circuit.any_of([one.decides for one in deciders if one.level == DENY]),
        )

    def _limits_of(self, ready: ReadyLayer) -> list[EncodedLayer]:
        """Return what the limits say that count the kind."""
        found: list[EncodedLayer] = []
        for limit in ready.layer.document.limits:
            if self.kind not in kinds_named(limit.actions):
                continue
            exceeded = TRUE if is_always_exceeded(limit) else self._flag(Fact("limit", limit.id))
            self.limits[limit] = None
            level = LEVEL[limit.on_exceed]
            decider = Decider(ready.name, level, exceeded, exceeded, limit=limit)
            found.append(EncodedLayer(ready.name, (decider,), exceeded, exceeded if level == DENY else FALSE))
        return found

    def within_limits(self) -> list[Literal]:
        """Return the literals that say that no limit is exceeded, but those that always are."""
        atoms = (self.circuit.find_atom(Fact("limit", limit.id)) for limit in self.limits)
        return [atom ^ 1 for atom in atoms if atom is not None]

    def matches(self, rule: Rule) -> Literal:
        """Return the formula of a rule's match: `when` holds and no member of `unless` does."""
        return self.circuit.all_of([self.conditions(rule.when), *(self.conditions(one) ^ 1 for one in rule.unless)])

    def conditions(self, conditions: Conditions) -> Literal:
        """Return the formula of conditions: all of them hold."""
        known = self._conditions.get(conditions)
        if known is None:
            wants = msgspec.structs.asdict(conditions).items()
            known = self.circuit.all_of([self._condition(field, value) for field, value in wants if value is not None])
            self._conditions[conditions] = known
        return known

    def _condition(self, field: str, value: object) -> Literal:
        if field in ABOUT and self.kind not in ABOUT[field]:
            return FALSE
        match value:
            case bool():
                return self._yes_or_no(field, is_wanted=value)
            case int() | float():
                return self._over(field, value)
            case TimeWindow():
                self.windows[value] = None
                return self._flag(Fact("time_window", value))
            case ToolHint():
                hints = msgspec.structs.asdict(value).items()
                said = [self._signed(Fact("hint", name), is_wanted=v) for name, v in hints if v is not None]
                return self.circuit.all_of(said)
            case tuple():
                return self._one_of(field, value)
            case _:
                raise AssertionError(field)

    def _yes_or_no(self, field: str, *, is_wanted: bool) -> Literal:
        match field:
            case "path_within_grant":
                # Invariants deny what lies outside every grant, before any rule is asked.
                return self.has_place if is_wanted else FALSE
            case "connector_scope_allowed":
                return TRUE if is_wanted else FALSE
            case "cross_root":
                return self._signed(CROSSING, is_wanted=is_wanted)
            case "path_within_output_root" | "hidden" | "sensitive" | "executed":
                return self.circuit.all_of((self.has_place, self._signed(Fact(field), is_wanted=is_wanted)))
            case _:
                return self._signed(Fact(field), is_wanted=is_wanted)

    def _one_of(self, field: str, members: Sequence[object]) -> Literal:
        match field:
            case "matches_pattern" | "extension_in":
                name = "glob" if field == "matches_pattern" else "extension"
                some = self.circuit.any_of([self._flag(Fact(name, str(member))) for member in members])
                return self.circuit.all_of((self.has_place, some))
            case "host_matches":
                return self.circuit.any_of([self._flag(Fact("host", str(member))) for member in members])
            case "tool_matches":
                return self.circuit.any_of([self._flag(Fact("tool", str(member))) for member in members])
            case "method_in":
                return self.circuit.any_of([self._word(field, str(member).upper()) for member in members])
            case "connector_in":
                return self.circuit.any_of([self._word(field, str(member)) for member in members if member])
            case "taint_in":
                return self.circuit.any_of([self._label(str(member)) for member in members])
            case _:
                return self.circuit.any_of([self._command(member) for member in members if isinstance(member, tuple)])

    def _flag(self, fact: Fact) -> Literal:
        return self.circuit.atom(fact)[0]

    def _signed(self, fact: Fact, *, is_wanted: bool) -> Literal:
        return self._flag(fact) if is_wanted else self._flag(fact) ^ 1

    def _over(self, field: str, bound: float) -> Literal:
        """Return the literal of a number over a bound. Numbers are not negative, and a batch has something in it."""
        if bound < (1 if field == "batch_count_greater_than" else 0):
            return TRUE
        literal, is_new = self.circuit.atom(Fact(field, bound))
        if is_new:
            bounds = self._bounds.setdefault(field, [])
            at = bisect_left(bounds, bound)
            if at > 0:
                self.circuit.solver.add((literal ^ 1, self._flag(Fact(field, bounds[at - 1]))))
            if at < len(bounds):
                self.circuit.solver.add((self._flag(Fact(field, bounds[at])) ^ 1, literal))
            insort(bounds, bound)
        return literal

    def _word(self, field: str, word: str) -> Literal:
        return self._exclusive(field, Fact(field, word))

    def _exclusive(self, group: object, fact: Fact) -> Literal:
        """Return the literal of a fact that excludes all others of its group."""
        literal, is_new = self.circuit.atom(fact)
        if is_new:
            taken = self._taken.get(group, FALSE)
            self.circuit.solver.add((taken ^ 1, literal ^ 1))
            self._taken[group] = self.circuit.any_of((taken, literal))
        return literal

    def _label(self, label: str) -> Literal:
        literal, is_new = self.circuit.atom(Fact("label", label))
        if is_new:
            self.circuit.solver.add((literal ^ 1, self._flag(Fact("tainted"))))
        return literal

    def _command(self, pattern: CommandPattern) -> Literal:
        tokens = ((place, (one,) if isinstance(one, str) else one) for place, one in enumerate(pattern))
        return self.circuit.all_of(
            [
                self.circuit.any_of([self._exclusive(("token", place), Fact("token", (place, one))) for one in options])
                for place, options in tokens
            ]
        )


def is_always_exceeded(limit: Limit) -> bool:
    """Whether a limit is exceeded by the first request already."""
    return limit.max < (0 if limit.unit else 1)


# What the evaluator says of a kind ----------------------------------------------------------------------------------


@cache
def needs_path(kind: ActionKind) -> bool:
    """Whether an action of the kind is refused without a path."""
    return find_broken_request(Request(action=kind, host="example.org", connector="c")) is not None


@cache
def is_inner(kind: ActionKind) -> bool:
    """Whether an action of the kind is refused for a granted folder itself."""
    return needs_path(kind) and _level(kind, "1.1", Place("/ws", "/ws")) == DENY


@cache
def has_floor(kind: ActionKind) -> bool:
    """Whether version 1.0 lets nothing but a rule that names the kind allow it."""
    return _level(kind, "1.0", Place("/ws/a", "/ws")) > ALLOW


def _level(kind: ActionKind, version: Version, place: Place) -> int:
    """Return the answer of a document that allows everything about a place."""
    allowing = layer("open", PolicyDocument(version=version, defaults=Defaults("allow")))
    request, scope = next(candidates(kind, Sketch({}, place=place)))
    return judged([ReadyLayer(allowing)], request, scope).level
