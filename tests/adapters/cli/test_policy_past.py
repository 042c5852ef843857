"""`cowork policy backtest`, `tighten`, `explain`: what a change would have done, what was needed, and why."""

from pathlib import Path
from typing import Any

import pytest

from tests.adapters.cli.command_line import CommandLine, Ended
from tests.adapters.cli.in_process import InProcess

PLAN = """title = "Tidy"
[[step]]
id = "read"
action = { kind = "file.read", match = "*.txt" }
[[step]]
id = "move"
action = { kind = "file.move", path = "a.txt", to = "done/a.txt" }
[[step]]
id = "new"
action = { kind = "file.create", path = "out/new.md", content = "x" }
[[step]]
id = "delete"
action = { kind = "file.delete", path = "b.txt" }
"""
NO_DELETE = """version = "1.1"
defaults = { fallback = "allow" }
[[rules]]
id = "no-delete"
action = "file.delete"
decision = "deny"
[[rules]]
id = "pdf"
action = "file.read"
decision = "deny"
when = { extensionIn = [".pdf"] }
"""
OPEN = 'version = "1.1"\ndefaults = { fallback = "allow" }\nrules = []\n'


@pytest.fixture(scope="module")
def worked(tmp_path_factory: pytest.TempPathFactory) -> CommandLine:
    """A store with a task that has read two files and made one unasked, and moved and deleted one after a yes."""
    cowork = InProcess(tmp_path_factory.mktemp("worked"))
    cowork.fill("a.txt", "b.txt")
    ran = cowork.run_plan(PLAN, "--output", "inbox/out", "--answer", "approve")
    assert ran.status == 0, ran
    return cowork


def write(cowork: CommandLine, text: str, name: str) -> str:
    (cowork.folder / name).write_text(text, encoding="utf-8")
    return name


def backtest(cowork: CommandLine, text: str, *more: str) -> tuple[Ended, dict[str, Any]]:
    """Return what is printed, and the report."""
    name = write(cowork, text, "new.toml")
    report: dict[str, Any] = cowork.run("policy", "backtest", name, *more, "--json").json()
    return cowork.run("policy", "backtest", name, *more), report


# Backtest


def test_the_recorded_policy_changes_nothing(worked: CommandLine) -> None:
    ended = worked.run("policy", "backtest", "baseline")
    assert ended.status == 0, ended
    assert "all as recorded" in ended.out
    assert "under baseline, 0 decisions would have been different" in ended.out
    assert "2 questions were asked: 0 would not be asked any more, 0 more would be" in ended.out
    assert "baseline:no-network" in ended.out


def test_what_would_be_denied_is_shown_and_is_no_failure(worked: CommandLine) -> None:
    ended, report = backtest(worked, NO_DELETE, "--as", "user")
    assert ended.status == 0, ended
    assert "less permitted:" in ended.out
    assert "more permitted:" not in ended.out
    assert "asked about by baseline:delete-needs-a-person, would be denied by user:no-delete" in ended.out
    assert f"file.delete {worked.inbox}/b.txt" in ended.out
    assert "1 action ran that would be denied now" in ended.out
    assert "rules that matched nothing: user:pdf" in ended.out
    assert report["neverHit"] == ["user:pdf"]
    assert [flip["count"] for flip in report["flips"]] == [1]


def test_what_would_be_more_permitted_ends_with_1(worked: CommandLine) -> None:
    ended, report = backtest(worked, OPEN)
    assert ended.status == 1
    assert "more permitted:" in ended.out
    assert "2 questions were asked: 2 would not be asked any more" in ended.out
    assert report["prompts"]["questionsSaved"] == 2


def test_a_document_that_only_narrows_can_not_open_anything(worked: CommandLine) -> None:
    ended, report = backtest(worked, OPEN, "--as", "user")
    assert ended.status == 0
    assert report["flips"] == []


@pytest.mark.parametrize(("since", "decisions"), [("1h", 5), ("2000-01-01", 5), ("2999-01-01", 0), ("1000", 0)])
def test_only_what_was_decided_since_then_counts(worked: CommandLine, since: str, decisions: int) -> None:
    report = worked.run("policy", "backtest", "baseline", "--since", since, "--json").json()
    assert report["decisions"] == decisions


@pytest.mark.parametrize("since", ["yesterday", "9999999d", "2026-13-01", "-1"])
def test_a_time_that_is_none_is_refused(worked: CommandLine, since: str) -> None:
    ended = worked.run("policy", "backtest", "baseline", f"--since={since}")
    assert ended.status == 2
    assert ended.says(f"`{since}` is no time")


def test_a_document_that_can_not_be_loaded_is_refused(worked: CommandLine) -> None:
    write(worked, "version = 1", "new.toml")
    ended = worked.run("policy", "backtest", "new.toml")
    assert ended.status == 2
    assert ended.says("new.toml")


# Tighten


def test_what_was_needed_is_proposed_with_what_it_rests_on(worked: CommandLine, tmp_path: Path) -> None:
    path = tmp_path / "narrow.toml"
    ended = worked.run("policy", "tighten", "--write", str(path))
    assert ended.status == 0, ended
    for words in (
        "allows file.read where",
        "asks a person before file.move",
        "needed by 2 actions",
        "what no rule allows",
    ):
        assert words in ended.out
    assert f"{worked.inbox}: write was never needed" in ended.out
    assert worked.run("policy", "check", str(path)).status == 0
    report = worked.run("policy", "backtest", str(path), "--as", "user", "--json").json()
    assert report["flips"] == []
    refused = worked.run("policy", "tighten", "--write", str(path))
    assert refused.status == 2
    assert refused.says("is there already")


