"""After a crash: what a look at the place says about a write or a move, and what it left half done.

What a probe can tell: a change happened where its bytes, or the very object, stand at the new place; it did not where
what it was decided on stands untouched. Where something else is found, or what was there is gone, somebody has been
there, and it can't be told. That somebody took a new file away leaves no trace here: the engine asks the log for it.

A temporary file is removed only where its bytes are known to be kept elsewhere: in the new content, or as the old one.
"""

import os
from contextlib import ExitStack
from typing import Final

import msgspec

from ...domain.action import FileCreate, FileMove, FileRename, FileWrite
from ...domain.facts import ABSENT, FileState, is_same_object
from ...engine.ports import Done, Finding, NotApplied, Permit, Unclear
from .deleting import put_back
from .failure import PathError
from .moving import effect_of_moving
from .openat2 import RENAME_EXCHANGE, RENAME_NOREPLACE
from .places import (
    Place,
    existing_folders,
    granted,
    missing_parents,
    place_of,
    quarantine_name,
    remove_folders,
    rename,
    temporary_name,
)
from .quarantine import remove_tree
from .resolver import ENTRY, opened
from .state import chunks_of, look, open_data
from .world import World
from .writing import effect_of_creating, effect_of_replacing, goes_to_quarantine, has_mode

_SECTOR_BYTES: Final = 512
"""The least that a disk writes at once."""


def reconcile_write(world: World, permit: Permit, action: FileWrite | FileCreate) -> Finding:
    """Find out whether the new bytes stand there, and clear the temporary file away."""
    with granted(world, permit.scope, action.at) as root:
        if missing_parents(world, root, action.at.path):
            # The file that was to be replaced is gone with its folder, as it was or as it had become.
            was_there = permit.facts.target is not None and permit.facts.target.kind == "file"
            finding: Finding = _changed(action) if was_there else NotApplied()
        else:
            with place_of(world, root, action.at.path) as place:
                finding = _find_write(world, permit, action, place)
                os.fsync(place.parent)
        if isinstance(finding, NotApplied):
            remove_folders(world, root, permit.facts.new_folders)
        return finding


def _find_write(world: World, permit: Permit, action: FileWrite | FileCreate, place: Place) -> Finding:
    temporary = msgspec.structs.replace(place, name=temporary_name(permit))
    left = look(world, place.parent, temporary.name, digest=True)
    now = look(world, place.parent, place.name, digest=True)
    expected = permit.facts.target or ABSENT
    untouched = is_same_object(expected, now)
    # Where the same bytes get another mode, it is the object and the mode that tell: the digest is the old one.
    is_written = now.digest == action.content.digest and has_mode(action, now, replaced=expected.kind == "file")
    if left.kind == "absent":
        if is_written and not untouched:
            return _written(world, permit, action, place, now)
        return NotApplied() if untouched else _changed(action)
    if expected.kind == "file" and is_same_object(expected, left):
        _drop_old(world, permit, temporary, expected)
        if is_written:
            return _written(world, permit, action, place, now)
        return Unclear(f"`{action.at.path}` was replaced as decided, and has been changed by somebody else since")
    if expected.kind == "file" and now.digest == action.content.digest and not untouched:
        return _undo_swap(world, permit, action, place, temporary)
    if _is_beginning_of(world, temporary, world.blobs.get(action.content.digest)):
        os.unlink(temporary.name, dir_fd=temporary.parent)
        return NotApplied()
    return _set_aside(world, permit, temporary)


def _written(world: World, permit: Permit, action: FileWrite | FileCreate, place: Place, now: FileState) -> Done:
    if permit.facts.target is not None and permit.facts.target.kind == "file":
        with world.quarantine.find(place.root, quarantine_name(permit)) as kept:
            return Done((effect_of_replacing(permit, action, kept is not None),))
    folders = existing_folders(world, place.root, permit.facts.new_folders)
    return Done((effect_of_creating(action, folders, now.mode),))


def _drop_old(world: World, permit: Permit, temporary: Place, expected: FileState) -> None:
    """Remove the replaced file where its bytes are kept; else keep it, as `perform` would have."""
    if not goes_to_quarantine(world, expected) and world.blobs.has(expected.digest):
        os.unlink(temporary.name, dir_fd=temporary.parent)
    else:
        world.quarantine.put(temporary.root, temporary.parent, temporary.name, quarantine_name(permit))
        world.quarantine.sync(temporary.root, quarantine_name(permit))


def _undo_swap(world: World, permit: Permit, action: FileWrite | FileCreate, place: Place, temporary: Place) -> Finding:
    """Something that was not approved came out when the two changed places: it goes back."""
    data = world.blobs.get(action.content.digest)
    if _is_beginning_of(world, temporary, data):
        # It can't be told whether this is our own file or somebody's that begins the same.
        return _set_aside(world, permit, temporary)
    rename(temporary, place, RENAME_EXCHANGE)
    if look(world, temporary.parent, temporary.name, digest=True).digest != action.content.digest:
        return _set_aside(world, permit, temporary)
    os.unlink(temporary.name, dir_fd=temporary.parent)
    return NotApplied()


