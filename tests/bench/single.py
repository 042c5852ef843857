"""What is measured without a disk: one decision of policy, and the start of the program."""

import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import msgspec

from cowork.domain.action import Action, Content, FileCreate, FileMove, FileRead, Location, locations_of
from cowork.domain.baseline import BASELINE
from cowork.domain.facts import ABSENT, Facts, FileState
from cowork.domain.policy import Policy
from cowork.domain.scope import VERBS, FolderIdentity, FolderScope, Scope
from tests.bench.figure import Figure, quantile

GRANT = "grant-01jd8m3q7v4k2n9x"
SCOPE = Scope(
    (
        FolderScope(
            grant_id=GRANT,
            name="reports",
            root_path="/home/ada/reports",
            verbs=VERBS,
            output_roots=("out",),
            identity=FolderIdentity(66_304, 1_311_001),
        ),
    )
)
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
_FILE = FileState("file", device=66_304, inode=77, size=4096, mtime_ns=1, mode=0o644, digest=f"sha256:{'0' * 64}")
DECISIONS: dict[str, tuple[Action, Facts]] = {
    "create a file": (
        FileCreate(at=Location(GRANT, "out/2026/part-00017.md"), content=Content(f"sha256:{'0' * 64}", 4096)),
        Facts(now=NOW, target=ABSENT),
    ),
    "read a file": (FileRead(at=Location(GRANT, "notes/2026/january.md")), Facts(now=NOW, target=_FILE)),
    "move a file": (
        FileMove(at=Location(GRANT, "notes/2026/january.md"), to=Location(GRANT, "out/january.md")),
        Facts(now=NOW, target=_FILE, destination=ABSENT),
    ),
}


def measure_policy(rounds: int) -> list[Figure]:
    """Microseconds of one decision by the default rules."""
    policy = Policy((BASELINE,))
    figures = []
    for name, (action, facts) in DECISIONS.items():
        p50s, p99s = [], []
        for _ in range(rounds):
            times_us = []
            # Every decision is about another place: nothing is answered from memory that would not be in use.
            for other in _at_other_places(action, 3000):
                began = time.perf_counter_ns()
                policy.decide(other, facts, SCOPE)
                times_us.append((time.perf_counter_ns() - began) / 1000)
            p50s.append(quantile(times_us, 0.5))
            p99s.append(quantile(times_us, 0.99))
        figures.append(
            Figure(
                key=f"policy-{name.replace(' ', '-')}",
                title=f"policy decides: {name}",
                unit="us",
                rounds=tuple(p50s),
                better="less",
                absolute=f"99 % take at most {median(p99s):.0f} us",
            )
        )
    return figures


def _at_other_places(action: Action, count: int) -> list[Action]:
    (at, *_) = locations_of(action)
    return [
        msgspec.structs.replace(action, at=msgspec.structs.replace(at, path=f"{at.path}-{number}"))
        for number in range(count)
    ]


def measure_start(folder: Path, rounds: int) -> list[Figure]:
    """Starting the program against starting Python, one after the other in each round."""
    store = folder / "start"
    command = Path(sys.executable).with_name("cowork")
    ways = {
        "version": ("`cowork --version`", [str(command), "--version"]),
        "task-list": ("`cowork task list`", [str(command), "task", "list", "--store", str(store)]),
    }
    _make_store(store)
    figures = []
    for key, (title, arguments) in ways.items():
        ratios, times_ms = [], []
        for _ in range(rounds):
            bare_ms = _run_ms([sys.executable, "-c", "pass"])
            times_ms.append(_run_ms(arguments))
            ratios.append(times_ms[-1] / bare_ms)
        figures.append(
            Figure(
                key=f"start-{key}",
                title=f"start of {title}",
                unit="x python -c pass",
                rounds=tuple(ratios),
                better="less",
                absolute=f"{median(times_ms):.0f} ms",
            )
        )
    return figures


def _make_store(store: Path) -> None:
    from tests.bench.workload import Engine

    engine = Engine(store.with_name("start-work"), "nothing")
    engine.run(tasks=1, actions=5)
    engine.close()
    engine.log.parent.rename(store)


def _run_ms(arguments: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run(arguments, check=True, capture_output=True)
    return 1000 * (time.perf_counter() - began)
