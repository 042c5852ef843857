"""The audit log's lines about what lies outside any session: policy documents, approvals, trust, the sandbox."""

from typing import assert_never

from ..domain.approvals import ApprovalRemembered, ApprovalRevoked, ApprovalUsed
from ..domain.event import Recorded
from ..domain.folder_trust import FolderDistrusted, FolderTrusted
from ..domain.policy_record import DocumentStored
from ..domain.sandbox import SandboxChecked
from ..domain.topics import MachineEvent
from .audit_life import life_row
from .fold import OnEvent, when
from .row import Changes, json_text


def _document_stored(recorded: Recorded[DocumentStored]) -> Changes:
    return (life_row(recorded, "policy.document_stored", target=recorded.event.digest),)


def _remembered(recorded: Recorded[ApprovalRemembered]) -> Changes:
    event = recorded.event
    tags = json_text(list(event.approval.risk_tags))
    rules = ", ".join(event.approval.rule_ids)
    row = life_row(
        recorded,
        "approval.remembered",
        target=event.approval.id,
        reason=event.sentence,
        rule_id=rules,
        risk_tags=tags,
    )
    return (row,)


def _used(recorded: Recorded[ApprovalUsed]) -> Changes:
    event = recorded.event
    return (life_row(recorded, "approval.used", target=event.approval_id, reason=f"for {event.action_id}"),)


def _revoked(recorded: Recorded[ApprovalRevoked]) -> Changes:
    return (life_row(recorded, "approval.revoked", target=recorded.event.approval_id, reason=recorded.event.reason),)


def _trusted(recorded: Recorded[FolderTrusted]) -> Changes:
    return (life_row(recorded, "folder.trusted", target=recorded.event.root_path),)


def _distrusted(recorded: Recorded[FolderDistrusted]) -> Changes:
    return (life_row(recorded, "folder.distrusted", target=recorded.event.root_path),)


def _sandbox_checked(recorded: Recorded[SandboxChecked]) -> Changes:
    canaries = recorded.event.canaries
    absent = [canary.name for canary in canaries if canary.standing != "enforced"]
    said = f"{len(canaries) - len(absent)} of {len(canaries)} enforced"
    reason = f"{said}; not: {', '.join(absent)}" if absent else said
    return (life_row(recorded, "sandbox.checked", target=recorded.event.fingerprint, reason=reason),)


def choose_machine(event: type[MachineEvent]) -> OnEvent:
    """Return what to do about an event that belongs to no session."""
    if issubclass(event, DocumentStored):
        return when(event, _document_stored)
    if issubclass(event, ApprovalRemembered):
        return when(event, _remembered)
    if issubclass(event, ApprovalUsed):
        return when(event, _used)
    if issubclass(event, ApprovalRevoked):
        return when(event, _revoked)
    if issubclass(event, FolderTrusted):
        return when(event, _trusted)
    if issubclass(event, FolderDistrusted):
        return when(event, _distrusted)
    if issubclass(event, SandboxChecked):
        return when(event, _sandbox_checked)
    assert_never(event)
