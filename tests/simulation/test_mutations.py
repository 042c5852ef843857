"""The simulation can fail: an engine that is broken on purpose is found out, for the reason for which it is broken."""

import pytest

from tests.simulation.mutations import MUTATIONS, Break
from tests.simulation.process import Odds
from tests.simulation.run import run_seed

SEEDS_MAX = 250


@pytest.mark.parametrize(("broken", "finding"), [pytest.param(b, f, id=b.__name__) for b, f in MUTATIONS])
def test_a_broken_engine_is_found_out(broken: Break, finding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Odds, "interfere", 0.2)
    broken(monkeypatch)
    found = (run_seed(seed) for seed in range(SEEDS_MAX))
    assert any(finding in sentence for sentence in found), f"{SEEDS_MAX} seeds, and nobody noticed"
