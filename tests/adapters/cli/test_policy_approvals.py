"""`cowork policy approvals`, `trust`, `distrust`, `trusted`: what was said for a while is listed and taken back."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest

from cowork.adapters.bootstrap import open_application
from cowork.adapters.system.clock import SystemClock
from cowork.adapters.system.ids import RandomIds
from cowork.domain.approvals import APPROVALS_STREAM, ApprovalRevoked, RememberApproval, UseApproval
from cowork.domain.policy_approval import Approval, ApprovalScope
from cowork.engine.command_handler import CommandHandler, order_approval
from tests.adapters.cli.command_line import LOOK, CommandLine
from tests.adapters.cli.in_process import InProcess


@pytest.fixture
def cowork(tmp_path: Path) -> CommandLine:
    return InProcess(tmp_path)


NOW = datetime.now(UTC)


def remember(cowork: CommandLine, name: str, *, uses: int | None = None, days: int = 1) -> None:
    """Put an approval on record as the engine would."""
    approval = Approval(
        id=name,
        action="file.write",
        rule_ids=("baseline:overwrite-needs-a-person",),
        risk_tags=("overwrite",),
        scope=ApprovalScope(workspace=str(cowork.inbox)),
        path_prefix=f"{cowork.inbox}/a.txt",
        expires_at=NOW + timedelta(days=days),
        uses_left=uses,
    )
    order = RememberApproval(
        approval=approval, sentence="Without asking: \x1b[31ma.txt.", confirmation_id="c-1", remembered_by="person:ann"
    )
    execute(cowork, order)


def execute(cowork: CommandLine, command: Any) -> None:
    engine = open_application(cowork.store, create=True)
    try:
        # No command of the command line makes an approval that is used up or has expired already.
        handler = CommandHandler(engine.store, SystemClock(), RandomIds())
        anyio.run(lambda: handler.execute(order_approval(command), actor="person:ann", cause="test"))
    finally:
        engine.close()


def listed(cowork: CommandLine, *more: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = cowork.run("policy", "approvals", "list", "--json", *more).json()
    return found


@pytest.fixture
def approved(cowork: CommandLine) -> CommandLine:
    """A store with an approval in force, one for two uses, and one that has expired."""
    remember(cowork, "approval-1")
    remember(cowork, "approval-2", uses=2)
    remember(cowork, "approval-3", days=-1)
    return cowork


def test_those_in_force_are_listed_with_what_a_person_needs(approved: CommandLine) -> None:
    shown = approved.run("policy", "approvals")
    assert shown.status == 0, shown
    assert shown.out == approved.run("policy", "approvals", "list").out
    assert "approval-1  in force until " in shown.out
    assert ", 2 uses left" in shown.out
    assert "approval-3" not in shown.out
    assert "\x1b" not in shown.out
    assert "\\x1b[31ma.txt" in shown.out
    first, second = listed(approved)
    assert (first["id"], first["state"], first["scope"], first["scopeId"]) == (
        "approval-1",
        "in_force",
        "workspace",
        str(approved.inbox),
    )
    assert "usesLeft" not in first
    assert second["usesLeft"] == 2


def test_all_of_them_with_how_they_stand(approved: CommandLine) -> None:
    execute(approved, UseApproval(approval_id="approval-2", action_id="a-1", now=NOW))
    execute(approved, UseApproval(approval_id="approval-2", action_id="a-2", now=NOW))
    approved.run("policy", "approvals", "revoke", "approval-1")
    assert listed(approved) == []
    assert [one["state"] for one in listed(approved, "--all")] == ["revoked", "used_up", "expired"]


def test_a_revoked_approval_is_recorded_with_who_and_why(approved: CommandLine) -> None:
    ended = approved.run("policy", "approvals", "revoke", "approval-1", "--reason", "enough")
    assert (ended.status, ended.out) == (0, "approval approval-1 is revoked\n")
    again = approved.run("policy", "approvals", "revoke", "approval-1", "--json")
    assert again.json()["state"] == "revoked"
    with approved.engine() as engine:
        recorded = engine.store.read_stream(APPROVALS_STREAM)
    (revoked,) = [(one.event.reason, one.origin.actor) for one in recorded if isinstance(one.event, ApprovalRevoked)]
    assert revoked[0] == "enough"
    assert revoked[1].startswith("person:")


def test_an_approval_that_does_not_exist_is_said(approved: CommandLine) -> None:
    ended = approved.run("policy", "approvals", "revoke", "approval-9")
    assert ended.status == 2
    assert ended.says("there is no approval `approval-9`")


def test_nothing_remembered_is_said(cowork: CommandLine) -> None:
    cowork.run_plan(LOOK)
    assert cowork.run("policy", "approvals").out == "no approval is remembered\n"
    assert listed(cowork) == []


def test_a_folder_is_trusted_until_it_is_distrusted(cowork: CommandLine) -> None:
    trusted = cowork.run("policy", "trust", "inbox")
    assert trusted.status == 0, trusted
    assert str(cowork.inbox) in trusted.out
    assert cowork.run("policy", "trusted", "--json").json() == [{"path": str(cowork.inbox), "state": "in_force"}]
    assert cowork.run("policy", "distrust", "inbox").status == 0
    assert cowork.run("policy", "trusted", "--json").json() == []
    assert cowork.run("policy", "trusted").out == "no folder's own policy file is read\n"


def test_another_folder_under_the_same_path_is_not_trusted(cowork: CommandLine) -> None:
    cowork.run("policy", "trust", "inbox")
    cowork.inbox.rename(cowork.folder / "aside")
    assert "gone" in cowork.run("policy", "trusted").out
    cowork.inbox.mkdir()
    assert "not trusted" in cowork.run("policy", "trusted").out


@pytest.mark.parametrize("folder", ["gone", "plan.toml", "/"])
def test_what_is_no_folder_can_not_be_trusted(cowork: CommandLine, folder: str) -> None:
    cowork.plan(LOOK)
    ended = cowork.run("policy", "trust", folder)
    assert ended.status == 2
    assert "Traceback" not in ended.err
    assert folder in ended.err
