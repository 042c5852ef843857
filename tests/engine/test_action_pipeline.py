"""From a proposal to an effect: what is decided, asked, looked at again, recorded and carried out, in that order."""

from datetime import timedelta
from pathlib import Path

import pytest

from cowork.domain.action import FileMove, ShellExec
from cowork.domain.confirmation import ConfirmationRequested
from cowork.domain.errors import DomainError
from cowork.domain.plan import Batch
from cowork.domain.policy_document import Rule, layer_of_rules
from cowork.domain.task import (
    ActionConfirmationRequired,
    ActionDeclined,
    ActionDenied,
    ActionFailed,
    ActionStarted,
    ActionSucceeded,
    StepSkipped,
)
from cowork.engine.application import Answer
from tests.engine.rig import PERSON, Rig, Says, at, create, delete, move, read, write

pytestmark = pytest.mark.anyio
ALLOWED = layer_of_rules("all", (Rule("everything", ("*",), "allow"),))


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path, files={"a.txt": "a", "b.txt": "b", "in/one.csv": "1", "in/two.csv": "2"})


async def test_an_allowed_action_costs_two_commits(rig: Rig) -> None:
    await rig.run(read("a.txt"))
    of_action = [one.origin.command_id for one in rig.log() if ".action_" in one.event.TOPIC]
    assert len(of_action) == 4
    assert len(set(of_action)) == 2
    assert [t for t in rig.topics() if ".action_" in t] == [
        "task.action_proposed",
        "task.action_allowed",
        "task.action_started",
        "task.action_succeeded",
    ]
    rig.assert_clean()


async def test_what_needs_a_person_is_not_done_before_the_answer(rig: Rig) -> None:
    task = await rig.run(delete("a.txt"))
    assert task.status == "awaiting_confirmation"
    assert "a.txt" in rig.files()
    assert not rig.events(ActionStarted)
    await rig.answer()
    assert (await rig.app.carry_on(task.task_id)).status == "completed"
    assert "a.txt" not in rig.files()
    rig.assert_clean()


async def test_a_rejected_action_is_never_started(rig: Rig) -> None:
    task = await rig.run(delete("a.txt"), asker=Says(approve=False))
    assert task.status == "blocked"
    assert rig.files()["a.txt"] == "a"
    assert [one.reason_code for one in rig.events(ActionDeclined)] == ["rejected"]
    assert not rig.events(ActionStarted)
    rig.assert_clean()


async def test_a_file_that_changed_since_it_was_shown_is_asked_about_again(rig: Rig) -> None:
    task = await rig.run(delete("a.txt"))
    rig.write("a.txt", "not what was shown")
    await rig.answer()
    again = await rig.app.carry_on(task.task_id)
    assert again.status == "awaiting_confirmation"
    assert rig.files()["a.txt"] == "not what was shown"
    first, second = rig.events(ConfirmationRequested)
    assert first.digest != second.digest
    assert "`a.txt` has changed" in rig.events(ActionConfirmationRequired)[1].changed
    assert any("has changed" in line for block in second.card.blocks if block.role == "changed" for line in block.lines)
    await rig.answer()
    assert (await rig.app.carry_on(task.task_id)).status == "completed"
    assert "a.txt" not in rig.files()
    rig.assert_clean()


async def test_the_answer_to_the_first_question_is_no_answer_to_the_second(rig: Rig) -> None:
    task = await rig.run(delete("a.txt"))
    old = rig.open_question()
    rig.write("a.txt", "other")
    await rig.answer()
    await rig.app.carry_on(task.task_id)
    new = rig.open_question()
    with pytest.raises(DomainError, match="digest") as refused:
        await rig.app.answer(new.confirmation_id, old.digest, Answer(approve=True, answered_by=PERSON))
    assert refused.value.code == "conflict"


async def test_a_file_that_is_touched_but_not_changed_is_as_it_was_shown(rig: Rig) -> None:
    task = await rig.run(delete("a.txt"))
    (rig.work / "a.txt").touch()
    await rig.answer()
    assert (await rig.app.carry_on(task.task_id)).status == "completed"


async def test_a_revoked_grant_stops_a_waiting_action(rig: Rig) -> None:
    task = await rig.run(delete("a.txt"))
    await rig.answer()
    (grant,) = rig.app.rows("grants")
    await rig.app.revoke(str(grant["grant_id"]), by=PERSON)
    ended = await rig.app.carry_on(task.task_id)
    assert ended.status == "blocked"
    assert rig.files()["a.txt"] == "a"
    assert [one.reason_code for one in rig.events(ActionDeclined)] == ["no_grant"]
    rig.assert_clean()


