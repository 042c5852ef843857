"""The audit log's lines about policy outside any session: documents, remembered approvals and trusted folders."""

from typing import assert_never

from ..domain.approvals import ApprovalRemembered, ApprovalRevoked, ApprovalUsed
from ..domain.event import Recorded
from ..domain.folder_trust import FolderDistrusted, FolderTrusted
from ..domain.policy_record import DocumentStored
from ..domain.topics import PolicyEvent
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


def choose_policy(event: type[PolicyEvent]) -> OnEvent:
    """Return what to do about an event about policy."""
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
    assert_never(event)
