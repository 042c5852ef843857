"""Undo: only what was changed is taken back, through the same pipeline, and what somebody changed since stays."""

import json
import os
import shutil
import stat
from pathlib import Path

import pytest

from cowork.adapters.blobs.memory import MemoryBlobStore
from cowork.domain.action import FileDelete, FileRename, FileRestore, FileWrite, SubagentSpawn
from cowork.domain.confirmation import ConfirmationRequested
from cowork.domain.errors import DomainError
from cowork.domain.grant import FolderGranted
from cowork.domain.plan import Step
from cowork.domain.policy_document import Rule, layer_of_rules
from cowork.domain.session import SessionStarted
from cowork.domain.task import ActionDenied, ActionProposed, TaskPlanned, TaskQueued
from cowork.engine.application import FolderRequest, PlannedTask, RunRequest
from cowork.engine.undo_report import UndoReport
from tests.engine.breaking import Executing, with_executor
from tests.engine.commands import Run as CommandRun
from tests.engine.commands import command, with_commands
from tests.engine.rig import PERSON, Rig, Says, at, create, delete, move, write

pytestmark = pytest.mark.anyio
ALL = layer_of_rules("all", (Rule("everything", ("*",), "allow"), Rule("spawning", "subagent.spawn", "allow")))


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(
        tmp_path, files={"a.txt": "1\n2\n3\n4\n5\n", "b.txt": "b\n", "in/one.txt": "one\n", "in/two.txt": "two\n"}
    )


async def undone(rig: Rig, name: str) -> UndoReport:
    """Undo it as far as it goes."""
    report = await rig.app.undo(name, by=PERSON)
    if report.task_id:
        await rig.app.carry_on(report.task_id)
    return report


def left(report: UndoReport) -> dict[str, str]:
    return {line.at.path if line.at is not None else "": line.reason for line in report.left}


def deeds(report: UndoReport) -> list[str]:
    return [f"{line.deed} {line.at.path}" for line in report.lines if line.at is not None]


# What comes back


async def test_everything_that_a_task_changed_is_as_it_was(rig: Rig) -> None:
    before = rig.files()
    task = await rig.run(
        write("a.txt", rig.content("other\n")),
        create("new/deep/c.txt", rig.content("c")),
        move("b.txt", "moved/b.txt"),
        delete("in"),
        rules=ALL,
    )
    report = await undone(rig, task.task_id)
    assert not report.left
    assert rig.files() == before
    assert sorted(path.name for path in rig.work.iterdir()) == ["a.txt", "b.txt", "in"]
    rig.assert_clean()


async def test_a_chain_of_changes_comes_to_one(rig: Rig) -> None:
    task = await rig.run(
        create("c.txt", rig.content("1")),
        move("c.txt", "d.txt"),
        write("d.txt", rig.content("2")),
        write("b.txt", rig.content("x\n")),
        move("b.txt", "e.txt"),
        write("e.txt", rig.content("y\n")),
        rules=ALL,
    )
    report = await rig.app.undo(task.task_id, by=PERSON, dry_run=True)
    assert sorted(deeds(report)) == ["move_back e.txt", "remove d.txt", "write_back e.txt"]


async def test_a_task_that_changed_nothing_in_the_end_needs_no_undo(rig: Rig) -> None:
    task = await rig.run(move("b.txt", "c.txt"), move("c.txt", "b.txt"), rules=ALL)
    report = await undone(rig, task.task_id)
    assert (report.lines, report.task_id) == ((), "")


async def test_modes_come_back_unless_somebody_has_set_another(rig: Rig) -> None:
    (rig.work / "b.txt").chmod(0o640)
    (rig.work / "in/one.txt").chmod(0o600)
    task = await rig.run(
        FileWrite(at=at("b.txt"), content=rig.content("b\n"), mode=0o755),
        FileWrite(at=at("in/one.txt"), content=rig.content("changed\n"), mode=0o755),
        rules=ALL,
    )
    (rig.work / "in/one.txt").chmod(0o711)
    report = await undone(rig, task.task_id)
    assert stat.S_IMODE((rig.work / "b.txt").stat().st_mode) == 0o640
    assert stat.S_IMODE((rig.work / "in/one.txt").stat().st_mode) == 0o711
    assert rig.files()["in/one.txt"] == "one\n"
    assert left(report) == {"in/one.txt": "its mode was changed since, to 711, and stays so"}


