"""The log afterwards: how fast it is read, folded and projected, and how large it is."""

import shutil
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from statistics import median

from cowork.adapters.event_store import SqliteEventStore, open_sqlite_store
from cowork.adapters.read_model.sqlite import SqliteReadModel
from cowork.domain import task as task_aggregate
from cowork.engine import limits
from cowork.engine.catch_up import CatchUp
from cowork.projections.registry import PROJECTIONS, TABLES
from tests.bench.figure import Figure
from tests.bench.floor import raw_read_per_s


def measure_reading(folder: Path, log: Path, rounds: int) -> list[Figure]:
    """Reading the log, folding its longest stream and projecting everything, against a raw sequential read."""
    store = open_sqlite_store(log, read_only=True)
    stream = _longest_stream(log)
    events = len(store.read_stream(stream))
    ways: tuple[tuple[str, str, float, Callable[[], float]], ...] = (
        ("decode", "read and decode the log", 0.5, lambda: _decoded_per_s(store)),
        ("replay", "read, decode and fold one task", 0.5, lambda: _folded_per_s(store, stream)),
        ("project", "all projections, durably", 0.3, lambda: _projected_per_s(store, folder / "projected")),
    )
    figures = []
    for key, title, aim, measure in ways:
        ratios, rates = [], []
        for _ in range(rounds):
            before = raw_read_per_s(log)
            rates.append(measure())
            ratios.append(2 * rates[-1] / (before + raw_read_per_s(log)))
        figures.append(
            Figure(
                key=key,
                title=title,
                unit="x raw read",
                rounds=tuple(ratios),
                aim=aim,
                absolute=f"{median(rates):,.0f} events a second" + (f" ({events:,} events)" if key == "replay" else ""),
            )
        )
    store.close()
    return figures


def _longest_stream(log: Path) -> str:
    with closing(sqlite3.connect(log)) as connection:
        query = "SELECT originator_id FROM stored_events GROUP BY 1 ORDER BY count(*) DESC LIMIT 1"
        (stream,) = connection.execute(query).fetchone()
    return str(stream)


def _decoded_per_s(store: SqliteEventStore) -> float:
    began = time.perf_counter()
    after = events = 0
    while page := store.read_log(after=after, limit=limits.LOG_PAGE_EVENTS):
        after = page[-1].position
        events += len(page)
    return events / (time.perf_counter() - began)


def _folded_per_s(store: SqliteEventStore, stream: str) -> float:
    began = time.perf_counter()
    state: task_aggregate.TaskState = task_aggregate.INITIAL
    history = store.read_stream(stream)
    for recorded in history:
        state = task_aggregate.evolve(state, recorded.event)  # type: ignore[arg-type]
    if not isinstance(state, task_aggregate.Task):
        raise TypeError("the longest stream is no task")
    return len(history) / (time.perf_counter() - began)


def _projected_per_s(store: SqliteEventStore, folder: Path) -> float:
    folder.mkdir()
    read_model = SqliteReadModel(folder / "read.db", TABLES)
    began = time.perf_counter()
    position = CatchUp(store, read_model, PROJECTIONS).run()
    spent = time.perf_counter() - began
    read_model.close()
    shutil.rmtree(folder)
    return position / spent


def measure_size(log: Path) -> Figure:
    """Bytes on disk for each byte of stored events. The log is closed: its write-ahead log is in the file."""
    with closing(sqlite3.connect(log)) as connection:
        events, payload = connection.execute("SELECT count(*), sum(length(state)) FROM stored_events").fetchone()
    on_disk = sum(path.stat().st_size for path in log.parent.glob(f"{log.name}*"))
    return Figure(
        key="size",
        title="bytes on disk for each byte of events",
        unit="x payload",
        rounds=(on_disk / payload,),
        aim=1.5,
        better="less",
        absolute=f"{on_disk / events:,.0f} bytes an event, {payload / events:,.0f} of them payload",
    )
