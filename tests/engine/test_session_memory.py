"""The memory of sessions in the whole engine: who may use it, when it goes, and where it is to be found: nowhere."""

import base64
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import anyio
import pytest

from cowork.adapters.bootstrap import open_application
from cowork.adapters.memory.volatile import VolatileSessionMemory
from cowork.domain.action import Action
from cowork.domain.errors import DomainError
from cowork.domain.plan import Plan, Step
from cowork.domain.session import SessionEnded
from cowork.domain.session_memory import MemoryDestroyed, MemoryWritten
from cowork.engine.application import Application, FolderRequest, PlannedTask, RunRequest
from cowork.engine.keeping_ports import MemorySize
from tests.engine.rig import PERSON, Rig, Says, assert_clean, delete, read

ROOT = Path(__file__).resolve().parents[2]
NAME, VALUE = "canary-name-4f1d", b"canary-value-8c1e55f0"

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path, files={"a.txt": "a", "b.txt": "b"})


def session_of(app: Application, task_id: str) -> str:
    return app.task(task_id).session_id


async def refusal(use: Awaitable[object]) -> DomainError:
    with pytest.raises(DomainError) as caught:
        await use
    return caught.value


async def test_agents_of_a_session_share_it_and_no_other_session_knows_it(rig: Rig) -> None:
    tasks = [await rig.start(read("a.txt")) for _ in range(2)]
    mine, other = (rig.app.memory(session_of(rig.app, task)) for task in tasks)
    assert await mine.put(NAME, VALUE) == MemorySize(1, len(NAME) + len(VALUE))
    again = rig.app.memory(session_of(rig.app, tasks[0]))
    assert (await again.get(NAME), await again.names()) == (VALUE, [NAME])
    assert (await other.get(NAME), await other.names()) == (None, [])
    assert (await mine.delete(NAME)).entries == 0
    assert await mine.get(NAME) is None
    rig.assert_clean()


async def test_the_log_has_counts_and_sizes_and_nothing_else(rig: Rig) -> None:
    task = await rig.start(read("a.txt"))
    session = session_of(rig.app, task)
    await rig.app.memory(session).put(NAME, VALUE)
    await rig.app.memory(session).put("other", b"12345")
    sizes = [(one.session_id, one.entries, one.held_bytes) for one in rig.events(MemoryWritten)]
    assert sizes == [(session, 1, 37), (session, 2, 47)]
    assert not any(NAME.encode() in row[4] or VALUE in row[4] for row in rig.rows)


async def end_by_its_last_step(rig: Rig, task: str) -> None:
    await rig.app.carry_on(task, Says(approve=True))


async def cancel(rig: Rig, task: str) -> None:
    await rig.app.cancel(task, by=PERSON)


async def end_the_session(rig: Rig, task: str) -> None:
    await rig.app.end_session(session_of(rig.app, task), by=PERSON)


async def end_in_another_process(rig: Rig, task: str) -> None:
    other = rig.engine()
    await other.end_session(other.task(task).session_id, by=PERSON)


@pytest.mark.parametrize("end", [end_by_its_last_step, cancel, end_the_session, end_in_another_process])
async def test_it_is_gone_when_the_session_ends_whoever_ends_it(
    rig: Rig, end: Callable[[Rig, str], Awaitable[None]]
) -> None:
    task = await rig.start(delete("a.txt"))
    session = session_of(rig.app, task)
    memory = rig.app.memory(session)
    await memory.put(NAME, VALUE)
    await end(rig, task)
    assert rig.memory.sessions() == []
    assert [one.session_id for one in rig.events(SessionEnded)] == [session]
    assert rig.events(MemoryDestroyed) == [MemoryDestroyed(session_id=session, entries=1, held_bytes=37)]
    assert rig.app.memory_on_record(session).destroyed
    for use in (memory.get(NAME), memory.names(), memory.put(NAME, b"again"), memory.delete(NAME)):
        error = await refusal(use)
        assert (error.code, "has ended, and its memory is gone" in error.message) == ("conflict", True)
    assert rig.memory.sessions() == []
    rig.assert_clean()


async def test_a_session_that_never_wrote_leaves_no_trace_of_a_memory(rig: Rig) -> None:
    await rig.run(read("a.txt"))
    assert not rig.events(MemoryWritten)
    assert not rig.events(MemoryDestroyed)


async def test_an_unknown_session_has_no_memory(rig: Rig) -> None:
    error = await refusal(rig.app.memory("session-06bq2wr0t0x5k9qz").put(NAME, VALUE))
    assert error.code == "not_found"
    assert rig.memory.sessions() == []


async def test_what_is_written_while_the_session_ends_does_not_stay(rig: Rig) -> None:
    task = await rig.start(delete("a.txt"))
    session = session_of(rig.app, task)

    class EndsMeanwhile(VolatileSessionMemory):
        ends: bool = True

        def put(self, session_id: str, name: str, value: bytes | None) -> MemorySize:
            if self.ends:
                self.ends = False
                # Another process, between the look whether the session is open and the note in the log.
                anyio.run(lambda: end_in_another_process(rig, task))
            return super().put(session_id, name, value)

    rig.memory = EndsMeanwhile()
    app = rig.engine()
    error = await refusal(app.memory(session).put(NAME, VALUE))
    assert error.code == "conflict"
    assert rig.memory.sessions() == []
    assert rig.events(MemoryWritten) == []


