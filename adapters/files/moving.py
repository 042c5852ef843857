"""Rename and move: one rename that never replaces anything, and a look at what was moved.

Between two file systems it is a copy that is compared with the original before the original goes to quarantine.
"""

import os
from contextlib import ExitStack
from functools import partial

import msgspec

from ...domain.action import FileMove, FileRename
from ...domain.effect import Effect
from ...domain.facts import FileState
from ...domain.path import is_beneath
from ...engine.ports import Done, Permit
from .copying import copy_tree
from .deleting import put_back, take_away
from .failure import PathError
from .openat2 import RENAME_NOREPLACE
from .places import (
    Place,
    granted,
    place_of,
    quarantine_name,
    remove_folders,
    rename,
    require_same,
    temporary_name,
    use_new_place,
)
from .quarantine import remove_tree
from .state import look
from .world import World


def perform_move(world: World, permit: Permit, action: FileRename | FileMove) -> Done:
    """Give the target its new place. One sync per folder involved; across file systems one per copied entry as well."""
    if action.at.grant_id == action.to.grant_id and is_beneath(action.to.path, action.at.path):
        raise PathError("conflict", f"`{action.at.path}` can't be moved into itself")
    made: list[str] = []
    with ExitStack() as held, ExitStack() as undo:
        from_root = held.enter_context(granted(world, permit.scope, action.at))
        to_root = held.enter_context(granted(world, permit.scope, action.to))
        source = held.enter_context(place_of(world, from_root, action.at.path))
        _require_alike(world, permit.facts.target, source)
        undo.callback(remove_folders, world, to_root, made)
        copied = use_new_place(world, to_root, action.to.path, made, partial(_move, world, permit, source))
        undo.pop_all()
    world.checkpoint("moved")
    return Done((effect_of_moving(permit, action, tuple(made), copied=copied),))


def effect_of_moving(
    permit: Permit, action: FileRename | FileMove, new_folders: tuple[str, ...], *, copied: bool
) -> Effect:
    """Return what moving the target of the permit's facts comes to."""
    digest = permit.facts.target.digest if permit.facts.target is not None else ""
    return Effect(
        change="rename" if isinstance(action, FileRename) else "move",
        at=action.to,
        previous=action.at,
        before=digest,
        after=digest,
        kept=f"quarantine:{quarantine_name(permit).decode()}" if copied else "",
        new_folders=new_folders,
    )


def _require_alike(world: World, expected: FileState | None, source: Place) -> None:
    """Refuse early what is another object already; the content is compared after the move."""
    now = look(world, source.parent, source.name, digest=False)
    if now.kind == "absent":
        raise PathError("not_found", f"`{source.shown}` is gone")
    if expected is not None:
        alike = msgspec.structs.replace(now, digest=expected.digest, size=expected.size, entries=expected.entries)
        require_same(expected, alike, source.shown)


def _move(world: World, permit: Permit, source: Place, target: Place) -> bool:
    """Move; return whether it had to be copied."""
    with ExitStack() as undo:
        world.checkpoint("move")
        try:
            rename(source, target, RENAME_NOREPLACE)
        except PathError as failure:
            if failure.code != "xdev":
                raise
            _copy_across(world, permit, source, target)
            return True
        undo.callback(_return, source, target)
        world.checkpoint("verify")
        require_same(permit.facts.target, look(world, target.parent, target.name, digest=True), source.shown)
        world.checkpoint("sync")
        _sync(source, target)
        undo.pop_all()
        return False


def _return(source: Place, target: Place) -> None:
    try:
        rename(target, source, RENAME_NOREPLACE)
    except PathError as failure:
        raise PathError(
            "conflict", f"something else stands at `{source.shown}` now; what was there is at `{target.shown}`"
        ) from failure
    _sync(source, target)


def _sync(source: Place, target: Place) -> None:
    os.fsync(target.parent)
    if not os.path.samestat(os.fstat(source.parent), os.fstat(target.parent)):
        os.fsync(source.parent)


def _copy_across(world: World, permit: Permit, source: Place, target: Place) -> None:
    """Copy under a temporary name, compare, take the original away, and only then give the copy its name."""
    temporary = msgspec.structs.replace(target, name=temporary_name(permit))
    expected = permit.facts.target
    with ExitStack() as undo:
        world.checkpoint("copy")
        if look(world, target.parent, target.name, digest=False).kind != "absent":
            raise PathError("conflict", f"`{target.shown}` exists already")
        if look(world, temporary.parent, temporary.name, digest=False).kind != "absent":
            raise PathError("conflict", f"something of another attempt stands beside `{target.shown}`")
        undo.callback(_remove, temporary)
        copy_tree(world, source, temporary)
        world.checkpoint("compare")
        copy = look(world, temporary.parent, temporary.name, digest=True)
        if expected is None or (copy.kind, copy.digest) != (expected.kind, expected.digest):
            raise PathError("conflict", f"`{source.shown}` is no longer what it was when this was decided")
        take_away(world, permit, source)
        undo.callback(put_back, world, source, quarantine_name(permit))
        world.checkpoint("publish")
        rename(temporary, target, RENAME_NOREPLACE)
        undo.callback(rename, target, temporary, RENAME_NOREPLACE)
        world.checkpoint("sync")
        os.fsync(target.parent)
        undo.pop_all()


def _remove(temporary: Place) -> None:
    try:
        remove_tree(temporary.parent, temporary.name)
    except FileNotFoundError:
        return
