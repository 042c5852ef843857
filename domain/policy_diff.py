"""What a change of policy would change: for each pair of old and new rules one request that they answer differently.

Where nothing is found and nothing is left open, the two are proved to answer every request alike.
"""

from collections.abc import Iterator, Sequence
from typing import Final, Literal, TypeAlias

import msgspec

from .action import ActionKind
from .policy_decision import Judgement
from .policy_document import ALIASES, KINDS, Layer, Rule, Verdict, kinds_named
from .policy_encoding import Decider, EncodedStack
from .policy_layer import ReadyLayer
from .policy_question import ASSUMPTIONS, KindModel, NotSettled, Searches
from .policy_request import FrameScope, Request
from .policy_solver import Literal as SolverLiteral
from .policy_witness import Witness, judged, witness_of

Becomes: TypeAlias = Literal["allowed", "asked", "denied"]
BECOMES: Final[dict[Verdict, Becomes]] = {"allow": "allowed", "allow_with_confirm": "asked", "deny": "denied"}
CHANGES_MAX: Final = 200
"""How many changes of one kind of action are listed."""


class Change(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Requests that get another answer: what decided before and what decides now (`layer:id`), and one of them.

    The witness carries the new answer. Of a move each end is compared by itself: the stricter one decides.
    """

    kind: ActionKind
    becomes: Becomes
    old_verdict: Verdict
    old_rule: str
    new_verdict: Verdict
    new_rule: str
    witness: Witness


class Unsettled(msgspec.Struct, frozen=True):
    """A part of a question that has no answer, and why."""

    kind: ActionKind
    why: str


class PolicyDiff(msgspec.Struct, frozen=True, rename="camel"):
    """How two stacks of layers differ.

    `equivalent`: proved to give every request the same answer. `limits` are sentences about limits that differ;
    `notes` about rules that answer as before and say something else beside it (tags, reasons, what is remembered).
    """

    equivalent: bool
    changes: tuple[Change, ...]
    unsettled: tuple[Unsettled, ...]
    limits: tuple[str, ...]
    notes: tuple[str, ...]
    assumptions: tuple[str, ...] = ASSUMPTIONS

    def becoming(self, becomes: Becomes) -> tuple[Change, ...]:
        """Return what becomes allowed, asked about, or denied."""
        return tuple(change for change in self.changes if change.becomes == becomes)


def diff_layers(old: Sequence[Layer], new: Sequence[Layer]) -> PolicyDiff:
    """Return how two stacks of layers differ."""
    limits = tuple(_differing_limits(old, new))
    old_ready, new_ready = [ReadyLayer(layer) for layer in old], [ReadyLayer(layer) for layer in new]
    searches = Searches()
    changes: list[Change] = []
    unsettled: list[Unsettled] = []
    for kind in KINDS:
        if _may_differ(kind, old, new):
            comparison = _Comparison(kind, old_ready, new_ready, searches)
            unsettled += comparison.run(changes)
    is_equivalent = not changes and not unsettled and not limits
    return PolicyDiff(is_equivalent, tuple(changes), tuple(unsettled), limits, tuple(_notes(old, new)))


class _Comparison:
    """Two stacks of layers, asked about one kind of action."""

    def __init__(
        self, kind: ActionKind, old: Sequence[ReadyLayer], new: Sequence[ReadyLayer], searches: Searches
    ) -> None:
        self.kind: ActionKind = kind
        self._model = KindModel(kind, searches)
        self._ready = (old, new)
        self._stacks = (self._model.stack(old), self._model.stack(new))
        self._seen: set[tuple[str, str]] = set()

    def run(self, changes: list[Change]) -> Iterator[Unsettled]:
        """Add every change to the list, and yield what can't be settled."""
        old, new = self._stacks
        goals = [self._differs(old, new), *self._model.within_limits()]
        for _ in range(CHANGES_MAX):
            found = self._model.find(goals, self._compare)
            if found is None:
                return
            if isinstance(found, NotSettled):
                yield Unsettled(self.kind, found.why)
                return
            change, pair = found
            changes.append(change)
            self._seen.add((change.old_rule, change.new_rule))
            if len(pair) == 2:
                goals.append(self._model.circuit.all_of(pair) ^ 1)
        yield Unsettled(self.kind, f"there are more than {CHANGES_MAX} pairs of rules that answer differently")

    def _differs(self, old: EncodedStack, new: EncodedStack) -> SolverLiteral:
        circuit = self._model.circuit
        return circuit.any_of(
            circuit.all_of(pair)
            for one, other in ((old.asks, new.asks), (old.denies, new.denies))
            for pair in ((one, other ^ 1), (one ^ 1, other))
        )

    def _compare(self, request: Request, scope: FrameScope) -> tuple[Change, list[SolverLiteral]] | None:
        """Return the change that a request shows, with the literals of the pair that decides."""
        before, after = (judged(ready, request, scope) for ready in self._ready)
        if before.broken is not None or after.broken is not None or before.level == after.level:
            return None
        was, now = witness_of(before, scope), witness_of(after, scope)
        if (was.rule, now.rule) in self._seen:
            return None
        change = Change(
            kind=self.kind,
            becomes=BECOMES[now.verdict],
            old_verdict=was.verdict,
            old_rule=was.rule,
            new_verdict=now.verdict,
            new_rule=now.rule,
            witness=now,
        )
        deciders = (
            _decider_of(stack, judged_so) for stack, judged_so in zip(self._stacks, (before, after), strict=True)
        )
        return change, [one.decides for one in deciders if one is not None]


def _decider_of(stack: EncodedStack, judgement: Judgement) -> Decider | None:
    """Return what decided a judged request."""
    for one in stack.deciders:
        is_same = one.layer == judgement.layer and one.level == judgement.level and one.rule is judgement.rule
        if is_same and (one.limit is None or one.limit.id == judgement.rule_id):
            return one
    return None


# What can be told from the documents themselves ----------------------------------------------------------------------


def _may_differ(kind: ActionKind, old: Sequence[Layer], new: Sequence[Layer]) -> bool:
    """Whether the documents leave it open that an action of the kind is answered differently."""
    if len(old) != len(new):
        return True
    for before, after in zip(old, new, strict=True):
        was, now = before.document, after.document
        if (was.version, was.defaults) != (now.version, now.defaults) or before.name != after.name:
            return True
        if [rule for rule in was.rules if _is_about(rule, kind)] != [
            rule for rule in now.rules if _is_about(rule, kind)
        ]:
            return True
    return False


def _is_about(rule: Rule, kind: ActionKind) -> bool:
    """Whether a rule can be asked about the kind, or keeps others from being asked about it."""
    return kind in kinds_named(rule.actions) or ALIASES.get(kind) in rule.actions


def _differing_limits(old: Sequence[Layer], new: Sequence[Layer]) -> Iterator[str]:
    was = {(layer.name, limit.id): limit for layer in old for limit in layer.document.limits}
    now = {(layer.name, limit.id): limit for layer in new for limit in layer.document.limits}
    for key in dict.fromkeys((*was, *now)):
        name = f"limit `{key[1]}` of `{key[0]}`"
        if key not in now:
            yield f"{name} is gone"
        elif key not in was:
            yield f"{name} is new: at most {now[key].max:g}, then {now[key].on_exceed}"
        elif was[key] != now[key]:
            before, after = (f"at most {one[key].max:g}, then {one[key].on_exceed}" for one in (was, now))
            yield f"{name} differs: was {before}; is {after}"


_BESIDE: Final = ("risk_tags", "remember", "reason", "code", "mode")


def _notes(old: Sequence[Layer], new: Sequence[Layer]) -> Iterator[str]:
    was = {(layer.name, rule.id): rule for layer in old for rule in layer.document.rules}
    for layer in new:
        for rule in layer.document.rules:
            before = was.get((layer.name, rule.id))
            if before is None or before == rule:
                continue
            one, other = msgspec.structs.asdict(before), msgspec.structs.asdict(rule)
            for key in _BESIDE:
                if one[key] != other[key]:
                    yield f"rule `{rule.id}` of `{layer.name}`: {key.replace('_', ' ')} differs"
