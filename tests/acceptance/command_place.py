"""A plan with commands and requests, a server that counts what reaches it, and what a run of the plan leaves behind."""

import contextlib
import os
import re
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final

import anyio
import msgspec

from cowork.adapters.bootstrap import open_application
from cowork.adapters.cli.task_rows import summary_in, task_in
from cowork.engine.application import Answer, Application
from tests.acceptance.normal import Normal, Tree, lines_of, tree_of, unordered
from tests.acceptance.workplace import Workplace

DISK: Final = Path("/var/tmp")
"""Where the folders of commands lie: not every file system in memory carries a copy of one."""

PLAN: Final = r"""
title = "Work with commands"

[[step]]
id = "look"
action = { kind = "shell.exec", argv = ["sh", "-c", "cat notes/*.txt | wc -l"] }

[[step]]
id = "tidy"
title = "Tidy up"
[step.action]
kind = "shell.exec"
argv = ["sh", "-c", '''
  mkdir -p reports/new && wc -c notes/*.txt > reports/new/sizes.txt && printf index > reports/index.md
  printf 'total,42\n' > totals.csv && rm old/0.log old/1.log && mv notes/n1.txt notes/first.txt
  printf mine > pinned.lock && rm kept.lock && printf new > other.lock && chmod 755 run.sh && cp large.bin copy.bin
''']
writes = "staged"

[[step]]
id = "count"
[step.action]
kind = "code.run"
python = '''
from pathlib import Path
names = sorted(path.name for path in Path("notes").glob("n[2-9].txt"))
Path("reports/names.md").write_text("\n".join(names))
Path("notes/counted.txt").write_text(str(len(names)))
print(len(names))
'''
writes = "staged"

[[step]]
id = "broken"
[step.action]
kind = "shell.exec"
argv = ["sh", "-c", "printf gone > reports/gone.md; rm -r notes; echo no such thing >&2; exit 3"]
writes = "staged"

[[step]]
id = "get"
action = { kind = "network.request", method = "GET", url = "http://127.0.0.1:PORT/page" }

[[step]]
id = "post"
action = { kind = "network.request", method = "POST", url = "http://127.0.0.1:PORT/order", body = "one please" }

[[step]]
id = "fetch"
[step.action]
kind = "shell.exec"
argv = ["bash", "-c", '''
  exec 3<>/dev/tcp/127.0.0.1/3128
  printf 'GET http://127.0.0.1:PORT/fetched HTTP/1.1\r\nHost: 127.0.0.1:PORT\r\nConnection: close\r\n\r\n' >&3
  cat <&3
''']
network = ["127.0.0.1:PORT"]

[[step]]
id = "look-again"
needs = ["count"]
action = { kind = "file.read", path = "reports/names.md" }
"""
"""`PORT` is that of the server. What commands print is the same in every run, and in whatever order they run."""

RULES: Final = """
version = "1.1"
defaults = { fallback = "deny" }

[[rules]]
id = "look"
action = ["file.list", "file.read", "file.search"]
decision = "allow"
when = { pathWithinGrant = true }

[[rules]]
id = "commands"
action = ["shell.exec", "code.run"]
decision = "allow"

[[rules]]
id = "reports"
action = ["file.create", "file.write"]
decision = "allow"
when = { pathWithinOutputRoot = true }

[[rules]]
id = "elsewhere"
action = ["file.create", "file.write", "file.rename", "file.move", "file.delete"]
decision = "allow_with_confirm"
when = { pathWithinGrant = true }
unless = [{ pathWithinOutputRoot = true }]

[[rules]]
id = "locks"
action = ["file.create", "file.write", "file.rename", "file.move", "file.delete"]
decision = "deny"
when = { extensionIn = [".lock"] }

[[rules]]
id = "granted-hosts"
action = "network.request"
decision = "allow"
when = { hostInAllowlist = true }
"""

FILES: Final = {
    "totals.csv": "total,1\n",
    "large.bin": "large\n" * 20_000,
    "untouched.txt": "mine\n",
    "kept.lock": "kept",
    "run.sh": "#!/bin/sh\n",
    **{f"notes/n{n}.txt": f"note {n}\n" * n for n in range(1, 5)},
    **{f"old/{n}.log": f"log {n}\n" for n in range(3)},
}

AT_MOST_ONCE: Final = ("post", "fetch")
"""The steps of which a crash may leave nobody knowing whether they happened."""

_TIMES: Final = re.compile(r'\b\d+\.\d\d s\b|(?<="milliseconds": )\d+')


