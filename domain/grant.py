"""Grant: a folder or a host that a person opened to a session.

A folder is opened with its verbs apart; it can be narrowed, revoked and expire. A host is opened or not.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import ClassVar, TypeAlias, assert_never

import msgspec

from .errors import DomainError
from .event import Event
from .path import normal
from .policy_host import parse_entry
from .scope import VERBS, FolderIdentity, FolderScope, GrantedHost, Scope, Verb, attenuate

# Events


class FolderGranted(Event, frozen=True, kw_only=True):
    """A person opened a folder. `identity` says which folder it is, whatever its name says later."""

    TOPIC: ClassVar[str] = "grant.folder_granted.v1"
    grant_id: str
    session_id: str
    name: str
    root_path: str
    verbs: tuple[Verb, ...]
    output_roots: tuple[str, ...] = ()
    identity: FolderIdentity
    expires_at: datetime | None = None


class GrantNarrowed(Event, frozen=True, kw_only=True):
    """From here on the grant covers less."""

    TOPIC: ClassVar[str] = "grant.narrowed.v1"
    grant_id: str
    verbs: tuple[Verb, ...]
    output_roots: tuple[str, ...] = ()
    expires_at: datetime | None = None


class GrantRevoked(Event, frozen=True, kw_only=True):
    """A person took the grant back."""

    TOPIC: ClassVar[str] = "grant.revoked.v1"
    grant_id: str
    reason: str = ""


class GrantExpired(Event, frozen=True, kw_only=True):
    """The grant's time was over when somebody looked. It had no effect from `expires_at` on, seen or not."""

    TOPIC: ClassVar[str] = "grant.expired.v1"
    grant_id: str


class HostGranted(Event, frozen=True, kw_only=True):
    """A person opened a host. `host` is an entry of a list of hosts, as `domain/policy_host.py` describes it."""

    TOPIC: ClassVar[str] = "grant.host_granted.v1"
    grant_id: str
    session_id: str
    host: str


class HostRevoked(Event, frozen=True, kw_only=True):
    """A person closed the host again."""

    TOPIC: ClassVar[str] = "grant.host_revoked.v1"
    grant_id: str
    reason: str = ""


FolderGrantEvent: TypeAlias = FolderGranted | GrantNarrowed | GrantRevoked | GrantExpired
HostGrantEvent: TypeAlias = HostGranted | HostRevoked
GrantEvent: TypeAlias = FolderGrantEvent | HostGrantEvent

# Commands


class GrantFolder(msgspec.Struct, frozen=True, kw_only=True):
    """Open a folder to a session."""

    grant_id: str
    session_id: str
    name: str
    root_path: str
    verbs: tuple[Verb, ...]
    output_roots: tuple[str, ...]
    identity: FolderIdentity
    expires_at: datetime | None = None


class GrantHost(msgspec.Struct, frozen=True, kw_only=True):
    """Open a host to a session."""

    grant_id: str
    session_id: str
    host: str


class NarrowGrant(msgspec.Struct, frozen=True, kw_only=True):
    """Keep only what both the grant and these have."""

    verbs: tuple[Verb, ...]
    output_roots: tuple[str, ...]
    expires_at: datetime | None = None


class RevokeGrant(msgspec.Struct, frozen=True):
    """Take the grant back."""

    reason: str = ""


class ExpireGrant(msgspec.Struct, frozen=True):
    """Note that the grant's time is over at `now`."""

    now: datetime


GrantCommand: TypeAlias = GrantFolder | GrantHost | NarrowGrant | RevokeGrant | ExpireGrant

# States


class NoGrant(msgspec.Struct, frozen=True):
    """Before the first event."""


class FolderGrant(msgspec.Struct, frozen=True):
    """A grant that was given, in force or not (`scope.revoked`)."""

    session_id: str
    scope: FolderScope


class HostGrant(msgspec.Struct, frozen=True):
    """A host that was opened, and may have been closed again (`host.revoked`)."""

    session_id: str
    host: GrantedHost


GrantState: TypeAlias = NoGrant | FolderGrant | HostGrant
INITIAL: GrantState = NoGrant()


