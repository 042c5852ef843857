"""Places beneath a granted folder: the open folder and the name that a path means, missing parents, names of ours."""

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Final, TypeVar

import msgspec

from ...domain.action import Location
from ...domain.attempt import mark_of_attempt
from ...domain.facts import FileState, is_same_object
from ...domain.path import components, name_of_text
from ...domain.scope import Scope
from ...engine.ports import Permit
from .failure import PathError, failure_of
from .openat2 import renameat2
from .resolver import ENTRY, FOLDER, opened
from .state import kind_of, look
from .world import World

_FOLDERS_LOST_MAX: Final = 64

Used = TypeVar("Used")


class Place(msgspec.Struct, frozen=True):
    """A name in an open folder. Changes are made with these two alone: no path is looked up a second time.

    `root` is the granted folder's descriptor, `parent` the one of the folder that `name` is in, `shown` the path as
    people write it.
    """

    root: int
    parent: int
    name: bytes
    shown: str


def _mark(permit: Permit) -> bytes:
    return mark_of_attempt(permit.action_id, permit.attempt).encode()


def temporary_name(permit: Permit) -> bytes:
    """Return the name of the attempt's temporary file, the same after a restart."""
    return b".cowork-" + _mark(permit)


def quarantine_name(permit: Permit) -> bytes:
    """Return the name under which the attempt puts something into quarantine, the same after a restart."""
    return _mark(permit)


@contextmanager
def granted(world: World, scope: Scope, at: Location) -> Iterator[int]:
    """Give the descriptor of the granted folder that the location is in."""
    folder = scope.folder(at.grant_id)
    if folder is None:
        raise PathError("no_grant", f"no granted folder covers `{at.path}`")
    with world.roots.hold(folder) as root:
        yield root


@contextmanager
def place_of(world: World, root: int, path: str) -> Iterator[Place]:
    """Open the folder in which the path's last name is. Raises `PathError` where it can't be reached."""
    parts = components(path)
    if not parts:
        raise PathError("name", "the granted folder itself can't be the target")
    try:
        parent = world.resolver.open(root, name_of_text("/".join(parts[:-1])), FOLDER)
    except OSError as error:
        raise failure_of(error, path) from error
    with opened(parent):
        yield Place(root, parent, name_of_text(parts[-1]), path)


def missing_parents(world: World, root: int, path: str) -> tuple[str, ...]:
    """Return the folders that would have to be made before anything can stand at the path, the outermost first."""
    parts = components(path)[:-1]
    for count in range(len(parts), -1, -1):
        try:
            entry = world.resolver.open(root, name_of_text("/".join(parts[:count])), ENTRY)
        except (FileNotFoundError, NotADirectoryError):
            continue
        with opened(entry):
            kind = kind_of(os.fstat(entry).st_mode)
        shown = "/".join(parts[:count])
        if kind == "link":
            raise PathError("symlink", f"`{shown}` is a symbolic link")
        if kind != "folder":
            raise PathError("conflict", f"`{shown}` is not a folder")
        return tuple("/".join(parts[:n]) for n in range(count + 1, len(parts) + 1))
    return ()


def use_new_place(world: World, root: int, path: str, made: list[str], use: Callable[[Place], Used]) -> Used:
    """Make the missing parents of the path, each durable, and return what `use` does there; `made` gets the new ones.

    Whoever undoes their own work beside us removes empty folders, those too that we count on until there is something
    of ours in them. Then they are made again and `use` is called again: where it raises, it has left nothing.
    """
    for lost in range(1, _FOLDERS_LOST_MAX + 1):
        with ExitStack() as held:
            place: Place | None = None
            try:
                _make_folders(world, root, path, made)
                place = held.enter_context(place_of(world, root, path))
                return use(place)
            except (PathError, OSError) as error:
                is_absence = error.code == "not_found" if isinstance(error, PathError) else error.errno == errno.ENOENT
                if not is_absence or lost == _FOLDERS_LOST_MAX or (place is not None and _is_there(world, place)):
                    raise
    raise AssertionError("the last of the tries returns or raises")


def _is_there(world: World, place: Place) -> bool:
    """Whether the folder that is held is still the one at its path."""
    try:
        with place_of(world, place.root, place.shown) as now:
            return os.path.samestat(os.fstat(now.parent), os.fstat(place.parent))
    except PathError:
        return False


def _make_folders(world: World, root: int, path: str, made: list[str]) -> None:
    for folder in missing_parents(world, root, path):
        with place_of(world, root, folder) as place:
            world.checkpoint("make-folder")
            try:
                os.mkdir(place.name, 0o777, dir_fd=place.parent)
            except FileExistsError:
                continue
            if folder not in made:
                made.append(folder)
            os.fsync(place.parent)


def remove_folders(world: World, root: int, folders: list[str] | tuple[str, ...]) -> None:
    """Remove those of the folders that are still there and empty, the innermost first, each durably."""
    for folder in sorted(folders, key=len, reverse=True):
        try:
            with place_of(world, root, folder) as place:
                os.rmdir(place.name, dir_fd=place.parent)
                os.fsync(place.parent)
        except (OSError, PathError):
            # Gone, or somebody has put something into it: then it is theirs.
            continue


def existing_folders(world: World, root: int, folders: tuple[str, ...]) -> tuple[str, ...]:
    """Return those of the paths where a folder stands."""
    found: list[str] = []
    for folder in folders:
        try:
            with place_of(world, root, folder) as place:
                if look(world, place.parent, place.name, digest=False).kind == "folder":
                    found.append(folder)
        except (OSError, PathError):
            continue
    return tuple(found)


def rename(source: Place, target: Place, flags: int) -> None:
    """Rename between two places; a file system that can't do it without risk is `PathError` unavailable."""
    try:
        renameat2(source.parent, source.name, target.parent, target.name, flags)
    except OSError as error:
        raise failure_of_rename(error, target.shown) from error


def failure_of_rename(error: OSError, shown: str) -> PathError:
    """Return what the error of a rename at `shown` means."""
    if error.errno in (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
        return PathError("unavailable", "the file system can't rename without the risk of replacing something")
    return failure_of(error, shown)


def require_same(expected: FileState | None, now: FileState, shown: str) -> None:
    """Raise `PathError` conflict where what stands there is not what the action was decided on."""
    if expected is None or not is_same_object(expected, now):
        raise PathError("conflict", f"`{shown}` is no longer what it was when this was decided")