async def test_a_grant_that_expires_while_a_person_thinks_stops_the_action(rig: Rig) -> None:
    task = await rig.run(delete("a.txt"), expires_in=timedelta(hours=1))
    rig.clock.move(timedelta(hours=2))
    await rig.answer()
    assert (await rig.app.carry_on(task.task_id)).status == "blocked"
    assert rig.files()["a.txt"] == "a"
    rig.assert_clean()


async def test_a_verb_that_was_not_granted_is_denied_whatever_the_rules_say(rig: Rig) -> None:
    task = await rig.run(delete("a.txt"), rules=ALLOWED, verbs=("read",))
    assert task.status == "blocked"
    (denied,) = rig.events(ActionDenied)
    assert denied.decision.rule_id == "invariant.grant-verb"
    assert rig.files()["a.txt"] == "a"


async def test_a_kind_that_nobody_can_carry_out_is_denied_as_unavailable(rig: Rig) -> None:
    task = await rig.run(ShellExec(argv=("true",), cwd=at(".")), rules=ALLOWED)
    assert task.status == "blocked"
    assert [one.decision.reason_code for one in rig.events(ActionDenied)] == ["unavailable"]


@pytest.mark.parametrize("path", ["../outside.txt", "/etc/passwd", "in/../../x", "link/x", "", ".cowork/x"])
async def test_a_path_that_leaves_the_grant_is_denied_and_never_opened(rig: Rig, path: str) -> None:
    (rig.work / "link").symlink_to(rig.folder)
    await rig.run(create(path, rig.content("x")), rules=ALLOWED)
    assert not rig.events(ActionStarted)
    assert not (rig.folder / "x").exists()
    assert not (rig.folder / "outside.txt").exists()
    rig.assert_clean()


async def test_a_pattern_is_decided_file_by_file_and_asked_about_at_once(rig: Rig) -> None:
    rig.write("in/.env", "secret")
    says = Says(approve=True)
    await rig.run(Batch(of="file.delete", match="in/*"), asker=says)
    (question,) = says.asked
    assert len(question.items) == 2
    assert "batch" in question.risk_tags
    assert rig.files() == {"a.txt": "a", "b.txt": "b", "in/.env": "secret"}
    rig.assert_clean()


async def test_two_files_of_a_batch_never_get_the_same_name(rig: Rig) -> None:
    rig.write("other/one.csv", "another one")
    await rig.run(Batch(of="file.move", match="**/one.csv", to="all/"), rules=ALLOWED)
    files = rig.files()
    assert files["all/one.csv"] == "1"
    assert files["other/one.csv"] == "another one"
    (denied,) = rig.events(ActionDenied)
    assert denied.decision.reason_code == "conflict"
    rig.assert_clean()


async def test_a_pattern_beneath_no_grant_refuses_its_step(rig: Rig) -> None:
    task = await rig.run(Batch(of="file.delete", match="/etc/*"))
    assert task.status == "blocked"
    assert [one.reason_code for one in rig.events(StepSkipped)] == ["no_grant"]


async def test_a_pattern_that_matches_nothing_is_done_at_once(rig: Rig) -> None:
    assert (await rig.run(Batch(of="file.delete", match="*.none"))).status == "completed"


@pytest.mark.parametrize(("on_ask", "status"), [("skip", "completed_with_skips"), ("fail", "failed")])
async def test_a_plan_that_may_not_ask_does_nothing_that_needs_a_person(rig: Rig, on_ask: str, status: str) -> None:
    task = await rig.run(delete("a.txt"), read("b.txt"), on_ask=on_ask)
    assert task.status == status
    assert rig.files()["a.txt"] == "a"
    assert not rig.events(ConfirmationRequested)
    assert len(rig.events(ActionSucceeded)) == 1
    rig.assert_clean()


async def test_an_overwrite_keeps_the_bytes_from_before(rig: Rig) -> None:
    await rig.run(write("a.txt", rig.content("new")), asker=Says(approve=True))
    (done,) = rig.events(ActionSucceeded)
    assert rig.files()["a.txt"] == "new"
    assert rig.app.result(done.effects[0].before) == b"a"
    assert done.effects[0].kept == f"blob:{done.effects[0].before}"


async def test_a_move_never_replaces_anything(rig: Rig) -> None:
    task = await rig.run(move("a.txt", "b.txt"), rules=ALLOWED)
    assert task.status == "failed"
    assert (rig.files()["a.txt"], rig.files()["b.txt"]) == ("a", "b")


async def test_a_destination_that_appears_while_a_person_thinks_is_not_overwritten(rig: Rig) -> None:
    task = await rig.run(FileMove(at=at("a.txt"), to=at("new.txt")))
    rig.write("new.txt", "somebody else's")
    await rig.answer()
    assert (await rig.app.carry_on(task.task_id)).status == "failed"
    assert (rig.files()["a.txt"], rig.files()["new.txt"]) == ("a", "somebody else's")
    assert not rig.events(ActionFailed)
    rig.assert_clean()
