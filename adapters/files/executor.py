"""The executor of all file actions: what it may touch is decided by the kernel beneath an opened, granted folder."""

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

import anyio.to_thread

from ...domain.action import (
    Action,
    ActionKind,
    FileCreate,
    FileDelete,
    FileList,
    FileMove,
    FileRead,
    FileRename,
    FileRestore,
    FileSearch,
    FileWrite,
    Location,
    locations_of,
)
from ...domain.facts import Facts
from ...domain.scope import Scope
from ...engine.ports import BlobStore, Done, Failed, Finding, NotApplied, Permit, Unclear
from .deleting import perform_delete, reconcile_delete
from .failure import EXPECTED, failure_of, sentence_of
from .moving import perform_move
from .observing import observe_actions
from .places import granted
from .quarantine import Quarantine
from .reading import perform_list, perform_read
from .recovering import reconcile_move, reconcile_write
from .resolver import Resolver, choose_resolver
from .restoring import perform_restore, reconcile_restore
from .roots import Roots
from .searching import perform_search
from .spelling import Spellings
from .world import FileLimits, World, pass_by
from .writing import perform_write

_KINDS: Final[frozenset[ActionKind]] = frozenset(
    [
        "file.list",
        "file.search",
        "file.read",
        "file.write",
        "file.create",
        "file.rename",
        "file.move",
        "file.delete",
        "file.restore",
    ]
)


class FileExecutor:
    """Carries out `file.*` actions; see the `Executor` port.

    `state_dir` is a folder of the engine's own that exists; deleted files go to `quarantine/` in it. Every call hops to
    a worker thread once, however many actions it is about, and can't be cancelled half way. Syncs to disk per action,
    on top of what the blob store needs for content it has not got yet: create 2 and one per new folder, replace 3,
    delete 2, put back 2 and one per new folder, rename 1, move 2, list, search and read none.
    """

    kinds: frozenset[ActionKind] = _KINDS

    def __init__(
        self,
        blobs: BlobStore,
        state_dir: Path,
        resolver: Resolver | None = None,
        limits: FileLimits | None = None,
        checkpoint: Callable[[str], None] = pass_by,
    ) -> None:
        strict = resolver or choose_resolver()
        self._world = World(
            resolver=strict,
            roots=Roots(strict),
            spellings=Spellings(strict),
            quarantine=Quarantine(state_dir, strict),
            blobs=blobs,
            limits=limits or FileLimits(),
            checkpoint=checkpoint,
        )

    @property
    def resolver(self) -> str:
        """The name of the resolver in use: `openat2` or `walk`."""
        return self._world.resolver.name

    async def observe(self, actions: Sequence[Action], scope: Scope, now: datetime, *, batch: int) -> list[Facts]:
        """Look at what the actions would touch, changing nothing. Never raises for any path, name or kind of file."""
        return await anyio.to_thread.run_sync(self.observe_now, actions, scope, now, batch)

    async def perform(self, permit: Permit) -> Done | Failed:
        """Do it, if the targets are still as the permit's facts say. Whatever fails half way is undone."""
        return await anyio.to_thread.run_sync(self.perform_now, permit)

    async def reconcile(self, permit: Permit) -> Finding:
        """After a crash: find out by looking whether the attempt happened, and clear away what it left half done."""
        return await anyio.to_thread.run_sync(self.reconcile_now, permit)

    async def purge(self, kept_as: str, at: Location, scope: Scope) -> bool:
        """Remove for good what is in quarantine under that name for the grant of `at`; whether there was anything."""
        return await anyio.to_thread.run_sync(self._purge, kept_as, at, scope)

    def close(self) -> None:
        """Let go of the granted folders."""
        self._world.roots.close()

    def observe_now(self, actions: Sequence[Action], scope: Scope, now: datetime, batch: int) -> list[Facts]:
        """`observe` for a caller that has a thread to itself."""
        return observe_actions(self._world, actions, scope, now, batch)

    def perform_now(self, permit: Permit) -> Done | Failed:
        """`perform` for a caller that has a thread to itself."""
        try:
            return _perform(self._world, permit)
        except EXPECTED as error:
            return Failed(*sentence_of(error))

    def reconcile_now(self, permit: Permit) -> Finding:
        """`reconcile` for a caller that has a thread to itself."""
        try:
            return _reconcile(self._world, permit)
        except EXPECTED as error:
            return Unclear(sentence_of(error)[1])

    def _purge(self, kept_as: str, at: Location, scope: Scope) -> bool:
        with granted(self._world, scope, at) as root:
            return self._world.quarantine.purge(root, kept_as.encode())


def _perform(world: World, permit: Permit) -> Done | Failed:
    action = permit.action
    try:
        match action:
            case FileList():
                return perform_list(world, permit, action)
            case FileSearch():
                return perform_search(world, permit, action)
            case FileRead():
                return perform_read(world, permit, action)
            case FileWrite() | FileCreate():
                return perform_write(world, permit, action)
            case FileRename() | FileMove():
                return perform_move(world, permit, action)
            case FileDelete():
                return perform_delete(world, permit, action)
            case FileRestore():
                return perform_restore(world, permit, action)
            case _:
                return Failed("unavailable", "this is no action on a file")
    except OSError as error:
        raise failure_of(error, locations_of(action)[0].path) from error


def _reconcile(world: World, permit: Permit) -> Finding:
    action = permit.action
    match action:
        case FileWrite() | FileCreate():
            return reconcile_write(world, permit, action)
        case FileRename() | FileMove():
            return reconcile_move(world, permit, action)
        case FileDelete():
            return reconcile_delete(world, permit, action)
        case FileRestore():
            return reconcile_restore(world, permit, action)
        case _:
            return NotApplied()