async def test_a_file_with_other_names_comes_back_as_the_file_that_it_was(rig: Rig) -> None:
    os.link(rig.work / "b.txt", rig.folder / "elsewhere")
    inode = (rig.work / "b.txt").stat().st_ino
    task = await rig.run(write("b.txt", rig.content("other\n")), rules=ALL, asker=Says(approve=True))
    assert (rig.work / "b.txt").stat().st_ino != inode
    report = await undone(rig, task.task_id)
    assert deeds(report) == ["move_aside b.txt", "write_back b.txt"]
    assert (rig.work / "b.txt").stat().st_ino == inode
    assert rig.files()["b.txt"] == "b\n"


async def test_names_that_look_like_something_else_are_only_names(rig: Rig) -> None:
    # A name that is not UTF-8, one that nobody may choose anew, and one that would be another folder's in a plan.
    names = ["caf\udce9.txt", "a\u202eb", "work:a.txt"]
    for name in names:
        rig.write(name, name[0])
    before = {path.name for path in rig.work.iterdir()}
    paths = ["caf\U0010fee9.txt", "a\u202eb", "./work:a.txt"]
    task = await rig.run(*(delete(path) for path in paths), rules=ALL)
    assert task.status == "completed"
    assert not (await undone(rig, task.task_id)).left
    assert {path.name for path in rig.work.iterdir()} == before
    assert (rig.work / names[0]).read_text(encoding="utf-8") == "c"


async def test_what_a_command_changed_is_taken_back_with_its_task_or_by_its_action(rig: Rig) -> None:
    async def tidy(run: CommandRun) -> None:
        await run.write("a.txt", "1\n2\n3\n4\nfive\n")
        await run.delete("in/one.txt")
        await run.move("b.txt", "moved.txt")
        await run.create("out/new.txt", "new", mode=0o755)

    before = rig.files()
    with_commands(rig, tidy=tidy)
    task = await rig.run(command("tidy"), write("in/two.txt", rig.content("2")), rules=ALL)
    assert (task.status, len(rig.events(ActionProposed))) == ("completed", 6)
    report = await undone(rig, f"{task.task_id}.1")
    assert not report.left
    assert rig.files() == {**before, "in/two.txt": "2"}
    assert not (await undone(rig, task.task_id)).left
    assert rig.files() == before
    rig.assert_clean()


async def test_what_subagents_changed_is_taken_back_with_their_parents_task(rig: Rig) -> None:
    step = {"id": "x", "action": {"kind": "file.delete", "path": "in/one.txt"}}
    scope = {"folders": [{"path": ".", "verbs": ["read", "delete"]}]}
    helper = SubagentSpawn(title="helper", scope=json.dumps(scope), steps=json.dumps([step]))
    before = rig.files()
    task = await rig.run(helper, write("b.txt", rig.content("x")), rules=ALL)
    assert set(rig.files()) == {"a.txt", "b.txt", "in/two.txt"}
    part = await rig.app.undo(f"{task.task_id}.1", by=PERSON, dry_run=True)
    assert deeds(part) == ["put_back in/one.txt"]
    assert not (await undone(rig, task.task_id)).left
    assert rig.files() == before
    rig.assert_clean()


async def test_an_undo_can_be_undone_again_and_again(rig: Rig) -> None:
    before = rig.files()
    task = await rig.run(delete("in"), write("b.txt", rig.content("x\n")), rules=ALL)
    after = rig.files()
    first = await undone(rig, task.task_id)
    assert rig.files() == before
    second = await undone(rig, first.task_id)
    assert rig.files() == after
    assert (await rig.app.undo(first.task_id, by=PERSON)).lines == ()
    third = await undone(rig, second.task_id)
    assert rig.files() == before
    assert (await rig.app.undo(task.task_id, by=PERSON)).lines == ()
    await undone(rig, third.task_id)
    assert rig.files() == after
    await undone(rig, task.task_id)
    assert rig.files() == before
    rig.assert_clean()


