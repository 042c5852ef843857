"""Copy a file or a tree from one open folder into another, for a move between two file systems."""

import os
import stat
from typing import Final

from .failure import PathError
from .places import Place
from .resolver import ENTRY, FOLDER, opened
from .state import chunks_of, kind_of, open_data, walk
from .world import World

_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def copy_tree(world: World, source: Place, target: Place) -> None:
    """Copy what stands at `source` to the new name `target`, each file and folder durably.

    Times, permissions (never set-id bits) and the user's extended attributes are kept; links are copied as links.
    Raises `PathError` special for pipes, sockets and devices.
    """
    with opened(world.resolver.open(source.parent, source.name, ENTRY)) as entry:
        status = os.fstat(entry)
        if not stat.S_ISDIR(status.st_mode):
            _copy_entry(world, (source.parent, source.name), (target.parent, target.name), status)
            return
        folders = [(b"", status)]
        _make_folder(target.parent, target.name)
        with opened(world.resolver.open(target.parent, target.name, FOLDER)) as top:
            for path, found in sorted(
                walk(world.resolver, entry, entries_max=world.limits.list_entries_max), key=lambda item: item[0]
            ):
                parent, _, name = path.rpartition(b"/")
                with opened(world.resolver.open(top, parent, FOLDER)) as below:
                    if stat.S_ISDIR(found.st_mode):
                        _make_folder(below, name)
                        folders.append((path, found))
                    else:
                        _copy_entry(world, (entry, path), (below, name), found)
            for path, found in reversed(folders):
                with opened(world.resolver.open(top, path, FOLDER)) as folder:
                    _finish(folder, found)


def _make_folder(parent: int, name: bytes) -> None:
    os.mkdir(name, 0o700, dir_fd=parent)


def _copy_entry(world: World, source: tuple[int, bytes], target: tuple[int, bytes], status: os.stat_result) -> None:
    world.checkpoint("copy-entry")
    kind = kind_of(status.st_mode)
    if kind == "link":
        with opened(world.resolver.open(*source, ENTRY)) as link:
            os.symlink(os.readlink(b"", dir_fd=link), target[1], dir_fd=target[0])
        return
    if kind != "file":
        raise PathError("special", "pipes, sockets and devices can't be moved to another file system")
    with (
        opened(open_data(world.resolver, *source, status)) as data,
        opened(os.open(target[1], _NEW, 0o600, dir_fd=target[0])) as copy,
    ):
        for chunk in chunks_of(data, bytes_max=world.limits.hash_bytes_max):
            rest = memoryview(chunk)
            while rest:
                rest = rest[os.write(copy, rest) :]
        _keep_attributes(data, copy)
        _finish(copy, status)


def _finish(fd: int, status: os.stat_result) -> None:
    os.fchmod(fd, stat.S_IMODE(status.st_mode) & 0o777)
    os.utime(fd, ns=(status.st_atime_ns, status.st_mtime_ns))
    os.fsync(fd)


def _keep_attributes(source: int, target: int) -> None:
    try:
        for name in os.listxattr(source):
            if name.startswith("user."):
                os.setxattr(target, name, os.getxattr(source, name))
    except OSError:
        # The other file system may have no room for them; the content is what was approved.
        return