def test_the_proposal_can_be_written_as_json(worked: CommandLine, tmp_path: Path) -> None:
    toml, json = tmp_path / "narrow.toml", tmp_path / "narrow.json"
    for path in (toml, json):
        assert worked.run("policy", "tighten", "--write", str(path)).status == 0
    same = worked.run("policy", "diff", "--as", "user", str(toml), str(json), "--any-change")
    assert (same.status, same.out) == (0, "proved: every request gets the same answer\n")


def test_where_nothing_ran_nothing_is_proposed(worked: CommandLine, tmp_path: Path) -> None:
    path = tmp_path / "narrow.toml"
    ended = worked.run("policy", "tighten", "--since", "2999-01-01", "--write", str(path))
    assert ended.status == 0
    assert "nothing to go by" in ended.out
    assert not path.exists()


# Explain


def test_the_deciding_rule_is_named_with_those_that_did_not_match(worked: CommandLine) -> None:
    ended = worked.run("policy", "explain", "file.write", "inbox/new.md", "--folder", "inbox")
    assert ended.status == 0, ended
    assert f"asked about: file.write {worked.inbox}/new.md (nothing is there" in ended.out
    assert "by baseline:write-elsewhere-needs-a-person" in ended.out
    assert "baseline:hidden-files-stay-closed" in ended.out
    assert "not so: hidden" in ended.out
    explained = worked.run("policy", "explain", "file.write", "inbox/new.md", "--folder", "inbox", "--json").json()
    assert explained["decision"]["ruleId"] == "write-elsewhere-needs-a-person"
    assert {note["state"] for note in explained["rules"]} == {"decided", "not matched"}


def test_a_file_that_is_there_is_looked_at_unless_something_else_is_said(worked: CommandLine) -> None:
    (worked.inbox / "there.md").write_text("x", encoding="utf-8")
    ask = ("policy", "explain", "file.write", "inbox/there.md", "--folder", "inbox", "--output", "inbox")
    assert "by baseline:overwrite-needs-a-person" in worked.run(*ask).out
    assert "by baseline:write-inside-an-output-root" in worked.run(*ask, "--absent").out


def test_without_a_folder_the_one_that_holds_the_path_is_taken(worked: CommandLine) -> None:
    ended = worked.run("policy", "explain", "file.read", "inbox/out/new.md")
    assert f"as if `{worked.inbox}/out` was granted" in ended.err
    assert ended.out.startswith("allowed: ")
    with_the_store = worked.run("policy", "explain", "file.read", "plan.toml")
    assert with_the_store.status == 2
    assert "contains the store" in with_the_store.err
    outside = worked.run("policy", "explain", "file.read", "/etc/passwd", "--folder", "inbox")
    assert "which no document can relax" in outside.out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("shell.exec", "--folder", "inbox", "--", "git", "push", "--force"), "-- git push --force"),
        (("network.request", "api.example.com"), "by baseline:no-network"),
        (("file.move", "inbox/a.txt", "inbox/b.txt"), "by baseline:move-needs-a-person"),
        (("subagent.spawn",), "by baseline:subagents-can-do-no-more"),
    ],
)
def test_every_kind_of_action_can_be_asked_about(worked: CommandLine, arguments: tuple[str, ...], says: str) -> None:
    ended = worked.run("policy", "explain", *arguments)
    assert ended.status == 0, ended
    assert says in ended.out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "an action is needed"),
        (("file.explode",), "there is no action `file.explode`"),
        (("file.read", "a", "b"), "`b` is too much"),
        (("file.read",), "needs a path"),
        (("file.move", "a"), "needs two paths"),
        (("file.read", "a", "--folder", "gone"), "gone"),
        (("file.read", "inbox/a", "--folder", "inbox", "--output", "inbox/none"), "there is no folder"),
    ],
)
def test_what_can_not_be_asked_is_refused_in_one_sentence(
    worked: CommandLine, arguments: tuple[str, ...], words: str
) -> None:
    ended = worked.run("policy", "explain", *arguments)
    assert ended.status == 2, ended
    assert any(words in line for line in ended.err.splitlines() if line.startswith("error: "))
    assert not (worked.inbox / "none").exists()


def test_what_was_in_force_at_a_position_is_told(worked: CommandLine) -> None:
    rows = worked.run("audit", "log", "--json").json()
    (position,) = [row["position"] for row in rows if row["kind"] == "file.create"]
    then = worked.run("policy", "explain", "--at", str(position))
    assert then.status == 0, then
    assert then.out.startswith(f"at position {position}, ")
    assert f"{worked.inbox}: read, create, write, move, delete, results in out" in then.out
    asked = worked.run("policy", "explain", "file.delete", f"{worked.inbox}/x", "--at", str(position), "--json").json()
    assert asked["sessions"][0]["answer"]["decision"]["ruleId"] == "delete-needs-a-person"
    later = worked.run("policy", "explain", "--at", "100000")
    assert later.status == 2
    assert later.says("the log has no position 100000")
