"""`cowork run` and `cowork resume`: what is granted, how questions are treated, and what the exit status says."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.adapters.cli.command_line import DELETE, DELETE_ALL, LOOK, CommandLine

READ_MISSING = 'title = "Read"\n[[step]]\nid = "read"\naction = { kind = "file.read", path = "missing.txt" }\n'
READ_OUTSIDE = 'title = "Read"\n[[step]]\nid = "read"\naction = { kind = "file.read", path = "/etc/hostname" }\n'
CREATE = 'title = "New"\n[[step]]\nid = "new"\naction = { kind = "file.create", path = "out/x.md", content = "hi" }\n'
CREATE_ELSEWHERE = CREATE.replace("out/x.md", "results:x.md")
SKIP = DELETE.replace('title = "Delete"\n', 'title = "Delete"\non_ask = "skip"\n')
EVENT_KEYS = {"position", "event", "topic", "stream", "version", "at", "actor", "cause", "commandId", "data"}


def _keys(value: Any) -> set[str]:
    match value:
        case dict():
            return set(value) | {key for one in value.values() for key in _keys(one)}
        case list():
            return {key for one in value for key in _keys(one)}
        case _:
            return set()


@pytest.mark.parametrize(
    ("plan", "status", "word"),
    [
        (LOOK, 0, "completed"),
        (SKIP, 0, "completed_with_skips"),
        (READ_MISSING, 1, "failed"),
        (READ_OUTSIDE, 4, "blocked"),
        (DELETE, 3, "awaiting_confirmation"),
    ],
)
def test_the_exit_status_says_how_the_task_stands(cowork: CommandLine, plan: str, status: int, word: str) -> None:
    cowork.fill("a.txt")
    run = cowork.run_plan(plan)
    assert (run.status, cowork.only_task()["status"]) == (status, word), run
    assert word.replace("_", " ") in run.out
    assert run.err == ""


def test_with_json_every_event_is_a_line_and_the_last_line_says_how_it_ended(cowork: CommandLine) -> None:
    cowork.fill("a.txt")
    run = cowork.run_plan(DELETE, "--answer", "approve", "--json")
    *events, end = run.lines()
    assert run.status == 0
    assert end == {"taskId": cowork.only_task()["taskId"], "status": "completed"}
    assert all(set(event) == EVENT_KEYS for event in events)
    assert [event["position"] for event in events] == list(range(1, len(events) + 1))
    assert {event["event"] for event in events} >= {"session.started", "task.queued", "task.action_succeeded"}
    assert all(event["topic"] == f"{event['event']}.v1" for event in events)
    assert [key for key in _keys(events) if "_" in key] == []
    granted = next(event for event in events if event["event"] == "session.grant_added")
    proposed = next(event["data"] for event in events if event["event"] == "task.action_proposed")
    assert proposed["action"] == {
        "kind": "file.delete",
        "at": {"grantId": granted["data"]["grantId"], "path": "a.txt"},
    }


@pytest.mark.parametrize(("answer", "status", "left"), [("approve", 0, []), ("reject", 4, ["a.txt"])])
def test_an_answer_for_all_questions_is_recorded_as_the_persons(
    cowork: CommandLine, answer: str, status: int, left: list[str]
) -> None:
    cowork.fill("a.txt")
    run = cowork.run_plan(DELETE, "--answer", answer)
    (question,) = cowork.questions()
    assert run.status == status
    assert cowork.files() == left
    assert question["answeredBy"].startswith("person:")
    assert question["note"] == f"--answer {answer}"


def test_without_a_terminal_a_question_is_printed_and_left_open(cowork: CommandLine) -> None:
    cowork.fill("a.txt")
    run = cowork.run_plan(DELETE)
    question = cowork.question()
    assert run.status == 3
    assert cowork.files() == ["a.txt"]
    assert question["card"]["headline"] in run.out
    assert "│" not in run.out
    command = f"cowork confirmation approve {question['confirmationId']} --digest {question['digest'][7:15]}"
    assert command in run.out


def test_waiting_leaves_questions_open_without_printing_them(cowork: CommandLine) -> None:
    cowork.fill("a.txt")
    run = cowork.run_plan(DELETE, "--answer", "wait")
    assert run.status == 3
    assert cowork.question()["status"] == "pending"
    assert "approve with" not in run.out


def test_an_output_within_a_granted_folder_need_not_exist(cowork: CommandLine) -> None:
    run = cowork.run_plan(CREATE, "--output", "inbox/out")
    assert run.status == 0, run
    assert (cowork.inbox / "out/x.md").read_text() == "hi"


def test_an_output_elsewhere_is_granted_by_itself_and_made_which_is_said(cowork: CommandLine) -> None:
    run = cowork.run_plan(CREATE_ELSEWHERE, "--output", "results")
    assert run.status == 0, run
    assert (cowork.folder / "results/x.md").read_text() == "hi"
    assert f"made the folder {cowork.folder / 'results'}" in run.err
    grants = {grant["name"]: grant for grant in cowork.run("grant", "list", "--all", "--json").json()}
    assert grants["results"]["outputRoots"] == ["."]
    assert not grants["results"]["allowDelete"]
    assert not grants["results"]["allowMove"]


def test_an_output_in_a_folder_that_does_not_exist_is_refused_and_nothing_is_made(cowork: CommandLine) -> None:
    run = cowork.run_plan(CREATE, "--output", "no/such/results")
    assert run.status == 2
    assert run.says("is to lie in does not exist")
    assert not (cowork.folder / "no").exists()
    assert not cowork.store.exists() or cowork.run("task", "list", "--json").json() == []


def test_a_folder_is_granted_only_for_the_verbs_that_are_named(cowork: CommandLine) -> None:
    cowork.fill("a.txt")
    run = cowork.run("run", cowork.plan(DELETE), "--folder", "inbox=read,move", "--answer", "approve")
    assert run.status == 4
    assert "does not cover delete" in run.out
    assert cowork.files() == ["a.txt"]
    (grant,) = cowork.run("grant", "list", "--all", "--json").json()
    verbs = [verb for verb in ("Read", "Create", "Write", "Move", "Delete") if grant[f"allow{verb}"]]
    assert verbs == ["Read", "Move"]


@pytest.mark.parametrize("host", ["https://api.example.com/x", "me@x.example", "0x7f.1", "*", "a b", "x:0", "\x1b"])
def test_what_is_no_host_is_refused_in_one_sentence_and_nothing_is_recorded(cowork: CommandLine, host: str) -> None:
    cowork.fill("a.txt")
    run = cowork.run_plan(DELETE, "--host", host)
    assert run.status == 2
    assert run.says("is not a host")
    assert "\x1b" not in run.err
    assert cowork.run("task", "list", "--json").json() == []


def test_a_folder_whose_name_has_an_equals_sign_can_be_granted(cowork: CommandLine) -> None:
    (cowork.folder / "a=b").mkdir()
    assert cowork.run("run", cowork.plan(LOOK), "--folder", "a=b").status == 0
    assert cowork.run("run", cowork.plan(LOOK), "--folder", "a=b=read").status == 0


@pytest.mark.parametrize("folder", ["inbox=read,fly", "inbox="])
def test_what_can_not_be_granted_is_refused_by_name(cowork: CommandLine, folder: str) -> None:
    run = cowork.run("run", cowork.plan(LOOK), "--folder", folder)
    assert run.status == 2
    assert run.says(f"`{folder}`")
    assert "read, create, write, move, delete" in run.err


def test_without_a_folder_it_is_said_that_everything_will_be_denied(cowork: CommandLine) -> None:
    run = cowork.run("run", cowork.plan(LOOK))
    assert run.status == 4
    assert "no folder is granted" in run.err


def test_a_large_batch_shows_how_far_it_is_and_not_every_file(cowork: CommandLine) -> None:
    cowork.fill(*(f"{number:03}.txt" for number in range(120)))
    run = cowork.run_plan(DELETE_ALL, "--answer", "approve")
    assert run.status == 0
    assert "60 of 120" in run.out
    assert "120 done of 120 actions" in run.out
    assert len(run.out.splitlines()) < 30
    assert cowork.files() == []


def test_verbose_shows_every_event(cowork: CommandLine) -> None:
    cowork.fill(*(f"{number:03}.txt" for number in range(30)))
    run = cowork.run_plan(DELETE_ALL, "--answer", "approve", "--verbose")
    history = cowork.events(cowork.only_task()["taskId"])
    shown = [line for line in run.out.splitlines() if line.strip()[:1].isdigit()]
    assert len(shown) == len(history)


# Resuming


def test_with_nothing_to_resume_it_says_so(cowork: CommandLine) -> None:
    cowork.run_plan(LOOK)
    run = cowork.run("resume")
    assert (run.status, run.out) == (0, "nothing to resume\n")


def test_an_answered_task_is_carried_to_its_end(cowork: CommandLine) -> None:
    cowork.fill("a.txt")
    cowork.run_plan(DELETE)
    question = cowork.question()
    answered = cowork.run("confirmation", "approve", question["confirmationId"], "--digest", question["digest"])
    assert answered.status == 0
    assert cowork.files() == ["a.txt"]
    run = cowork.run("resume", question["taskId"])
    assert run.status == 0
    assert "delete a.txt" in run.out
    assert cowork.files() == []


def test_all_tasks_that_can_go_on_are_resumed_in_turn_and_the_worst_end_counts(cowork: CommandLine) -> None:
    cowork.fill("a.txt")
    cowork.run_plan(DELETE, "--answer", "wait")
    cowork.run_plan(DELETE.replace("a.txt", "missing.txt") + LOOK.partition("\n")[2], "--answer", "wait")
    cowork.run_plan(DELETE, "--answer", "wait")
    run = cowork.run("resume", "--answer", "reject")
    assert run.status == 4
    statuses = [task["status"] for task in cowork.run("task", "list", "--json").json()]
    assert sorted(statuses) == ["blocked", "blocked", "failed"]


def test_a_task_that_another_process_is_running_is_named_and_left_alone(cowork: CommandLine) -> None:
    cowork.fill(*(f"{number:03}.txt" for number in range(150)))
    other = cowork.start("run", cowork.plan(DELETE_ALL), "--folder", "inbox", "--answer", "approve", "--json")
    assert other.stdout is not None
    while "task.action_succeeded" not in other.stdout.readline():
        assert other.poll() is None
    os.kill(other.pid, signal.SIGSTOP)
    try:
        task = cowork.only_task()
        every = cowork.run("resume")
        named = cowork.run("resume", task["taskId"])
        after = cowork.only_task()
    finally:
        os.kill(other.pid, signal.SIGCONT)
        other.communicate(timeout=60)
    assert every.status == 0
    assert f"task `{task['taskId']}` is being run by another process" in every.err
    assert named.status == 1
    assert named.says("is being run by another process")
    assert after["position"] == task["position"]
    assert other.returncode == 0
    assert cowork.files() == []


def test_a_task_that_has_ended_can_not_be_resumed(cowork: CommandLine) -> None:
    cowork.run_plan(LOOK)
    run = cowork.run("resume", cowork.only_task()["taskId"])
    assert run.status == 5
    assert run.says("has ended")


def test_a_run_that_was_killed_is_resumed_and_nothing_is_done_twice(cowork: CommandLine) -> None:
    names = [f"{number:03}.txt" for number in range(100)]
    cowork.fill(*names)
    other = cowork.start("run", cowork.plan(DELETE_ALL), "--folder", "inbox", "--answer", "approve", "--json")
    assert other.stdout is not None
    for _ in range(15):
        while "task.action_succeeded" not in other.stdout.readline():
            assert other.poll() is None
    other.kill()
    other.communicate()
    assert cowork.run("resume").status == 0
    summary = cowork.run("task", "summary", cowork.only_task()["taskId"], "--json").json()
    assert sorted(change["path"] for change in summary["fileChanges"]) == names
    assert cowork.files() == []


def test_a_policy_file_takes_the_place_of_the_baseline(cowork: CommandLine, tmp_path: Path) -> None:
    rules = tmp_path / "rules.toml"
    rules.write_text(
        'version = "1.1"\ndefaults.fallback = "deny"\n'
        '[[rules]]\nid = "look"\naction = "file.list"\ndecision = "deny"\nreason = "not today"\n',
        encoding="utf-8",
    )
    run = cowork.run_plan(LOOK, "--policy", "rules.toml")
    assert run.status == 4
    assert "not today" in run.out
