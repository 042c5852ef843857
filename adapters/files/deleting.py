"""Delete: one rename of a file or a whole tree into quarantine, and a look at what arrived there.

If that is not what the action was decided on, it goes back to its place.
"""

import os
from contextlib import ExitStack

import msgspec

from ...domain.action import FileDelete
from ...domain.effect import Effect
from ...domain.facts import ABSENT, is_same_object
from ...engine.ports import Done, Finding, NotApplied, Permit, Unclear
from .failure import PathError, failure_of
from .openat2 import RENAME_NOREPLACE, renameat2
from .places import Place, failure_of_rename, granted, place_of, quarantine_name, require_same
from .state import look
from .world import World


def perform_delete(world: World, permit: Permit, action: FileDelete) -> Done:
    """Move the target into quarantine. Two syncs, of the folder that it leaves and of the one that it arrives in."""
    with granted(world, permit.scope, action.at) as root, place_of(world, root, action.at.path) as place:
        take_away(world, permit, place)
        world.checkpoint("deleted")
    return Done((_effect(permit, action),))


def take_away(world: World, permit: Permit, place: Place) -> None:
    """Move what stands at the place into quarantine, if it is what the permit's facts say; else leave it there."""
    expected = permit.facts.target
    now = look(world, place.parent, place.name, digest=False)
    if expected is not None and now.kind != "absent":
        # A cheap first look: the sure one, at the content too, follows once nobody else can reach it by its name.
        alike = msgspec.structs.replace(now, digest=expected.digest, size=expected.size, entries=expected.entries)
        require_same(expected, alike, place.shown)
    kept_as = quarantine_name(permit)
    with ExitStack() as undo:
        world.checkpoint("quarantine")
        try:
            world.quarantine.put(place.root, place.parent, place.name, kept_as)
        except OSError as error:
            raise failure_of_rename(error, place.shown) from error
        undo.callback(put_back, world, place, kept_as)
        world.checkpoint("verify")
        with world.quarantine.find(place.root, kept_as) as kept:
            if kept is None:
                raise PathError("conflict", f"`{place.shown}` was taken out of quarantine by somebody else")
            require_same(expected, look(world, kept, kept_as, digest=True), place.shown)
        world.checkpoint("sync")
        os.fsync(place.parent)
        world.quarantine.sync(place.root, kept_as)
        undo.pop_all()


def put_back(world: World, place: Place, kept_as: bytes) -> None:
    """Give what is in quarantine its place again.

    Raises `PathError` conflict where something else stands there now; what was taken away stays in quarantine then.
    """
    with world.quarantine.find(place.root, kept_as) as kept:
        if kept is None:
            return
        try:
            renameat2(kept, kept_as, place.parent, place.name, RENAME_NOREPLACE)
        except FileExistsError as error:
            raise PathError(
                "conflict",
                f"something else stands at `{place.shown}` now; what was there is kept in quarantine as"
                f" `{kept_as.decode()}`",
            ) from error
        except OSError as error:
            raise failure_of(error, place.shown) from error
        os.fsync(place.parent)
        os.fsync(kept)
    world.quarantine.tidy(place.root)


def reconcile_delete(world: World, permit: Permit, action: FileDelete) -> Finding:
    """Find out by looking at the quarantine and at the place."""
    expected = permit.facts.target
    kept_as = quarantine_name(permit)
    with granted(world, permit.scope, action.at) as root, place_of(world, root, action.at.path) as place:
        with world.quarantine.find(root, kept_as) as kept:
            state = ABSENT if kept is None else look(world, kept, kept_as, digest=True)
            if kept is not None and expected is not None and is_same_object(expected, state):
                os.fsync(place.parent)
                os.fsync(kept)
                return Done((_effect(permit, action),))
        if kept is not None:
            put_back(world, place, kept_as)
            return NotApplied()
        world.quarantine.tidy(root)
        if look(world, place.parent, place.name, digest=False).kind == "absent":
            return Unclear(f"`{action.at.path}` is gone, and not because of this action: it is not in quarantine")
        return NotApplied()


def _effect(permit: Permit, action: FileDelete) -> Effect:
    before = permit.facts.target.digest if permit.facts.target is not None else ""
    return Effect(change="delete", at=action.at, before=before, kept=f"quarantine:{quarantine_name(permit).decode()}")
