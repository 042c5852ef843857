"""The audit log's lines about what lies outside any task: policy, approvals, trust, the sandbox, what is kept."""

from typing import assert_never

from ..domain.approvals import ApprovalRemembered, ApprovalRevoked, ApprovalUsed
from ..domain.event import Recorded
from ..domain.folder_trust import FolderDistrusted, FolderTrusted
from ..domain.policy_record import DocumentStored
from ..domain.retention import CollectionFinished, CollectionStarted
from ..domain.sandbox import SandboxChecked
from ..domain.session_memory import MemoryDestroyed, MemoryWritten
from ..domain.topics import MachineEvent
from .audit_row import life_row
from .fold import OnEvent, nothing, when
from .measure import count_words
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


def _collection_started(recorded: Recorded[CollectionStarted]) -> Changes:
    event = recorded.event
    what = (
        count_words(event.tasks, "task"),
        count_words(event.blobs, "content"),
        count_words(event.quarantined, "deleted file"),
    )
    said = f"{', '.join(what)}: {count_words(event.freed_bytes, 'byte')}"
    return (life_row(recorded, "store.collection_started", reason=said),)


def _collection_finished(recorded: Recorded[CollectionFinished]) -> Changes:
    event = recorded.event
    are = "is" if event.freed_bytes == 1 else "are"
    said = f"{count_words(event.freed_bytes, 'byte')} {are} gone, {event.left_bytes:,} left"
    return (life_row(recorded, "store.collection_finished", reason=said),)


def _memory_destroyed(recorded: Recorded[MemoryDestroyed]) -> Changes:
    event = recorded.event
    said = f"{count_words(event.entries, 'entry', 'entries')}, {count_words(event.held_bytes, 'byte')}"
    return (life_row(recorded, "memory.destroyed", target=event.session_id, reason=said),)


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
    if issubclass(event, CollectionStarted):
        return when(event, _collection_started)
    if issubclass(event, CollectionFinished):
        return when(event, _collection_finished)
    if issubclass(event, MemoryDestroyed):
        return when(event, _memory_destroyed)
    if issubclass(event, MemoryWritten):
        # How often an agent writes something down is no part of what anybody is accountable for.
        return nothing
    assert_never(event)
