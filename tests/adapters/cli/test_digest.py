"""`cowork digest`: what happened while nobody looked, what waits, and answers in place."""

import re
from pathlib import Path

import pytest

from tests.adapters.cli.command_line import DELETE, LOOK, CommandLine
from tests.adapters.cli.in_process import InProcess
from tests.adapters.cli.test_asker import KEYS
from tests.adapters.cli.test_task_control import SUBAGENTS

MIXED = """
title = "Mixed"
on_ask = "skip"
[[step]]
id = "made"
action = { kind = "file.create", path = "out/new.txt", content = "new" }
[[step]]
id = "asks"
action = { kind = "file.delete", path = "a.txt" }
[[step]]
id = "missing"
action = { kind = "file.read", path = "nowhere.txt" }
[[step]]
id = "outside"
action = { kind = "file.read", path = "/etc/passwd" }
"""


@pytest.fixture
def cowork(tmp_path: Path) -> CommandLine:
    made = InProcess(tmp_path)
    made.fill("a.txt", "b.txt")
    (made.inbox / "out").mkdir()
    return made


def test_an_empty_store_has_nothing_to_say(cowork: CommandLine) -> None:
    said = cowork.run("digest")
    assert said.status == 0
    assert re.fullmatch(r"nothing happened since \S+ \S+ UTC, and nothing waits for you\n", said.out)


def test_it_says_how_tasks_ended_what_was_not_done_and_what_waits(cowork: CommandLine) -> None:
    cowork.run("run", cowork.plan(MIXED), "--folder", "inbox", "--output", "inbox/out")
    cowork.run("run", cowork.plan(LOOK), "--folder", "inbox")
    cowork.run_plan(SUBAGENTS, "--answer", "wait")
    told = cowork.run("digest", "--json").json()
    assert {one["title"]: (one["status"], one["fileChanges"]) for one in told["ended"]} == {
        "Mixed": ("failed", 1),
        "Look": ("completed", 0),
    }
    assert [(one["title"], one["waitsForIt"]) for one in told["open"]] == [("Both", True)]
    assert len(told["waiting"]) == 2
    assert [one["stepId"] for one in told["denied"]] == ["outside"]
    assert [one["stepId"] for one in told["skipped"]] == ["asks"]
    assert [one["stepId"] for one in told["failed"]] == ["missing"]
    said = cowork.run("digest").out
    titles = re.findall(r"^(\w[\w ]*) \(\d+\)$", said, re.MULTILINE)
    assert titles == ["ended", "not ended yet", "denied", "failed", "skipped or taken back", "waiting for you"]
    assert '"Mixed": 1 change to files' in said
    assert said.count("cowork confirmation show confirmation-") == 2


def test_subagents_that_did_their_work_or_stopped_with_their_task_are_not_told_one_by_one(cowork: CommandLine) -> None:
    cowork.run_plan(SUBAGENTS, "--answer", "wait")
    (task,) = [one for one in cowork.run("task", "list", "--json").json() if not one["parentTaskId"]]
    cowork.run("task", "pause", task["taskId"], "--reason", "lunch")
    assert cowork.run("digest").out.count("paused: lunch") == 1
    cowork.run("resume", task["taskId"], "--answer", "approve")
    said = cowork.run("digest").out
    assert '"Both": 2 changes to files' in said
    assert "helper" not in said.partition("paused or interrupted")[0]


@pytest.mark.parametrize("since", ["1s", "0s"])
def test_what_is_longer_ago_is_left_out_and_what_waits_is_not(cowork: CommandLine, since: str) -> None:
    cowork.run("run", cowork.plan(LOOK), "--folder", "inbox")
    cowork.run_plan(DELETE, "--answer", "wait")
    import time

    time.sleep(1.1)
    told = cowork.run("digest", "--since", since, "--json").json()
    assert told["ended"] == []
    assert [one["isNew"] for one in told["waiting"]] == [False]


@pytest.mark.parametrize("since", ["soon", "2999-01-01"])
def test_a_time_that_can_not_be_is_refused(cowork: CommandLine, since: str) -> None:
    refused = cowork.run("digest", f"--since={since}")
    assert refused.status == 2
    assert refused.says("no moment") or refused.says("has not come yet")


def test_in_a_terminal_what_waits_is_asked_and_what_is_left_open_stays(tmp_path: Path) -> None:
    cowork = CommandLine(tmp_path)
    cowork.fill("a.txt", "b.txt")
    cowork.run_plan(SUBAGENTS, "--answer", "wait")
    with cowork.terminal("digest") as terminal:
        terminal.read_until("question 1 of 2")
        terminal.read_until(KEYS)
        terminal.press("a")
        terminal.read_until("question 2 of 2")
        terminal.read_until(KEYS, count=2)
        terminal.press("q")
        assert terminal.ended() == 0, terminal.text
        (root,) = re.findall(r"go on with: cowork resume (task-\w+)\s", terminal.text)
    assert sorted(one["status"] for one in cowork.questions()) == ["approved", "pending"]
    assert cowork.files() == ["a.txt", "b.txt"], "an answer runs nothing"
    assert cowork.run("resume", root, "--answer", "wait").status == 3
    assert len(cowork.files()) == 1
    with cowork.terminal("digest", "--report-only") as terminal:
        assert terminal.ended() == 0
        assert KEYS not in terminal.text


def test_ctrl_c_leaves_all_further_questions_open(tmp_path: Path) -> None:
    cowork = CommandLine(tmp_path)
    cowork.fill("a.txt", "b.txt")
    cowork.run_plan(SUBAGENTS, "--answer", "wait")
    with cowork.terminal("digest") as terminal:
        terminal.read_until(KEYS)
        terminal.press("\x03")
        assert terminal.ended() == 0, terminal.text
        assert "nothing was answered" in terminal.text
    assert [one["status"] for one in cowork.questions()] == ["pending"] * 2


def test_an_answer_in_place_is_seen_by_whoever_runs_the_task(tmp_path: Path) -> None:
    cowork = CommandLine(tmp_path)
    cowork.fill("a.txt")
    cowork.run("queue", cowork.plan(DELETE), "--folder", "inbox")
    worker = cowork.start("work", "--json")
    try:
        assert worker.stdout is not None
        assert "awaiting_confirmation" in worker.stdout.readline()
        with cowork.terminal("digest") as terminal:
            terminal.read_until(KEYS)
            terminal.press("a")
            assert terminal.ended() == 0
        assert "completed" in worker.stdout.readline()
        worker.terminate()
        assert worker.wait(20) == 0
        worker.communicate()
    finally:
        worker.kill()
    assert cowork.files() == []
