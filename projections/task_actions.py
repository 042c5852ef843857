"""One row an action: what it is, what was decided about it and why, and what came of it, each with event positions.

The summary, the timeline and the audit log all read these rows. What can happen to an action more than once (a
question, a second attempt, an unknown outcome) is here as it was last; `task_timeline.py` has every one of them.
"""

from typing import Final, assert_never

import msgspec

from ..domain.action import Location
from ..domain.confirmation import ConfirmationEvent
from ..domain.effect import Change, CommandReport, Effect, Result
from ..domain.event import Recorded
from ..domain.grant import GrantEvent
from ..domain.ownership import OwnershipEvent
from ..domain.session import SessionEvent
from ..domain.subagent import SubagentEvent
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
    ConnectionDecided,
    LifeEvent,
)
from ..domain.topics import AnyEvent, MachineEvent
from .fold import Fold, OnEvent, nothing, when
from .outcome import Outcome, outcome_of_failure, outcome_of_refusal
from .row import Changes, ColumnType, Put, Row, Scalar, Table, choice_of, json_text, micros, number_of, text_of
from .subject import SUBJECT_COLUMNS, subject_of

EFFECT_COLUMNS: Final[dict[str, ColumnType]] = {
    "change": "text",
    "changed_grant": "text",
    "changed_path": "text",
    "previous_grant": "text",
    "previous_path": "text",
    "digest_before": "text",
    "digest_after": "text",
}
ACTIONS: Final = Table(
    name="actions",
    key={"task_id": "text", "action_id": "text"},
    columns={
        "step_id": "text",
        **SUBJECT_COLUMNS,
        "proposed_by": "text",
        "proposed_at": "integer",
        "proposed_position": "integer",
        # The first decision, where it was not to ask.
        "decided_at": "integer",
        "decided_position": "integer",
        "decided_by": "text",
        # The last decision.
        "verdict": "text",
        "rule_id": "text",
        "layer": "text",
        "reason": "text",
        "risk_tags": "json",
        "confirmation_id": "text",
        "asked_position": "integer",
        "staged_by": "text",
        # The first attempt, and the last where there were several.
        "started_at": "integer",
        "started_position": "integer",
        "restarted_position": "integer",
        "attempts": "integer",
        "unknown_position": "integer",
        # How it stands or ended.
        "outcome": "text",
        "outcome_reason": "text",
        "outcome_code": "text",
        "result": "text",
        "report": "json",
        "recovered": "integer",
        "said_by": "text",
        # The event that ended it, where its outcome does not tell.
        "end_topic": "text",
        "ended_at": "integer",
        "ended_position": "integer",
        # The first of its effects; the rest are in `more_effects`.
        **EFFECT_COLUMNS,
    },
)
MORE_EFFECTS: Final = Table(
    name="more_effects",
    key={"task_id": "text", "action_id": "text", "number": "integer"},
    columns=EFFECT_COLUMNS,
)
CONNECTIONS: Final = Table(
    name="connections",
    key={"task_id": "text", "position": "integer"},
    columns={
        "action_id": "text",
        "host": "text",
        "port": "integer",
        "address": "text",
        "reason_code": "text",
        "reason": "text",
    },
)
POSITIONS: Final = (
    "proposed_position",
    "decided_position",
    "asked_position",
    "started_position",
    "restarted_position",
    "unknown_position",
    "ended_position",
)
"""The columns with the positions that a line about an action rests on."""


def _put(recorded: Recorded[ActionEvent], values: dict[str, Scalar]) -> Changes:
    event = recorded.event
    return (Put("actions", (event.task_id, event.action_id), values),)


def _proposed(recorded: Recorded[ActionProposed]) -> Changes:
    event = recorded.event
    values = subject_of(event.action)
    values["step_id"] = event.step_id
    values["proposed_by"] = event.proposed_by
    values["proposed_at"] = micros(recorded.origin.at)
    values["proposed_position"] = recorded.position
    values["outcome"] = "waiting"
    if event.staged_by:
        values["staged_by"] = event.staged_by
    return _put(recorded, values)


def _judged(event: ActionAllowed | ActionDenied | ActionConfirmationRequired) -> dict[str, Scalar]:
    decision = event.decision
    return {
        "verdict": decision.verdict,
        "rule_id": decision.rule_id,
        "layer": decision.layer,
        "reason": decision.reason,
        "risk_tags": json_text(decision.risk_tags) if decision.risk_tags else None,
    }


def _decided(recorded: Recorded[ActionAllowed | ActionDenied]) -> Changes:
    event = recorded.event
    values = _judged(event)
    values["decided_at"] = micros(recorded.origin.at)
    values["decided_position"] = recorded.position
    values["decided_by"] = event.decision.rule_id
    if isinstance(event, ActionDenied):
        values["outcome"] = "denied"
        values["outcome_reason"] = event.decision.reason
        values["outcome_code"] = event.decision.reason_code
    return _put(recorded, values)


def _asked(recorded: Recorded[ActionConfirmationRequired]) -> Changes:
    values = _judged(recorded.event)
    values["confirmation_id"] = recorded.event.confirmation_id
    values["asked_position"] = recorded.position
    values["outcome"] = "waiting"
    return _put(recorded, values)


