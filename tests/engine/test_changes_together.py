"""Changes of a command that go together: as soon as one is not made, the others are let go."""

from datetime import timedelta
from pathlib import Path

import pytest

from cowork.adapters.files.executor import FileExecutor
from cowork.domain.confirmation import ConfirmationRequested
from cowork.domain.plan import Step
from cowork.domain.policy_document import Rule, layer_of_rules
from cowork.engine.ports import Finding, Outcome, Permit, Unclear
from tests.engine.breaking import Died
from tests.engine.commands import (
    ASKS_ABOUT_DELETING,
    NOT_THE_SECOND,
    Run,
    change_all,
    command,
    outcomes,
    rules,
    together,
    with_commands,
    with_executors,
    write_both,
)
from tests.engine.rig import Rig, Says

pytestmark = pytest.mark.anyio


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path, files={"a.txt": "a", "b.txt": "b", "c.txt": "c", ".env": "KEY=1"})


async def test_changes_that_go_together_are_all_let_go_where_one_is_denied(rig: Rig) -> None:
    with_commands(rig, tidy=write_both)
    task = await rig.run(together(), rules=NOT_THE_SECOND)
    assert task.status == "blocked"
    assert sorted(outcomes(rig)) == ["a.txt: withdrawn", "b.txt: policy"]
    assert (rig.files()["a.txt"], rig.files()["b.txt"]) == ("a", "b")
    assert not rig.app.rows("confirmations", {"status": "pending"})
    rig.assert_clean()


async def test_nobody_is_asked_about_changes_that_are_let_go_with_a_denied_one(rig: Rig) -> None:
    async def mixed(run: Run) -> None:
        await run.delete("a.txt")
        await run.write("b.txt", "changed")

    denies = (*ASKS_ABOUT_DELETING.document.rules, NOT_THE_SECOND.document.rules[-1])
    with_commands(rig, tidy=mixed)
    person = Says(approve=True)
    task = await rig.run(together(), rules=layer_of_rules("run", denies), asker=person)
    assert task.status == "blocked"
    assert person.asked == []
    assert sorted(outcomes(rig)) == ["a.txt: withdrawn", "b.txt: policy"]
    assert not rig.app.rows("confirmations", {"status": "pending"})
    rig.assert_clean()


async def test_what_is_allowed_waits_for_the_answer_about_what_it_goes_together_with(rig: Rig) -> None:
    with_commands(rig, tidy=change_all)
    task = await rig.run(together(), rules=ASKS_ABOUT_DELETING)
    assert task.status == "awaiting_confirmation"
    assert rig.files() == {".env": "KEY=1", "a.txt": "a", "b.txt": "b", "c.txt": "c"}
    await rig.answer()
    assert (await rig.app.carry_on(task.task_id)).status == "completed"
    assert rig.files() == {".env": "KEY=1", "a.txt": "changed", "moved.txt": "c", "out/new.txt": "new"}
    rig.assert_clean()


async def test_a_no_lets_go_of_all_that_goes_together(rig: Rig) -> None:
    with_commands(rig, tidy=change_all)
    task = await rig.run(together(), rules=ASKS_ABOUT_DELETING, asker=Says(approve=False))
    assert task.status == "blocked"
    assert sorted(outcomes(rig)) == [
        "a.txt: withdrawn",
        "b.txt: rejected",
        "c.txt: withdrawn",
        "out/new.txt: withdrawn",
    ]
    assert rig.files() == {".env": "KEY=1", "a.txt": "a", "b.txt": "b", "c.txt": "c"}
    rig.assert_clean()


async def delete_both(run: Run) -> None:
    await run.delete("a.txt")
    await run.delete("b.txt")


async def test_a_change_that_somebody_overtook_after_the_yes_lets_go_of_what_goes_together_with_it(rig: Rig) -> None:
    with_commands(rig, tidy=delete_both)
    task = await rig.run(together(), rules=ASKS_ABOUT_DELETING)
    await rig.answer()
    rig.write("a.txt", "somebody else's")
    assert (await rig.app.carry_on(task.task_id)).status == "failed"
    assert outcomes(rig) == ["a.txt: conflict", "b.txt: withdrawn"]
    assert (rig.files()["a.txt"], rig.files()["b.txt"]) == ("somebody else's", "b")
    rig.assert_clean()


