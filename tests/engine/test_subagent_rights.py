"""Whatever subagents try, and whenever a right is taken back: nothing is done that their parents could not do."""

from collections.abc import Iterator
from datetime import timedelta
from itertools import count
from os.path import normpath
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cowork.adapters.files.executor import FileExecutor
from cowork.adapters.planners.plan_model import StepFields
from cowork.adapters.planners.plan_steps import step_of
from cowork.domain.action import Action, SubagentSpawn, locations_of
from cowork.domain.grant import GrantNarrowed, GrantRevoked, NarrowGrant, RevokeGrant
from cowork.domain.plan import Step
from cowork.domain.policy_document import Rule, layer_of_rules
from cowork.domain.scope import VERBS, Verb
from cowork.domain.subagent import SubagentSpawned
from cowork.domain.task import (
    ActionDeclined,
    ActionDenied,
    ActionProposed,
    ActionStarted,
    ActionSucceeded,
)
from cowork.engine.command_handler import order_grant
from tests.engine.agents_that_try import (
    Account,
    Agents,
    Meanwhile,
    by_hand,
    executors,
    furnish,
    on_disk,
)
from tests.engine.planted_trees import spawn, step
from tests.engine.rig import Rig, Says

ALLOWED: Final = layer_of_rules("all", (Rule("everything", ("*",), "allow"),))
ROOT: Final = Account((((".", VERBS),),))
_NUMBERS: Final = count()


@pytest.fixture
def places() -> Iterator[Path]:
    """In memory: what is synced ten thousand times here would take a disk minutes."""
    with TemporaryDirectory(dir="/dev/shm", prefix="rights-") as folder:
        yield Path(folder)


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    made = Rig(tmp_path)
    furnish(made)
    return made


def _steps(rig: Rig, agents: Agents) -> list[Step]:
    contents: dict[str, bytes] = {}
    steps = [step_of(StepFields.model_validate(one), contents) for one in agents.plan()]
    for data in contents.values():
        rig.blobs.put(data)
    return steps


def _accounts(rig: Rig, given: dict[str, Any]) -> dict[str, Account]:
    """Return what the agent of each task was given, by the task's id."""
    accounts = {one.task_id: ROOT for one in rig.events(ActionProposed) if "-s" not in one.task_id}
    for one in rig.events(SubagentSpawned):
        accounts[one.task_id] = accounts[one.parent_task_id].below(given[one.title])
    return accounts


def _assert_nobody_did_more(rig: Rig, given: dict[str, Any], before: dict[str, str]) -> None:
    accounts = _accounts(rig, given)
    actions: dict[str, tuple[Account, Action]] = {}
    held: tuple[Verb, ...] = VERBS
    for recorded in rig.log():
        match recorded.event:
            case ActionProposed(task_id=task_id, action_id=name, action=action):
                actions[name] = (accounts[task_id], action)
            case GrantRevoked():
                held = ()
            case GrantNarrowed(verbs=verbs):
                held = verbs
            case ActionStarted(action_id=name):
                account, action = actions[name]
                now = Account((*account.parts, ((".", held),)), account.kinds)
                assert list(now.faults(action)) == []
            case _:
                pass
    _assert_disk_is_as_told(rig, before)
    rig.assert_clean()


def _assert_disk_is_as_told(rig: Rig, before: dict[str, str]) -> None:
    """Assert that what changed on disk is what the effects on record say, or lies in a folder that was moved."""
    told: set[str] = set()
    for one in rig.events(ActionSucceeded):
        for effect in one.effects:
            told.update(normpath(place.path) for place in (effect.at, effect.previous) if place is not None)
            told.update(effect.new_folders)
    after = on_disk(rig.work)
    changed = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    assert {name for name in changed if not any(name == one or name.startswith(f"{one}/") for one in told)} == set()
    assert on_disk(rig.folder / "outside") == {"secret.txt": "secret"}


async def _live(folder: Path, seed: int) -> None:
    """Let a tree of agents try everything, and take something back at some moment while they do."""
    rig, agents = Rig(folder), Agents(seed)
    furnish(rig)
    before = on_disk(rig.work)
    steps = _steps(rig, agents)
    at = agents.choice((0, agents.randint(1, 60)))
    less = agents.sample(VERBS, agents.randint(0, 4))

    async def happens() -> None:
        (grant,) = rig.app.rows("grants")
        name = str(grant["grant_id"])
        command = NarrowGrant(verbs=tuple(less), output_roots=()) if less else RevokeGrant("enough")
        await by_hand(rig, order_grant(name, command))

    rig.app = rig.engine(rig.store, executors(rig, Meanwhile(rig, at, happens)))
    task = await rig.run(*steps, rules=ALLOWED, asker=Says(approve=True))
    assert task.is_final or task.status == "budget_exhausted", task.status
    _assert_nobody_did_more(rig, agents.given, before)


def test_whatever_a_tree_of_agents_tries_nobody_does_more_than_was_given(places: Path) -> None:
    @settings(max_examples=60)
    @given(st.integers(0, 2**32))
    def tried(seed: int) -> None:
        folder = places / str(next(_NUMBERS))
        folder.mkdir()
        anyio.run(_live, folder, seed)

    tried()


