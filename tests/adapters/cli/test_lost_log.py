"""A store whose log was lost is damaged, and not begun anew over what people deleted."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from tests.adapters.cli.command_line import DELETE, LOOK, CommandLine
from tests.adapters.cli.in_process import InProcess

WRITE: Final = '[[step]]\nid = "a"\naction = { kind = "file.write", path = "a.txt", content = "new" }\n'
EVERY_COMMAND: Final = (
    ("task", "list"),
    ("audit", "check"),
    ("store", "gc"),
    ("store", "gc", "--dry-run"),
    ("store", "gc", "--keep-days", "0"),
    ("store", "status"),
    ("doctor",),
    ("digest",),
    ("confirmation", "list"),
    ("run", "plan.toml", "--folder", "inbox"),
)


@pytest.fixture
def cowork(tmp_path: Path) -> InProcess:
    made = InProcess(tmp_path)
    made.fill("a.txt")
    assert made.run_plan(DELETE, "--answer", "approve").status == 0
    made.fill("a.txt")
    assert made.run_plan(WRITE, "--answer", "approve").status == 0
    return made


def _emptied(log: Path) -> None:
    log.write_bytes(b"")


def _removed(log: Path) -> None:
    log.unlink()


def _content(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("lose", [_emptied, _removed])
def test_every_command_says_that_the_log_was_lost_and_changes_nothing(
    cowork: InProcess, lose: Callable[[Path], None]
) -> None:
    log = cowork.store / "events.db"
    backup = log.read_bytes()
    lose(log)
    before = _content(cowork.folder)
    for command in EVERY_COMMAND:
        ended = cowork.run(*command)
        assert ended.status == 6, (command, ended)
        assert "restore it from a backup" in ended.err + ended.out
        assert _content(cowork.folder) == before, command
    log.write_bytes(backup)
    assert cowork.run("audit", "check").status == 0


@pytest.mark.parametrize(
    ("kept", "words"),
    [
        ("quarantine", "deleted"),
        ("blobs", "a content"),
        ("read.db", "a read model of its events"),
        ("events.db-wal", "a write-ahead log"),
    ],
)
def test_each_thing_that_only_an_event_can_have_brought_tells_of_a_lost_log(
    cowork: InProcess, kept: str, words: str
) -> None:
    with cowork.engine() as engine:
        # While a process has the store open the last events are in the write-ahead log.
        engine.rows("tasks")
        shutil.copytree(cowork.store, cowork.folder / "copy")
    shutil.rmtree(cowork.store)
    cowork.store.mkdir()
    (cowork.store / "events.db").touch()
    source = cowork.folder / "copy" / kept
    (shutil.copytree if source.is_dir() else shutil.copy)(source, cowork.store / kept)
    if kept == "events.db-wal" and not source.stat().st_size:
        (cowork.store / kept).write_bytes(b"the last events")
    ended = cowork.run("task", "list")
    assert ended.status == 6
    assert ended.says(words), ended.err


@pytest.mark.parametrize("left", ["", "events.db", "blobs/unfinished/12-1-0", "locks/task-1"])
def test_what_may_be_there_before_the_first_event_is_a_store_to_begin(tmp_path: Path, left: str) -> None:
    fresh = InProcess(tmp_path)
    (fresh.store / left).parent.mkdir(parents=True, exist_ok=True)
    if left:
        (fresh.store / left).touch()
    assert fresh.run_plan(LOOK).status == 0


def test_a_store_that_nothing_was_recorded_in_is_begun_again(tmp_path: Path) -> None:
    fresh = InProcess(tmp_path)
    fresh.run("run", fresh.plan(LOOK), "--folder", "missing")
    (fresh.store / "events.db").unlink(missing_ok=True)
    assert fresh.run_plan(LOOK).status == 0


def test_processes_that_begin_a_store_at_the_same_moment_all_work_in_it(tmp_path: Path) -> None:
    place = CommandLine(tmp_path)
    place.fill("a.txt")
    plan = place.plan('[[step]]\nid = "a"\naction = { kind = "file.read", path = "a.txt" }\n')
    started = [place.start("run", plan, "--folder", "inbox") for _ in range(4)]
    for process in started:
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, (out, err)
    assert len(place.run("task", "list", "--json").json()) == 4
