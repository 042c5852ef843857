"""A plan through the installed command, in a process of its own, with the oracle around it."""

import json
import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from cowork.adapters.bootstrap import open_application
from tests.acceptance.sandbox.commands import TRY
from tests.acceptance.sandbox.field import CANARY, Field
from tests.acceptance.sandbox.oracle import Watch, peak_of
from tests.acceptance.sandbox.playing import Played, read, require_told_nothing
from tests.adapters.cli.command_line import COWORK
from tests.adapters.files.cases.case import RSS_GROWTH_BYTES_MAX

_BYTECODE = tempfile.TemporaryDirectory(prefix="cowork-bytecode-")
_AT_REST_BYTES = 128 * 1024 * 1024
"""How much memory the command has that carries out a plan with nothing in it, and some more."""

PROCESS_S_MAX = 30.0
"""How long such a process may take: it starts an interpreter, on a machine that is busy with other tests."""


class Ended(msgspec.Struct, frozen=True):
    """A process that has ended, and the task that it carried out, where there is one."""

    status: int
    out: str
    err: str
    played: Played | None
    milliseconds: float

    @property
    def task(self) -> Played:
        """The task."""
        assert self.played is not None, (self.status, self.out, self.err)
        return self.played


def step(field: Field, line: str, *arguments: str, **more: Any) -> dict[str, Any]:
    """Return a line for a shell as an action of a plan file."""
    return {"kind": "shell.exec", "argv": ["sh", "-c", TRY + line, field.marker, *arguments], **more}


def plan_of(*actions: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """Return a plan file's content with a step for each action."""
    steps = [{"id": f"s{number}", "action": action} for number, action in enumerate(actions, start=1)]
    return {"title": "case", "step": steps, **more}


def environment(field: Field, more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment of the engine's process, its secrets among it."""
    return {
        "COWORK_STORE": str(field.state),
        "COWORK_TEST_SECRET": field.masked,
        "COWORK_TEST_PLAIN": field.plain,
        "HOME": str(field.home),
        "LANG": "C.UTF-8",
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "PYTHONPYCACHEPREFIX": _BYTECODE.name,
        "TERM": "xterm-256color",
        "USER": "somebody",
        **({"COWORK_UNSAFE_AS_ROOT": "1"} if os.geteuid() == 0 else {}),
        **(more or {}),
    }


def write_plan(field: Field, plan: Mapping[str, Any]) -> str:
    """Write a plan file beside the granted folders."""
    path = field.base / "plan.json"
    path.write_text(json.dumps(plan), encoding="utf-8")
    return str(path)


def run_plan(
    field: Field,
    plan: Mapping[str, Any],
    *arguments: str,
    answer: str = "approve",
    started_by: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    links_may_drop: bool = False,
) -> Ended:
    """Run `cowork run` and hold what it did against the oracle."""
    line = ["run", write_plan(field, plan), "--folder", str(field.grant), "--folder", str(field.grant2)]
    return run_cowork(
        field,
        *(*line, "--answer", answer, *arguments),
        started_by=started_by,
        env=env,
        cwd=cwd,
        links_may_drop=links_may_drop,
    )


def run_cowork(
    field: Field,
    *arguments: str,
    started_by: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    links_may_drop: bool = False,
) -> Ended:
    """Run the command and hold what it did against the oracle."""
    tasks_before = tasks_of(field)
    watch = Watch(field, seconds_max=PROCESS_S_MAX, links_may_drop=links_may_drop)
    began = time.monotonic()
    with subprocess.Popen(
        [*started_by, str(COWORK), *arguments],
        cwd=cwd or field.base,
        env=environment(field, env),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        peak = _Peak(process.pid)
        out, err = process.communicate(timeout=PROCESS_S_MAX * 2)
        peak.stop()
    milliseconds = (time.monotonic() - began) * 1000
    watch.stop()
    assert CANARY not in out + err, "a secret was shown"
    assert peak.most < _AT_REST_BYTES + RSS_GROWTH_BYTES_MAX, f"the process took {peak.most:,} bytes"
    assert b"Traceback" not in out + err
    new = [task_id for task_id in tasks_of(field) if task_id not in tasks_before]
    watch.require_clean()
    played = played_of(field, new[0]) if new else None
    return Ended(
        process.returncode, out.decode("utf-8", "replace"), err.decode("utf-8", "replace"), played, milliseconds
    )


def tasks_of(field: Field) -> list[str]:
    """Return the ids of the tasks in the store."""
    app = open_application(field.state, unsafe_as_root=os.geteuid() == 0)
    try:
        return [str(row["task_id"]) for row in app.rows("tasks")]
    finally:
        app.close()


def played_of(field: Field, task_id: str) -> Played:
    """Read a task that has ended, and hold its history against the oracle."""
    app = open_application(field.state, unsafe_as_root=os.geteuid() == 0)
    try:
        played = read(app, task_id, (), 0.0)
        require_told_nothing(app, played)
        return played
    finally:
        app.close()


class _Peak:
    """Looks from time to time how much memory a process had at its most, until it has ended."""

    def __init__(self, pid: int) -> None:
        self.most = 0
        self._ended = threading.Event()
        self._looking = threading.Thread(target=self._look, args=(pid,), daemon=True)
        self._looking.start()

    def stop(self) -> None:
        """Look no more."""
        self._ended.set()
        self._looking.join()

    def _look(self, pid: int) -> None:
        while not self._ended.wait(0.02):
            with suppress(OSError):
                self.most = max(self.most, peak_of(pid))
