"""An engine that is killed takes its commands with it, and what it left is cleared away by the next one."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cowork.engine.ports import NotApplied
from tests.adapters.sandbox.ground import Ground, processes_with

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).resolve().parents[3]


def wait_for(marker: str, *, alive: bool, seconds: float = 10.0) -> list[int]:
    end = time.monotonic() + seconds
    while bool(found := processes_with(marker)) != alive and time.monotonic() < end:
        time.sleep(0.01)
    return found


@pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
async def test_a_killed_engine_leaves_no_process_and_an_area_that_the_next_one_removes(ground: Ground) -> None:
    marker = f"9996.{os.getpid()}"
    engine = subprocess.Popen(  # noqa: ASYNC220 - the test waits for nothing else
        [sys.executable, str(Path(__file__).with_name("dying_engine.py")), str(ground.base), marker],
        env={"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]},
        cwd=ROOT,
    )
    try:
        # The daemon and the command itself: the engine's own arguments hold the marker, too.
        end = time.monotonic() + 10
        while len(processes_with(marker)) < 3 and time.monotonic() < end:
            time.sleep(0.01)  # noqa: ASYNC251 - the same
        assert len(processes_with(marker)) >= 3
    finally:
        engine.kill()
        engine.wait()
    assert wait_for(marker, alive=False, seconds=1.0) == []
    assert (ground.base / "state" / "commands" / "action-dying-1").is_dir()
    assert list(ground.grant.iterdir()) == []
    action = ground.line("true", writes=True)
    permit = ground.permit(action, await ground.facts(action))
    import msgspec

    found = await ground.executor().reconcile(msgspec.structs.replace(permit, action_id="action-dying"))
    assert found == NotApplied()
    ground.require_no_residue()
