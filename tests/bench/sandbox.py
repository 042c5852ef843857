"""What the sandbox costs: a command beside a plain process and bare bubblewrap, and changes that are staged."""

import os
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import anyio

from cowork.adapters.blobs.store import FileBlobStore
from cowork.adapters.files.holding import GrantedFolders
from cowork.adapters.network.connect_proxy import ConnectProxy
from cowork.adapters.sandbox.executor import CommandExecutor
from cowork.domain.action import Location, ShellExec, digest_of
from cowork.domain.facts import FileState
from cowork.domain.scope import VERBS, FolderIdentity, FolderScope, Scope
from cowork.engine.ports import Connection, Done, Permit
from tests.bench.figure import Figure
from tests.bench.single import NOW

SPAWNS = 25
BARE = (
    *("/usr/bin/bwrap", "--unshare-all", "--die-with-parent", "--new-session", "--ro-bind", "/usr", "/usr"),
    *("--symlink", "usr/bin", "/bin", "--symlink", "usr/lib", "/lib", "--symlink", "usr/lib64", "/lib64"),
    *("--proc", "/proc", "--dev", "/dev", "--", "/usr/bin/true"),
)


class _Quiet:
    """Hides nothing, and hears of no connection."""

    def hides(self, grant_id: str, path: str, state: FileState) -> bool:
        return False

    async def connection(self, connection: Connection) -> None:
        raise AssertionError("no command here has a network")

    def output(self, stream: str, chunk: bytes) -> None:
        """Hear nothing of what is printed."""


class _Sandbox:
    """A granted folder and the executor of commands over it."""

    def __init__(self, folder: Path) -> None:
        self.grant, state = folder / "grant", folder / "state"
        for one in (self.grant, state):
            one.mkdir(parents=True)
        status = self.grant.stat()
        identity = FolderIdentity(status.st_dev, status.st_ino)
        root = os.fspath(self.grant.resolve())
        self.scope = Scope((FolderScope(grant_id="g", name="grant", root_path=root, verbs=VERBS, identity=identity),))
        self.executor = CommandExecutor(
            blobs=FileBlobStore(state / "blobs"), state_dir=state, holder=GrantedFolders(), egress=ConnectProxy()
        )
        self._actions = 0

    async def seconds(self, argv: Sequence[str], *, changes: int = 0) -> float:
        """Return how long a command takes from the permit to its outcome, its changes read and kept."""
        self._actions += 1
        action = ShellExec(argv=tuple(argv), cwd=Location("g", "."), writes="staged" if changes else "none")
        [facts] = await self.executor.observe([action], self.scope, NOW, batch=1)
        permit = Permit(
            position=self._actions,
            action_id=f"task-bench.{self._actions}",
            attempt=1,
            action=action,
            digest=digest_of(action),
            facts=facts,
            scope=self.scope,
            sight=_Quiet(),
            witness=_Quiet(),
        )
        began = time.perf_counter()
        outcome = await self.executor.perform(permit)
        took = time.perf_counter() - began
        assert isinstance(outcome, Done), outcome
        assert len(outcome.staged) == changes
        return took


def measure_sandbox(folder: Path, rounds: int) -> list[Figure]:
    """Return what a confined command costs over a plain one, and what staged changes cost over writing them."""
    return anyio.run(_measure, folder / "sandbox", rounds)


async def _measure(folder: Path, rounds: int) -> list[Figure]:
    sandbox = _Sandbox(folder)
    over_ms: list[float] = []
    beside_bare: list[float] = []
    for _ in range(rounds):
        plain, bare, confined = [], [], []
        # In turns, because the machine's own speed drifts within a round.
        for _ in range(SPAWNS):
            plain.append(_plain(("/usr/bin/true",)))
            bare.append(_plain(BARE))
            confined.append(await sandbox.seconds(["true"]))
        over_ms.append(1e3 * (median(confined) - median(plain)))
        beside_bare.append(median(confined) / median(bare))
    return [
        Figure(
            key="sandbox-spawn",
            title="a read-only command in the sandbox",
            unit="ms over a plain process",
            rounds=tuple(over_ms),
            aim=30,
            better="less",
        ),
        Figure(
            key="sandbox-bare",
            title="the same",
            unit="x bare bubblewrap",
            rounds=tuple(beside_bare),
            better="less",
        ),
        *[await _staged(sandbox, folder, files, rounds) for files in (10, 1000)],
    ]


async def _staged(sandbox: _Sandbox, folder: Path, files: int, rounds: int) -> Figure:
    line = f'mkdir out; i=0; while [ $i -lt {files} ]; do echo "$i" > out/$i.txt; i=$((i + 1)); done'
    ratios, took_ms = [], []
    for number in range(rounds):
        directly = folder / f"plain-{files}-{number}"
        directly.mkdir()
        plain = _plain(("/bin/sh", "-c", line), cwd=directly)
        staged = await sandbox.seconds(["sh", "-c", line], changes=files)
        ratios.append(staged / plain)
        took_ms.append(1e3 * staged)
    return Figure(
        key=f"sandbox-staged-{files}",
        title=f"a command that stages {files:,} new files",
        unit="x the same without a sandbox",
        rounds=tuple(ratios),
        better="less",
        absolute=f"{median(took_ms):,.0f} ms, contents in the store",
    )


def _plain(argv: Sequence[str], cwd: Path | None = None) -> float:
    began = time.perf_counter()
    subprocess.run(argv, check=True, cwd=cwd, env={"PATH": "/usr/bin:/bin"})
    return time.perf_counter() - began
