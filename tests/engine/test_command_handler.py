"""Commands in, events out: decided on what the log says now, recorded whole or not at all, and again where it moved."""

from collections.abc import Sequence
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from cowork.adapters.event_store.memory import MemoryEventStore
from cowork.domain.confirmation import ConfirmationApproved
from cowork.domain.errors import DomainError
from cowork.domain.event import Event, Origin, Recorded
from cowork.domain.grant import RevokeGrant
from cowork.domain.session import AddGrant, EndSession, OpenSession
from cowork.domain.task import PauseTask, SendMessage, Task, TaskMessaged
from cowork.engine import limits
from cowork.engine.application import Answer
from cowork.engine.command_handler import (
    GRANT,
    SESSION,
    TASK,
    CommandHandler,
    StaleRead,
    order_grant,
    order_session,
    order_task,
)
from cowork.engine.ports import Guard, StreamWrite, VersionConflict
from tests.engine.rig import PERSON, Rig, delete, read

pytestmark = pytest.mark.anyio


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path, files={"a.txt": "a"})


def handler_of(rig: Rig) -> CommandHandler:
    """Return another process's handler on the same rows."""
    return CommandHandler(MemoryEventStore(rig.rows), rig.clock, rig.ids)


def status_in(handler: CommandHandler, task_id: str) -> str:
    state = handler.load(task_id, TASK).state
    assert isinstance(state, Task)
    return state.status


async def started(rig: Rig) -> tuple[str, str, str]:
    """Return the ids of a queued task, its session and its grant."""
    task_id = await rig.start(read("a.txt"))
    session_id = rig.app.task(task_id).session_id
    (grant,) = rig.app.rows("grants")
    return task_id, session_id, str(grant["grant_id"])


async def test_what_another_process_recorded_is_seen_by_the_next_command(rig: Rig) -> None:
    task_id, _, _ = await started(rig)
    one, other = handler_of(rig), handler_of(rig)
    assert status_in(one, task_id) == "ready"
    await other.execute(order_task(task_id, PauseTask("enough")), actor=PERSON, cause="test")
    state = one.load(task_id, TASK)
    assert isinstance(state.state, Task)
    assert (state.state.status, state.version) == ("paused", len(rig.store.read_stream(task_id)))


async def test_a_command_that_changes_nothing_records_nothing(rig: Rig) -> None:
    task_id, _, _ = await started(rig)
    handler = handler_of(rig)
    await handler.execute(order_task(task_id, PauseTask("enough")), actor=PERSON, cause="test")
    before = len(rig.rows)
    assert await handler.execute(order_task(task_id, PauseTask("again")), actor=PERSON, cause="test") == ()
    assert len(rig.rows) == before


async def test_several_orders_are_recorded_together_or_not_at_all(rig: Rig) -> None:
    task_id, session_id, _ = await started(rig)
    handler = handler_of(rig)
    await handler.execute(order_session(session_id, EndSession("over")), actor=PERSON, cause="test")
    before = len(rig.rows)
    orders = (order_task(task_id, PauseTask("x")), order_session(session_id, AddGrant("grant-new")))
    with pytest.raises(DomainError) as refused:
        await handler.execute(*orders, actor=PERSON, cause="test")
    assert refused.value.code == "conflict"
    assert len(rig.rows) == before
    assert status_in(handler, task_id) == "ready"


async def test_a_guard_that_moved_makes_the_whole_append_stale(rig: Rig) -> None:
    task_id, _, grant_id = await started(rig)
    one, other = handler_of(rig), handler_of(rig)
    guard = Guard(grant_id, one.load(grant_id, GRANT).version)
    await other.execute(order_grant(grant_id, RevokeGrant("back")), actor=PERSON, cause="test")
    before = len(rig.rows)
    with pytest.raises(StaleRead):
        await one.execute(order_task(task_id, PauseTask("x")), actor=PERSON, cause="test", guards=[guard])
    assert len(rig.rows) == before


