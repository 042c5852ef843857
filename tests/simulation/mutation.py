"""A way to break the engine on purpose, and what has to be found when it is broken like that."""

from collections.abc import Callable
from random import Random
from typing import Final, TypeAlias

import msgspec
import pytest

from cowork.domain.action import CodeRun, ShellExec
from cowork.domain.plan import Request
from tests.simulation import plans, simulation
from tests.simulation.person import DEEDS
from tests.simulation.plans import plain_request
from tests.simulation.process import Odds
from tests.simulation.tree import Tree

Break: TypeAlias = Callable[[pytest.MonkeyPatch], None]
_DRAWS: Final = 12
"""How often a request is drawn until it is a command."""


class Mutation(msgspec.Struct, frozen=True):
    """`finding` is part of the sentence that a check must say.

    `often` is what the person does more often than usual, so that lives come to where it matters, and `crash` is how
    likely a process dies at each of its waits. With `commands`, plans consist of commands above all.
    """

    breaks: Break
    finding: str
    often: tuple[str, ...] = ()
    crash: float = Odds.crash
    commands: bool = False

    @property
    def name(self) -> str:
        """What is broken."""
        return self.breaks.__name__


def live_dangerously(
    patch: pytest.MonkeyPatch, often: tuple[str, ...] = (), crash: float = Odds.crash, *, commands: bool = False
) -> None:
    """Let the person interfere more than usual, and above all like this; see `Mutation`."""
    patch.setattr(Odds, "crash", crash)
    patch.setattr(Odds, "interfere", 0.2)
    patch.setattr(Odds, "snatch", 0.2)
    patch.setattr(simulation, "DEEDS", (*DEEDS, *often * 20))
    if commands:
        patch.setattr(plans, "plain_request", _mostly_commands)


def _mostly_commands(random: Random, tree: Tree) -> tuple[Request, list[bytes]]:
    drawn = (plain_request(random, tree) for _ in range(_DRAWS))
    return next((one for one in drawn if isinstance(one[0], ShellExec | CodeRun)), plain_request(random, tree))