@pytest.mark.parametrize("answer", [True, False])
async def test_what_was_approved_waits_while_it_is_asked_what_became_of_what_it_goes_together_with(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, answer: bool
) -> None:
    async def die(self: FileExecutor, permit: Permit) -> Outcome:
        raise Died

    async def nobody_knows(self: FileExecutor, permit: Permit) -> Finding:
        return Unclear("half of it")

    perform = FileExecutor.perform
    commands = with_commands(rig, tidy=delete_both)
    task = await rig.run(together(), rules=ASKS_ABOUT_DELETING)
    await rig.answer()
    with monkeypatch.context() as broken:
        broken.setattr(FileExecutor, "perform", die)
        with pytest.raises(Died):
            await rig.app.carry_on(task.task_id)
        broken.setattr(FileExecutor, "perform", perform)
        broken.setattr(FileExecutor, "reconcile", nobody_knows)
        with_executors(rig, commands)
        assert (await rig.app.carry_on(task.task_id)).status == "awaiting_confirmation"
    assert {"a.txt", "b.txt"} <= set(rig.files())
    await rig.answer(approve=answer)
    ended = await rig.app.carry_on(task.task_id)
    assert not rig.app.rows("confirmations", {"status": "pending"})
    if answer:
        assert ended.status == "completed"
        assert not {"a.txt", "b.txt"} & set(rig.files())
    else:
        assert outcomes(rig) == ["a.txt: unknown", "b.txt: withdrawn"]
        assert "b.txt" in rig.files()
    rig.assert_clean()


async def test_a_change_that_fails_when_it_is_made_lets_go_of_those_that_go_together_with_it(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    perform = FileExecutor.perform

    async def too_late(self: FileExecutor, permit: Permit) -> Outcome:
        rig.write("a.txt", "somebody else's")
        return await perform(self, permit)

    with_commands(rig, tidy=write_both)
    monkeypatch.setattr(FileExecutor, "perform", too_late)
    task = await rig.run(together(), rules=rules(Rule("all", ("file.*",), "allow")))
    assert task.status == "failed"
    assert outcomes(rig) == ["a.txt: conflict", "b.txt: withdrawn"]
    assert (rig.files()["a.txt"], rig.files()["b.txt"]) == ("somebody else's", "b")
    rig.assert_clean()


@pytest.mark.parametrize(
    ("on_ask", "status", "code"), [("skip", "completed_with_skips", "skipped"), ("fail", "failed", "no_approval")]
)
@pytest.mark.parametrize("how", ["each", "together"])
async def test_where_nobody_may_be_asked_what_needs_a_person_is_left_out(
    rig: Rig, on_ask: str, status: str, code: str, how: str
) -> None:
    with_commands(rig, tidy=change_all)
    step = Step(step_id="s1", title="t", request=command("tidy"), changes=how)  # type: ignore[arg-type]
    task = await rig.run(step, rules=ASKS_ABOUT_DELETING, on_ask=on_ask)
    assert task.status == status
    assert f"b.txt: {code}" in outcomes(rig)
    assert not rig.events(ConfirmationRequested)
    assert rig.files()["a.txt"] == ("changed" if how == "each" else "a")
    assert outcomes(rig).count("a.txt: withdrawn") == (how == "together")
    rig.assert_clean()


async def test_a_question_about_changes_that_expires_leaves_them_out(rig: Rig) -> None:
    with_commands(rig, tidy=change_all)
    task = await rig.run(together(), rules=ASKS_ABOUT_DELETING)
    rig.clock.move(timedelta(hours=25))
    assert (await rig.app.carry_on(task.task_id)).status == "blocked"
    assert "b.txt: expired" in outcomes(rig)
    assert rig.files() == {".env": "KEY=1", "a.txt": "a", "b.txt": "b", "c.txt": "c"}
    rig.assert_clean()
