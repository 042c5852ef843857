"""One attempt at one command: its area is made, it runs, and what it printed and changed is taken from there."""

import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Final, Literal

import anyio
import anyio.to_thread
import msgspec

from ...domain.action import CommandAction, ShellExec
from ...domain.effect import CommandReport, Output, Result
from ...domain.errors import DomainError
from ...domain.path import has_hidden_characters, name_of_text
from ...domain.policy_host import parse_host
from ...domain.reason import ReasonCode
from ...domain.scope import FolderScope
from ...engine.limits import COMMAND_OUTPUT_BYTES_MAX, COMMAND_S_MAX
from ...engine.ports import BlobStore, Done, Egress, Failed, Outcome, Permit, Traffic
from .area import Area, prepare
from .cgroups import make_group
from .changes import read_changes
from .filters import load_filter
from .launch import Layers
from .output import Collector, Printed
from .placing import find_obstacle_of_cwd, inputs_of, named_files
from .redaction import Redactor
from .requesting import argv_of, code_of, find_obstacle_of_request, seconds_of
from .running import Ended, NotStarted, run_command
from .starting import Command, Limits, start_of
from .view import find_taken
from .watching import StagedLimits, watch_copy

_LAST_LINE_MAX: Final = 160
_LIMIT_SIGNALS: Final = {
    24: "it used up its processor time",
    25: "it wrote a file that is too large",
}
"""SIGXCPU and SIGXFSZ: what the kernel sends where one of the bounds is reached."""


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """The bounds of commands, smaller in tests."""

    seconds_max: int = COMMAND_S_MAX
    output_bytes: int = COMMAND_OUTPUT_BYTES_MAX
    limits: Limits = Limits()
    staged: StagedLimits = StagedLimits()


def area_name(permit: Permit) -> str:
    """Return what the area of an attempt is called."""
    return f"{permit.action_id}-{permit.attempt}"


