"""The simulation can fail: an engine that is broken on purpose is found out, for the reason for which it is broken."""

import pytest

from tests.simulation.mutation import Mutation, live_dangerously
from tests.simulation.mutations import MUTATIONS
from tests.simulation.mutations_of_trees import MUTATIONS_OF_TREES
from tests.simulation.run import run_seed

SEEDS_MAX = 250
SEEDS_UNBROKEN = 20
ALL = (*MUTATIONS, *MUTATIONS_OF_TREES)
ODDS = sorted({(mutation.often, mutation.commands) for mutation in ALL})


@pytest.mark.parametrize("mutation", [pytest.param(one, id=one.name) for one in ALL])
def test_a_broken_engine_is_found_out(mutation: Mutation, monkeypatch: pytest.MonkeyPatch) -> None:
    live_dangerously(monkeypatch, mutation.often, mutation.crash, commands=mutation.commands)
    mutation.breaks(monkeypatch)
    found = (run_seed(seed) for seed in range(SEEDS_MAX))
    assert any(mutation.finding in sentence for sentence in found), f"{SEEDS_MAX} seeds, and nobody noticed"


@pytest.mark.parametrize(("often", "commands"), ODDS)
def test_the_engine_as_it_is_is_not_found_out(
    often: tuple[str, ...], commands: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    live_dangerously(monkeypatch, often, commands=commands)
    found = [sentence for seed in range(SEEDS_UNBROKEN) if (sentence := run_seed(seed))]
    assert not found, "\n\n".join(found)
