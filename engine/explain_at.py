"""Who could do what at a position of the log: read from the log up to there, and from nothing else."""

from datetime import datetime
from typing import Literal, TypeAlias

import msgspec

from ..domain.action import kind_of
from ..domain.errors import DomainError
from ..domain.ids import root_task_id
from ..domain.policy_approval import Approval
from ..domain.policy_decision import Decision
from ..domain.scope import FolderScope, Verb
from .backtest_report import place_of
from .explain import Explanation, explain, explain_action
from .inquiry import Inquiry
from .policy_history import Began, Decided, PolicyHistory, Standing
from .ports import EventStore

GrantState: TypeAlias = Literal["in force", "revoked", "expired"]


class _Part(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How the parts are written."""


class LayerThen(_Part, frozen=True):
    """A layer that a session was under: its name, and its document's digest and size."""

    name: str
    digest: str
    version: str
    rules: int
    limits: int


class GrantThen(_Part, frozen=True):
    """A granted folder of a session, and whether it was in force. `output_roots` are below the root."""

    grant_id: str
    name: str
    root_path: str
    verbs: tuple[Verb, ...]
    output_roots: tuple[str, ...]
    expires_at: datetime | None
    state: GrantState


class SessionThen(_Part, frozen=True):
    """An open session, with the answer to what was asked where something was."""

    session_id: str
    user: str
    title: str
    policy_digest: str
    layers: tuple[LayerThen, ...]
    grants: tuple[GrantThen, ...]
    answer: Explanation | None = None


class ApprovalThen(_Part, frozen=True):
    """A remembered approval that was in force, and the sentence under which a person gave it."""

    approval: Approval
    sentence: str
    remembered_by: str


class DecidedThen(_Part, frozen=True):
    """What was decided at the very position. `recorded` is None for a start: what policy said then is not on record."""

    action_id: str
    task_id: str
    session_id: str
    kind: str
    place: str
    proposed_by: str
    recorded: Decision | None
    explanation: Explanation | None


class AtPosition(_Part, frozen=True):
    """What was in force once the event at `position` was recorded, at the time `at`."""

    position: int
    at: datetime
    sessions: tuple[SessionThen, ...]
    approvals: tuple[ApprovalThen, ...]
    decided: DecidedThen | None = None


def explain_at(store: EventStore, position: int, inquiry: Inquiry | None = None, *, session: str = "") -> AtPosition:
    """Return what was in force at a position, and what would have been decided there about an inquiry.

    Every open session answers, or only the one that `session` names. A position between two events means the one
    before. Raises `DomainError` not_found (no such position or open session), invalid (the inquiry), damaged.
    """
    history = PolicyHistory()
    last: Decided | Began | None = None
    for moment in history.read(store, until=position):
        if isinstance(moment, (Decided, Began)):
            last = moment
    if history.at is None or position > store.head():
        raise DomainError("not_found", f"the log has no position {position}", f"it ends at {store.head()}")
    now = history.at
    standings = [one for one in history.standings() if session in ("", one.session_id)]
    if session and not standings:
        raise DomainError("not_found", f"session `{session}` was not open at position {history.position}")
    approvals = history.approvals.in_force(now)
    return AtPosition(
        position=history.position,
        at=now,
        sessions=tuple(_session(one, now, inquiry, approvals) for one in standings),
        approvals=tuple(_approval(history, one) for one in approvals),
        decided=None if last is None or last.position != history.position else _decided(last),
    )


def _session(
    standing: Standing, now: datetime, inquiry: Inquiry | None, approvals: tuple[Approval, ...]
) -> SessionThen:
    policy = standing.policy
    layers = () if policy is None else policy.layers
    answer = None
    if inquiry is not None:
        answer = explain(layers, standing.scope, inquiry, now=now, session=standing.session_id, approvals=approvals)
    return SessionThen(
        session_id=standing.session_id,
        user=standing.user_id,
        title=standing.title,
        policy_digest=standing.policy_digest,
        layers=tuple(
            LayerThen(
                name=layer.name,
                digest=layer.digest,
                version=layer.document.version,
                rules=len(layer.document.rules),
                limits=len(layer.document.limits),
            )
            for layer in layers
        ),
        grants=tuple(_grant(folder, now) for folder in standing.scope.folders),
        answer=answer,
    )


def _grant(folder: FolderScope, now: datetime) -> GrantThen:
    ended = folder.expires_at is not None and now >= folder.expires_at
    return GrantThen(
        grant_id=folder.grant_id,
        name=folder.name,
        root_path=folder.root_path,
        verbs=folder.verbs,
        output_roots=folder.output_roots,
        expires_at=folder.expires_at,
        # A grant whose end was noticed is marked as revoked in its scope, too.
        state="expired" if ended else "revoked" if folder.revoked else "in force",
    )


def _approval(history: PolicyHistory, approval: Approval) -> ApprovalThen:
    entry = history.approvals.by_id[approval.id]
    return ApprovalThen(approval=approval, sentence=entry.sentence, remembered_by=entry.remembered_by)


def _decided(moment: Decided | Began) -> DecidedThen:
    past, standing = moment.past, moment.standing
    explanation = None
    if standing.policy is not None and moment.facts is not None:
        explanation = explain_action(
            standing.policy.layers,
            standing.scope,
            past.action,
            moment.facts,
            session=past.session_id,
            task=root_task_id(past.task_id),
            approvals=moment.approvals,
        )
    return DecidedThen(
        action_id=past.action_id,
        task_id=past.task_id,
        session_id=past.session_id,
        kind=kind_of(past.action),
        place=place_of(past.action, standing.scope),
        proposed_by=past.proposed_by,
        recorded=moment.recorded if isinstance(moment, Decided) else None,
        explanation=explanation,
    )