async def test_a_refused_append_leaves_the_state_as_it_was(rig: Rig) -> None:
    task_id, _, _ = await started(rig)
    store = MemoryEventStore(rig.rows)
    handler = CommandHandler(store, rig.clock, rig.ids)
    handler.load(task_id, TASK)
    store.fail_next(DomainError("unavailable", "the disk is full"))
    with pytest.raises(DomainError, match="the disk is full"):
        await handler.execute(order_task(task_id, PauseTask("x")), actor=PERSON, cause="test")
    assert status_in(handler, task_id) == "ready"
    await handler.execute(order_task(task_id, PauseTask("x")), actor=PERSON, cause="test")
    assert status_in(handler, task_id) == "paused"


async def test_a_commit_whose_answer_was_lost_is_not_recorded_twice(rig: Rig) -> None:
    task_id, _, _ = await started(rig)
    store = MemoryEventStore(rig.rows)
    handler = CommandHandler(store, rig.clock, rig.ids)
    store.fail_next(DomainError("unavailable", "no answer"), after_commit=True)
    with pytest.raises(DomainError, match="no answer"):
        await handler.execute(order_task(task_id, PauseTask("x")), actor=PERSON, cause="test")
    before = len(rig.rows)
    assert await handler_of(rig).execute(order_task(task_id, PauseTask("x")), actor=PERSON, cause="test") == ()
    assert len(rig.rows) == before


async def test_of_two_answers_from_two_processes_one_counts(rig: Rig) -> None:
    await rig.run(delete("a.txt"))
    asked = rig.open_question()
    other = rig.engine()
    await rig.app.answer(asked.confirmation_id, asked.digest, Answer(approve=True, answered_by=PERSON))
    with pytest.raises(DomainError, match="already approved") as refused:
        await other.answer(asked.confirmation_id, asked.digest, Answer(approve=False, answered_by="person:bob"))
    assert refused.value.code == "conflict"
    assert len(rig.events(ConfirmationApproved)) == 1


async def test_streams_that_are_no_longer_kept_are_read_again(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "LIVE_STREAMS_MAX", 1)
    task_id, session_id, grant_id = await started(rig)
    handler = handler_of(rig)
    for _ in range(3):
        assert isinstance(handler.load(session_id, SESSION).state, OpenSession)
        assert isinstance(handler.load(task_id, TASK).state, Task)
        assert handler.load(grant_id, GRANT).version == 1


async def test_every_event_of_a_command_names_who_and_why(rig: Rig) -> None:
    await rig.run(read("a.txt"))
    commands = {one.origin.command_id for one in rig.log()}
    assert all(one.origin.actor in (PERSON, "engine", "agent:plan") and one.origin.cause for one in rig.log())
    assert len(commands) == len({(one.origin.command_id, one.origin.at) for one in rig.log()})


async def test_many_who_write_to_one_stream_take_turns(rig: Rig) -> None:
    task_id, *_ = await started(rig)
    refused = 0

    class Counting(MemoryEventStore):
        async def append(
            self, writes: Sequence[StreamWrite], origin: Origin, guards: Sequence[Guard] = ()
        ) -> tuple[Recorded[Event], ...]:
            nonlocal refused
            # As long as one append is on its way, the others have every chance to overtake it.
            await anyio.lowlevel.checkpoint()
            try:
                return await super().append(writes, origin, guards)
            except VersionConflict:
                refused += 1
                raise

    handler = CommandHandler(Counting(rig.rows), rig.clock, rig.ids)

    async def say(number: int) -> None:
        said = SendMessage(text=f"message {number}", strategy="queue", said_by="person:ann")
        await handler.execute(order_task(task_id, said), actor="person:ann", cause="test")

    async with anyio.create_task_group() as group:
        for number in range(64):
            group.start_soon(say, number)
    said = [one.text for one in rig.events(TaskMessaged)]
    assert sorted(said) == sorted(f"message {number}" for number in range(64))
    assert refused == 0
