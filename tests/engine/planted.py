"""A true history, and the means to tamper with it: each change is the smallest one that breaks one promise."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, TypeAlias, TypeVar

import anyio
import msgspec

from cowork.adapters.event_store.mapper import EventMapper
from cowork.adapters.event_store.memory import MemoryEventStore
from cowork.domain.action import FileDelete, locations_of
from cowork.domain.event import Event, Recorded
from cowork.domain.plan import Batch
from cowork.domain.task import ActionProposed
from cowork.engine.ports import StreamWrite
from tests.engine.commands import Run, command, with_commands
from tests.engine.rig import Rig, Says, create, delete, move, read, write

E = TypeVar("E", bound=Event)
History = list[Recorded[Event]]


async def true_history(rig: Rig) -> History:
    """Live through five tasks: allowed, approved, rejected and denied actions, batches, expiry, and a command."""
    for name in ("a.txt", "b.txt", "c.txt", "in/one.csv", "in/two.csv"):
        rig.write(name, f"this is {name}")
    await rig.run(
        read("a.txt"),
        create("out/new.txt", rig.content("new")),
        write("a.txt", rig.content("changed")),
        move("b.txt", "moved/b.txt"),
        Batch(of="file.delete", match="in/*.csv"),
        read(".env"),
        outputs=("out",),
        asker=Says(approve=True),
    )
    await rig.run(delete("c.txt"), read("a.txt"), asker=Says(approve=False))
    waiting = await rig.run(delete("c.txt"), create("later.txt", rig.content("later")))
    rig.clock.move(timedelta(hours=25))
    await rig.app.carry_on(waiting.task_id)
    cancelled = await rig.run(delete("c.txt"))
    await rig.app.cancel(cancelled.task_id, by="person:ann")
    with_commands(rig, report=_report)
    report = command("report", hosts=("api.example",))
    await rig.run(report, outputs=("out",), hosts=("api.example",), asker=Says(approve=True))
    return rig.log()


async def _report(run: Run) -> None:
    await run.connect("api.example")
    await run.connect("evil.example", refused="it was not granted")
    await run.create("out/report.txt", "all is well")
    await run.write("a.txt", "changed again")
    await run.delete("moved/b.txt")


def stored(history: Sequence[Recorded[Event]]) -> MemoryEventStore:
    """Return a store that holds these events in this order, each stream's versions counted anew."""
    store = MemoryEventStore()
    versions: dict[str, int] = {}

    async def fill() -> None:
        for one in history:
            version = versions.get(one.stream, 0)
            await store.append([StreamWrite(one.stream, version, (one.event,))], one.origin)
            versions[one.stream] = version + 1

    anyio.run(fill)
    return store


def stored_as_it_is(history: Sequence[Recorded[Event]]) -> MemoryEventStore:
    """Return a store whose rows say exactly this, versions and all."""
    mapper = EventMapper()
    rows = [
        (position, one.stream, one.version, *mapper.encode(one.stream, one.version, one.origin, one.event))
        for position, one in enumerate(history, 1)
    ]
    return MemoryEventStore(rows)


def place(history: History, kind: type[Event], where: Callable[[Any], bool] = lambda _event: True, nth: int = 0) -> int:
    """Return the index of the nth event of a class for which `where` holds."""
    found = [index for index, one in enumerate(history) if isinstance(one.event, kind) and where(one.event)]
    return found[nth]


def changed(history: History, index: int, **fields: Any) -> History:
    """Return the history with other values in one event."""
    event = msgspec.structs.replace(history[index].event, **fields)
    return [*history[:index], msgspec.structs.replace(history[index], event=event), *history[index + 1 :]]


def at_time(history: History, index: int, by: timedelta) -> History:
    """Return the history with one event recorded earlier or later."""
    origin = msgspec.structs.replace(history[index].origin, at=history[index].origin.at + by)
    return [*history[:index], msgspec.structs.replace(history[index], origin=origin), *history[index + 1 :]]


def without(history: History, index: int) -> History:
    """Return the history without one event."""
    return [*history[:index], *history[index + 1 :]]


def again(history: History, index: int, after: int | None = None) -> History:
    """Return the history in which one event is there twice, the second right after the first or after `after`."""
    spot = (index if after is None else after) + 1
    return [*history[:spot], history[index], *history[spot:]]


def moved(history: History, index: int, before: int) -> History:
    """Return the history in which one event stands before another."""
    rest = without(history, index)
    spot = before if before < index else before - 1
    return [*rest[:spot], history[index], *rest[spot:]]


def added(history: History, after: int, stream: str, event: Event) -> History:
    """Return the history with a new event after the one at an index."""
    new = Recorded(position=0, stream=stream, version=0, origin=history[after].origin, event=event)
    return [*history[: after + 1], new, *history[after + 1 :]]


def action_on(history: History, path: str, *, deletes: bool = False, nth: int = 0) -> str:
    """Return the id of the nth action whose first place is `path`."""
    found = [
        one.event.action_id
        for one in history
        if isinstance(one.event, ActionProposed)
        and [at.path for at in locations_of(one.event.action)][:1] == [path]
        and isinstance(one.event.action, FileDelete) >= deletes
    ]
    return found[nth]


def of(action_id: str) -> Callable[[Any], bool]:
    """Return the condition that an event is about an action."""
    return lambda event: bool(event.action_id == action_id)


Tamper: TypeAlias = Callable[[History], History]
PLANTED: list[tuple[int, str, Tamper]] = []


def planted(invariant: int) -> Callable[[Tamper], Tamper]:
    """Note a way to break an invariant; its name says what was done."""

    def note(tamper: Tamper) -> Tamper:
        PLANTED.append((invariant, tamper.__name__, tamper))
        return tamper

    return note
