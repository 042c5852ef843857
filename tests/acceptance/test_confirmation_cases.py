"""The cases of confirmation, policy and events that need the whole engine: nothing happens without a fitting yes."""

import unicodedata
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from cowork.domain.action import Action, Content, FileCreate, FileDelete, FileMove, FileRead, FileWrite, Location
from cowork.domain.errors import DomainError
from cowork.domain.event import Event, Origin, Recorded
from cowork.domain.policy import Policy
from cowork.domain.task import ActionStarted, StartAction
from cowork.engine import limits
from cowork.engine.command_handler import order_task
from cowork.engine.ports import EventStore, Guard, StreamWrite
from tests.acceptance.engine import NO, YES, Engine, MovableClock, Person, opened_engine
from tests.acceptance.event_oracle import assert_history_is_sound


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    folder = tmp_path / "inbox"
    folder.mkdir()
    (folder / "a.txt").write_text("a")
    (folder / "b.txt").write_text("b")
    return folder


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    with opened_engine(tmp_path / "store") as opened:
        yield opened


def delete(path: str) -> FileDelete:
    return FileDelete(at=Location("", path))


def content(data: bytes, engine: Engine) -> Content:
    return engine.blobs.put(data)


async def waiting(engine: Engine, inbox: Path, *actions: Action) -> tuple[str, Person]:
    """Start a task that has to ask, and leave its questions open."""
    task_id = await engine.start(*actions, folders=(inbox,))
    person = Person()
    task = await engine.app.carry_on(task_id, person)
    assert task.status == "awaiting_confirmation"
    return task_id, person


def start_of(engine: Engine, task_id: str, approval: str) -> StartAction:
    (action,) = engine.app.task(task_id).open_actions.values()
    return StartAction(action_id=action.action_id, digest=action.digest, approval=approval)


# CNF-01


@pytest.mark.anyio
async def test_cnf_01_nothing_starts_without_an_approval_of_its_own(engine: Engine, inbox: Path) -> None:
    first, first_asked = await waiting(engine, inbox, delete("a.txt"))
    second, second_asked = await waiting(engine, inbox, delete("b.txt"))
    (of_second,) = second_asked.asked
    await engine.app.answer(of_second.confirmation_id, of_second.digest, YES)
    for approval in ("", of_second.confirmation_id, "confirmation-0000000000000000"):
        with pytest.raises(DomainError, match="was not approved"):
            await engine.handler.execute(order_task(first, start_of(engine, first, approval)), actor="engine", cause="")
    task = await engine.app.carry_on(first)
    assert task.status == "awaiting_confirmation"
    assert (inbox / "a.txt").exists()
    assert "task.action_started" not in engine.events(first)
    assert (await engine.app.carry_on(second)).status == "completed"
    assert not (inbox / "b.txt").exists()
    assert first_asked.asked[0].digest != of_second.digest


@pytest.mark.anyio
async def test_cnf_01_an_answer_to_another_digest_or_to_nothing_is_no_approval(engine: Engine, inbox: Path) -> None:
    task_id, person = await waiting(engine, inbox, delete("a.txt"))
    (question,) = person.asked
    for digest in ("sha256:" + "0" * 64, "", question.digest[:10]):
        with pytest.raises(DomainError) as refused:
            await engine.app.answer(question.confirmation_id, digest, YES)
        assert refused.value.code in ("conflict", "invalid")
    with pytest.raises(DomainError, match="there is no confirmation"):
        await engine.app.answer("confirmation-0000000000000000", question.digest, YES)
    assert (await engine.app.carry_on(task_id)).status == "awaiting_confirmation"
    assert "confirmation.approved" not in engine.events(task_id)
    assert (inbox / "a.txt").exists()


@pytest.mark.anyio
async def test_cnf_01_an_expired_question_can_not_be_approved_and_counts_as_a_no(engine: Engine, inbox: Path) -> None:
    task_id, person = await waiting(engine, inbox, delete("a.txt"))
    (question,) = person.asked
    engine.clock.later = timedelta(seconds=limits.CONFIRMATION_TTL_S + 1)
    with pytest.raises(DomainError) as refused:
        await engine.app.answer(question.confirmation_id, question.digest, YES)
    assert refused.value.code == "expired"
    task = await engine.app.carry_on(task_id, Person(YES, YES))
    assert task.is_final
    assert (inbox / "a.txt").exists()
    assert "task.action_started" not in engine.events(task_id)
    assert "confirmation.expired" in engine.events(task_id)
    assert_history_is_sound(engine.app, task_id)


