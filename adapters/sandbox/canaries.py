"""The self test of the sandbox: two commands, run as every other is, that try to get out, and what came of it."""

import hashlib
import os
import platform
import tempfile
from contextlib import ExitStack, suppress
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Final, Literal

import anyio.to_thread

from ...domain.errors import DomainError
from ...domain.sandbox import Canary
from .bubblewrap import find_programs
from .executor import CommandExecutor
from .filters import load_filter
from .trial import Trial
from .watching import StagedLimits, find_lack_of_room

_FOLDER: Final = "commands"
_DISK: Final = "/var/tmp"  # noqa: S108 - a folder in it is made with a name that nobody can foresee


class SandboxSelfTest:
    """The `SelfTest` port for commands.

    `state_dir` is the engine's folder, on whose disk commands' areas are made; without one a temporary folder is used,
    on the disk and not in memory, whose file systems can't all carry a copy.
    """

    def __init__(self, state_dir: Path | None = None, *, limits: StagedLimits | None = None) -> None:
        self._state_dir = state_dir
        self._limits = limits or StagedLimits()
        self._runs = 0

    def fingerprint(self) -> str:
        """Return `sha256:<hex>` of programs, kernel, filters, user, version and disk, and whether there is room on it.

        Who has made room is not denied by a test of before.
        """
        try:
            programs = find_programs()
            parts = [programs.identity, programs.bubblewrap, programs.python, f"landlock {programs.landlock}"]
            parts += [load_filter("offline").digest, load_filter("network").digest]
        except DomainError as error:
            parts = [error.message]
        parts += [platform.release(), platform.machine(), f"user {os.geteuid()} {os.getegid()}", _version()]
        if self._state_dir is not None:
            with suppress(OSError):
                parts.append(f"disk {self._state_dir.stat().st_dev}")
                parts += [lack] if (lack := find_lack_of_room(self._state_dir, self._limits)) is not None else []
        for setting in ("user/max_user_namespaces", "kernel/apparmor_restrict_unprivileged_userns"):
            with suppress(OSError):
                parts.append(f"{setting} {Path('/proc/sys', setting).read_text(encoding='ascii').strip()}")
        return f"sha256:{hashlib.sha256(chr(10).join(parts).encode()).hexdigest()}"

    async def run(self) -> tuple[Canary, ...]:
        """Try everything out. Never raises for a missing or broken sandbox: that is a result."""
        try:
            await anyio.to_thread.run_sync(find_programs)
            folder = self._state_dir or _disk() or tempfile.gettempdir()
            if (lack := find_lack_of_room(folder, self._limits)) is not None:
                # Every command would be stopped at once, and what is said of that would be a guess about the kernel.
                return _missing(lack, "make room on it: `cowork store gc --dry-run` shows what the store can let go of")
            self._runs += 1
            with ExitStack() as stack:
                state_dir = self._state_dir or Path(
                    stack.enter_context(tempfile.TemporaryDirectory(prefix="cowork-", dir=_disk()))
                )
                place = state_dir / _FOLDER / f"self-test-{os.getpid()}-{self._runs}"
                trial = stack.enter_context(Trial(place))
                executor = CommandExecutor(
                    blobs=trial.blobs, state_dir=state_dir, holder=trial, egress=trial, environment=dict(os.environ)
                )
                return (*await trial.try_shell(executor), *await trial.try_code(executor))
        except DomainError as error:
            return _missing(error.message, error.hint)
        except OSError as error:
            return _missing(f"the self test can't be made: {(error.strerror or str(error)).lower()}")


@cache
def _version() -> str:
    return version("cowork")


def _disk() -> str | None:
    """Return a folder for temporary files that is on a disk, None where only the usual one is there."""
    return _DISK if os.access(_DISK, os.W_OK | os.X_OK) else None


def _missing(detail: str, hint: str = "") -> tuple[Canary, ...]:
    paths: tuple[Literal["shell", "code"], ...] = ("shell", "code")
    return tuple(Canary(name="sandbox", path=path, standing="absent", detail=detail, hint=hint) for path in paths)
