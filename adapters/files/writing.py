"""Create and replace: the new bytes are complete and durable under a temporary name before they get the real one.

A replacement is a compare-and-swap: the temporary file and the target change places, and what came out must be the very
object that the action was decided on; otherwise they change back.
"""

import errno
import os
import stat
import time
from contextlib import ExitStack, suppress
from functools import partial
from typing import Final

import msgspec

from ...domain.action import MODE_MAX, Content, FileCreate, FileWrite
from ...domain.effect import Effect
from ...domain.facts import FileState
from ...engine.ports import Done, Permit
from .failure import PathError
from .openat2 import RENAME_EXCHANGE, RENAME_NOREPLACE
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
from .resolver import ENTRY, opened
from .state import chunks_of, digest_of_data, is_same_file, look, open_data, state_of
from .world import World

_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_SWAPS_MAX: Final = 64
_SWAPS_AT_ONCE: Final = 8
_SWAP_WAIT_S: Final = 0.001
_KEPT_ATTRIBUTES: Final = ("user.", "system.posix_acl_access")


def perform_write(world: World, permit: Permit, action: FileWrite | FileCreate) -> Done:
    """Write a whole file. Two syncs, of the file and of its folder, one more for each new folder.

    A new file gets the action's mode less the umask's bits, a replaced one the action's or else its own.

    A replacement costs a third sync, after which the old file is gone for good from beside the new one. It first puts
    the old bytes into the blob store, which costs that store's two syncs where it has not got them yet; a file
    over `read_bytes_max` or with several names goes to quarantine instead, which costs the third one.
    """
    data = world.blobs.get(action.content.digest)
    expected = permit.facts.target
    with granted(world, permit.scope, action.at) as root:
        if isinstance(action, FileWrite) and expected is not None and expected.kind == "file":
            return _replace(world, permit, root, action, data, expected)
        if expected is None or expected.kind != "absent":
            raise PathError("conflict", f"`{action.at.path}` exists already")
        return _create(world, permit, root, action, data)


def _create(world: World, permit: Permit, root: int, action: FileWrite | FileCreate, data: bytes) -> Done:
    made: list[str] = []
    with ExitStack() as undo:
        undo.callback(remove_folders, world, root, made)
        mode = use_new_place(world, root, action.at.path, made, partial(_publish, world, permit, action, data))
        world.checkpoint("created")
        undo.pop_all()
    return Done((effect_of_creating(action, tuple(made), mode),))


def _publish(world: World, permit: Permit, action: FileWrite | FileCreate, data: bytes, place: Place) -> int:
    """Write the new file at the place, and return the mode that it got."""
    temporary = msgspec.structs.replace(place, name=temporary_name(permit))
    with ExitStack() as undo:
        undo.callback(os.fsync, place.parent)
        ours = _write_temporary(world, temporary, data, action.mode, None, undo)
        world.checkpoint("publish")
        rename(temporary, place, RENAME_NOREPLACE)
        undo.callback(rename, place, temporary, RENAME_NOREPLACE)
        world.checkpoint("sync")
        os.fsync(place.parent)
        undo.pop_all()
        return ours.st_mode


