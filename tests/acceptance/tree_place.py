"""A plan of every kind of action, three subagents and two questions; and what a run of it leaves behind."""

import contextlib
import time
from collections.abc import Iterator
from typing import Any, Final, get_args

import anyio
import msgspec

from cowork.adapters.bootstrap import open_application
from cowork.adapters.event_store import open_sqlite_store
from cowork.adapters.read_model.dump import dump_tables
from cowork.domain.action import ActionKind
from cowork.domain.confirmation import Finding
from cowork.domain.event import Event, Recorded
from cowork.domain.task import TaskEnded, TaskQueued
from cowork.engine.application import Answer, Application
from cowork.projections.registry import TABLES
from tests.acceptance.command_place import Server, processes_about
from tests.acceptance.log_facts import LogFacts, facts_of
from tests.acceptance.normal import tree_of
from tests.acceptance.workplace import Workplace

PLAN: Final = r"""
title = "Everything"

[[step]]
id = "look"
action = { kind = "shell.exec", argv = ["sh", "-c", "cat notes/*.txt | wc -l"] }

[[step]]
id = "list"
action = { kind = "file.list", path = "notes", recursive = true }

[[step]]
id = "search"
action = { kind = "file.search", path = "notes", pattern = "note", glob = "**/*.txt" }

[[step]]
id = "read"
action = { kind = "file.read", match = "notes/*.txt" }

[[step]]
id = "tidy"
[step.action]
kind = "shell.exec"
argv = ["sh", "-c", "mkdir reports made && wc -c notes/*.txt > reports/sizes && cp totals.csv made/ && rm old/0.log"]
writes = "staged"

[[step]]
id = "count"
needs = ["tidy"]
[step.action]
kind = "code.run"
python = '''
from pathlib import Path
Path("reports/names.md").write_text("\n".join(sorted(path.name for path in Path("notes").iterdir())))
Path("totals.csv").write_text("total,42\n")
'''
writes = "staged"

[[step]]
id = "get"
action = { kind = "network.request", method = "GET", url = "http://127.0.0.1:PORT/page" }

[[step]]
id = "post"
action = { kind = "network.request", method = "POST", url = "http://127.0.0.1:PORT/order", body = "one please" }

[[step]]
id = "create"
action = { kind = "file.create", path = "reports/new/summary.md", content = "# Summary\n" }

[[step]]
id = "write"
action = { kind = "file.write", path = "large.bin", content = "LARGE" }

[[step]]
id = "move"
needs = ["read"]
action = { kind = "file.move", match = "notes/*.txt", to = "archive/2026/" }

[[step]]
id = "rename"
needs = ["move"]
action = { kind = "file.rename", path = "archive/2026/n1.txt", to = "archive/2026/first.txt" }

[[step]]
id = "delete"
action = { kind = "file.delete", path = "cache" }

[[step]]
id = "alpha"
needs = ["count", "rename", "delete"]
[step.action]
kind = "subagent.spawn"
title = "Alpha"
scope = { folders = [{ path = "alpha", verbs = ["read", "create", "write", "move", "delete"] }] }
[[step.action.step]]
id = "read"
action = { kind = "file.read", match = "alpha/*.txt" }
[[step.action.step]]
id = "sum"
needs = ["read"]
action = { kind = "file.write", path = "alpha/sum.md", content = "sum\n" }
[[step.action.step]]
id = "move"
needs = ["sum"]
action = { kind = "file.move", match = "alpha/*.txt", to = "alpha/done/" }
[[step.action.step]]
id = "delete"
needs = ["move"]
action = { kind = "file.delete", path = "alpha/old.log" }

[[step]]
id = "beta"
needs = ["count", "rename", "delete"]
[step.action]
kind = "subagent.spawn"
title = "Beta"
scope = { folders = [{ path = "beta", verbs = ["read", "create", "write"] }] }
[[step.action.step]]
id = "ask"
action = { kind = "file.write", path = "beta/answer.ask", content = "asked\n" }
[[step.action.step]]
id = "look"
action = { kind = "file.search", path = "beta", pattern = "b", glob = "*.txt" }
[[step.action.step]]
id = "after"
needs = ["ask"]
action = { kind = "file.create", path = "beta/after.md", content = "after\n" }

[[step]]
id = "gamma"
needs = ["count", "rename", "delete"]
[step.action]
kind = "subagent.spawn"
title = "Gamma"
scope = { folders = [{ path = "gamma", verbs = ["read", "create"] }], hosts = ["127.0.0.1:PORT"] }
[[step.action.step]]
id = "get"
action = { kind = "network.request", method = "GET", url = "http://127.0.0.1:PORT/gamma" }
[[step.action.step]]
id = "post"
action = { kind = "network.request", method = "POST", url = "http://127.0.0.1:PORT/gamma-order", body = "two please" }
[[step.action.step]]
id = "note"
needs = ["post"]
action = { kind = "file.create", path = "gamma/note.md", content = "ordered\n" }

[[step]]
id = "ask"
needs = ["alpha"]
action = { kind = "file.create", path = "own.ask", content = "mine\n" }

[[step]]
id = "fetch"
needs = ["alpha", "beta", "gamma"]
[step.action]
kind = "shell.exec"
argv = ["bash", "-c", '''
  exec 3<>/dev/tcp/127.0.0.1/3128
  printf 'GET http://127.0.0.1:PORT/fetched HTTP/1.1\r\nHost: 127.0.0.1:PORT\r\nConnection: close\r\n\r\n' >&3
  cat <&3
''']
network = ["127.0.0.1:PORT"]

[[step]]
id = "last"
needs = ["fetch", "ask"]
action = { kind = "file.read", path = "reports/names.md" }
""".replace("LARGE", "new and large\\n" * 2000)
"""`PORT` is that of the server. What commands print is the same in every run."""

