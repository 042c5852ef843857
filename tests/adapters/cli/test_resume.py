"""`cowork resume`: what changed meanwhile is said first, calmly, and `--report-only` stops there."""

import re
import sqlite3
import time
from typing import Any

import pytest

from tests.adapters.cli.command_line import DELETE, CommandLine

PLAN = """title = "Tidy"
[[step]]
id = "look"
action = { kind = "file.read", path = "keep.txt" }
[[step]]
id = "gone"
action = { kind = "file.delete", path = "a.txt" }
[[step]]
id = "note"
needs = ["gone"]
action = { kind = "file.write", path = "keep.txt", content = "new" }
"""
NO_DELETE = """version = "1.1"
defaults = { fallback = "allow" }
[[rules]]
id = "no-delete"
action = "file.delete"
decision = "deny"
"""
OUTDATED = "`a.txt` is not as it was shown: changed, and is asked again after a yes"
FIELDS = {
    "taskId", "title", "status", "awaySince", "position", "lastRun", "policy", "scopeThen", "scopeNow", "grants",
    "rights", "files", "versions", "questions", "underWay", "lookedAt", "notLookedAt",
}  # fmt: skip


class Machine:
    """A command line on a machine with policy files of its own."""

    def __init__(self, cowork: CommandLine) -> None:
        self.cowork = cowork
        self.config = cowork.folder / "config"
        self.config.mkdir()
        self.env = {"COWORK_CONFIG": str(self.config)}

    def report(self, *more: str) -> Any:
        ended = self.cowork.run("resume", self.task_id, "--report-only", "--json", *more, env=self.env)
        assert ended.status == 0, ended.err
        return ended.json()

    @property
    def task_id(self) -> str:
        return str(self.cowork.only_task()["taskId"])


@pytest.fixture
def machine(cowork: CommandLine) -> Machine:
    """A task that waits for the answer to a question; one step is done, one is left."""
    found = Machine(cowork)
    cowork.fill("a.txt", "keep.txt")
    ended = cowork.run("run", cowork.plan(PLAN), "--folder", "inbox", "--answer", "wait", env=found.env)
    assert ended.status == 3, ended
    return found


def history(cowork: CommandLine) -> int:
    return len(cowork.events(cowork.only_task()["taskId"]))


def test_where_nothing_changed_it_is_said_in_one_line_before_the_task_goes_on(machine: Machine) -> None:
    resumed = machine.cowork.run("resume", "--answer", "approve", env=machine.env)
    assert resumed.status == 0, resumed
    first, second = resumed.out.splitlines()[:2]
    assert re.fullmatch(r"nothing changed since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC: 1 question for you", first)
    assert second.split() == ["resumed"]


def test_the_report_alone_goes_no_further_and_leaves_no_trace(machine: Machine) -> None:
    before = history(machine.cowork)
    for option in ("--report-only", "--dry-run"):
        said = machine.cowork.run("resume", option, "--answer", "approve", env=machine.env)
        assert said.status == 0, said
        assert said.out.startswith("nothing changed since ")
        assert len(said.out.splitlines()) == 1
    assert history(machine.cowork) == before
    assert machine.cowork.files() == ["a.txt", "keep.txt"]


def test_a_changed_rule_a_revoked_grant_and_an_edited_file_are_said_in_plain_words(machine: Machine) -> None:
    cowork = machine.cowork
    (machine.config / "policy.toml").write_text(NO_DELETE, encoding="utf-8")
    (cowork.inbox / "a.txt").write_text("edited", encoding="utf-8")
    (cowork.inbox / "keep.txt").unlink()
    question = cowork.question()["confirmationId"]
    said = cowork.run("resume", machine.task_id, "--report-only", env=machine.env).out
    head, *lines = said.splitlines()
    assert head.startswith(f"task {machine.task_id} since ")
    assert re.fullmatch(r"  policy     user: there is a document now \([0-9a-f]{8}\)", lines[0])
    assert lines[1:] == [
        f"  file       a.txt has changed (action {machine.task_id}.2)",
        "  file       keep.txt is gone (step note)",
        f"  question   {question} Delete a.txt (14 bytes): outdated, {OUTDATED}",
    ]
    with cowork.engine() as engine:
        (grant,) = engine.rows("grants")
    assert cowork.run("grant", "revoke", str(grant["grant_id"])).status == 0
    said = cowork.run("resume", machine.task_id, "--report-only", env=machine.env).out
    assert f"  grant      inbox was revoked: nothing in {cowork.inbox} may be touched any more\n" in said
    assert "  lost       inbox: read, create, write, move, delete; nothing is left\n" in said
    assert "  file " not in said


