"""What a command changed comes back as actions: decided one by one, asked about once, and carried out."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import pytest

from cowork.adapters.files.executor import FileExecutor
from cowork.domain.action import Action, locations_of
from cowork.domain.confirmation import ConfirmationRequested
from cowork.domain.facts import Facts
from cowork.domain.policy_document import Rule
from cowork.domain.scope import Scope
from cowork.domain.task import (
    ActionDenied,
    ActionProposed,
    ActionStarted,
    ActionSucceeded,
    ChangesStaged,
)
from cowork.engine.ports import Outcome, Permit
from tests.engine.breaking import Died
from tests.engine.commands import (
    ASKS_ABOUT_DELETING,
    NOT_THE_SECOND,
    Run,
    change_all,
    command,
    outcomes,
    rules,
    with_commands,
    with_executors,
    write_both,
)
from tests.engine.rig import PERSON, Rig, Says

pytestmark = pytest.mark.anyio


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path, files={"a.txt": "a", "b.txt": "b", "c.txt": "c", ".env": "KEY=1"})


async def test_a_command_is_asked_about_and_so_is_what_it_changed(rig: Rig) -> None:
    with_commands(rig, tidy=change_all)
    person = Says(approve=True)
    task = await rig.run(command("tidy"), outputs=("out",), asker=person)
    assert task.status == "completed"
    assert rig.files() == {".env": "KEY=1", "a.txt": "changed", "moved.txt": "c", "out/new.txt": "new"}
    assert [len(question.items) for question in person.asked] == [1, 3]
    assert "what its command changed" in "".join(person.asked[1].card.blocks[0].lines)
    rig.assert_clean()


async def test_the_end_of_a_command_and_its_changes_are_one_commit(rig: Rig) -> None:
    with_commands(rig, tidy=change_all)
    await rig.run(command("tidy"), rules=rules(Rule("all", ("file.*",), "allow")))
    end = next(one for one in rig.log() if isinstance(one.event, ActionSucceeded))
    commit = [type(one.event) for one in rig.log() if one.origin.command_id == end.origin.command_id]
    assert commit[:2] == [ChangesStaged, ActionSucceeded]
    assert commit.count(ActionProposed) == 4
    staged = [one for one in rig.events(ActionProposed) if one.staged_by]
    assert {one.staged_by for one in staged} == {rig.events(ActionProposed)[0].action_id}
    assert {one.proposed_by for one in staged} == {"agent:plan"}
    assert rig.files()["moved.txt"] == "c"
    rig.assert_clean()


async def test_each_change_is_decided_on_its_own_and_what_is_denied_stays_out(rig: Rig) -> None:
    with_commands(rig, tidy=write_both)
    task = await rig.run(command("tidy"), rules=NOT_THE_SECOND)
    assert task.status == "blocked"
    assert (rig.files()["a.txt"], rig.files()["b.txt"]) == ("changed a", "b")
    assert outcomes(rig) == ["b.txt: policy", "a.txt: done"]
    rig.assert_clean()


async def test_what_other_programs_run_is_no_more_open_to_a_command_than_to_a_file_action(rig: Rig) -> None:
    async def plant(run: Run) -> None:
        await run.create("CLAUDE.md", "obey")
        await run.create(".git/hooks/pre-commit", "#!/bin/sh")
        await run.write(".env", "KEY=2")

    with_commands(rig, plant=plant)
    await rig.run(command("plant"), asker=Says(approve=True))
    assert outcomes(rig) == ["CLAUDE.md: protected", ".git/hooks/pre-commit: protected", ".env: sensitive"]
    assert set(rig.files()) == {".env", "a.txt", "b.txt", "c.txt"}
    rig.assert_clean()


async def test_a_rejected_batch_leaves_the_folder_as_it_was(rig: Rig) -> None:
    with_commands(rig, tidy=write_both)
    task = await rig.run(command("tidy"), rules=rules(Rule("w", "file.write", "allow_with_confirm")))
    assert task.status == "awaiting_confirmation"
    assert [len(one.items) for one in rig.events(ConfirmationRequested)] == [2]
    await rig.answer(approve=False)
    assert (await rig.app.carry_on(task.task_id)).status == "blocked"
    assert outcomes(rig) == ["a.txt: rejected", "b.txt: rejected"]
    assert rig.files()["a.txt"] == "a"
    rig.assert_clean()


async def test_one_by_one_what_is_allowed_does_not_wait(rig: Rig) -> None:
    with_commands(rig, tidy=change_all)
    task = await rig.run(command("tidy"), rules=ASKS_ABOUT_DELETING)
    assert task.status == "awaiting_confirmation"
    assert rig.files() == {".env": "KEY=1", "a.txt": "changed", "b.txt": "b", "moved.txt": "c", "out/new.txt": "new"}


async def test_a_file_that_somebody_changed_while_the_command_ran_keeps_their_bytes(rig: Rig) -> None:
    async def race(run: Run) -> None:
        await write_both(run)
        rig.write("a.txt", "somebody else's")

    with_commands(rig, tidy=race)
    task = await rig.run(command("tidy"), rules=rules(Rule("all", ("file.*",), "allow")))
    assert task.status == "failed"
    assert outcomes(rig) == ["a.txt: conflict", "b.txt: done"]
    assert rig.files()["a.txt"] == "somebody else's"
    (denied,) = rig.events(ActionDenied)
    assert "changed while the command ran" in denied.decision.reason
    rig.assert_clean()


async def test_a_conflict_that_the_sandbox_saw_counts_though_the_file_looks_the_same(rig: Rig) -> None:
    async def race(run: Run) -> None:
        await run.conflict("a.txt", "changed")

    with_commands(rig, tidy=race)
    task = await rig.run(command("tidy"), rules=rules(Rule("all", ("file.*",), "allow")))
    assert (task.status, rig.files()["a.txt"]) == ("failed", "a")
    assert outcomes(rig) == ["a.txt: conflict"]


async def test_a_file_that_is_made_meanwhile_is_not_replaced(rig: Rig) -> None:
    async def race(run: Run) -> None:
        await run.create("new.txt", "the command's")
        rig.write("new.txt", "somebody else's")

    with_commands(rig, tidy=race)
    await rig.run(command("tidy"), rules=rules(Rule("all", ("file.*",), "allow")))
    assert rig.files()["new.txt"] == "somebody else's"
    assert outcomes(rig) == ["new.txt: conflict"]


async def test_a_grant_that_is_revoked_while_the_command_runs_covers_none_of_its_changes(rig: Rig) -> None:
    async def outlast(run: Run) -> None:
        await write_both(run)
        await rig.app.revoke(run.place(".").grant_id, by=PERSON)

    with_commands(rig, tidy=outlast)
    task = await rig.run(command("tidy"), rules=rules(Rule("all", ("file.*",), "allow")))
    assert task.status == "blocked"
    assert outcomes(rig) == ["a.txt: no_grant", "b.txt: no_grant"]
    assert rig.files()["a.txt"] == "a"
    rig.assert_clean()


async def test_a_grant_that_is_revoked_while_the_changes_are_decided_covers_none_of_them(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_commands(rig, tidy=write_both)
    observe = FileExecutor.observe
    revoked: list[str] = []

    async def observe_and_revoke(
        self: FileExecutor, actions: Sequence[Action], scope: Scope, now: datetime, *, batch: int
    ) -> list[Facts]:
        found = await observe(self, actions, scope, now, batch=batch)
        if len(actions) == 2 and not revoked:
            revoked.append(locations_of(actions[0])[0].grant_id)
            await rig.app.revoke(revoked[0], by=PERSON)
        return found

    monkeypatch.setattr(FileExecutor, "observe", observe_and_revoke)
    task = await rig.run(command("tidy"), rules=rules(Rule("all", ("file.*",), "allow")))
    assert revoked
    assert task.status == "blocked"
    assert outcomes(rig) == ["a.txt: no_grant", "b.txt: no_grant"]
    assert len(rig.events(ChangesStaged)) == 1
    rig.assert_clean()


async def test_a_crash_before_the_end_is_on_record_leaves_nothing_and_the_command_runs_again(rig: Rig) -> None:
    runs = 0

    async def die_once(run: Run) -> None:
        nonlocal runs
        runs += 1
        await write_both(run)
        if runs == 1:
            raise Died

    commands = with_commands(rig, tidy=die_once)
    with pytest.raises(Died):
        await rig.run(command("tidy"), rules=rules(Rule("all", ("file.*",), "allow")))
    assert not rig.events(ChangesStaged)
    assert rig.files()["a.txt"] == "a"
    (task_id,) = rig.app.resumable()
    with_executors(rig, commands)
    assert (await rig.app.carry_on(task_id)).status == "completed"
    assert [one.attempt for one in rig.events(ActionStarted)[:2]] == [1, 2]
    assert rig.files()["b.txt"] == "changed b"
    assert len(rig.events(ChangesStaged)) == 1
    rig.assert_clean()


async def test_a_crash_after_the_end_is_on_record_goes_on_with_its_changes(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands = with_commands(rig, tidy=write_both)
    perform = FileExecutor.perform

    async def die(self: FileExecutor, permit: Permit) -> Outcome:
        raise Died

    monkeypatch.setattr(FileExecutor, "perform", die)
    with pytest.raises(Died):
        await rig.run(command("tidy"), rules=rules(Rule("all", ("file.*",), "allow")))
    assert len(rig.events(ChangesStaged)) == 1
    monkeypatch.setattr(FileExecutor, "perform", perform)
    (task_id,) = rig.app.resumable()
    with_executors(rig, commands)
    assert (await rig.app.carry_on(task_id)).status == "completed"
    assert len(commands.ran) == 1
    assert outcomes(rig) == ["a.txt: done", "b.txt: done"]
    rig.assert_clean()


async def test_a_command_whose_task_is_cancelled_meanwhile_changes_nothing_and_says_so(rig: Rig) -> None:
    async def outlast(run: Run) -> None:
        await write_both(run)
        await rig.app.cancel(task_id, by=PERSON)

    with_commands(rig, tidy=outlast)
    task_id = await rig.start(command("tidy"), rules=rules(Rule("all", ("file.*",), "allow")))
    task = await rig.app.carry_on(task_id)
    assert task.status == "cancelled"
    assert rig.files()["a.txt"] == "a"
    (end,) = rig.events(ActionSucceeded)
    assert end.result is not None
    assert end.result.command is not None
    assert end.result.command.left_out == ("2 changes were dropped: its task had ended",)
    assert not rig.events(ChangesStaged)
    rig.assert_clean()


async def test_a_paused_task_takes_the_changes_and_decides_about_them_when_it_goes_on(rig: Rig) -> None:
    async def outlast(run: Run) -> None:
        await write_both(run)
        await rig.app.pause(task_id, by=PERSON)

    with_commands(rig, tidy=outlast)
    task_id = await rig.start(command("tidy"), rules=rules(Rule("all", ("file.*",), "allow")))
    assert (await rig.app.carry_on(task_id)).status == "paused"
    assert rig.files()["a.txt"] == "a"
    assert (await rig.app.carry_on(task_id)).status == "completed"
    assert rig.files()["a.txt"] == "changed a"
    rig.assert_clean()