def _started(recorded: Recorded[ActionStarted]) -> Changes:
    attempt = recorded.event.attempt
    values: dict[str, Scalar] = {"outcome": "started", "attempts": attempt}
    if attempt > 1:
        values["restarted_position"] = recorded.position
    else:
        values["started_at"] = micros(recorded.origin.at)
        values["started_position"] = recorded.position
    return _put(recorded, values)


def _unknown(recorded: Recorded[ActionOutcomeUnknown]) -> Changes:
    values: dict[str, Scalar] = {
        "outcome": "unknown",
        "outcome_reason": recorded.event.observed,
        "outcome_code": "unknown",
        "unknown_position": recorded.position,
    }
    return _put(recorded, values)


def _ended(
    recorded: Recorded[ActionEvent], outcome: Outcome, reason: str | None, code: str | None
) -> dict[str, Scalar]:
    return {
        "outcome": outcome,
        "outcome_reason": reason,
        "outcome_code": code,
        "ended_at": micros(recorded.origin.at),
        "ended_position": recorded.position,
    }


def _declined(recorded: Recorded[ActionDeclined]) -> Changes:
    event = recorded.event
    return _put(recorded, _ended(recorded, outcome_of_refusal(event.reason_code), event.reason, event.reason_code))


def _failed(recorded: Recorded[ActionFailed]) -> Changes:
    event = recorded.event
    outcome = outcome_of_failure(event.reason_code)
    values = _ended(recorded, outcome, event.reason, event.reason_code)
    values |= _brought_back(event.result)
    if outcome != "failed":
        values["end_topic"] = ActionFailed.TOPIC
    if event.said_by:
        values["said_by"] = event.said_by
    return _put(recorded, values)


def _succeeded(recorded: Recorded[ActionSucceeded]) -> Changes:
    event = recorded.event
    values = _ended(recorded, "succeeded", None, None)
    values |= _brought_back(event.result)
    if event.recovered:
        values["recovered"] = 1
    if event.said_by:
        values["said_by"] = event.said_by
    effects = event.effects
    if effects:
        values |= _effect_columns(effects[0])
    done = Put("actions", (event.task_id, event.action_id), values)
    if len(effects) < 2:
        return (done,)
    more = (
        Put("more_effects", (event.task_id, event.action_id, number), _effect_columns(effect))
        for number, effect in enumerate(effects[1:], start=1)
    )
    return (done, *more)


def _brought_back(result: Result | None) -> dict[str, Scalar]:
    if result is None:
        return {}
    values: dict[str, Scalar] = {"result": result.summary}
    if result.command is not None:
        values["report"] = json_text(result.command)
    return values


def _connected(recorded: Recorded[ConnectionDecided]) -> Changes:
    event = recorded.event
    values: dict[str, Scalar] = {
        "action_id": event.action_id,
        "host": event.host,
        "port": event.port,
        "address": event.address or None,
        "reason_code": event.reason_code,
        "reason": event.reason or None,
    }
    return (Put("connections", (event.task_id, recorded.position), values),)


def _effect_columns(effect: Effect) -> dict[str, Scalar]:
    values: dict[str, Scalar] = {
        "change": effect.change,
        "changed_grant": effect.at.grant_id,
        "changed_path": effect.at.path,
        "digest_before": effect.before,
        "digest_after": effect.after,
    }
    if effect.previous is not None:
        values["previous_grant"] = effect.previous.grant_id
        values["previous_path"] = effect.previous.path
    return values


def _choose(event: type[AnyEvent]) -> OnEvent:
    if issubclass(event, ActionProposed):
        return when(event, _proposed)
    if issubclass(event, ActionAllowed | ActionDenied):
        return when(event, _decided)
    if issubclass(event, ActionConfirmationRequired):
        return when(event, _asked)
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
    if issubclass(event, ConnectionDecided):
        return when(event, _connected)
    if issubclass(event, LifeEvent | SessionEvent | GrantEvent):
        return nothing
    if issubclass(event, SubagentEvent | OwnershipEvent | ConfirmationEvent | MachineEvent):
        return nothing
    assert_never(event)


TASK_ACTIONS: Final = Fold("task_actions", 4, (ACTIONS, MORE_EFFECTS, CONNECTIONS), _choose)


def outcome_in(row: Row) -> Outcome:
    """Return how the row's action stands or ended."""
    outcome: Outcome = choice_of(row, "outcome", Outcome)
    if outcome == "waiting" and number_of(row, "unknown_position") > _last_start(row):
        # A question is open about it, but that makes nothing known of what was begun.
        return "unknown"
    return outcome


def _last_start(row: Row) -> int:
    return max(number_of(row, "started_position"), number_of(row, "restarted_position"))


def effect_in(row: Row) -> Effect | None:
    """Return the effect that a row of `actions` or `more_effects` holds, without what undo needs; None for none."""
    if not text_of(row, "change"):
        return None
    change: Change = choice_of(row, "change", Change)
    previous = text_of(row, "previous_path")
    return Effect(
        change=change,
        at=Location(text_of(row, "changed_grant"), text_of(row, "changed_path")),
        previous=Location(text_of(row, "previous_grant"), previous) if previous else None,
        before=text_of(row, "digest_before"),
        after=text_of(row, "digest_after"),
    )


def report_in(row: Row) -> CommandReport | None:
    """Return how the row's command ended; None where it is no command, or has not ended."""
    text = text_of(row, "report")
    return msgspec.json.decode(text, type=CommandReport) if text else None
