"""A small solver for propositional formulas in clauses: conflict-driven clause learning, incremental, with assumptions.

A literal is a number: `2 * variable` says that the variable is true, `2 * variable + 1` that it is false, so
`literal ^ 1` is the opposite. Variable 0 is always true. The method is that of MiniSat (Eén, Sörensson: "An Extensible
SAT-solver", 2003): two watched literals, first unique implication point, activities that decay, saved phases, Luby
restarts. Nothing is random: the same clauses and questions in the same order give the same answers.
"""

import heapq
from collections.abc import Iterable, Sequence
from typing import Final, TypeAlias

Literal: TypeAlias = int
Clause: TypeAlias = list[int]

TRUE: Final[Literal] = 0
FALSE: Final[Literal] = 1

_RESTART: Final = 64
_DECAY: Final = 1.05
_RESCALE: Final = 1e100


class Solver:
    """Clauses, and the question whether all can hold. `model` is the last answer: 1 true, -1 false, 0 open."""

    def __init__(self) -> None:
        self._value: list[int] = [1, -1]  # by literal
        self._reason: list[Clause | None] = [None]  # from here on by variable
        self._level: list[int] = [0]
        self._activity: list[float] = [0.0]
        self._phase: list[int] = [TRUE]
        self._watches: list[list[Clause]] = [[], []]  # by literal: clauses to look at when it becomes false
        self._binary: list[list[Clause]] = [[], []]  # by literal: clauses of two that it makes false but for the first
        self._trail: list[Literal] = []
        self._marks: list[int] = []  # where each decision level begins in the trail
        self._head = 0
        self._bump = 1.0
        self._broken = False
        self._queue: list[tuple[float, int]] = []
        self._asked: set[int] = set()
        self.model: list[int] = []
        self.conflicts = 0

    def new_literal(self) -> Literal:
        """Return the literal of a new variable. It is tried as false first."""
        variable = len(self._level)
        self._value += (0, 0)
        self._watches += ([], [])
        self._binary += ([], [])
        self._reason.append(None)
        self._level.append(0)
        self._activity.append(0.0)
        self._phase.append(1)
        return 2 * variable

    def add(self, literals: Iterable[Literal]) -> None:
        """Add a clause: one of the literals has to hold."""
        clause = list(dict.fromkeys(one for one in literals if self._value[one] != -1))
        if any(self._value[one] == 1 or one ^ 1 in clause for one in clause):
            return
        if not clause:
            self._broken = True
        elif len(clause) == 1:
            self._assign(clause[0], None)
            self._broken = self._broken or self._propagate() is not None
        else:
            self._attach(clause)

    def _attach(self, clause: Clause) -> None:
        if len(clause) == 2:
            self._binary[clause[0]].append([clause[1], clause[0]])
            self._binary[clause[1]].append([clause[0], clause[1]])
        else:
            self._watches[clause[0]].append(clause)
            self._watches[clause[1]].append(clause)

    def solve(self, assumptions: Sequence[Literal], variables: Iterable[int]) -> bool:
        """Whether all clauses and assumptions can hold together, deciding only the given variables.

        The others stay open unless something follows for them. That is sound where they are defined by, or can be
        chosen after, those that are given; the caller sees to it that the assumptions' variables are among them.
        """
        if self._broken:
            return False
        self._asked = set(variables)
        self._queue = [(-self._activity[variable], variable) for variable in self._asked]
        heapq.heapify(self._queue)
        answer = self._search(assumptions)
        if answer:
            self.model = self._value.copy()
        self._undo(0)
        return answer

    def _search(self, assumptions: Sequence[Literal]) -> bool:
        rounds, left = 1, _RESTART
        while True:
            conflict = self._propagate()
            if conflict is not None:
                self.conflicts += 1
                left -= 1
                if not self._marks:
                    self._broken = True
                    return False
                self._learn(conflict)
            elif left <= 0:
                rounds += 1
                left = _RESTART * _luby(rounds)
                self._undo(0)
            elif len(self._marks) < len(assumptions):
                wanted = assumptions[len(self._marks)]
                if self._value[wanted] == -1:
                    return False
                self._marks.append(len(self._trail))
                if self._value[wanted] == 0:
                    self._assign(wanted, None)
            else:
                decided = self._next_decision()
                if decided < 0:
                    return True
                self._marks.append(len(self._trail))
                self._assign(decided, None)

    def _next_decision(self) -> Literal:
        queue, value = self._queue, self._value
        while queue:
            _, variable = heapq.heappop(queue)
            if value[2 * variable] == 0:
                return 2 * variable + self._phase[variable]
        return -1

    def _assign(self, literal: Literal, reason: Clause | None) -> None:
        self._value[literal] = 1
        self._value[literal ^ 1] = -1
        variable = literal >> 1
        self._reason[variable] = reason
        self._level[variable] = len(self._marks)
        self._trail.append(literal)

    def _propagate(self) -> Clause | None:
        """Draw every conclusion; return a clause that has become false, if any."""
        value, trail, binary, watches = self._value, self._trail, self._binary, self._watches
        reasons, levels, level = self._reason, self._level, len(self._marks)
        while self._head < len(trail):
            false = trail[self._head] ^ 1
            self._head += 1
            for clause in binary[false]:
                first = clause[0]
                state = value[first]
                if state == 0:
                    # As `_assign` does: most of the time of a question is spent here.
                    value[first], value[first ^ 1] = 1, -1
                    reasons[first >> 1], levels[first >> 1] = clause, level
                    trail.append(first)
                elif state < 0:
                    self._head = len(trail)
                    return clause
            if watches[false]:
                conflict = self._visit(false)
                if conflict is not None:
                    self._head = len(trail)
                    return conflict
        return None

    def _visit(self, false: Literal) -> Clause | None:
        """Find another literal to watch for every clause that watched one which has become false."""
        value, watches = self._value, self._watches
        watching = watches[false]
        kept: list[Clause] = []
        conflict = None
        for at, clause in enumerate(watching):
            if clause[0] == false:
                clause[0], clause[1] = clause[1], false
            first = clause[0]
            if value[first] != 1:
                for place in range(2, len(clause)):
                    other = clause[place]
                    if value[other] >= 0:
                        clause[1], clause[place] = other, false
                        watches[other].append(clause)
                        break
                else:
                    kept.append(clause)
                    if value[first] < 0:
                        conflict = clause
                        kept += watching[at + 1 :]
                        break
                    self._assign(first, clause)
                continue
            kept.append(clause)
        watches[false] = kept
        return conflict

    def _learn(self, conflict: Clause) -> None:
        """Add the clause of the first unique implication point, and go back to where it says something new."""
        level, current = self._level, len(self._marks)
        seen: set[int] = set()
        learned: Clause = [FALSE]
        open_ones, at = 0, len(self._trail) - 1
        reason: Clause = conflict
        pivot = -1
        while True:
            for literal in reason:
                variable = literal >> 1
                if literal != pivot and variable not in seen and level[variable] > 0:
                    seen.add(variable)
                    self._bump_activity(variable)
                    if level[variable] == current:
                        open_ones += 1
                    else:
                        learned.append(literal)
            while self._trail[at] >> 1 not in seen:
                at -= 1
            pivot = self._trail[at]
            at -= 1
            open_ones -= 1
            if open_ones == 0:
                break
            found = self._reason[pivot >> 1]
            assert found is not None, "what was not decided has a reason"
            reason = found
        learned[0] = pivot ^ 1
        self._bump *= _DECAY
        self._add_learned([learned[0], *(one for one in learned[1:] if not self._follows(one, seen))])

    def _follows(self, literal: Literal, seen: set[int]) -> bool:
        """Whether a literal of a learned clause follows from the others."""
        reason = self._reason[literal >> 1]
        return reason is not None and all(
            one >> 1 in seen or self._level[one >> 1] == 0 for one in reason if one != literal ^ 1
        )

    def _add_learned(self, clause: Clause) -> None:
        if len(clause) == 1:
            self._undo(0)
            self._assign(clause[0], None)
            return
        latest = max(range(1, len(clause)), key=lambda place: self._level[clause[place] >> 1])
        clause[1], clause[latest] = clause[latest], clause[1]
        self._undo(self._level[clause[1] >> 1])
        self._attach(clause)
        self._assign(clause[0], clause)

    def _bump_activity(self, variable: int) -> None:
        self._activity[variable] += self._bump
        if self._activity[variable] > _RESCALE:
            self._activity = [one / _RESCALE for one in self._activity]
            self._bump /= _RESCALE

    def _undo(self, level: int) -> None:
        """Take back everything above a decision level."""
        if len(self._marks) <= level:
            return
        start = self._marks[level]
        for literal in self._trail[start:]:
            variable = literal >> 1
            self._value[literal] = self._value[literal ^ 1] = 0
            self._phase[variable] = literal & 1
            if variable in self._asked:
                heapq.heappush(self._queue, (-self._activity[variable], variable))
        del self._trail[start:]
        del self._marks[level:]
        self._head = len(self._trail)


def _luby(number: int) -> int:
    """Return a member of the sequence 1 1 2 1 1 2 4 … (Luby, Sinclair, Zuckerman 1993)."""
    size = 1
    while size < number + 1:
        size *= 2
    while size - 1 != number:
        size //= 2
        if number >= size:
            number -= size - 1
    return size // 2
