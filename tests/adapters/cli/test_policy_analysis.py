"""`cowork policy show`, `lint`, `diff`, `prove`, `who-can`: what is in force, and what holds for every request."""

import re
from pathlib import Path

import pytest

from cowork.domain.baseline import BASELINE
from tests.adapters.cli.command_line import CommandLine, Ended
from tests.adapters.cli.in_process import InProcess
from tests.house.tree import ROOT


@pytest.fixture
def cowork(tmp_path: Path) -> CommandLine:
    return InProcess(tmp_path)


OPEN = """version = "1.1"
defaults = { fallback = "deny" }

[[rules]]
id = "look"
action = ["file.read", "file.list"]
decision = "allow"

[[rules]]
id = "private"
action = "file.*"
decision = "deny"
when = { matchesPattern = ["**/private/**"] }
"""
NARROW = """version = "1.1"
defaults = { fallback = "allow" }

[[rules]]
id = "no-pdf"
action = "file.*"
decision = "deny"
when = { extensionIn = [".pdf"] }
"""
DEAD = """version = "1.0"
defaults = { fallback = "deny" }

[[rules]]
id = "all"
action = "file.read"
decision = "allow"

[[rules]]
id = "secrets"
action = "file.read"
decision = "deny"
when = { matchesPattern = ["**/secrets/**"] }
"""
LIMITED = '[[limits]]\nid = "reads"\naction = "file.read"\nmax = {max}\n'


def write(cowork: CommandLine, text: str, name: str) -> Path:
    path = cowork.folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def config(cowork: CommandLine, text: str, name: str = "policy.toml") -> Path:
    return write(cowork, text, f"config/{name}")


def run(cowork: CommandLine, *arguments: str) -> Ended:
    return cowork.run("policy", *arguments, env={"COWORK_CONFIG": str(cowork.folder / "config")})


# Show


def test_the_baseline_and_the_floor_hold_where_nobody_wrote_anything(cowork: CommandLine) -> None:
    shown = run(cowork, "show")
    assert shown.status == 0, shown
    assert [line.split()[0] for line in shown.out.splitlines()] == ["layer", "baseline", "floor"]
    baseline, floor = run(cowork, "show", "--json").json()
    assert (baseline["name"], baseline["path"], baseline["fallback"]) == ("baseline", "", "deny")
    assert floor["sentences"] == []


def test_the_documents_of_the_machine_and_of_trusted_folders_are_shown_with_their_files(cowork: CommandLine) -> None:
    user = config(cowork, NARROW)
    workspace = write(cowork, NARROW, "inbox/.cowork/policy.toml")
    assert [one["name"] for one in run(cowork, "show", "--json").json()] == ["baseline", "user", "floor"]
    assert run(cowork, "trust", "inbox").status == 0
    layers = {one["name"]: one for one in run(cowork, "show", "--json").json()}
    assert list(layers) == ["baseline", "user", "workspace", "floor"]
    assert (layers["user"]["path"], layers["workspace"]["path"]) == (str(user), str(workspace))
    assert layers["user"]["digest"] == layers["workspace"]["digest"]


def test_a_root_document_takes_the_baselines_place(cowork: CommandLine) -> None:
    config(cowork, OPEN, "root-policy.toml")
    assert [one["name"] for one in run(cowork, "show", "--json").json()] == ["root", "floor"]


def test_each_rule_is_shown_as_a_sentence(cowork: CommandLine) -> None:
    config(cowork, NARROW + LIMITED.format(max=3))
    lines = run(cowork, "show", "--rules").out.splitlines()
    assert "  no-pdf: denies every action on a file where the name ends in `.pdf`" in lines
    assert "  reads: denies what is more than 3 file.read in a task" in lines
    assert "  what no rule is about is left to the other layers" in lines
    assert "  delete-needs-a-person: asks a person every time before file.delete: deleting needs a person" in lines


def test_a_document_that_can_not_be_loaded_is_said_and_nothing_is_shown(cowork: CommandLine) -> None:
    config(cowork, "version = 1")
    shown = run(cowork, "show")
    assert (shown.status, shown.out) == (2, "")
    assert shown.says("policy.toml")


