"""A thousand lives of a store: whatever chance does, the invariants hold and no byte is lost."""

import pytest

from cowork.domain.task import (
    ActionOutcomeUnknown,
    TaskBlocked,
    TaskCancelled,
    TaskCompleted,
    TaskFailed,
    TaskPaused,
)
from tests.simulation.person import DEEDS
from tests.simulation.run import life_of, run_seed
from tests.simulation.turns import turns_of

SEEDS = 1000
CHUNK = 25
SEEDS_TURNED_MAX = 250


@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_no_seed_breaks_an_invariant(first: int) -> None:
    found = [sentence for seed in range(first, first + CHUNK) if (sentence := run_seed(seed))]
    assert not found, "\n\n".join([*found, "again: .venv/bin/python -m tests.simulation.run --seed N"])


@pytest.mark.fuzz_long
@pytest.mark.parametrize("first", range(SEEDS, 21_000, 200))
def test_no_seed_of_many_breaks_an_invariant(first: int) -> None:
    found = [sentence for seed in range(first, first + 200) if (sentence := run_seed(seed))]
    assert not found, "\n\n".join(found)


def test_a_seed_always_tells_the_same_story() -> None:
    for seed in (3, 4):
        once, twice = life_of(seed), life_of(seed)
        assert once.story == twice.story
        assert [(o.stream, o.event.TOPIC) for o in once.events()] == [(o.stream, o.event.TOPIC) for o in twice.events()]


def test_what_can_happen_does_happen() -> None:
    """A simulation that never gets far finds nothing: within these seeds every turn of a life is taken."""
    ends = (TaskBlocked, TaskCancelled, TaskCompleted, TaskFailed, TaskPaused, ActionOutcomeUnknown)
    wanted = {end.__name__ for end in ends} | {"asked again", "another attempt", "found done after a crash"}
    wanted |= {"rejected", "expired", "skipped", "no_approval", "withdrawn", "GrantRevoked", "ConfirmationWithdrawn"}
    wanted |= {"ApprovalRemembered", "ApprovalUsed", "ApprovalRevoked", "answered by an approval", "under other rules"}
    wanted |= {"ChangesStaged", "ConnectionDecided", "SandboxChecked", "HostRevoked"}
    wanted |= {"together", "changed while the command ran", "net_denied", "unavailable", "exit", "limit"}
    wanted |= {"SubagentSpawned", "SubagentReported", "SubagentStopped", "depth 1", "depth 2", "depth 3"}
    wanted |= {"TaskSteered", "TaskMessaged", "TaskInterrupted", "interrupted", "UsageReported", "GrantNarrowed"}
    wanted |= {"TaskBudgetExhausted", "TaskBudgetRaised", "TaskProgressed", "with skips", "undone", "subagent"}
    wanted |= {"TaskClaimed", "PathsClaimed", "asked about another agent's place", "a person said that it happened"}
    wanted |= {"CRASH", "refused", *(f"deed: {deed}" for deed in DEEDS)}
    for seed in range(SEEDS_TURNED_MAX):
        wanted.difference_update(turns_of(life_of(seed)))
        if not wanted:
            return
    assert wanted == set()
