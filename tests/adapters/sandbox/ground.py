"""What the cases of commands stand on: folders, a secret in each place, listeners, and an executor."""

import hashlib
import os
import socket
import uuid
from collections.abc import Iterator, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import msgspec

from cowork.adapters.blobs.memory import MemoryBlobStore
from cowork.adapters.files.holding import GrantedFolders
from cowork.adapters.sandbox.executor import CommandExecutor
from cowork.adapters.sandbox.performing import Bounds
from cowork.domain.action import Action, CodeRun, Content, Location, ShellExec
from cowork.domain.effect import CommandReport, Result
from cowork.domain.facts import Facts, FileState
from cowork.domain.scope import VERBS, FolderIdentity, FolderScope, Scope
from cowork.engine.ports import Connection, Done, Egress, Failed, ListeningSocket, Outcome, Permit, Traffic, Witness

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)


class Watching:
    """A witness that remembers."""

    def __init__(self) -> None:
        self.connections: list[Connection] = []
        self.shown: dict[str, bytes] = {"stdout": b"", "stderr": b""}

    async def connection(self, connection: Connection) -> None:
        self.connections.append(connection)

    def output(self, stream: Literal["stdout", "stderr"], chunk: bytes) -> None:
        self.shown[stream] += chunk


class Hiding(msgspec.Struct, frozen=True):
    """A sight that hides some paths."""

    paths: frozenset[str] = frozenset()

    def hides(self, grant_id: str, path: str, state: FileState) -> bool:
        return path in self.paths


class NoWayOut:
    """An egress that must not be asked."""

    def serve(
        self, listener: ListeningSocket, hosts: Sequence[str], addresses: Sequence[str], witness: Witness
    ) -> AbstractAsyncContextManager[Traffic]:
        raise AssertionError("nobody asked for a way out")


class Ran(msgspec.Struct, frozen=True):
    """An outcome with what was printed."""

    outcome: Outcome
    out: str
    err: str

    @property
    def result(self) -> Result | None:
        return self.outcome.result if isinstance(self.outcome, (Done, Failed)) else None

    @property
    def report(self) -> CommandReport:
        result = self.result
        assert result is not None, self.outcome
        assert result.command is not None
        return result.command

    def done(self) -> Done:
        assert isinstance(self.outcome, Done), (self.outcome, self.err)
        return self.outcome

    def failed(self) -> Failed:
        assert isinstance(self.outcome, Failed), (self.outcome, self.out)
        return self.outcome


