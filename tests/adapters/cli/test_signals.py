"""Ctrl-C and SIGTERM at any moment: the task is paused, the log is whole, and resuming finishes the work once."""

import random
import signal
import sqlite3
import time

import pytest

from cowork.adapters.event_store.sqlite_store import FILE_LOOK_EVERY_S
from tests.adapters.cli.command_line import DELETE_ALL, CommandLine

SLEEP = """title = "Sleep"
[[step]]
id = "sleep"
action = { kind = "shell.exec", argv = ["sleep", "1"], writes = "none" }
[[step]]
id = "after"
needs = ["sleep"]
action = { kind = "file.list", path = "." }
"""
LOOKED_FOR_S = 2 * FILE_LOOK_EVERY_S
"""After how long a store that was moved away is missed."""
FILES = [f"{number:03}.txt" for number in range(150)]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_a_signal_pauses_the_task_after_the_action_at_hand(cowork: CommandLine, number: signal.Signals) -> None:
    cowork.fill(*FILES)
    process = cowork.start("run", cowork.plan(DELETE_ALL), "--folder", "inbox", "--answer", "approve", "--json")
    assert process.stdout is not None
    while "task.action_succeeded" not in process.stdout.readline():
        assert process.poll() is None
    process.send_signal(number)
    out, err = process.communicate(timeout=20)
    assert process.returncode == 3, err
    assert '"status":"paused"' in out.splitlines()[-1]
    task = cowork.only_task()
    assert task["status"] == "paused"
    assert task["waitingFor"] == [f"paused by {'Ctrl-C' if number == signal.SIGINT else 'SIGTERM'}"]
    events = cowork.events(task["taskId"])
    count = {name: sum(1 for event in events if event["event"] == f"task.{name}") for name in _OUTCOMES}
    assert count["action_started"] == count["action_succeeded"] == len(FILES) - len(cowork.files())
    assert 0 < count["action_succeeded"] < len(FILES)
    resumed = cowork.run("resume")
    assert resumed.status == 0
    assert cowork.files() == []


_OUTCOMES = ("action_started", "action_succeeded")


def test_a_signal_that_can_not_be_recorded_brings_the_run_to_rest_all_the_same(cowork: CommandLine) -> None:
    cowork.fill("a.txt")
    process = cowork.start("run", cowork.plan(SLEEP), "--folder", "inbox", "--answer", "approve", "--json")
    assert process.stdout is not None
    assert process.stderr is not None
    while "task.action_started" not in process.stdout.readline():
        assert process.poll() is None
    other = sqlite3.connect(cowork.store / "events.db", isolation_level=None)
    try:
        other.execute("BEGIN IMMEDIATE")
        process.send_signal(signal.SIGTERM)
        while "that can't be recorded" not in process.stderr.readline():
            assert process.poll() is None
    finally:
        other.close()
    _, err = process.communicate(timeout=30)
    assert process.returncode == 1, err
    assert err.splitlines()[-2].startswith("error: the event store")
    assert cowork.only_task()["status"] == "running"
    assert cowork.run("resume").status == 0
    assert [one["event"] for one in cowork.events(cowork.only_task()["taskId"])].count("task.action_succeeded") == 2


@pytest.mark.parametrize("how", ["moved", "locked"])
def test_a_signal_that_can_not_be_recorded_closes_the_question(cowork: CommandLine, how: str) -> None:
    cowork.fill("a.txt")
    other = None
    with cowork.terminal("run", cowork.plan(DELETE_ALL), "--folder", "inbox") as terminal:
        terminal.read_until("a approve once")
        if how == "moved":
            cowork.store.rename(cowork.folder / "elsewhere")
            time.sleep(LOOKED_FOR_S)
        else:
            other = sqlite3.connect(cowork.store / "events.db", isolation_level=None)
            other.execute("BEGIN IMMEDIATE")
        terminal.send(signal.SIGTERM)
        assert terminal.ended() == 1, terminal.text
        assert "cowork has a bug" not in terminal.text
        assert terminal.text.count("error: the event store") == 1
    if other is None:
        assert not cowork.store.exists()
        (cowork.folder / "elsewhere").rename(cowork.store)
    else:
        other.close()
    assert cowork.question()["status"] == "pending"
    assert cowork.run("resume", "--answer", "approve").status == 0
    assert cowork.files() == []


def test_signals_at_random_moments_leave_a_store_that_is_whole_and_work_that_can_be_finished(
    cowork: CommandLine,
) -> None:
    chance = random.Random(20261122)
    cowork.fill(*FILES)
    command = ["run", cowork.plan(DELETE_ALL), "--folder", "inbox", "--answer", "approve"]
    for _ in range(8):
        process = cowork.start(*command)
        time.sleep(chance.uniform(0.0, 0.9))
        number = chance.choice([signal.SIGINT, signal.SIGTERM])
        process.send_signal(number)
        out, err = process.communicate(timeout=20)
        # Before Python has got as far as the command, the signal simply ends the process.
        assert process.returncode in (0, 3, -number), (out, err)
        assert "Traceback" not in err or process.returncode == -number, err
        checks = cowork.run("doctor", "--json").json()["checks"] if cowork.store.exists() else []
        assert [check for check in checks if check["verdict"] == "problem"] == []
        if cowork.store.exists() and cowork.run("task", "list", "--json").json():
            command = ["resume", "--answer", "approve"]
    assert cowork.run(*command).status == 0
    task_id = cowork.only_task()["taskId"]
    summary = cowork.run("task", "summary", task_id, "--json").json()
    assert sorted(change["path"] for change in summary["fileChanges"]) == FILES
    assert cowork.files() == []


def test_a_signal_before_there_is_a_task_ends_the_command_quietly(cowork: CommandLine) -> None:
    process = cowork.start("task", "list")
    time.sleep(0.12)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert process.returncode in (0, 2, 3, -signal.SIGINT)
    if process.returncode >= 0:
        assert "Traceback" not in err


def test_only_the_named_task_is_interrupted_and_later_ones_are_not_begun(cowork: CommandLine) -> None:
    cowork.fill(*FILES)
    for _ in range(2):
        cowork.run_plan(DELETE_ALL, "--answer", "wait")
    process = cowork.start("resume", "--answer", "approve", "--json")
    assert process.stdout is not None
    while "task.action_succeeded" not in process.stdout.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    assert process.returncode == 3
    statuses = sorted(task["status"] for task in cowork.run("task", "list", "--json").json())
    assert statuses == ["awaiting_confirmation", "paused"]
