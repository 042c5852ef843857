"""`cowork policy test`: cases are asked as `evaluate` would, failures show the difference, unreached rules show."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.adapters.cli.command_line import CommandLine
from tests.adapters.cli.in_process import InProcess


@pytest.fixture
def cowork(tmp_path: Path) -> CommandLine:
    return InProcess(tmp_path)


TEAM = """version = "1.1"
defaults = { fallback = "deny" }

[[rules]]
id = "read"
action = "file.read"
decision = "allow"

[[rules]]
id = "private"
action = "file.*"
decision = "deny"
when = { matchesPattern = ["**/private/**"] }
reason = "private is private"
"""
CASES = """[policies]
team = "team.toml"

[scopes.ann]
grants = [{ root = "/home/ann" }]

[[cases]]
id = "reads"
frames = [{ scope = "ann", layers = ["team"] }]
request = { action = "file.read", path = "/home/ann/a.txt" }
expect = { decision = "allow", ruleId = "read" }

[[cases]]
id = "not-private"
frames = [{ scope = "ann", layers = ["team"] }]
request = { action = "file.read", path = "/home/ann/private/a.txt" }
expect = { decision = "deny", ruleId = "private" }
"""


@pytest.fixture
def team(cowork: CommandLine) -> CommandLine:
    """A folder with a policy and a file of cases."""
    write(cowork, "team.toml", TEAM)
    write(cowork, "cases.toml", CASES)
    return cowork


def write(cowork: CommandLine, name: str, text: str) -> None:
    (cowork.folder / name).write_text(text, encoding="utf-8")


def case(**parts: Any) -> str:
    return json.dumps({"cases": [{"id": "one", **parts}]})


def test_cases_that_hold_are_counted_with_the_rules_that_they_reach(team: CommandLine) -> None:
    ended = team.run("policy", "test", "cases.toml", "--min-coverage", "100")
    assert ended.status == 0, ended
    assert ended.out == "2 cases: all as expected\nrules that decided in a case: 2 of 2 (100 %)\n"


def test_a_failing_case_is_shown_with_its_line_and_the_difference(team: CommandLine) -> None:
    write(team, "cases.toml", CASES.replace('"deny", ruleId = "private"', '"allow", ruleId = "read"'))
    ended = team.run("policy", "test", "cases.toml")
    assert ended.status == 1
    lines = ended.out.splitlines()
    assert lines[0] == f"cases.toml:{CASES[: CASES.rindex('[[cases]]')].count(chr(10)) + 1}: failed: not-private"
    assert lines[1:4] == [
        "  expected decision allow, got deny",
        "  expected ruleId read, got private",
        "  because: private is private",
    ]
    assert "2 cases: 1 failed" in lines
    report = team.run("policy", "test", "cases.toml", "--json").json()
    assert report["failedCases"] == 1
    assert [one["passed"] for one in report["cases"]] == [True, False]
    assert report["cases"][1]["got"]["decision"] == "deny"


def test_rules_that_no_case_reaches_are_named_and_can_fail_the_run(team: CommandLine) -> None:
    write(team, "cases.toml", CASES[: CASES.rindex("[[cases]]")])
    assert team.run("policy", "test", "cases.toml").status == 0
    ended = team.run("policy", "test", "cases.toml", "--min-coverage", "60")
    assert ended.status == 1
    assert "1 of 2 (50 %)" in ended.out
    assert "  never: team: private" in ended.out.splitlines()
    assert "less than 60 %" in ended.out


def test_an_example_in_a_policy_counts_for_its_rule(team: CommandLine) -> None:
    write(team, "cases.toml", CASES[: CASES.rindex("[[cases]]")])
    write(team, "team.toml", f'{TEAM}match = [{{ path = "/x/private/y" }}]\n')
    ended = team.run("policy", "test", "cases.toml", "team.toml", "--min-coverage", "100")
    assert ended.status == 0, ended
    assert ended.out.splitlines()[0] == "1 case and 1 example: all as expected"


def test_an_example_that_does_not_hold_is_a_failure_with_its_line(team: CommandLine) -> None:
    write(team, "team.toml", f'{TEAM}match = [{{ path = "/x/public/y" }}]\n')
    ended = team.run("policy", "test", "team.toml")
    assert ended.status == 1
    assert ended.out.startswith(f"team.toml:{TEAM.count(chr(10)) + 1}: failed: ")
    assert "matchesPattern" in ended.out


def test_the_shipped_documents_can_stand_behind_a_policy_without_being_tested(team: CommandLine) -> None:
    write(team, "cases.toml", CASES.replace('["team"]', '["baseline", "team", "floor"]').replace(
        'expect = { decision = "allow", ruleId = "read" }', 'expect = { decision = "allow_with_confirm" }'
    ))  # fmt: skip
    ended = team.run("policy", "test", "cases.toml", "--min-coverage", "100")
    assert ended.status == 0, ended
    assert "2 of 2" in ended.out


@pytest.mark.parametrize(
    ("kind", "parts"),
    [
        ("glob", {"pattern": "/a/*", "text": "/a/b", "expect": True}),
        ("under", {"path": "/A/b", "root": "/a", "ci": True, "expect": True}),
        ("host", {"entries": ["*.example.com"], "host": "example.com", "expect": False}),
        ("host", {"entries": ["127.0.0.1"], "host": "127.1", "expect": "invalid"}),
        ("load", {"doc": {"version": "1.0", "rules": []}, "expect": ["defaults"]}),
        ("hash", {"doc": {}, "expect": {"origin": "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"}}),
    ],
)
def test_every_kind_of_case_can_hold_and_can_fail(team: CommandLine, kind: str, parts: dict[str, Any]) -> None:
    write(team, "one.json", case(kind=kind, **parts))
    assert team.run("policy", "test", "one.json").status == 0
    other = {"origin": "x"} if kind == "hash" else ["rules"] if kind == "load" else "something else"
    write(team, "one.json", case(kind=kind, **{**parts, "expect": other}))
    assert team.run("policy", "test", "one.json").status == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (case(kind="riddle", expect=1), "is no kind"),
        (case(kind="glob", pattern="/a", text="/a"), "nothing is expected"),
        (case(kind="glob", pattern="/a", txt="/a", expect=True), "there is no key `txt`"),
        (case(frames=[], request={"action": "file.read"}, expect={"decison": "deny"}), "no decision has `decison`"),
        (case(frames=[], request={"action": "file.read", "pth": "/"}, expect={"decision": "deny"}), "has `pth`"),
        (case(frames=[{"scope": "x", "layers": []}], request={}, expect={"decision": "deny"}), "no scope `x`"),
        (case(frames=[{"scope": {}, "layers": ["x"]}], request={}, expect={"decision": "deny"}), "no policy `x`"),
        ('{"cases": [{"id": "a", "kind": "glob"}, {"id": "a"}], "more": 1}', "the key `more`"),
        ('{"cases": 1}', "`cases` is not a list"),
        ('{"cases": [],}', "not JSON"),
        ('{"policies": {"team": {"version": "1.1"}}, "cases": []}', "`defaults` is missing"),
        ('{"policies": {"team": "gone.toml"}, "cases": []}', "there is no policy file"),
    ],
)
def test_a_file_that_asks_nothing_sensible_is_refused_in_one_sentence(team: CommandLine, text: str, words: str) -> None:
    write(team, "one.json", text)
    ended = team.run("policy", "test", "one.json")
    assert ended.status == 2, ended
    assert ended.says(words)


def test_a_question_that_can_not_be_asked_is_a_failure_with_its_reason(team: CommandLine) -> None:
    frames = [{"scope": {"grants": 1}, "layers": []}]
    write(team, "one.json", case(frames=frames, request={"action": "file.read"}, expect={"decision": "deny"}))
    ended = team.run("policy", "test", "one.json")
    assert ended.status == 1
    assert "it can't be asked" in ended.out
