"""Where an attempt was let out to, by the log: each connection of a command is recorded before a byte of it leaves."""

from collections.abc import Iterable

from ..domain.event import Event, Recorded
from ..domain.task import ActionStarted, ConnectionDecided


def reached_since(start: Recorded[Event], stream: Iterable[Recorded[Event]]) -> tuple[str, ...]:
    """Return the places (`host:port`) that the attempt of this start was let out to, in order, each once.

    `stream` are the events of its task. None means that nothing of it has left this machine.
    """
    if not isinstance(start.event, ActionStarted):
        return ()
    action_id = start.event.action_id
    told = (one.event for one in stream if one.position > start.position)
    allowed = (one for one in told if isinstance(one, ConnectionDecided) and one.reason_code is None)
    return tuple(dict.fromkeys(f"{one.host}:{one.port}" for one in allowed if one.action_id == action_id))
