"""An engine that runs one command until it is killed: `python dying_engine.py BASE MARKER`."""

import sys
from datetime import UTC, datetime
from pathlib import Path

import anyio

from cowork.adapters.blobs.memory import MemoryBlobStore
from cowork.adapters.files.holding import GrantedFolders
from cowork.adapters.sandbox.executor import CommandExecutor
from cowork.domain.action import Location, ShellExec
from cowork.domain.scope import VERBS, FolderIdentity, FolderScope, Scope
from cowork.engine.ports import Permit
from tests.adapters.sandbox.ground import Hiding, NoWayOut, Watching


async def main(base: Path, marker: str) -> None:
    status = (base / "grant").stat()
    identity = FolderIdentity(status.st_dev, status.st_ino)
    folder = FolderScope(
        grant_id="grant_1", name="grant", root_path=str(base / "grant"), verbs=VERBS, identity=identity
    )
    executor = CommandExecutor(
        blobs=MemoryBlobStore(), state_dir=base / "state", holder=GrantedFolders(), egress=NoWayOut()
    )
    line = f"(setsid sleep {marker} &) ; echo x >made; sleep {marker}"
    action = ShellExec(argv=("sh", "-c", line), cwd=Location("grant_1", "."), writes="staged")
    scope = Scope((folder,))
    [facts] = await executor.observe([action], scope, datetime.now(UTC), batch=1)
    await executor.perform(
        Permit(
            position=1,
            action_id="action-dying",
            attempt=1,
            action=action,
            digest="sha256:-",
            facts=facts,
            scope=scope,
            sight=Hiding(),
            witness=Watching(),
        )
    )


anyio.run(main, Path(sys.argv[1]), sys.argv[2])
