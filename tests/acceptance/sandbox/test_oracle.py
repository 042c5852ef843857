"""The oracle finds what it is there to find: without this its silence would mean nothing."""

import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable

import pytest

from tests.acceptance.sandbox.field import Field
from tests.acceptance.sandbox.oracle import Watch, require_untold

DEEDS: dict[str, tuple[Callable[[Field], object], str]] = {
    "a new file outside": (lambda f: (f.out / "new").touch(), "entries appeared"),
    "a file gone outside": (lambda f: (f.evil / "f").unlink(), "entries appeared"),
    "other bytes": (lambda f: (f.out / "linked.txt").write_text("LINKED from outside\n"), "touched"),
    "another mode": (lambda f: (f.home / ".netrc").chmod(0o600), "touched"),
    "another time": (lambda f: os.utime(f.out / "secret.txt", (1, 1)), "touched"),
    "a second name": (lambda f: os.link(f.out / "linked.txt", f.grant / "hl"), "touched"),
    "an attribute": (lambda f: os.setxattr(f.out / "linked.txt", "user.kept", b"other"), "touched"),
    "the state's file": (lambda f: (f.state / "planted.txt").write_text("gone"), "touched"),
    "something in the store": (lambda f: (f.state / "own").mkdir(), "left in the engine's folder"),
    "an area": (lambda f: (f.state / "commands" / "task-1.1-1").mkdir(parents=True), "left in the engine's folder"),
    "half a blob": (lambda f: (f.state / "blobs" / "unfinished" / "x").touch(), "left in the engine's folder"),
    "something beside": (lambda f: (f.base / "beside").touch(), "left in the engine's folder"),
    "a secret in a blob": (lambda f: f.content(f.canary), "a secret"),
    "a masked one": (lambda f: f.content(f.masked), "a secret"),
    "a secret in a folder": (lambda f: (f.grant2 / "copy").write_text(f.plain), "a secret"),
    "a temporary file": (lambda f: (f.grant / ".cowork-1").touch(), "temporary files"),
    "a visitor": (lambda f: socket.create_connection(("127.0.0.1", f.port)).close(), "a listener"),
    "another visitor": (
        lambda f: socket.create_connection(f.listeners.tcp.getsockname()).close(),
        "a listener",
    ),
    "a descriptor": (lambda f: os.open(f.out, os.O_PATH), "descriptors"),
    "memory": (lambda _: bytes(bytearray(b"x") * (96 << 20)), "bytes"),
}


@pytest.mark.parametrize("name", DEEDS)
def test_it_finds(field: Field, name: str) -> None:
    deed, found = DEEDS[name]
    (field.state / "blobs" / "unfinished").mkdir(parents=True, exist_ok=True)
    watch = Watch(field)
    made = deed(field)
    watch.stop()
    with pytest.raises(AssertionError, match=re.escape(found)):
        watch.require_clean()
    if isinstance(made, int) and name == "a descriptor":
        os.close(made)


def test_it_finds_a_process_and_the_time_that_was_taken(field: Field) -> None:
    watch = Watch(field, seconds_max=0.0)
    sleep = [sys.executable, "-c", "import time; print(flush=True); time.sleep(60)", field.marker]
    with subprocess.Popen(sleep, stdout=subprocess.PIPE) as process:
        # One that has only just begun has no arguments yet.
        assert process.stdout is not None
        assert process.stdout.readline() == b"\n"
        watch.stop()
        with pytest.raises(AssertionError, match="still alive"):
            watch.require_clean()
        process.kill()
    with pytest.raises(AssertionError, match="it took"):
        watch.require_clean()


def test_it_finds_what_is_told(field: Field) -> None:
    with pytest.raises(AssertionError):
        require_untold((), [f"it is {field.canary}".encode()])


def test_it_is_silent_where_nothing_happened(field: Field) -> None:
    watch = Watch(field)
    watch.stop()
    watch.require_clean()
