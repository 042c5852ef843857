"""Put back: one rename of what is in quarantine to a free place, and a look at what arrived there.

What is kept is compared with what the action was decided on before it moves and after; where it is something else, it
goes back into quarantine.
"""

import os
import re
from contextlib import ExitStack
from functools import partial
from typing import Final

from ...domain.action import FileRestore
from ...domain.effect import Effect
from ...domain.facts import ABSENT, FileState, is_same_object
from ...engine.ports import Done, Finding, NotApplied, Permit, Unclear
from .failure import PathError, failure_of
from .openat2 import RENAME_NOREPLACE, renameat2
from .places import (
    Place,
    existing_folders,
    failure_of_rename,
    granted,
    missing_parents,
    place_of,
    remove_folders,
    require_same,
    use_new_place,
)
from .state import look
from .world import World

_KEPT: Final = re.compile(r"quarantine:([0-9a-f]{24})")


def kept_name(kept: str) -> bytes:
    """Return the name in quarantine that `Effect.kept` says. Raises `PathError` name for anything else."""
    named = _KEPT.fullmatch(kept)
    if named is None:
        raise PathError("name", f"`{kept}` is no name of anything in quarantine")
    return named[1].encode()


def look_at_kept(world: World, root: int, kept: str) -> FileState:
    """Return what is kept under that name for the granted folder: absent where nothing is."""
    name = kept_name(kept)
    with world.quarantine.find(root, name) as folder:
        return ABSENT if folder is None else look(world, folder, name, digest=True)


def perform_restore(world: World, permit: Permit, action: FileRestore) -> Done:
    """Give what is in quarantine its place again. Two syncs, of both folders, and one per new folder."""
    name = kept_name(action.kept)
    made: list[str] = []
    with ExitStack() as held, ExitStack() as undo:
        root = held.enter_context(granted(world, permit.scope, action.at))
        found = look_at_kept(world, root, action.kept)
        if found.kind == "absent":
            raise PathError("not_found", f"what was at `{action.at.path}` is no longer kept as `{action.kept}`")
        require_same(permit.facts.kept, found, action.kept)
        undo.callback(remove_folders, world, root, made)
        use_new_place(world, root, action.at.path, made, partial(_take_out, world, permit, name))
        undo.pop_all()
        world.quarantine.tidy(root)
    world.checkpoint("restored")
    return Done((_effect(action, tuple(made)),))


def _take_out(world: World, permit: Permit, name: bytes, place: Place) -> None:
    with world.quarantine.find(place.root, name) as kept, ExitStack() as undo:
        if kept is None:
            raise PathError("conflict", f"`{place.shown}` was taken out of quarantine by somebody else")
        world.checkpoint("restore")
        _rename(kept, name, place)
        undo.callback(_take_back, kept, name, place)
        world.checkpoint("verify")
        require_same(permit.facts.kept, look(world, place.parent, place.name, digest=True), place.shown)
        world.checkpoint("sync")
        os.fsync(place.parent)
        os.fsync(kept)
        undo.pop_all()


def _rename(kept: int, name: bytes, place: Place) -> None:
    try:
        renameat2(kept, name, place.parent, place.name, RENAME_NOREPLACE)
    except OSError as error:
        raise failure_of_rename(error, place.shown) from error


def _take_back(kept: int, name: bytes, place: Place) -> None:
    try:
        renameat2(place.parent, place.name, kept, name, RENAME_NOREPLACE)
    except OSError as error:
        raise failure_of(error, place.shown) from error
    os.fsync(place.parent)
    os.fsync(kept)


def reconcile_restore(world: World, permit: Permit, action: FileRestore) -> Finding:
    """Find out by looking at the quarantine and at the place."""
    expected = permit.facts.kept or ABSENT
    name = kept_name(action.kept)
    with granted(world, permit.scope, action.at) as root:
        with world.quarantine.find(root, name) as folder:
            is_kept = folder is not None
        if is_kept:
            remove_folders(world, root, permit.facts.new_folders)
            return NotApplied()
        if not missing_parents(world, root, action.at.path):
            with place_of(world, root, action.at.path) as place:
                now = look(world, place.parent, place.name, digest=True)
                if is_same_object(expected, now):
                    os.fsync(place.parent)
                    world.quarantine.tidy(root)
                    return Done((_effect(action, existing_folders(world, root, permit.facts.new_folders)),))
                if (now.device, now.inode) == (expected.device, expected.inode):
                    return Unclear(f"`{action.at.path}` was put back, and its content has changed since")
        return Unclear(f"what was to be put back is neither in quarantine nor at `{action.at.path}`")


def _effect(action: FileRestore, new_folders: tuple[str, ...]) -> Effect:
    return Effect(change="create", at=action.at, after=action.digest, new_folders=new_folders)
