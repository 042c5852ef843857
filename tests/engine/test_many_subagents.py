"""As many subagents as a task may have at work at once: all of it is done once, adds up, and can be stopped as one."""

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import anyio
import pytest

from cowork.domain.event import Event, Recorded
from cowork.domain.subagent import SubagentReported, SubagentSpawned, SubagentStopped
from cowork.domain.task import (
    ActionFailed,
    ActionStarted,
    ActionSucceeded,
    TaskCancelled,
    TaskCompleted,
    TaskInterrupted,
    TaskPaused,
)
from cowork.engine import limits
from cowork.projections.summary_report import summary_of
from cowork.projections.summary_rows import summary_rows
from tests.engine.planted_trees import RULES, spawn, step
from tests.engine.rig import PERSON, Rig

pytestmark = pytest.mark.anyio
SUBAGENTS = limits.SUBAGENTS_AT_ONCE_MAX
EACH = 5
ALL = SUBAGENTS * (EACH + 1)


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


def _writers() -> list[Any]:
    return [
        spawn(
            f"writer {number}",
            *(step(f"w{n}", "file.create", path=f"{number}/{n}.txt", content=f"{number} {n}") for n in range(EACH)),
            folders=[{"path": ".", "verbs": ["read", "create"]}],
        )
        for number in range(SUBAGENTS)
    ]


def _assert_all_was_done_once(rig: Rig, task_id: str) -> None:
    assert rig.files() == {f"{number}/{n}.txt": f"{number} {n}" for number in range(SUBAGENTS) for n in range(EACH)}
    starts = [one.action_id for one in rig.events(ActionStarted)]
    assert len(starts) == len(set(starts)) == ALL
    assert len(rig.events(ActionSucceeded)) == ALL
    assert len(rig.events(SubagentSpawned)) == len(rig.events(SubagentReported)) == SUBAGENTS
    assert len(rig.events(TaskCompleted)) == SUBAGENTS + 1
    _assert_the_summary_adds_up(rig, task_id)
    rig.assert_clean()


def _assert_the_summary_adds_up(rig: Rig, task_id: str) -> None:
    rows = summary_rows(rig.app.rows, task_id)
    assert rows is not None
    summary = summary_of(rows)
    assert len(summary.subagents) == SUBAGENTS
    assert {one.status for one in summary.subagents} == {"completed"}
    assert {one.file_changes for one in summary.subagents} == {EACH}
    assert len(summary.file_changes) == SUBAGENTS * EACH
    assert len({one.path for one in summary.file_changes}) == SUBAGENTS * EACH


async def _at_half(rig: Rig, task_id: str, happens: Callable[[], Awaitable[None]]) -> str:
    """Carry a task on, let something happen when half of its actions have started, and return how it stands then."""
    seen, half = 0, anyio.Event()

    def count(recorded: Sequence[Recorded[Event]]) -> None:
        nonlocal seen
        seen += sum(isinstance(one.event, ActionStarted) for one in recorded)
        if seen >= ALL // 2:
            half.set()

    async def wait() -> None:
        await half.wait()
        await happens()

    rig.app.listen(count)
    async with anyio.create_task_group() as group:
        group.start_soon(wait)
        await rig.app.carry_on(task_id)
    return rig.app.task(task_id).status


async def test_all_that_many_subagents_do_is_done_once_and_adds_up(rig: Rig) -> None:
    task = await rig.run(*_writers(), rules=RULES)
    assert task.status == "completed"
    _assert_all_was_done_once(rig, task.task_id)


async def test_a_tree_at_work_is_paused_as_one_and_goes_on(rig: Rig) -> None:
    task_id = await rig.start(*_writers(), rules=RULES)
    assert await _at_half(rig, task_id, lambda: rig.app.pause(task_id, by=PERSON)) == "paused"
    assert len(rig.events(ActionStarted)) < ALL
    assert len({one.task_id for one in rig.events(TaskPaused)}) > 1
    rig.restart()
    assert (await rig.app.carry_on(task_id)).status == "completed"
    _assert_all_was_done_once(rig, task_id)


async def test_a_tree_at_work_is_interrupted_as_one_and_goes_on(rig: Rig) -> None:
    task_id = await rig.start(*_writers(), rules=RULES)
    assert await _at_half(rig, task_id, lambda: rig.app.interrupt(task_id, by=PERSON)) == "paused"
    interrupted = [one for one in rig.log() if isinstance(one.event, TaskInterrupted)]
    assert len({one.origin.command_id for one in interrupted}) == 1
    rig.restart()
    await rig.app.carry_on(task_id)
    assert rig.app.task(task_id).is_final
    cut_off = [one for one in rig.events(ActionFailed) if one.reason_code == "interrupted"]
    assert len(rig.files()) == SUBAGENTS * EACH - len(cut_off)
    rig.assert_clean()


async def test_a_tree_at_work_is_cancelled_as_one(rig: Rig) -> None:
    task_id = await rig.start(*_writers(), rules=RULES)
    assert await _at_half(rig, task_id, lambda: rig.app.cancel(task_id, by=PERSON)) == "cancelled"
    cancelled = [one for one in rig.log() if isinstance(one.event, TaskCancelled)]
    assert len({one.origin.command_id for one in cancelled}) == 1
    ended = len(rig.events(SubagentStopped)) + len(rig.events(SubagentReported))
    assert ended == len(rig.events(SubagentSpawned))
    position = cancelled[0].position
    assert not [one for one in rig.log() if isinstance(one.event, ActionStarted) and one.position > position]
    rig.assert_clean()
