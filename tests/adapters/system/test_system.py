"""Ids never repeat and sort by time; a task lock ends with its process, however that ends."""

import os
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cowork.adapters.system.clock import SystemClock
from cowork.adapters.system.ids import RandomIds
from cowork.adapters.system.task_locks import FileTaskLocks


def test_ids_of_one_process_never_repeat_and_sort_by_time() -> None:
    ids = RandomIds()
    made = [ids.new("task") for _ in range(20_000)]

    assert len(set(made)) == len(made)
    assert made == sorted(made)


def test_an_id_counts_on_when_the_clock_steps_back(monkeypatch: pytest.MonkeyPatch) -> None:
    ids = RandomIds()
    now = time.time_ns()
    first = ids.new("task")
    monkeypatch.setattr(time, "time_ns", lambda: now - 3_600_000_000_000)
    second = ids.new("task")

    assert second > first


def test_the_clock_is_in_utc() -> None:
    now = SystemClock().now()

    assert now.utcoffset() == timedelta(0)
    assert abs(now - datetime.now(UTC)) < timedelta(seconds=5)


HOLDER = """
import sys, time
from pathlib import Path
from cowork.adapters.system.task_locks import FileTaskLocks
with FileTaskLocks(Path(sys.argv[1])).hold("task-1") as mine:
    print(mine, flush=True)
    time.sleep(60)
"""


def test_a_task_is_had_by_one_process_at_a_time_and_free_again_after_kill_9(tmp_path: Path) -> None:
    locks = FileTaskLocks(tmp_path / "locks")
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path / "locks")], stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline().strip() == "True"
        with locks.hold("task-1") as mine, locks.hold("task-2") as other:
            assert (mine, other) == (False, True)
        os.kill(holder.pid, signal.SIGKILL)
        holder.wait()
    with locks.hold("task-1") as mine:
        assert mine


def test_a_lock_is_held_against_other_threads_of_the_process_too(tmp_path: Path) -> None:
    locks = FileTaskLocks(tmp_path / "locks")
    seen: list[bool] = []

    def look() -> None:
        with locks.hold("task-1") as mine:
            seen.append(mine)

    with locks.hold("task-1") as mine:
        assert mine
        thread = threading.Thread(target=look)
        thread.start()
        thread.join()
    assert seen == [False]


CONTENDER = """
import os, sys
from pathlib import Path
from cowork.adapters.system.task_locks import FileTaskLocks
folder, had = Path(sys.argv[1]), 0
locks = FileTaskLocks(folder / "locks")
while had < 400:
    with locks.hold("task-1") as mine:
        if mine:
            # Whoever comes in while another one is inside finds the folder there, and ends with an error.
            os.mkdir(folder / "inside")
            os.rmdir(folder / "inside")
            had += 1
"""


def test_many_who_want_a_task_have_it_one_after_the_other_though_its_file_comes_and_goes(tmp_path: Path) -> None:
    command = [sys.executable, "-c", CONTENDER, str(tmp_path)]
    contenders = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(4)]
    ended = [(one.communicate(timeout=60)[1], one.returncode) for one in contenders]
    assert ended == [("", 0)] * 4


def test_a_lock_that_nobody_has_leaves_no_file(tmp_path: Path) -> None:
    locks = FileTaskLocks(tmp_path / "locks")
    (tmp_path / "locks").mkdir()
    (tmp_path / "locks" / "task-1.lock").touch()
    with locks.hold("task-1") as mine, locks.hold("task-1") as other:
        assert (mine, other) == (True, False)
        assert [path.name for path in (tmp_path / "locks").iterdir()] == ["task-1.lock"]
    assert list((tmp_path / "locks").iterdir()) == []