# What stays


async def test_both_sides_changes_are_in_a_merge(rig: Rig) -> None:
    task = await rig.run(write("a.txt", rig.content("ONE\n2\n3\n4\n5\n")), rules=ALL)
    rig.write("a.txt", "ONE\n2\n3\n4\nfive\nsix\n")
    report = await undone(rig, task.task_id)
    assert deeds(report) == ["merge a.txt"]
    assert rig.files()["a.txt"] == "1\n2\n3\n4\nfive\nsix\n"


@pytest.mark.parametrize(
    ("mine", "why"),
    [
        (b"one\n2\n3\n4\n5\n", "both changed the same lines"),
        (b"ONE\n2\n3\n4\n5\n\xff", "a version is not text"),
        (b"ONE\n2\n3\n4\n5\n" + b"x" * 1024 * 1024, "bytes"),
    ],
)
async def test_what_cannot_be_merged_is_left_and_named(rig: Rig, mine: bytes, why: str) -> None:
    task = await rig.run(write("a.txt", rig.content("ONE\n2\n3\n4\n5\n")), rules=ALL)
    (rig.work / "a.txt").write_bytes(mine)
    report = await undone(rig, task.task_id)
    assert report.task_id == ""
    assert why in left(report)["a.txt"]
    assert (rig.work / "a.txt").read_bytes() == mine


async def test_a_folder_that_the_task_made_stays_where_somebody_has_put_something_into_it(rig: Rig) -> None:
    task = await rig.run(create("new/c.txt", rig.content("c")), create("more/d.txt", rig.content("d")), rules=ALL)
    rig.write("new/mine.txt", "mine")
    report = await undone(rig, task.task_id)
    assert left(report) == {"new": "it was made here, and holds something else now"}
    assert rig.files()["new/mine.txt"] == "mine"
    assert sorted(path.name for path in rig.work.iterdir()) == ["a.txt", "b.txt", "in", "new"]


async def test_a_file_that_the_task_made_stays_where_somebody_has_changed_it(rig: Rig) -> None:
    task = await rig.run(create("new/c.txt", rig.content("c")), rules=ALL)
    rig.write("new/c.txt", "mine")
    report = await undone(rig, task.task_id)
    assert left(report)["new/c.txt"] == "it was made here, and has been changed since"
    assert rig.files()["new/c.txt"] == "mine"


async def test_what_the_task_made_and_somebody_took_away_is_no_conflict(rig: Rig) -> None:
    task = await rig.run(create("new/c.txt", rig.content("c")), rules=ALL)
    (rig.work / "new/c.txt").rename(rig.work / "mine.txt")
    report = await undone(rig, task.task_id)
    assert deeds(report) == ["remove new", "gone new/c.txt"]
    assert not report.left
    assert rig.files()["mine.txt"] == "c"


async def test_a_place_that_is_taken_is_named_and_never_overwritten(rig: Rig) -> None:
    task = await rig.run(delete("in"), move("b.txt", "c.txt"), rules=ALL)
    rig.write("in/one.txt", "mine")
    rig.write("b.txt", "mine too")
    report = await undone(rig, task.task_id)
    assert set(left(report).values()) == {"its place is taken by something else"}
    assert {name: rig.files()[name] for name in ("b.txt", "in/one.txt")} == {"b.txt": "mine too", "in/one.txt": "mine"}


async def test_what_somebody_has_put_back_already_is_back(rig: Rig) -> None:
    shutil.copytree(rig.work / "in", rig.folder / "copy")
    task = await rig.run(delete("in"), delete("b.txt"), rules=ALL)
    shutil.copytree(rig.folder / "copy", rig.work / "in")
    report = await undone(rig, task.task_id)
    assert deeds(report) == ["put_back b.txt"]


