"""A session that a person ends: its tasks are cancelled, its grants are over, and what is under way is waited for."""

from pathlib import Path

import pytest

from cowork.domain.errors import DomainError
from cowork.domain.session import SessionEnded
from cowork.domain.task import ActionSucceeded
from tests.engine.breaking import Died, Executing, die, with_executor
from tests.engine.rig import PERSON, Rig, Says, delete, read

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path, files={"a.txt": "a", "b.txt": "b"})


def session_of(rig: Rig, task_id: str) -> str:
    return rig.app.task(task_id).session_id


async def test_its_open_tasks_are_cancelled_and_its_questions_taken_back(rig: Rig) -> None:
    task = await rig.run(delete("a.txt"))
    assert task.status == "awaiting_confirmation"
    await rig.app.end_session(task.session_id, by=PERSON, reason="enough")
    assert rig.app.task(task.task_id).status == "cancelled"
    assert rig.app.rows("confirmations", {"status": "pending"}) == []
    assert len(rig.events(SessionEnded)) == 1
    assert rig.files() == {"a.txt": "a", "b.txt": "b"}
    rig.assert_clean()


async def test_a_session_that_has_ended_stays_so(rig: Rig) -> None:
    task = await rig.run(read("a.txt"))
    before = len(rig.rows)
    for _ in range(2):
        await rig.app.end_session(task.session_id, by=PERSON)
    assert len(rig.rows) == before
    assert rig.app.task(task.task_id).status == "completed"


async def test_an_unknown_session_is_named(rig: Rig) -> None:
    with pytest.raises(DomainError, match="there is no session `session-06bq2wr0t0x5k9qz`") as caught:
        await rig.app.end_session("session-06bq2wr0t0x5k9qz", by=PERSON)
    assert caught.value.code == "not_found"


async def test_another_session_goes_on(rig: Rig) -> None:
    tasks = [await rig.run(delete(name)) for name in ("a.txt", "b.txt")]
    await rig.app.end_session(tasks[0].session_id, by=PERSON)
    await rig.answer()
    assert (await rig.app.carry_on(tasks[1].task_id)).status == "completed"
    assert rig.files() == {"a.txt": "a"}


async def test_it_does_not_end_while_another_process_is_in_the_middle_of_an_action(rig: Rig) -> None:
    task_id = await rig.start(delete("a.txt"))
    app = with_executor(rig, Executing(rig, after=die))
    with pytest.raises((Died, BaseExceptionGroup)) as caught:
        await app.carry_on(task_id, Says(approve=True))
    assert isinstance(caught.value, Died) or caught.group_contains(Died)
    app = rig.restart()
    session_id = session_of(rig, task_id)
    with rig.locks.hold(task_id):
        with pytest.raises(DomainError, match="is under way in another process") as refused:
            await app.end_session(session_id, by=PERSON)
        assert refused.value.code == "unavailable"
        assert rig.events(SessionEnded) == []
    # The other process is gone now: what it was at is looked at, and the session ends.
    await app.end_session(session_id, by=PERSON)
    assert [one.recovered for one in rig.events(ActionSucceeded)] == [True]
    assert len(rig.events(SessionEnded)) == 1
    rig.assert_clean()
