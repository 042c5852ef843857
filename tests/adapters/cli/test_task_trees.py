"""`cowork task list` and `show` of tasks with subagents: who stands beneath whom, and how each step stands."""

import re
import time
from pathlib import Path

import pytest

from tests.adapters.cli.command_line import CommandLine
from tests.adapters.cli.in_process import InProcess
from tests.adapters.cli.test_task_control import STEERED, SUBAGENTS, TWO_DELETIONS

READS = """
[[step]]
id = "sNUMBER"
[step.action]
kind = "subagent.spawn"
title = "reader NUMBER"
scope.folders = ["."]
[[step.action.step]]
id = "list"
action = { kind = "file.list", path = "." }
"""
MANY = 'title = "Many"\n' + "".join(READS.replace("NUMBER", str(n)) for n in range(20))


@pytest.fixture
def cowork(tmp_path: Path) -> CommandLine:
    made = InProcess(tmp_path)
    made.fill("a.txt", "b.txt")
    return made


def root(cowork: CommandLine) -> str:
    (task,) = [one for one in cowork.run("task", "list", "--json").json() if not one["parentTaskId"]]
    return str(task["taskId"])


def test_subagents_stand_beneath_their_task_with_what_they_wait_for(cowork: CommandLine) -> None:
    cowork.run_plan(f"budget = {{ actions = 9 }}\n{SUBAGENTS}", "--answer", "wait")
    task_id = root(cowork)
    header, first, *others = cowork.run("task", "list").out.splitlines()
    assert header.split() == ["task", "status", "queued", "(UTC)", "title"]
    assert first.startswith(f"{task_id} ")
    assert "awaiting confirmation" in first
    assert first.endswith("Both (waits for 2 answers; at most 9 actions)")
    assert [line.split()[0] for line in others] == [f"{task_id}-s1", f"{task_id}-s2"]
    assert all(line.startswith("  task-") for line in others)
    assert others[0].endswith("first helper (waits for 1 answer; at most 5 actions)")


def test_subagents_of_a_task_that_has_ended_are_counted_and_shown_when_wanted(cowork: CommandLine) -> None:
    cowork.run_plan(MANY)
    folded = cowork.run("task", "list").out.splitlines()
    assert len(folded) == 3
    assert folded[2].strip() == "20 subagents"
    assert len(cowork.run("task", "list", "--all").out.splitlines()) == 22
    assert len(cowork.run("task", "list", "--status", "completed").out.splitlines()) == 22


def test_of_many_subagents_of_a_task_under_way_those_that_have_not_ended_come_first(cowork: CommandLine) -> None:
    asks = READS.replace("NUMBER", "asks").replace('folders = ["."]', 'folders = [{ path = ".", verbs = ["delete"] }]')
    asks = asks.replace('{ kind = "file.list", path = "." }', '{ kind = "file.delete", path = "a.txt" }')
    cowork.run_plan(MANY + asks, "--answer", "wait")
    lines = cowork.run("task", "list").out.splitlines()
    assert len(lines) == 2 + 12 + 1
    assert lines[-1].strip() == "9 more subagents"
    assert sum("reader asks" in line for line in lines) == 1


def test_a_task_shows_how_each_step_stands_and_what_changed_its_course(cowork: CommandLine) -> None:
    cowork.run_plan(TWO_DELETIONS, "--answer", "wait")
    task_id = root(cowork)
    plan = cowork.run("task", "show", task_id).out.partition("\nplan\n")[2].splitlines()[:3]
    assert [re.split(r"\s{2,}", line.strip())[:3] for line in plan] == [
        ["look", "look", "done"],
        ["first", "first", "waiting for an answer"],
        ["second", "second", "not begun"],
    ]
    cowork.run("task", "message", task_id, "leave 2023 alone")
    cowork.run("task", "steer", task_id, cowork.plan(STEERED, "steered.toml"))
    cowork.run("resume", task_id)
    shown = cowork.run("task", "show", task_id).out
    assert "changed on the way (2)" in shown
    assert '"leave 2023 alone"' in shown
    assert "added new; changed second; dropped first" in shown
    plan = shown.partition("\nplan\n")[2].splitlines()[:4]
    states = {re.split(r"\s{2,}", line.strip())[0]: re.split(r"\s{2,}", line.strip())[2] for line in plan}
    assert states == {"look": "done", "first": "skipped", "second": "done", "new": "done"}


def test_a_subagents_task_names_those_above_it_and_its_own_bounds(cowork: CommandLine) -> None:
    cowork.run_plan(SUBAGENTS, "--answer", "wait")
    task_id = root(cowork)
    shown = cowork.run("task", "show", f"{task_id}-s1").out
    assert f"started by task {task_id}" in shown
    assert "of 5 actions at most" in shown


def test_a_list_of_many_tasks_with_large_plans_takes_less_than_a_second(cowork: CommandLine) -> None:
    steps = "".join(f'[[step]]\nid = "s{n}"\naction = {{ kind = "file.list", path = "." }}\n' for n in range(2000))
    plan = cowork.plan(f'title = "Large"\n{steps}')
    for _ in range(5):
        cowork.run("queue", plan, "--folder", "inbox")
    cowork.run("task", "list")
    began = time.monotonic()
    assert len(cowork.run("task", "list").out.splitlines()) == 6
    assert time.monotonic() - began < 1.0
