"""Pause, interrupt and cancel of work that is under way in this process, also of what has not had its turn yet."""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from threading import Thread

import anyio
import pytest

from cowork.domain.errors import DomainError
from cowork.domain.event import Event, Recorded
from cowork.domain.ownership import TaskClaimed
from cowork.domain.subagent import SubagentSpawned
from cowork.domain.task import ActionFailed, ActionStarted, ActionSucceeded
from cowork.engine import limits
from cowork.engine.ports import Outcome, Permit
from tests.engine.breaking import Executing, with_executor
from tests.engine.planted_trees import spawn, step
from tests.engine.rig import PERSON, Rig, read
from tests.engine.test_subagents import ALLOWED

pytestmark = pytest.mark.anyio


class Hanging(Executing):
    """An executor whose every action takes for ever, until it is cut off."""

    def __init__(self, rig: Rig) -> None:
        super().__init__(rig)
        self.hangs = anyio.Event()

    async def perform(self, permit: Permit) -> Outcome:
        self.performed.append(permit)
        self.hangs.set()
        await anyio.sleep_forever()
        raise AssertionError


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path, files={f"{n}.txt": "x" for n in range(20)})


async def carried_on(rig: Rig, task_id: str) -> None:
    await rig.app.carry_on(task_id)


async def test_what_waits_for_its_turn_is_cut_off_with_what_is_under_way(rig: Rig) -> None:
    executing = Hanging(rig)
    app = with_executor(rig, executing)
    helpers = [
        spawn(f"helper {n}", *(step(f"s{m}", "file.read", path=f"{n * 4 + m}.txt") for m in range(4))) for n in range(4)
    ]
    task_id = await rig.start(*helpers, rules=ALLOWED)
    all_started = anyio.Event()

    def count(_: Sequence[Recorded[Event]]) -> None:
        if len(rig.events(ActionStarted)) == 16 + len(helpers):
            all_started.set()

    app.listen(count)
    with anyio.fail_after(20):
        async with anyio.create_task_group() as group:
            group.start_soon(carried_on, rig, task_id)
            await all_started.wait()
            await anyio.wait_all_tasks_blocked()
            assert len(executing.performed) == limits.ACTIONS_AT_ONCE_MAX
            await app.interrupt(task_id, by=PERSON)
    assert len(executing.performed) == limits.ACTIONS_AT_ONCE_MAX
    assert [one.reason_code for one in rig.events(ActionFailed)] == ["interrupted"] * 16
    assert app.task(task_id).is_interrupted
    rig.assert_clean()


@pytest.mark.parametrize("how", ["interrupt", "cancel"])
async def test_a_stop_right_after_a_recorded_start_ends_that_attempt_too(rig: Rig, how: str) -> None:
    executing = Hanging(rig)
    app = with_executor(rig, executing)
    task_id = await rig.start(read("1.txt"))
    other = rig.engine()
    stops = {"interrupt": other.interrupt, "cancel": other.cancel}

    def on_start(events: Sequence[Recorded[Event]]) -> None:
        if any(isinstance(one.event, ActionStarted) for one in events):
            # Another process is as fast as that: it has stopped the task before its executor gets to act.
            stopping = Thread(target=anyio.run, args=(partial(stops[how], task_id, by=PERSON),))
            stopping.start()
            stopping.join()

    app.listen(on_start)
    with anyio.fail_after(20):
        await carried_on(rig, task_id)
    (failed,) = rig.events(ActionFailed)
    assert failed.reason_code == "interrupted"
    assert rig.events(ActionSucceeded) == []
    rig.assert_clean()


class FirstOf:
    """Lets another process stop a task once, right when an event of some kind is on record."""

    def __init__(self, rig: Rig, kind: type[Event], stop: Callable[[Event], Awaitable[None]]) -> None:
        self._kind = kind
        self._stop = stop
        self._is_over = False
        rig.app.listen(self)

    def __call__(self, events: Sequence[Recorded[Event]]) -> None:
        for one in events:
            if isinstance(one.event, self._kind) and not self._is_over:
                self._is_over = True
                stopping = Thread(target=anyio.run, args=(self._stop, one.event))
                stopping.start()
                stopping.join()


@pytest.mark.parametrize("how", ["pause", "interrupt"])
@pytest.mark.parametrize("status", ["ready", "paused"])
async def test_a_stop_while_a_process_is_just_taking_a_task_up_is_not_lost(rig: Rig, status: str, how: str) -> None:
    other = rig.engine()
    task_id = await rig.start(read("1.txt"))
    if status == "paused":
        await other.pause(task_id, by=PERSON)
    stops = {"pause": other.pause, "interrupt": other.interrupt}
    FirstOf(rig, TaskClaimed, lambda _: stops[how](task_id, by=PERSON))
    with anyio.fail_after(20):
        task = await rig.app.carry_on(task_id)
    if (status, how) == ("paused", "pause"):
        # It was to be resumed, and a pause of what is paused says nothing new.
        assert task.status == "completed"
    else:
        assert task.status == "paused"
        assert rig.events(ActionStarted) == []
        assert (await rig.app.carry_on(task_id)).status == "completed"
    rig.assert_clean()


@pytest.mark.parametrize("whose", ["its own", "the tree's"])
async def test_a_stop_while_a_subagent_is_just_beginning_is_not_lost(rig: Rig, whose: str) -> None:
    other = rig.engine()
    task_id = await rig.start(spawn("helper", step("s0", "file.read", path="1.txt")), rules=ALLOWED)

    async def stop(spawned: Event) -> None:
        assert isinstance(spawned, SubagentSpawned)
        await other.interrupt(spawned.task_id if whose == "its own" else task_id, by=PERSON)

    FirstOf(rig, SubagentSpawned, stop)
    with anyio.fail_after(20):
        task = await rig.app.carry_on(task_id)
    assert task.status == "paused"
    assert rig.app.task(task.children[0]).is_interrupted
    assert len(rig.events(ActionStarted)) == 1
    assert (await rig.app.carry_on(task_id)).status == "completed"
    rig.assert_clean()


async def test_a_task_that_was_started_to_be_carried_on_is_in_nobody_elses_reach(rig: Rig) -> None:
    other = rig.engine()
    task_id = await rig.start(read("1.txt"), to_carry_on=True)
    with pytest.raises(DomainError, match="being run by another process"):
        await other.carry_on(task_id)
    assert (await rig.app.carry_on(task_id)).status == "completed"
    assert rig.locks.held == set()


async def test_a_task_that_was_started_and_left_is_let_go_with_the_process(rig: Rig) -> None:
    task_id = await rig.start(read("1.txt"), to_carry_on=True)
    rig.app.close()
    assert rig.locks.held == set()
    rig.restart()
    assert (await rig.app.carry_on(task_id)).status == "completed"


async def test_a_task_that_is_taken_to_be_carried_on_is_not_being_run_for_who_took_it(rig: Rig) -> None:
    task_id = await rig.start(read("1.txt"), to_carry_on=True)
    assert (await rig.app.resume_report(task_id)).task_id == task_id
    with pytest.raises(DomainError, match="being run by another process"):
        await rig.engine().resume_report(task_id)