RULES: Final = """
version = "1.1"
defaults = { fallback = "deny" }

[[rules]]
id = "files"
action = "file.*"
decision = "allow"
when = { pathWithinGrant = true }

[[rules]]
id = "ask"
action = ["file.write", "file.create"]
decision = "allow_with_confirm"
when = { extensionIn = [".ask"] }

[[rules]]
id = "others"
action = ["shell.exec", "code.run", "subagent.spawn"]
decision = "allow"

[[rules]]
id = "granted-hosts"
action = "network.request"
decision = "allow"
when = { hostInAllowlist = true }
"""

FILES: Final = {
    "totals.csv": "total,1\n",
    "large.bin": "old and large\n" * 5_000,
    "untouched.txt": "mine\n",
    "cache/a": "a",
    "cache/b/c": "c",
    "alpha/old.log": "old\n",
    "gamma/start.txt": "start\n",
    **{f"notes/n{n}.txt": f"note {n}\n" * n for n in range(1, 4)},
    **{f"alpha/a{n}.txt": f"a {n}\n" for n in range(3)},
    **{f"beta/b{n}.txt": f"b {n}\n" for n in range(2)},
    **{f"old/{n}.log": f"log {n}\n" for n in range(2)},
}

SUBAGENTS: Final = ("Alpha", "Beta", "Gamma")
TASKS: Final = {"Everything", *SUBAGENTS, *(f"{name} reported" for name in SUBAGENTS)}

ONCE: Final = {"/order": "post", "/gamma-order": "post", "/fetched": "fetch"}
"""What may reach the server once and no more, and the step that sends it."""

AGAIN: Final = ("/page", "/gamma")
"""What may be asked for again."""

KINDS_OF_PLANS: Final = frozenset(get_args(ActionKind)) - {"file.restore", "connector.read", "connector.action"}
"""Putting back is of undo, and there are no connectors."""


class Left(msgspec.Struct, frozen=True):
    """What a run leaves behind, in the words that every run has: by task and step, and not by position."""

    tree: dict[str, tuple[str, ...]]
    facts: LogFacts
    quarantined: int


