"""Several processes on one file, some of them killed: what was acknowledged is there, and nothing is there by half."""

import random
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

from cowork.adapters.event_store import SqliteEventStore, open_sqlite_store
from cowork.domain.event import Event, Recorded
from tests.house.tree import ROOT

Child = subprocess.Popen[str]


def start(path: Path, *arguments: object) -> Child:
    command = [sys.executable, "-m", "tests.adapters.event_store.writer", str(path), *map(str, arguments)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def lines(child: Child, *, killed: bool = False) -> list[str]:
    """Wait for the end of a process and return the lines that it wrote."""
    said, errors = child.communicate(timeout=60)
    assert errors == ""
    assert child.returncode == (-9 if killed else 0)
    return said.split()


def check_log(store: SqliteEventStore) -> Counter[str]:
    """Check that versions are without gaps and appends whole; return how many events each command has."""
    log = store.read_log(after=0, limit=1_000_000)
    assert [r.position for r in log] == list(range(1, len(log) + 1))
    versions: Counter[str] = Counter()
    places: dict[str, list[int]] = {}
    for recorded in log:
        versions[recorded.stream] += 1
        assert recorded.version == versions[recorded.stream]
        places.setdefault(recorded.origin.command_id, []).append(recorded.position)
    for positions in places.values():
        assert positions == list(range(positions[0], positions[0] + 3))
    return Counter({command: len(positions) for command, positions in places.items()})


def test_two_processes_that_create_the_same_streams_share_them_without_a_loss(tmp_path: Path) -> None:
    path, streams = tmp_path / "s" / "events.db", 150
    at = time.time() + 1.5
    children = [start(path, name, streams, "race", at) for name in "ab"]
    created = [int(line) for child in children for line in lines(child)]
    assert sorted(created) == list(range(streams))
    store = open_sqlite_store(path)
    assert [len(store.read_stream(f"race-{number}")) for number in range(streams)] == [1] * streams
    assert store.head() == streams
    store.close()


def test_a_reader_that_follows_several_writers_misses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "events.db"
    store = open_sqlite_store(path)
    children = [start(path, name, 40, 3) for name in "abc"]
    seen: list[Recorded[Event]] = []
    while any(child.poll() is None for child in children) or store.head() > len(seen):
        seen += store.read_log(after=seen[-1].position if seen else 0, limit=50)
    acknowledged = [line for child in children for line in lines(child)]
    assert len(acknowledged) == 3 * 3 * 40
    assert seen == store.read_log(after=0, limit=1_000_000)
    assert check_log(store) == Counter(dict.fromkeys(acknowledged, 3))
    store.close()


def test_a_killed_process_has_lost_nothing_that_it_acknowledged(tmp_path: Path) -> None:
    path = tmp_path / "events.db"
    chance = random.Random(20260102)
    acknowledged: list[str] = []
    for turn in range(5):
        children = [start(path, f"{name}{turn}", 100_000, 4) for name in "ab"]
        for child in children:
            assert child.stdout is not None
            acknowledged.append(child.stdout.readline().strip())
        for child in children:
            time.sleep(chance.uniform(0.0, 0.25))
            child.kill()
        acknowledged += [line for child in children for line in lines(child, killed=True)]
        store = open_sqlite_store(path)
        found = check_log(store)
        assert {command: found[command] for command in acknowledged} == dict.fromkeys(acknowledged, 3)
        store.close()
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