def test_the_baseline_can_be_written_into_the_very_file_that_replaces_it(cowork: CommandLine) -> None:
    config(cowork, "", "root-policy.toml")
    document = run(cowork, "show", "--document", "baseline")
    assert document.status == 0, document
    config(cowork, document.out, "root-policy.toml")
    assert [one["name"] for one in run(cowork, "show", "--json").json()] == ["root", "floor"]
    assert run(cowork, "diff", "baseline", "config/root-policy.toml", "--any-change").status == 0
    assert run(cowork, "show", "--document", "root").out == document.out
    as_json = run(cowork, "show", "--document", "root", "--json").out
    write(cowork, as_json, "root.json")
    assert run(cowork, "diff", "root.json", "config/root-policy.toml", "--any-change").status == 0
    assert run(cowork, "show", "--document", "user").says("no layer `user` is in force")


# Lint


def test_a_denial_that_never_bites_is_an_error_with_a_request(cowork: CommandLine) -> None:
    write(cowork, DEAD, "dead.toml")
    ended = run(cowork, "lint", "dead.toml")
    assert ended.status == 1
    assert "error: rule `secrets` (deny) never decides" in ended.out
    assert "as in: file.list /ws/secrets/" in ended.out
    findings = run(cowork, "lint", "dead.toml", "--json").json()["findings"]
    assert ("deny-never-bites", "error") in [(one["code"], one["severity"]) for one in findings]


def test_a_document_without_faults_has_none(cowork: CommandLine) -> None:
    write(cowork, OPEN, "open.toml")
    ended = run(cowork, "lint", "open.toml")
    assert (ended.status, ended.out) == (0, "nothing to say\n")


def test_what_a_narrowing_layer_leaves_to_others_is_not_held_against_it(cowork: CommandLine) -> None:
    write(cowork, NARROW, "narrow.toml")
    assert "allowed without asking" in run(cowork, "lint", "narrow.toml").out
    assert run(cowork, "lint", "--as", "user", "narrow.toml").out == "nothing to say\n"


def test_the_shipped_baseline_has_no_errors(cowork: CommandLine) -> None:
    ended = run(cowork, "lint", "--baseline")
    assert ended.status == 0
    assert "0 errors" in ended.out


@pytest.mark.parametrize("arguments", [("lint",), ("lint", "open.toml", "--baseline")])
def test_lint_wants_one_document(cowork: CommandLine, arguments: tuple[str, ...]) -> None:
    write(cowork, OPEN, "open.toml")
    ended = run(cowork, *arguments)
    assert ended.status == 2
    assert ended.says("one policy file is needed")


# Diff


@pytest.mark.parametrize(
    ("old", "new", "status", "any_change"),
    [
        (OPEN, OPEN, 0, 0),
        (OPEN, OPEN.replace('"private"', '"hidden"'), 0, 0),
        (OPEN, OPEN.replace('"file.list"', '"file.create"'), 1, 1),
        (OPEN, OPEN.replace('["file.read", "file.list"]', '"file.read"'), 0, 1),
        (OPEN, OPEN.replace('"allow"', '"allow_with_confirm"'), 0, 1),
        (OPEN.replace('"allow"', '"allow_with_confirm"'), OPEN, 1, 1),
        (OPEN, OPEN.replace("private", "secret"), 1, 1),
        (OPEN, OPEN + LIMITED.format(max=3), 0, 1),
        (OPEN + LIMITED.format(max=3), OPEN, 1, 1),
        (OPEN + LIMITED.format(max=3), OPEN + LIMITED.format(max=4), 1, 1),
        (OPEN + LIMITED.format(max=3), OPEN + LIMITED.format(max=2), 0, 1),
    ],
)
def test_what_becomes_more_permitted_ends_with_1(
    cowork: CommandLine, old: str, new: str, status: int, any_change: int
) -> None:
    write(cowork, old, "old.toml")
    write(cowork, new, "new.toml")
    ended = run(cowork, "diff", "old.toml", "new.toml")
    assert ended.status == status, ended
    assert ended.err == ""
    assert run(cowork, "diff", "old.toml", "new.toml", "--any-change").status == any_change


def test_a_difference_is_shown_with_both_rules_and_a_request(cowork: CommandLine) -> None:
    write(cowork, OPEN, "old.toml")
    write(cowork, OPEN.replace("**/private/**", "**/secret/**"), "new.toml")
    out = run(cowork, "diff", "old.toml", "new.toml").out
    assert "more permitted:\n  file.list, file.read: denied by root:private, now allowed by root:look\n" in out
    assert "less permitted:\n  file.list, file.read: allowed by root:look, now denied by root:private\n" in out
    assert "/private/" in out
    changes = run(cowork, "diff", "old.toml", "new.toml", "--json").json()["changes"]
    assert {(one["becomes"], one["oldRule"], one["newRule"]) for one in changes} >= {
        ("allowed", "root:private", "root:look"),
        ("denied", "root:look", "root:private"),
    }


