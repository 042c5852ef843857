"""Runs actions in processes that are killed: read requests from stdin, fork for each, answer on stdout.

One process imports everything once and never has a second thread, so that forking it is cheap and safe. A request is
pickled: (what, permit, state folder, blobs folder, resolver, kill_at). The child is killed with SIGKILL at the
`kill_at`th point, where a point is the moment before, and the moment after, each call that changes something on disk.
"""

import os
import pickle
import signal
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from types import BuiltinFunctionType, FrameType
from typing import Literal

from cowork.adapters.blobs.store import FileBlobStore
from cowork.adapters.files import openat2, resolver
from cowork.engine.ports import Finding, Outcome, Permit
from tests.adapters.files.cases.direct import executor_of

What = Literal["perform", "reconcile"]
Request = tuple[What, Permit, Path, Path, str, int]

CHANGING = frozenset(
    [
        "open",
        "write",
        "fsync",
        "mkdir",
        "rmdir",
        "unlink",
        "rename",
        "replace",
        "fchmod",
        "fchown",
        "setxattr",
        "symlink",
        "utime",
    ]
)


class Killer:
    """Counts the points at which something on disk may be half done, and ends the process at one of them."""

    def __init__(self, kill_at: int) -> None:
        self._kill_at = kill_at
        self.points = 0

    def __call__(self, frame: FrameType, event: str, argument: object) -> None:
        if frame.f_code.co_filename == resolver.__file__:
            # It opens what is there, and changes nothing.
            return
        if event in ("c_call", "c_return", "c_exception"):
            is_point = isinstance(argument, BuiltinFunctionType) and argument.__name__ in CHANGING
        else:
            is_point = frame.f_code is openat2.renameat2.__code__
        if is_point:
            self.points += 1
            if self.points == self._kill_at:
                os.kill(os.getpid(), signal.SIGKILL)


def run(request: Request) -> tuple[Outcome | Finding, int]:
    """Do what is asked in this process; return what it came to and how many points were passed."""
    what, permit, state, blobs, resolver_name, kill_at = request
    executor = executor_of(FileBlobStore(blobs), state, resolver_name)
    killer = Killer(kill_at)
    work: Callable[[Permit], Outcome | Finding] = executor.perform_now if what == "perform" else executor.reconcile_now
    sys.setprofile(killer)
    try:
        came_to = work(permit)
    finally:
        sys.setprofile(None)
    return came_to, killer.points


def serve() -> None:
    """Answer requests until the input ends: `None` for a child that was killed."""
    while header := sys.stdin.buffer.read(8):
        request: Request = pickle.loads(sys.stdin.buffer.read(struct.unpack("<Q", header)[0]))
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reading)
            with os.fdopen(writing, "wb") as pipe:
                pickle.dump(run(request), pipe)
            os._exit(0)
        os.close(writing)
        with os.fdopen(reading, "rb") as pipe:
            answer = pipe.read()
        _, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status):
            answer = pickle.dumps(None)
        sys.stdout.buffer.write(struct.pack("<Q", len(answer)) + answer)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    serve()
