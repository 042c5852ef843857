"""A thousand lives of a store: whatever chance does, the invariants hold and no byte is lost."""

import pytest

from cowork.domain.session import PolicyAdopted
from cowork.domain.task import (
    ActionAllowed,
    ActionConfirmationRequired,
    ActionDeclined,
    ActionDenied,
    ActionFailed,
    ActionOutcomeUnknown,
    ActionProposed,
    ActionStarted,
    ActionSucceeded,
    TaskBlocked,
    TaskCancelled,
    TaskCompleted,
    TaskFailed,
    TaskPaused,
)
from tests.simulation.run import life_of, run_seed

SEEDS = 1000
CHUNK = 25


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
    turns: set[str] = set()
    for seed in range(160):
        life = life_of(seed)
        for one in life.events():
            event = one.event
            turns.add(type(event).__name__)
            match event:
                case ActionConfirmationRequired(changed=changed) if changed:
                    turns.add("asked again")
                case ActionStarted(attempt=attempt) if attempt > 1:
                    turns.add("another attempt")
                case ActionSucceeded(recovered=True):
                    turns.add("found done after a crash")
                case ActionAllowed(decision=decision) if decision.approval_id:
                    turns.add("answered by an approval")
                case PolicyAdopted(layers=layers) if one.version > 2 and len(layers) > 1:
                    turns.add("under other rules")
                case ActionDeclined(reason_code=code) | ActionFailed(reason_code=code):
                    turns.add(code)
                case ActionDenied(decision=decision, facts=facts):
                    turns.add(decision.reason_code or "")
                    if facts.obstacle is not None and "while the command ran" in facts.obstacle.message:
                        turns.add("changed while the command ran")
                case ActionProposed(together=True):
                    turns.add("together")
                case _:
                    pass
        turns |= {line.partition("] ")[2].partition(" ")[0] for line in life.story}
    ends = (TaskBlocked, TaskCancelled, TaskCompleted, TaskFailed, TaskPaused, ActionOutcomeUnknown)
    wanted = {end.__name__ for end in ends} | {"asked again", "another attempt", "found done after a crash"}
    wanted |= {"rejected", "expired", "skipped", "no_approval", "withdrawn", "GrantRevoked", "ConfirmationWithdrawn"}
    wanted |= {"ApprovalRemembered", "ApprovalUsed", "ApprovalRevoked", "answered by an approval", "under other rules"}
    wanted |= {"ChangesStaged", "ConnectionDecided", "SandboxChecked", "HostRevoked"}
    wanted |= {"together", "changed while the command ran", "net_denied", "unavailable", "exit", "limit"}
    wanted |= {"CRASH", "person:", "edit:", "refused:"}
    assert wanted - turns == set()
