"""The races through the whole engine: an adversary swaps names while tasks run, and two tasks want one file.

The executor alone is raced tens of thousands of times beside its own tests; here the question is whether anything
between the decision and the effect gives the adversary another chance.
"""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from cowork.domain.action import FileCreate, FileDelete, FileRead, FileWrite, Location
from cowork.domain.task import ActionSucceeded
from tests.acceptance.engine import YES, Engine, Person, opened_engine
from tests.acceptance.event_oracle import assert_history_is_sound
from tests.acceptance.pipeline_cases import files_with
from tests.adapters.files.cases.ground import Ground

ROOT = Path(__file__).resolve().parents[2]
TASKS = 60
STEPS = 10


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[Ground]:
    made = Ground(tmp_path / "base")
    yield made
    made.close()


@pytest.fixture(params=["openat2", "walk"])
def engine(ground: Ground, request: pytest.FixtureRequest) -> Iterator[Engine]:
    with opened_engine(ground.base / "store", request.param) as opened:
        yield opened


@contextlib.contextmanager
def swapping(folder: Path, name: str, other: str) -> Iterator[int]:
    """Have another process swap the two names for the length of the block; gives its id."""
    command = [sys.executable, "-m", "tests.adapters.files.adversary", str(folder), name, other]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            yield process.pid
        finally:
            process.kill()


def hold(adversary: int) -> None:
    """Make the adversary wait, so that a test can look at names that stand still."""
    os.kill(adversary, signal.SIGSTOP)
    os.waitpid(adversary, os.WUNTRACED)


def contents_in(folder: Path) -> list[str]:
    """Return what the files in the folder hold."""
    return sorted(path.read_text() for path in folder.iterdir())


def results(engine: Engine, task_id: str) -> list[bytes]:
    """Return what the task's reads brought back."""
    events = [frame.recorded.event for frame in engine.app.replay(task_id)]
    done = [event.result for event in events if isinstance(event, ActionSucceeded)]
    return [engine.app.result(result.digest) for result in done if result is not None and result.digest]


@pytest.mark.anyio
async def test_rac_01_and_02_nothing_outside_is_read_or_written_while_names_are_swapped(
    engine: Engine, ground: Ground
) -> None:
    (ground.grant / "sub").mkdir()
    (ground.grant / "sub" / "f").write_bytes(b"inside")
    (ground.out / "f").write_text(ground.canary)
    (ground.grant / "evil").symlink_to("../out")
    before = ground.untouchable()
    data = engine.blobs.put(b"new")
    read: list[bytes] = []
    with swapping(ground.grant, "sub", "evil"):
        for number in range(TASKS):
            task_id = await engine.start(
                *(FileRead(at=Location("", "sub/f")) for _ in range(STEPS)),
                FileCreate(at=Location("", f"sub/new{number}"), content=data),
                FileDelete(at=Location("", f"sub/new{number}")),
                folders=(ground.grant,),
                contents=(b"new",),
                outputs=(ground.grant,),
            )
            task = await engine.app.carry_on(task_id, Person(YES))
            if task.status == "awaiting_confirmation":
                await engine.app.cancel(task_id, by="person:tester")
            assert_history_is_sound(engine.app, task_id)
            read += results(engine, task_id)
    assert set(read) == {b"inside"}
    assert ground.untouchable() == before
    assert engine.app.audit().violations == ()
    assert files_with(ground.base / "store", ground.canary.encode()) == []
    assert ground.leftovers() == []


@pytest.mark.anyio
async def test_rac_09_what_was_not_approved_is_never_deleted(engine: Engine, ground: Ground) -> None:
    target, precious = ground.grant / "target", ground.grant / "precious"
    deleted = kept = 0
    with swapping(ground.grant, "target", "precious") as adversary:
        for number in range(10 * TASKS):
            if number >= TASKS and deleted and kept:
                break
            hold(adversary)
            target.write_text("may go")
            precious.write_text("must stay")
            task_id = await engine.start(FileDelete(at=Location("", "target")), folders=(ground.grant,))
            person = Person(YES)
            os.kill(adversary, signal.SIGCONT)
            task = await engine.app.carry_on(task_id, person)
            hold(adversary)
            if not task.is_final:
                await engine.app.cancel(task_id, by="person:tester")
            assert_history_is_sound(engine.app, task_id)
            left = contents_in(ground.grant)
            if task.status == "completed":
                deleted += 1
                assert left == (["may go"] if was_shown_as_precious(person) else ["must stay"])
            else:
                kept += 1
                assert left == ["may go", "must stay"]
            for name in os.listdir(ground.grant):
                (ground.grant / name).unlink()
            os.kill(adversary, signal.SIGCONT)
    assert deleted > 0
    assert kept > 0
    assert ground.leftovers() == []


def was_shown_as_precious(person: Person) -> bool:
    """Whether the person said yes to the precious file, because it stood there when the question was put."""
    lines = [line for block in person.asked[0].card.blocks for line in block.lines]
    return any("9 bytes" in line for line in lines)


@pytest.mark.anyio
async def test_rac_13_of_two_tasks_with_one_base_version_one_writes_and_the_other_is_asked_again(
    engine: Engine, ground: Ground
) -> None:
    path = ground.grant / "f"
    for number in range(TASKS // 2):
        path.write_text("base")
        bodies = [f"one {number}".encode(), f"two {number}".encode()]
        task_ids = [
            await engine.start(
                FileWrite(at=Location("", "f"), content=engine.blobs.put(body)),
                folders=(ground.grant,),
                contents=(body,),
            )
            for body in bodies
        ]
        people = [Person(), Person()]
        for task_id, person in zip(task_ids, people, strict=True):
            await engine.app.carry_on(task_id, person)
            await engine.app.answer(person.asked[0].confirmation_id, person.asked[0].digest, YES)
        async with anyio.create_task_group() as both:
            for task_id in task_ids:
                both.start_soon(engine.app.carry_on, task_id)
        ends = [engine.app.task(task_id).status for task_id in task_ids]
        winner = ends.index("completed")
        assert path.read_bytes() == bodies[winner]
        assert ends[1 - winner] in ("awaiting_confirmation", "failed"), ends
        if ends[1 - winner] == "awaiting_confirmation":
            await engine.app.cancel(task_ids[1 - winner], by="person:tester")
        for task_id in task_ids:
            assert_history_is_sound(engine.app, task_id)
    assert engine.app.audit().violations == ()
    assert os.listdir(ground.grant) == ["f"]
