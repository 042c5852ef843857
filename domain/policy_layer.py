"""One layer made ready for many decisions: what its document answers about one atom in one frame.

Version 1.0: rules that name the kind, or where none does those that name its alias, then globs; the first match
decides. Version 1.1: the strictest of all matching rules. A rule that may match (a fact is unknown) never helps: it
counts as a candidate beside whatever is certain, and the strictest candidate is the answer.
"""

from collections.abc import Iterable, Iterator
from typing import Final, TypeAlias

import msgspec

from .action import ActionKind
from .policy_atom import Sight
from .policy_column import Column, Row, can_match, columns_of
from .policy_document import ALIASES, KINDS, VERDICTS, Layer, Limit, Rule, Verdict, kinds_named, names_kind
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

Asking: TypeAlias = tuple[str, bool]
"""What asks for a person, as `layer:id`, and whether the person's answer may be remembered."""


class Answer(msgspec.Struct, frozen=True, gc=False, eq=False):
    """What a layer answers. `rule` is None for the fallback; `known` is False where an unknown fact decided.

    `known_rows` and `maybe_rows` are the bits of all rules that match and that may match.
    """

    level: int
    rule: Rule | None
    known: bool = True
    known_rows: int = 0
    maybe_rows: int = 0
    program: "Program | None" = None
    limit: Limit | None = None


