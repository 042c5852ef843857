"""Remembered approvals: an aggregate of its own, one for a store, because some outlive the session they come from."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar, Final, TypeAlias, assert_never

import msgspec
from rpds import HashTrieMap

from .errors import DomainError
from .event import Event
from .policy_approval import Approval, is_in_force

APPROVALS_STREAM: Final = "approvals"
"""The one stream of all remembered approvals of a store."""

# Events


class ApprovalRemembered(Event, frozen=True, kw_only=True):
    """A person said yes for a while. `sentence` is the rule as they were shown it."""

    TOPIC: ClassVar[str] = "approval.remembered.v1"
    approval: Approval
    sentence: str
    confirmation_id: str
    remembered_by: str


class ApprovalUsed(Event, frozen=True, kw_only=True):
    """An approval with a number of uses answered for an action."""

    TOPIC: ClassVar[str] = "approval.used.v1"
    approval_id: str
    action_id: str


class ApprovalRevoked(Event, frozen=True, kw_only=True):
    """The approval no longer answers anything."""

    TOPIC: ClassVar[str] = "approval.revoked.v1"
    approval_id: str
    reason: str


ApprovalEvent: TypeAlias = ApprovalRemembered | ApprovalUsed | ApprovalRevoked

# Commands


class RememberApproval(msgspec.Struct, frozen=True, kw_only=True):
    """Remember a yes."""

    approval: Approval
    sentence: str
    confirmation_id: str
    remembered_by: str


class UseApproval(msgspec.Struct, frozen=True, kw_only=True):
    """Let an approval answer for an action at `now`."""

    approval_id: str
    action_id: str
    now: datetime


class RevokeApproval(msgspec.Struct, frozen=True):
    """Take an approval back."""

    approval_id: str
    reason: str = ""


ApprovalCommand: TypeAlias = RememberApproval | UseApproval | RevokeApproval

# State


class Remembered(msgspec.Struct, frozen=True, gc=False):
    """An approval as it stands, with what a person needs to know of it."""

    approval: Approval
    sentence: str
    confirmation_id: str
    remembered_by: str


def _none() -> HashTrieMap[str, Remembered]:
    return HashTrieMap()


class RememberedApprovals(msgspec.Struct, frozen=True, gc=False):
    """All approvals that were ever remembered, by their ids; those that were revoked say so."""

    by_id: HashTrieMap[str, Remembered] = msgspec.field(default_factory=_none)

    def in_force(self, now: datetime, own: str = "") -> tuple[Approval, ...]:
        """Return those that may answer a question at `now`, the smallest id first.

        `own` names the approval that has answered for the very action already: that use is not counted twice.
        """
        if not self.by_id:
            return ()
        found = (self.by_id[name].approval for name in sorted(self.by_id))
        counted = (_with_one_more_use(one) if one.id == own else one for one in found)
        return tuple(one for one in counted if is_in_force(one, now))


def _with_one_more_use(approval: Approval) -> Approval:
    if approval.uses_left is None:
        return approval
    return msgspec.structs.replace(approval, uses_left=approval.uses_left + 1)


def after_use(approvals: tuple[Approval, ...], name: str) -> tuple[Approval, ...]:
    """Return the approvals as they are once one of them was used; without it where that was its last use."""
    left = (
        msgspec.structs.replace(one, uses_left=one.uses_left - 1)
        if one.id == name and one.uses_left is not None
        else one
        for one in approvals
    )
    return tuple(one for one in left if one.uses_left is None or one.uses_left > 0)


INITIAL: Final = RememberedApprovals()


def decide(command: ApprovalCommand, state: RememberedApprovals) -> tuple[ApprovalEvent, ...]:
    """Return the events of a command; raises `DomainError` (invalid, conflict, not_found)."""
    match command:
        case RememberApproval(approval=approval):
            if approval.id in state.by_id:
                raise DomainError("conflict", f"approval `{approval.id}` is remembered already")
            if approval.expires_at is None:
                raise DomainError("invalid", "an approval that never expires can't be remembered", "say until when")
            return (
                ApprovalRemembered(
                    approval=approval,
                    sentence=command.sentence,
                    confirmation_id=command.confirmation_id,
                    remembered_by=command.remembered_by,
                ),
            )
        case UseApproval(approval_id=name, action_id=action_id, now=now):
            approval = _known(state, name).approval
            if not is_in_force(approval, now):
                raise DomainError("conflict", f"approval `{name}` is no longer in force")
            return () if approval.uses_left is None else (ApprovalUsed(approval_id=name, action_id=action_id),)
        case RevokeApproval(approval_id=name, reason=reason):
            if _known(state, name).approval.revoked:
                return ()
            return (ApprovalRevoked(approval_id=name, reason=reason),)
        case _:
            assert_never(command)


def _known(state: RememberedApprovals, name: str) -> Remembered:
    found = state.by_id.get(name)
    if found is None:
        raise DomainError("not_found", f"there is no approval `{name}`", "see `cowork policy approvals`")
    return found


def evolve(state: RememberedApprovals, event: ApprovalEvent) -> RememberedApprovals:
    """Return the state after an event."""
    match event:
        case ApprovalRemembered(approval=approval):
            entry = Remembered(approval, event.sentence, event.confirmation_id, event.remembered_by)
            return RememberedApprovals(state.by_id.insert(approval.id, entry))
        case ApprovalUsed(approval_id=name):
            left = (_known(state, name).approval.uses_left or 0) - 1
            return _changed(state, name, uses_left=left)
        case ApprovalRevoked(approval_id=name):
            return _changed(state, name, revoked=True)
        case _:
            assert_never(event)


def _changed(state: RememberedApprovals, name: str, **values: bool | int) -> RememberedApprovals:
    entry = _known(state, name)
    approval = msgspec.structs.replace(entry.approval, **values)
    return RememberedApprovals(state.by_id.insert(name, msgspec.structs.replace(entry, approval=approval)))
