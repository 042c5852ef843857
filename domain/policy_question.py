"""One kind of action, and questions about it: is there a request for which this holds? Here is one; or there is none.

The solver proposes facts, the searches make a path, a host, a tool or a time of them or say which facts exclude each
other, and the evaluator has to give the answer that was asked for. What can't be settled says so.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeVar

import msgspec

from .action import ActionKind
from .policy_atom import MOVES
from .policy_automaton import TooHardError
from .policy_circuit import Fact
from .policy_encoding import PLACE, Encoder, is_inner, needs_path
from .policy_fact_search import DEFAULT_NOW, TimeSearch, find_host, find_tool
from .policy_place_search import CROSSING, PLACE_FACTS, Conflict, Place, PlaceSearch
from .policy_request import FrameScope, Request
from .policy_solver import FALSE, Literal
from .policy_witness import Sketch, candidates

ASSUMPTIONS: Final[tuple[str, ...]] = (
    "every fact is known, numbers are not negative, and no limit is used up",
    "a path has one spelling: no link, Unicode's NFC form, no backslash, and the volume tells upper from lower case",
    "a command's program is written as the rules write it",
    "the request is decided in one frame; a subagent's own frame only ever narrows",
)
"""What every answer of an analysis takes for granted. What is missing or ambiguous only ever makes an answer
stricter, so what is proved not to be allowed is not allowed then either."""

_UNCONFIRMED_MAX: Final = 12
_Result = TypeVar("_Result")


class NotSettled(msgspec.Struct, frozen=True):
    """Neither a request was found nor a proof that there is none."""

    why: str


class Searches:
    """The searches for paths: what one kind of action has found out, the others need not look for again."""

    def __init__(self) -> None:
        self._places = {is_inner: PlaceSearch(is_inner=is_inner) for is_inner in (False, True)}

    def places(self, kind: ActionKind) -> PlaceSearch:
        """Return the search for paths that an action of the kind may be about."""
        return self._places[is_inner(kind)]


class KindModel(Encoder):
    """All that can happen with one kind of action, under the layers that were encoded with it."""

    def __init__(self, kind: ActionKind, searches: Searches) -> None:
        super().__init__(kind)
        self._places = searches.places(kind)
        self._times: TimeSearch | None = None
        self._known_windows = 0
        self._seasons: Literal | None = None

    def find(
        self, goals: Sequence[Literal], confirm: Callable[[Request, FrameScope], _Result | None]
    ) -> _Result | NotSettled | None:
        """Return what `confirm` makes of a request for which the goals hold; None where there is proved to be none.

        `confirm` asks the evaluator, and returns None where that gave another answer.
        """
        if FALSE in goals:
            return None
        circuit, solver = self.circuit, self.circuit.solver
        variables = circuit.variables_of(goals)
        blocked: Literal | None = None
        why = ""
        tried = 0
        while True:
            guards = [one for one in (self._seasons, blocked) if one is not None]
            if not solver.solve((*goals, *guards), variables):
                if guards and solver.solve(goals, variables):
                    return NotSettled(why or "windows in several time zones were compared in some weeks of a year only")
                return None
            facts = circuit.reasons(goals)
            try:
                sketch = self._sketch(facts)
            except TooHardError:
                why = "the patterns are too entangled to be told apart in the time given"
            else:
                if sketch is None:
                    continue
                for request, scope in candidates(self.kind, sketch):
                    result = confirm(request, scope)
                    if result is not None:
                        return result
                why = why or "no request could be made that the evaluator answers so"
            tried += 1
            if tried >= _UNCONFIRMED_MAX:
                return NotSettled(why)
            blocked = solver.new_literal() if blocked is None else blocked
            solver.add((blocked ^ 1, *self._opposites(facts)))

    def _opposites(self, facts: Mapping[Fact, bool]) -> list[Literal]:
        return [self.circuit.atom(fact)[0] ^ holds for fact, holds in facts.items()]

    def _sketch(self, facts: Mapping[Fact, bool]) -> Sketch | None:
        """Return values in which the facts are so; None where some exclude each other, which the solver now knows."""
        by_name: dict[str, dict[Fact, bool]] = {}
        for fact, holds in facts.items():
            name = "place" if fact.name in PLACE_FACTS else fact.name
            by_name.setdefault(name, {})[fact] = holds
        sketch = Sketch(facts, limits=tuple(self.limits))
        has_place = needs_path(self.kind) or facts.get(PLACE, False)
        wants = by_name.get("place", {})
        wants.pop(PLACE, None)
        place = self._places.find(wants) if has_place else None
        host = find_host(by_name["host"]) if "host" in by_name else sketch.host
        tool = find_tool(by_name["tool"]) if "tool" in by_name else sketch.tool
        windows = by_name.get("time_window", {})
        now = self._time_search().find(windows) if windows else DEFAULT_NOW
        if (
            isinstance(place, Conflict)
            or isinstance(host, Conflict)
            or isinstance(tool, Conflict)
            or isinstance(now, Conflict)
        ):
            for conflict in (place, host, tool, now):
                if isinstance(conflict, Conflict):
                    self._exclude(conflict)
            return None
        ends = self._ends(place, wants) if place is not None and self.kind in MOVES else ()
        return msgspec.structs.replace(sketch, place=place, ends=ends, host=host, tool=tool, now=now)

    def _exclude(self, conflict: Conflict) -> None:
        clause = self._opposites(conflict.facts)
        if not self._time_search().is_exact and any(fact.name == "time_window" for fact in conflict.facts):
            if self._seasons is None:
                self._seasons = self.circuit.solver.new_literal()
            clause.append(self._seasons ^ 1)
        self.circuit.solver.add(clause)

    def _time_search(self) -> TimeSearch:
        if self._times is None or self._known_windows != len(self.windows):
            self._times = TimeSearch(tuple(self.windows))
            self._known_windows = len(self.windows)
        return self._times

    def _ends(self, place: Place, wants: Mapping[Fact, bool]) -> tuple[tuple[Place, Place], ...]:
        """Return places for both ends of a move: first those that read well, then two about which the same is so."""
        folder, _, name = place.path.rpartition("/")
        if not wants.get(CROSSING, False):
            return (place, Place(f"{folder}/moved-{name}", place.root)), (place, place)
        elsewhere = (place, Place(f"/elsewhere/{name}", "/elsewhere"))
        apart = self._places.find_apart(wants)
        return (elsewhere,) if apart is None else (elsewhere, apart)
