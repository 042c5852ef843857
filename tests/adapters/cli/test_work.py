"""`cowork queue` and `cowork work`: tasks wait without being run, and a worker runs them in their order."""

import json
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from tests.adapters.cli.command_line import DELETE, LOOK, CommandLine
from tests.adapters.cli.in_process import InProcess

BROKEN = 'title = "Broken"\n[[step]]\nid = "x"\naction = { kind = "file.dance", path = "." }\n'


@pytest.fixture
def cowork(tmp_path: Path) -> CommandLine:
    made = InProcess(tmp_path)
    made.fill("a.txt")
    return made


def titled(title: str, plan: str = LOOK) -> str:
    return plan.replace('"Look"', f'"{title}"')


def tasks(cowork: CommandLine) -> dict[str, dict[str, Any]]:
    return {one["title"]: one for one in cowork.run("task", "list", "--json").json()}


def test_a_queued_task_is_on_record_and_nothing_of_it_was_done(cowork: CommandLine) -> None:
    queued = cowork.run("queue", cowork.plan(LOOK), "--folder", "inbox", "--priority", "3")
    assert (queued.status, queued.err) == (0, ""), queued
    task = tasks(cowork)["Look"]
    assert queued.out == f'queued task {task["taskId"]} "Look", priority 3\n'
    assert (task["status"], task["priority"]) == ("ready", 3)
    names = {one["event"] for one in cowork.events(task["taskId"])}
    assert "task.started" not in names


def test_several_plans_become_a_task_each_and_the_worker_takes_them_in_their_order(cowork: CommandLine) -> None:
    plans = [cowork.plan(titled(name), f"{name}.toml") for name in ("first", "second")]
    queued = cowork.run("queue", *plans, "--folder", "inbox=read", "--json")
    assert [one["status"] for one in queued.lines()] == ["ready", "ready"]
    urgent = cowork.plan(f"priority = 5\n{titled('urgent')}", "urgent.toml")
    assert cowork.run("queue", urgent, "--folder", "inbox=read").status == 0
    worked = cowork.run("work", "--once", "--tasks", "1")
    assert worked.status == 0, worked
    begun = [line.split('"')[1] for line in worked.out.splitlines() if "carried on, it was ready" in line]
    assert begun == ["urgent", "first", "second"]
    assert {one["status"] for one in tasks(cowork).values()} == {"completed"}
    assert cowork.run("work", "--once").out == ""


def test_the_priority_of_the_command_counts_more_than_that_of_the_plan(cowork: CommandLine) -> None:
    plan = cowork.plan(f"priority = 5\n{LOOK}")
    cowork.run("queue", plan, "--folder", "inbox", "--priority", "-2")
    assert tasks(cowork)["Look"]["priority"] == -2


def test_a_worker_leaves_questions_open_and_says_so_with_its_status(cowork: CommandLine) -> None:
    cowork.run("queue", cowork.plan(DELETE), "--folder", "inbox")
    worked = cowork.run("work", "--once", "--json")
    assert worked.status == 3
    (rested,) = worked.lines()
    assert rested["status"] == "awaiting_confirmation"
    (question,) = cowork.questions()
    digest = question["digest"].removeprefix("sha256:")[:8]
    assert cowork.run("confirmation", "approve", question["confirmationId"], "--digest", digest).status == 0
    assert cowork.run("work", "--once").status == 0
    assert cowork.files() == []


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["queue"], 2, "parameter PLANS requires an argument"),
        (["queue", "nowhere.toml", "--folder", "inbox"], 2, "nowhere.toml"),
        (["queue", "plan.toml", "--folder", "nowhere"], 2, "nowhere"),
        (["queue", "plan.toml", "--folder", "inbox", "--priority", "5000"], 2, "from -1000 to 1000"),
        (["queue", "plan.toml", "broken.toml", "--folder", "inbox"], 2, "file.dance"),
        (["work", "--once", "--tasks", "0"], 2, "a worker carries 1 to 4 tasks on, not 0"),
        (["work", "--once", "--tasks", "99"], 2, "a worker carries 1 to 4 tasks on, not 99"),
    ],
)
def test_bad_input_is_refused_and_nothing_is_queued(
    cowork: CommandLine, arguments: list[str], status: int, words: str
) -> None:
    cowork.plan(LOOK)
    cowork.plan(BROKEN, "broken.toml")
    refused = cowork.run(*arguments)
    assert refused.status == status, refused
    assert refused.says(words), refused
    assert tasks(cowork) == {}


def test_a_worker_that_can_not_take_a_task_says_why_and_fails(cowork: CommandLine) -> None:
    cowork.run("queue", cowork.plan(LOOK), "--folder", "inbox")
    locks = cowork.store / "locks"
    locks.mkdir(exist_ok=True)
    locks.chmod(0o500)
    try:
        worked = cowork.run("work", "--once")
    finally:
        locks.chmod(0o700)
    assert (worked.status, worked.says("can't be opened: Permission denied")) == (1, True), worked
    assert cowork.run("work", "--once").status == 0


def test_a_worker_waits_for_more_until_it_is_told_to_end(tmp_path: Path) -> None:
    cowork = CommandLine(tmp_path)
    worker = cowork.start("work", "--json")
    try:
        assert cowork.run("queue", cowork.plan(LOOK), "--folder", "inbox").status == 0
        assert worker.stdout is not None
        assert json.loads(worker.stdout.readline())["status"] == "completed"
        worker.send_signal(signal.SIGTERM)
        out, err = worker.communicate(timeout=20)
    finally:
        worker.kill()
    assert (worker.returncode, out) == (0, "")
    assert err == "ending after what is under way; once more to leave at once\n"


def test_a_task_that_is_being_started_is_not_taken_by_a_worker(tmp_path: Path) -> None:
    cowork = CommandLine(tmp_path)
    worker = cowork.start("work")
    try:
        time.sleep(0.5)
        runs = [cowork.start("run", cowork.plan(LOOK), "--folder", "inbox") for _ in range(4)]
        ends = [(run.communicate(timeout=60), run.returncode) for run in runs]
        worker.send_signal(signal.SIGTERM)
        out, _ = worker.communicate(timeout=20)
    finally:
        worker.kill()
    assert [status for _, status in ends] == [0] * 4, ends
    assert out == ""