def _replace(world: World, permit: Permit, root: int, action: FileWrite, data: bytes, expected: FileState) -> Done:
    in_quarantine = goes_to_quarantine(world, expected)
    kept_as = quarantine_name(permit)
    with place_of(world, root, action.at.path) as place:
        temporary = msgspec.structs.replace(place, name=temporary_name(permit))
        with ExitStack() as undo:
            # Last of all: that it was undone is durable before it is on record as not done.
            undo.callback(os.fsync, place.parent)
            with opened(_open_expected(world, place, expected)) as old:
                _require_same_mode(action, expected, os.fstat(old).st_mode)
                _keep_bytes(world, old, expected, place.shown)
                ours = _write_temporary(world, temporary, data, action.mode, old, undo)
            world.checkpoint("swap")
            rename(temporary, place, RENAME_EXCHANGE)
            undo.callback(swap_back, world, temporary, place, ours, expected)
            world.checkpoint("verify")
            out = look(world, place.parent, temporary.name, digest=True)
            require_same(expected, out, place.shown)
            _require_same_mode(action, expected, out.mode)
            if in_quarantine:
                world.checkpoint("quarantine")
                world.quarantine.put(root, place.parent, temporary.name, kept_as)
            world.checkpoint("sync")
            os.fsync(place.parent)
            undo.pop_all()
        world.checkpoint("drop-old")
        if in_quarantine:
            world.quarantine.sync(root, kept_as)
        else:
            os.unlink(temporary.name, dir_fd=place.parent)
            # The replacement is durable already, and stays where this fails: the old file would only come back beside.
            with suppress(OSError):
                os.fsync(place.parent)
        world.checkpoint("replaced")
    return Done((effect_of_replacing(permit, action, in_quarantine),))


def goes_to_quarantine(world: World, old: FileState) -> bool:
    """Whether a replaced file is kept as it is rather than as bytes in the store.

    One with several names may have another outside the grant: its content is not copied, and its links stay as many.
    """
    return old.size > world.limits.read_bytes_max or old.links > 1


def effect_of_replacing(permit: Permit, action: FileWrite | FileCreate, in_quarantine: bool) -> Effect:
    """Return what replacing the file of the permit's facts comes to."""
    target = permit.facts.target
    before = target.digest if target is not None else ""
    kept = f"quarantine:{quarantine_name(permit).decode()}" if in_quarantine else f"blob:{before}"
    return Effect(
        change="update",
        at=action.at,
        before=before,
        after=action.content.digest,
        kept=kept,
        mode_before=target.mode if target is not None and action.mode is not None else None,
        mode_after=None if action.mode is None else action.mode & MODE_MAX,
    )


def effect_of_creating(action: FileWrite | FileCreate, new_folders: tuple[str, ...], mode: int) -> Effect:
    """Return what a new file comes to; `mode` is the one that it got."""
    return Effect(
        change="create",
        at=action.at,
        after=action.content.digest,
        new_folders=new_folders,
        mode_after=None if action.mode is None else stat.S_IMODE(mode),
    )


def has_mode(action: FileWrite | FileCreate, now: FileState, *, replaced: bool) -> bool:
    """Whether the file has the mode that the action sets, if it sets one; a new file's may lack the umask's bits."""
    if action.mode is None:
        return True
    mode = action.mode & MODE_MAX
    return now.mode == mode if replaced else not now.mode & ~mode


def _require_same_mode(action: FileWrite, expected: FileState, mode: int) -> None:
    """Refuse where the mode that the action replaces is no longer the one that it was decided on."""
    if action.mode is not None and stat.S_IMODE(mode) != expected.mode:
        raise PathError("conflict", f"the mode of `{action.at.path}` is no longer what it was when this was decided")


def _open_expected(world: World, place: Place, expected: FileState) -> int:
    """Open the file for reading if it is, by its identity and size, the one that the action was decided on."""
    try:
        entry = world.resolver.open(place.parent, place.name, ENTRY)
    except FileNotFoundError:
        raise PathError("not_found", f"`{place.shown}` is gone") from None
    with opened(entry):
        status = os.fstat(entry)
        require_same(expected, msgspec.structs.replace(state_of(status), digest=expected.digest), place.shown)
        return open_data(world.resolver, place.parent, place.name, status)


def _keep_bytes(world: World, old: int, expected: FileState, shown: str) -> None:
    """Put the old bytes into the blob store (unless it goes to quarantine) and compare them with what was shown."""
    if not goes_to_quarantine(world, expected):
        content = world.blobs.put_stream(chunks_of(old, bytes_max=expected.size))
    else:
        content = Content(*digest_of_data(old, expected.size))
    if content.digest != expected.digest:
        raise PathError("conflict", f"`{shown}` is no longer what it was when this was decided")


