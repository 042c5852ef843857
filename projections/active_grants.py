"""Sessions and their grants, in force and not: one row a session, one a grant."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, Literal, TypeAlias, assert_never

import msgspec

from ..domain.confirmation import ConfirmationEvent
from ..domain.event import Recorded
from ..domain.grant import FolderGranted, GrantExpired, GrantNarrowed, GrantRevoked, HostGranted, HostRevoked
from ..domain.ownership import OwnershipEvent
from ..domain.scope import FolderIdentity, Verb
from ..domain.session import GrantAdded, PolicyAdopted, RootAllowed, SessionEnded, SessionStarted
from ..domain.subagent import SubagentEvent
from ..domain.task import TaskEvent
from ..domain.topics import AnyEvent, MachineEvent
from .fold import Fold, OnEvent, nothing, when
from .row import Changes, Put, Row, Scalar, Table, json_text, micros, number_of, rfc3339, text_of, texts_of, time_of

GrantStatus: TypeAlias = Literal["in_force", "revoked", "expired", "session_ended"]

SESSIONS: Final = Table(
    name="sessions",
    key={"session_id": "text"},
    columns={
        "user_id": "text",
        "device_id": "text",
        "platform": "text",
        "title": "text",
        "isolation_level": "text",
        "policy_digest": "text",
        "status": "text",
        "end_reason": "text",
        "created_at": "integer",
        "updated_at": "integer",
        "ended_at": "integer",
        "position": "integer",
    },
)
GRANTS: Final = Table(
    name="grants",
    key={"grant_id": "text"},
    columns={
        "session_id": "text",
        "name": "text",
        "root_path": "text",
        "verbs": "json",
        "output_roots": "json",
        "identity": "json",
        "expires_at": "integer",
        "status": "text",
        "given_by": "text",
        "given_at": "integer",
        "revoked_at": "integer",
        "revoked_by": "text",
        "revoke_reason": "text",
        "position": "integer",
    },
    indexes=(("session_id",),),
)


HOST_GRANTS: Final = Table(
    name="host_grants",
    key={"grant_id": "text"},
    columns={
        "session_id": "text",
        "host": "text",
        "status": "text",
        "given_by": "text",
        "given_at": "integer",
        "revoked_at": "integer",
        "revoked_by": "text",
        "revoke_reason": "text",
        "position": "integer",
    },
    indexes=(("session_id",),),
)


class HostGrant(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The JSON object `HostGrant`. `host` is an entry of a list of hosts, such as `api.example.com:443`."""

    id: str
    session_id: str
    host: str
    status: GrantStatus
    given_by: str
    given_at: str
    revoked_at: str | None = None
    revoke_reason: str | None = None