class Server:
    """A server on loopback that counts the requests for each path."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.is_slow = threading.Event()
        """Set: it answers only when it is cleared, or is closed."""
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._http.daemon_threads = True
        self.port = self._http.server_address[1]
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop serving."""
        self.is_slow.clear()
        self._http.shutdown()
        self._http.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        counted = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                counted.counts[self.path] = counted.counts.get(self.path, 0) + 1
                while counted.is_slow.is_set():
                    time.sleep(0.01)
                with contextlib.suppress(OSError):
                    # Nothing of the answer says when it was given.
                    self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nthere")

            def do_POST(self) -> None:
                with contextlib.suppress(OSError):
                    self.rfile.read(int(self.headers["Content-Length"]))
                self.do_GET()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
                """Say nothing."""

        return Handler


class Left(msgspec.Struct, frozen=True):
    """What a run leaves behind: the tree, the summary in the words that every run has, and each step's end."""

    tree: Tree
    summary: list[str]
    ends: dict[str, list[tuple[str, ...]]]


class CommandPlace:
    """A workplace laid out for the plan, with a server of its own."""

    def __init__(self, place: Workplace, server: Server) -> None:
        self.place = place
        self.server = server
        for name, content in FILES.items():
            place.write({f"inbox/{name}": content})
        port = str(server.port)
        place.write({"plan.toml": PLAN.replace("PORT", port), "rules.toml": RULES})
        self.run: tuple[str, ...] = (
            *("run", "plan.toml", "--folder", "inbox", "--output", "inbox/reports"),
            *("--policy", "rules.toml", "--host", f"127.0.0.1:{port}", "--answer", "approve", "--plain"),
        )

    @contextlib.contextmanager
    def reading(self) -> Iterator[Application]:
        """Give the engine on the workplace's store."""
        application = open_application(self.place.store, create=False)
        try:
            yield application
        finally:
            application.close()

    def left(self) -> Left:
        """Return what the run left behind, after checking what holds for every one that has ended."""
        with self.reading() as application:
            (row,) = application.rows("tasks")
            task_id = str(row["task_id"])
            summary = Normal(self.place.folder).of(
                msgspec.json.decode(msgspec.json.encode(summary_in(application, task_in(application, task_id))))
            )
            ends: dict[str, list[tuple[str, ...]]] = {}
            for action in application.rows("actions", {"task_id": task_id}):
                words = tuple(str(action[key] or "") for key in ("kind", "target", "outcome", "outcome_code"))
                ends.setdefault(str(action["step_id"]), []).append(tuple(self._in_every_run(word) for word in words))
            violations = application.audit().violations
        assert violations == (), violations
        assert self.areas() == []
        return Left(
            tree_of(self.place.inbox), [self._in_every_run(line) for line in lines_of(unordered(summary))], ends
        )

    def _in_every_run(self, line: str) -> str:
        timeless = _TIMES.sub("N", line).replace(f'"port": {self.server.port}', '"port": "PORT"')
        return timeless.replace(f":{self.server.port}", ":PORT")

    def areas(self) -> list[str]:
        """Return the areas of commands that are in the store."""
        folder = self.place.store / "commands"
        return sorted(os.listdir(folder)) if folder.exists() else []

    def processes(self) -> list[int]:
        """Return the processes of sandboxes over this folder: of all that is mounted for them, they see something."""
        return processes_about(self.place.folder)


def processes_about(folder: Path) -> list[int]:
    """Return the ids of the processes that have the folder in their arguments or among their mounts."""
    sought = os.fsencode(folder)
    found: list[int] = []
    for name in os.listdir("/proc"):
        if not name.isdigit() or int(name) == os.getpid():
            continue
        for file in ("cmdline", "mountinfo"):
            try:
                if sought in Path("/proc", name, file).read_bytes():
                    found.append(int(name))
                    break
            except OSError:
                # It has ended, or is none of ours.
                continue
    return found


def is_launching(engine: int, folder: Path) -> bool:
    """Whether a child of the engine is about to make a sandbox over the folder: quicker than to look at all of them."""
    sought = os.fsencode(folder)
    with contextlib.suppress(OSError):
        for child in Path(f"/proc/{engine}/task/{engine}/children").read_text(encoding="ascii").split():
            if sought in Path(f"/proc/{child}/cmdline").read_bytes():
                return True
    return False


def wait_until_gone(place: CommandPlace, seconds_max: float = 10) -> list[int]:
    """Return the sandbox processes that are still there after a while; returns at once when there are none."""
    until = time.monotonic() + seconds_max
    while (there := place.processes()) and time.monotonic() < until:
        time.sleep(0.01)
    return there


def settle(place: CommandPlace) -> None:
    """Answer what waits as a careful person does: yes, but nothing is done again that may have been done."""
    with place.reading() as application:
        for row in application.rows("confirmations", {"status": "pending"}):
            answer = Answer(
                approve=row["purpose"] != "unknown_outcome", answered_by="person:somebody", note="--answer approve"
            )
            anyio.run(application.answer, str(row["confirmation_id"]), str(row["digest"]), answer)
