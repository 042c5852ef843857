"""That a process of root's works in a session goes on record: once for each process that a person allowed it."""

from pathlib import Path

import pytest

from cowork.domain.session import RootAllowance, RootAllowed, SessionStarted
from tests.engine.rig import Rig, Says, read, write

pytestmark = pytest.mark.anyio


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path, files={"a.txt": "a"})


def as_root(rig: Rig, allowed_by: RootAllowance) -> None:
    """Go on as another process, which is root's."""
    rig.root_allowed_by = allowed_by
    rig.restart()


async def test_an_ordinary_user_leaves_no_word_about_root(rig: Rig) -> None:
    assert (await rig.run(read("a.txt"))).status == "completed"
    assert rig.events(RootAllowed) == []


async def test_a_task_that_root_starts_and_carries_on_says_so_once(rig: Rig) -> None:
    as_root(rig, "option")
    assert (await rig.run(read("a.txt"))).status == "completed"
    (session,) = rig.events(SessionStarted)
    assert rig.events(RootAllowed) == [RootAllowed(session_id=session.session_id, allowed_by="option")]
    rig.assert_clean()


async def test_a_task_that_root_only_starts_says_so_in_the_commit_that_starts_it(rig: Rig) -> None:
    as_root(rig, "setting")
    await rig.start(read("a.txt"))
    assert len({one.origin.command_id for one in rig.log()}) == 1
    assert [one.allowed_by for one in rig.events(RootAllowed)] == ["setting"]


async def test_each_process_of_roots_that_carries_a_task_on_says_so_before_it_does_anything(rig: Rig) -> None:
    task_id = await rig.start(write("a.txt", rig.content("b")))
    processes: tuple[RootAllowance, ...] = ("option", "setting")
    for allowed_by in processes:
        as_root(rig, allowed_by)
        assert (await rig.app.carry_on(task_id)).status == "awaiting_confirmation"
    as_root(rig, "option")
    assert (await rig.app.carry_on(task_id, Says(approve=True))).status == "completed"
    assert [one.allowed_by for one in rig.events(RootAllowed)] == ["option", "setting", "option"]
    topics = rig.topics()
    assert topics.index("session.root_allowed") < topics.index("task.action_proposed")
    rig.assert_clean()


async def test_two_tasks_of_one_process_are_two_sessions_and_both_say_so(rig: Rig) -> None:
    as_root(rig, "option")
    for _ in range(2):
        await rig.run(read("a.txt"))
    assert len({one.session_id for one in rig.events(RootAllowed)}) == 2
