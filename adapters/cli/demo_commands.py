"""The commands that `cowork demo` types where nobody is at a terminal: those that a person would use."""

import os
import subprocess
import sys
from collections.abc import Sequence
from typing import Final

from ...domain.ids import root_task_id
from . import output
from .opening import opened
from .options import Options

_ENTRY: Final = "from cowork.adapters.cli.main import main; main()"
_ROUNDS_MAX: Final = 20


def answer_by_command(options: Options, task_id: str) -> None:
    """Answer every question of a task and its subagents, and go on with it until it has ended."""
    for _ in range(_ROUNDS_MAX):
        with opened(options) as engine:
            if engine.task(task_id).is_final:
                return
            pending = engine.rows("confirmations", {"status": "pending"}, order_by="requested_position")
        for row in pending:
            if root_task_id(str(row["task_id"])) == task_id:
                short = str(row["digest"]).removeprefix("sha256:")[:8]
                type_command(options, ["confirmation", "approve", str(row["confirmation_id"]), "--digest", short])
        type_command(options, ["resume", task_id])


def type_command(options: Options, arguments: Sequence[str]) -> None:
    """Run a command in a process of its own, and print it with what it says."""
    output.line(f"  $ cowork {' '.join(arguments)}")
    output.flush()
    as_root = {"COWORK_UNSAFE_AS_ROOT": "1"} if options.unsafe_as_root else {}
    run = subprocess.run(
        [sys.executable, "-c", _ENTRY, *arguments],
        env={**os.environ, "COWORK_STORE": str(options.store), "TERM": "dumb", **as_root},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    for line in (run.stdout + run.stderr).splitlines():
        output.line(f"    {line}".rstrip())
    if run.returncode:
        output.line(f"    [exit status {run.returncode}]")
    output.flush()
