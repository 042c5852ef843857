"""An event as programs get it, one object a line: with `--json`, and the same names as the reference of events."""

from typing import Final

import msgspec

from ...domain.event import Event, Recorded
from ...projections.row import rfc3339


class EventObject(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The JSON object of an event. `event` is its topic without the version; `data` its fields in camelCase."""

    position: int
    event: str
    topic: str
    stream: str
    version: int
    at: str
    actor: str
    cause: str
    command_id: str
    data: object


class TaskEnd(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The last line of a stream of events: how the task stands now."""

    task_id: str
    status: str


def event_object(recorded: Recorded[Event]) -> EventObject:
    """Return the event's JSON object."""
    topic = recorded.event.TOPIC
    return EventObject(
        position=recorded.position,
        event=event_name(recorded.event),
        topic=topic,
        stream=recorded.stream,
        version=recorded.version,
        at=rfc3339(recorded.origin.at),
        actor=recorded.origin.actor,
        cause=recorded.origin.cause,
        command_id=recorded.origin.command_id,
        data=_in_camel_case(msgspec.to_builtins(recorded.event)),
    )


def event_name(event: Event) -> str:
    """Return the event's stored topic without its version."""
    return event.TOPIC.rpartition(".")[0]


def _in_camel_case(value: object) -> object:
    """Return plain JSON values with every key in camelCase: places inside actions are stored in snake_case."""
    match value:
        case dict():
            return {_camel(str(key)): _in_camel_case(one) for key, one in value.items()}
        case list() | tuple():
            return [_in_camel_case(one) for one in value]
        case _:
            return value


_KNOWN: Final[dict[str, str]] = {}


def _camel(name: str) -> str:
    found = _KNOWN.get(name)
    if found is None:
        first, *rest = name.split("_")
        found = _KNOWN[name] = first + "".join(word.capitalize() for word in rest) if first else name
    return found
