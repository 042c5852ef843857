"""Of a command that was cut short the log knows where it was let out to: a probe is told, nobody is asked in vain."""

from pathlib import Path

import anyio
import pytest

from cowork.engine.ports import Finding, NotApplied, Permit, Unclear
from tests.engine.breaking import Died
from tests.engine.commands import Commands, Program, Run, command, with_executors
from tests.engine.rig import PERSON, Rig, Says

pytestmark = pytest.mark.anyio


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


class Looked(Commands):
    """An executor of commands that says what the log lets it say, as the real one does."""

    def __init__(self, rig: Rig, fetch: Program) -> None:
        super().__init__(rig, fetch=fetch)
        self.told: list[tuple[str, ...] | None] = []

    async def reconcile(self, permit: Permit) -> Finding:
        self.told.append(permit.reached)
        return Unclear(f"it reached {permit.reached}") if permit.reached else NotApplied()


async def refused_and_dies(run: Run) -> None:
    await run.connect("evil.example", refused="no granted host")
    raise Died


async def reaches_and_dies(run: Run) -> None:
    await run.connect("api.example")
    await run.connect("api.example")
    await run.connect("api.example", 80)
    raise Died


async def ends(run: Run) -> None:
    run.say("done")


def looking(rig: Rig, program: Program) -> Looked:
    looked = Looked(rig, program)
    with_executors(rig, looked)
    return looked


async def _died(rig: Rig, program: Program) -> str:
    """Start a task whose command's process dies; return the task's id."""
    looking(rig, program)
    task_id = await rig.start(command("fetch", hosts=("api.example",)), hosts=("api.example",))
    with pytest.raises((Died, BaseExceptionGroup)):
        await rig.app.carry_on(task_id, Says(approve=True))
    return task_id


async def test_a_command_that_was_let_out_nowhere_is_run_again(rig: Rig) -> None:
    task_id = await _died(rig, refused_and_dies)
    looked = looking(rig, ends)
    assert (await rig.app.carry_on(task_id)).status == "completed"
    assert looked.told == [()]
    assert len(looked.ran) == 1
    rig.assert_clean()


async def test_of_a_command_that_was_let_out_a_person_is_asked_and_told_where_to(rig: Rig) -> None:
    task_id = await _died(rig, reaches_and_dies)
    looked = looking(rig, ends)
    assert (await rig.app.carry_on(task_id)).status == "awaiting_confirmation"
    assert looked.told == [("api.example:443", "api.example:80")]
    assert looked.ran == []
    rig.assert_clean()


async def test_what_an_earlier_attempt_reached_is_not_held_against_a_later_one(rig: Rig) -> None:
    task_id = await _died(rig, refused_and_dies)
    looking(rig, reaches_and_dies)
    with pytest.raises((Died, BaseExceptionGroup)):
        await rig.app.carry_on(task_id)
    rig.restart()
    looked = looking(rig, ends)
    assert (await rig.app.carry_on(task_id)).status == "awaiting_confirmation"
    assert looked.told == [("api.example:443", "api.example:80")]
    rig.assert_clean()


@pytest.mark.parametrize("host", ["", "api.example"])
async def test_a_command_that_is_interrupted_is_looked_at_in_the_same_way(rig: Rig, host: str) -> None:
    began = anyio.Event()

    async def waits(run: Run) -> None:
        if host:
            await run.connect(host)
        began.set()
        await anyio.sleep_forever()

    looked = looking(rig, waits)
    task_id = await rig.start(command("fetch", hosts=("api.example",)), hosts=("api.example",))
    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(rig.app.carry_on, task_id, Says(approve=True))
            await began.wait()
            await rig.app.interrupt(task_id, by=PERSON)
    assert looked.told == [(f"{host}:443",) if host else ()]
    rig.assert_clean()