async def test_a_link_in_the_place_of_a_file_is_left_alone(rig: Rig) -> None:
    task = await rig.run(write("b.txt", rig.content("x\n")), create("c.txt", rig.content("c")), rules=ALL)
    outside = rig.folder / "outside"
    for name in ("b.txt", "c.txt"):
        (rig.work / name).rename(outside)
        (rig.work / name).symlink_to(outside)
    report = await undone(rig, task.task_id)
    assert left(report) == {"b.txt": "a symbolic link stands there now", "c.txt": "a symbolic link stands there now"}
    assert outside.read_text(encoding="utf-8") == "c"


async def test_what_somebody_changed_while_the_task_ran_stays_too(rig: Rig) -> None:
    def edit() -> None:
        if rig.files()["a.txt"].startswith("ONE"):
            rig.write("a.txt", rig.files()["a.txt"].replace("3", "mine"))

    with_executor(rig, Executing(rig, before=edit))
    first = Step(step_id="s1", title="first", request=write("a.txt", rig.content("ONE\n2\n3\n4\n5\n")))
    second = write("a.txt", rig.content("ONE\n2\nmine\n4\nfive\n"))
    third = Step(step_id="s3", title="third", request=second, after=("s2",))
    between = Step(step_id="s2", title="between", request=write("b.txt", rig.content("x\n")), after=("s1",))
    task = await rig.run(first, between, third, rules=ALL)
    assert task.status == "completed"
    assert not (await undone(rig, task.task_id)).left
    assert rig.files()["a.txt"] == "1\n2\nmine\n4\n5\n"


async def test_what_a_later_task_changed_is_somebodys(rig: Rig) -> None:
    task = await rig.run(write("a.txt", rig.content("ONE\n2\n3\n4\n5\n")), rules=ALL)
    await rig.run(write("a.txt", rig.content("ONE\n2\n3\n4\nfive\n")), rules=ALL)
    assert deeds(await undone(rig, task.task_id)) == ["merge a.txt"]
    assert rig.files()["a.txt"] == "1\n2\n3\n4\nfive\n"


async def test_an_edit_while_the_undo_waits_is_not_overwritten(rig: Rig) -> None:
    task = await rig.run(
        write("a.txt", rig.content("x\n")),
        create("out/c.txt", rig.content("c")),
        asker=Says(approve=True),
        outputs=("out",),
    )
    report = await rig.app.undo(task.task_id, by=PERSON)
    waiting = await rig.app.carry_on(report.task_id)
    assert waiting.status == "awaiting_confirmation"
    rig.write("a.txt", "mine\n")
    rig.write("out/c.txt", "mine too")
    ended = await rig.app.carry_on(report.task_id, Says(approve=True))
    assert ended.status == "failed"
    assert {name: rig.files()[name] for name in ("a.txt", "out/c.txt")} == {"a.txt": "mine\n", "out/c.txt": "mine too"}
    again = await rig.app.undo(task.task_id, by=PERSON, dry_run=True)
    assert set(left(again)) == {"a.txt", "out", "out/c.txt"}
    rig.assert_clean()


async def test_one_conflict_does_not_keep_the_rest_from_coming_back(rig: Rig) -> None:
    task = await rig.run(delete("in/one.txt"), delete("in"), create("in", rig.content("file")), rules=ALL)
    report = await rig.app.undo(task.task_id, by=PERSON)
    (rig.state / "quarantine").rename(rig.folder / "away")
    (rig.state / "quarantine").mkdir()
    ended = await rig.app.carry_on(report.task_id)
    assert ended.status in ("failed", "blocked")
    assert "in" not in {path.name for path in rig.work.iterdir()}
    rig.assert_clean()


async def test_what_is_no_longer_kept_is_named(rig: Rig) -> None:
    task = await rig.run(write("a.txt", rig.content("x\n")), delete("b.txt"), delete("in"), rules=ALL)
    shutil.rmtree(rig.state / "quarantine")
    rig.blobs = MemoryBlobStore()
    rig.restart()
    report = await undone(rig, task.task_id)
    assert report.task_id == ""
    assert left(report) == {
        "a.txt": "what it held before is no longer kept",
        "b.txt": "what was deleted is no longer kept",
        "in": "what was deleted is no longer kept",
    }


