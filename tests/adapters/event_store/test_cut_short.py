"""A process that dies in the middle of a write to the file leaves a store that opens and has everything."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cowork.adapters.event_store import open_sqlite_store

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize(("place", "events"), [("set-up", 0), ("checkpoint", 100)])
def test_a_write_that_was_cut_short_is_no_damage(place: str, events: int, tmp_path: Path) -> None:
    path = tmp_path / "events.db"
    command = [sys.executable, "-m", "tests.adapters.event_store.cut_short", str(path), place]
    assert subprocess.run(command, cwd=ROOT, check=False).returncode == -signal.SIGXFSZ
    length = int.from_bytes(path.read_bytes()[28:32]) * 4096
    assert path.stat().st_size < length, "the file is as long as it says, so nothing was cut short"
    store = open_sqlite_store(path)
    assert store.head() == events
    store.close()
