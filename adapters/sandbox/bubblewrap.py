"""Finding the programs that the sandbox is made of: at their places and nowhere else, as the machine's owner put them.

They are never looked up in PATH or in a working folder: a `bwrap` that somebody put there is no sandbox.
"""

import os
import platform
import re
import stat
import subprocess
import sys
from functools import lru_cache
from typing import Final

import msgspec

from ...domain.errors import DomainError
from .filters import ARCHITECTURES
from .landlock import landlock_abi
from .launch import MKDIR, MOUNT, SHELL, UNSHARE

BUBBLEWRAP: Final = "/usr/bin/bwrap"
PYTHON: Final = "/usr/bin/python3"

OPTIONS: Final = (
    "--args",
    "--bind-fd",
    "--ro-bind-fd",
    "--disable-userns",
    "--seccomp",
    "--info-fd",
    "--perms",
    "--file",
    "--remount-ro",
    "--die-with-parent",
    "--new-session",
    "--cap-drop",
)
"""What bubblewrap must be able to do. `--bind-fd` is in 0.10, and in the corrected 0.8 of Debian 12."""

PYTHON_OLDEST: Final = (3, 9)

_HINT: Final = "install it with `apt install bubblewrap`, or the like of your system"
_PROBE_S_MAX: Final = 10.0


class Programs(msgspec.Struct, frozen=True, gc=False):
    """What there is: bubblewrap's version, that of the Python inside, and Landlock's ABI.

    `identity` tells one installation from another: path, inode, change time and size of every program.
    """

    bubblewrap: str
    python: str
    landlock: int
    identity: str


def find_programs() -> Programs:
    """Return what commands are run with. Raises `DomainError` unavailable with what is missing and what to do."""
    if not sys.platform.startswith("linux"):
        raise DomainError(
            "unavailable", "commands need Linux with bubblewrap", "on other systems files work, and commands do not yet"
        )
    machine = platform.machine()
    if machine not in ARCHITECTURES:
        raise DomainError("unavailable", f"commands need an x86-64 or 64 bit ARM machine, and this is `{machine}`")
    states = tuple(
        trusted_program(path, hint)
        for path, hint in (
            (BUBBLEWRAP, _HINT),
            (UNSHARE, "install it with `apt install util-linux`"),
            (MOUNT, "install it with `apt install mount`"),
            (MKDIR, "install it with `apt install coreutils`"),
            (SHELL, "install it with `apt install dash`"),
            (PYTHON, "install it with `apt install python3-minimal`"),
        )
    )
    return probe(states)


class ProgramState(msgspec.Struct, frozen=True, gc=False):
    """A program as it stands on the disk."""

    path: str
    device: int
    inode: int
    changed_ns: int
    size: int


def trusted_program(path: str, hint: str, owner: int = 0) -> ProgramState:
    """Return a program's state if nobody but `owner` can have put it there, or raise `DomainError` unavailable.

    Every folder and link on the way, too, belongs to the owner and can be written by no one else; the program itself is
    a binary: a script would be run by whatever its first line names.
    """
    try:
        real = _trusted_path(path, owner)
        status = os.stat(real)
        if not stat.S_ISREG(status.st_mode) or not status.st_mode & 0o111:
            raise DomainError("unavailable", f"`{path}` is no program", hint)
        with open(real, "rb") as file:
            if file.read(4) != b"\x7fELF":
                raise DomainError("unavailable", f"`{path}` is a script and not the program itself", hint)
    except FileNotFoundError:
        raise DomainError("unavailable", f"`{path}` is not there", hint) from None
    except OSError as error:
        raise DomainError("unavailable", f"`{path}` can't be looked at: {error.strerror}", hint) from error
    return ProgramState(path, status.st_dev, status.st_ino, status.st_ctime_ns, status.st_size)


def _trusted_path(path: str, owner: int) -> str:
    """Follow the path link by link and return where it ends."""
    real = "/"
    rest = path.strip("/").split("/")
    for _ in range(64):
        if not rest:
            return real
        name = rest.pop(0)
        if name in ("", "."):
            continue
        real = os.path.dirname(real) if name == ".." else os.path.join(real, name)
        status = os.lstat(real)
        loose = status.st_mode & 0o022 and not stat.S_ISLNK(status.st_mode)
        if status.st_uid not in (0, owner) or (loose and not status.st_mode & stat.S_ISVTX):
            raise DomainError(
                "unavailable", f"`{real}` can be changed by others than root", "make it root's own, or install it again"
            )
        if stat.S_ISLNK(status.st_mode):
            target = os.readlink(real)
            rest = target.split("/") + rest
            real = "/" if target.startswith("/") else os.path.dirname(real)
    raise DomainError("unavailable", f"`{path}` has too many links on its way")


@lru_cache(maxsize=4)
def probe(states: tuple[ProgramState, ...]) -> Programs:
    """Ask the programs, once for each state, what they can do. Raises `DomainError` unavailable."""
    options = set(re.findall(r"--[a-z-]+", _output(BUBBLEWRAP, "--help")))
    missing = [option for option in OPTIONS if option not in options]
    if missing:
        raise DomainError("unavailable", f"`{BUBBLEWRAP}` is too old: it has no `{missing[0]}`", _HINT)
    version = _output(BUBBLEWRAP, "--version").split()[-1:]
    python = _output(PYTHON, "-I", "-S", "-c", "import sys; print('%d.%d.%d' % sys.version_info[:3])").strip()
    numbers = tuple(int(part) for part in python.split(".") if part.isdecimal())
    if numbers[:2] < PYTHON_OLDEST:
        raise DomainError("unavailable", f"`{PYTHON}` is `{python}`, and commands need 3.9 or newer")
    abi = landlock_abi()
    if abi < 1:
        raise DomainError(
            "unavailable", "the kernel has no Landlock", "use a kernel of 5.13 or newer with Landlock among its `lsm=`"
        )
    identity = "\n".join(repr(state) for state in states)
    return Programs(version[0] if version else "of no version", python, abi, identity)


def _output(*command: str) -> str:
    try:
        run = subprocess.run(
            command, env={}, stdin=subprocess.DEVNULL, capture_output=True, timeout=_PROBE_S_MAX, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise DomainError("unavailable", f"`{command[0]}` does not start: {error}", _HINT) from error
    if run.returncode != 0:
        raise DomainError("unavailable", f"`{command[0]}` ended with {run.returncode} when asked what it can do", _HINT)
    return run.stdout.decode("utf-8", "replace")
