"""The executor of commands and code: each runs in a sandbox of its own, over a view of one granted folder."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

import anyio.to_thread

from ...domain.action import Action, ActionKind, CodeRun, CommandAction, ShellExec
from ...domain.errors import DomainError
from ...domain.facts import Confinement, Facts, Obstacle
from ...domain.scope import FolderScope, Scope
from ...engine.ports import (
    BlobStore,
    Egress,
    Failed,
    Finding,
    FolderHolder,
    NotApplied,
    Outcome,
    Permit,
    Unclear,
)
from .area import clear
from .bubblewrap import Programs, find_programs
from .cgroups import find_place
from .filters import load_filter
from .performing import Bounds, Performing, area_name
from .placing import find_obstacle_of_cwd, inputs_of, named_files
from .redaction import secret_values
from .requesting import find_obstacle_of_request
from .view import find_taken

_KINDS: Final[frozenset[ActionKind]] = frozenset(["shell.exec", "code.run"])


class CommandExecutor:
    """Carries out `shell.exec` and `code.run`; see the `Executor` port.

    `state_dir` is the engine's own folder, which no granted folder may hold: commands' areas are made in `commands/`.
    `environment` is the engine's own, whose secrets are masked in outputs. A command is started from the event loop's
    thread and ends with it; everything else that waits for a disk hops to a worker thread.

    What a probe can tell: what a command did here, it did to a copy, which goes with it: so nothing happened. Where it
    could reach a host, the log says whether it was let out: if not, nothing happened either; else it can't be told.
    """

    kinds: frozenset[ActionKind] = _KINDS

    def __init__(
        self,
        *,
        blobs: BlobStore,
        state_dir: Path,
        holder: FolderHolder,
        egress: Egress,
        environment: dict[str, str] | None = None,
        bounds: Bounds | None = None,
    ) -> None:
        self._blobs = blobs
        self._state_dir = state_dir
        self._holder = holder
        self._egress = egress
        self._secrets = secret_values(environment or {})
        self._bounds = bounds or Bounds()
        self._groups = find_place()

    async def observe(self, actions: Sequence[Action], scope: Scope, now: datetime, *, batch: int) -> list[Facts]:
        """Look at what the commands would be held by and where they would run. Never raises for any path or name."""
        return await anyio.to_thread.run_sync(self._observe, actions, scope, now, batch)

    async def perform(self, permit: Permit) -> Outcome:
        """Run the command, if the files that it names are still as the permit's facts say.

        Nothing of it is alive on return, or after a cancellation. What it printed is kept as far as the bounds go; what
        it changed in its copy comes back as staged changes if it succeeded, and is dropped if it did not.
        """
        action, folder = permit.action, _folder_of(permit)
        if not isinstance(action, (ShellExec, CodeRun)) or folder is None:
            return Failed("unavailable", "this is no command in a granted folder")
        try:
            await anyio.to_thread.run_sync(find_programs)
            with self._holder.hold(folder) as root:
                performing = Performing(
                    permit=permit,
                    action=action,
                    folder=folder,
                    root=root,
                    blobs=self._blobs,
                    state_dir=self._state_dir,
                    egress=self._egress,
                    secrets=self._secrets,
                    bounds=self._bounds,
                    groups=self._groups,
                )
                return await performing.perform()
        except DomainError as error:
            return failure_of(error)
        except ExceptionGroup as group:
            # Tasks that ran beside each other fail together; what all of them say is no bug is none.
            expected, others = group.split(DomainError)
            if others is not None or expected is None:
                raise
            return failure_of(_first(expected))

    async def reconcile(self, permit: Permit) -> Finding:
        """Drop what is left of the copy, and say what is known; see this class. The command itself is gone already."""
        try:
            await anyio.to_thread.run_sync(clear, self._state_dir, area_name(permit))
        except DomainError as error:
            return Unclear(error.message)
        action = permit.action
        if not isinstance(action, (ShellExec, CodeRun)) or not action.network or permit.reached == ():
            return NotApplied()
        if permit.reached is None:
            return Unclear(f"the command was running, and may have reached {_listed(action.network)}")
        return Unclear(f"the command was running, and had a way to {_listed(permit.reached)}")

    def _observe(self, actions: Sequence[Action], scope: Scope, now: datetime, batch: int) -> list[Facts]:
        try:
            programs = find_programs()
        except DomainError as error:
            words = f"{error.message}: {error.hint}" if error.hint else error.message
            missing = Facts(now=now, batch=batch, available=False, obstacle=Obstacle("unavailable", words))
            return [missing for _ in actions]
        return [self._facts_of(action, scope, now, batch, programs) for action in actions]

    def _facts_of(self, action: Action, scope: Scope, now: datetime, batch: int, programs: Programs) -> Facts:
        if not isinstance(action, (ShellExec, CodeRun)):
            return Facts(now=now, batch=batch, available=False)
        try:
            confinement = confinement_of(action, programs)
            folder = scope.folder(action.cwd.grant_id)
            if folder is None:
                obstacle = Obstacle("no_grant", f"no granted folder covers `{action.cwd.path}`")
                return Facts(now=now, batch=batch, obstacle=obstacle, confinement=confinement)
            wrong = find_obstacle_of_request(action, self._blobs, self._bounds.seconds_max) or _obstacle_of(folder)
            if wrong is not None:
                return Facts(now=now, batch=batch, obstacle=wrong, confinement=confinement)
            with self._holder.hold(folder) as root:
                return Facts(
                    now=now,
                    batch=batch,
                    obstacle=find_obstacle_of_cwd(root, action.cwd.path),
                    confinement=confinement,
                    inputs=inputs_of(named_files(action, folder, root)),
                )
        except DomainError as error:
            failed = failure_of(error)
            return Facts(now=now, batch=batch, obstacle=Obstacle(failed.reason_code, failed.reason))


def confinement_of(action: CommandAction, programs: Programs) -> Confinement:
    """Return what would hold a command on this machine. Raises `DomainError` damaged for a filter that was changed."""
    return Confinement(
        sandbox=f"bubblewrap {programs.bubblewrap}",
        seccomp=load_filter("network" if action.network else "offline").digest,
        landlock=programs.landlock,
        network="proxy" if action.network else "none",
    )


def failure_of(error: DomainError) -> Failed:
    """Return a refusal of the parts that a command is run with as the command's outcome."""
    words = f"{error.message}: {error.hint}" if error.hint else error.message
    match error.code:
        case "conflict" | "limit" | "not_found" | "unavailable":
            return Failed(error.code, words)
        case _:
            return Failed("io", words)


def _listed(places: Sequence[str]) -> str:
    return ", ".join(f"`{place}`" for place in places)


def _first(group: ExceptionGroup[DomainError]) -> DomainError:
    for error in group.exceptions:
        return _first(error) if isinstance(error, ExceptionGroup) else error
    raise AssertionError("a group is never empty")


def _folder_of(permit: Permit) -> FolderScope | None:
    action = permit.action
    return permit.scope.folder(action.cwd.grant_id) if isinstance(action, (ShellExec, CodeRun)) else None


def _obstacle_of(folder: FolderScope) -> Obstacle | None:
    taken = find_taken(folder.root_path)
    if taken is None:
        return None
    return Obstacle("unavailable", f"commands can't run in `{folder.root_path}`: the sandbox needs `{taken}` itself")
