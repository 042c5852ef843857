"""Undo of what was undone before, as a whole or in part, and of files whose old version is kept as it is."""

import os
import shutil
from pathlib import Path

import pytest

from cowork.domain.action import FileMove, FileWrite
from cowork.domain.errors import DomainError
from cowork.engine.undo_report import UndoReport
from tests.engine.rig import PERSON, Rig, Says, at, create, delete, move, write
from tests.engine.test_undo import ALL, deeds, left

pytestmark = pytest.mark.anyio
YES = Says(approve=True)


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path, files={"a.txt": "1\n2\n3\n", "b.txt": "b\n", "in/one.txt": "one\n"})


async def undone(rig: Rig, name: str) -> UndoReport:
    """Undo it as far as it goes; whoever is asked says yes."""
    report = await rig.app.undo(name, by=PERSON)
    if report.task_id:
        assert (await rig.app.carry_on(report.task_id, YES)).status == "completed"
    return report


# Files with several names: their old version is kept as the file that it is


async def replaced_with_a_second_name(rig: Rig, text: str = "other\n") -> str:
    os.link(rig.work / "a.txt", rig.folder / "elsewhere")
    return (await rig.run(write("a.txt", rig.content(text)), rules=ALL, asker=YES)).task_id


async def test_a_second_undo_of_a_file_with_other_names_finds_nothing_to_do(rig: Rig) -> None:
    task_id = await replaced_with_a_second_name(rig)
    first = await undone(rig, task_id)
    assert not first.left
    again = await undone(rig, task_id)
    assert (again.lines, again.task_id) == ((), "")
    assert rig.files()["a.txt"] == "1\n2\n3\n"


async def test_a_file_with_other_names_is_undone_and_redone_any_number_of_times(rig: Rig) -> None:
    task_id = await replaced_with_a_second_name(rig)
    inode = (rig.folder / "elsewhere").stat().st_ino
    for _ in range(3):
        report = await undone(rig, task_id)
        assert not report.left
        assert (rig.work / "a.txt").stat().st_ino == inode
        assert not (await undone(rig, report.task_id)).left
        assert rig.files()["a.txt"] == "other\n"
    rig.assert_clean()


@pytest.mark.parametrize("how", ["changed by its other name", "gone from quarantine"])
async def test_a_file_stays_where_the_version_before_it_is_not_kept_as_it_was(rig: Rig, how: str) -> None:
    task_id = await replaced_with_a_second_name(rig)
    if how == "gone from quarantine":
        shutil.rmtree(rig.state / "quarantine")
    else:
        (rig.folder / "elsewhere").write_text("by its other name\n", encoding="utf-8")
    report = await undone(rig, task_id)
    assert left(report) == {"a.txt": "what it held before is no longer kept"}
    assert not report.done
    assert rig.files()["a.txt"] == "other\n"


async def test_an_edit_of_a_file_with_other_names_is_merged(rig: Rig) -> None:
    task_id = await replaced_with_a_second_name(rig, "1\n2\nthree\n")
    rig.write("a.txt", "one\n2\nthree\n")
    report = await undone(rig, task_id)
    assert deeds(report) == ["merge a.txt"]
    assert rig.files()["a.txt"] == "one\n2\n3\n"


# A part of something that was undone as a whole


async def test_a_part_of_what_was_undone_needs_no_undo_whatever_somebody_made_of_it_since(rig: Rig) -> None:
    task = await rig.run(delete("a.txt"), write("b.txt", rig.content("x\n")), move("in/one.txt", "two.txt"), rules=ALL)
    await undone(rig, task.task_id)
    rig.write("a.txt", "mine\n")
    rig.write("b.txt", "mine too\n")
    for number in (1, 2, 3):
        part = await undone(rig, f"{task.task_id}.{number}")
        assert (part.lines, part.task_id) == ((), "")
    assert rig.files() == {"a.txt": "mine\n", "b.txt": "mine too\n", "in/one.txt": "one\n"}


async def test_a_part_of_what_was_undone_and_redone_is_undone(rig: Rig) -> None:
    actions = (
        delete("a.txt"),
        write("b.txt", rig.content("x\n")),
        move("in", "out"),
        create("n/c.txt", rig.content("c")),
    )
    before = rig.files()
    task = await rig.run(*actions, FileMove(at=at("out/one.txt"), to=at("out/two.txt")), rules=ALL)
    after = rig.files()
    whole = await undone(rig, task.task_id)
    await undone(rig, whole.task_id)
    assert rig.files() == after
    first = await undone(rig, f"{task.task_id}.1")
    assert deeds(first) == ["put_back a.txt"]
    assert rig.files() == {**after, "a.txt": before["a.txt"]}
    second = await undone(rig, f"{task.task_id}.2")
    assert deeds(second) == ["write_back b.txt"]
    fourth = await undone(rig, f"{task.task_id}.4")
    assert deeds(fourth) == ["remove n"]
    assert not (await undone(rig, task.task_id)).left
    assert rig.files() == before
    rig.assert_clean()


async def test_a_mode_that_was_undone_as_a_part_of_the_whole_stays_somebodys(rig: Rig) -> None:
    (rig.work / "b.txt").chmod(0o640)
    task = await rig.run(FileWrite(at=at("b.txt"), content=rig.content("b\n"), mode=0o755), rules=ALL)
    await undone(rig, task.task_id)
    (rig.work / "b.txt").chmod(0o600)
    assert not (await undone(rig, f"{task.task_id}.1")).done
    assert (rig.work / "b.txt").stat().st_mode & 0o777 == 0o600


async def test_a_part_of_what_is_being_undone_waits_for_that(rig: Rig) -> None:
    task = await rig.run(delete("a.txt"), delete("b.txt"), rules=ALL)
    report = await rig.app.undo(task.task_id, by=PERSON)
    with pytest.raises(DomainError, match=f"`{report.task_id}`, which undoes what it is a part of, has not ended"):
        await rig.app.undo(f"{task.task_id}.1", by=PERSON)
