"""What a lint knows of one layer: the formulas of its rules, kind by kind, and what each judged request showed."""

from collections.abc import Callable, Sequence

import msgspec

from .action import ActionKind
from .policy_atom import MOVES
from .policy_decision import Judgement
from .policy_document import ALIASES, KINDS, Layer, Rule
from .policy_encoding import Decider, EncodedLayer
from .policy_layer import CONFIRM, DENY, ReadyLayer
from .policy_question import KindModel, NotSettled, Searches
from .policy_request import FrameScope, Request
from .policy_solver import FALSE, TRUE, Literal
from .policy_witness import Witness, judged, witness_of


class Shown(msgspec.Struct):
    """What requests have shown of one rule: that the answer depends on it, that it decides, matches, or is too late."""

    makes_difference: bool = False
    decides: Witness | None = None
    matches: Witness | None = None
    overridden: tuple[Witness, Rule] | None = None
    ordered: tuple[Witness, Rule] | None = None


class LayerKind:
    """One layer's rules for one kind of action, as formulas."""

    def __init__(self, ready: ReadyLayer, kind: ActionKind, searches: Searches) -> None:
        self.kind: ActionKind = kind
        self.model = KindModel(kind, searches)
        self.encoded: EncodedLayer = self.model.layer(ready)
        self.first_match = ready.program(kind).first_match
        self.rows: tuple[Decider, ...] = self.encoded.deciders
        self.places = {row.rule.id: number for number, row in enumerate(self.rows) if row.rule is not None}
        has_exact = any(kind in rule.actions for rule in ready.layer.document.rules)
        self._named = {
            row.rule.id: kind in row.rule.actions or (not has_exact and ALIASES.get(kind) in row.rule.actions)
            for row in self.rows
            if row.rule is not None
        }
        self._named_count = sum(kind in rule.actions for rule in ready.layer.document.rules)
        self._after: list[tuple[Literal, Literal]] = []
        self._before: list[dict[tuple[bool, int], Literal]] = []

    def is_same_group(self, one: Rule, other: Rule) -> bool:
        """Whether it is the order in the document that says which of two rules is asked first."""
        return self._named[one.id] == self._named[other.id]

    def brings_back_alias(self, rule: Rule) -> bool:
        """Whether without the rule others would be asked, which are for kinds that nothing names."""
        return self.first_match and self.kind in ALIASES and self._named_count == 1 and self.kind in rule.actions

    def difference(self, rule: Rule) -> list[Literal]:
        """Return goals: the rule decides, and what would decide without it says something else."""
        if not self._after:
            self._after = self._rests()
        place = self.places[rule.id]
        row = self.rows[place]
        asks, denies = self._after[place + 1]
        same = (asks ^ 1, self.model.circuit.all_of((asks, denies ^ 1)), denies)[row.level]
        return [row.decides, same ^ 1]

    def _rests(self) -> list[tuple[Literal, Literal]]:
        """Return what the rows from each on say: the literals "at least asks" and "denies"."""
        circuit = self.model.circuit
        rests = [(FALSE, FALSE)]
        for row in reversed(self.rows):
            asks, denies = rests[-1]
            rests.append(
                (
                    circuit.any_of((row.matches, asks))
                    if row.level >= CONFIRM
                    else circuit.all_of((row.matches ^ 1, asks)),
                    circuit.any_of((row.matches, denies))
                    if row.level == DENY
                    else circuit.all_of((row.matches ^ 1, denies)),
                )
            )
        return rests[::-1]

    def decision(self, rule: Rule) -> list[Literal]:
        """Return goals: the rule decides, alone or (1.1) beside others that say the same."""
        row = self.rows[self.places[rule.id]]
        if self.first_match:
            return [row.decides]
        return [row.matches, (self.encoded.asks ^ 1, self.encoded.denies ^ 1, TRUE)[row.level]]

    def lateness(self, rule: Rule, *, weaker: bool) -> list[Literal]:
        """Return goals: the rule matches, and an earlier one decides that is weaker; else one in the same group."""
        if not self._before:
            self._before = self._firsts()
        place = self.places[rule.id]
        row, named, table = self.rows[place], self._named[rule.id], self._before[place]
        if weaker:
            earlier = [table[group, level] for group in (True, False) for level in range(row.level)]
        else:
            earlier = [table[named, level] for level in range(3) if level != row.level]
        return [row.matches, self.model.circuit.any_of(earlier)]

    def _firsts(self) -> list[dict[tuple[bool, int], Literal]]:
        """Return for each row the literals "a row before it decides", by group and answer."""
        table = {(group, level): FALSE for group in (True, False) for level in range(3)}
        found: list[dict[tuple[bool, int], Literal]] = []
        for row in self.rows:
            found.append(table)
            if row.rule is not None:
                key = (self._named[row.rule.id], row.level)
                table = {**table, key: self.model.circuit.any_of((table[key], row.decides))}
        return found


