"""Who did what, why it was allowed, and what came of it: one line an action, and one each other event that matters."""

from collections.abc import Iterable, Mapping
from typing import Final, assert_never

import msgspec

from ..domain.confirmation import ConfirmationEvent
from ..domain.grant import GrantEvent
from ..domain.ownership import OwnershipEvent
from ..domain.session import SessionEvent
from ..domain.subagent import SubagentEvent
from ..domain.task import ActionEvent, ConnectionDecided, LifeEvent
from ..domain.topics import AnyEvent, MachineEvent
from .audit_life import SUBJECTS, choose_life, choose_other, choose_session, connection_line
from .audit_machine import choose_machine
from .audit_row import LIFE
from .fold import Fold, OnEvent, nothing, when
from .place_names import NO_NAMES, PlaceNames
from .row import Row, number_of, positions_of, text_of, texts_of, time_of
from .subject import destination_in, target_in
from .task_actions import POSITIONS, outcome_in


def _choose(event: type[AnyEvent]) -> OnEvent:
    if issubclass(event, ConnectionDecided):
        return when(event, connection_line)
    if issubclass(event, ActionEvent):
        # `task_actions.py` has the lines about actions.
        return nothing
    if issubclass(event, LifeEvent):
        return choose_life(event)
    if issubclass(event, SessionEvent | GrantEvent):
        return choose_session(event)
    if issubclass(event, SubagentEvent | OwnershipEvent | ConfirmationEvent):
        return choose_other(event)
    if issubclass(event, MachineEvent):
        return choose_machine(event)
    assert_never(event)


AUDIT_LOG: Final = Fold("audit_log", 5, (LIFE, SUBJECTS), _choose)


class AuditRow(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The JSON object `AuditRow`. `position` is where it began (an action: its proposal), `positions` all it rests on.

    `target` and `destination` are the text as recorded: make it visible before a terminal shows it. `outcome` of an
    action is one of `OUTCOMES`; `outcome_reason` says why, where it is not success, and `said_by` on whose word, where
    nobody else could tell. A change that a command made names the command's action in `staged_by`.
    """

    position: int
    at: str
    session_id: str
    task_id: str
    action_id: str = ""
    step_id: str = ""
    kind: str
    target: str
    destination: str = ""
    verdict: str = ""
    rule_id: str = ""
    layer: str = ""
    reason: str
    risk_tags: tuple[str, ...] = ()
    actor: str
    staged_by: str = ""
    confirmation_id: str = ""
    answered_by: str = ""
    outcome: str = ""
    outcome_reason: str = ""
    said_by: str = ""
    attempts: int = 0
    digest_before: str | None = None
    digest_after: str | None = None
    positions: tuple[int, ...] = ()


def audit_rows(
    actions: Iterable[Row],
    life: Iterable[Row],
    subjects: Iterable[Row],
    names: Mapping[str, PlaceNames] | None = None,
) -> list[AuditRow]:
    """Return the lines in order of position, from rows of `actions`, `audit_life` and `audit_subjects`.

    `subjects` must have the rows that the others refer to (all of them, where in doubt). `names` are the place names
    by session id; without them a place goes by its grant's id.
    """
    known = {text_of(row, "subject"): row for row in subjects}
    lines = [_action_line(row, known, names or {}) for row in actions]
    lines += [_life_line(row, known) for row in life]
    return sorted(lines, key=lambda line: line.position)


def _action_line(row: Row, known: Mapping[str, Row], names: Mapping[str, PlaceNames]) -> AuditRow:
    task_id = text_of(row, "task_id")
    session_id = _session_of(task_id, known)
    places = names.get(session_id, NO_NAMES)
    confirmation_id = text_of(row, "confirmation_id")
    question = known.get(confirmation_id)
    return AuditRow(
        position=number_of(row, "proposed_position"),
        at=time_of(row, "proposed_at"),
        session_id=session_id,
        task_id=task_id,
        action_id=text_of(row, "action_id"),
        step_id=text_of(row, "step_id"),
        kind=text_of(row, "kind"),
        target=target_in(row, places),
        destination=destination_in(row, places),
        verdict=text_of(row, "verdict"),
        rule_id=text_of(row, "rule_id"),
        layer=text_of(row, "layer"),
        reason=text_of(row, "reason"),
        risk_tags=texts_of(row, "risk_tags"),
        actor=text_of(row, "proposed_by"),
        staged_by=text_of(row, "staged_by"),
        confirmation_id=confirmation_id,
        answered_by="" if question is None else text_of(question, "answered_by"),
        outcome=outcome_in(row),
        outcome_reason=text_of(row, "outcome_reason"),
        said_by=text_of(row, "said_by"),
        attempts=number_of(row, "attempts"),
        digest_before=text_of(row, "digest_before") or None,
        digest_after=text_of(row, "digest_after") or None,
        positions=positions_of(row, *POSITIONS),
    )


def _life_line(row: Row, known: Mapping[str, Row]) -> AuditRow:
    subject = text_of(row, "subject")
    about = known.get(subject)
    kind = text_of(row, "kind")
    is_question = kind.startswith("confirmation.")
    label = "" if about is None else text_of(about, "label")
    answered = is_question and kind != "confirmation.requested" and about is not None
    return AuditRow(
        position=number_of(row, "position"),
        at=time_of(row, "at"),
        session_id=_session_of(subject, known),
        task_id="" if about is None else text_of(about, "task_id"),
        step_id=text_of(row, "step_id"),
        kind=kind,
        target=text_of(row, "target") or label,
        rule_id=text_of(row, "rule_id"),
        reason=text_of(row, "reason"),
        risk_tags=texts_of(row, "risk_tags"),
        actor=text_of(row, "actor"),
        confirmation_id=subject if is_question else "",
        answered_by=text_of(about, "answered_by") if answered and about is not None else "",
        outcome=text_of(row, "outcome"),
        positions=(number_of(row, "position"),),
    )


def _session_of(subject: str, known: Mapping[str, Row]) -> str:
    """Return the session of a stream: its own, or that of the task it belongs to."""
    row = known.get(subject)
    if row is None:
        return ""
    session_id, task_id = text_of(row, "session_id"), text_of(row, "task_id")
    if session_id or not task_id or task_id == subject:
        return session_id
    return _session_of(task_id, known)