async def test_a_folder_that_is_another_one_now_is_not_touched(rig: Rig) -> None:
    task = await rig.run(delete("b.txt"), rules=ALL)
    rig.work.rename(rig.folder / "old")
    rig.work.mkdir()
    report = await undone(rig, task.task_id)
    assert report.task_id == ""
    assert "another folder stands there than the one granted" in left(report)[""]
    assert list(rig.work.iterdir()) == []


# How it is done


async def test_an_undo_is_a_task_of_its_own_with_no_more_rights_than_it_takes(rig: Rig) -> None:
    task = await rig.run(delete("b.txt"), move("in", "out"), asker=Says(approve=True), outputs=("res",))
    before = len(rig.log())
    report = await undone(rig, task.task_id)
    news = [one.event for one in rig.log()[before:]]
    (session,) = [one for one in news if isinstance(one, SessionStarted)]
    (queued,) = [one for one in news if isinstance(one, TaskQueued)]
    (granted,) = [one for one in news if isinstance(one, FolderGranted)]
    original = rig.events(FolderGranted)[0]
    assert (queued.task_id, queued.undoes, queued.title) == (report.task_id, task.task_id, "undo: a task")
    assert (queued.session_id, session.user_id) == (session.session_id, "ann")
    assert granted.verbs == ("create", "move")
    assert (granted.root_path, granted.identity) == (original.root_path, original.identity)
    assert granted.output_roots == ("res",)
    givers = {one.origin.actor for one in rig.log() if isinstance(one.event, FolderGranted)}
    assert givers == {PERSON}


async def test_the_rules_ask_about_an_undo_as_about_anything_else(rig: Rig) -> None:
    task = await rig.run(delete("b.txt"), create("c.txt", rig.content("c")), asker=Says(approve=True))
    report = await rig.app.undo(task.task_id, by=PERSON)
    person = Says(approve=False)
    ended = await rig.app.carry_on(report.task_id, person)
    assert ended.status == "blocked"
    assert [len(question.items) for question in person.asked] == [2]
    assert set(rig.files()) == {"a.txt", "c.txt", "in/one.txt", "in/two.txt"}
    again = await rig.app.undo(task.task_id, by=PERSON)
    assert (await rig.app.carry_on(again.task_id, Says(approve=True))).status == "completed"
    assert set(rig.files()) == {"a.txt", "b.txt", "in/one.txt", "in/two.txt"}
    rig.assert_clean()


async def test_putting_back_into_an_output_root_needs_nobody(rig: Rig) -> None:
    task = await rig.run(delete("in/one.txt"), outputs=("in",), asker=Says(approve=True))
    assert len(rig.events(ConfirmationRequested)) == 1
    await undone(rig, task.task_id)
    assert len(rig.events(ConfirmationRequested)) == 1
    assert rig.files()["in/one.txt"] == "one\n"


async def test_the_rules_of_the_task_hold_for_its_undo(rig: Rig) -> None:
    rules = layer_of_rules("some", (Rule("no-restoring", "file.restore", "deny"), Rule("all", ("file.*",), "allow")))
    task = await rig.run(delete("b.txt"), rules=rules)
    report = await undone(rig, task.task_id)
    assert rig.app.task(report.task_id).status == "blocked"
    (denied,) = rig.events(ActionDenied)
    assert denied.decision.rule_id == "no-restoring"
    assert "b.txt" not in rig.files()


async def test_what_a_swap_needs_is_planned_step_after_step(rig: Rig) -> None:
    task = await rig.run(move("a.txt", "t"), move("b.txt", "a.txt"), move("t", "b.txt"), rules=ALL)
    report = await undone(rig, task.task_id)
    (plan,) = [one.plan for one in rig.events(TaskPlanned) if one.task_id == report.task_id]
    assert [type(step.request) for step in plan.steps] == [FileRename] * 3
    assert [step.after for step in plan.steps] == [(), ("undo-1",), ("undo-2",)]
    assert rig.files()["b.txt"] == "b\n"


