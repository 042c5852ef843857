"""Confirmation: one question about one digest, and its one final answer."""

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar, Final, Literal, TypeAlias, assert_never

import msgspec

from .errors import DomainError
from .event import Event
from .facts import Facts, FileState

QUESTION_DOMAIN: Final = b"cowork.question.v1\n"
DIGEST_PREFIX_MIN = 8
"""How many hexadecimal digits of a digest an answer must give at least."""


class CardBlock(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel"):
    """A part of the question: its role, and its lines, nothing cut, every hidden character already made visible."""

    role: Literal["who", "action", "risk", "why", "changed", "agent", "binding"]
    lines: tuple[str, ...]


class Card(msgspec.Struct, frozen=True, rename="camel"):
    """The question exactly as the person sees it, whatever the interface."""

    headline: str
    blocks: tuple[CardBlock, ...]


class Item(msgspec.Struct, frozen=True, rename="camel"):
    """One of the actions that the answer is about."""

    action_id: str
    digest: str


def digest_of_question(items: Sequence[tuple[str, Facts]]) -> str:
    """Return the digest that an answer is bound to: of each action's digest with the state of what it would touch.

    A file that changes after it was shown gives another digest, as does any byte of any action, another sandbox, or a
    file that a command names. Times do not count.
    """
    shown = [
        (digest, _shown(facts.target), _shown(facts.destination), facts.confinement, facts.inputs)
        for digest, facts in items
    ]
    return f"sha256:{hashlib.sha256(QUESTION_DOMAIN + _ENCODER.encode(shown)).hexdigest()}"


def _shown(state: FileState | None) -> FileState | None:
    return None if state is None else msgspec.structs.replace(state, mtime_ns=0)


_ENCODER: Final = msgspec.json.Encoder(order="sorted")

Purpose: TypeAlias = Literal["action", "unknown_outcome"]
Finding: TypeAlias = Literal["", "happened", "not_happened", "try_again"]
"""What a person says of an attempt that nobody else can tell about; empty for every other question."""

# Events


class ConfirmationRequested(Event, frozen=True, kw_only=True):
    """A person is asked. `digest` covers every item and the state of its target as it was shown."""

    TOPIC: ClassVar[str] = "confirmation.requested.v1"
    confirmation_id: str
    session_id: str
    task_id: str
    step_id: str
    purpose: Purpose = "action"
    items: tuple[Item, ...]
    digest: str
    card: Card
    risk_tags: tuple[str, ...] = ()
    reason: str
    rule_id: str
    layer: str = ""
    expires_at: datetime


class ConfirmationApproved(Event, frozen=True, kw_only=True):
    """A person said yes to exactly this digest; of an unknown outcome, `finding` is what they found or want."""

    TOPIC: ClassVar[str] = "confirmation.approved.v1"
    confirmation_id: str
    digest: str
    answered_by: str
    note: str = ""
    finding: Finding = ""


class ConfirmationRejected(Event, frozen=True, kw_only=True):
    """A person said no."""

    TOPIC: ClassVar[str] = "confirmation.rejected.v1"
    confirmation_id: str
    digest: str
    answered_by: str
    note: str = ""


class ConfirmationExpired(Event, frozen=True, kw_only=True):
    """Nobody answered in time: that is a no."""

    TOPIC: ClassVar[str] = "confirmation.expired.v1"
    confirmation_id: str


class ConfirmationWithdrawn(Event, frozen=True, kw_only=True):
    """The question no longer stands: the task was cancelled, or the world is not as it was shown."""

    TOPIC: ClassVar[str] = "confirmation.withdrawn.v1"
    confirmation_id: str
    reason: str


ConfirmationEvent: TypeAlias = (
    ConfirmationRequested | ConfirmationApproved | ConfirmationRejected | ConfirmationExpired | ConfirmationWithdrawn
)

# Commands


class RequestConfirmation(msgspec.Struct, frozen=True, kw_only=True):
    """Ask a person."""

    confirmation_id: str
    session_id: str
    task_id: str
    step_id: str
    purpose: Purpose
    items: tuple[Item, ...]
    digest: str
    card: Card
    risk_tags: tuple[str, ...]
    reason: str
    rule_id: str
    layer: str
    expires_at: datetime


class Approve(msgspec.Struct, frozen=True, kw_only=True):
    """Say yes. `digest` is the whole digest or at least its first 8 hexadecimal digits.

    A question about an unknown outcome wants a `finding`, and no other takes one.
    """

    digest: str
    answered_by: str
    now: datetime
    note: str = ""
    finding: Finding = ""


class Reject(msgspec.Struct, frozen=True, kw_only=True):
    """Say no."""

    digest: str
    answered_by: str
    now: datetime
    note: str = ""


class Expire(msgspec.Struct, frozen=True):
    """Note that the time is over at `now`."""

    now: datetime


class Withdraw(msgspec.Struct, frozen=True):
    """Take the question back."""

    reason: str


ConfirmationCommand: TypeAlias = RequestConfirmation | Approve | Reject | Expire | Withdraw

# States


class NoConfirmation(msgspec.Struct, frozen=True):
    """Before the first event."""


class Pending(msgspec.Struct, frozen=True):
    """Waiting for an answer."""

    request: ConfirmationRequested


class Approved(msgspec.Struct, frozen=True):
    """Answered yes."""

    request: ConfirmationRequested
    answered_by: str
    note: str = ""
    finding: Finding = ""


class Rejected(msgspec.Struct, frozen=True):
    """Answered no."""

    request: ConfirmationRequested
    answered_by: str
    note: str = ""


class Expired(msgspec.Struct, frozen=True):
    """Not answered in time."""

    request: ConfirmationRequested


class Withdrawn(msgspec.Struct, frozen=True):
    """Taken back."""

    request: ConfirmationRequested
    reason: str


Answered: TypeAlias = Approved | Rejected | Expired | Withdrawn
ConfirmationState: TypeAlias = NoConfirmation | Pending | Answered
INITIAL: ConfirmationState = NoConfirmation()


def decide(command: ConfirmationCommand, state: ConfirmationState) -> tuple[ConfirmationEvent, ...]:
    """Return the events of a command; raises `DomainError` (not_found, conflict, expired, invalid)."""
    match command:
        case RequestConfirmation():
            return (_request(command, state),)
        case Approve() | Reject():
            return (_answer(command, state),)
        case Expire(now=now):
            if isinstance(state, Pending) and now >= state.request.expires_at:
                return (ConfirmationExpired(confirmation_id=state.request.confirmation_id),)
            return ()
        case Withdraw(reason=reason):
            if isinstance(state, Pending):
                return (ConfirmationWithdrawn(confirmation_id=state.request.confirmation_id, reason=reason),)
            return ()
        case _:
            assert_never(command)


def _request(command: RequestConfirmation, state: ConfirmationState) -> ConfirmationRequested:
    if not isinstance(state, NoConfirmation):
        raise DomainError("conflict", f"confirmation `{command.confirmation_id}` was requested already")
    if not command.items:
        raise DomainError("invalid", "a question needs at least one action")
    return ConfirmationRequested(
        confirmation_id=command.confirmation_id,
        session_id=command.session_id,
        task_id=command.task_id,
        step_id=command.step_id,
        purpose=command.purpose,
        items=command.items,
        digest=command.digest,
        card=command.card,
        risk_tags=command.risk_tags,
        reason=command.reason,
        rule_id=command.rule_id,
        layer=command.layer,
        expires_at=command.expires_at,
    )


def _answer(command: Approve | Reject, state: ConfirmationState) -> ConfirmationApproved | ConfirmationRejected:
    request = _pending(state)
    if not digest_matches(command.digest, request.digest):
        raise DomainError(
            "conflict",
            f"the digest `{command.digest}` is not the digest of what `{request.confirmation_id}` shows",
            f"look at it again with `cowork confirmation show {request.confirmation_id}`",
        )
    if command.now >= request.expires_at:
        # A question what became of an attempt has no rejection that its expiry could count as.
        counts_as = "" if request.purpose == "unknown_outcome" else "it counts as rejected; to have it done, "
        raise DomainError(
            "expired",
            f"confirmation `{request.confirmation_id}` expired at {request.expires_at:%Y-%m-%d %H:%M:%S} UTC",
            f"{counts_as}run the task again and answer in time",
        )
    if isinstance(command, Reject):
        return ConfirmationRejected(
            confirmation_id=request.confirmation_id,
            digest=request.digest,
            answered_by=command.answered_by,
            note=command.note,
        )
    _check_finding(command, request)
    return ConfirmationApproved(
        confirmation_id=request.confirmation_id,
        digest=request.digest,
        answered_by=command.answered_by,
        note=command.note,
        finding=command.finding,
    )


def _check_finding(command: Approve, request: ConfirmationRequested) -> None:
    is_wanted = request.purpose == "unknown_outcome"
    if is_wanted and not command.finding:
        raise DomainError(
            "invalid",
            f"`{request.confirmation_id}` asks what became of an attempt: a plain yes is no answer",
            "say that it happened, that it did not, or that it is to be tried again",
        )
    if command.finding and not is_wanted:
        raise DomainError("invalid", f"`{request.confirmation_id}` does not ask what became of an attempt")


def _pending(state: ConfirmationState) -> ConfirmationRequested:
    match state:
        case Pending(request=request):
            return request
        case NoConfirmation():
            raise DomainError("not_found", "no such confirmation", "see `cowork confirmation list`")
        case Approved() | Rejected():
            word = "approved" if isinstance(state, Approved) else "rejected"
            raise DomainError(
                "conflict",
                f"confirmation `{state.request.confirmation_id}` was already {word} by {state.answered_by}",
            )
        case Expired():
            raise DomainError("expired", f"confirmation `{state.request.confirmation_id}` has expired")
        case Withdrawn():
            raise DomainError(
                "conflict", f"confirmation `{state.request.confirmation_id}` was withdrawn: {state.reason}"
            )
        case _:
            assert_never(state)


def digest_matches(given: str, whole: str) -> bool:
    """Whether a person's digest (whole, or a prefix of at least 8 digits, spaces allowed) names this one."""
    plain = given.strip().lower().removeprefix("sha256:").replace(" ", "")
    return len(plain) >= DIGEST_PREFIX_MIN and whole.removeprefix("sha256:").startswith(plain)


def evolve(state: ConfirmationState, event: ConfirmationEvent) -> ConfirmationState:
    """Return the state after an event."""
    match event:
        case ConfirmationRequested():
            return Pending(event)
        case ConfirmationApproved():
            return Approved(_pending(state), event.answered_by, event.note, event.finding)
        case ConfirmationRejected():
            return Rejected(_pending(state), event.answered_by, event.note)
        case ConfirmationExpired():
            return Expired(_pending(state))
        case ConfirmationWithdrawn():
            return Withdrawn(_pending(state), event.reason)
        case _:
            assert_never(event)
