"""One layer made ready for many decisions: what its document answers about one atom in one frame.

Version 1.0: rules that name the kind, or where none does those that name its alias, then globs; the first match
decides. Version 1.1: the strictest of all matching rules. A rule that may match (a fact is unknown) never helps: it
counts as a candidate beside whatever is certain, and the strictest candidate is the answer.
"""

from collections.abc import Iterator
from typing import Final

import msgspec

from .action import ActionKind
from .policy_atom import Sight
from .policy_column import Column, Row, can_match, columns_of
from .policy_document import ALIASES, KINDS, VERDICTS, Layer, Limit, Rule, Verdict, names_kind
from .policy_request import Request

ALLOW, CONFIRM, DENY = range(3)
"""Verdicts as numbers, from the mildest to the strictest."""

LEVEL: Final[dict[Verdict, int]] = {verdict: level for level, verdict in enumerate(VERDICTS)}
FALLBACK: Final = "(fallback)"
"""How a document's fallback is cited among the rules that ask."""

_NEEDS_A_PERSON: Final[frozenset[ActionKind]] = frozenset(
    ("file.delete", "file.rename", "file.move", "shell.exec", "code.run", "subagent.spawn")
)
"""Kinds that an author of version 1.0 could not name: what reaches them by another name is at least asked about."""


class Answer(msgspec.Struct, frozen=True, gc=False):
    """What a layer answers. `rule` is None for the fallback; `known` is False where an unknown fact decided.

    `known_rows` and `maybe_rows` are the bits of all rules that match and that may match.
    """

    level: int
    rule: Rule | None
    known_rows: int = 0
    maybe_rows: int = 0
    program: "Program | None" = None
    limit: Limit | None = None
    known: bool = True


class Program:
    """The rules of one layer that can match one kind of action, in the order in which they are reported."""

    __slots__ = (
        "_audit",
        "_columns",
        "_excepted",
        "_exceptions",
        "_floor",
        "_has_floor",
        "_levels",
        "_rows",
        "first_match",
        "rules",
    )

    def __init__(self, layer: Layer, kind: ActionKind) -> None:
        self.first_match = layer.document.version == "1.0"
        self.rules, named = _in_order(layer, kind)
        rows: list[Row] = []
        self._exceptions: dict[int, int] = {}
        next_bit = 1 << len(self.rules)
        for number, rule in enumerate(self.rules):
            row = Row(1 << number, rule.when)
            rows.append(row)
            for unless in rule.unless:
                exception = Row(next_bit, unless)
                if can_match(exception, kind):
                    self._exceptions[row.bit] = self._exceptions.get(row.bit, 0) | next_bit
                    rows.append(exception)
                    next_bit <<= 1
        self._excepted = sum(self._exceptions)
        self._rows = next_bit - 1
        self._columns: tuple[Column, ...] = columns_of(rows)
        self._audit = sum(1 << n for n, rule in enumerate(self.rules) if rule.mode == "audit")
        self._levels = tuple(
            sum(1 << n for n, rule in enumerate(self.rules) if LEVEL[rule.decision] == level and rule.mode != "audit")
            for level in (ALLOW, CONFIRM, DENY)
        )
        # A rule reached by an alias or a glob, and the fallback, may not allow what the author could not name.
        self._has_floor = self.first_match and kind in _NEEDS_A_PERSON
        self._floor = ((1 << len(self.rules)) - 1) & ~named if self._has_floor else 0

    def ask(self, sight: Sight) -> tuple[int, int]:
        """Return the rows that match and those that may match, as two masks of the rules."""
        refuted = unknown = 0
        for column in self._columns:
            no, maybe = column.ask(sight)
            refuted |= no
            unknown |= maybe
        alive = self._rows & ~refuted
        known, open_rows = alive & ~unknown, alive & unknown
        if self._excepted & (known | open_rows):
            known, open_rows = self._without_exceptions(known, open_rows)
        every = (1 << len(self.rules)) - 1
        return known & every, open_rows & every

    def _without_exceptions(self, known: int, maybe: int) -> tuple[int, int]:
        left_known, left_maybe = known, maybe
        for bit, exceptions in self._exceptions.items():
            if exceptions & known:
                left_known &= ~bit
                left_maybe &= ~bit
            elif exceptions & maybe and left_known & bit:
                left_known &= ~bit
                left_maybe |= bit
        return left_known, left_maybe

    def answer(self, sight: Sight, fallback: int) -> Answer:
        """Return the layer's answer about the atom."""
        known, maybe = self.ask(sight)
        if self.first_match:
            return self._first(known, maybe, fallback)
        _allow, confirm, deny = self._levels
        enforced = known & ~self._audit
        possible = maybe & ~self._audit
        certain = DENY if known & deny else CONFIRM if known & confirm else ALLOW if enforced else fallback
        worst = DENY if possible & deny else CONFIRM if possible & confirm else ALLOW
        if possible and worst > certain:
            return Answer(worst, self._rule(possible & self._levels[worst]), known, maybe, self, known=False)
        rule = self._rule(known & self._levels[certain]) if enforced else None
        return Answer(certain, rule, known, maybe, self)

    def _first(self, known: int, maybe: int, fallback: int) -> Answer:
        """Return the first match's answer, or a stricter one of the rules before it that may match."""
        first = known & -known
        earlier = maybe & (first - 1) if first else maybe
        certain = self._raised(first) if first else max(fallback, CONFIRM) if self._has_floor else fallback
        worst, found = -1, 0
        for bit in _bits(earlier):
            if self._raised(bit) > worst:
                worst, found = self._raised(bit), bit
        if worst > certain:
            return Answer(worst, self._rule(found), known, maybe, self, known=False)
        return Answer(certain, self._rule(first) if first else None, known, maybe, self)

    def _raised(self, bit: int) -> int:
        level = LEVEL[self._rule(bit).decision]
        return max(level, CONFIRM) if bit & self._floor else level

    def _rule(self, mask: int) -> Rule:
        return self.rules[(mask & -mask).bit_length() - 1]

    def rules_of(self, mask: int) -> list[Rule]:
        """Return the rules of a mask, in the order in which they are reported."""
        return [self.rules[bit.bit_length() - 1] for bit in _bits(mask)]

    def refuting(self, rule: Rule, sight: Sight) -> list[str]:
        """Return the keys of the conditions that keep a rule from matching, `unless` where an exception does."""
        bit = 1 << self.rules.index(rule)
        keys = [column.condition for column in self._columns if column.ask(sight)[0] & bit]
        known, maybe = self.ask(sight)
        return keys or ([] if (known | maybe) & bit else ["unless"])

    def unknown_conditions(self, mask: int, sight: Sight) -> list[str]:
        """Return the keys of the conditions that leave rules of the mask open."""
        with_exceptions = mask
        for bit in _bits(mask):
            with_exceptions |= self._exceptions.get(bit, 0)
        return [column.condition for column in self._columns if column.ask(sight)[1] & with_exceptions]


