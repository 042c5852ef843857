"""What a person is asked where several agents of one task write at one place: about every one of them, by name."""

from pathlib import Path

import pytest

from cowork.domain.action import SubagentSpawn
from cowork.domain.confirmation import ConfirmationRequested
from cowork.domain.policy import CLAIMED
from cowork.domain.policy_document import Rule, layer_of_rules
from cowork.domain.task import ActionConfirmationRequired, Task
from cowork.engine.answering import Answer
from tests.engine.planted_trees import spawn, step
from tests.engine.rig import PERSON, Rig

pytestmark = pytest.mark.anyio
RULES = layer_of_rules(
    "some",
    (
        Rule("ask", "file.rename", "allow_with_confirm"),
        Rule("rest", ("file.create", "file.move"), "allow"),
        Rule("spawning", "subagent.spawn", "allow"),
    ),
)


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path, files={"in/one.txt": "1", **{f"{name}{n}": name for name in "abc" for n in (1, 2)}})


def helper(name: str, kind: str, *, waits: bool = True, **fields: str) -> SubagentSpawn:
    """Return an agent that waits for an answer, writes somewhere, and then waits for another one."""
    first = [step("wait", "file.rename", path=f"{name}1", to=f"{name}3")] if waits else []
    write = step("write", kind, *(["wait"] if waits else []), **fields)
    return spawn(name, *first, write, step("stay", "file.rename", "write", path=f"{name}2", to=f"{name}4"))


async def approve(rig: Rig, action_id: str) -> None:
    asked = [one for one in rig.events(ConfirmationRequested) if one.items[0].action_id == action_id][-1]
    await rig.app.answer(asked.confirmation_id, asked.digest, Answer(approve=True, answered_by=PERSON))


def shown(rig: Rig) -> list[tuple[str, set[str]]]:
    """Return what was asked because others write there, as it was shown: of which action, and who the others are."""
    asked = [one for one in rig.events(ActionConfirmationRequired) if one.decision.rule_id == CLAIMED]
    return [(one.action_id, set(one.facts.claimants)) for one in asked]


async def test_an_answer_about_one_agent_is_none_about_another_that_writes_there_as_well(rig: Rig) -> None:
    first = helper("a", "file.move", waits=False, path="in/one.txt", to="old.txt")
    whole = helper("b", "file.move", path="in", to="moved")
    inside = helper("c", "file.create", path="in/one.txt", content="new")
    task = await rig.run(first, whole, inside, rules=RULES)
    a, b, c = (f"{task.task_id}-s{n}" for n in (1, 2, 3))
    for name in (b, c):
        await approve(rig, f"{name}.1")
        rig.restart()
        assert (await rig.app.carry_on(task.task_id)).status == "awaiting_confirmation"
    assert shown(rig) == [(f"{b}.2", {a}), (f"{c}.2", {a})]
    await approve(rig, f"{b}.2")
    await approve(rig, f"{c}.2")
    rig.restart()
    task = await rig.app.carry_on(task.task_id)
    assert len(shown(rig)) == 3
    again, others = shown(rig)[-1]
    assert (again, others) in ((f"{b}.2", {a, c}), (f"{c}.2", {a, b}))
    assert (rig.work / "moved").exists() is (again == f"{c}.2")
    await _goes_on_when_all_are_shown(rig, task, again)


async def _goes_on_when_all_are_shown(rig: Rig, task: Task, again: str) -> None:
    await approve(rig, again)
    await approve(rig, f"{task.task_id}-s1.2")
    rig.restart()
    await rig.app.carry_on(task.task_id)
    # The first agent has ended meanwhile, which is no reason to ask once more.
    assert len(shown(rig)) == 3
    assert ({"moved/one.txt", "in/one.txt"} & set(rig.files())) != set()
    rig.assert_clean()