class Program:
    """The rules of one layer that can match one kind of action, in the order in which they are reported."""

    __slots__ = (
        "_columns",
        "_confirm",
        "_deny",
        "_enforced",
        "_excepted",
        "_exceptions",
        "_fallback",
        "_name",
        "_questions",
        "_rows",
        "_silence",
        "answer",
        "cited",
        "first_match",
        "rules",
    )

    def __init__(self, layer: Layer, kind: ActionKind) -> None:
        self._name = layer.name
        self.first_match = layer.document.version == "1.0"
        self.answer = self._first if self.first_match else self._strictest
        self.rules, named = _in_order(layer, kind)
        self.cited = tuple(f"{layer.name}:{rule.id}" for rule in self.rules)
        # A rule reached by an alias or a glob, and the fallback, may not allow what the author could not name.
        has_floor = self.first_match and kind in _NEEDS_A_PERSON
        enforced = [(1 << number, rule) for number, rule in enumerate(self.rules) if rule.mode == "enforce"]
        self._enforced = sum(bit for bit, _ in enforced)
        self._deny = sum(bit for bit, rule in enforced if rule.decision == "deny")
        raised = self._enforced & ~(self._deny | named) if has_floor else 0
        self._confirm = raised | sum(bit for bit, rule in enforced if rule.decision == "allow_with_confirm")
        fallback = LEVEL[layer.document.defaults.fallback]
        self._fallback = max(fallback, CONFIRM) if has_floor else fallback
        self._silence = Answer(self._fallback, None, program=self)
        rows = [Row(1 << number, rule.when) for number, rule in enumerate(self.rules)]
        self._exceptions: dict[int, int] = {}
        for row, rule in zip(tuple(rows), self.rules, strict=True):
            for unless in rule.unless:
                exception = Row(1 << len(rows), unless)
                if can_match(exception, kind):
                    rows.append(exception)
                    self._exceptions[row.bit] = self._exceptions.get(row.bit, 0) | exception.bit
        self._excepted = sum(self._exceptions)
        self._rows = (1 << len(rows)) - 1
        self._columns: tuple[Column, ...] = columns_of(rows)
        self._questions = tuple([(column.rows, column.ask) for column in self._columns])

    def ask(self, sight: Sight) -> tuple[int, int]:
        """Return the rows that match and those that may match, as two masks of the rules."""
        alive = self._rows
        unknown = 0
        for rows, ask in self._questions:
            if alive & rows:
                no, maybe = ask(sight)
                alive &= ~no
                if maybe:
                    unknown |= maybe
        maybe = alive & unknown
        known = alive ^ maybe
        if self._exceptions:
            if self._excepted & alive:
                known, maybe = self._without_exceptions(known, maybe)
            rules = (1 << len(self.rules)) - 1
            return known & rules, maybe & rules
        return known, maybe

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

    def _strictest(self, sight: Sight) -> Answer:
        """Return the answer of the strictest of the rules that match, or a stricter one of those that may."""
        known, maybe = self.ask(sight)
        if not (known or maybe):
            return self._silence
        certain = known & self._enforced
        level = self._level(certain) if certain else self._fallback
        possible = maybe & self._enforced
        if possible and self._level(possible) > level:
            level = self._level(possible)
            return Answer(level, self._decider(possible, level), False, known, maybe, self)  # noqa: FBT003
        rule = self._decider(certain, level) if certain else None
        return Answer(level, rule, True, known, maybe, self)  # noqa: FBT003

    def _first(self, sight: Sight) -> Answer:
        """Return the first match's answer, or a stricter one of the rules before it that may match."""
        known, maybe = self.ask(sight)
        first = known & -known
        earlier = maybe & (first - 1)  # all of them where none matches
        level = self._level(first) if first else self._fallback
        if earlier and self._level(earlier) > level:
            level = self._level(earlier)
            return Answer(level, self._decider(earlier, level), False, known, maybe, self)  # noqa: FBT003
        rule = self.rules[first.bit_length() - 1] if first else None
        return Answer(level, rule, True, known, maybe, self)  # noqa: FBT003

    def _level(self, rows: int) -> int:
        return DENY if rows & self._deny else CONFIRM if rows & self._confirm else ALLOW

    def _decider(self, rows: int, level: int) -> Rule:
        """Return the first of the rules whose answer has the level, which is that of the strictest."""
        of_level = rows & (self._deny if level == DENY else self._confirm if level == CONFIRM else self._enforced)
        return self.rules[(of_level & -of_level).bit_length() - 1]

    def asking(self, answer: Answer) -> Iterable[Asking]:
        """Return the rules that ask among those that match or may match, and the fallback where it decides.

        Every one of them is asked: a person's answer to one is none to another.
        """
        rows = answer.known_rows | answer.maybe_rows
        if self.first_match and answer.known_rows:
            # What comes after the first match has no say.
            first = answer.known_rows & -answer.known_rows
            rows &= 2 * first - 1
        for number in numbers_of(rows & self._confirm):
            yield self.cited[number], self.rules[number].remember
        if answer.rule is None:
            yield f"{self._name}:{FALLBACK}", True

    def rules_of(self, mask: int) -> list[Rule]:
        """Return the rules of a mask, in the order in which they are reported."""
        return [self.rules[number] for number in numbers_of(mask)]

    def unknown_conditions(self, mask: int, sight: Sight) -> list[str]:
        """Return the keys of the conditions that leave rules of the mask open."""
        with_exceptions = mask
        for bit, exceptions in self._exceptions.items():
            with_exceptions |= exceptions if bit & mask else 0
        return [
            column.condition
            for column in self._columns
            if column.rows & with_exceptions and column.ask(sight)[1] & with_exceptions
        ]


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
        self._programs: dict[ActionKind, Program] = {}
        self._limits: dict[ActionKind, tuple[Limit, ...]] = {
            kind: tuple(one for one in layer.document.limits if kind in kinds_named(one.actions)) for kind in KINDS
        }

    def program(self, kind: ActionKind) -> Program:
        """Return the rules that can match the kind."""
        known = self._programs.get(kind)
        if known is None:
            known = self._programs[kind] = Program(self.layer, kind)
        return known

    def answer(self, sight: Sight) -> Answer:
        """Return the layer's answer about one atom."""
        return self.program(sight.atom.kind).answer(sight)

    def exceeded(self, kind: ActionKind, request: Request, items: int) -> Iterator[Answer]:
        """Yield an answer for each limit that the request exceeds, or that can't be told from what is known."""
        for limit in self._limits[kind]:
            used = (request.usage or {}).get(limit.id)
            asked = (request.cost or {}).get(limit.unit) if limit.unit else items
            known = is_number(used) and is_number(asked)
            if not known or (used or 0) + (asked or 0) > limit.max:
                yield Answer(LEVEL[limit.on_exceed], None, known, limit=limit)


def is_number(value: int | float | None) -> bool:
    """Whether a fact is a number to count with: not absent, not NaN, not less than nothing."""
    return value is not None and value >= 0


def numbers_of(mask: int) -> list[int]:
    """Return the numbers of the bits that are set, the lowest first."""
    numbers = []
    while mask:
        bit = mask & -mask
        numbers.append(bit.bit_length() - 1)
        mask ^= bit
    return numbers
