"""Runs the command line in forked processes: `python -m tests.acceptance.fork_server`, requests and answers as lines.

One process imports everything once and never has a second thread, so that a fork is a fresh `cowork` without the time
that an interpreter takes to start. A process that is killed is killed for real.
"""

import importlib
import json
import os
import pkgutil
import resource
import signal
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Any

import cowork
from cowork.adapters.cli.main import run_command
from tests.power_loss.inodes import pretend

FILE_CALLS = ("os.", "open", "fcntl.", "sqlite3.", "ctypes.", "shutil.")
"""What a process asks of the operating system, by the names of the interpreter's audit events."""

PROGRAMS = ("cowork.adapters.sandbox.probes", "cowork.adapters.sandbox.stage0")
"""Sources that are run inside the sandbox: importing one would run it here."""

LOOK = 'title = "Look"\n[[step]]\nid = "list"\naction = { kind = "file.list", path = "." }\n'


def become(request: dict[str, Any]) -> None:
    """Turn this forked process into the command's: its folder, its environment, its output."""
    if request["file_bytes_max"]:
        resource.setrlimit(resource.RLIMIT_FSIZE, (request["file_bytes_max"], resource.RLIM_INFINITY))
    if request["inodes"]:
        pretend({int(new): old for new, old in request["inodes"].items()})
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["folder"])
    for descriptor, name, flags in ((0, os.devnull, os.O_RDONLY), (1, request["out"], 0), (2, request["err"], 0)):
        opened = os.open(name, flags or os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        os.dup2(opened, descriptor)
        os.close(opened)


class Calls:
    """Counts this process's calls for files, locks and databases, and ends it right before one of them."""

    def __init__(self, kill_at: int) -> None:
        self._kill_at = kill_at
        self.count = 0
        sys.addaudithook(self._on)

    def _on(self, event: str, _arguments: tuple[object, ...]) -> None:
        if event.startswith(FILE_CALLS):
            self.count += 1
            if self.count == self._kill_at:
                os.kill(os.getpid(), signal.SIGKILL)


def command(request: dict[str, Any]) -> int:
    """Run the command in this process and return its status."""
    become(request)
    calls = Calls(request["kill_at_call"])
    status = 1
    try:
        status = int(run_command(request["arguments"]))
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else 1
    except BaseException:
        # `run_command` lets nothing through: whoever reads the test's failure has to see what it was.
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    Path(request["calls"]).write_text(str(calls.count), encoding="utf-8")
    return status


def import_everything() -> None:
    """Import what the package has, and what a command turns out to use besides."""
    for module in pkgutil.walk_packages(cowork.__path__, "cowork."):
        if module.name not in PROGRAMS:
            importlib.import_module(module.name)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "in").mkdir()
        (Path(folder) / "plan.toml").write_text(LOOK, encoding="utf-8")
        reading, writing = os.pipe()
        if os.fork() == 0:
            os.chdir(folder)
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            run_command(["run", "plan.toml", "--folder", "in", "--store", "store", "--json"])
            run_command(["run", "plan.toml", "--folder", "in", "--store", "store"])
            run_command(["audit", "log", "--store", "store"])
            os.write(writing, "\n".join(sys.modules).encode())
            os._exit(0)
        os.close(writing)
        with os.fdopen(reading) as pipe:
            used = pipe.read().split()
        os.wait()
    for name in used:
        if name not in sys.modules:
            importlib.import_module(name)


def serve() -> None:
    """Answer requests until the input ends: the process id of what was started, or the status of what has ended."""
    import_everything()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for line in sys.stdin:
        request = json.loads(line)
        if "wait" in request:
            answer = os.waitstatus_to_exitcode(os.waitpid(request["wait"], 0)[1])
        else:
            answer = os.fork()
            if answer == 0:
                os._exit(command(request))
        sys.stdout.write(f"{answer}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    serve()
