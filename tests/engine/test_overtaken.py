"""A file that was made before a crash, and taken away by another task since, is not made a second time."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from cowork.domain.policy_document import Rule, layer_of_rules
from cowork.domain.task import ActionOutcomeUnknown, ActionStarted, ActionSucceeded
from tests.engine.breaking import Died, Executing, die, with_executor
from tests.engine.rig import Rig, create, delete, move, write

pytestmark = pytest.mark.anyio
ALLOWED = layer_of_rules("all", (Rule("everything", ("*",), "allow"),))


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path, files={"a.txt": "a"})


async def _made_and_died(rig: Rig, path: str = "out/new.txt") -> str:
    with_executor(rig, Executing(rig, after=die))
    task_id = await rig.start(create(path, rig.content("new")), rules=ALLOWED)
    with pytest.raises((Died, BaseExceptionGroup)):
        await rig.app.carry_on(task_id)
    assert rig.files()[path] == "new"
    rig.restart()
    return task_id


async def _moved(rig: Rig) -> None:
    await rig.run(move("out/new.txt", "kept.txt"), rules=ALLOWED)


async def _deleted(rig: Rig) -> None:
    await rig.run(delete("out/new.txt"), rules=ALLOWED)


async def _replaced_and_moved(rig: Rig) -> None:
    await rig.run(write("out/new.txt", rig.content("newer")), rules=ALLOWED)
    await rig.run(move("out/new.txt", "kept.txt"), rules=ALLOWED)


@pytest.mark.parametrize("other", [_moved, _deleted, _replaced_and_moved])
async def test_what_another_task_took_away_counts_as_made(rig: Rig, other: Callable[[Rig], Awaitable[None]]) -> None:
    task_id = await _made_and_died(rig)
    await other(rig)
    files = rig.files()
    assert (await rig.app.carry_on(task_id)).status == "completed"
    assert rig.files() == files
    found = next(one for one in rig.events(ActionSucceeded) if one.action_id == f"{task_id}.1")
    assert found.recovered
    assert [(one.change, one.at.path) for one in found.effects] == [("create", "out/new.txt")]
    assert [one.attempt for one in rig.events(ActionStarted) if one.action_id == f"{task_id}.1"] == [1]
    rig.assert_clean()


async def test_what_may_have_gone_with_its_folder_is_asked_about(rig: Rig) -> None:
    task_id = await _made_and_died(rig)
    await rig.run(move("out", "elsewhere"), rules=ALLOWED)
    assert (await rig.app.carry_on(task_id)).status == "awaiting_confirmation"
    (unknown,) = rig.events(ActionOutcomeUnknown)
    assert "took it away" in unknown.observed
    assert "out/new.txt" not in rig.files()
    rig.assert_clean()


async def test_what_a_person_took_away_nobody_knows_of_and_it_is_made_again(rig: Rig) -> None:
    task_id = await _made_and_died(rig)
    (rig.work / "out/new.txt").unlink()
    assert (await rig.app.carry_on(task_id)).status == "completed"
    assert rig.files()["out/new.txt"] == "new"
    rig.assert_clean()


async def test_what_somebody_elses_task_made_and_moved_is_not_taken_for_ours(rig: Rig) -> None:
    with_executor(rig, Executing(rig, before=die))
    task_id = await rig.start(create("new.txt", rig.content("new")), rules=ALLOWED)
    with pytest.raises((Died, BaseExceptionGroup)):
        await rig.app.carry_on(task_id)
    rig.restart()
    await rig.run(create("new.txt", rig.content("new")), rules=ALLOWED)
    await rig.run(move("new.txt", "theirs.txt"), rules=ALLOWED)
    assert (await rig.app.carry_on(task_id)).status == "completed"
    assert (rig.files()["new.txt"], rig.files()["theirs.txt"]) == ("new", "new")
    rig.assert_clean()


async def test_what_an_earlier_task_moved_from_there_is_no_evidence(rig: Rig) -> None:
    await rig.run(create("new.txt", rig.content("new")), rules=ALLOWED)
    await rig.run(move("new.txt", "first.txt"), rules=ALLOWED)
    with_executor(rig, Executing(rig, before=die))
    task_id = await rig.start(create("new.txt", rig.content("new")), rules=ALLOWED)
    with pytest.raises((Died, BaseExceptionGroup)):
        await rig.app.carry_on(task_id)
    rig.restart()
    assert (await rig.app.carry_on(task_id)).status == "completed"
    assert rig.files()["new.txt"] == "new"
    rig.assert_clean()
