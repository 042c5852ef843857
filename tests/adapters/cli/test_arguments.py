"""What is typed is what is meant: an empty argument is not everything, and a number is not rounded."""

import os
from pathlib import Path

import pytest

from tests.adapters.cli.command_line import DELETE, LOOK, CommandLine
from tests.adapters.cli.in_process import InProcess


@pytest.fixture
def cowork(tmp_path: Path) -> CommandLine:
    return InProcess(tmp_path)


# Empty arguments


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (("resume", "", "--answer", "approve"), "`TASK_ID` is empty"),
        (("run", ""), "`PLAN` is empty"),
        (("run", "plan.toml", "--folder", ""), "`--folder` is empty"),
        (("run", "plan.toml", "--folder="), "`--folder` is empty"),
        (("run", "plan.toml", "--folder", "inbox", "--folder", ""), "`--folder` is empty"),
        (("run", "plan.toml", "--folder", "=read"), "`=read` names no folder"),
        (("run", "plan.toml", "--folder", "inbox", "--output", ""), "`--output` is empty"),
        (("run", "plan.toml", "--folder", "inbox", "--answer", ""), "`--answer` is empty"),
        (("run", "plan.toml", "--folder", "inbox", "--policy", ""), "`--policy` is empty"),
        (("run", "plan.toml", "--workspace", ""), "`--workspace` is empty"),
        (("run", "plan.toml", "--workspace", "w", "--upload", ""), "`--upload` is empty"),
        (("queue", "plan.toml", "", "--folder", "inbox"), "`PLANS` is empty"),
        (("audit", "log", "--task", ""), "`--task` is empty"),
        (("task", "list", "--status", ""), "`--status` is empty"),
        (("task", "list", "--store", ""), "`--store` is empty"),
        (("task", "budget", "task-1", "--add-wall", ""), "`--add-wall` is empty"),
        (("store", "gc", "--max-bytes", ""), "`--max-bytes` is empty"),
        (("store", "gc", "--keep-days", ""), "`--keep-days` is empty"),
        (("grant", "narrow", "grant-1", "--only", ""), "`--only` is empty"),
        (("policy", "approvals", "revoke", ""), "`APPROVAL_ID` is empty"),
        (("policy", "explain", "file.read", ""), "an argument of file.read is empty"),
    ],
)
def test_an_empty_argument_is_refused_by_its_name_and_nothing_is_done(
    cowork: CommandLine, arguments: tuple[str, ...], name: str
) -> None:
    cowork.fill("a.txt")
    cowork.plan(DELETE)
    ended = cowork.run(*arguments)
    assert ended.status == 2, ended
    assert ended.says(name), ended.err
    assert cowork.files() == ["a.txt"]
    assert not cowork.store.exists()


def test_an_empty_task_id_answers_no_question_of_any_task(cowork: CommandLine) -> None:
    cowork.fill("a.txt")
    assert cowork.run_plan(DELETE, "--answer", "wait").status == 3
    ended = cowork.run("resume", "", "--answer", "approve")
    assert (ended.status, cowork.files()) == (2, ["a.txt"])
    assert "hint: give it a value, or leave it out" in ended.err


def test_an_empty_word_of_a_command_can_be_explained(cowork: CommandLine) -> None:
    ended = cowork.run("policy", "explain", "shell.exec", "--folder", "inbox", "--", "git", "commit", "-m", "")
    assert ended.status == 0, ended


@pytest.mark.parametrize("name", ["COWORK_STORE", "COWORK_KEEP_DAYS", "COWORK_CONFIG", "COWORK_UNSAFE_AS_ROOT"])
def test_an_empty_variable_of_the_environment_counts_as_not_set(cowork: CommandLine, name: str) -> None:
    before = sorted(os.listdir(cowork.folder))
    ended = cowork.run("run", cowork.plan(LOOK), "--folder", "inbox", env={name: ""})
    assert ended.status == 0, ended
    kept = {"home", "plan.toml", "store"}
    assert set(os.listdir(cowork.folder)) - set(before) <= kept


# Whole numbers


@pytest.mark.parametrize("text", ["1.5", "0.4", "-0.5", "0x10", "0b1", "1e3", "1_000", "٣", "abc", "1 000", "--", "²"])
@pytest.mark.parametrize(
    "command", [("queue", "plan.toml", "--priority"), ("store", "gc", "--keep-days"), ("work", "--tasks")]
)
def test_a_whole_number_is_written_in_digits_and_never_rounded(
    cowork: CommandLine, command: tuple[str, ...], text: str
) -> None:
    cowork.plan(LOOK)
    *before, name = command
    ended = cowork.run(*before, f"{name}={text}")
    assert ended.status == 2, ended
    assert ended.says(f"`{name}` is a whole number, not `"), ended.err
    assert not cowork.store.exists()


@pytest.mark.parametrize("text", ["9223372036854775808", "-9223372036854775808", "9" * 5000])
def test_a_number_that_no_log_can_hold_is_refused(cowork: CommandLine, text: str) -> None:
    ended = cowork.run("queue", cowork.plan(LOOK), "--folder", "inbox", f"--priority={text}")
    assert ended.status == 2
    assert ended.says("`--priority` can't be `"), ended.err


@pytest.mark.parametrize("text", ["7", "+7", "-7", "007"])
def test_a_whole_number_may_have_a_sign_and_zeros_before_it(cowork: CommandLine, text: str) -> None:
    ended = cowork.run("queue", cowork.plan(LOOK), "--folder", "inbox", "--priority", text, "--json")
    assert ended.status == 0, ended
    (task,) = cowork.run("task", "list", "--json").json()
    assert task["priority"] == int(text)


@pytest.mark.parametrize(
    ("days", "status"), [("999999", 0), ("1000000", 0), ("1000001", 2), ("9223372036854775807", 2), ("9" * 23, 2)]
)
def test_many_days_are_kept_up_to_a_bound_that_is_said(cowork: CommandLine, days: str, status: int) -> None:
    assert cowork.run_plan(LOOK).status == 0
    for ended in (
        cowork.run("store", "gc", "--keep-days", days, "--dry-run"),
        cowork.run("store", "gc", "--dry-run", env={"COWORK_KEEP_DAYS": days}),
    ):
        assert ended.status == status, ended
        assert status == 0 or ended.says(days), ended.err


# Settings


@pytest.mark.parametrize(
    ("name", "value", "form"),
    [
        ("COWORK_KEEP_DAYS", "abc", "write a number of days, as in `90`"),
        ("COWORK_KEEP_DAYS", "-1", "write a number of days, as in `90`"),
        ("COWORK_KEEP_DAYS", "1.5", "write a number of days, as in `90`"),
        ("COWORK_MAX_BYTES", "5XB", "write a size, as in `20GB`"),
        ("COWORK_UNSAFE_AS_ROOT", "maybe", "write `1` or `0`"),
        ("COWORK_DEBUG", "2", "write `1` or `0`"),
    ],
)
def test_a_setting_that_is_wrong_is_named_with_its_value_and_what_to_write(
    cowork: CommandLine, name: str, value: str, form: str
) -> None:
    ended = cowork.run("store", "gc", env={name: value})
    assert ended.status == 2
    assert ended.err.splitlines() == [f"error: `{name}` can't be `{value}`", f"hint: {form}"]
