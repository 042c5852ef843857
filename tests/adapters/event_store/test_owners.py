"""Several processes want to work on one task, and are killed at random: what a stale owner would record never counts.

Meanwhile another process follows the log, and misses nothing.
"""

import random
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from cowork.adapters.event_store import open_sqlite_store
from cowork.domain.event import Event, Recorded
from cowork.domain.ownership import TaskClaimed
from cowork.domain.task import TaskQueued
from tests.house.tree import ROOT

Child = subprocess.Popen[str]
OWNERS = 4
TURN_S = 1.0


class Follower(threading.Thread):
    """Reads the log as it grows, from a process's own store, and notes what the store says about others."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self._is_over = threading.Event()
        self.seen: list[Recorded[Event]] = []
        self.unnoticed = 0

    def run(self) -> None:
        """Follow until told to stop, and to the end of the log."""
        with closing(open_sqlite_store(self._path)) as store:
            head, was_told = store.head(), True
            self.seen += store.read_log(after=0, limit=1_000_000)
            while True:
                is_over = self._is_over.is_set()
                told = store.others_appended()
                now = store.head()
                if now > head and not (told or was_told):
                    # What came after this question is told by the next one.
                    told = store.others_appended()
                    self.unnoticed += not told
                head, was_told = now, told
                page = store.read_log(after=self.seen[-1].position if self.seen else 0, limit=40)
                self.seen += page
                if is_over and not page:
                    return

    def stop(self) -> None:
        """Let it read to the end, and wait for it."""
        self._is_over.set()
        self.join(30)


def start(path: Path, name: str, seconds: float) -> Child:
    command = [sys.executable, "-m", "tests.adapters.event_store.owner", str(path), name, str(seconds)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def said_by(child: Child) -> list[str]:
    said, errors = child.communicate(timeout=60)
    assert errors == ""
    assert child.returncode in (0, -9)
    return said.splitlines()


def by(recorded: Recorded[Event]) -> str:
    """Return who has recorded it."""
    match recorded.event:
        case TaskClaimed(owner=name) | TaskQueued(title=name):
            return name
        case _:
            raise AssertionError(recorded)


def check_owners(log: Sequence[Recorded[Event]]) -> int:
    """All work is of whoever had claimed the task last; return how often it changed hands."""
    owner, hands = "", 0
    versions: dict[str, int] = {}
    for position, one in enumerate(log, 1):
        assert one.position == position
        assert one.version == versions.get(one.stream, 0) + 1
        versions[one.stream] = one.version
        if isinstance(one.event, TaskClaimed):
            hands += by(one) != owner
            owner = by(one)
        else:
            assert by(one) == owner, f"{by(one)} has worked on what {owner} had claimed"
    return hands


def compete(path: Path, turns: int) -> None:
    """Let processes compete, kill some of them in each turn, and hold the log against what they have said."""
    draw = random.Random(turns)
    open_sqlite_store(path).close()
    follower = Follower(path)
    follower.start()
    acknowledged: dict[int, str] = {}
    fenced = 0
    for turn in range(turns):
        children = {name: start(path, name, 60) for name in (f"{chr(97 + n)}{turn}" for n in range(OWNERS))}
        for child in children.values():
            assert child.stdout is not None
            assert child.stdout.readline()
        time.sleep(draw.uniform(0.3, 1) * TURN_S)
        for child in draw.sample(list(children.values()), OWNERS):
            time.sleep(draw.uniform(0, 0.1))
            child.kill()
        for name, child in children.items():
            for line in said_by(child):
                word, _, position = line.partition(" ")
                fenced += word == "fenced"
                if position:
                    acknowledged[int(position)] = name
    follower.stop()
    with closing(open_sqlite_store(path)) as store:
        log = store.read_log(after=0, limit=1_000_000)
    assert check_owners(log) > 5 * turns, "the task has hardly changed hands"
    assert fenced > turns, "nobody was ever held off"
    assert {position: by(log[position - 1]) for position in acknowledged} == acknowledged
    assert follower.seen == log
    assert follower.unnoticed == 0
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_what_a_stale_owner_would_record_does_not_count(tmp_path: Path) -> None:
    compete(tmp_path / "events.db", 1)


@pytest.mark.race_long
def test_what_a_stale_owner_would_record_does_not_count_in_many_turns(tmp_path: Path) -> None:
    compete(tmp_path / "events.db", 60)
