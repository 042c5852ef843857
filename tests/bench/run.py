"""Measures the engine: `python tests/bench/run.py [--json] [--rounds N] [--only PART] [--folder FOLDER]`.

Everything is a ratio to what the machine itself reaches at the same moment, because the machine's own speed drifts.
The folder has to be on the disk in question: on a file system in memory a sync costs nothing.
"""

import argparse
import os
import platform
import shutil
import sqlite3
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PARTS = (
    "actions",
    "analysis",
    "backtest",
    "files",
    "long",
    "log",
    "network",
    "policy",
    "resolver",
    "sandbox",
    "start",
    "syncs",
    "tree",
)


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the engine against what the machine itself reaches.")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--rounds", type=int, default=5, help="how many rounds (default 5)")
    parser.add_argument("--only", choices=PARTS, action="append", help="measure only this part (may be repeated)")
    parser.add_argument("--folder", type=Path, default=None, help="where to measure (default: the temporary folder)")
    options = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    os.chdir(ROOT)
    folder = Path(tempfile.mkdtemp(prefix="cowork-bench-", dir=options.folder))
    try:
        measure(folder, options.only or PARTS, options.rounds, as_json=options.json)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def measure(folder: Path, parts: tuple[str, ...], rounds: int, *, as_json: bool) -> None:
    """Measure the parts one after the other and print what came of them."""
    import msgspec

    from tests.bench.actions import measure_long_task, measure_syncs, measure_throughput
    from tests.bench.backtest import measure_backtest
    from tests.bench.figure import table_of
    from tests.bench.floor import Floor
    from tests.bench.log import measure_reading, measure_size
    from tests.bench.network import measure_network
    from tests.bench.policy import measure_rules
    from tests.bench.policy_analysis import measure_analysis
    from tests.bench.resolver import measure_resolver
    from tests.bench.sandbox import measure_sandbox
    from tests.bench.single import measure_policy, measure_start
    from tests.bench.tree import measure_tree

    began = time.monotonic()
    floor = Floor(folder)
    figures = []
    if "actions" in parts:
        figures += measure_throughput(folder, floor, "nothing", rounds)
    if "files" in parts:
        figures += measure_throughput(folder, floor, "files", rounds)
    if "syncs" in parts:
        figures += measure_syncs(folder)
    if "long" in parts or "log" in parts:
        long_task, log = measure_long_task(folder, 3 if "long" in parts else 1)
        figures += [long_task] if "long" in parts else []
        figures += [*measure_reading(folder, log, rounds), measure_size(log)] if "log" in parts else []
    if "network" in parts:
        figures += measure_network(rounds)
    if "policy" in parts:
        figures += [*measure_policy(rounds), *measure_rules(rounds)]
    if "analysis" in parts:
        figures += measure_analysis(min(rounds, 3))
    if "backtest" in parts:
        figures += measure_backtest(folder, rounds)
    if "resolver" in parts:
        figures += measure_resolver(folder, rounds)
    if "sandbox" in parts:
        figures += measure_sandbox(folder, rounds)
    if "start" in parts:
        figures += measure_start(folder, rounds + 2)
    if "tree" in parts:
        figures += measure_tree(folder, min(rounds, 2))
    commits = floor.commits_per_s()
    floor.close()
    machine = {
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "floor": f"{commits:,.0f} durable commits a second",
        "rounds": rounds,
        "seconds": round(time.monotonic() - began),
    }
    if as_json:
        found = [
            {**msgspec.to_builtins(figure), "median": figure.median, "verdict": figure.verdict} for figure in figures
        ]
        sys.stdout.write(msgspec.json.encode({"machine": machine, "figures": found}).decode() + "\n")
        return
    sys.stdout.write(", ".join(f"{name}: {value}" for name, value in machine.items()) + "\n\n")
    sys.stdout.write(table_of(figures) + "\n")


if __name__ == "__main__":
    main()
