"""Events and envelopes for tests: a few by hand, and any event of any type, generated from its declaration."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import msgspec
import msgspec.inspect as shape
from hypothesis import strategies as st

from cowork.domain.event import Event, Origin
from cowork.domain.task import TaskQueued
from cowork.domain.topics import EVENT_TYPES
from cowork.engine.ports import StreamWrite

NOON = datetime(2026, 1, 2, 12, 0, 0, 123456, tzinfo=UTC)
SOMEBODY = Origin(actor="person:ada", cause="QueueTask", command_id="command-1", at=NOON)

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
ZONES = st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
YEAR_2, YEAR_9998 = NOON.replace(year=2, tzinfo=None), NOON.replace(year=9998, tzinfo=None)
TIMES = st.datetimes(YEAR_2, YEAR_9998, timezones=st.one_of(st.just(UTC), ZONES))
ORIGINS = st.builds(Origin, actor=TEXT, cause=TEXT, command_id=TEXT, at=TIMES)


def origin(command_id: str) -> Origin:
    """Return an envelope of this command."""
    return msgspec.structs.replace(SOMEBODY, command_id=command_id)


def queued(stream: str, number: int = 0) -> Event:
    """Return an event that says which one it is."""
    return TaskQueued(task_id=stream, session_id="session-1", title=f"task number {number}")


def write(stream: str, after: int = 0, events: int = 1) -> StreamWrite:
    """Return a write of that many events to a stream that is at version `after`."""
    return StreamWrite(stream, after, tuple(queued(stream, after + n) for n in range(1, events + 1)))


_STRUCTS: dict[type, st.SearchStrategy[Any]] = {}


def _values(kind: shape.Type) -> st.SearchStrategy[Any]:
    match kind:
        case shape.StrType():
            return TEXT
        case shape.IntType():
            return st.integers(-(2**63), 2**64 - 1)
        case shape.BoolType():
            return st.booleans()
        case shape.NoneType():
            return st.none()
        case shape.DateTimeType():
            return TIMES
        case shape.LiteralType(values=values):
            return st.sampled_from(values)
        case shape.UnionType(types=types):
            return st.one_of([_values(member) for member in types])
        case shape.VarTupleType(item_type=item):
            return st.lists(_values(item), max_size=2).map(tuple)
        case shape.TupleType(item_types=items):
            return st.tuples(*[_values(item) for item in items])
        case shape.StructType(cls=cls, fields=fields):
            if cls not in _STRUCTS:
                # A struct may hold others of its kind: a step of a plan may begin a subagent, which has a plan.
                _STRUCTS[cls] = st.deferred(lambda: built)
                built = st.builds(cls, **{field.name: _values(field.type) for field in fields})
                _STRUCTS[cls] = built
            return _STRUCTS[cls]
        case _:
            raise NotImplementedError(f"no generated values for {kind}: add them here")


EVENT_STRATEGIES: dict[str, st.SearchStrategy[Event]] = {
    event.TOPIC: _values(shape.type_info(event)) for event in EVENT_TYPES
}
