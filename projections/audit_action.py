"""The audit log's lines about actions: one row an action, filled in by each event of its life."""

from typing import Final, assert_never

from ..domain.event import Recorded
from ..domain.task import (
    ActionAllowed,
    ActionConfirmationRequired,
    ActionDeclined,
    ActionDenied,
    ActionEvent,
    ActionFailed,
    ActionOutcomeUnknown,
    ActionProposed,
    ActionStarted,
    ActionSucceeded,
)
from .fold import OnEvent, when
from .outcome import outcome_of_refusal
from .row import Changes, Put, Scalar, Table, json_text, rfc3339
from .subject import SUBJECT_COLUMNS, subject_of

ACTIONS: Final = Table(
    name="audit_actions",
    key={"task_id": "text", "action_id": "text"},
    columns={
        "position": "integer",
        "at": "text",
        "step_id": "text",
        **SUBJECT_COLUMNS,
        "digest": "text",
        "actor": "text",
        "verdict": "text",
        "rule_id": "text",
        "layer": "text",
        "reason": "text",
        "risk_tags": "json",
        "policy_digest": "text",
        "confirmation_id": "text",
        "outcome": "text",
        "outcome_reason": "text",
        "attempts": "integer",
        "digest_before": "text",
        "digest_after": "text",
        "decided_position": "integer",
        "started_position": "integer",
        "ended_position": "integer",
    },
)


def _proposed(recorded: Recorded[ActionProposed]) -> Changes:
    event = recorded.event
    values = subject_of(event.action)
    values["position"] = recorded.position
    values["at"] = rfc3339(recorded.origin.at)
    values["step_id"] = event.step_id
    values["digest"] = event.digest
    values["actor"] = event.proposed_by
    values["outcome"] = "waiting"
    return (Put("audit_actions", (event.task_id, event.action_id), values),)


def _decided(recorded: Recorded[ActionAllowed | ActionDenied | ActionConfirmationRequired]) -> Changes:
    event = recorded.event
    decision = event.decision
    values: dict[str, Scalar] = {
        "verdict": decision.verdict,
        "rule_id": decision.rule_id,
        "layer": decision.layer,
        "reason": decision.reason,
        "risk_tags": json_text(decision.risk_tags) if decision.risk_tags else None,
        "policy_digest": decision.policy_digest,
        "decided_position": recorded.position,
    }
    if isinstance(event, ActionDenied):
        values["outcome"] = "denied"
        values["ended_position"] = recorded.position
    elif isinstance(event, ActionConfirmationRequired):
        values["outcome"] = "waiting"
        values["confirmation_id"] = event.confirmation_id
    return (Put("audit_actions", (event.task_id, event.action_id), values),)


def _declined(recorded: Recorded[ActionDeclined]) -> Changes:
    event = recorded.event
    return _settled(recorded, outcome_of_refusal(event.reason_code), event.reason)


def _started(recorded: Recorded[ActionStarted]) -> Changes:
    event = recorded.event
    values: dict[str, Scalar] = {
        "outcome": "started",
        "attempts": event.attempt,
        "started_position": recorded.position,
    }
    return (Put("audit_actions", (event.task_id, event.action_id), values),)


def _succeeded(recorded: Recorded[ActionSucceeded]) -> Changes:
    event = recorded.event
    values: dict[str, Scalar] = {"outcome": "succeeded", "ended_position": recorded.position}
    if event.recovered:
        values["outcome_reason"] = "found done after a restart"
    if event.effects:
        values["digest_before"] = event.effects[0].before
        values["digest_after"] = event.effects[0].after
    return (Put("audit_actions", (event.task_id, event.action_id), values),)


def _failed(recorded: Recorded[ActionFailed]) -> Changes:
    return _settled(recorded, "failed", recorded.event.reason)


def _unknown(recorded: Recorded[ActionOutcomeUnknown]) -> Changes:
    return _settled(recorded, "unknown", recorded.event.observed)


def _settled(
    recorded: Recorded[ActionDeclined | ActionFailed | ActionOutcomeUnknown], outcome: str, why: str
) -> Changes:
    event = recorded.event
    values: dict[str, Scalar] = {"outcome": outcome, "outcome_reason": why, "ended_position": recorded.position}
    return (Put("audit_actions", (event.task_id, event.action_id), values),)


def choose_action(event: type[ActionEvent]) -> OnEvent:
    """Return what to do about an event of an action."""
    if issubclass(event, ActionProposed):
        return when(event, _proposed)
    if issubclass(event, ActionAllowed | ActionDenied | ActionConfirmationRequired):
        return when(event, _decided)
    if issubclass(event, ActionDeclined):
        return when(event, _declined)
    if issubclass(event, ActionStarted):
        return when(event, _started)
    if issubclass(event, ActionSucceeded):
        return when(event, _succeeded)
    if issubclass(event, ActionFailed):
        return when(event, _failed)
    if issubclass(event, ActionOutcomeUnknown):
        return when(event, _unknown)
    assert_never(event)