async def test_what_a_crash_left_of_an_ended_sessions_memory_goes_with_the_next_start(rig: Rig) -> None:
    tasks = [await rig.start(delete("a.txt")) for _ in range(2)]
    ended, still_open = (session_of(rig.app, task) for task in tasks)
    for session in (ended, still_open):
        await rig.app.memory(session).put(NAME, VALUE)

    class Dies(VolatileSessionMemory):
        def destroy(self, session_id: str) -> bool:
            raise DomainError("unavailable", "as a process that is killed")

    kept, rig.memory = rig.memory, Dies()
    dying = rig.engine()
    with pytest.raises(DomainError, match="as a process that is killed"):
        await dying.end_session(ended, by=PERSON)
    rig.memory = kept
    assert rig.memory.sessions() == [ended, still_open]
    app = rig.restart()
    assert rig.memory.get(ended, NAME) is None
    await app.end_session(ended, by=PERSON)
    assert rig.memory.sessions() == [still_open]
    assert rig.memory.get(still_open, NAME) == VALUE
    assert [one.session_id for one in rig.events(MemoryDestroyed)] == [ended]


# On real files


def forms(secret: bytes) -> list[bytes]:
    return [secret, base64.b64encode(secret)[:-4], base64.b64encode(b"x" + secret)[4:-4], secret.hex().encode()]


def found_in(folder: Path, *secrets: bytes) -> list[str]:
    """Return the files below the folder that hold one of the secrets in any form, in their bytes or names."""
    found: list[str] = []
    for path in (path for path in folder.rglob("*") if path.is_file()):
        text = path.read_bytes() + os.fsencode(path.name)
        found += [str(path) for secret in secrets if any(form in text for form in forms(secret))]
    return found


def request(work: Path, *actions: Action) -> RunRequest:
    steps = tuple(Step(step_id=f"s{n}", title="step", request=action) for n, action in enumerate(actions))
    return RunRequest(
        planned=PlannedTask(Plan(title="a task", steps=steps)),
        planner="test",
        folders=(FolderRequest(path=str(work)),),
        user="ann",
        device="here",
        platform="linux",
    )


@pytest.fixture
def work(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "a.txt").write_text("a")
    return folder


async def test_a_canary_of_one_session_is_found_in_no_file_of_the_store_nor_in_another_session(
    tmp_path: Path, work: Path
) -> None:
    store = tmp_path / "store"
    app = open_application(store)
    try:
        task, other_task = [await app.start(request(work, delete("a.txt"))) for _ in range(2)]
        session, other = session_of(app, task), session_of(app, other_task)
        await app.memory(session).put(NAME, VALUE)
        await app.memory(other).put("its own", b"something else")
        assert await app.memory(session).get(NAME) == VALUE
        # Not even while the session is open is it anywhere in clear: the key is elsewhere.
        assert found_in(tmp_path, VALUE, NAME.encode()) == []
        key = (store / "memory" / f"{session}.key").read_bytes()
        sealed = (store / "memory" / session).read_bytes()
        assert await app.memory(other).names() == ["its own"]

        await app.end_session(session, by=PERSON)

        assert found_in(tmp_path, VALUE, NAME.encode(), key, sealed) == []
        assert sorted(path.name for path in (store / "memory").iterdir()) == [other, f"{other}.key"]
        assert await app.memory(other).names() == ["its own"]
        assert_clean(app.audit())
    finally:
        app.close()
    assert found_in(tmp_path, VALUE, NAME.encode(), key, sealed) == []


DIES = """
import os, signal, sys
from pathlib import Path
import anyio
from cowork.adapters.bootstrap import open_application
from cowork.adapters.memory.files import FileSessionMemory

moment = sys.argv[2]

def dying(name):
    kept = getattr(FileSessionMemory, name)
    def method(self, session_id):
        if moment == f"before {name}":
            os.kill(os.getpid(), signal.SIGKILL)
        result = kept(self, session_id)
        if moment == f"after {name}":
            os.kill(os.getpid(), signal.SIGKILL)
        return result
    setattr(FileSessionMemory, name, method)

dying("destroy")
dying("clear")
app = open_application(Path(sys.argv[1]))
anyio.run(lambda: app.end_session(sys.argv[3], by="person:ann"))
"""


@pytest.mark.parametrize("moment", ["before destroy", "after destroy", "before clear", "after clear"])
async def test_a_process_that_is_killed_after_the_session_ended_leaves_nothing_to_be_read(
    moment: str, tmp_path: Path, work: Path
) -> None:
    store = tmp_path / "store"
    app = open_application(store)
    task = await app.start(request(work, delete("a.txt")))
    session = session_of(app, task)
    await app.memory(session).put(NAME, VALUE)
    app.close()

    dying = [sys.executable, "-c", DIES, str(store), moment, session]
    died = await anyio.run_process(dying, cwd=ROOT, check=False)
    assert died.returncode == -signal.SIGKILL

    app = open_application(store)
    try:
        # By now nobody can read it, whatever was asked of this process.
        assert not (store / "memory" / f"{session}.key").exists()
        error = await refusal(app.memory(session).get(NAME))
        assert error.code == "conflict"
        await app.end_session(session, by=PERSON)
        assert list((store / "memory").iterdir()) == []
        assert app.memory_on_record(session).destroyed
        destroyed = [one for one in app.store.read_log(after=0, limit=1000) if isinstance(one.event, MemoryDestroyed)]
        assert len(destroyed) == 1
        assert found_in(tmp_path, VALUE, NAME.encode()) == []
        assert_clean(app.audit())
    finally:
        app.close()
