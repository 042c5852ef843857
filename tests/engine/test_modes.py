"""Permission bits that a person sets meanwhile are as much theirs as what they write: no earlier yes replaces them."""

import stat
from pathlib import Path

import msgspec
import pytest

from cowork.domain.action import Action, FileWrite
from cowork.domain.confirmation import ConfirmationRequested
from cowork.domain.policy_document import Rule, layer_of_rules
from cowork.domain.task import ActionConfirmationRequired, ActionDeclined, ActionDenied, ActionProposed
from cowork.engine.application import Answer
from tests.engine.commands import Run, command, rules, with_commands
from tests.engine.rig import PERSON, Rig, Says, at, write

pytestmark = pytest.mark.anyio
ALL = layer_of_rules("all", (Rule("everything", ("*",), "allow"),))
ASKS = rules(Rule("running", ("shell.exec",), "allow"), Rule("asking", ("file.write",), "allow_with_confirm"))


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    made = Rig(tmp_path, files={"a.txt": "a", "b.txt": "b"})
    for path in made.work.iterdir():
        path.chmod(0o644)
    return made


def mode_of(rig: Rig, name: str) -> int:
    return stat.S_IMODE((rig.work / name).stat().st_mode)


def executable(rig: Rig, text: str = "new") -> Action:
    return FileWrite(at=at("a.txt"), content=rig.content(text), mode=0o755)


class Meanwhile:
    """Says yes to everything, and sets the mode of `a.txt` while a question is open."""

    def __init__(self, rig: Rig, mode: int) -> None:
        self._rig = rig
        self._mode = mode
        self.asked: list[ConfirmationRequested] = []

    async def ask(self, question: ConfirmationRequested) -> Answer:
        self.asked.append(question)
        if len(self.asked) == 1:
            (self._rig.work / "a.txt").chmod(self._mode)
        return Answer(approve=True, answered_by=PERSON)


@pytest.mark.parametrize("text", ["new", "a"])
async def test_a_mode_that_was_set_since_it_was_shown_is_asked_about_again(rig: Rig, text: str) -> None:
    task = await rig.run(executable(rig, text))
    assert any("644" in line for block in rig.open_question().card.blocks for line in block.lines)
    (rig.work / "a.txt").chmod(0o600)
    await rig.answer()
    again = await rig.app.carry_on(task.task_id)
    assert (again.status, mode_of(rig, "a.txt"), rig.files()["a.txt"]) == ("awaiting_confirmation", 0o600, "a")
    changed = rig.events(ActionConfirmationRequired)[1].changed
    assert changed == "`a.txt` has changed (mode 644, now 600)"
    await rig.answer()
    assert (await rig.app.carry_on(task.task_id)).status == "completed"
    assert mode_of(rig, "a.txt") == 0o755
    rig.assert_clean()


async def test_a_yes_at_the_moment_of_the_change_is_asked_for_again_as_well(rig: Rig) -> None:
    person = Meanwhile(rig, 0o600)
    task = await rig.run(executable(rig), asker=person)
    assert (task.status, len(person.asked)) == ("completed", 2)
    assert any("644, now 600" in line for block in person.asked[1].card.blocks for line in block.lines)


async def test_an_action_that_sets_no_mode_is_not_asked_about_again_and_keeps_the_files_own(rig: Rig) -> None:
    person = Meanwhile(rig, 0o600)
    task = await rig.run(write("a.txt", rig.content("new")), asker=person)
    assert (task.status, len(person.asked)) == ("completed", 1)
    assert (mode_of(rig, "a.txt"), rig.files()["a.txt"]) == (0o600, "new")
    rig.assert_clean()


async def test_before_a_task_goes_on_it_is_said_which_mode_was_set_meanwhile(rig: Rig) -> None:
    task = await rig.run(executable(rig), write("b.txt", rig.content("new")))
    for name in ("a.txt", "b.txt"):
        (rig.work / name).chmod(0o600)
    report = await rig.app.resume_report(task.task_id)
    assert [(one.place.path, one.change, one.detail) for one in report.files] == [
        ("a.txt", "changed", "mode 644, now 600")
    ]


# Undo


