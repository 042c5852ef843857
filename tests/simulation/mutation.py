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

    `often` is what the person does more often than usual, so that lives come to where it matters, and `crash` is how
    likely a process dies at each of its waits.
    """

    breaks: Break
    finding: str
    often: tuple[str, ...] = ()
    crash: float = Odds.crash

    @property
    def name(self) -> str:
        """What is broken."""
        return self.breaks.__name__


def live_dangerously(patch: pytest.MonkeyPatch, often: tuple[str, ...] = (), crash: float = Odds.crash) -> None:
    """Let the person interfere more than usual, and above all like this."""
    patch.setattr(Odds, "crash", crash)
    patch.setattr(Odds, "interfere", 0.2)
    patch.setattr(Odds, "snatch", 0.2)
    patch.setattr(simulation, "DEEDS", (*DEEDS, *often * 20))
