"""Pause, interrupt, cancel, steer, messages and budgets, on tasks that nobody is running and on subagents' tasks."""

from pathlib import Path
from typing import Any, Final

import pytest

from cowork.adapters.cli.amounts import micros_in, moment_in, seconds_in, size_in
from cowork.domain.errors import DomainError
from tests.adapters.cli.command_line import DELETE, CommandLine
from tests.adapters.cli.in_process import InProcess
from tests.engine.rig import START

TWO_DELETIONS: Final = """
title = "Two"
[budget]
actions = 9
bytes_written = 1000
[[step]]
id = "look"
action = { kind = "file.list", path = "." }
[[step]]
id = "first"
action = { kind = "file.delete", path = "a.txt" }
[[step]]
id = "second"
needs = ["first"]
action = { kind = "file.delete", path = "b.txt" }
"""
STEERED: Final = """
title = "Two"
[[step]]
id = "look"
action = { kind = "file.list", path = "." }
[[step]]
id = "second"
action = { kind = "file.read", path = "b.txt" }
[[step]]
id = "new"
action = { kind = "file.read", path = "a.txt" }
"""
SUBAGENTS: Final = """
title = "Both"
[[step]]
id = "one"
[step.action]
kind = "subagent.spawn"
title = "first helper"
scope.folders = [{ path = ".", verbs = ["read", "delete"] }]
scope.budget.actions = 5
[[step.action.step]]
id = "gone"
action = { kind = "file.delete", path = "a.txt" }
[[step]]
id = "two"
[step.action]
kind = "subagent.spawn"
title = "second helper"
scope.folders = [{ path = ".", verbs = ["read", "delete"] }]
[[step.action.step]]
id = "gone"
action = { kind = "file.delete", path = "b.txt" }
"""
CREATE: Final = 'title = "Create"\nbudget = { actions = 2 }\n' + "".join(
    f'[[step]]\nid = "s{n}"\naction = {{ kind = "file.create", path = "out/{n}.txt", content = "{n}" }}\n'
    for n in range(4)
)


@pytest.fixture
def cowork(tmp_path: Path) -> CommandLine:
    made = InProcess(tmp_path)
    made.fill("a.txt", "b.txt")
    return made


def waiting(cowork: CommandLine, plan: str = TWO_DELETIONS) -> str:
    """Run a plan until it waits, and return its task."""
    run = cowork.run_plan(plan, "--answer", "wait")
    assert run.status == 3, run
    (task,) = [
        one
        for one in cowork.run("task", "list", "--json").json()
        if "parentTaskId" not in one or not one["parentTaskId"]
    ]
    return str(task["taskId"])


def events(cowork: CommandLine, task_id: str) -> list[str]:
    return [one["event"] for one in cowork.events(task_id)]


def test_an_interrupted_task_says_so_and_goes_on_with_a_resume(cowork: CommandLine) -> None:
    task_id = waiting(cowork, DELETE)
    said = cowork.run("task", "interrupt", task_id, "--reason", "the disk is full")
    assert said.out == f"task {task_id} is interrupted; go on with: cowork resume {task_id}\n"
    task = cowork.run("task", "show", task_id, "--json").json()
    assert (task["status"], task["interrupted"], task["waitingFor"]) == ("paused", True, ["the disk is full"])
    assert "interrupted already" in cowork.run("task", "interrupt", task_id).out
    assert cowork.run("resume", task_id, "--answer", "approve").status == 0
    assert "task.interrupted" in events(cowork, task_id)


def test_a_paused_tree_says_how_many_subagents_are_paused_with_it(cowork: CommandLine) -> None:
    task_id = waiting(cowork, SUBAGENTS)
    said = cowork.run("task", "pause", task_id)
    assert said.out.startswith(f"task {task_id} is paused with 2 subagents; go on with")
    assert cowork.run("resume", task_id, "--answer", "approve").status == 0
    assert cowork.files() == []


def test_a_subagent_is_cancelled_by_its_own_id_and_the_others_go_on(cowork: CommandLine) -> None:
    task_id = waiting(cowork, SUBAGENTS)
    said = cowork.run("task", "cancel", f"{task_id}-s1", "--reason", "not this one")
    assert said.status == 0, said
    assert said.out.startswith(f"task {task_id}-s1 is cancelled")
    questions = {one["taskId"]: one["status"] for one in cowork.questions()}
    assert questions == {f"{task_id}-s1": "withdrawn", f"{task_id}-s2": "pending"}
    assert cowork.run("resume", task_id, "--answer", "approve").status == 0
    assert cowork.files() == ["a.txt"]
    assert cowork.run("task", "show", task_id, "--json").json()["status"] == "completed_with_skips"


