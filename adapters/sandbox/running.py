"""Running one command in the sandbox, from its start to the moment when nothing of it is alive any more.

    engine ── unshare ── sh (mounts) ═ bwrap ── bwrap (PID 1 inside) ── stage 0 ═ the command ── …
              (═: one process becomes the next)

bwrap outside ends when the command does; PID 1 ends with bwrap, and with PID 1 the kernel ends all that is inside. A
descriptor of PID 1 tells when that is over: only then is what the command wrote looked at. Nothing here is run from a
worker thread: `--die-with-parent` means the thread.
"""

import errno
import os
import re
import signal
import socket
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, ExitStack, nullcontext, suppress
from typing import Final

import anyio
import anyio.abc
import msgspec

from ...domain.errors import DomainError
from ...domain.reason import ReasonCode
from ...engine.ports import Traffic
from .control import NotReady, Ready, await_ready, go
from .handing import Handed, channel, handed, memory, pipe
from .launch import EXIT_GROUP, EXIT_MEMORY, EXIT_OVERLAY, EXIT_REPLACED
from .output import Collector, pump

_READY_S_MAX: Final = 30.0
_END_S_MAX: Final = 30.0
_DRAIN_S_MAX: Final = 10.0
_SIGNAL_BASE: Final = 128
_SIGNALS: Final = 64

Serve = Callable[[socket.socket], AbstractAsyncContextManager[Traffic]]
"""Opens the way out on the socket that listens in the sandbox."""

Watch = Callable[[], Awaitable[str]]
"""Waits until the command must be stopped, and returns why; waits for ever while it need not."""


class Start(msgspec.Struct, frozen=True):
    """What is started: the argument vector, where its input comes from, and the descriptors that it has besides."""

    argv: Sequence[str]
    stdin: int
    descriptors: tuple[int, ...]


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """How a command ended: with an exit code, by a signal, or because it was `stopped` (a sentence says why)."""

    exit_code: int | None = None
    signal: int | None = None
    stopped: str = ""
    milliseconds: int = 0


class NotStarted(msgspec.Struct, frozen=True):
    """Nothing of the command was run."""

    reason_code: ReasonCode
    reason: str


Prepare = Callable[[Handed, int, int], Start]
"""Makes the start, given where to put descriptors, the one for bwrap's information and the one to talk over."""


async def run_command(
    prepare: Prepare,
    outputs: tuple[Collector, Collector],
    *,
    seconds_max: float,
    serve: Serve | None = None,
    watch: Watch | None = None,
) -> Ended | NotStarted:
    """Run a command; return when nothing of it is alive. `outputs` collect what it prints.

    Raises nothing of its own. A cancelled call ends the command first, and then all that came of it.
    """
    with ExitStack() as stack:
        talk, their_end = channel(stack)
        information = memory(stack)
        pipes = (pipe(stack), pipe(stack))
        with handed() as descriptors:
            control = descriptors.take(their_end)
            info = descriptors.share(information)
            printing = [descriptors.take(writing) for _, writing in pipes]
            try:
                process = await _spawn(prepare(descriptors, info, control), printing)
            except OSError as error:
                return NotStarted("unavailable", f"it could not be started: {(error.strerror or str(error)).lower()}")
        supervisor = _Supervisor(process, talk, information, seconds_max)
        ended: Ended | NotStarted = NotStarted("unavailable", "")
        async with anyio.create_task_group() as pumps:
            for (reading, _), collector in zip(pipes, outputs, strict=True):
                pumps.start_soon(pump, reading, collector)
            try:
                ended = await supervisor.supervise(serve, watch)
            finally:
                with anyio.CancelScope(shield=True):
                    await supervisor.end()
            pumps.cancel_scope.deadline = anyio.current_time() + _DRAIN_S_MAX
        if isinstance(ended, NotStarted) and not ended.reason:
            return supervisor.why_not(outputs[1])
        return ended


async def _spawn(start: Start, printing: Sequence[int]) -> anyio.abc.Process:
    # A call that is cancelled half way would leave a child that nobody knows of.
    process: anyio.abc.Process | None = None
    with anyio.CancelScope(shield=True):
        process = await anyio.open_process(
            start.argv,
            stdin=start.stdin,
            stdout=printing[0],
            stderr=printing[1],
            cwd="/",
            env={},
            pass_fds=start.descriptors,
        )
    assert process is not None
    return process


