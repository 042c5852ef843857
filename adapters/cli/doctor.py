"""`cowork doctor`: what holds on this machine and in this store, and what does not, tried out."""

import os
import platform
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import msgspec

from ...domain.errors import DomainError
from ...domain.sandbox import Canary
from ...domain.session import ROOT_ALLOWANCES
from ...projections.visible_text import visible
from . import output
from .exit_status import OF_ERROR, ExitStatus
from .layout import in_columns, plural
from .opening import opened, store_folder
from .options import PLAIN_OPTIONS, Options

if TYPE_CHECKING:
    from ...engine.application import Application

Verdict: TypeAlias = Literal["ok", "note", "warning", "problem"]

SPACE_LOW_BYTES: Final = 64 * 1024 * 1024
"""Less free room than this beside the store is worth a warning."""


class Check(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One thing that was looked at: the verdict and a sentence."""

    name: str
    verdict: Verdict
    message: str


NOT_OPENED: Final = Check(
    name="store", verdict="note", message="not opened, since that would leave files of root's in it"
)


def doctor(*, options: Options = PLAIN_OPTIONS) -> ExitStatus:
    """Check this machine and this store, and try the sandbox out: what holds here, and what does not.

    Each line about a canary says by which way something was tried that must not get through, and whether it was held:
    enforced, advisory (nothing but good will holds it) or absent. The result is put on record in the store, if there
    is one; nothing else is changed.

    Ends with 0 where nothing is wrong, with 6 where the store is damaged, with 1 for any other problem. Without a
    sandbox commands are denied, and that is a problem, too.

        cowork doctor
        cowork doctor --store /srv/cowork --json
    """
    folder = store_folder(options)
    may_work, account = _account(options)
    checks = [*_machine(), account, *_file_system(folder)]
    store_checks, canaries, status = _store(options, folder) if may_work else ([NOT_OPENED], (), ExitStatus.DONE)
    checks += store_checks
    if options.json:
        output.document({"store": str(folder), "checks": checks, "canaries": canaries})
    else:
        for line in in_columns([(check.verdict, check.name, check.message) for check in checks]):
            output.line(line)
        output.line()
        for line in in_columns([(one.standing, one.path, one.name, visible(_said(one))) for one in canaries]):
            output.line(line)
    held = all(canary.standing == "enforced" for canary in canaries if canary.needed)
    if status == ExitStatus.DONE and (not held or any(check.verdict == "problem" for check in checks)):
        return ExitStatus.FAILED
    return status


def _said(canary: Canary) -> str:
    return f"{canary.detail}; {canary.hint}" if canary.hint else canary.detail


def _machine() -> Iterator[Check]:
    yield Check(name="python", verdict="ok", message=f"{platform.python_version()} at {visible(sys.executable)}")
    yield Check(name="system", verdict="ok", message=f"{platform.system()} {platform.release()} {platform.machine()}")
    yield _resolution()


def _account(options: Options) -> tuple[bool, Check]:
    """Return whether cowork works for this account, and what there is to say about it."""
    from ..bootstrap import root_allowance

    try:
        allowed_by = root_allowance(by_option=options.unsafe_as_root)
    except DomainError as error:
        if error.code != "denied":
            raise
        return False, Check(name="account", verdict="problem", message=f"{error.message}; {error.hint}")
    if allowed_by is None:
        return True, Check(name="account", verdict="ok", message=f"uid {os.geteuid()}")
    message = f"root, allowed by {ROOT_ALLOWANCES[allowed_by]}: the operating system refuses nothing"
    return True, Check(name="account", verdict="warning", message=message)


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


def _store(options: Options, folder: Path) -> tuple[list[Check], tuple[Canary, ...], ExitStatus]:
    import anyio

    from ..bootstrap import try_sandbox

    if not os.path.lexists(folder):
        message = f"there is none at {visible(str(folder))} yet; the first `cowork run` makes it"
        return [Check(name="store", verdict="note", message=message)], anyio.run(try_sandbox), ExitStatus.DONE
    try:
        with opened(options) as engine:
            head = engine.store.head()
            checks = [Check(name="store", verdict="ok", message=f"opens; {visible(str(folder))}, position {head}")]
            checks += _log(engine)
            tasks = engine.rows("tasks")
            checks.append(
                Check(name="read model", verdict="ok", message=f"up to date with the log, {plural(len(tasks), 'task')}")
            )
            canaries = anyio.run(engine.sandbox.run)
    except DomainError as error:
        hint = f"; {error.hint}" if error.hint else ""
        problem = Check(name="store", verdict="problem", message=f"{error.message}{hint}")
        return [problem], anyio.run(try_sandbox), OF_ERROR[error.code]
    return checks, canaries, ExitStatus.DONE


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