def _set_aside(world: World, permit: Permit, temporary: Place) -> Unclear:
    kept_as = quarantine_name(permit)
    world.quarantine.put(temporary.root, temporary.parent, temporary.name, kept_as)
    world.quarantine.sync(temporary.root, kept_as)
    return Unclear(
        f"a file that was not expected stood beside `{temporary.shown}`; it is kept in quarantine as"
        f" `{kept_as.decode()}`"
    )


def _is_beginning_of(world: World, temporary: Place, data: bytes) -> bool:
    """Whether the temporary file holds nothing but a beginning of these bytes.

    After a power cut, zeros stand where what was written and not synced has not reached the disk.
    """
    with opened(world.resolver.open(temporary.parent, temporary.name, ENTRY)) as entry:
        status = os.fstat(entry)
        position = 0
        if status.st_size > len(data):
            return False
        try:
            fd = open_data(world.resolver, temporary.parent, temporary.name, status)
        except (OSError, PathError):
            return False
        with opened(fd):
            for chunk in chunks_of(fd, bytes_max=len(data)):
                if not _is_part_of(chunk, data[position : position + len(chunk)]):
                    return False
                position += len(chunk)
    return True


def _is_part_of(found: bytes, written: bytes) -> bool:
    """Whether each sector is as it was written, or zeros."""
    if found == written:
        return True
    if len(found) != len(written):
        return False
    for start in range(0, len(found), _SECTOR_BYTES):
        sector = found[start : start + _SECTOR_BYTES]
        if sector != written[start : start + _SECTOR_BYTES] and sector.count(0) < len(sector):
            return False
    return True


def _changed(action: FileWrite | FileCreate) -> Unclear:
    return Unclear(f"`{action.at.path}` is neither as it was when this was decided nor as it should have become")


def reconcile_move(world: World, permit: Permit, action: FileRename | FileMove) -> Finding:
    """Find out at which place, in quarantine or under a temporary name the target is, and finish or undo."""
    expected = permit.facts.target
    if expected is None:
        return NotApplied()
    with ExitStack() as held:
        from_root = held.enter_context(granted(world, permit.scope, action.at))
        to_root = held.enter_context(granted(world, permit.scope, action.to))
        source = held.enter_context(place_of(world, from_root, action.at.path))
        if missing_parents(world, to_root, action.to.path):
            finding: Finding = NotApplied()
        else:
            target = held.enter_context(place_of(world, to_root, action.to.path))
            finding = _find_move(world, permit, action, source, target)
            os.fsync(target.parent)
            os.fsync(source.parent)
        if isinstance(finding, NotApplied):
            if look(world, source.parent, source.name, digest=False).kind == "absent":
                return Unclear(f"`{action.at.path}` is gone, and was not moved to `{action.to.path}`")
            remove_folders(world, to_root, permit.facts.new_folders)
        return finding


def _find_move(world: World, permit: Permit, action: FileRename | FileMove, source: Place, target: Place) -> Finding:
    expected = permit.facts.target or ABSENT
    temporary = msgspec.structs.replace(target, name=temporary_name(permit))
    folders = existing_folders(world, target.root, permit.facts.new_folders)
    now = look(world, target.parent, target.name, digest=True)
    with world.quarantine.find(source.root, quarantine_name(permit)) as kept:
        in_quarantine = kept is not None
        is_original = kept is not None and is_same_object(
            expected, look(world, kept, quarantine_name(permit), digest=True)
        )
    if in_quarantine:
        return _finish_copy(world, permit, action, (source, target, temporary), is_original=is_original)
    if look(world, temporary.parent, temporary.name, digest=False).kind != "absent":
        # The original has not been taken away yet: what stands there is a copy of it, or a part of one.
        remove_tree(temporary.parent, temporary.name)
        return NotApplied()
    if is_same_object(expected, now):
        return Done((effect_of_moving(permit, action, folders, copied=False),))
    if (now.device, now.inode) == (expected.device, expected.inode):
        return Unclear(f"what was to be moved stands at `{action.to.path}`, and its content has changed")
    return NotApplied()


def _finish_copy(
    world: World,
    permit: Permit,
    action: FileRename | FileMove,
    places: tuple[Place, Place, Place],
    *,
    is_original: bool,
) -> Finding:
    """The original is in quarantine: give the copy its name, or undo both."""
    source, target, temporary = places
    expected = permit.facts.target or ABSENT
    copy = look(world, temporary.parent, temporary.name, digest=True)
    if is_original and copy.kind != "absent" and copy.digest == expected.digest:
        try:
            rename(temporary, target, RENAME_NOREPLACE)
            copy = ABSENT
        except PathError as failure:
            if failure.code != "conflict":
                raise
    if copy.kind != "absent":
        remove_tree(temporary.parent, temporary.name)
    elif is_original and look(world, target.parent, target.name, digest=True).digest == expected.digest:
        folders = existing_folders(world, target.root, permit.facts.new_folders)
        return Done((effect_of_moving(permit, action, folders, copied=True),))
    put_back(world, source, quarantine_name(permit))
    return NotApplied()