# CNF-02


@pytest.mark.anyio
async def test_cnf_02_an_approval_is_good_for_one_execution(engine: Engine, inbox: Path) -> None:
    task_id, person = await waiting(engine, inbox, delete("a.txt"))
    (question,) = person.asked
    command = start_of(engine, task_id, question.confirmation_id)
    await engine.app.answer(question.confirmation_id, question.digest, YES)
    assert (await engine.app.carry_on(task_id)).status == "completed"
    (inbox / "a.txt").write_text("again")
    with pytest.raises(DomainError):
        await engine.handler.execute(order_task(task_id, command), actor="engine", cause="")
    with pytest.raises(DomainError) as twice:
        await engine.app.answer(question.confirmation_id, question.digest, YES)
    assert twice.value.code == "conflict"
    with pytest.raises(DomainError, match="has ended"):
        await engine.app.carry_on(task_id)
    again, second = await waiting(engine, inbox, delete("a.txt"))
    assert second.asked[0].confirmation_id != question.confirmation_id
    assert (inbox / "a.txt").read_text() == "again"
    assert engine.events(task_id).count("task.action_started") == 1
    assert "task.action_started" not in engine.events(again)


# CNF-03


@pytest.mark.anyio
async def test_cnf_03_any_other_byte_is_another_question(engine: Engine, inbox: Path) -> None:
    bodies = (b"x", b"x ", b"x\n", b"X")
    names = ("new", "New", "new ", unicodedata.normalize("NFC", "né"), unicodedata.normalize("NFD", "né"))
    (inbox / "a").write_text("moved")
    wanted: list[Action] = [FileCreate(at=Location("", "new"), content=content(body, engine)) for body in bodies]
    wanted += [FileCreate(at=Location("", name), content=content(b"y", engine)) for name in names]
    wanted += [
        FileMove(at=Location("", "a"), to=Location("", "new")),
        FileMove(at=Location("", "a.txt"), to=Location("", "new")),
        FileMove(at=Location("", "a"), to=Location("", "other")),
    ]
    questions = [(await waiting(engine, inbox, action))[1].asked[0] for action in wanted]
    digests = {question.digest for question in questions}
    assert len(digests) == len(wanted)
    for question in questions[1:]:
        with pytest.raises(DomainError) as refused:
            await engine.app.answer(question.confirmation_id, questions[0].digest, YES)
        assert refused.value.code == "conflict"


# CNF-04


@pytest.mark.anyio
@pytest.mark.parametrize("moment", ["before the answer", "after the answer"])
async def test_cnf_04_a_file_that_changed_after_it_was_shown_is_asked_about_again(
    moment: str, engine: Engine, inbox: Path
) -> None:
    action = FileWrite(at=Location("", "a.txt"), content=content(b"the agent's", engine))
    task_id, person = await waiting(engine, inbox, action)
    (question,) = person.asked
    if moment == "after the answer":
        await engine.app.answer(question.confirmation_id, question.digest, YES)
    (inbox / "a.txt").write_text("the user's own words")
    if moment == "before the answer":
        await engine.app.answer(question.confirmation_id, question.digest, YES)
    second = Person()
    task = await engine.app.carry_on(task_id, second)
    assert task.status == "awaiting_confirmation"
    assert (inbox / "a.txt").read_text() == "the user's own words"
    (again,) = second.asked
    changed = [line for block in again.card.blocks if block.role == "changed" for line in block.lines]
    assert any("`a.txt` has changed" in line and "20 bytes" in line for line in changed), changed
    assert again.digest != question.digest
    assert "task.action_started" not in engine.events(task_id)
    await engine.app.answer(again.confirmation_id, again.digest, NO)
    await engine.app.carry_on(task_id)
    assert (inbox / "a.txt").read_text() == "the user's own words"
    assert_history_is_sound(engine.app, task_id)


# CNF-10


@pytest.mark.anyio
async def test_cnf_10_the_question_is_made_of_the_action_and_the_agents_words_are_apart(
    engine: Engine, inbox: Path
) -> None:
    lie = "just read the file a.txt, nothing else"
    task_id = await engine.start(delete("a.txt"), folders=(inbox,), description=lie)
    person = Person(NO)
    await engine.app.carry_on(task_id, person)
    (question,) = person.asked
    assert "elete" in question.card.headline
    of_agent = [block for block in question.card.blocks if any(lie in line for line in block.lines)]
    assert [block.role for block in of_agent] == ["agent"]
    assert "not checked" in of_agent[0].lines[0]
    actions = next(block for block in question.card.blocks if block.role == "action")
    assert any("elete" in line for line in actions.lines)
    assert [block.role for block in question.card.blocks].index("agent") > 1


