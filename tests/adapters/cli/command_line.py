"""The installed command, as people and programs use it: as a process, or in a terminal of its own."""

import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from cowork.adapters.bootstrap import open_application
from cowork.engine.application import Application
from cowork.projections.confirmation_inbox import confirmation_of, titles_above
from cowork.projections.task_status import task_of
from cowork.projections.usage_report import usage_of_tree, usage_rows

COWORK = Path(sys.executable).parent / "cowork"
# Where the surroundings forbid to keep bytecode, every command would compile a hundred modules anew.
_BYTECODE = tempfile.TemporaryDirectory(prefix="cowork-bytecode-")
_ANSI = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")

LOOK = 'title = "Look"\n[[step]]\nid = "list"\naction = { kind = "file.list", path = "." }\n'
DELETE = 'title = "Delete"\n[[step]]\nid = "gone"\naction = { kind = "file.delete", path = "a.txt" }\n'
DELETE_ALL = 'title = "Delete all"\n[[step]]\nid = "gone"\naction = { kind = "file.delete", match = "*.txt" }\n'


@dataclass(frozen=True)
class Ended:
    """A command that has ended."""

    status: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]

    def says(self, sentence: str) -> bool:
        """Whether it was refused with a sentence that has these words, in the house's form and without a trace."""
        first = self.err.splitlines()[0] if self.err else ""
        assert "Traceback" not in self.err + self.out
        return first.startswith("error: ") and first[7:8] == first[7:8].lower() and sentence in first


class CommandLine:
    """A folder to work in, with a store and an inbox, and the command."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = folder / "store"
        self.inbox = folder / "inbox"
        self.inbox.mkdir()
        self.started_by: tuple[str, ...] = ()
        """A program and its arguments that the command is started through."""

    def environment(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        left_out = ("COWORK_", "PYTEST_", "PYTHONDONTWRITEBYTECODE", "NO_COLOR")
        kept = {k: v for k, v in os.environ.items() if not k.startswith(left_out)}
        home = self.folder / "home"
        home.mkdir(exist_ok=True)
        return {
            **kept,
            "COWORK_STORE": str(self.store),
            "HOME": str(home),
            "TERM": "xterm-256color",
            "LANG": "C.UTF-8",
            "PYTHONPYCACHEPREFIX": _BYTECODE.name,
            **(more or {}),
        }

    def plan(self, text: str, name: str = "plan.toml") -> str:
        (self.folder / name).write_text(text, encoding="utf-8")
        return name

    def fill(self, *names: str) -> None:
        for name in names:
            (self.inbox / name).write_text(f"this is {name}\n", encoding="utf-8")

    def files(self) -> list[str]:
        return sorted(path.relative_to(self.inbox).as_posix() for path in self.inbox.rglob("*") if path.is_file())

    def start(self, *arguments: str, env: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*self.started_by, str(COWORK), *arguments],
            cwd=self.folder,
            env=self.environment(env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )

    def run(self, *arguments: str, env: Mapping[str, str] | None = None) -> Ended:
        process = self.start(*arguments, env=env)
        out, err = process.communicate(timeout=60)
        return Ended(process.returncode, out, err)

    def run_plan(self, text: str, *arguments: str) -> Ended:
        return self.run("run", self.plan(text), "--folder", "inbox", *arguments)

    def events(self, task_id: str) -> list[dict[str, Any]]:
        """Return the recorded history of a task."""
        return self.run("replay", task_id, "--json").lines()

    def only_task(self) -> dict[str, Any]:
        """Return the JSON object of the one task, read without the command: it takes a tenth of the time."""
        with self.engine() as engine:
            (row,) = engine.rows("tasks")
            steps = engine.rows("task_steps", {"task_id": row["task_id"]})
            usage = usage_of_tree(usage_rows(engine.rows, str(row["root_task_id"])))
        return _plain(task_of(row, steps, usage[str(row["task_id"])]))

    def questions(self) -> list[dict[str, Any]]:
        """Return the JSON objects of all questions, in the order in which they were asked."""
        with self.engine() as engine:
            rows = engine.rows("confirmations", order_by="requested_position")
            titles = titles_above(engine.rows, rows)
        return [_plain(confirmation_of(row, titles=titles)) for row in rows]

    def question(self) -> dict[str, Any]:
        """Return the one question that is open."""
        (question,) = [one for one in self.questions() if one["status"] == "pending"]
        return question

    @contextmanager
    def engine(self) -> Iterator[Application]:
        """Give the engine on the store, in this process."""
        engine = open_application(self.store, create=False)
        try:
            yield engine
        finally:
            engine.close()

    def terminal(
        self, *arguments: str, rows: int = 40, columns: int = 100, env: Mapping[str, str] | None = None
    ) -> "Terminal":
        return Terminal([str(COWORK), *arguments], self.folder, self.environment(env), rows, columns)


def _plain(value: msgspec.Struct) -> dict[str, Any]:
    return dict(json.loads(msgspec.json.encode(value)))


def _take_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


class Terminal:
    """A command in a terminal of its own, with somebody who reads and presses keys."""

    def __init__(self, command: list[str], folder: Path, env: Mapping[str, str], rows: int, columns: int) -> None:
        self.fd, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.process = subprocess.Popen(
            command,
            cwd=folder,
            env=env,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            preexec_fn=_take_terminal,  # noqa: PLW1509 - the child only makes one system call
        )
        os.close(theirs)
        self.raw = b""
        self._open = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.wait()
        self.hang_up()

    @property
    def text(self) -> str:
        """What was shown so far, without colours and movements."""
        return _ANSI.sub("", self.raw.decode("utf-8", "replace")).replace("\r\n", "\n")

    def read(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while self._open and (left := until - time.monotonic()) > 0:
            if select.select([self.fd], [], [], left)[0]:
                self._take()

    def _take(self) -> None:
        try:
            data = os.read(self.fd, 65536)
        except OSError:
            data = b""
        self._open = bool(data)
        self.raw += data

    def read_until(self, words: str, *, count: int = 1, seconds: float = 30) -> None:
        """Read until the words have been shown so many times."""
        until = time.monotonic() + seconds
        while self.text.count(words) < count:
            assert self._open, f"it ended without saying {words!r}:\n{self.text}"
            assert time.monotonic() < until, f"it did not say {words!r}:\n{self.text}"
            self.read(0.1)

    def press(self, keys: str, *, after: float = 0.6) -> None:
        """Press keys, when whoever reads the screen has had the time to read it."""
        self.read(after)
        os.write(self.fd, keys.encode())

    def hang_up(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd, self._open = -1, False

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def ended(self, seconds: float = 30) -> int:
        """Read to the end and return the exit status."""
        until = time.monotonic() + seconds
        while self._open and time.monotonic() < until:
            self.read(0.1)
            if self.process.poll() is not None and not select.select([self.fd], [], [], 0)[0]:
                break
        return self.process.wait(max(0.1, until - time.monotonic()))