async def test_an_undo_says_which_mode_it_may_replace(rig: Rig) -> None:
    task = await rig.run(executable(rig), rules=ALL)
    report = await rig.app.undo(task.task_id, by=PERSON)
    await rig.app.carry_on(report.task_id)
    (undoing,) = [one.action for one in rig.events(ActionProposed) if one.task_id == report.task_id]
    assert isinstance(undoing, FileWrite)
    assert (undoing.mode, undoing.base_mode, mode_of(rig, "a.txt")) == (0o644, 0o755, 0o644)
    rig.assert_clean()


async def test_a_mode_that_was_set_while_the_undo_waits_stays_whatever_is_said(rig: Rig) -> None:
    task = await rig.run(executable(rig), asker=Says(approve=True))
    report = await rig.app.undo(task.task_id, by=PERSON)
    assert (await rig.app.carry_on(report.task_id)).status == "awaiting_confirmation"
    (rig.work / "a.txt").chmod(0o600)
    ended = await rig.app.carry_on(report.task_id, Says(approve=True))
    assert ended.status == "failed"
    assert (mode_of(rig, "a.txt"), rig.files()["a.txt"]) == (0o600, "new")
    assert "the mode of `a.txt` is no longer what it was" in rig.events(ActionDeclined)[-1].reason
    again = await rig.app.undo(task.task_id, by=PERSON)
    assert (await rig.app.carry_on(again.task_id, Says(approve=True))).status == "completed"
    assert (mode_of(rig, "a.txt"), rig.files()["a.txt"]) == (0o600, "a")
    rig.assert_clean()


async def test_a_mode_that_was_set_before_the_undo_gets_to_the_file_stays(rig: Rig) -> None:
    action = FileWrite(at=at("a.txt"), content=rig.content("b"), mode=0o755, base=rig.content("a").digest)
    task_id = await rig.start(msgspec.structs.replace(action, base_mode=0o640), rules=ALL)
    assert (await rig.app.carry_on(task_id)).status == "failed"
    (denied,) = rig.events(ActionDenied)
    assert "the mode of `a.txt` is no longer what it was" in denied.decision.reason
    assert mode_of(rig, "a.txt") == 0o644


async def test_an_undo_of_a_log_that_names_no_mode_leaves_one_that_was_set_since(rig: Rig) -> None:
    earlier = FileWrite(at=at("a.txt"), content=rig.content("b"), mode=0o755, base=rig.content("a").digest)
    task = await rig.run(earlier)
    (rig.work / "a.txt").chmod(0o600)
    ended = await rig.app.carry_on(task.task_id, Says(approve=True))
    assert (ended.status, mode_of(rig, "a.txt")) == ("failed", 0o600)
    (declined,) = rig.events(ActionDeclined)
    assert declined.reason == "`a.txt` has changed (mode 644, now 600) since it was decided on"
    rig.assert_clean()


# Commands


async def test_a_mode_that_was_set_while_the_changes_of_a_command_wait_stays(rig: Rig) -> None:
    async def tidy(run: Run) -> None:
        await run.write("a.txt", "changed", mode=0o755)
        await run.write("b.txt", "changed")

    with_commands(rig, tidy=tidy)
    task = await rig.run(command("tidy"), rules=ASKS)
    assert task.status == "awaiting_confirmation"
    for name in ("a.txt", "b.txt"):
        (rig.work / name).chmod(0o600)
    ended = await rig.app.carry_on(task.task_id, Says(approve=True))
    assert ended.status == "failed"
    assert rig.files() == {"a.txt": "a", "b.txt": "changed"}
    assert [mode_of(rig, name) for name in ("a.txt", "b.txt")] == [0o600, 0o600]
    assert [one.reason for one in rig.events(ActionDeclined)] == [
        "`a.txt` has changed (mode 644, now 600) since the command saw it"
    ]
    rig.assert_clean()


async def test_a_mode_that_was_set_while_the_command_ran_stays(rig: Rig) -> None:
    async def race(run: Run) -> None:
        await run.write("a.txt", "changed", mode=0o755)
        (rig.work / "a.txt").chmod(0o600)

    with_commands(rig, tidy=race)
    task = await rig.run(command("tidy"), rules=ALL)
    assert (task.status, mode_of(rig, "a.txt"), rig.files()["a.txt"]) == ("failed", 0o600, "a")
    (denied,) = rig.events(ActionDenied)
    assert "changed while the command ran" in denied.decision.reason
    rig.assert_clean()