class FolderGrant(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The JSON object `FolderGrant`. `root_path` is absolute, `output_roots` are below it."""

    id: str
    session_id: str
    name: str
    root_path: str
    allow_read: bool
    allow_write: bool
    allow_create: bool
    allow_move: bool
    allow_delete: bool
    output_roots: tuple[str, ...]
    identity: FolderIdentity
    status: GrantStatus
    given_by: str
    given_at: str
    expires_at: str | None = None
    revoked_at: str | None = None
    revoke_reason: str | None = None


class Session(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The JSON object `Session`. `status` is `open` or `ended`; `grants` are in the order in which they were given."""

    session_id: str
    user_id: str
    device_id: str
    platform: str
    mode: str = "cowork"
    isolation_level: str
    title: str
    grants: tuple[FolderGrant, ...]
    hosts: tuple[HostGrant, ...] = ()
    connectors: tuple[str, ...] = ()
    policy_digest: str
    status: Literal["open", "ended"]
    created_at: str
    updated_at: str
    ended_at: str | None = None


def _session(
    recorded: Recorded[SessionStarted | PolicyAdopted | GrantAdded | RootAllowed | SessionEnded], **values: Scalar
) -> Changes:
    return (Put("sessions", (recorded.event.session_id,), {**values, "updated_at": micros(recorded.origin.at)}),)


def _started(recorded: Recorded[SessionStarted]) -> Changes:
    event = recorded.event
    return _session(
        recorded,
        user_id=event.user_id,
        device_id=event.device_id,
        platform=event.platform,
        title=event.title,
        isolation_level=event.isolation_level,
        status="open",
        created_at=micros(recorded.origin.at),
        position=recorded.position,
    )


def _policy_adopted(recorded: Recorded[PolicyAdopted]) -> Changes:
    return _session(recorded, policy_digest=recorded.event.policy_digest)


def _grant_added(recorded: Recorded[GrantAdded]) -> Changes:
    return _session(recorded)


def _root_allowed(recorded: Recorded[RootAllowed]) -> Changes:
    return _session(recorded)


def _session_ended(recorded: Recorded[SessionEnded]) -> Changes:
    return _session(recorded, status="ended", end_reason=recorded.event.reason, ended_at=micros(recorded.origin.at))


def _granted(recorded: Recorded[FolderGranted]) -> Changes:
    event = recorded.event
    values: dict[str, Scalar] = {
        "session_id": event.session_id,
        "name": event.name,
        "root_path": event.root_path,
        "verbs": json_text(event.verbs),
        "output_roots": json_text(event.output_roots),
        "identity": json_text(event.identity),
        "expires_at": None if event.expires_at is None else micros(event.expires_at),
        "status": "in_force",
        "given_by": recorded.origin.actor,
        "given_at": micros(recorded.origin.at),
        "position": recorded.position,
    }
    return (Put("grants", (event.grant_id,), values),)


def _host_granted(recorded: Recorded[HostGranted]) -> Changes:
    event = recorded.event
    values: dict[str, Scalar] = {
        "session_id": event.session_id,
        "host": event.host,
        "status": "in_force",
        "given_by": recorded.origin.actor,
        "given_at": micros(recorded.origin.at),
        "position": recorded.position,
    }
    return (Put("host_grants", (event.grant_id,), values),)


def _host_revoked(recorded: Recorded[HostRevoked]) -> Changes:
    return (Put("host_grants", (recorded.event.grant_id,), _taken_back(recorded)),)


def _narrowed(recorded: Recorded[GrantNarrowed]) -> Changes:
    event = recorded.event
    values: dict[str, Scalar] = {
        "verbs": json_text(event.verbs),
        "output_roots": json_text(event.output_roots),
        "expires_at": None if event.expires_at is None else micros(event.expires_at),
    }
    return (Put("grants", (event.grant_id,), values),)


def _revoked(recorded: Recorded[GrantRevoked]) -> Changes:
    return (Put("grants", (recorded.event.grant_id,), _taken_back(recorded)),)


def _taken_back(recorded: Recorded[GrantRevoked | HostRevoked]) -> dict[str, Scalar]:
    return {
        "status": "revoked",
        "revoked_at": micros(recorded.origin.at),
        "revoked_by": recorded.origin.actor,
        "revoke_reason": recorded.event.reason,
    }


def _expired(recorded: Recorded[GrantExpired]) -> Changes:
    return (Put("grants", (recorded.event.grant_id,), {"status": "expired"}),)


def _choose(event: type[AnyEvent]) -> OnEvent:
    if issubclass(event, SessionStarted):
        return when(event, _started)
    if issubclass(event, PolicyAdopted):
        return when(event, _policy_adopted)
    if issubclass(event, GrantAdded):
        return when(event, _grant_added)
    if issubclass(event, RootAllowed):
        return when(event, _root_allowed)
    if issubclass(event, SessionEnded):
        return when(event, _session_ended)
    if issubclass(event, FolderGranted):
        return when(event, _granted)
    if issubclass(event, HostGranted):
        return when(event, _host_granted)
    if issubclass(event, HostRevoked):
        return when(event, _host_revoked)
    if issubclass(event, GrantNarrowed):
        return when(event, _narrowed)
    if issubclass(event, GrantRevoked):
        return when(event, _revoked)
    if issubclass(event, GrantExpired):
        return when(event, _expired)
    if issubclass(event, TaskEvent | SubagentEvent | OwnershipEvent | ConfirmationEvent | MachineEvent):
        return nothing
    assert_never(event)


ACTIVE_GRANTS: Final = Fold("active_grants", 2, (SESSIONS, GRANTS, HOST_GRANTS), _choose)


def grant_of(row: Row, session: Row, now: datetime | None = None) -> FolderGrant:
    """Return the JSON object of a row of `grants`; `session` is the row of its session in `sessions`.

    With `now`, a grant whose time is over is `expired` although nobody has recorded that yet.
    """
    verbs = msgspec.json.decode(text_of(row, "verbs"), type=tuple[Verb, ...])
    return FolderGrant(
        id=text_of(row, "grant_id"),
        session_id=text_of(row, "session_id"),
        name=text_of(row, "name"),
        root_path=text_of(row, "root_path"),
        allow_read="read" in verbs,
        allow_write="write" in verbs,
        allow_create="create" in verbs,
        allow_move="move" in verbs,
        allow_delete="delete" in verbs,
        output_roots=texts_of(row, "output_roots"),
        identity=msgspec.json.decode(text_of(row, "identity"), type=FolderIdentity),
        status=_grant_status(row, session, now),
        given_by=text_of(row, "given_by"),
        given_at=time_of(row, "given_at"),
        expires_at=time_of(row, "expires_at") or None,
        revoked_at=time_of(row, "revoked_at") or None,
        revoke_reason=text_of(row, "revoke_reason") or None,
    )


def host_grant_of(row: Row, session: Row) -> HostGrant:
    """Return the JSON object of a row of `host_grants`; `session` is the row of its session in `sessions`."""
    return HostGrant(
        id=text_of(row, "grant_id"),
        session_id=text_of(row, "session_id"),
        host=text_of(row, "host"),
        status=_grant_status(row, session, None),
        given_by=text_of(row, "given_by"),
        given_at=time_of(row, "given_at"),
        revoked_at=time_of(row, "revoked_at") or None,
        revoke_reason=text_of(row, "revoke_reason") or None,
    )


def _grant_status(row: Row, session: Row, now: datetime | None) -> GrantStatus:
    status: GrantStatus = msgspec.convert(text_of(row, "status"), GrantStatus)
    if status != "in_force":
        return status
    expires_at = time_of(row, "expires_at") if now is not None else ""
    if now is not None and expires_at and rfc3339(now) >= expires_at:
        return "expired"
    return "session_ended" if text_of(session, "status") == "ended" else "in_force"


def session_of(row: Row, grants: Sequence[Row], now: datetime | None = None, hosts: Sequence[Row] = ()) -> Session:
    """Return the JSON object of a row of `sessions`; `grants` and `hosts` are the same session's grants' rows."""
    given = sorted(grants, key=lambda grant: number_of(grant, "position"))
    return Session(
        session_id=text_of(row, "session_id"),
        user_id=text_of(row, "user_id"),
        device_id=text_of(row, "device_id"),
        platform=text_of(row, "platform"),
        isolation_level=text_of(row, "isolation_level"),
        title=text_of(row, "title"),
        grants=tuple(grant_of(grant, row, now) for grant in given),
        hosts=tuple(host_grant_of(host, row) for host in sorted(hosts, key=lambda host: number_of(host, "position"))),
        policy_digest=text_of(row, "policy_digest"),
        status="ended" if text_of(row, "status") == "ended" else "open",
        created_at=time_of(row, "created_at"),
        updated_at=time_of(row, "updated_at"),
        ended_at=time_of(row, "ended_at") or None,
    )