def _write_temporary(
    world: World, temporary: Place, data: bytes, mode: int | None, like: int | None, undo: ExitStack
) -> os.stat_result:
    """Write the bytes durably under the temporary name; return what `stat` says of the finished file.

    With `like`, the mode (never its set-id bits) unless one is given, the owner where that is allowed, and the user's
    extended attributes are those of that open file. Undoing removes the file.
    """
    world.checkpoint("temporary")
    # Until it is finished its owner can read and write it, so that a look after a crash can say what it holds.
    first = 0o600 if like is not None else 0o666 if mode is None else (mode & MODE_MAX) | 0o600
    fd = os.open(temporary.name, _NEW, first, dir_fd=temporary.parent)
    with opened(fd):
        ours = os.fstat(fd)
        undo.callback(discard, temporary, ours)
        world.checkpoint("write")
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(fd, rest) :]
            world.checkpoint("written-part")
        if like is not None:
            _take_after(fd, like)
            os.fchmod(fd, (os.fstat(like).st_mode if mode is None else mode) & MODE_MAX)
        elif mode is not None:
            # What the kernel gave it at the opening is less the umask's bits already.
            os.fchmod(fd, ours.st_mode & mode & MODE_MAX)
        world.checkpoint("sync-temporary")
        os.fsync(fd)
        return os.fstat(fd)


def _take_after(fd: int, like: int) -> None:
    status = os.fstat(like)
    # The file may be somebody else's: an ordinary user's replacement of it is their own.
    with suppress(PermissionError):
        os.fchown(fd, status.st_uid, status.st_gid)
    try:
        for name in os.listxattr(like):
            if name.startswith(_KEPT_ATTRIBUTES):
                os.setxattr(fd, name, os.getxattr(like, name))
    except OSError as error:
        if error.errno != errno.EOPNOTSUPP:
            raise


def discard(temporary: Place, ours: os.stat_result) -> None:
    """Remove the temporary file if it is still the one that was written."""
    try:
        if is_same_file(os.stat(temporary.name, dir_fd=temporary.parent, follow_symlinks=False), ours):
            os.unlink(temporary.name, dir_fd=temporary.parent)
    except FileNotFoundError:
        return


def swap_back(world: World, temporary: Place, place: Place, ours: os.stat_result, expected: FileState) -> None:
    """Change the two back until our own file is under the temporary name again.

    Somebody who renames at the same time can have moved ours away in between: then what came out is somebody's, and
    goes back in its turn. If ours does not come back at all, one file has no place left: it is kept in quarantine (the
    one that was to be replaced, if it is there), and the error says so.
    """
    for count in range(_SWAPS_MAX):
        if not _swap(temporary, place) or _is_object(temporary, (ours.st_dev, ours.st_ino)):
            return
        if count > _SWAPS_AT_ONCE:
            time.sleep(_SWAP_WAIT_S)
    old = (expected.device, expected.inode)
    if _is_object(place, old) and not _is_object(temporary, old):
        _swap(temporary, place)
    kept_as = temporary.name.removeprefix(b".cowork-")
    world.quarantine.put(place.root, place.parent, temporary.name, kept_as)
    raise PathError(
        "conflict",
        f"`{place.shown}` was renamed again and again; one of the files is kept in quarantine as `{kept_as.decode()}`",
    )


def _swap(temporary: Place, place: Place) -> bool:
    """Change the two; return whether there is something under the temporary name afterwards."""
    try:
        rename(temporary, place, RENAME_EXCHANGE)
        return True
    except PathError as failure:
        if failure.code != "not_found":
            raise
    try:
        # One of the two is gone: if it is the place, what we have in hand goes there.
        rename(temporary, place, RENAME_NOREPLACE)
    except PathError as failure:
        return failure.code != "not_found"
    return False


def _is_object(place: Place, identity: tuple[int, int]) -> bool:
    try:
        status = os.stat(place.name, dir_fd=place.parent, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return (status.st_dev, status.st_ino) == identity