def test_a_cancellation_offers_to_take_back_what_was_changed_and_only_then(cowork: CommandLine) -> None:
    task_id = waiting(cowork)
    untouched = cowork.run("task", "cancel", task_id)
    assert "cowork undo" not in untouched.out
    (cowork.inbox / "out").mkdir()
    run = cowork.run("run", cowork.plan(CREATE), "--folder", "inbox", "--output", "inbox/out")
    assert run.status == 3
    (task,) = cowork.run("task", "list", "--status", "budget_exhausted", "--json").json()
    cancelled = cowork.run("task", "cancel", task["taskId"])
    assert f"2 changes to files can be taken back: cowork undo {task['taskId']}" in cancelled.out


@pytest.mark.parametrize("command", ["pause", "interrupt", "steer", "message", "budget"])
def test_a_task_that_has_ended_takes_none_of_it(cowork: CommandLine, command: str) -> None:
    task_id = waiting(cowork)
    cowork.run("task", "cancel", task_id)
    more = {"steer": [cowork.plan(STEERED)], "message": ["hello"], "budget": ["--add-actions", "1"]}
    refused = cowork.run("task", command, task_id, *more.get(command, []))
    assert refused.status == 5, refused
    assert refused.says("has ended: it is cancelled")


# Steering


def test_a_task_is_steered_and_what_became_of_each_step_is_said(cowork: CommandLine) -> None:
    task_id = waiting(cowork)
    (question,) = cowork.questions()
    said = cowork.run("task", "steer", task_id, cowork.plan(STEERED, "steered.toml"))
    assert (said.status, said.err) == (0, ""), said
    assert [line.split() for line in said.out.splitlines()[1:]] == [
        ["kept", "look"],
        ["added", "new"],
        ["changed", "second"],
        ["dropped", "first"],
        ["taken", "back", question["confirmationId"]],
    ]
    assert [one["status"] for one in cowork.questions()] == ["withdrawn"]
    assert cowork.run("resume", task_id).status == 0
    assert cowork.files() == ["a.txt", "b.txt"]
    again = cowork.run("task", "steer", task_id, cowork.plan(STEERED, "steered.toml"))
    assert again.status == 5


def test_a_steering_as_json_names_the_same(cowork: CommandLine) -> None:
    task_id = waiting(cowork)
    said = cowork.run("task", "steer", task_id, cowork.plan(STEERED, "steered.toml"), "--json").json()
    assert {name: said[name] for name in ("kept", "added", "changed", "dropped")} == {
        "kept": ["look"],
        "added": ["new"],
        "changed": ["second"],
        "dropped": ["first"],
    }
    same = cowork.run("task", "steer", task_id, cowork.plan(STEERED, "steered.toml"))
    assert same.out == f"task {task_id} follows this plan already\n"


def test_a_plan_that_changes_what_was_begun_or_is_none_is_refused_and_nothing_changes(cowork: CommandLine) -> None:
    task_id = waiting(cowork)
    before = cowork.run("replay", task_id).out
    changed = STEERED.replace('path = "."', 'path = "sub"')
    refused = cowork.run("task", "steer", task_id, cowork.plan(changed, "steered.toml"))
    assert refused.status == 5
    assert refused.says("step `look` was begun")
    circle = STEERED.replace('id = "new"', 'id = "new"\nneeds = ["new"]')
    assert cowork.run("task", "steer", task_id, cowork.plan(circle, "steered.toml")).says("in a circle")
    assert cowork.run("task", "steer", task_id, "nowhere.toml").status == 2
    assert cowork.run("task", "steer", "task-0000000000000000", cowork.plan(STEERED)).says("there is no task")
    assert cowork.run("replay", task_id).out == before


def test_what_a_plan_says_of_budget_and_priority_is_not_taken_over_and_that_is_said(cowork: CommandLine) -> None:
    task_id = waiting(cowork)
    plan = f"priority = 7\nbudget = {{ actions = 500 }}\n{STEERED}"
    said = cowork.run("task", "steer", task_id, cowork.plan(plan, "steered.toml"))
    assert said.status == 0
    assert "the task's budget stays as it is" in said.err
    assert "the task's priority stays 0" in said.err


# Messages


@pytest.mark.parametrize(("strategy", "when"), [("queue", "plan as it stands"), ("steer", "at once"), ("reject", "")])
def test_a_message_is_on_record_with_who_said_it(cowork: CommandLine, strategy: str, when: str) -> None:
    task_id = waiting(cowork)
    said = cowork.run("task", "message", task_id, "leave 2023 alone", "--strategy", strategy)
    assert said.status == 0
    assert when in said.out
    (message,) = [one["data"] for one in cowork.events(task_id) if one["event"] == "task.messaged"]
    assert (message["text"], message["strategy"]) == ("leave 2023 alone", "steer" if strategy == "steer" else "queue")
    assert message["saidBy"].startswith("person:")


