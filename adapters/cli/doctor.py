"""`cowork doctor`: what holds on this machine and in this store, and what does not. It changes nothing."""

import os
import platform
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import msgspec

from ...domain.errors import DomainError
from ...projections.visible_text import visible
from . import output
from .exit_status import OF_ERROR, ExitStatus
from .layout import in_columns, plural
from .opening import opened, store_folder
from .options import PLAIN_OPTIONS, Options

if TYPE_CHECKING:
    from ...engine.application import Application

Verdict: TypeAlias = Literal["ok", "note", "warning", "problem"]

SANDBOX_TOOLS: Final = ("bwrap", "unshare", "nsjail", "firejail")
SPACE_LOW_BYTES: Final = 64 * 1024 * 1024
"""Less free room than this beside the store is worth a warning."""


class Check(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One thing that was looked at: the verdict and a sentence."""

    name: str
    verdict: Verdict
    message: str


def doctor(*, options: Options = PLAIN_OPTIONS) -> ExitStatus:
    """Check this machine and this store: what holds here, and what does not. Nothing is changed.

    Ends with 0 where nothing is wrong, with 6 where the store is damaged, with 1 for any other problem.

        cowork doctor
        cowork doctor --store /srv/cowork --json
    """
    folder = store_folder(options)
    checks = [*_machine(), *_file_system(folder)]
    store_checks, status = _store(options, folder)
    checks += store_checks
    if options.json:
        output.document({"store": str(folder), "checks": checks})
    else:
        for line in in_columns([(check.verdict, check.name, check.message) for check in checks]):
            output.line(line)
    if status == ExitStatus.DONE and any(check.verdict == "problem" for check in checks):
        return ExitStatus.FAILED
    return status


def _machine() -> Iterator[Check]:
    yield Check(name="python", verdict="ok", message=f"{platform.python_version()} at {visible(sys.executable)}")
    yield Check(name="system", verdict="ok", message=f"{platform.system()} {platform.release()} {platform.machine()}")
    yield _resolution()
    if os.geteuid() == 0:
        yield Check(
            name="account",
            verdict="warning",
            message="running as root: the operating system will refuse nothing; use an ordinary account",
        )
    else:
        yield Check(name="account", verdict="ok", message=f"uid {os.geteuid()}")
    found = [tool for tool in SANDBOX_TOOLS if _is_installed(tool)]
    yield Check(
        name="sandbox",
        verdict="note",
        message="this version acts on files only and runs no commands, so it uses no sandbox"
        + (f" (installed here: {', '.join(found)})" if found else ""),
    )


def _resolution() -> Check:
    from ..bootstrap import path_resolution

    way = path_resolution()
    if way == "openat2":
        return Check(
            name="paths", verdict="ok", message="openat2: the kernel itself keeps every path inside its folder"
        )
    return Check(
        name="paths", verdict="note", message=f"{way}: the kernel has no openat2, so paths are walked name by name"
    )


def _is_installed(tool: str) -> bool:
    return any(
        os.access(os.path.join(folder or ".", tool), os.X_OK) for folder in os.environ.get("PATH", "").split(os.pathsep)
    )


def _file_system(folder: Path) -> Iterator[Check]:
    existing = next((one for one in (folder, *folder.absolute().parents) if one.is_dir()), Path("/"))
    kind = _kind_of_file_system(existing)
    network = kind in ("nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs")
    yield Check(
        name="file system",
        verdict="warning" if network else "ok",
        message=f"{visible(kind)} at {visible(str(existing))}"
        + ("; locks and durable writes are weaker on a network file system" if network else ""),
    )
    room = os.statvfs(existing)
    free = room.f_bavail * room.f_frsize
    yield Check(
        name="free room",
        verdict="warning" if free < SPACE_LOW_BYTES else "ok",
        message=f"{free // (1024 * 1024)} MiB where the store is",
    )


def _kind_of_file_system(path: Path) -> str:
    """Return the type of the file system that holds the path, from the kernel's list of mounts."""
    device = os.stat(path).st_dev
    wanted = f"{os.major(device)}:{os.minor(device)}"
    try:
        lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return "unknown"
    for line in lines:
        before, _, after = line.partition(" - ")
        fields = before.split()
        if len(fields) > 2 and fields[2] == wanted and after:
            return after.split()[0]
    return "unknown"


def _store(options: Options, folder: Path) -> tuple[list[Check], ExitStatus]:
    if not os.path.lexists(folder):
        message = f"there is none at {visible(str(folder))} yet; the first `cowork run` makes it"
        return [Check(name="store", verdict="note", message=message)], ExitStatus.DONE
    try:
        with opened(options) as engine:
            head = engine.store.head()
            checks = [Check(name="store", verdict="ok", message=f"opens; {visible(str(folder))}, position {head}")]
            checks += _log(engine)
            tasks = engine.rows("tasks")
            checks.append(
                Check(name="read model", verdict="ok", message=f"up to date with the log, {plural(len(tasks), 'task')}")
            )
    except DomainError as error:
        hint = f"; {error.hint}" if error.hint else ""
        problem = Check(name="store", verdict="problem", message=f"{error.message}{hint}")
        return [problem], OF_ERROR[error.code]
    return checks, ExitStatus.DONE


def _log(engine: "Application") -> Iterator[Check]:
    """Read every event once: each must be readable, and each stream without gaps. Raises `DomainError` damaged."""
    versions: dict[str, int] = {}
    after, count = 0, 0
    while page := engine.store.read_log(after=after, limit=1000):
        for recorded in page:
            expected = versions.get(recorded.stream, 0) + 1
            if recorded.version != expected or recorded.position <= after:
                raise DomainError(
                    "damaged", f"event {recorded.position} of `{recorded.stream}` is not the one that must follow"
                )
            versions[recorded.stream] = expected
            after = recorded.position
        count += len(page)
    yield Check(
        name="log", verdict="ok", message=f"{count} events in {len(versions)} streams, all readable and without gaps"
    )