def test_the_shipped_baseline_can_be_compared_with(cowork: CommandLine) -> None:
    write(cowork, OPEN, "open.toml")
    assert run(cowork, "diff", "baseline", "open.toml").status == 1
    same = run(cowork, "diff", "baseline", "baseline")
    assert (same.status, same.out) == (0, "proved: every request gets the same answer\n")


def test_a_layer_that_only_narrows_is_compared_over_the_baseline(cowork: CommandLine) -> None:
    write(cowork, NARROW, "narrow.toml")
    write(cowork, NARROW.replace('"deny"', '"allow"'), "open.toml")
    ended = run(cowork, "diff", "--as", "user", "narrow.toml", "open.toml", "--json")
    assert ended.status == 1
    assert {one["becomes"] for one in ended.json()["changes"]} == {"allowed", "asked"}
    assert all(one["newRule"].startswith("baseline:") for one in ended.json()["changes"] if one["becomes"] == "allowed")


# Prove and who-can


def test_a_claim_is_proved_or_refuted_by_a_request(cowork: CommandLine) -> None:
    write(cowork, OPEN, "open.toml")
    proved = run(cowork, "prove", "no file.* matching /home/ann/private/**", "open.toml")
    assert proved.status == 0, proved
    refuted = run(cowork, "prove", "no file.read inside /home/ann", "open.toml")
    assert refuted.status == 1
    assert refuted.out.startswith("refuted: ")
    assert "as in: file.read /home/ann" in refuted.out
    assert run(cowork, "prove", "no file.read", "open.toml", "--json").json()["status"] == "refuted"


def test_without_a_file_a_claim_is_about_this_machine(cowork: CommandLine) -> None:
    assert run(cowork, "prove", "no file.read matching **/*.pdf").status == 1
    config(cowork, NARROW)
    assert run(cowork, "prove", "no file.read matching **/*.pdf").status == 0


def test_a_text_that_is_no_claim_is_refused_with_the_forms(cowork: CommandLine) -> None:
    ended = run(cowork, "prove", "never delete")
    assert ended.status == 2
    assert ended.says("the claim can't be read")
    assert "no ACTION" in ended.err


def test_every_way_to_an_answer_is_shown_and_what_never_happens(cowork: CommandLine) -> None:
    out = run(cowork, "who-can", "file.delete").out
    assert "asked about by baseline:delete-needs-a-person" in out
    assert "proved: never allowed" in out
    report = run(cowork, "who-can", "file.delete", "--json").json()
    assert {"kind": "file.delete", "verdict": "allow"} in report["nobody"]


def test_who_can_asks_about_a_place_or_a_host(cowork: CommandLine) -> None:
    write(cowork, OPEN, "open.toml")
    where = run(cowork, "who-can", "file.read", "/home/ann/private/**", "--policy", "open.toml").out
    assert "denied by root:private" in where
    assert "look" not in where
    assert "denied by baseline:no-network" in run(cowork, "who-can", "network.request", "api.example.com").out


@pytest.mark.parametrize("arguments", [("file.explode",), ("file.read", "relative"), ("network.request", "a/b")])
def test_who_can_refuses_what_is_no_action_place_or_host(cowork: CommandLine, arguments: tuple[str, ...]) -> None:
    ended = run(cowork, "who-can", *arguments)
    assert ended.status == 2
    assert ended.says(f"`{arguments[-1]}`")


# The shipped baseline


def test_the_cases_of_the_baseline_hold_and_reach_every_rule(cowork: CommandLine) -> None:
    ended = run(cowork, "test", str(ROOT / "tests" / "domain" / "baseline_cases.toml"), "--min-coverage", "100")
    assert ended.status == 0, ended
    assert "all as expected" in ended.out


def test_the_cases_of_the_semantics_hold(cowork: CommandLine) -> None:
    report = run(cowork, "test", str(ROOT / "tests" / "domain" / "policy_cases.json"), "--json").json()
    assert len(report["cases"]) > 200
    assert [case["id"] for case in report["cases"] if not case["passed"]] == []


def test_every_rule_of_the_baseline_is_explained_in_the_documentation() -> None:
    page = (ROOT / "docs" / "reference" / "baseline.md").read_text(encoding="utf-8")
    explained = re.findall(r"^### `([a-z-]+)`$", page, re.MULTILINE)
    assert explained == [rule.id for rule in BASELINE.document.rules]
