"""The floor: what SQLite itself reaches on this disk with the standard library, measured beside every round."""

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TypeVar

PROBE_S = 0.25
PAGE_ROWS = 500
PAYLOAD = b'{"payload":"' + b"x" * 288 + b'"}'

T = TypeVar("T")


class Floor:
    """Commits one row at a time, durably: WAL, synchronous = FULL, and the keys that a log needs."""

    def __init__(self, folder: Path) -> None:
        self._connection = sqlite3.connect(folder / "floor.db", isolation_level=None)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")
        self._connection.execute(
            "CREATE TABLE events (position INTEGER PRIMARY KEY AUTOINCREMENT, stream TEXT NOT NULL,"
            " version INTEGER NOT NULL, payload BLOB NOT NULL, UNIQUE (stream, version))"
        )
        self._version = 0

    def commits_per_s(self, probe_s: float = PROBE_S) -> float:
        """Commit for a quarter of a second; return how many rows a second that were."""
        insert = "INSERT INTO events (stream, version, payload) VALUES (?, ?, ?)"
        began = time.perf_counter()
        done = 0
        while (spent := time.perf_counter() - began) < probe_s:
            self._version += 1
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.execute(insert, ("stream-01jd8m3q7v4k2n9x", self._version, PAYLOAD))
            self._connection.execute("COMMIT")
            done += 1
        return done / spent

    def around(self, measure: Callable[[], T]) -> tuple[T, float]:
        """Return what `measure` returns, and the floor just before and after it (their mean)."""
        before = self.commits_per_s()
        measured = measure()
        return measured, (before + self.commits_per_s()) / 2

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()


def raw_read_per_s(path: Path) -> float:
    """Return how many rows a second a sequential read of an event log yields, in pages, as tuples, undecoded."""
    query = (
        "SELECT rowid, originator_id, originator_version, topic, state FROM stored_events"
        " WHERE rowid > ? ORDER BY rowid LIMIT ?"
    )
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
        began = time.perf_counter()
        after = rows = 0
        while page := connection.execute(query, (after, PAGE_ROWS)).fetchall():
            after = page[-1][0]
            rows += len(page)
        return rows / (time.perf_counter() - began)
