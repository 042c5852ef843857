"""After a crash: what was done is found, what was not is made again, and about the rest a person is asked."""

from pathlib import Path

import pytest

from cowork.domain.confirmation import ConfirmationRequested
from cowork.domain.errors import DomainError
from cowork.domain.plan import Step
from cowork.domain.policy_document import Rule, layer_of_rules
from cowork.domain.session import SessionEnded
from cowork.domain.task import ActionFailed, ActionOutcomeUnknown, ActionStarted, ActionSucceeded
from tests.engine.breaking import Died, Executing, Interrupted, die, fall_over, with_executor
from tests.engine.rig import PERSON, Rig, Says, assert_clean, delete, read, write

pytestmark = pytest.mark.anyio
ALLOWED = layer_of_rules("all", (Rule("everything", ("*",), "allow"),))


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path, files={"a.txt": "a", "b.txt": "b"})


async def _crashed(rig: Rig, executing: Executing) -> str:
    with_executor(rig, executing)
    after = Step(step_id="s2", title="step 2", needs=("s1",), request=read("b.txt"))
    task_id = await rig.start(delete("a.txt"), after, rules=ALLOWED)
    with pytest.raises(Died):
        await rig.app.carry_on(task_id)
    return task_id


async def test_an_effect_that_happened_is_found_and_not_made_again(rig: Rig) -> None:
    task_id = await _crashed(rig, Executing(rig, after=die))
    again = Executing(rig)
    with_executor(rig, again)
    assert (await rig.app.carry_on(task_id)).status == "completed"
    assert [permit.action_id for permit in again.performed] == [f"{task_id}.2"]
    assert [one.recovered for one in rig.events(ActionSucceeded)] == [True, False]
    assert rig.files() == {"b.txt": "b"}
    rig.assert_clean()


async def test_an_effect_that_did_not_happen_is_made_again_as_a_second_attempt(rig: Rig) -> None:
    task_id = await _crashed(rig, Executing(rig, before=die))
    assert rig.files()["a.txt"] == "a"
    rig.restart()
    assert (await rig.app.carry_on(task_id)).status == "completed"
    assert [one.attempt for one in rig.events(ActionStarted) if one.action_id == f"{task_id}.1"] == [1, 2]
    assert rig.files() == {"b.txt": "b"}
    rig.assert_clean()


async def test_a_second_attempt_is_decided_again(rig: Rig) -> None:
    task_id = await _crashed(rig, Executing(rig, before=die))
    rig.restart()
    (grant,) = rig.app.rows("grants")
    await rig.app.revoke(str(grant["grant_id"]), by=PERSON)
    await rig.app.carry_on(task_id)
    assert [one.reason_code for one in rig.events(ActionFailed)] == ["no_grant"]
    assert rig.files()["a.txt"] == "a"
    rig.assert_clean()


async def test_what_nobody_can_tell_is_put_to_a_person(rig: Rig) -> None:
    task_id = await _crashed(rig, Executing(rig, after=die))
    for kept in (rig.state / "quarantine").iterdir():
        kept.unlink()
    rig.restart()
    assert (await rig.app.carry_on(task_id)).status == "awaiting_confirmation"
    assert len(rig.events(ActionOutcomeUnknown)) == 1
    (question,) = rig.events(ConfirmationRequested)
    assert question.purpose == "unknown_outcome"
    await rig.answer(approve=False)
    assert (await rig.app.carry_on(task_id)).status == "failed"
    assert len(rig.events(ActionStarted)) == 1
    rig.assert_clean()


async def test_an_executor_that_breaks_leaves_a_question_and_not_a_guess(rig: Rig) -> None:
    says = Says(approve=False)
    with_executor(rig, Executing(rig, after=fall_over))
    task = await rig.run(delete("a.txt"), rules=ALLOWED, asker=says)
    assert "out of cheese" in rig.events(ActionOutcomeUnknown)[0].observed
    assert [question.purpose for question in says.asked] == ["unknown_outcome"]
    assert task.status == "failed"
    rig.assert_clean()


async def test_a_person_who_says_that_it_be_made_again_has_it_made_again(rig: Rig) -> None:
    with_executor(rig, Executing(rig, before=fall_over))
    task = await rig.run(delete("a.txt"), rules=ALLOWED)
    assert task.status == "awaiting_confirmation"
    rig.restart()
    await rig.answer()
    assert (await rig.app.carry_on(task.task_id)).status == "completed"
    assert rig.files() == {"b.txt": "b"}
    rig.assert_clean()


async def test_an_approval_outlives_a_crash_only_for_the_file_that_was_shown(rig: Rig) -> None:
    task = await rig.run(write("a.txt", rig.content("new")))
    await rig.answer()
    with_executor(rig, Executing(rig, before=die))
    with pytest.raises(Died):
        await rig.app.carry_on(task.task_id)
    rig.write("a.txt", "somebody was here")
    rig.restart()
    await rig.app.carry_on(task.task_id)
    assert rig.files()["a.txt"] == "somebody was here"
    rig.assert_clean()


async def test_a_store_that_refuses_the_outcome_loses_nothing(rig: Rig) -> None:
    executing = Executing(rig, after=lambda: rig.store.fail_next(DomainError("unavailable", "the disk is full")))
    with_executor(rig, executing)
    task_id = await rig.start(delete("a.txt"), rules=ALLOWED)
    with pytest.raises(DomainError, match="the disk is full"):
        await rig.app.carry_on(task_id)
    assert (await rig.app.carry_on(task_id)).status == "completed"
    assert [one.recovered for one in rig.events(ActionSucceeded)] == [True]
    assert len(executing.performed) == 1
    rig.assert_clean()


async def test_cancelling_after_a_crash_finds_out_what_became_of_the_attempt(rig: Rig) -> None:
    task_id = await _crashed(rig, Executing(rig, after=die))
    rig.restart()
    await rig.app.cancel(task_id, by=PERSON)
    assert [one.recovered for one in rig.events(ActionSucceeded)] == [True]
    assert rig.app.task(task_id).status == "cancelled"
    assert len(rig.events(SessionEnded)) == 1
    rig.assert_clean()


async def test_a_task_cancelled_from_elsewhere_before_its_process_died_is_closed_by_a_resume(rig: Rig) -> None:
    other = rig.engine()

    async def cancel() -> None:
        await other.cancel(task_id, by=PERSON)
        assert_clean(other.audit())

    with_executor(rig, Interrupted(rig, cancel))
    task_id = await rig.start(delete("a.txt"), rules=ALLOWED)
    with pytest.raises(Died):
        await rig.app.carry_on(task_id)
    rig.restart()
    assert [one.invariant for one in rig.app.audit().violations] == [8]
    assert rig.app.resumable() == [task_id]
    assert (await rig.app.carry_on(task_id)).status == "cancelled"
    assert [one.reason_code for one in rig.events(ActionFailed)] == ["withdrawn"]
    assert rig.files()["a.txt"] == "a"
    assert rig.app.resumable() == []
    with pytest.raises(DomainError, match="has ended"):
        await rig.app.carry_on(task_id)
    rig.assert_clean()
