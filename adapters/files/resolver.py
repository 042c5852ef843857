"""Opening what stands beneath a folder, so that no link, mount or `..` leads out of it, whoever renames meanwhile.

Two interchangeable ways: openat2, where the kernel enforces it in one call, and a walk that opens component after
component without following links, for kernels and containers that lack openat2. Both raise plain `OSError`: ELOOP for a
link, EXDEV for another mount, ENOENT, ENOTDIR, ENAMETOOLONG, and `PathError` escape for a path that should never
have come here.
"""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Protocol

from .failure import PathError
from .openat2 import (
    RESOLVE_BENEATH,
    RESOLVE_NO_MAGICLINKS,
    RESOLVE_NO_SYMLINKS,
    RESOLVE_NO_XDEV,
    is_openat2_available,
    openat2,
)

ENTRY: Final = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
"""To look at whatever stands there, a link included, without touching it."""

FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
"""To list a folder, to sync it and to work on the names in it."""

DATA: Final = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
"""To read a file that was seen to be ordinary: a pipe put in its place does not make the reader wait."""

_STRICT: Final = RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS


class Resolver(Protocol):
    """Opens paths strictly."""

    name: str

    def open(self, folder: int, path: bytes, flags: int) -> int:
        """Open `path` (components without `.` and `..`; empty for the folder itself) beneath the folder.

        No component may be a link or lie on another mount; the last may be a link with `ENTRY`, and is then what was
        opened. Returns a new file descriptor.
        """
        ...

    def open_root(self, path: bytes) -> int:
        """Open an absolute path to a folder with `O_PATH`, refusing links; mounts on the way are what they are."""
        ...


@contextmanager
def opened(fd: int) -> Iterator[int]:
    """Close the descriptor at the end of the block."""
    try:
        yield fd
    finally:
        os.close(fd)


class Openat2Resolver:
    """The kernel's own strict look-up."""

    name = "openat2"

    def open(self, folder: int, path: bytes, flags: int) -> int:
        """See `Resolver.open`."""
        parts = _parts(path)
        try:
            return openat2(
                folder, b"/".join(parts) or b".", flags | os.O_CLOEXEC, _STRICT | RESOLVE_BENEATH | RESOLVE_NO_XDEV
            )
        except NotADirectoryError:
            if flags & os.O_DIRECTORY and self._is_link(folder, path):
                raise _error(errno.ELOOP) from None
            raise

    def open_root(self, path: bytes) -> int:
        """See `Resolver.open_root`."""
        with opened(os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)) as top:
            flags = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
            return openat2(top, b"/".join(_root_parts(path)) or b".", flags, _STRICT)

    def _is_link(self, folder: int, path: bytes) -> bool:
        with opened(self.open(folder, path, ENTRY)) as entry:
            return stat.S_ISLNK(os.fstat(entry).st_mode)


class WalkResolver:
    """One component at a time, each opened relative to the one before and never followed."""

    name = "walk"

    def open(self, folder: int, path: bytes, flags: int) -> int:
        """See `Resolver.open`."""
        parts = _parts(path)
        mount = _mount_id(folder)
        if not parts:
            return os.open(".", flags | os.O_CLOEXEC, dir_fd=folder)
        with opened(_descend(os.dup(folder), parts[:-1], mount)) as parent:
            seen = os.open(parts[-1], ENTRY, dir_fd=parent)
            if flags & ~os.O_CLOEXEC == ENTRY & ~os.O_CLOEXEC:
                return _on_mount(seen, mount)
            with opened(seen):
                return self._open_seen(parent, parts[-1], seen, mount, flags)

    def open_root(self, path: bytes) -> int:
        """See `Resolver.open_root`."""
        top = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        return _descend(top, _root_parts(path), None)

    @staticmethod
    def _open_seen(parent: int, name: bytes, seen: int, mount: int, flags: int) -> int:
        """Open for more than looking, and only if it is still the object that was looked at."""
        status = os.fstat(seen)
        if stat.S_ISLNK(status.st_mode):
            raise _error(errno.ELOOP)
        if flags & os.O_DIRECTORY and not stat.S_ISDIR(status.st_mode):
            raise _error(errno.ENOTDIR)
        fd = _on_mount(os.open(name, flags | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent), mount)
        now = os.fstat(fd)
        if (now.st_dev, now.st_ino) != (status.st_dev, status.st_ino):
            os.close(fd)
            raise _error(errno.ESTALE)
        return fd


def choose_resolver() -> Resolver:
    """Return the resolver for this machine. To be asked once, at the start."""
    return Openat2Resolver() if is_openat2_available() else WalkResolver()


def _parts(path: bytes) -> list[bytes]:
    if path.startswith(b"/"):
        raise PathError("escape", "an absolute path can't be looked up beneath a folder")
    parts = [part for part in path.split(b"/") if part not in (b"", b".")]
    if b".." in parts:
        raise PathError("escape", "a path can't contain `..`")
    if b"\x00" in path:
        raise PathError("name", "a path can't contain NUL")
    return parts


def _root_parts(path: bytes) -> list[bytes]:
    if not path.startswith(b"/"):
        raise PathError("escape", "the path of a granted folder is absolute")
    return _parts(path.lstrip(b"/"))


def _descend(fd: int, parts: list[bytes], mount: int | None) -> int:
    """Step from folder to folder; takes over the descriptor and returns the last one."""
    for part in parts:
        with opened(fd):
            below = os.open(part, ENTRY, dir_fd=fd)
        fd = below if mount is None else _on_mount(below, mount)
        mode = os.fstat(fd).st_mode
        if not stat.S_ISDIR(mode):
            os.close(fd)
            raise _error(errno.ELOOP if stat.S_ISLNK(mode) else errno.ENOTDIR)
    return fd


def _on_mount(fd: int, mount: int) -> int:
    """Return the descriptor if it lies on that mount, else close it. The walk has no NO_XDEV of its own."""
    is_there = False
    try:
        is_there = _mount_id(fd) == mount
    finally:
        if not is_there:
            os.close(fd)
    if not is_there:
        raise _error(errno.EXDEV)
    return fd


def _mount_id(fd: int) -> int:
    info = os.open(f"/proc/self/fdinfo/{fd}", os.O_RDONLY | os.O_CLOEXEC)
    with opened(info):
        for line in os.read(info, 4096).splitlines():
            if line.startswith(b"mnt_id:"):
                return int(line[len(b"mnt_id:") :])
    raise PathError("io", "the kernel does not tell one mount from another")


def _error(code: int) -> OSError:
    return OSError(code, os.strerror(code))