async def test_every_write_and_removal_says_what_it_may_replace(rig: Rig) -> None:
    task = await rig.run(write("b.txt", rig.content("x\n")), create("c.txt", rig.content("c")), delete("in"), rules=ALL)
    report = await undone(rig, task.task_id)
    actions = [one.action for one in rig.events(ActionProposed) if one.task_id == report.task_id]
    assert sorted(type(action).__name__ for action in actions) == ["FileDelete", "FileRestore", "FileWrite"]
    assert all(action.base for action in actions if isinstance(action, FileDelete | FileWrite))
    assert all(action.digest for action in actions if isinstance(action, FileRestore))


async def test_two_granted_folders_are_opened_again_and_keep_their_own(tmp_path: Path) -> None:
    rig = Rig(tmp_path, files={"a.txt": "a"})
    other = tmp_path / "other"
    other.mkdir()
    (other / "b.txt").write_text("b", encoding="utf-8")
    steps = (
        Step(step_id="s1", title="s1", request=move("a.txt", "other:deep/a.txt")),
        Step(step_id="s2", title="s2", request=delete("other:b.txt")),
    )
    from cowork.domain.plan import Plan

    request = RunRequest(
        planned=PlannedTask(Plan(title="two", steps=steps)),
        planner="plan file",
        folders=(FolderRequest(path=str(rig.work)), FolderRequest(path=str(other))),
        own=(layer_of_rules("run", ALL.document.rules),),
        user="ann",
        device="laptop",
        platform="linux",
    )
    task = await rig.app.carry_on(await rig.app.start(request))
    assert task.status == "completed"
    assert not (await undone(rig, task.task_id)).left
    assert rig.files() == {"a.txt": "a"}
    assert [path.name for path in other.iterdir()] == ["b.txt"]
    rig.assert_clean()


# What is refused


async def test_what_has_not_ended_cannot_be_undone(rig: Rig) -> None:
    task = await rig.run(delete("b.txt"))
    for name in (task.task_id, f"{task.task_id}.1"):
        with pytest.raises(DomainError, match="has not ended: it is awaiting_confirmation") as refused:
            await rig.app.undo(name, by=PERSON)
        assert refused.value.code == "conflict"


async def test_what_is_being_undone_cannot_be_undone_a_second_time_at_once(rig: Rig) -> None:
    task = await rig.run(delete("b.txt"), asker=Says(approve=True))
    report = await rig.app.undo(task.task_id, by=PERSON)
    with pytest.raises(DomainError, match="which undoes it or a part of it") as refused:
        await rig.app.undo(task.task_id, by=PERSON)
    assert report.task_id in refused.value.hint


@pytest.mark.parametrize("name", ["task-nosuch", "task-nosuch.1", "{}.2", "{}.x", "{}.0"])
async def test_what_does_not_exist_cannot_be_undone(rig: Rig, name: str) -> None:
    task = await rig.run(write("b.txt", rig.content("x")), rules=ALL)
    with pytest.raises(DomainError) as refused:
        await rig.app.undo(name.format(task.task_id), by=PERSON)
    assert refused.value.code == "not_found"


async def test_a_look_changes_nothing_and_is_not_on_record(rig: Rig) -> None:
    task = await rig.run(delete("b.txt"), write("a.txt", rig.content("ONE\n2\n3\n4\n5\n")), rules=ALL)
    rig.write("a.txt", "ONE\n2\n3\n4\nfive\n")
    log, files = len(rig.log()), rig.files()
    report = await rig.app.undo(task.task_id, by=PERSON, dry_run=True)
    assert len(report.done) == 2
    assert (len(rig.log()), rig.files()) == (log, files)
    assert not rig.blobs.has(MemoryBlobStore().put(b"1\n2\n3\n4\nfive\n").digest)


async def test_a_failed_action_changed_nothing_and_needs_no_undo(rig: Rig) -> None:
    task = await rig.run(move("b.txt", "in"), rules=ALL)
    assert task.status == "failed"
    assert (await rig.app.undo(task.task_id, by=PERSON)).lines == ()