# CNF-13


@pytest.mark.anyio
async def test_cnf_13_a_question_that_was_left_open_executes_nothing_after_a_restart(
    tmp_path: Path, inbox: Path
) -> None:
    with opened_engine(tmp_path / "store") as engine:
        task_id, person = await waiting(engine, inbox, delete("a.txt"))
    (question,) = person.asked
    with opened_engine(tmp_path / "store") as engine:
        assert engine.app.resumable() == [task_id]
        assert (await engine.app.carry_on(task_id)).status == "awaiting_confirmation"
        assert (inbox / "a.txt").exists()
        again = Person()
        await engine.app.carry_on(task_id, again)
        assert [one.confirmation_id for one in again.asked] == [question.confirmation_id]
        assert "task.action_started" not in engine.events(task_id)
    clock = MovableClock()
    clock.later = timedelta(seconds=limits.CONFIRMATION_TTL_S + 1)
    with opened_engine(tmp_path / "store", clock=clock) as engine:
        assert (await engine.app.carry_on(task_id)).is_final
        assert (inbox / "a.txt").exists()
        assert_history_is_sound(engine.app, task_id)


# CNF-17


@pytest.mark.anyio
async def test_cnf_17_an_evaluation_that_breaks_is_a_denial_on_record(
    engine: Engine, inbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a rule that can't be evaluated")

    asked_before, person = await waiting(engine, inbox, delete("a.txt"))
    (question,) = person.asked
    await engine.app.answer(question.confirmation_id, question.digest, YES)
    allowed = await engine.start(FileRead(at=Location("", "b.txt")), folders=(inbox,))
    with monkeypatch.context() as patch:
        patch.setattr(Policy, "decide", broken)
        for task_id in (asked_before, allowed):
            assert (await engine.app.carry_on(task_id)).status == "blocked"
            assert "task.action_started" not in engine.events(task_id)
            assert "task.action_allowed" not in engine.events(task_id)
    assert "task.action_declined" in engine.events(asked_before)
    assert "task.action_denied" in engine.events(allowed)
    assert (inbox / "a.txt").exists()
    assert engine.app.audit().violations == ()


# CNF-19


class FullDisk:
    """The log, on a disk that has no room for the next start of an action."""

    def __init__(self, store: EventStore) -> None:
        self._store = store
        self.is_full = True
        self.refused = 0

    async def append(
        self, writes: Sequence[StreamWrite], origin: Origin, guards: Sequence[Guard] = ()
    ) -> tuple[Recorded[Event], ...]:
        """Refuse starts as a full disk does, and pass everything else on."""
        if self.is_full and any(isinstance(event, ActionStarted) for write in writes for event in write.events):
            self.refused += 1
            raise DomainError("unavailable", "the event store can't be written: no space left on device")
        return await self._store.append(writes, origin, guards)

    def read_stream(self, stream: str, *, after_version: int = 0) -> list[Recorded[Event]]:
        return self._store.read_stream(stream, after_version=after_version)

    def read_log(self, *, after: int, limit: int) -> list[Recorded[Event]]:
        return self._store.read_log(after=after, limit=limit)

    def head(self) -> int:
        return self._store.head()

    def others_appended(self) -> bool:
        return self._store.others_appended()

    def close(self) -> None:
        self._store.close()


@pytest.mark.anyio
async def test_cnf_19_what_can_not_be_recorded_is_not_done(tmp_path: Path, inbox: Path) -> None:
    disks: list[FullDisk] = []

    def around(store: EventStore) -> EventStore:
        disks.append(FullDisk(store))
        return disks[-1]

    with opened_engine(tmp_path / "store", around=around) as engine:
        task_id, person = await waiting(engine, inbox, delete("a.txt"))
        (question,) = person.asked
        await engine.app.answer(question.confirmation_id, question.digest, YES)
        for _ in range(2):
            with pytest.raises(DomainError, match="no space left"):
                await engine.app.carry_on(task_id)
        assert disks[0].refused == 2
        assert (inbox / "a.txt").exists()
        disks[0].is_full = False
        assert (await engine.app.carry_on(task_id)).status == "completed"
        assert not (inbox / "a.txt").exists()
        assert engine.events(task_id).count("task.action_started") == 1
        assert_history_is_sound(engine.app, task_id)
