"""Root is refused, whichever command it types, unless a person allows it: and then the record says so.

The rules are tried by the 0 of a user namespace, which every ordinary user can be, and those that say it all also by
whoever `make test` takes for root (the marker `as_root`).
"""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.adapters.cli.command_line import LOOK, CommandLine, Ended

SAYS = "cowork does not work as root"
SETTING = {"COWORK_UNSAFE_AS_ROOT": "1"}
ACTING = (
    ("run", "plan.toml", "--folder", "inbox"),
    ("resume",),
    ("task", "list"),
    ("confirmation", "list"),
    ("confirmation", "approve", "confirmation-1", "--digest", "12345678"),
    ("grant", "list"),
    ("grant", "revoke", "grant-1"),
    ("policy", "trust", "inbox"),
    ("policy", "approvals"),
    ("policy", "backtest", "policy.toml"),
    ("audit", "log"),
    ("audit", "check"),
    ("replay", "task-1"),
    ("projections", "rebuild"),
    ("demo", "--folder", "demo"),
)
LOOKING = (("--help",), ("--version",), ("run", "--help"), ("policy", "lint", "policy.toml"))
POLICY = 'version = "1.1"\nrules = []\n[defaults]\nfallback = "deny"\n'


BOTH = pytest.mark.parametrize(
    "zero", ["in a namespace", pytest.param("as root", marks=pytest.mark.as_root)], indirect=True
)


@pytest.fixture
def zero(cowork: CommandLine) -> CommandLine:
    """The command line for the user id 0, with a plan and a policy to name."""
    if os.geteuid() != 0:
        cowork.started_by = ("unshare", "--map-root-user")
    cowork.plan(LOOK)
    cowork.plan(POLICY, "policy.toml")
    return cowork


def ran(zero: CommandLine, *arguments: str) -> Ended:
    return zero.run("run", "plan.toml", "--folder", "inbox", *arguments)


def allowed(zero: CommandLine) -> list[dict[str, Any]]:
    """Return the audit log's lines about root."""
    rows = zero.run("audit", "log", "--json", env=SETTING).json()
    return [row for row in rows if row["kind"] == "session.root_allowed"]


@pytest.mark.parametrize("arguments", ACTING, ids=" ".join)
def test_root_is_refused_in_one_sentence_and_nothing_is_made(zero: CommandLine, arguments: tuple[str, ...]) -> None:
    run = zero.run(*arguments)
    assert run.status == 4
    assert run.says(SAYS), run.err
    assert run.err.count("\n") == 2
    assert "`--unsafe-as-root`" in run.err
    assert "`COWORK_UNSAFE_AS_ROOT=1`" in run.err
    assert not zero.store.exists()
    assert not (zero.folder / "demo").exists()


@BOTH
def test_root_is_refused_at_a_store_that_is_there_and_leaves_it_as_it_was(zero: CommandLine) -> None:
    ran(zero, "--unsafe-as-root")
    before = contents(zero.store)
    for arguments in (("run", "plan.toml", "--folder", "inbox"), ("task", "list"), ("resume",)):
        assert zero.run(*arguments).says(SAYS)
    zero.run("doctor")
    assert contents(zero.store) == before


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("arguments", LOOKING, ids=" ".join)
def test_what_opens_no_store_does_not_mind_root(zero: CommandLine, arguments: tuple[str, ...]) -> None:
    run = zero.run(*arguments)
    assert (run.status, run.err) == (0, "")


def test_the_option_allows_root_for_one_command_and_goes_on_record(zero: CommandLine) -> None:
    assert ran(zero, "--unsafe-as-root").status == 0
    assert [row["reason"] for row in allowed(zero)] == ["by --unsafe-as-root"]
    assert zero.run("task", "list").says(SAYS)


@BOTH
def test_the_setting_allows_root_and_goes_on_record(zero: CommandLine) -> None:
    assert zero.run("run", "plan.toml", "--folder", "inbox", env=SETTING).status == 0
    assert [row["reason"] for row in allowed(zero)] == ["by COWORK_UNSAFE_AS_ROOT"]
    (task,) = zero.run("task", "list", "--json", env=SETTING).json()
    assert zero.run("replay", str(task["taskId"]), env=SETTING).status == 0


@pytest.mark.parametrize("value", ["0", "false", ""])
def test_a_setting_that_says_no_or_nothing_allows_nothing(zero: CommandLine, value: str) -> None:
    run = zero.run("task", "list", env={"COWORK_UNSAFE_AS_ROOT": value})
    assert run.status in (2, 4)
    assert not zero.store.exists()


@BOTH
def test_a_task_that_root_carries_on_says_so_again(zero: CommandLine) -> None:
    zero.fill("a.txt")
    delete = 'title = "Delete"\n[[step]]\nid = "gone"\naction = { kind = "file.delete", path = "a.txt" }\n'
    zero.plan(delete)
    assert ran(zero, "--unsafe-as-root", "--answer", "wait").status == 3
    assert zero.run("resume", "--answer", "approve").says(SAYS)
    assert zero.files() == ["a.txt"]
    assert zero.run("resume", "--answer", "approve", env=SETTING).status == 0
    assert zero.files() == []
    assert [row["reason"] for row in allowed(zero)] == ["by --unsafe-as-root", "by COWORK_UNSAFE_AS_ROOT"]
    assert zero.run("audit", env=SETTING).status == 0


@BOTH
def test_the_doctor_says_what_root_may_not_and_opens_no_store(zero: CommandLine) -> None:
    run = zero.run("doctor", "--json")
    assert run.status == 1
    checks = {check["name"]: check for check in json.loads(run.out)["checks"]}
    assert checks["account"]["verdict"] == "problem"
    assert SAYS in checks["account"]["message"]
    assert checks["store"]["verdict"] == "note"


@BOTH
def test_the_doctor_warns_where_root_was_allowed(zero: CommandLine) -> None:
    ran(zero, "--unsafe-as-root")
    run = zero.run("doctor", "--json", "--unsafe-as-root")
    checks = {check["name"]: check for check in json.loads(run.out)["checks"]}
    assert checks["account"]["verdict"] == "warning"
    assert "--unsafe-as-root" in checks["account"]["message"]
    assert checks["store"]["verdict"] == "ok"


def test_who_is_not_root_may_name_the_option_and_nothing_comes_of_it(cowork: CommandLine) -> None:
    assert cowork.run_plan(LOOK, "--unsafe-as-root").status == 0
    kinds = [row["kind"] for row in cowork.run("audit", "log", "--json").json()]
    assert "session.started" in kinds
    assert "session.root_allowed" not in kinds
