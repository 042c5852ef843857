"""Which rules history had a use for: counted with a few additions for each decision, and spelt out at the end."""

from collections import Counter
from collections.abc import Iterable

from ..domain.policy_decision import DEFAULT_IDS, Judgement
from ..domain.policy_document import Layer
from ..domain.policy_layer import LEVEL, Program, ReadyLayer
from .backtest_report import RuleUse


class RuleUses:
    """Counts for each rule of the watched documents how many decisions it matched, and how many it decided.

    A document is counted once, under whichever name a session has it.
    """

    def __init__(self, watched: Iterable[Layer] = ()) -> None:
        self._documents: dict[str, Layer] = {}
        self._digests: dict[ReadyLayer, str] = {}
        self._rows: Counter[tuple[str, Program, int]] = Counter()
        self._decided: Counter[tuple[str, str]] = Counter()
        for layer in watched:
            self._documents.setdefault(layer.digest, layer)

    def watch(self, ready: ReadyLayer, layer: Layer) -> None:
        """Count for this layer. `layer` is the one under whose name its document is reported."""
        if ready not in self._digests:
            self._digests[ready] = layer.digest
            self._documents.setdefault(layer.digest, layer)

    def count(self, judgement: Judgement) -> None:
        """Count one decision."""
        last: ReadyLayer | None = None
        program: Program | None = None
        rows = 0
        for said in judgement.said:
            answer = said.answer
            if answer.program is None or not answer.known_rows or said.layer not in self._digests:
                continue
            if said.layer is last:
                rows |= answer.known_rows
                continue
            self._note(last, program, rows)
            last, program, rows = said.layer, answer.program, answer.known_rows
        self._note(last, program, rows)
        if judgement.reported is not None:
            digest = self._digests.get(judgement.reported.layer)
            if digest is not None:
                self._decided[digest, judgement.rule_id] += 1

    def _note(self, layer: ReadyLayer | None, program: Program | None, rows: int) -> None:
        if layer is not None and program is not None:
            self._rows[self._digests[layer], program, rows] += 1

    def uses(self) -> list[RuleUse]:
        """Return every rule, limit and used fallback of the watched documents, in their order."""
        matched: Counter[tuple[str, str]] = Counter()
        for (digest, program, mask), count in self._rows.items():
            for rule in program.rules_of(mask):
                matched[digest, rule.id] += count
        found: list[RuleUse] = []
        for digest, layer in self._documents.items():
            document = layer.document
            entries = [(rule.id, str(rule.decision)) for rule in document.rules]
            entries += [(limit.id, limit.on_exceed) for limit in document.limits]
            fallback = document.defaults.fallback
            entries.append((DEFAULT_IDS[LEVEL[fallback]], fallback))
            limits = {limit.id for limit in document.limits}
            for name, verdict in entries:
                decided = self._decided[digest, name]
                count = decided if name in limits else max(matched[digest, name], decided)
                found.append(RuleUse(rule=f"{layer.name}:{name}", verdict=verdict, matched=count, decided=decided))
        return found

    def never_hit(self) -> list[str]:
        """Return the rules of the watched documents (not limits, not fallbacks) that no decision matched."""
        rules = {f"{layer.name}:{rule.id}" for layer in self._documents.values() for rule in layer.document.rules}
        return [use.rule for use in self.uses() if use.rule in rules and not use.matched]
