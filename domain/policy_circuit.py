"""Formulas over facts, shared where they are the same, and handed to the solver as clauses.

A fact is an atom under a key; a formula is an "and" of literals (an "or" is its opposite). The same formula is built
once. After an answer, `reasons` tells which facts were enough for it: the few that a concrete request has to have.
"""

from collections.abc import Hashable, Iterable, Sequence
from typing import NamedTuple

from .policy_solver import FALSE, TRUE, Literal, Solver


class Fact(NamedTuple):
    """The key of an atom: what is asked (a condition's field, or part of one), and with which value."""

    name: str
    value: Hashable = None


SEARCHED = frozenset(("glob", "extension", "hidden", "sensitive", "executed", "tool", "host", "time_window"))
"""Facts that depend on each other in ways that only a search can tell; the fewer of them are needed, the better."""


class Circuit:
    """Formulas and the solver that holds them."""

    def __init__(self) -> None:
        self.solver = Solver()
        self._atoms: dict[Fact, Literal] = {}
        self._facts: dict[int, Fact] = {}
        self._formulas: dict[tuple[Literal, ...], Literal] = {}
        self._parts: dict[int, tuple[Literal, ...]] = {}

    def atom(self, fact: Fact) -> tuple[Literal, bool]:
        """Return a fact's literal, and whether it is new."""
        known = self._atoms.get(fact)
        if known is not None:
            return known, False
        literal = self.solver.new_literal()
        self._atoms[fact] = literal
        self._facts[literal >> 1] = fact
        return literal, True

    def find_atom(self, fact: Fact) -> Literal | None:
        """Return a fact's literal if anything asks about it."""
        return self._atoms.get(fact)

    def all_of(self, literals: Iterable[Literal]) -> Literal:
        """Return the literal of the formula that holds when all of the given do."""
        parts = tuple(sorted({one for one in literals if one != TRUE}))
        if FALSE in parts or any(one ^ 1 in parts for one in parts if one & 1):
            return FALSE
        if len(parts) < 2:
            return parts[0] if parts else TRUE
        known = self._formulas.get(parts)
        if known is None:
            known = self._formulas[parts] = self.solver.new_literal()
            self._parts[known >> 1] = parts
            for part in parts:
                self.solver.add((known ^ 1, part))
            self.solver.add((known, *[part ^ 1 for part in parts]))
        return known

    def any_of(self, literals: Iterable[Literal]) -> Literal:
        """Return the literal of the formula that holds when one of the given does."""
        return self.all_of([one ^ 1 for one in literals]) ^ 1

    def variables_of(self, literals: Iterable[Literal]) -> set[int]:
        """Return the variables that the truth of the literals depends on."""
        found: set[int] = set()
        waiting = [one >> 1 for one in literals]
        while waiting:
            variable = waiting.pop()
            if variable not in found:
                found.add(variable)
                waiting += [part >> 1 for part in self._parts.get(variable, ())]
        found.discard(0)
        return found

    def reasons(self, goals: Sequence[Literal]) -> dict[Fact, bool]:
        """Return facts that make the goals true in the solver's last answer, whatever the others are."""
        found: dict[Fact, bool] = {}
        seen: set[Literal] = set()
        waiting = list(goals)
        while waiting:
            literal = waiting.pop()
            if literal in seen or literal <= FALSE:
                continue
            seen.add(literal)
            fact = self._facts.get(literal >> 1)
            if fact is not None:
                found[fact] = not literal & 1
                continue
            parts = self._parts.get(literal >> 1, ())
            if literal & 1:
                waiting.append(self._cheapest_fault(parts, seen))
            else:
                waiting += parts
        return found

    def _cheapest_fault(self, parts: Sequence[Literal], seen: set[Literal]) -> Literal:
        """Return the opposite of a part that does not hold, one that asks for as little as possible."""
        model = self.solver.model
        best, least = FALSE, 9
        for part in parts:
            if model[part] < 0:
                cost = self._cost(part ^ 1, seen)
                if cost < least:
                    best, least = part ^ 1, cost
                    if cost == 0:
                        break
        return best

    def _cost(self, literal: Literal, seen: set[Literal]) -> int:
        if literal in seen:
            return 0
        fact = self._facts.get(literal >> 1)
        if fact is None:
            return 3
        if fact.name in SEARCHED:
            return 2 if literal & 1 else 4
        return 1
