"""Run seeds of the simulation: `python -m tests.simulation.run --seed 17`, or `--seeds 1000 --first 5000`."""

import argparse
import tempfile
import time
import traceback
from pathlib import Path

from tests.simulation.simulation import Found, Simulation, simulate

FAST = Path("/dev/shm")
SLOW_S = 3.0
"""The processor time of a life that is worth a look."""


def folder_for_speed() -> str | None:
    """Return a folder in memory where there is one."""
    return str(FAST) if FAST.is_dir() else None


def life_of(seed: int) -> Simulation:
    """Live through one seed. Raises `Found` where a check fails."""
    with tempfile.TemporaryDirectory(prefix=f"cowork-seed-{seed}-", dir=folder_for_speed()) as folder:
        return simulate(seed, Path(folder) / "world")


def run_seed(seed: int, *, tells: bool = False) -> str:
    """Live through one seed; return what was found, or nothing."""
    try:
        life = life_of(seed)
    except Found as found:
        return str(found)
    except Exception as error:  # an engine that breaks is a finding as well
        return f"seed {seed}: {''.join(traceback.format_exception(error))}"
    if tells:
        print("\n".join(life.story))
        print("\n".join(f"{one.position:5} {one.stream} {one.event.TOPIC}" for one in life.events()))
    return ""


def main() -> None:
    """Run what the command line asks for, and print what fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, help="live through this seed and tell its story")
    parser.add_argument("--seeds", type=int, default=100, help="how many seeds to live through")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    chosen = parser.parse_args()
    if chosen.seed is not None:
        raise SystemExit(run_seed(chosen.seed, tells=True) or 0)
    began, failed = time.monotonic(), 0
    for seed in range(chosen.first, chosen.first + chosen.seeds):
        before = time.process_time()
        found = run_seed(seed)
        if found:
            failed += 1
            print(found, flush=True)
        if (took := time.process_time() - before) > SLOW_S:
            print(f"seed {seed} took {took:.1f} s", flush=True)
    print(f"{chosen.seeds} seeds, {failed} failed, {time.monotonic() - began:.1f} s")
    raise SystemExit(1 if failed else 0)


if __name__ == "__main__":
    main()