def decide(command: GrantCommand, state: GrantState) -> tuple[GrantEvent, ...]:
    """Return the events of a command; raises `DomainError` (invalid, conflict, not_found)."""
    match command:
        case GrantFolder():
            return (_grant_folder(command, state),)
        case GrantHost():
            return (_grant_host(command, state),)
        case NarrowGrant():
            grant = _given(state)
            kept = _narrowed(grant.scope, command)
            if kept == grant.scope:
                return ()
            return (
                GrantNarrowed(
                    grant_id=kept.grant_id,
                    verbs=kept.verbs,
                    output_roots=kept.output_roots,
                    expires_at=kept.expires_at,
                ),
            )
        case RevokeGrant(reason=reason) if isinstance(state, HostGrant):
            return () if state.host.revoked else (HostRevoked(grant_id=state.host.grant_id, reason=reason),)
        case RevokeGrant(reason=reason):
            grant = _given(state)
            return () if grant.scope.revoked else (GrantRevoked(grant_id=grant.scope.grant_id, reason=reason),)
        case ExpireGrant(now=now):
            scope = _given(state).scope
            over = scope.expires_at is not None and now >= scope.expires_at and not scope.revoked
            return (GrantExpired(grant_id=scope.grant_id),) if over else ()
        case _:
            assert_never(command)


def _grant_folder(command: GrantFolder, state: GrantState) -> FolderGranted:
    if not isinstance(state, NoGrant):
        raise DomainError("conflict", f"grant `{command.grant_id}` was given already")
    if not command.verbs:
        raise DomainError(
            "invalid", f"the grant of `{command.root_path}` covers nothing", f"name one of {', '.join(VERBS)}"
        )
    if not command.root_path.startswith("/"):
        raise DomainError("invalid", f"`{command.root_path}` is not an absolute path")
    return FolderGranted(
        grant_id=command.grant_id,
        session_id=command.session_id,
        name=command.name,
        root_path=command.root_path,
        verbs=tuple(verb for verb in VERBS if verb in command.verbs),
        output_roots=tuple(normal(root) for root in command.output_roots),
        identity=command.identity,
        expires_at=command.expires_at,
    )


def _grant_host(command: GrantHost, state: GrantState) -> HostGranted:
    if not isinstance(state, NoGrant):
        raise DomainError("conflict", f"grant `{command.grant_id}` was given already")
    if parse_entry(command.host) is None:
        raise DomainError(
            "invalid",
            f"`{command.host}` is not a host",
            "write the host alone: `api.example.com`, `*.example.com`, `example.com:8443`, `127.0.0.1:8080`",
        )
    return HostGranted(grant_id=command.grant_id, session_id=command.session_id, host=command.host)


def _narrowed(scope: FolderScope, command: NarrowGrant) -> FolderScope:
    wished = msgspec.structs.replace(
        scope, verbs=command.verbs, output_roots=command.output_roots, expires_at=command.expires_at
    )
    return attenuate(Scope((scope,)), Scope((wished,))).folders[0]


def _given(state: GrantState) -> FolderGrant:
    if isinstance(state, NoGrant):
        raise DomainError("not_found", "no such grant", "see `cowork grant list`")
    if isinstance(state, HostGrant):
        raise DomainError("invalid", f"`{state.host.host}` is a host: it can only be revoked")
    return state


def evolve(state: GrantState, event: GrantEvent) -> GrantState:
    """Return the state after an event."""
    match event:
        case FolderGranted():
            return FolderGrant(
                event.session_id,
                FolderScope(
                    grant_id=event.grant_id,
                    name=event.name,
                    root_path=event.root_path,
                    verbs=event.verbs,
                    output_roots=event.output_roots,
                    identity=event.identity,
                    expires_at=event.expires_at,
                ),
            )
        case HostGranted():
            return HostGrant(event.session_id, GrantedHost(grant_id=event.grant_id, host=event.host))
        case HostRevoked():
            if not isinstance(state, HostGrant):
                raise DomainError("damaged", f"grant `{event.grant_id}` is not of a host")
            return HostGrant(state.session_id, msgspec.structs.replace(state.host, revoked=True))
        case GrantNarrowed():
            grant = _given(state)
            scope = msgspec.structs.replace(
                grant.scope, verbs=event.verbs, output_roots=event.output_roots, expires_at=event.expires_at
            )
            return FolderGrant(grant.session_id, scope)
        case GrantRevoked() | GrantExpired():
            grant = _given(state)
            return FolderGrant(grant.session_id, msgspec.structs.replace(grant.scope, revoked=True))
        case _:
            assert_never(event)


def scope_of(grants: Iterable[GrantState]) -> Scope:
    """Return what the grants open together, those no longer in force included."""
    folders: list[FolderScope] = []
    hosts: list[GrantedHost] = []
    for grant in grants:
        match grant:
            case FolderGrant(scope=folder):
                folders.append(folder)
            case HostGrant(host=host):
                hosts.append(host)
            case NoGrant():
                continue
            case _:
                assert_never(grant)
    return Scope(tuple(folders), tuple(hosts))
