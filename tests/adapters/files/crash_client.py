"""The other end of `crash_server.py`."""

import contextlib
import pickle
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from cowork.engine.ports import Finding, Outcome, Permit
from tests.adapters.files.cases.ground import Ground
from tests.adapters.files.crash_server import Request, What

ROOT = Path(__file__).resolve().parents[3]


class CrashServer:
    """Has actions performed in processes of their own, which can be killed half way."""

    def __init__(self, ground: Ground, resolver: str, pipes: tuple[IO[bytes], IO[bytes]]) -> None:
        self._ground = ground
        self.resolver = resolver
        self._to, self._from = pipes

    def run(self, what: What, permit: Permit, kill_at: int = 0) -> tuple[Outcome | Finding, int] | None:
        """Return what it came to and how many points were passed; None where the process was killed."""
        state = self._ground.state
        request: Request = (what, permit, state, state / "blobs", self.resolver, kill_at)
        data = pickle.dumps(request)
        self._to.write(struct.pack("<Q", len(data)) + data)
        self._to.flush()
        (size,) = struct.unpack("<Q", self._from.read(8))
        answer: tuple[Outcome | Finding, int] | None = pickle.loads(self._from.read(size))
        return answer


@contextlib.contextmanager
def crash_server(ground: Ground, resolver: str) -> Iterator[CrashServer]:
    """Start the process, and end it with the block."""
    command = [sys.executable, "-m", "tests.adapters.files.crash_server"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield CrashServer(ground, resolver, (process.stdin, process.stdout))
        process.stdin.close()
        assert process.wait(10) == 0
