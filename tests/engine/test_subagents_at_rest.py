"""Subagents that came to rest: what lets them go on, and that nobody waits for ever, or in circles, for one of them."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from cowork.domain.action import SubagentSpawn, locations_of
from cowork.domain.budget import Usage
from cowork.domain.policy_document import Rule, layer_of_rules
from cowork.domain.subagent import SubagentReported
from cowork.domain.task import ActionSucceeded, TaskBudgetExhausted
from cowork.engine.answering import Answer
from cowork.engine.ports import Outcome, Permit
from tests.engine.breaking import Executing, with_executor
from tests.engine.planted_trees import nested, spawn, step
from tests.engine.rig import PERSON, Rig

pytestmark = pytest.mark.anyio
ALLOWED = layer_of_rules("all", (Rule("everything", ("*",), "allow"), Rule("spawning", "subagent.spawn", "allow")))


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path, files={"a.txt": "a", "b.txt": "b"})


def two_deep(*steps: dict[str, Any]) -> SubagentSpawn:
    """Return a subagent that does nothing but start one that takes these steps."""
    return spawn("outer", nested("in", spawn("inner", *steps)))


async def test_what_a_subagent_of_a_subagent_changed_is_in_the_report_of_both(rig: Rig) -> None:
    inner = spawn("inner", step("x", "file.create", path="x.txt", content="x"), step("y", "file.read", path="a.txt"))
    outer = spawn("outer", nested("in", inner), step("z", "file.delete", "in", path="b.txt"))
    task = await rig.run(outer, rules=ALLOWED)
    assert task.status == "completed"
    assert [one.report for one in rig.events(SubagentReported)] == [
        "subagent “inner”: completed, 2 actions, 1 change to files",
        "subagent “outer”: completed, 2 actions, 2 changes to files",
    ]
    outcome = next(one for one in rig.events(ActionSucceeded) if one.action_id == f"{task.task_id}.1")
    assert outcome.result is not None
    changes = json.loads(rig.blobs.get(outcome.result.digest))["changes"]
    assert [change["at"]["path"] for change in changes] == ["x.txt", "b.txt"]


async def test_one_that_was_paused_beneath_one_that_waits_goes_on_with_the_tree(rig: Rig) -> None:
    """Its question is too late to answer, and nobody but itself would say so."""
    task = await rig.run(two_deep(step("x", "file.delete", path="a.txt")))
    assert task.status == "awaiting_confirmation"
    await rig.app.pause(f"{task.task_id}-s1-s1", by=PERSON)
    rig.clock.move(timedelta(days=2))
    with anyio.fail_after(20):
        task = await rig.app.carry_on(task.task_id)
    assert task.status == "blocked"
    assert rig.app.task(f"{task.task_id}-s1-s1").status == "blocked"
    assert "a.txt" in rig.files()
    rig.assert_clean()


async def test_one_answer_of_two_is_acted_on_where_one_was_paused_meanwhile(rig: Rig) -> None:
    task = await rig.run(two_deep(step("x", "file.delete", path="a.txt"), step("y", "file.delete", path="b.txt")))
    await rig.app.pause(f"{task.task_id}-s1-s1", by=PERSON)
    row = rig.app.rows("confirmations", {"status": "pending"})[0]
    await rig.app.answer(str(row["confirmation_id"]), str(row["digest"]), Answer(approve=True, answered_by=PERSON))
    with anyio.fail_after(20):
        task = await rig.app.carry_on(task.task_id)
    assert task.status == "awaiting_confirmation"
    assert len(rig.files()) == 1
    await rig.answer()
    assert (await rig.app.carry_on(task.task_id)).status == "completed"
    assert rig.files() == {}
    rig.assert_clean()


class Held(Executing):
    """The real executor; what goes to `b` waits until it is let go."""

    def __init__(self, rig: Rig) -> None:
        super().__init__(rig)
        self.go = anyio.Event()

    async def perform(self, permit: Permit) -> Outcome:
        if locations_of(permit.action)[0].path.startswith("b"):
            await self.go.wait()
        return await super().perform(permit)


async def test_one_that_was_paused_at_its_bound_does_not_hide_the_bound_of_another(rig: Rig) -> None:
    """It has more room by now, but is paused: what the task stops at is the other one's bound, and it does stop."""
    held = Held(rig)
    with_executor(rig, held)
    one = spawn(
        "one",
        *(step(f"x{n}", "file.create", path=f"a{n}.txt", content="12345") for n in range(2)),
        budget={"bytes_written": 5},
    )
    two = spawn("two", *(step(f"y{n}", "file.create", path=f"b{n}.txt", content="12345") for n in range(4)))
    task_id = await rig.start(one, two, rules=ALLOWED, budget_bytes=20)

    async def meanwhile() -> None:
        while not rig.events(TaskBudgetExhausted):
            await anyio.lowlevel.checkpoint()
        await rig.app.pause(f"{task_id}-s1", by=PERSON)
        await rig.app.top_up(f"{task_id}-s1", Usage(bytes_written=5), by=PERSON)
        held.go.set()

    with anyio.fail_after(20):
        async with anyio.create_task_group() as group:
            group.start_soon(meanwhile)
            await rig.app.carry_on(task_id)
    assert rig.app.task(task_id).status == "budget_exhausted"
    assert {one.of_task for one in rig.events(TaskBudgetExhausted)} == {f"{task_id}-s1", task_id}
    assert rig.app.task(f"{task_id}-s1").status == "paused"
    await rig.app.top_up(task_id, Usage(bytes_written=100), by=PERSON)
    assert (await rig.app.carry_on(task_id)).status == "completed"
    rig.assert_clean()
