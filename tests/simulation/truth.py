"""What the processes really did, beside the log, so that the log can be held against it. Outlives every crash."""

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

import msgspec

from cowork.domain.action import Action
from cowork.domain.action_invariant import required_verbs
from cowork.domain.effect import Effect
from cowork.domain.path import components
from cowork.engine.ports import Permit

_Path = tuple[str, ...]


class Attempt(msgspec.Struct):
    """An executor at work: for which action, in which process, and after how many edits of the person it began.

    `position` is that of the start that it was given leave by. `effects` are None until it has done something.
    """

    action_id: str
    number: int
    action: Action
    process: int
    edits: int
    position: int
    writes: tuple[_Path, ...]
    effects: tuple[Effect, ...] | None = None

    @property
    def task_id(self) -> str:
        """The task whose action it is."""
        return self.action_id.rpartition(".")[0]


class Truth:
    """Every attempt of every process, in the order in which they were begun; `effects` in the order of their ends."""

    def __init__(self, edits: Callable[[], int]) -> None:
        self._edits = edits
        self.attempts: list[Attempt] = []
        self.effects: list[Attempt] = []

    def begin(self, permit: Permit, process: int) -> Attempt:
        """Note that an executor begins its work."""
        writes = tuple(
            components(folder.absolute(at.path))
            for at, verb in required_verbs(permit.action, permit.facts)
            if verb != "read" and (folder := permit.scope.folder(at.grant_id)) is not None
        )
        attempt = Attempt(
            permit.action_id, permit.attempt, permit.action, process, self._edits(), permit.position, writes
        )
        self.attempts.append(attempt)
        return attempt

    def done(self, attempt: Attempt, effects: Sequence[Effect]) -> None:
        """Note what it has done."""
        attempt.effects = tuple(effects)
        self.effects.append(attempt)

    def done_twice(self) -> Iterator[str]:
        """Yield the actions that took effect twice, although between the two nobody else touched the same places."""
        seen: dict[str, list[int]] = {}
        for number, one in enumerate(self.effects):
            seen.setdefault(one.action_id, []).append(number)
        for name, at in seen.items():
            if any(self._is_for_nothing(first, second) for first, second in pairwise(at)):
                yield name

    def _is_for_nothing(self, first: int, second: int) -> bool:
        one, other = self.effects[first], self.effects[second]
        between = (each for each in self.effects[first + 1 : second] if each.action_id != one.action_id)
        return one.edits == other.edits and not any(meet(each.writes, one.writes) for each in between)

    def undisturbed(self) -> set[str]:
        """Return the actions that took effect, and after that the person has done nothing at all."""
        return {one.action_id for one in self.effects if one.edits == self._edits()}


def meet(some: Sequence[_Path], others: Sequence[_Path]) -> bool:
    """Whether a place of the one lies in a place of the other, or is it."""
    return any(one[: len(other)] == other or other[: len(one)] == one for one in some for other in others)
