"""A signal that comes where Python can raise nothing is not lost, and leaves no trace on the terminal."""

import signal
import subprocess
import sys

import pytest

SWALLOWED = """
import os, time
from cowork.adapters.cli.interrupts import heed_signals

class Shut:
    def __del__(self):
        os.kill(os.getpid(), {number})
        for _ in range(1000):
            pass

heed_signals()
shut = Shut()
try:
    del shut
    print("went on", flush=True)
    time.sleep(10)
    print("nothing came")
except KeyboardInterrupt:
    print("interrupted")
"""
OTHER = """
from cowork.adapters.cli.interrupts import heed_signals

class Shut:
    def __del__(self):
        raise ValueError("a bug")

heed_signals()
Shut()
"""


def _run(program: str) -> tuple[str, str]:
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True)
    return ended.stdout, ended.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_a_signal_inside_a_destructor_comes_again_a_moment_later(number: signal.Signals) -> None:
    assert _run(SWALLOWED.format(number=int(number))) == ("went on\ninterrupted\n", "")


def test_any_other_error_there_is_still_told() -> None:
    assert "ValueError: a bug" in _run(OTHER)[1]