class Performing(msgspec.Struct, kw_only=True):
    """What one attempt needs.

    `root` is a descriptor of the granted folder, held as long as this is used; `groups` a place for control groups.
    """

    permit: Permit
    action: CommandAction
    folder: FolderScope
    root: int
    blobs: BlobStore
    state_dir: Path
    egress: Egress
    secrets: tuple[bytes, ...]
    bounds: Bounds
    groups: Path | None = None
    traffic: Traffic = msgspec.field(default_factory=Traffic)

    async def perform(self) -> Outcome:
        """Carry it out. Raises `DomainError` where a part of the engine's own fails; the area is gone then, too."""
        files = await anyio.to_thread.run_sync(self._look)
        if isinstance(files, Failed):
            return files
        area = await self._prepare(files)
        try:
            return await self._run(area)
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(_remove, area)

    def _look(self) -> dict[str, bytes] | Failed:
        """Look again at all that was observed, because the approval was for that."""
        taken = find_taken(self.folder.root_path)
        if taken is not None:
            return Failed("unavailable", f"commands can't run in `{self.folder.root_path}`")
        obstacle = find_obstacle_of_request(self.action, self.blobs, self.bounds.seconds_max)
        obstacle = obstacle or find_obstacle_of_cwd(self.root, self.action.cwd.path)
        if obstacle is not None:
            return Failed(obstacle.code, obstacle.message)
        files = named_files(self.action, self.folder, self.root)
        sees = self.permit.sight
        inputs = [one for one in inputs_of(files) if not sees.hides(self.folder.grant_id, one.path, one.state)]
        now, before = set(inputs), set(self.permit.facts.inputs)
        if now != before:
            changed = min(one.path for one in now ^ before)
            return Failed("conflict", f"`{changed}`, which the command names, is no longer as it was shown")
        return {one.path: files[one.path].data for one in inputs}

    async def _prepare(self, files: dict[str, bytes]) -> Area:
        work = partial(
            prepare,
            self.state_dir,
            area_name(self.permit),
            self.root,
            self.folder,
            self.permit.sight,
            writes=self.action.writes == "staged",
            pinned=files,
        )
        # Worker threads are not stopped half way: what a cancelled call had begun to make is there to be removed.
        area: Area | None = None
        with anyio.CancelScope(shield=True):
            area = await anyio.to_thread.run_sync(work)
        assert area is not None
        return area

    async def _run(self, area: Area) -> Outcome:
        command = await anyio.to_thread.run_sync(self._command, area)
        stdout, stderr = self._collector("stdout"), self._collector("stderr")
        group = make_group(area_name(self.permit), self.groups)
        if group is not None:
            command = msgspec.structs.replace(command, group=str(group.folder))
        try:
            ended = await run_command(
                partial(start_of, command),
                (stdout, stderr),
                seconds_max=seconds_of(self.action),
                serve=self._way_out if self.action.network else None,
                watch=partial(watch_copy, area.upper, self.bounds.staged) if command.writes else None,
            )
        finally:
            if group is not None:
                with anyio.CancelScope(shield=True):
                    await anyio.to_thread.run_sync(group.end)
        if isinstance(ended, NotStarted):
            return Failed(ended.reason_code, f"{self._name()} was not run: {ended.reason}")
        report = await anyio.to_thread.run_sync(self._report, ended, area, stdout.end(), stderr.end())
        failure = self._failure(ended, report, stderr.printed)
        if failure is not None:
            return failure
        if not command.writes:
            return Done(result=self._result("exit code 0", report))
        try:
            changes = await anyio.to_thread.run_sync(read_changes, area, self.root, self.folder, self.blobs)
        except DomainError as error:
            code: ReasonCode = "limit" if error.code == "limit" else "io"
            return Failed(code, error.message, self._result("exit code 0", report))
        report = msgspec.structs.replace(report, left_out=changes.left_out)
        return Done(result=self._result("exit code 0", report), staged=changes.staged)

    def _command(self, area: Area) -> Command:
        action = self.action
        writes = action.writes == "staged"
        return Command(
            argv=argv_of(action),
            cwd=name_of_text(self.folder.absolute(action.cwd.path)),
            folder=name_of_text(self.folder.root_path),
            root=self.root,
            layers=Layers(area.mask, area.upper if writes else "", area.work if writes else "", area.merged, area.tmp),
            filter=load_filter("network" if action.network else "offline"),
            environment=action.env,
            stdin=None if action.stdin is None else self.blobs.get(action.stdin.digest),
            code=code_of(action),
            network=bool(action.network),
            limits=self.bounds.limits,
        )

    def _collector(self, stream: Literal["stdout", "stderr"]) -> Collector:
        return Collector(Redactor(self.secrets), self.bounds.output_bytes, partial(self.permit.witness.output, stream))

    def _report(self, ended: Ended, area: Area, stdout: Printed, stderr: Printed) -> CommandReport:
        """Put what was printed into the blob store and return all that is known."""
        return CommandReport(
            exit_code=ended.exit_code,
            signal=ended.signal,
            stdout=Output(content=self.blobs.put_stream(stdout.chunks), cut=stdout.cut),
            stderr=Output(content=self.blobs.put_stream(stderr.chunks), cut=stderr.cut),
            milliseconds=ended.milliseconds,
            hidden=area.hidden,
            bytes_sent=self.traffic.sent,
            bytes_received=self.traffic.received,
        )

    def _failure(self, ended: Ended, report: CommandReport, errors: Printed) -> Failed | None:
        """Return why the command counts as failed, None where it succeeded; its changes are dropped then."""
        code: ReasonCode = "exit"
        if ended.stopped:
            code, how = "limit", f"was stopped: {ended.stopped}"
        elif ended.signal in _LIMIT_SIGNALS:
            code, how = "limit", f"was ended: {_LIMIT_SIGNALS[ended.signal]}"
        elif ended.signal is not None:
            how = f"was ended by signal {ended.signal} ({_signal_name(ended.signal)})"
        elif ended.exit_code:
            how = f"ended with exit code {ended.exit_code}"
        else:
            return None
        last = _last_line(errors)
        words = f"{how}; its last words were `{last}`" if last else how
        return Failed(code, f"{self._name()} {words}", self._result(how, report))

    def _result(self, how: str, report: CommandReport) -> Result:
        printed = report.stdout.content
        seconds = report.milliseconds / 1000
        return Result(
            summary=f"{self._name()}: {how}, {seconds:.2f} s, {printed.size:,} bytes of output",
            digest=printed.digest,
            size=printed.size,
            command=report,
        )

    def _name(self) -> str:
        return f"`{_shown(self.action.argv[0])}`" if isinstance(self.action, ShellExec) else "the code"

    @asynccontextmanager
    async def _way_out(self, listener: socket.socket) -> AsyncIterator[Traffic]:
        hosts = self.action.network
        async with self.egress.serve(listener, hosts, self._addresses(), self.permit.witness) as traffic:
            self.traffic = traffic
            yield traffic

    def _addresses(self) -> tuple[str, ...]:
        """Return the granted hosts that are addresses: only these may be private ones."""
        granted = ((entry, parse_host(entry.removesuffix(":*"))) for entry in self.permit.scope.open_hosts)
        return tuple(entry for entry, host in granted if host is not None and host.is_address)


def _remove(area: Area) -> None:
    # What can't be removed now is removed when the engine starts next; the outcome is what it is.
    with suppress(DomainError):
        area.remove()


def _last_line(printed: Printed) -> str:
    """Return the last line of what was printed, short and visible: it is where most programs say what was wrong."""
    lines = printed.tail(4096).decode("utf-8", "replace").strip().splitlines()
    return _shown(lines[-1].strip()) if lines else ""


def _shown(text: str) -> str:
    visible = "".join(one if one.isprintable() and not has_hidden_characters(one) else "\ufffd" for one in text)
    return visible if len(visible) <= _LAST_LINE_MAX else f"{visible[: _LAST_LINE_MAX - 1]}…"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return "of no name"
