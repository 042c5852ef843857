"""A folder to work in and commands that work in it, each in a process of its own."""

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import msgspec

ROOT = Path(__file__).resolve().parents[2]


class Ended(msgspec.Struct, frozen=True):
    """A command that has ended: its exit status, or minus the number of the signal that ended it."""

    status: int
    out: str
    err: str
    calls: int
    """How many calls of the operating system it made; 0 where it was killed."""

    def json(self) -> Any:
        """Return what it printed."""
        return json.loads(self.out)


class Forks:
    """Starts commands; the other end of `fork_server.py`."""

    def __init__(self, to: IO[str], answers: IO[str]) -> None:
        self._to = to
        self._answers = answers

    def ask(self, request: dict[str, Any]) -> int:
        """Send a request and return the number that answers it."""
        self._to.write(json.dumps(request) + "\n")
        self._to.flush()
        return int(self._answers.readline())


@contextlib.contextmanager
def fork_server() -> Iterator[Forks]:
    """Start the server, and end it with the block."""
    server = [sys.executable, "-m", "tests.acceptance.fork_server"]
    with subprocess.Popen(server, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield Forks(process.stdin, process.stdout)
        process.stdin.close()
        assert process.wait(10) == 0


class Running:
    """A command that is running."""

    def __init__(self, forks: Forks, pid: int, files: list[Path]) -> None:
        self._forks = forks
        self._files = files
        self.pid = pid

    def send(self, number: signal.Signals) -> None:
        """Send a signal. A process that has ended stays a zombie until `wait`, so nobody else is hit."""
        os.kill(self.pid, number)

    def has_ended(self) -> bool:
        """Whether it has ended, and waits to be asked how."""
        return Path(f"/proc/{self.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] == "Z"

    def wait(self) -> Ended:
        """Wait for its end."""
        status = self._forks.ask({"wait": self.pid})
        out, err, calls = (file.read_text(encoding="utf-8") for file in self._files)
        return Ended(status, out, err, int(calls or 0))

    def kill(self) -> Ended:
        """End it as a power cut would."""
        self.send(signal.SIGKILL)
        return self.wait()


class Workplace:
    """A folder `inbox` to work on and a store beside it."""

    def __init__(self, forks: Forks, folder: Path) -> None:
        self._forks = forks
        self._started = 0
        self.inodes: dict[int, int] = {}
        """The inode numbers that commands are told, by those that there are; see `tests/power_loss/inodes.py`."""
        self.folder = folder
        self.inbox = folder / "inbox"
        self.store = folder / "store"

    def start(self, *arguments: str, kill_at_call: int = 0, file_bytes_max: int = 0) -> Running:
        """Start a command; with `kill_at_call` it is killed right before that many calls of the operating system.

        With `file_bytes_max` no file can grow past that size, as on a disk that is almost full.
        """
        self._started += 1
        files = [self.folder / f"{name}-{self._started}" for name in ("out", "err", "calls")]
        for file in files:
            # Made here, so that they are there even where the process is killed before it does anything.
            file.touch()
        pid = self._forks.ask(
            {
                "arguments": list(arguments),
                "folder": str(self.folder),
                "environment": {
                    "COWORK_STORE": str(self.store),
                    "HOME": str(self.folder),
                    "LANG": "C.UTF-8",
                    "PATH": os.environ["PATH"],
                    "USER": "somebody",
                },
                "out": str(files[0]),
                "err": str(files[1]),
                "calls": str(files[2]),
                "kill_at_call": kill_at_call,
                "file_bytes_max": file_bytes_max,
                "inodes": self.inodes,
            }
        )
        return Running(self._forks, pid, files)

    def run(self, *arguments: str, kill_at_call: int = 0, file_bytes_max: int = 0) -> Ended:
        """Run a command to its end."""
        return self.start(*arguments, kill_at_call=kill_at_call, file_bytes_max=file_bytes_max).wait()

    def write(self, files: dict[str, str]) -> None:
        """Write files, by their paths in the folder."""
        for name, text in files.items():
            (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / name).write_text(text, encoding="utf-8")

    def recorded(self) -> int:
        """Return how many events are in the log, asked as another process would."""
        try:
            with contextlib.closing(sqlite3.connect(f"file:{self.store}/events.db?mode=ro", uri=True)) as log:
                row = log.execute("SELECT max(rowid) FROM stored_events").fetchone()
        except sqlite3.OperationalError:
            # There is no log yet, or no table in it.
            return 0
        return int(row[0] or 0)

    def has_task(self) -> bool:
        """Whether a task is in the log, asked as another process would."""
        try:
            with contextlib.closing(sqlite3.connect(f"file:{self.store}/events.db?mode=ro", uri=True)) as log:
                row = log.execute("SELECT count(*) FROM stored_events WHERE topic LIKE 'task.%'").fetchone()
        except sqlite3.OperationalError:
            return False
        return bool(row[0])

    def is_being_written(self) -> bool:
        """Whether some process is in the middle of a transaction."""
        with contextlib.closing(sqlite3.connect(self.store / "events.db", timeout=0, isolation_level=None)) as log:
            try:
                log.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                return True
            log.execute("ROLLBACK")
        return False

    def events(self, task_id: str) -> list[str]:
        """Return the names of all events of a task's history."""
        return [json.loads(line)["event"] for line in self.run("replay", task_id, "--json").out.splitlines()]

    def only_task(self) -> str:
        """Return the id of the one task."""
        (task,) = self.run("task", "list", "--json").json()
        return str(task["taskId"])

    def questions(self) -> list[dict[str, Any]]:
        """Return what waits for an answer."""
        found: list[dict[str, Any]] = self.run("confirmation", "list", "--json").json()
        return found

    def approve(self, question: dict[str, Any]) -> Ended:
        """Say yes, as a person does in another terminal, with the digest that the question shows."""
        digest = question["digest"].removeprefix("sha256:")[:8]
        return self.run("confirmation", "approve", question["confirmationId"], "--digest", digest)


@contextlib.contextmanager
def workplace(forks: Forks, parent: Path | None = None) -> Iterator[Workplace]:
    """Give a workplace; in memory, unless another place is named."""
    with tempfile.TemporaryDirectory(dir=parent or "/dev/shm", ignore_cleanup_errors=True) as folder:
        made = Workplace(forks, Path(folder))
        made.inbox.mkdir()
        yield made