# At one moment ------------------------------------------------------------------------------------------------------


def _with(rig: Rig, at: int, happens: Any) -> None:
    rig.app = rig.engine(rig.store, executors(rig, Meanwhile(rig, at, happens)))


def _grant(rig: Rig) -> str:
    return str(rig.app.rows("grants")[0]["grant_id"])


def _deleting() -> SubagentSpawn:
    inner = step("all", "file.delete", match="**/*.txt")
    return spawn("cleaner", inner)


@pytest.mark.anyio
@pytest.mark.parametrize("how", ["revoked", "narrowed", "over"])
async def test_what_is_taken_back_during_a_running_batch_stops_the_rest_of_it(rig: Rig, how: str) -> None:
    async def happens() -> None:
        if how == "revoked":
            await by_hand(rig, order_grant(_grant(rig), RevokeGrant()))
        elif how == "narrowed":
            verbs: tuple[Verb, ...] = ("read", "create", "write", "move")
            await by_hand(rig, order_grant(_grant(rig), NarrowGrant(verbs=verbs, output_roots=())))
        else:
            rig.clock.move(timedelta(hours=2))

    # One look at all of them, then for each another look and the deletion itself: at the third deletion.
    _with(rig, 7, happens)
    task = await rig.run(_deleting(), rules=ALLOWED, expires_in=timedelta(hours=1))
    assert task.status == "blocked"
    done = [effect.at.path for one in rig.events(ActionSucceeded) for effect in one.effects]
    assert len(done) == 3, "what was under way is finished, and nothing else starts"
    assert len(rig.files()) == 7 - 3
    refused = [one.reason_code for one in rig.events(ActionDeclined)]
    assert refused == ["no_grant"] * 4
    rig.assert_clean()


@pytest.mark.anyio
async def test_a_grant_taken_back_between_a_look_and_the_decision_is_noticed(rig: Rig) -> None:
    async def happens() -> None:
        await by_hand(rig, order_grant(_grant(rig), RevokeGrant()))

    _with(rig, 1, happens)
    helper = spawn("helper", step("x", "file.delete", path="a/1.txt"))
    task = await rig.run(helper, rules=ALLOWED)
    assert task.status == "blocked"
    assert [one.decision.rule_id for one in rig.events(ActionDenied)] == ["invariant.grant-revoked"]
    assert [one for one in rig.events(ActionStarted) if "-s" in one.task_id] == []
    assert "a/1.txt" in rig.files()
    rig.assert_clean()


@pytest.mark.anyio
async def test_what_a_subagents_command_changes_outside_its_part_is_not_made(rig: Rig) -> None:
    from tests.engine.commands import Run, with_commands

    async def everywhere(run: Run) -> None:
        await run.write("a/1.txt", "mine")
        await run.write("b/1.txt", "not mine")
        await run.delete("c/1.txt")
        await run.move("a/2.txt", "b/moved.txt")

    with_commands(rig, everywhere=everywhere)
    run = step("run", "shell.exec", argv=["everywhere"], cwd="a", writes="staged")
    inner = {"path": "a", "verbs": ["read", "write", "move"]}
    task = await rig.run(spawn("builder", run, folders=[inner]), rules=ALLOWED)
    assert task.status == "blocked"
    files = rig.files()
    assert files["a/1.txt"] == "mine"
    assert (files["b/1.txt"], files["c/1.txt"]) == ("this is b/1.txt\n", "this is c/1.txt\n")
    assert {"a/2.txt", "b/moved.txt"} & files.keys() == {"a/2.txt"}
    denied = {locations_of(_proposed(rig, one.action_id))[0].path for one in rig.events(ActionDenied)}
    assert denied == {"b/1.txt", "c/1.txt", "a/2.txt"}
    rig.assert_clean()


def _proposed(rig: Rig, action_id: str) -> Action:
    return next(one.action for one in rig.events(ActionProposed) if one.action_id == action_id)


def test_the_trees_try_what_they_may_and_what_they_may_not(places: Path) -> None:
    """The stories would prove nothing if everything in them was refused, or nothing."""
    started, denied, deepest = 0, 0, 0
    for seed in range(8):
        folder = places / f"counted-{seed}"
        folder.mkdir()
        rig, agents = Rig(folder), Agents(seed)
        furnish(rig)
        rig.app = rig.engine(rig.store, executors(rig, FileExecutor(rig.blobs, rig.state)))

        async def live(rig: Rig = rig, agents: Agents = agents) -> None:
            await rig.run(*_steps(rig, agents), rules=ALLOWED, asker=Says(approve=True))

        anyio.run(live)
        started += sum("-s" in one.task_id for one in rig.events(ActionStarted))
        denied += sum("-s" in one.task_id for one in rig.events(ActionDenied))
        deepest = max([deepest, *(one.depth for one in rig.events(SubagentSpawned))])
    assert started > 60
    assert denied > 100
    assert deepest == 3
