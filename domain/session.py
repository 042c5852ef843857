"""Session: the frame of everything an agent may do for a person: who, where, under which policy, with which grants."""

from collections.abc import Mapping
from typing import ClassVar, Final, Literal, TypeAlias, assert_never

import msgspec

from .errors import DomainError
from .event import Event

RootAllowance: TypeAlias = Literal["option", "setting"]
"""How a person allowed the engine to run as root."""

ROOT_ALLOWANCES: Final[Mapping[RootAllowance, str]] = {
    "option": "--unsafe-as-root",
    "setting": "COWORK_UNSAFE_AS_ROOT",
}
"""What a person wrote to allow it."""


class AdoptedLayer(msgspec.Struct, frozen=True, gc=False):
    """A layer of a policy: the name under which it is cited, and its document's digest (`sha256:<hex>`)."""

    name: str
    digest: str


# Events


class SessionStarted(Event, frozen=True, kw_only=True):
    """A person opened a session."""

    TOPIC: ClassVar[str] = "session.started.v1"
    session_id: str
    user_id: str
    device_id: str
    platform: str
    title: str = ""
    isolation_level: str = "files-only"


class PolicyAdopted(Event, frozen=True, kw_only=True):
    """From here on these layers decide, in this order. `policy_digest` is that of all of them and the floor.

    The documents are on record under their digests (`policy_record.py`), so that decisions can be made again later.
    """

    TOPIC: ClassVar[str] = "session.policy_adopted.v1"
    session_id: str
    policy_digest: str
    layers: tuple[AdoptedLayer, ...]


class GrantAdded(Event, frozen=True, kw_only=True):
    """A grant belongs to this session; what it covers is in the grant's own stream."""

    TOPIC: ClassVar[str] = "session.grant_added.v1"
    session_id: str
    grant_id: str


class RootAllowed(Event, frozen=True, kw_only=True):
    """From here on a process of root's works in this session, which a person allowed: by `--unsafe-as-root`, or by the
    setting `COWORK_UNSAFE_AS_ROOT`.
    """

    TOPIC: ClassVar[str] = "session.root_allowed.v1"
    session_id: str
    allowed_by: RootAllowance


class SessionEnded(Event, frozen=True, kw_only=True):
    """The session is over: its grants are no longer in force and its memory is gone."""

    TOPIC: ClassVar[str] = "session.ended.v1"
    session_id: str
    reason: str


SessionEvent: TypeAlias = SessionStarted | PolicyAdopted | GrantAdded | RootAllowed | SessionEnded

# Commands


class StartSession(msgspec.Struct, frozen=True, kw_only=True):
    """Open a session under a policy."""

    session_id: str
    user_id: str
    device_id: str
    platform: str
    title: str
    layers: tuple[AdoptedLayer, ...]
    policy_digest: str


class AdoptPolicy(msgspec.Struct, frozen=True):
    """Put the session under other layers, if they are others."""

    layers: tuple[AdoptedLayer, ...]
    policy_digest: str


class AddGrant(msgspec.Struct, frozen=True):
    """Take a grant into the session."""

    grant_id: str


class AllowRoot(msgspec.Struct, frozen=True):
    """Let a process of root's work in the session; each such process says so once."""

    allowed_by: RootAllowance


class EndSession(msgspec.Struct, frozen=True):
    """Close the session."""

    reason: str


SessionCommand: TypeAlias = StartSession | AdoptPolicy | AddGrant | AllowRoot | EndSession

# States


class NoSession(msgspec.Struct, frozen=True):
    """Before the first event."""


class OpenSession(msgspec.Struct, frozen=True, kw_only=True):
    """A session in which tasks run."""

    session_id: str
    user_id: str
    policy_digest: str = ""
    layers: tuple[AdoptedLayer, ...] = ()
    grant_ids: tuple[str, ...] = ()


class EndedSession(msgspec.Struct, frozen=True):
    """A session that is over."""

    session_id: str


SessionState: TypeAlias = NoSession | OpenSession | EndedSession
INITIAL: SessionState = NoSession()


def decide(command: SessionCommand, state: SessionState) -> tuple[SessionEvent, ...]:
    """Return the events of a command; raises `DomainError` (conflict, not_found)."""
    match command:
        case StartSession():
            if not isinstance(state, NoSession):
                raise DomainError("conflict", f"session `{command.session_id}` was started already")
            return (
                SessionStarted(
                    session_id=command.session_id,
                    user_id=command.user_id,
                    device_id=command.device_id,
                    platform=command.platform,
                    title=command.title,
                ),
                PolicyAdopted(
                    session_id=command.session_id, policy_digest=command.policy_digest, layers=command.layers
                ),
            )
        case AdoptPolicy(layers=layers, policy_digest=digest):
            session = _open(state)
            if session.policy_digest == digest:
                return ()
            return (PolicyAdopted(session_id=session.session_id, policy_digest=digest, layers=layers),)
        case AddGrant(grant_id=grant_id):
            session = _open(state)
            return (
                () if grant_id in session.grant_ids else (GrantAdded(session_id=session.session_id, grant_id=grant_id),)
            )
        case AllowRoot(allowed_by=allowed_by):
            return (RootAllowed(session_id=_open(state).session_id, allowed_by=allowed_by),)
        case EndSession(reason=reason):
            if isinstance(state, EndedSession):
                return ()
            return (SessionEnded(session_id=_open(state).session_id, reason=reason),)
        case _:
            assert_never(command)


def _open(state: SessionState) -> OpenSession:
    match state:
        case OpenSession():
            return state
        case EndedSession(session_id=session_id):
            raise DomainError("conflict", f"session `{session_id}` has ended", "start a new one with `cowork run`")
        case NoSession():
            raise DomainError("not_found", "no such session")
        case _:
            assert_never(state)


def evolve(state: SessionState, event: SessionEvent) -> SessionState:
    """Return the state after an event."""
    match event:
        case SessionStarted():
            return OpenSession(session_id=event.session_id, user_id=event.user_id)
        case PolicyAdopted():
            session = _open(state)
            return msgspec.structs.replace(session, policy_digest=event.policy_digest, layers=event.layers)
        case GrantAdded():
            session = _open(state)
            return msgspec.structs.replace(session, grant_ids=(*session.grant_ids, event.grant_id))
        case RootAllowed():
            return _open(state)
        case SessionEnded():
            return EndedSession(event.session_id)
        case _:
            assert_never(event)
