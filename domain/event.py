"""What an event is, and the envelope in which it is recorded.

An event is a frozen struct that says what happened, in the past tense. Its `TOPIC` (`task.action_started.v1`) is its
name on disk for ever; the class may be renamed, the topic may not. Who, when and why are the envelope's.

Here and elsewhere `gc=False` says that a value is made of older values only: it can't be part of a cycle, so the
garbage collector need not look at it. A log of a million events is a lot to look at.
"""

from datetime import datetime
from typing import ClassVar, Generic, TypeVar

import msgspec


class Event(msgspec.Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True, rename="camel"):
    """Base of every event. Written in camelCase; a field with a default is left out when it has it."""

    TOPIC: ClassVar[str] = ""


E_co = TypeVar("E_co", bound=Event, covariant=True)


class Origin(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Who caused a command and why: recorded with each of its events.

    `actor` is `person:<name>`, `agent:<name>` or `engine`; `cause` names what led to it (an id, a command's name);
    `command_id` is the same on all events of one command.
    """

    actor: str
    cause: str
    command_id: str
    at: datetime


class Recorded(msgspec.Struct, Generic[E_co], frozen=True, gc=False, kw_only=True):
    """An event as the log keeps it.

    `position` is its place in the whole log (from 1, in order of commits; gaps are possible), `stream` the
    aggregate's id, `version` its place in that stream (from 1, without gaps).
    """

    position: int
    stream: str
    version: int
    origin: Origin
    event: E_co