@pytest.mark.parametrize(("text", "words"), [("  ", "the message is empty"), ("x" * 70_000, "at most 65536 bytes")])
def test_a_message_that_is_none_is_refused(cowork: CommandLine, text: str, words: str) -> None:
    refused = cowork.run("task", "message", waiting(cowork), text)
    assert refused.status == 2
    assert refused.says(words)


# Budgets


def test_a_budget_shows_what_was_used_and_what_is_left_down_the_tree(cowork: CommandLine) -> None:
    task_id = waiting(cowork, f"budget = {{ actions = 4 }}\n{SUBAGENTS}")
    budgets: list[dict[str, Any]] = cowork.run("task", "budget", task_id, "--json").json()
    assert [one["taskId"] for one in budgets] == [task_id, f"{task_id}-s1", f"{task_id}-s2"]
    assert [one["left"] for one in budgets] == [{"actions": 2}] * 3
    assert budgets[0]["usage"]["total"].get("actions", 0) + budgets[0]["usage"]["totalUnderWay"]["actions"] == 2
    text = cowork.run("task", "budget", task_id).out
    assert "2 actions" in text
    assert "of 4 actions" in text
    assert [line for line in text.splitlines() if line.startswith("  task")] != []
    (only,) = cowork.run("task", "budget", f"{task_id}-s1", "--json").json()
    assert only["usage"]["budget"] == {"actions": 5}


def test_a_task_whose_budget_is_used_up_goes_on_with_more(cowork: CommandLine) -> None:
    (cowork.inbox / "out").mkdir()
    run = cowork.run("run", cowork.plan(CREATE), "--folder", "inbox", "--output", "inbox/out")
    assert run.status == 3
    assert "budget exhausted" in run.out
    task_id = cowork.only_task()["taskId"]
    assert f"cowork task budget {task_id} --add-actions 1" in run.out
    raised = cowork.run("task", "budget", task_id, "--add-actions", "2")
    assert raised.status == 0, raised
    assert raised.out.endswith(f"go on with: cowork resume {task_id}\n")
    assert cowork.run("resume", task_id).status == 0
    assert len(cowork.files()) == 6


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--add-tokens", "5"], "has no bound on tokens"),
        (["--add-actions", "-3"], "raised by something"),
        (["--add-actions", "0"], "raised by something"),
        (["--add-wall", "0s"], "raised by something"),
        (["--add-bytes-written", "10 parsecs"], "`10 parsecs` is not a size"),
        (["--add-wall", "soon"], "`soon` is not a span of time"),
        (["--add-cost", "-1"], "`-1` is not an amount of money"),
    ],
)
def test_more_of_what_is_not_bounded_or_no_amount_is_refused(cowork: CommandLine, more: list[str], words: str) -> None:
    refused = cowork.run("task", "budget", waiting(cowork), *more)
    assert refused.status == 2
    assert refused.says(words)


@pytest.mark.parametrize(
    ("text", "size"),
    [("500", 500), ("10MB", 10_000_000), ("1.5GiB", 1_610_612_736), ("2 kb", 2000), ("0.000001 MB", 1)],
)
def test_sizes_are_read_as_people_write_them(text: str, size: int) -> None:
    assert size_in(text) == size


def test_spans_money_and_moments_are_read_as_people_write_them() -> None:
    assert [seconds_in(text) for text in ("90s", "15min", "15m", "2h", "1d12h", "1h 30min")] == [
        90,
        900,
        900,
        7200,
        129_600,
        5400,
    ]
    assert [micros_in(text) for text in ("2.50", "3", "0.000001")] == [2_500_000, 3_000_000, 1]
    assert (START - moment_in("8h", START)).total_seconds() == 28_800
    assert moment_in("2029-12-31T00:00+00:00", START) < START


@pytest.mark.parametrize("text", ["", "-5", "5 5", "1e9", "MB", "٣"])
def test_what_is_no_amount_is_refused(text: str) -> None:
    for read in (size_in, seconds_in, micros_in):
        with pytest.raises(DomainError, match="is not"):
            read(text)


@pytest.mark.parametrize("text", ["yesterday", "2031-01-01", "9999999d", "99:99"])
def test_what_is_no_moment_of_the_past_is_refused(text: str) -> None:
    with pytest.raises(DomainError):
        moment_in(text, START)