class Ground:
    """`BASE/grant`, `grant2`, `grant-evil`, `out` and `state`; see the cases' fixture."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.canary = f"CANARY-{uuid.uuid4()}"
        for name in ("grant", "grant2", "grant-evil", "out", "state"):
            (base / name).mkdir(mode=0o755 if name != "state" else 0o700)
        self.grant, self.out = base / "grant", base / "out"
        (self.out / "secret.txt").write_text(self.canary)
        (self.out / "linked.txt").write_text("linked\n")
        (base / "grant2" / "other.txt").write_text(self.canary)
        (base / "grant-evil" / "f").write_text(self.canary)
        self.blobs = MemoryBlobStore()
        self.witness = Watching()
        self.scope = Scope((self.folder("grant"), self.folder("grant2")))
        self.holder = GrantedFolders()
        self.attempts = 0
        self.environment = {"COWORK_TEST_SECRET": self.canary, "PATH": os.environ["PATH"]}

    def folder(self, name: str) -> FolderScope:
        status = (self.base / name).stat()
        return FolderScope(
            grant_id=f"{name}_1",
            name=name,
            root_path=str(self.base / name),
            verbs=VERBS,
            identity=FolderIdentity(status.st_dev, status.st_ino),
        )

    def executor(self, bounds: Bounds | None = None, egress: Egress | None = None) -> CommandExecutor:
        return CommandExecutor(
            blobs=self.blobs,
            state_dir=self.base / "state",
            holder=self.holder,
            egress=egress or NoWayOut(),
            environment=self.environment,
            bounds=bounds,
        )

    def shell(
        self,
        *argv: str,
        cwd: str = ".",
        writes: bool = False,
        env: tuple[tuple[str, str], ...] = (),
        stdin: bytes | None = None,
        timeout_s: int | None = None,
        network: tuple[str, ...] = (),
    ) -> ShellExec:
        return ShellExec(
            argv=argv,
            cwd=Location("grant_1", cwd),
            env=env,
            stdin=self._kept(stdin),
            network=network,
            writes="staged" if writes else "none",
            timeout_s=timeout_s,
        )

    def code(
        self, python: str, *args: str, cwd: str = ".", writes: bool = False, stdin: bytes | None = None
    ) -> CodeRun:
        return CodeRun(
            python=python,
            args=args,
            cwd=Location("grant_1", cwd),
            stdin=self._kept(stdin),
            writes="staged" if writes else "none",
        )

    def line(
        self, line: str, *, writes: bool = False, timeout_s: int | None = None, network: tuple[str, ...] = ()
    ) -> ShellExec:
        """A line for a shell."""
        return self.shell("sh", "-c", line, writes=writes, timeout_s=timeout_s, network=network)

    async def facts(self, action: Action, executor: CommandExecutor | None = None) -> Facts:
        [facts] = await (executor or self.executor()).observe([action], self.scope, NOW, batch=1)
        return facts

    def permit(self, action: Action, facts: Facts, hidden: frozenset[str] = frozenset()) -> Permit:
        self.attempts += 1
        return Permit(
            position=1,
            action_id=f"action-{self.attempts}",
            attempt=1,
            action=action,
            digest="sha256:-",
            facts=facts,
            scope=self.scope,
            sight=Hiding(hidden),
            witness=self.witness,
        )

    async def run(
        self,
        action: Action,
        *,
        executor: CommandExecutor | None = None,
        bounds: Bounds | None = None,
        hidden: frozenset[str] = frozenset(),
    ) -> Ran:
        """Observe and perform, as the pipeline would, and read what was printed."""
        executor = executor or self.executor(bounds)
        facts = await self.facts(action, executor)
        assert facts.obstacle is None, facts.obstacle
        return self.read(await executor.perform(self.permit(action, facts, hidden)))

    def read(self, outcome: Outcome) -> Ran:
        result = outcome.result if isinstance(outcome, (Done, Failed)) else None
        if result is None or result.command is None:
            return Ran(outcome, "", "")
        return Ran(outcome, self._text(result.command.stdout.content), self._text(result.command.stderr.content))

    def _kept(self, data: bytes | None) -> Content | None:
        return None if data is None else self.blobs.put(data)

    def _text(self, content: Content) -> str:
        return self.blobs.get(content.digest).decode("utf-8", "surrogateescape")

    def require_no_residue(self) -> None:
        """Nothing may be left in the engine's folder, and nothing of the cases may be alive."""
        left = sorted(str(path.relative_to(self.base)) for path in (self.base / "state").rglob("*"))
        assert left in ([], ["state/commands"]), left


class Manifest(msgspec.Struct, frozen=True):
    """Everything beneath some folders, byte by byte, with modes, times and numbers."""

    entries: tuple[tuple[str, int, int, int, int, int, str], ...]

    @classmethod
    def of(cls, *folders: Path) -> "Manifest":
        return cls(tuple(entry for folder in folders for entry in cls._entries(folder)))

    @staticmethod
    def _entries(folder: Path) -> Iterator[tuple[str, int, int, int, int, int, str]]:
        for path in [folder, *sorted(folder.rglob("*"))]:
            status = path.lstat()
            digest = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
            yield (
                str(path),
                status.st_mode,
                status.st_ino,
                status.st_nlink,
                status.st_size,
                status.st_mtime_ns,
                digest,
            )


def processes_with(marker: str) -> list[int]:
    """The processes of this machine that have a marker among their arguments."""
    found: list[int] = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with suppress(OSError):
                arguments = (entry / "cmdline").read_bytes().split(b"\0")
                if marker.encode() in arguments:
                    found.append(int(entry.name))
    return found


class Listeners:
    """A TCP listener, a UDP socket, and Unix sockets (by path and abstract) of the host that note who comes."""

    def __init__(self, folder: Path) -> None:
        self.tcp = socket.create_server(("127.0.0.1", 0))
        self.tcp6 = socket.create_server(("::1", 0), family=socket.AF_INET6)
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind(("127.0.0.1", 0))
        self.unix = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.unix.bind(str(folder / "s.sock"))
        self.unix.listen()
        self.datagrams = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.datagrams.bind(str(folder / "d.sock"))
        self.abstract_name = f"cowork-{uuid.uuid4()}"
        self.abstract = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.abstract.bind(f"\0{self.abstract_name}")
        self.abstract.listen()
        for one in self._all():
            one.setblocking(False)

    def _all(self) -> tuple[socket.socket, ...]:
        return (self.tcp, self.tcp6, self.udp, self.unix, self.datagrams, self.abstract)

    def visitors(self) -> list[str]:
        """Return who came, by the listener's address."""
        seen: list[str] = []
        for one in self._all():
            with suppress(BlockingIOError):
                if one.type == socket.SOCK_DGRAM:
                    one.recv(1)
                else:
                    one.accept()[0].close()
                seen.append(str(one.getsockname()))
        return seen

    def close(self) -> None:
        for one in self._all():
            one.close()