def _in_order(layer: Layer, kind: ActionKind) -> tuple[tuple[Rule, ...], int]:
    """Return the rules that can match a kind, those that name it first, and the mask of those."""
    rules = layer.document.rules
    exact = [rule for rule in rules if kind in rule.actions]
    named = exact
    if layer.document.version == "1.0" and not exact:
        exact = [rule for rule in rules if ALIASES.get(kind) in rule.actions]
    globs = [rule for rule in rules if rule not in exact and _is_reached_by_glob(rule, kind)]
    able = [rule for rule in (*exact, *globs) if can_match(Row(0, rule.when), kind)]
    return tuple(able), sum(1 << n for n, rule in enumerate(able) if rule in named)


def _is_reached_by_glob(rule: Rule, kind: ActionKind) -> bool:
    return any("*" in pattern and names_kind(pattern, kind) for pattern in rule.actions)


class ReadyLayer:
    """A layer with its programs, each made when an action of its kind is first asked about."""

    def __init__(self, layer: Layer) -> None:
        self.layer = layer
        self.name = layer.name
        self.has_limits = bool(layer.document.limits)
        self._fallback = LEVEL[layer.document.defaults.fallback]
        self._programs: dict[ActionKind, Program] = {}
        self._limits: dict[ActionKind, tuple[Limit, ...]] = {
            kind: tuple(one for one in layer.document.limits if any(names_kind(a, kind) for a in one.actions))
            for kind in KINDS
        }

    def program(self, kind: ActionKind) -> Program:
        """Return the rules that can match the kind."""
        known = self._programs.get(kind)
        if known is None:
            known = self._programs[kind] = Program(self.layer, kind)
        return known

    def answer(self, sight: Sight) -> Answer:
        """Return the layer's answer about one atom."""
        return self.program(sight.atom.kind).answer(sight, self._fallback)

    def exceeded(self, kind: ActionKind, request: Request, items: int) -> Iterator[Answer]:
        """Yield an answer for each limit that the request exceeds, or that can't be told from what is known."""
        for limit in self._limits[kind]:
            used = (request.usage or {}).get(limit.id)
            asked = (request.cost or {}).get(limit.unit) if limit.unit else items
            known = is_number(used) and is_number(asked)
            if not known or (used or 0) + (asked or 0) > limit.max:
                yield Answer(LEVEL[limit.on_exceed], None, limit=limit, known=known)


def is_number(value: int | float | None) -> bool:
    """Whether a fact is a number to count with: not absent, not NaN, not less than nothing."""
    return value is not None and value >= 0


def _bits(mask: int) -> Iterator[int]:
    while mask:
        bit = mask & -mask
        yield bit
        mask ^= bit
