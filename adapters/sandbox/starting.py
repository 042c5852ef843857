"""Putting the start of a command together: what bubblewrap, stage 0 and the command itself are told, and over what."""

import ast
import os
import resource
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Final

import msgspec

from ...engine.limits import (
    COMMAND_ADDRESS_BYTES_MAX,
    COMMAND_CPU_S_MAX,
    COMMAND_DATA_BYTES_MAX,
    COMMAND_FILE_BYTES_MAX,
    COMMAND_OPEN_FILES_MAX,
    COMMAND_PROCESSES_MAX,
    COMMAND_TMP_BYTES_MAX,
    COMMAND_TMP_FILES_MAX,
)
from .bubblewrap import BUBBLEWRAP, PYTHON
from .filters import SystemCallFilter
from .handing import Handed
from .launch import GRANT_FD, SHARED_MEMORY_FD, TMP_FD, Layers, launch_command
from .running import Start
from .view import HOSTS, NAMES, Descriptors, Person, arguments_of_view, group_of, joined, passwd_of

PROXY_PORT: Final = 3128
"""Where a command finds its proxy, on its own loopback."""

ENVIRONMENT: Final[Mapping[str, str]] = {
    # What the machine's packages bring goes before what was put there by hand.
    "PATH": "/usr/bin:/bin:/usr/local/bin",
    "HOME": "/tmp",  # noqa: S108 - the command's own
    "TMPDIR": "/tmp",  # noqa: S108
    "USER": "cowork",
    "LOGNAME": "cowork",
    "SHELL": "/bin/sh",
    "LANG": "C.UTF-8",
    "PYTHONDONTWRITEBYTECODE": "1",
}
"""What every command has in its environment, and nothing of the engine's."""

_PROXY: Final = f"http://127.0.0.1:{PROXY_PORT}"
PROXY_ENVIRONMENT: Final[Mapping[str, str]] = dict.fromkeys(
    ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"), _PROXY
)
"""What a command with a way out has besides."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """The bounds of a command that the kernel keeps, smaller in tests."""

    address_bytes: int = COMMAND_ADDRESS_BYTES_MAX
    data_bytes: int = COMMAND_DATA_BYTES_MAX
    cpu_s: int = COMMAND_CPU_S_MAX
    file_bytes: int = COMMAND_FILE_BYTES_MAX
    open_files: int = COMMAND_OPEN_FILES_MAX
    processes: int = COMMAND_PROCESSES_MAX
    tmp_bytes: int = COMMAND_TMP_BYTES_MAX
    tmp_files: int = COMMAND_TMP_FILES_MAX

    def for_stage0(self) -> bytes:
        """Return them as stage 0 reads them: pairs of the kernel's number for a limit and a value."""
        pairs = {
            resource.RLIMIT_AS: self.address_bytes,
            resource.RLIMIT_DATA: self.data_bytes,
            resource.RLIMIT_CPU: self.cpu_s,
            resource.RLIMIT_FSIZE: self.file_bytes,
            resource.RLIMIT_NOFILE: self.open_files,
            resource.RLIMIT_NPROC: self.processes,
            resource.RLIMIT_CORE: 0,
        }
        return b" ".join(b"%d=%d" % pair for pair in pairs.items())

    def for_tmpfs(self) -> str:
        """Return them as options of a tmpfs; three of its files are its own folders."""
        return f"size={self.tmp_bytes},nr_inodes={self.tmp_files + 3}"


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be run, and where.

    `folder` is the granted folder's path and `root` an `O_PATH` descriptor of it, `cwd` the working folder's absolute
    path; `environment` is what the action adds; `code` is Python source that `argv` runs as `view.CODE_FILE`.
    """

    argv: tuple[bytes, ...]
    cwd: bytes
    folder: bytes
    root: int
    layers: Layers
    filter: SystemCallFilter
    environment: tuple[tuple[str, str], ...] = ()
    stdin: bytes | None = None
    code: bytes | None = None
    network: bool = False
    group: str = ""
    limits: Limits = Limits()

    @property
    def writes(self) -> bool:
        """Whether it has a copy to write to."""
        return bool(self.layers.upper)


def start_of(command: Command, handed: Handed, info: int, control: int) -> Start:
    """Return the start of a command; `info` is for what bubblewrap tells and `control` for stage 0 to talk over."""
    person = Person(os.getuid(), os.getgid())
    descriptors = Descriptors(
        grant=GRANT_FD,
        tmp=TMP_FD,
        shared_memory=SHARED_MEMORY_FD,
        passwd=handed.bytes(passwd_of(person)),
        group=handed.bytes(group_of(person)),
        hosts=handed.bytes(HOSTS),
        names=handed.bytes(NAMES),
        filter=handed.bytes(command.filter.program),
        info=info,
        code=None if command.code is None else handed.bytes(command.code),
    )
    folder = os.fsdecode(command.folder)
    view = handed.bytes(joined(arguments_of_view(folder, person, descriptors, writes=command.writes)))
    order = handed.bytes(order_of(command))
    root = handed.share(command.root)
    stdin = (
        handed.take(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
        if command.stdin is None
        else (handed.bytes(command.stdin))
    )
    bubblewrap = [
        *(BUBBLEWRAP, "--args", str(view), "--"),
        *(PYTHON, "-I", "-S", "-c", stage0_source(), str(order), str(control)),
    ]
    argv = launch_command(
        folder,
        root,
        command.layers,
        bubblewrap,
        tmp_options=command.limits.for_tmpfs(),
        group=command.group,
    )
    return Start(argv, stdin, tuple(handed.numbers))


def order_of(command: Command) -> bytes:
    """Return what stage 0 is told, as it reads it."""
    environment = {**ENVIRONMENT, **(PROXY_ENVIRONMENT if command.network else {}), **dict(command.environment)}
    fields = [
        command.cwd,
        command.folder if command.writes else b"",
        command.limits.for_stage0(),
        b"%d" % (PROXY_PORT if command.network else 0),
        b"%d" % len(command.argv),
        *command.argv,
        *(f"{name}={value}".encode() for name, value in environment.items()),
    ]
    return b"\0".join(fields)


@cache
def stage0_source() -> str:
    """Return the source of stage 0 without its comments, which are read here and not there."""
    tree = ast.parse(Path(__file__).with_name("stage0.py").read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.FunctionDef) and ast.get_docstring(node) is not None:
            node.body = node.body[1:]
    return ast.unparse(tree)
