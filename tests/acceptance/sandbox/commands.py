"""The commands of the cases, each with the case's marker among its arguments."""

import textwrap
from typing import Literal

from cowork.domain.action import CodeRun, Content, Location, ShellExec
from tests.acceptance.sandbox.field import Field

Writes = Literal["none", "staged"]

TRY = """
try_it() { "$@" >/tmp/.out 2>&1 && echo "worked: $*"; cat /tmp/.out >&2; }
try_line() { sh -c "$1" >/tmp/.out 2>&1 && echo "worked: $1"; cat /tmp/.out >&2; }
"""
"""Functions for a shell: only what works is printed to standard output."""


def here(path: str = ".") -> Location:
    """Return a place as a plan's author writes it."""
    return Location("", path)


def shell(
    field: Field,
    line: str,
    *arguments: str,
    writes: Writes = "none",
    cwd: str = ".",
    env: tuple[tuple[str, str], ...] = (),
    network: tuple[str, ...] = (),
    timeout_s: int | None = None,
    stdin: Content | None = None,
) -> ShellExec:
    """Return a line for a shell; `$1` and so on are the arguments."""
    return ShellExec(
        argv=("sh", "-c", TRY + textwrap.dedent(line), field.marker, *arguments),
        cwd=here(cwd),
        env=env,
        stdin=stdin,
        network=network,
        writes=writes,
        timeout_s=timeout_s,
    )


def code(
    field: Field,
    source: str,
    *arguments: str,
    writes: Writes = "none",
    network: tuple[str, ...] = (),
    timeout_s: int | None = None,
) -> CodeRun:
    """Return Python; `sys.argv[1:-1]` are the arguments."""
    return CodeRun(
        python=textwrap.dedent(source),
        args=(*arguments, field.marker),
        cwd=here(),
        network=network,
        writes=writes,
        timeout_s=timeout_s,
    )


def argv(field: Field, *arguments: str, writes: Writes = "none", cwd: str = ".") -> ShellExec:
    """Return a command as it is."""
    return ShellExec(argv=arguments, cwd=here(cwd), writes=writes)