class TreePlace:
    """A workplace laid out for the plan, with a server of its own."""

    def __init__(self, place: Workplace, server: Server) -> None:
        self.place = place
        self.server = server
        port = str(server.port)
        place.write({f"inbox/{name}": content for name, content in FILES.items()})
        place.write({"plan.toml": PLAN.replace("PORT", port), "rules.toml": RULES})
        self.run: tuple[str, ...] = (
            *("run", "plan.toml", "--folder", "inbox", "--output", "inbox/reports"),
            *("--policy", "rules.toml", "--host", f"127.0.0.1:{port}", "--answer", "wait", "--plain"),
        )

    @contextlib.contextmanager
    def reading(self) -> Iterator[Application]:
        """Give the engine on the workplace's store."""
        application = open_application(self.place.store, create=False)
        try:
            yield application
        finally:
            application.close()

    def log(self) -> list[Recorded[Event]]:
        """Return all events."""
        with contextlib.closing(open_sqlite_store(self.place.store / "events.db", read_only=True)) as store:
            return store.read_log(after=0, limit=1_000_000)

    def is_over(self) -> bool:
        """Whether the task that a person started has ended."""
        log = self.log()
        first = next((r.event.task_id for r in log if isinstance(r.event, TaskQueued)), None)
        return any(isinstance(r.event, TaskEnded) and r.event.task_id == first for r in log)

    # Answers

    def answer(self) -> list[Finding]:
        """Answer what waits: yes, and of what nobody knows, what the server has seen; return those findings."""
        findings: list[Finding] = []
        self.wait_for_quiet()
        with self.reading() as application:
            for row in application.rows("confirmations", {"status": "pending"}):
                finding: Finding = self._finding(application, row) if row["purpose"] == "unknown_outcome" else ""
                answer = Answer(approve=True, answered_by="person:somebody", finding=finding)
                anyio.run(application.answer, str(row["confirmation_id"]), str(row["digest"]), answer)
                if finding:
                    findings.append(finding)
        return findings

    def _finding(self, application: Application, row: dict[str, Any]) -> Finding:
        (task,) = application.rows("tasks", {"task_id": row["task_id"]})
        path = "/gamma-order" if task["title"] == "Gamma" else "/order" if row["step_id"] == "post" else "/fetched"
        assert ONCE[path] == row["step_id"], f"nobody knows what became of {row}"
        return "happened" if self.server.counts.get(path) else "try_again"

    def wait_for_quiet(self) -> None:
        """Wait until what had been sent before a kill has reached the server."""
        seen: dict[str, int] = {}
        while True:
            time.sleep(0.05)
            if seen == self.server.counts:
                return
            seen = dict(self.server.counts)

    # What is left

    def left(self) -> Left:
        """Return what the run left behind, after checking what holds for every one that has ended."""
        log = self.log()
        with self.reading() as application:
            tables = [table for one in TABLES.values() for table in one]
            grown = dump_tables(tables, application.rows)
            assert application.audit().violations == ()
            application.rebuild_projections()
            assert dump_tables(tables, application.rows) == grown, "the projections rebuilt differ from those that grew"
        assert self.residue() == []
        facts = facts_of(log)
        assert facts.tasks.keys() == TASKS
        tree = {path: tuple(str(part) for part in entry) for path, entry in tree_of(self.place.inbox).items()}
        return Left(tree, facts, len(list((self.place.store / "quarantine").iterdir())))

    def residue(self) -> list[str]:
        """Return what was left half done: temporary files, areas of commands, their processes."""
        found = [str(path) for top in (self.place.inbox, self.place.store) for path in top.rglob(".cowork*")]
        areas = self.place.store / "commands"
        found += [str(path) for path in (areas.iterdir() if areas.exists() else ())]
        return found + [str(pid) for pid in processes_about(self.place.folder)]