def test_what_changed_is_said_and_then_the_task_goes_on_under_it(machine: Machine) -> None:
    (machine.config / "policy.toml").write_text(NO_DELETE, encoding="utf-8")
    resumed = machine.cowork.run("resume", "--answer", "approve", env=machine.env)
    assert "  policy     user: there is a document now (" in resumed.out
    assert machine.cowork.files() == ["a.txt", "keep.txt"]
    assert resumed.out.index("policy  ") < resumed.out.index("resumed")


def test_programs_get_the_report_as_one_object_or_as_a_list(machine: Machine) -> None:
    one = machine.report()
    assert set(one) == FIELDS
    assert [question["standing"] for question in one["questions"]] == ["waits"]
    assert one["lookedAt"] == 2
    several = machine.cowork.run("resume", "--report-only", "--json", env=machine.env)
    assert several.json() == [one]
    assert machine.cowork.run("resume", "--answer", "approve", "--json", env=machine.env).lines()[0]["event"]


def test_where_there_is_nothing_to_resume_there_is_nothing_to_report(cowork: CommandLine) -> None:
    assert cowork.run("resume", "--report-only").out == "nothing to resume\n"
    assert cowork.run("resume", "--report-only", "--json").json() == []
    cowork.fill("a.txt")
    cowork.run_plan(DELETE, "--answer", "approve")
    ended = cowork.run("resume", str(cowork.only_task()["taskId"]), "--report-only")
    assert ended.status == 5
    assert ended.says("has ended: it is completed")


def test_a_task_that_is_being_run_is_not_reported_on(cowork: CommandLine) -> None:
    plan = 'title = "Wait"\n[[step]]\nid = "s"\naction = { kind = "shell.exec", argv = ["sleep", "20"], cwd = "." }\n'
    running = cowork.start("run", cowork.plan(plan), "--folder", "inbox", "--answer", "approve", "--json")
    assert running.stdout is not None
    try:
        while "task.action_started" not in running.stdout.readline():
            assert running.poll() is None
        named = cowork.run("resume", str(cowork.only_task()["taskId"]), "--report-only")
        assert named.says("is being run by another process")
        among_all = cowork.run("resume", "--report-only")
        assert (among_all.status, among_all.out) == (0, "")
        assert "is being run by another process: left alone" in among_all.err
    finally:
        running.kill()
        running.communicate()


@pytest.mark.parametrize("report_only", [True, False], ids=["report", "go on"])
def test_where_no_task_can_be_looked_at_or_gone_on_with_that_is_a_failure(machine: Machine, report_only: bool) -> None:
    locks = machine.cowork.store / "locks"
    locks.chmod(0o000)
    try:
        ended = machine.cowork.run("resume", *(["--report-only"] if report_only else []), env=machine.env)
    finally:
        locks.chmod(0o700)
    assert (ended.status, ended.says("can't be opened: Permission denied")) == (1, True), ended
    assert "left alone" not in ended.err


def test_a_task_that_a_locked_store_keeps_from_going_on_is_not_passed_over(machine: Machine) -> None:
    before = history(machine.cowork)
    other = sqlite3.connect(machine.cowork.store / "events.db", isolation_level=None)
    try:
        other.execute("BEGIN IMMEDIATE")
        ended = machine.cowork.run("resume", env=machine.env)
        other.execute("ROLLBACK")
    finally:
        other.close()
    assert (ended.status, ended.says("in use by another program")) == (1, True), ended
    assert history(machine.cowork) == before


def test_what_a_kill_left_under_way_is_said(cowork: CommandLine) -> None:
    plan = 'title = "Wait"\n[[step]]\nid = "s"\naction = { kind = "shell.exec", argv = ["sleep", "20"], cwd = "." }\n'
    running = cowork.start("run", cowork.plan(plan), "--folder", "inbox", "--answer", "approve", "--json")
    assert running.stdout is not None
    while "task.action_started" not in running.stdout.readline():
        assert running.poll() is None
    running.kill()
    running.communicate()
    time.sleep(0.2)
    task_id = cowork.only_task()["taskId"]
    said = cowork.run("resume", str(task_id), "--report-only").out
    assert re.fullmatch(r"nothing changed since .* UTC: 1 action under way then, looked at first\n", said)
    (attempt,) = cowork.run("resume", str(task_id), "--report-only", "--json").json()["underWay"]
    assert (attempt["actionId"], attempt["kind"], attempt["attempt"]) == (f"{task_id}.1", "shell.exec", 1)
