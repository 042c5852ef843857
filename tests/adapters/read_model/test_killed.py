"""Processes that apply at once and are killed: every event counts exactly once."""

import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from random import Random

import pytest

from cowork.adapters.read_model.memory import MemoryReadModel
from cowork.adapters.read_model.sqlite import SqliteReadModel
from cowork.projections.registry import PROJECTIONS, TABLES
from tests.adapters.read_model.applying import history

ROOT = Path(__file__).resolve().parents[3]


def _started(path: Path, seed: int, sizes: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.adapters.read_model.applying", str(path), str(seed), str(sizes)]
    return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _begin(process: subprocess.Popen[str]) -> subprocess.Popen[str]:
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()
    return process


def _expected(seed: int) -> bytes:
    events = history(seed)
    model = MemoryReadModel(TABLES)
    for projection in PROJECTIONS:
        changes = [change for recorded in events for change in projection.on(recorded)]
        model.apply(projection.name, projection.code_version, changes, events[-1].position)
    return model.dump()


def _race(path: Path, seed: int, kills: int) -> int:
    """Let two processes at a time apply, kill one after the other; return how many were killed at work."""
    random = Random(seed)
    waiting = [_started(path, seed, random.randrange(10**6)) for _ in range(kills + 2)]
    for process in waiting:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    running = [_begin(waiting.pop()), _begin(waiting.pop())]
    killed = 0
    while waiting:
        time.sleep(random.uniform(0, 0.03))
        victim = running.pop(0)
        killed += victim.poll() is None
        victim.kill()
        victim.communicate()
        running.append(_begin(waiting.pop()))
    for process in running:
        process.communicate(timeout=60)
        assert process.returncode == 0
    return killed


def _check(path: Path, seed: int) -> None:
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    model = SqliteReadModel(path, TABLES)
    assert model.notices == []
    last = history(seed)[-1].position
    assert [model.position(p.name, p.code_version) for p in PROJECTIONS] == [last] * len(PROJECTIONS)
    assert model.dump() == _expected(seed)
    model.close()


def test_two_processes_that_are_killed_while_they_apply_leave_every_event_applied_once(tmp_path: Path) -> None:
    killed = _race(tmp_path / "read.db", seed=3, kills=8)
    _check(tmp_path / "read.db", seed=3)
    assert killed >= 3


@pytest.mark.race_long
@pytest.mark.parametrize("seed", range(20))
def test_many_rounds_of_killing_leave_every_event_applied_once(seed: int, tmp_path: Path) -> None:
    _race(tmp_path / "read.db", seed, kills=30)
    _check(tmp_path / "read.db", seed)
