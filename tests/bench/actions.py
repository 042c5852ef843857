"""Gated actions: how many a second, how long each takes, and how many syncs to disk it costs."""

import re
import shutil
import statistics
import subprocess
import sys
from functools import partial
from pathlib import Path

from tests.bench.figure import Figure, quantile
from tests.bench.floor import Floor
from tests.bench.workload import Acting, Engine

TASKS_AT_ONCE = 64
LONG_TASK_ACTIONS = 10_000
WINDOW = 50
_NAMES: dict[Acting, str] = {"nothing": "that do nothing", "files": "that create 4 KiB files"}


def measure_throughput(folder: Path, floor: Floor, acting: Acting, rounds: int) -> list[Figure]:
    """Actions a second, alone and with 64 tasks at once, against the floor of the same moment, and their latency."""
    engine = Engine(folder / f"throughput-{acting}", acting)
    alone, many = (400, 30) if acting == "nothing" else (200, 12)
    engine.run(tasks=1, actions=50)
    figures: list[Figure] = []
    for tasks, actions, aim in ((1, alone, 0.40), (TASKS_AT_ONCE, many, 2.5)):
        rates, floors, ratios, p50s, p99s = [], [], [], [], []
        for _ in range(rounds):
            spent, commits = floor.around(partial(engine.run, tasks=tasks, actions=actions))
            rates.append(tasks * actions / spent)
            floors.append(commits)
            ratios.append(rates[-1] / commits)
            latencies = engine.timed.latencies_s()
            p50s.append(1000 * quantile(latencies, 0.5))
            p99s.append(1000 * quantile(latencies, 0.99))
        how = "one task" if tasks == 1 else f"{tasks} tasks at once"
        figures.append(
            Figure(
                key=f"actions-{acting}-{tasks}",
                title=f"actions {_NAMES[acting]}, {how}",
                unit="x floor",
                rounds=tuple(ratios),
                aim=aim if acting == "nothing" else None,
                absolute=f"{statistics.median(rates):,.0f} a second, {statistics.median(p50s):.2f} ms each"
                f" (floor {statistics.median(floors):,.0f})",
            )
        )
        if tasks > 1:
            figures.append(
                Figure(
                    key=f"p99-{acting}-{tasks}",
                    title=f"  99 % of them take at most, {how}",
                    unit="ms",
                    rounds=tuple(p99s),
                    aim=15 if acting == "nothing" else None,
                    better="less",
                )
            )
    engine.close()
    return figures


def measure_long_task(folder: Path, rounds: int) -> tuple[Figure, Path]:
    """The 10,000th action of a task against its 10th; return also the log that this leaves."""
    engine = Engine(folder / "long-task", "nothing")
    engine.run(tasks=1, actions=100)
    ratios, ends = [], []
    for _ in range(rounds):
        engine.run(tasks=1, actions=LONG_TASK_ACTIONS)
        latencies = engine.timed.latencies_s()
        first, last = statistics.median(latencies[5 : 5 + WINDOW]), statistics.median(latencies[-WINDOW:])
        ratios.append(last / first)
        ends.append(1000 * last)
    engine.close()
    figure = Figure(
        key="long-task",
        title="a task's 10,000th action against its 10th",
        unit="x as long",
        rounds=tuple(ratios),
        aim=1.5,
        better="less",
        absolute=f"{statistics.median(ends):.2f} ms for the 10,000th",
    )
    return figure, engine.log


# Syncs


def measure_syncs(folder: Path) -> list[Figure]:
    """Syncs to disk per action. Two runs of different length are compared, so that start and end cancel out."""
    figures = []
    plan: tuple[tuple[Acting, int, int, int], ...] = (
        ("nothing", 1, 20, 120),
        ("nothing", TASKS_AT_ONCE, 2, 12),
        ("files", 1, 20, 120),
        ("files", TASKS_AT_ONCE, 2, 8),
    )
    for acting, tasks, few, many in plan:
        how = "one task" if tasks == 1 else f"{tasks} tasks at once"
        counted = [
            _syncs(folder / f"syncs-{acting}-{tasks}-{actions}", acting, tasks, actions) for actions in (few, many)
        ]
        per_action = (counted[1] - counted[0]) / (tasks * (many - few))
        figures.append(
            Figure(
                key=f"syncs-{acting}-{tasks}",
                title=f"syncs per action {_NAMES[acting]}, {how}",
                unit="syncs",
                rounds=(per_action,),
                absolute=f"counted by {'strace' if _has_strace() else 'the process itself'}",
            )
        )
    return figures


def _has_strace() -> bool:
    return shutil.which("strace") is not None


def _syncs(folder: Path, acting: str, tasks: int, actions: int) -> int:
    work = [sys.executable, "-m", "tests.bench.syncs", str(folder), acting, str(tasks), str(actions)]
    root = Path(__file__).resolve().parents[2]
    if not _has_strace():
        counted = subprocess.run([*work, "--count"], check=True, cwd=root, capture_output=True, text=True)
        return int(counted.stdout)
    report = folder.with_suffix(".strace")
    traced = ["strace", "-f", "-c", "-e", "trace=fsync,fdatasync,sync_file_range", "-o", str(report)]
    subprocess.run([*traced, *work], check=True, cwd=root)
    lines = re.findall(r"^\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s.*?(?:fsync|fdatasync)$", report.read_text(), re.MULTILINE)
    return sum(map(int, lines))
