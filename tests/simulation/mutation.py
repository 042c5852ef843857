"""A way to break the engine on purpose, and what has to be found when it is broken like that."""

from collections.abc import Callable
from typing import TypeAlias

import msgspec
import pytest

from tests.simulation import simulation
from tests.simulation.person import DEEDS
from tests.simulation.process import Odds

Break: TypeAlias = Callable[[pytest.MonkeyPatch], None]


class Mutation(msgspec.Struct, frozen=True):
    """`finding` is part of the sentence that a check must say.

    `often` is what the person does more often than usual, so that lives come to where it matters. Seeds are tried from
    `first` on: what needs many lives to be met is met early, as long as lives are what they are.
    """

    breaks: Break
    finding: str
    often: tuple[str, ...] = ()
    first: int = 0

    @property
    def name(self) -> str:
        """What is broken."""
        return self.breaks.__name__


def live_dangerously(patch: pytest.MonkeyPatch, often: tuple[str, ...] = ()) -> None:
    """Let the person interfere more than usual, and above all like this."""
    patch.setattr(Odds, "interfere", 0.2)
    patch.setattr(Odds, "snatch", 0.2)
    patch.setattr(simulation, "DEEDS", (*DEEDS, *often * 20))
