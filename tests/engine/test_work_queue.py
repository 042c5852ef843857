"""The queue: who goes first, how many at once, what may go on by itself, and what is left for a person."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest

from cowork.adapters.event_store.memory import MemoryEventStore
from cowork.domain.budget import Usage
from cowork.domain.errors import DomainError
from cowork.domain.task import ActionStarted, ActionSucceeded, Task, TaskResumed, TaskStarted
from cowork.engine import limits
from cowork.engine.application import Application
from cowork.engine.ports import Outcome, Permit
from tests.engine.breaking import Died, Executing, fall_over, with_executor
from tests.engine.rig import PERSON, HandLocks, Rig, create, delete, read

pytestmark = pytest.mark.anyio


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path, files={"a.txt": "a", "b.txt": "b"})


class Heard:
    """Takes note of what a queue says."""

    def __init__(self) -> None:
        self.begun_ids: list[str] = []
        self.rested_as: list[tuple[str, str]] = []
        self.refused_ids: list[str] = []
        self.on_rest: Callable[[Task], None] = lambda task: None

    def begun(self, task: Task) -> None:
        self.begun_ids.append(task.task_id)

    def rested(self, task: Task) -> None:
        self.rested_as.append((task.task_id, task.status))
        self.on_rest(task)

    def refused(self, task_id: str, error: DomainError) -> None:
        self.refused_ids.append(task_id)


async def worked(rig: Rig, *, at_once: int = 1) -> Heard:
    """Let a new process work until nothing is left to do."""
    heard = Heard()
    with anyio.fail_after(30):
        await rig.restart().work_queue().run(heard, at_once=at_once, until_idle=True)
    return heard


class Meeting(Executing):
    """An executor whose actions wait until so many are there, and counts how many there are at most."""

    def __init__(self, rig: Rig, expected: int) -> None:
        super().__init__(rig)
        self._expected = expected
        self._all_there = anyio.Event()
        self.now = 0
        self.most = 0

    async def perform(self, permit: Permit) -> Outcome:
        self.now += 1
        self.most = max(self.most, self.now)
        if self.now == self._expected:
            # Whoever else could come has come by then.
            await anyio.wait_all_tasks_blocked()
            self._all_there.set()
        await self._all_there.wait()
        outcome = await super().perform(permit)
        self.now -= 1
        return outcome


async def test_the_highest_priority_goes_first_then_the_oldest(rig: Rig) -> None:
    low = await rig.start(read("a.txt"), priority=-1)
    first, second = [await rig.start(read("a.txt")) for _ in range(2)]
    high = await rig.start(read("a.txt"), priority=9)
    heard = await worked(rig)
    assert heard.begun_ids == [high, first, second, low]
    assert [status for _, status in heard.rested_as] == ["completed"] * 4
    assert [one.task_id for one in rig.events(TaskStarted)] == heard.begun_ids
    assert rig.locks.held == set()
    rig.assert_clean()


@pytest.mark.parametrize("at_once", [1, 3, 4])
async def test_as_many_are_carried_on_at_once_as_there_may_be(rig: Rig, at_once: int) -> None:
    for _ in range(6):
        await rig.start(read("a.txt"))
    executing = Meeting(rig, at_once)
    app = with_executor(rig, executing)
    with anyio.fail_after(30):
        await app.work_queue().run(Heard(), at_once=at_once, until_idle=True)
    assert executing.most == at_once
    assert {row["status"] for row in app.rows("tasks")} == {"completed"}


async def test_all_workers_together_carry_on_no_more_than_a_store_may(rig: Rig) -> None:
    for _ in range(9):
        await rig.start(read("a.txt"))
    executing = Meeting(rig, limits.TASKS_AT_ONCE_MAX)
    apps = [with_executor(rig, executing) for _ in range(3)]
    with anyio.fail_after(30):
        async with anyio.create_task_group() as group:
            for app in apps:
                group.start_soon(_work_until_idle, app)
    assert executing.most == limits.TASKS_AT_ONCE_MAX
    assert len(rig.events(ActionStarted)) == 9
    rig.assert_clean()


async def _work_until_idle(app: Application) -> None:
    await app.work_queue().run(Heard(), until_idle=True)


async def test_a_session_has_only_so_many_tasks_under_way(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "TASKS_OF_SESSION_AT_ONCE_MAX", 1)
    one = await rig.start(read("a.txt"))
    session = rig.app.task(one).session_id
    other = await rig.start(read("a.txt"))
    # A lock of the session is held elsewhere: its task waits, and the other's does not.
    with rig.locks.hold(f"queue-{session}-1"):
        heard = Heard()
        await rig.app.work_queue().run(heard, until_idle=True)
        assert heard.begun_ids == [other]
    assert (await worked(rig)).begun_ids == [one]


async def test_a_task_that_ended_just_before_it_was_taken_is_not_begun(rig: Rig) -> None:
    ended_id = await rig.start(read("a.txt"))
    started = len(rig.rows)
    await rig.app.carry_on(ended_id)
    rest = rig.rows[started:]
    del rig.rows[started:]

    class LastMoment(HandLocks):
        @contextmanager
        def hold(self, task_id: str) -> Iterator[bool]:
            if task_id == ended_id:
                # Another process has recorded its end, and lets go of it now.
                rig.rows += rest
                rest.clear()
            with super().hold(task_id) as mine:
                yield mine

    rig.locks = LastMoment()
    assert (await worked(rig)).begun_ids == []
    assert rig.locks.held == set()
    rig.assert_clean()


async def test_a_task_that_another_process_has_is_left_to_it(rig: Rig) -> None:
    mine = await rig.start(read("a.txt"), to_carry_on=True)
    other = rig.engine()
    heard = Heard()
    await other.work_queue().run(heard, until_idle=True)
    assert heard.begun_ids == []
    assert (await rig.app.carry_on(mine)).status == "completed"


async def test_what_a_dead_worker_was_at_is_carried_on_by_the_next(rig: Rig) -> None:
    task_id = await rig.start(delete("a.txt"), read("b.txt"))
    assert (await rig.app.carry_on(task_id)).status == "awaiting_confirmation"
    await rig.answer()

    store = Mortal(rig)

    def die_for_good() -> None:
        store.is_dead = True
        raise Died

    app = rig.engine(store, (Executing(rig, before=die_for_good),))
    with pytest.raises(BaseExceptionGroup):
        await app.work_queue().run(Heard(), until_idle=True)
    assert rig.restart().task(task_id).status == "running"
    assert (await worked(rig)).rested_as == [(task_id, "completed")]
    assert set(rig.files()) == {"b.txt"}
    rig.assert_clean()


class Mortal(MemoryEventStore):
    """A store that is gone with its process."""

    def __init__(self, rig: Rig) -> None:
        super().__init__(rig.rows)
        self.is_dead = False

    async def append(self, *arguments: Any, **named: Any) -> Any:
        if self.is_dead:
            raise Died
        return await super().append(*arguments, **named)


async def test_a_question_is_left_open_and_its_task_goes_on_once_it_is_answered_elsewhere(rig: Rig) -> None:
    task_id = await rig.start(delete("a.txt"))
    other = rig.engine()
    queue, heard = rig.app.work_queue(), Heard()
    heard.on_rest = lambda task: queue.stop() if task.is_final else asked.set()
    asked = anyio.Event()
    with anyio.fail_after(30):
        async with anyio.create_task_group() as group:
            group.start_soon(queue.run, heard)
            await asked.wait()
            await rig.answer(app=other)
    assert heard.rested_as == [(task_id, "awaiting_confirmation"), (task_id, "completed")]
    assert "a.txt" not in rig.files()


async def test_an_open_question_is_no_reason_to_try_again_and_its_end_is(rig: Rig) -> None:
    task_id = await rig.start(delete("a.txt"))
    assert (await worked(rig)).rested_as == [(task_id, "awaiting_confirmation")]
    before = len(rig.log())
    assert (await worked(rig)).begun_ids == []
    assert len(rig.log()) == before
    rig.clock.move(timedelta(days=2))
    assert (await worked(rig)).rested_as == [(task_id, "blocked")]


async def test_a_task_that_a_person_paused_is_left_alone(rig: Rig) -> None:
    task_id = await rig.start(read("a.txt"))
    await rig.app.pause(task_id, by=PERSON)
    assert (await worked(rig)).begun_ids == []
    assert rig.app.task(task_id).status == "paused"


async def test_a_budget_that_is_used_up_waits_for_more_and_for_enough(rig: Rig) -> None:
    task_id = await rig.start(create("c.txt", rig.content("12345")), budget_bytes=2, outputs=(".",))
    assert (await worked(rig)).rested_as == [(task_id, "budget_exhausted")]
    before = len(rig.log())
    assert (await worked(rig)).begun_ids == []
    assert len(rig.log()) == before
    await rig.app.top_up(task_id, Usage(bytes_written=1), by=PERSON)
    assert (await worked(rig)).rested_as == [(task_id, "budget_exhausted")]
    await rig.app.top_up(task_id, Usage(bytes_written=9), by=PERSON)
    assert (await worked(rig)).rested_as == [(task_id, "completed")]


async def test_a_cancelled_task_that_nobody_closed_is_closed(rig: Rig) -> None:
    task_id = await rig.start(read("a.txt"))
    with rig.locks.hold(task_id):
        # Another process had it, and died before it could end the session.
        await rig.app.cancel(task_id, by=PERSON)
    assert rig.app.rows("sessions", {"status": "open"}) != []
    assert (await worked(rig)).rested_as == [(task_id, "cancelled")]
    assert rig.app.rows("sessions", {"status": "open"}) == []
    assert (await worked(rig)).begun_ids == []


async def test_a_worker_that_is_stopped_lets_what_is_under_way_end_and_begins_nothing_more(rig: Rig) -> None:
    for number in range(30):
        rig.write(f"{number}.txt", "x")
    task_id = await rig.start(*(read(f"{number}.txt") for number in range(30)))
    later = await rig.start(read("b.txt"), priority=-5)
    executing = Meeting(rig, 1)
    app = with_executor(rig, executing)
    queue = app.work_queue()
    app.listen(lambda events: queue.stop() if any(isinstance(one.event, ActionStarted) for one in events) else None)
    heard = Heard()
    with anyio.fail_after(30):
        await queue.run(heard, at_once=1)
    assert heard.rested_as == [(task_id, "running")]
    under_way = len(rig.events(ActionStarted))
    assert 1 <= under_way <= limits.STEPS_AT_ONCE_MAX
    assert executing.now == 0
    again = await worked(rig)
    assert again.begun_ids == [task_id, later]
    assert [status for _, status in again.rested_as] == ["completed"] * 2
    assert len(rig.events(ActionStarted)) == 31
    assert rig.events(TaskResumed) == [], "nobody paused it"
    rig.assert_clean()


class Unreadable(HandLocks):
    """Locks that nobody can take any more from some moment on."""

    def __init__(self) -> None:
        super().__init__()
        self.is_lost = False
        self.was_asked = anyio.Event()

    @contextmanager
    def hold(self, task_id: str) -> Iterator[bool]:
        if self.is_lost:
            self.was_asked.set()
            raise DomainError("unavailable", "the lock can't be opened")
        with super().hold(task_id) as mine:
            yield mine


async def test_a_worker_that_can_not_look_for_more_lets_what_is_under_way_end(rig: Rig) -> None:
    locks = Unreadable()
    rig.locks = locks
    task_id = await rig.start(read("a.txt"))
    later = await rig.start(read("b.txt"), priority=-5)

    class Losing(Executing):
        async def perform(self, permit: Permit) -> Outcome:
            locks.is_lost = True
            await locks.was_asked.wait()
            return await super().perform(permit)

    heard = Heard()
    app = with_executor(rig, Losing(rig))
    # There is one more to look for, again and again, because another process has it.
    with rig.locks.hold(later), anyio.fail_after(30), pytest.raises(DomainError, match="can't be opened"):
        await app.work_queue().run(heard, at_once=2)
    assert [one for one, _ in heard.rested_as] == [task_id]
    assert len(rig.events(ActionSucceeded)) == 1
    locks.is_lost = False
    assert [status for _, status in (await worked(rig)).rested_as] == ["completed"] * 2
    rig.assert_clean()


async def test_a_task_that_can_not_be_carried_on_is_set_aside_and_the_others_go_on(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = await rig.start(read("a.txt"), priority=1)
    fine = await rig.start(read("a.txt"))

    app = rig.restart()
    renew = app.policies.renew

    async def refuse(session_id: str) -> bool:
        if session_id == app.task(broken).session_id:
            raise DomainError("invalid", "the policy document has a mistake")
        return await renew(session_id)

    monkeypatch.setattr(app.policies, "renew", refuse)
    heard = Heard()
    await app.work_queue().run(heard, until_idle=True)
    assert heard.refused_ids == [broken]
    assert heard.rested_as == [(fine, "completed")]
    assert (await worked(rig)).rested_as == [(broken, "completed")]


async def test_an_executor_that_breaks_ends_no_worker(rig: Rig) -> None:
    task_id = await rig.start(read("a.txt"))
    app = with_executor(rig, Executing(rig, before=fall_over))
    heard = Heard()
    await app.work_queue().run(heard, until_idle=True)
    assert heard.rested_as == [(task_id, "awaiting_confirmation")]


@pytest.mark.parametrize("number", [0, -1, limits.TASKS_AT_ONCE_MAX + 1])
async def test_a_number_of_tasks_that_can_not_be_is_refused(rig: Rig, number: int) -> None:
    with pytest.raises(DomainError, match="a worker carries 1 to"):
        await rig.app.work_queue().run(Heard(), at_once=number)
