"""A task of 64 subagents and 10,000 actions: how long, how much memory, and how soon it is listed and goes on."""

import json
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

import msgspec

from tests.bench.figure import Figure
from tests.bench.tree_work import ACTIONS, SUBAGENTS, Took

_ROOT = Path(__file__).resolve().parents[2]
_COWORK = Path(sys.executable).with_name("cowork")
_MIB = 1024
_LOOKS = 5


def measure_tree(folder: Path, rounds: int) -> list[Figure]:
    """Run the tree and one task without subagents beside each other's times, then look at what they left."""
    ratios, cpu, trees, alones, peaks, alone_peaks = [], [], [], [], [], []
    for number in range(rounds):
        alone = _worked(folder / f"alone-{number}", "alone")
        tree = _worked(folder / f"tree-{number}", "tree")
        ratios.append(tree.seconds / alone.seconds)
        cpu.append(tree.cpu_seconds / alone.cpu_seconds)
        trees.append(tree.seconds)
        alones.append(alone.seconds)
        peaks.append(tree.peak_kib / _MIB)
        alone_peaks.append(alone.peak_kib / _MIB)
        _check_summary(folder / f"tree-{number}", tree.task_id)
    what = f"{SUBAGENTS} subagents, {ACTIONS:,} actions"
    return [
        Figure(
            key="tree-time",
            title=f"{what}, against one task that does as many one after the other",
            unit="x as long",
            rounds=tuple(ratios),
            better="less",
            absolute=f"{median(trees):.0f} s, alone {median(alones):.0f} s; {median(cpu):.2f} x the processor's time",
        ),
        Figure(
            key="tree-memory",
            title=f"{what}: most memory",
            unit="MiB",
            rounds=tuple(peaks),
            aim=256,
            better="less",
            absolute=f"alone {median(alone_peaks):.0f} MiB",
        ),
        *_looks(folder / f"tree-{rounds - 1}"),
        _resume(folder, rounds),
    ]


def _worked(folder: Path, way: str) -> Took:
    command = [sys.executable, "-m", "tests.bench.tree_work", str(folder), way]
    done = subprocess.run(command, check=True, cwd=_ROOT, capture_output=True, text=True)
    took = msgspec.json.decode(done.stdout, type=Took)
    expected = ("paused", None) if way == "half" else ("completed", None if way == "rest" else ACTIONS)
    if took.status != expected[0] or expected[1] not in (None, took.started):
        raise RuntimeError(f"the measured task is {took.status} after {took.started:,} starts")
    return took


def _shown(folder: Path, *arguments: str) -> tuple[float, dict[str, Any]]:
    """Return how many milliseconds a command took, and what it printed as JSON."""
    command = [str(_COWORK), *arguments, "--store", str(folder / "store"), "--json"]
    began = time.perf_counter()
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    took_ms = 1000 * (time.perf_counter() - began)
    return took_ms, json.loads(done.stdout)


def _check_summary(folder: Path, task_id: str) -> None:
    """Raise `RuntimeError` where the summary does not say what was done."""
    _, summary = _shown(folder, "task", "summary", task_id)
    subagents = summary["subagents"]
    ends = {one["status"] for one in subagents}
    changed = {one["path"] for one in summary["fileChanges"]}
    if (len(subagents), ends, len(changed)) != (SUBAGENTS, {"completed"}, ACTIONS - SUBAGENTS):
        raise RuntimeError(f"the summary has {len(subagents)} subagents, {ends} and {len(changed):,} changed files")


def _looks(folder: Path) -> list[Figure]:
    (folder / "store" / "read.db").unlink()
    first, _ = _shown(folder, "task", "list")
    later = [_shown(folder, "task", "list")[0] for _ in range(_LOOKS)]
    return [
        Figure(
            key="tree-list",
            title="`cowork task list` afterwards",
            unit="ms",
            rounds=tuple(later),
            aim=1000,
            better="less",
            absolute=f"{first:,.0f} ms where everything has to be projected first",
        )
    ]


def _resume(folder: Path, rounds: int) -> Figure:
    """Go on with half a tree in a new process, whose projections are as they were when the other one stopped."""
    waits = []
    for number in range(rounds):
        half = folder / f"half-{number}"
        _worked(half, "half")
        _shown(half, "task", "list")
        waits.append(1000 * _worked(half, "rest").to_first_start)
    return Figure(
        key="tree-resume",
        title="a paused half of it goes on: until its first action starts",
        unit="ms",
        rounds=tuple(waits),
        aim=1000,
        better="less",
    )