class _Supervisor:
    """Keeps hold of one command: of bwrap outside, and of PID 1 inside as soon as there is one."""

    def __init__(self, process: anyio.abc.Process, talk: socket.socket, information: int, seconds_max: float) -> None:
        self._process = process
        self._talk = talk
        self._information = information
        self._seconds_max = seconds_max
        self._inside: int | None = None
        self._said = ""

    async def supervise(self, serve: Serve | None, watch: Watch | None) -> Ended | NotStarted:
        """Wait until the sandbox is ready, let the command go, and wait for its end."""
        ready: Ready | NotReady = NotReady("")
        with anyio.move_on_after(_READY_S_MAX):
            ready = await await_ready(self._talk)
        if isinstance(ready, NotReady):
            self._said = ready.said
            return NotStarted("unavailable", "")
        with ready.listener or nullcontext():
            self._inside = _descriptor_of_inside(self._information, self._process.pid)
            if self._inside is None or (ready.listener is None) != (serve is None):
                return NotStarted("unavailable", "the sandbox did not hand over what it should")
            async with AsyncExitStack() as stack:
                if serve is not None and ready.listener is not None:
                    try:
                        await stack.enter_async_context(serve(ready.listener))
                    except (DomainError, OSError) as error:
                        return NotStarted("unavailable", f"its way out can't be opened: {error}")
                ended = await self._let_go(watch)
                # What still goes out belongs to the command, and ends with it.
                await self.end_inside()
            return ended

    async def _let_go(self, watch: Watch | None) -> Ended | NotStarted:
        started = time.monotonic()
        failure = await go(self._talk)
        if failure is not None:
            return _not_started(failure)
        status: int | None = None
        reasons: list[str] = []
        with anyio.move_on_after(self._seconds_max):
            async with anyio.create_task_group() as tasks:
                if watch is not None:
                    tasks.start_soon(_stop_when_told, watch, reasons, tasks.cancel_scope)
                status = await self._process.wait()
                tasks.cancel_scope.cancel()
        milliseconds = round((time.monotonic() - started) * 1000)
        if status is None:
            reason = reasons[0] if reasons else f"it took longer than {self._seconds_max:g} s"
            return Ended(stopped=reason, milliseconds=milliseconds)
        return _ended(status, milliseconds)

    async def end(self) -> None:
        """End all that is left of the command and of bwrap, and wait until it is gone."""
        if self._inside is None:
            # Nothing runs yet. Without the engine to talk to, stage 0 gives up by itself; bwrap, ended in the middle of
            # its work, could leave behind a child that waits for it.
            self._talk.close()
            with anyio.move_on_after(_END_S_MAX):
                await self._process.wait()
        else:
            await self.end_inside()
            os.close(self._inside)
        with suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()
        await self._process.aclose()

    async def end_inside(self) -> None:
        """End PID 1 inside, and with it everything there; it is over when the descriptor tells so."""
        assert self._inside is not None
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._inside, signal.SIGKILL)
        with anyio.move_on_after(_END_S_MAX):
            await anyio.wait_readable(self._inside)
        _bury(self._inside)

    def why_not(self, errors: Collector) -> NotStarted:
        """Return why the sandbox was not made: what stage 0 said, or bwrap, or the script by its exit status."""
        status = self._process.returncode
        if status == EXIT_REPLACED:
            return NotStarted("conflict", "the folder is no longer the one that was granted")
        if self._said.startswith("the working folder"):
            return NotStarted("not_found", self._said)
        words = self._said or b"".join(errors.end().chunks).decode("utf-8", "replace").strip().rpartition("\n")[2]
        place = _PLACES.get(status or 0, "the sandbox could not be made")
        return NotStarted("unavailable", f"{place}: {words[:_WORDS_MAX]}" if words else place)


def _bury(process: int) -> None:
    """Take note of a process's end where it fell to us: where the engine is the one that orphans go to."""
    with suppress(ChildProcessError):
        os.waitid(os.P_PIDFD, process, os.WEXITED | os.WNOHANG)


_PLACES: Final = {
    EXIT_OVERLAY: "the copy of the folder could not be made",
    EXIT_MEMORY: "the temporary folder could not be made",
    EXIT_GROUP: "the control group could not be entered",
}
_WORDS_MAX: Final = 400


async def _stop_when_told(watch: Watch, reasons: list[str], scope: anyio.CancelScope) -> None:
    reasons.append(await watch())
    scope.cancel()


def _descriptor_of_inside(information: int, bubblewrap: int) -> int | None:
    """Return a descriptor of PID 1 inside; it is there for as long as stage 0 waits for us."""
    try:
        found = re.search(rb'"child-pid": *([0-9]+)', os.pread(information, 4096, 0))
        if found is None:
            return None
        descriptor = os.pidfd_open(int(found[1]))
        with open(f"/proc/{int(found[1])}/stat", "rb") as file:
            parent = int(file.read().rpartition(b")")[2].split()[1])
    except (OSError, ValueError):
        return None
    if parent != bubblewrap:
        os.close(descriptor)
        return None
    return descriptor


def _not_started(failure: int) -> NotStarted:
    words = os.strerror(failure).lower()
    match failure:
        case errno.ENOENT | errno.ENOTDIR:
            return NotStarted("not_found", "there is no such program in the sandbox")
        case errno.E2BIG:
            return NotStarted("limit", "its arguments are too long")
        case _:
            return NotStarted("exit", f"it can't be run: {words}")


def _ended(status: int, milliseconds: int) -> Ended:
    """Tell an exit from a signal as every shell does: bwrap hands on a signal as 128 and its number."""
    if status < 0:
        return Ended(signal=-status, milliseconds=milliseconds)
    if _SIGNAL_BASE < status <= _SIGNAL_BASE + _SIGNALS:
        return Ended(signal=status - _SIGNAL_BASE, milliseconds=milliseconds)
    return Ended(exit_code=status, milliseconds=milliseconds)