class LayerModel:
    """A layer's rules for all kinds, and what requests have shown of them."""

    def __init__(self, layer: Layer, searches: Searches) -> None:
        self.layer = layer
        # What a limit has counted has nothing to do with what a rule says.
        rules_alone = msgspec.structs.replace(layer.document, limits=())
        self.ready = ReadyLayer(msgspec.structs.replace(layer, document=rules_alone))
        self.searches = searches
        self.shown: dict[str, Shown] = {rule.id: Shown() for rule in layer.document.rules}
        self._kinds: dict[ActionKind, LayerKind] = {}
        self._reached: dict[str, list[ActionKind]] = {}

    def kind(self, kind: ActionKind) -> LayerKind:
        """Return the formulas of one kind of action."""
        known = self._kinds.get(kind)
        if known is None:
            known = self._kinds[kind] = LayerKind(self.ready, kind, self.searches)
        return known

    def kinds_of(self, rule: Rule) -> list[ActionKind]:
        """Return the kinds that can match the rule."""
        if not self._reached:
            for kind in KINDS:
                for one in self.ready.program(kind).rules:
                    self._reached.setdefault(one.id, []).append(kind)
        return self._reached.get(rule.id, [])

    def is_matched(self, judgement: Judgement, rule: Rule) -> bool:
        """Whether the rule matched a judged request."""
        return f"{self.layer.name}:{rule.id}" in judgement.matched()

    def find(
        self,
        rule: Rule,
        goals: Callable[[LayerKind], Sequence[Literal]],
        confirm: Callable[[LayerKind, Judgement], bool],
    ) -> Witness | NotSettled | None:
        """Return a request of any kind that the rule can match for which the goals hold, and `confirm` says so."""
        unsettled: NotSettled | None = None
        for kind in self.kinds_of(rule):
            of_kind = self.kind(kind)

            def judge_it(request: Request, scope: FrameScope, of_kind: LayerKind = of_kind) -> Witness | None:
                judgement = judged([self.ready], request, scope)
                witness = witness_of(judgement, scope)
                self.learn(of_kind, judgement, witness)
                return witness if confirm(of_kind, judgement) else None

            found = of_kind.model.find(goals(of_kind), judge_it)
            if isinstance(found, Witness):
                return found
            unsettled = found or unsettled
        return unsettled

    def learn(self, of_kind: LayerKind, judgement: Judgement, witness: Witness) -> None:
        """Keep what a judged request shows of the rules that it matched (not of moves, which have two ends)."""
        if judgement.broken is not None or of_kind.kind in MOVES or judgement.by_missing_fact:
            return
        start = len(self.layer.name) + 1
        places = sorted(of_kind.places[one[start:]] for one in judgement.matched() if one[start:] in of_kind.places)
        for number, place in enumerate(places):
            row = of_kind.rows[place]
            assert row.rule is not None, "only rules have places"
            shown = self.shown[row.rule.id]
            shown.matches = shown.matches or witness
            if number == 0:
                shown.decides = shown.decides or witness
                after = of_kind.rows[places[1] if len(places) > 1 else -1]
                shown.makes_difference = shown.makes_difference or after.level != row.level
            elif of_kind.first_match:
                first = of_kind.rows[places[0]]
                if first.rule is not None and first.level != row.level:
                    self._learn_of_pair(of_kind, first, row, shown, witness)

    def _learn_of_pair(self, of_kind: LayerKind, first: Decider, row: Decider, shown: Shown, witness: Witness) -> None:
        assert first.rule is not None, "the first is a rule"
        assert row.rule is not None, "the other is a rule"
        if first.level < row.level:
            shown.overridden = shown.overridden or (witness, first.rule)
        if of_kind.is_same_group(first.rule, row.rule):
            shown.ordered = shown.ordered or (witness, first.rule)
