"""What every `EventStore` promises (`engine/ports.py`), checked on each implementation."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import anyio
import pytest
from anyio.lowlevel import checkpoint
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cowork.adapters.event_store import MemoryEventStore, open_sqlite_store
from cowork.adapters.event_store.mapper import StoredRow
from cowork.domain.errors import DomainError
from cowork.domain.event import Event, Origin, Recorded
from cowork.domain.grant import GrantExpired
from cowork.domain.ownership import TaskClaimed, stream_of_owner
from cowork.domain.task import TaskPaused
from cowork.engine.ports import EventStore, Guard, StreamWrite, VersionConflict
from tests.adapters.event_store.generated import EVENT_STRATEGIES, ORIGINS, SOMEBODY, origin, queued, write

OpenStore = Callable[[], EventStore]

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["memory", "sqlite"])
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[OpenStore]:
    """Open the one store of this test; again, for another process or after a restart."""
    opened: list[EventStore] = []
    rows: list[StoredRow] = []

    def open_one() -> EventStore:
        if request.param == "memory":
            opened.append(MemoryEventStore(rows))
        else:
            opened.append(open_sqlite_store(tmp_path / "s" / "events.db"))
        return opened[-1]

    yield open_one
    for store in opened:
        store.close()


def everything(store: EventStore) -> list[Recorded[Event]]:
    return store.read_log(after=0, limit=1_000_000)


async def test_a_new_store_is_empty(open_store: OpenStore) -> None:
    store = open_store()
    assert store.head() == 0
    assert everything(store) == []
    assert store.read_stream("nobody") == []


async def test_what_is_appended_is_returned_in_order_and_read_back_equal(open_store: OpenStore) -> None:
    store = open_store()
    first = await store.append([write("a", 0, 2), write("b", 0, 1)], origin("command-1"))
    second = await store.append([write("a", 2, 1)], origin("command-2"))
    assert [(r.stream, r.version) for r in first + second] == [("a", 1), ("a", 2), ("b", 1), ("a", 3)]
    assert [r.position for r in first + second] == [1, 2, 3, 4]
    assert [r.origin.command_id for r in first + second] == ["command-1"] * 3 + ["command-2"]
    assert first[0].event == queued("a", 1)
    assert everything(store) == list(first + second)
    assert store.read_stream("a") == [first[0], first[1], second[0]]
    assert store.head() == 4


async def test_reading_goes_on_after_a_version_or_a_position(open_store: OpenStore) -> None:
    store = open_store()
    await store.append([write("a", 0, 5), write("b", 0, 2)], SOMEBODY)
    assert [r.version for r in store.read_stream("a", after_version=3)] == [4, 5]
    assert store.read_stream("a", after_version=5) == []
    assert [r.position for r in store.read_log(after=2, limit=3)] == [3, 4, 5]
    assert [r.position for r in store.read_log(after=5, limit=30)] == [6, 7]
    assert store.read_log(after=7, limit=3) == []
    assert store.read_log(after=0, limit=0) == []


async def test_one_stream_never_shows_in_another_that_begins_like_it(open_store: OpenStore) -> None:
    store = open_store()
    await store.append([write("task-1"), write("task-11", 0, 2), write("task-1.1", 0, 3)], SOMEBODY)
    assert [len(store.read_stream(name)) for name in ("task-1", "task-11", "task-1.1", "task-")] == [1, 2, 3, 0]


@pytest.mark.parametrize("expected", [0, 1, 3, 100])
async def test_a_stream_that_is_not_where_it_was_expected_is_a_conflict(open_store: OpenStore, expected: int) -> None:
    store = open_store()
    await store.append([write("a", 0, 2)], SOMEBODY)
    before = everything(store)
    with pytest.raises(VersionConflict) as conflict:
        await store.append([write("a", expected)], SOMEBODY)
    assert conflict.value.stream == "a"
    assert everything(store) == before


async def test_a_stream_that_does_not_exist_is_at_version_zero(open_store: OpenStore) -> None:
    store = open_store()
    with pytest.raises(VersionConflict):
        await store.append([write("a", 1)], SOMEBODY)
    await store.append([write("a", 0)], SOMEBODY)
    with pytest.raises(VersionConflict):
        await store.append([write("a", 0)], SOMEBODY)


async def test_a_conflict_in_one_stream_leaves_the_others_unwritten(open_store: OpenStore) -> None:
    store = open_store()
    await store.append([write("b")], SOMEBODY)
    with pytest.raises(VersionConflict) as conflict:
        await store.append([write("a"), write("b"), write("c")], SOMEBODY)
    assert conflict.value.stream == "b"
    assert [r.stream for r in everything(store)] == ["b"]
    recorded = await store.append([write("a"), write("b", 1), write("c")], SOMEBODY)
    assert [(r.position, r.stream, r.version) for r in recorded] == [(2, "a", 1), (3, "b", 2), (4, "c", 1)]


async def test_a_guard_holds_a_stream_that_was_only_read(open_store: OpenStore) -> None:
    store = open_store()
    await store.append([write("grant", 0, 2)], SOMEBODY)
    await store.append([write("task")], SOMEBODY, [Guard("grant", 2), Guard("nobody", 0)])
    await store.append([write("grant", 2)], SOMEBODY)
    with pytest.raises(VersionConflict) as conflict:
        await store.append([write("task", 1)], SOMEBODY, [Guard("grant", 2)])
    assert conflict.value.stream == "grant"
    assert len(store.read_stream("task")) == 1


async def test_a_guard_is_about_the_log_before_the_append(open_store: OpenStore) -> None:
    store = open_store()
    await store.append([write("a")], SOMEBODY, [Guard("a", 0)])
    await store.append([write("a", 1)], SOMEBODY, [Guard("a", 1)])
    with pytest.raises(VersionConflict):
        await store.append([write("a", 2)], SOMEBODY, [Guard("a", 3)])


async def test_one_append_may_write_to_a_stream_twice(open_store: OpenStore) -> None:
    store = open_store()
    recorded = await store.append([write("a"), write("b"), write("a", 1)], SOMEBODY)
    assert [(r.stream, r.version) for r in recorded] == [("a", 1), ("b", 1), ("a", 2)]
    with pytest.raises(VersionConflict):
        await store.append([write("c"), write("c")], SOMEBODY)
    assert store.read_stream("c") == []


async def test_an_append_without_events_still_checks(open_store: OpenStore) -> None:
    store = open_store()
    await store.append([write("a")], SOMEBODY)
    assert await store.append([], SOMEBODY) == ()
    assert await store.append([StreamWrite("a", 1, ())], SOMEBODY, [Guard("a", 1)]) == ()
    with pytest.raises(VersionConflict):
        await store.append([StreamWrite("a", 0, ())], SOMEBODY)
    with pytest.raises(VersionConflict):
        await store.append([], SOMEBODY, [Guard("a", 0)])
    assert store.head() == 1


async def test_of_many_appends_at_once_only_the_conflicting_one_fails(open_store: OpenStore) -> None:
    store = open_store()
    await store.append([write("taken")], SOMEBODY)
    outcomes: dict[int, tuple[Recorded[Event], ...] | str] = {}

    async def append(number: int) -> None:
        writes = [write(f"task-{number}", 0, 2), write("taken" if number == 31 else f"other-{number}")]
        try:
            outcomes[number] = await store.append(writes, origin(f"command-{number}"))
        except VersionConflict as conflict:
            outcomes[number] = conflict.stream

    async with anyio.create_task_group() as tasks:
        for number in range(64):
            tasks.start_soon(append, number)
    assert outcomes.pop(31) == "taken"
    assert len(outcomes) == 63
    for number, recorded in outcomes.items():
        assert isinstance(recorded, tuple)
        assert [r.stream for r in recorded] == [f"task-{number}", f"task-{number}", f"other-{number}"]
        assert {r.origin.command_id for r in recorded} == {f"command-{number}"}
        positions = [r.position for r in recorded]
        assert positions == list(range(positions[0], positions[0] + 3))
        assert store.read_log(after=positions[0] - 1, limit=3) == list(recorded)
    assert store.read_stream("task-31") == []
    assert [r.position for r in everything(store)] == list(range(1, 1 + 1 + 63 * 3))


async def test_of_many_that_want_the_same_version_one_wins(open_store: OpenStore) -> None:
    store = open_store()
    won: list[int] = []
    lost: list[int] = []

    async def append(number: int) -> None:
        try:
            await store.append([write("contested")], origin(f"command-{number}"))
            won.append(number)
        except VersionConflict:
            lost.append(number)

    async with anyio.create_task_group() as tasks:
        for number in range(20):
            tasks.start_soon(append, number)
    assert (len(won), len(lost)) == (1, 19)
    assert [r.origin.command_id for r in store.read_stream("contested")] == [f"command-{won[0]}"]


async def test_a_reader_never_sees_a_position_appear_behind_another(open_store: OpenStore) -> None:
    writer, reader = open_store(), open_store()
    seen: list[int] = []
    done = anyio.Event()

    async def append(number: int) -> None:
        for turn in range(10):
            await writer.append([write(f"task-{number}", 2 * turn, 2)], SOMEBODY)

    async def follow() -> None:
        while not done.is_set() or reader.head() > len(seen):
            seen.extend(r.position for r in reader.read_log(after=len(seen), limit=7))
            await checkpoint()

    async with anyio.create_task_group() as readers:
        readers.start_soon(follow)
        async with anyio.create_task_group() as writers:
            for number in range(10):
                writers.start_soon(append, number)
        done.set()
    assert seen == list(range(1, 201))


async def test_a_cancelled_append_is_carried_out_whole_and_costs_no_other_its_result(open_store: OpenStore) -> None:
    store = open_store()
    finished: list[int] = []
    scopes: list[anyio.CancelScope] = []

    async def append(number: int) -> None:
        with anyio.CancelScope() as scope:
            scopes.append(scope)
            recorded = await store.append([write(f"task-{number}", 0, 3)], SOMEBODY)
            finished.append(number)
            assert len(recorded) == 3

    async with anyio.create_task_group() as tasks:
        for number in range(12):
            tasks.start_soon(append, number)
        while len(scopes) < 12:
            await checkpoint()
        for scope in scopes[::2]:
            scope.cancel()
    assert sorted(finished) == list(range(12))
    assert [len(store.read_stream(f"task-{number}")) for number in range(12)] == [3] * 12
    await store.append([write("after")], SOMEBODY)


async def test_an_append_in_a_scope_that_is_cancelled_already_is_carried_out(open_store: OpenStore) -> None:
    store = open_store()
    recorded: tuple[Recorded[Event], ...] = ()
    with anyio.CancelScope() as scope:
        scope.cancel()
        recorded = await store.append([write("a")], SOMEBODY)
        await checkpoint()
        pytest.fail("the cancellation is seen at the next checkpoint")
    assert store.read_stream("a") == list(recorded)


async def test_a_restart_reads_the_same(open_store: OpenStore) -> None:
    store = open_store()
    for number in range(5):
        await store.append([write(f"task-{number % 2}", number // 2 * 3, 3)], origin(f"command-{number}"))
    before = everything(store)
    store.close()
    again = open_store()
    assert everything(again) == before
    assert again.head() == 15
    assert await again.append([write("task-0", 9)], SOMEBODY)
    assert again.head() == 16


async def test_two_open_stores_see_each_others_appends(open_store: OpenStore) -> None:
    one, two = open_store(), open_store()
    await one.append([write("a")], SOMEBODY)
    assert two.head() == 1
    await two.append([write("a", 1), write("b")], SOMEBODY, [Guard("a", 1)])
    assert one.head() == 3
    with pytest.raises(VersionConflict):
        await one.append([write("b")], SOMEBODY)
    with pytest.raises(VersionConflict):
        await one.append([write("c")], SOMEBODY, [Guard("a", 1)])
    recorded = await one.append([write("b", 1)], SOMEBODY, [Guard("a", 2)])
    assert two.read_stream("b")[1:] == list(recorded)


async def test_what_a_stale_owner_would_record_does_not_count(open_store: OpenStore) -> None:
    owner, other = open_store(), open_store()
    stream = stream_of_owner("task-1")

    async def claim(store: EventStore, name: str) -> Guard:
        version = len(store.read_stream(stream))
        claimed = TaskClaimed(task_id="task-1", owner=name, engine="test")
        (recorded,) = await store.append([StreamWrite(stream, version, (claimed,))], SOMEBODY)
        return Guard(stream, recorded.version)

    first = await claim(owner, "one")
    await owner.append([write("task-1")], SOMEBODY, [first])
    second = await claim(other, "two")
    for store in (owner, other):
        with pytest.raises(VersionConflict) as conflict:
            await store.append([write("task-1", 1), write("task-1-s1")], SOMEBODY, [first])
        assert conflict.value.stream == stream
    await other.append([write("task-1", 1)], SOMEBODY, [second])
    third = await claim(owner, "one")
    with pytest.raises(VersionConflict):
        await other.append([write("task-1", 2)], SOMEBODY, [second])
    await owner.append([write("task-1", 2)], SOMEBODY, [third])
    assert [len(owner.read_stream(one)) for one in ("task-1", "task-1-s1", stream)] == [3, 0, 3]


async def test_a_store_tells_the_appends_of_others_from_its_own(open_store: OpenStore) -> None:
    other = open_store()
    await other.append([write("a")], SOMEBODY)
    store = open_store()
    assert not store.others_appended()
    await store.append([write("b")], SOMEBODY)
    assert not store.others_appended()
    await other.append([write("a", 1)], SOMEBODY)
    assert store.head() == 3
    await store.append([write("b", 1)], SOMEBODY)
    assert store.others_appended()
    assert not store.others_appended()
    assert other.others_appended()


async def test_a_refused_append_is_nothing_that_others_see(open_store: OpenStore) -> None:
    store, other = open_store(), open_store()
    await store.append([write("a")], SOMEBODY)
    assert other.others_appended()
    with pytest.raises(VersionConflict):
        await store.append([write("a")], SOMEBODY)
    assert not other.others_appended()
    assert not store.others_appended()


async def test_an_event_that_could_not_be_read_back_is_refused_with_its_whole_append(open_store: OpenStore) -> None:
    store = open_store()
    wrong = TaskPaused(task_id="task-1", reason=cast(str, 7))
    nameless = TaskPaused(task_id="task-1", reason="a file name that is not UTF-8: \udc80")
    for event in (wrong, nameless):
        with pytest.raises(DomainError) as refusal:
            await store.append([write("a"), StreamWrite("b", 0, (event,))], SOMEBODY)
        assert refusal.value.code == "invalid"
        assert "task.paused.v1" in refusal.value.message
    assert store.head() == 0
    await store.append([write("a")], SOMEBODY)


async def test_a_time_without_its_zone_is_refused(open_store: OpenStore) -> None:
    store = open_store()
    naive = Origin(actor="a", cause="b", command_id="c", at=SOMEBODY.at.replace(tzinfo=None))
    with pytest.raises(DomainError) as refusal:
        await store.append([write("a")], naive)
    assert refusal.value.code == "invalid"
    assert store.head() == 0


async def test_an_event_outside_the_registry_is_refused(open_store: OpenStore) -> None:
    class Renamed(GrantExpired, frozen=True, kw_only=True):
        """Bears the topic of another."""

    store = open_store()
    with pytest.raises(TypeError, match="registry"):
        await store.append([StreamWrite("a", 0, (Renamed(grant_id="grant-1"),))], SOMEBODY)
    assert store.head() == 0


@pytest.mark.parametrize("topic", EVENT_STRATEGIES)
@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=st.data())
async def test_any_event_is_read_back_equal(open_store: OpenStore, topic: str, data: st.DataObject) -> None:
    store = open_store()
    event, by = data.draw(EVENT_STRATEGIES[topic]), data.draw(ORIGINS)
    stream = f"stream-{store.head()}"
    recorded = await store.append([StreamWrite(stream, 0, (event, event))], by)
    assert store.read_stream(stream) == list(recorded)
    assert [(r.event, r.origin) for r in recorded] == [(event, by)] * 2
    assert type(store.read_stream(stream)[0].event) is type(event)
