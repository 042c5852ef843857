"""What it costs to open a file so that no path leads out of its folder, beside opening it by name."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from cowork.adapters.files.resolver import Openat2Resolver, Resolver, WalkResolver
from tests.bench.figure import Figure

OPENINGS = 2000
DEEP = "a/b/c/d/file.txt"


def measure_resolver(folder: Path, rounds: int) -> list[Figure]:
    """Return the time of one opening five names deep, by each resolver, beside a plain one by absolute path."""
    root = folder / "resolver"
    file = root / DEEP
    file.parent.mkdir(parents=True)
    file.write_text("x")
    top = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return [_figure(resolver, top, file, rounds) for resolver in (Openat2Resolver(), WalkResolver())]
    finally:
        os.close(top)


def _figure(resolver: Resolver, top: int, file: Path, rounds: int) -> Figure:
    plain_us, strict_us = [], []
    for _ in range(rounds):
        plain_us.append(_us(lambda: os.open(file, os.O_RDONLY | os.O_CLOEXEC)))
        strict_us.append(_us(lambda: resolver.open(top, DEEP.encode(), os.O_RDONLY | os.O_CLOEXEC)))
    return Figure(
        key=f"resolver-{resolver.name}",
        title=f"a file opened five names deep, {resolver.name}",
        unit="us",
        rounds=tuple(strict_us),
        aim=10 if resolver.name == "openat2" else None,
        better="less",
        absolute=f"plain open {median(plain_us):.1f} us",
    )


def _us(open_it: Callable[[], int]) -> float:
    began = time.perf_counter()
    for _ in range(OPENINGS):
        os.close(open_it())
    return 1e6 * (time.perf_counter() - began) / OPENINGS
