"""Looking at files by descriptors alone: nothing here follows a link or looks a path up a second time."""

import hashlib
import itertools
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from ...domain.facts import FileState

FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
PASSAGE: Final = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
"""To go on from a folder that may not be listed."""

DATA: Final = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
CHUNK_BYTES: Final = 128 * 1024


@contextmanager
def opened(fd: int) -> Iterator[int]:
    """Close the descriptor at the end of the block."""
    try:
        yield fd
    finally:
        os.close(fd)


def list_folder(folder: int, *, most: int | None = None) -> list[tuple[bytes, os.stat_result]]:
    """Return name and `stat` of each entry (of the first ones, as many as `most`) of an open folder, in no order.

    Links are told as links. Raises `OSError`, also where the names may be read and nothing behind them.
    """
    found: list[tuple[bytes, os.stat_result]] = []
    with os.scandir(folder) as entries:
        for entry in itertools.islice(entries, most):
            try:
                found.append((os.fsencode(entry.name), entry.stat(follow_symlinks=False)))
            except FileNotFoundError:
                continue
    return found


def state_of(status: os.stat_result) -> FileState:
    """Return what a `stat` says of an object, without a digest."""
    mode = status.st_mode
    if stat.S_ISREG(mode):
        return FileState(
            "file",
            device=status.st_dev,
            inode=status.st_ino,
            size=status.st_size,
            mtime_ns=status.st_mtime_ns,
            mode=stat.S_IMODE(mode),
            links=status.st_nlink,
        )
    return FileState(
        "folder" if stat.S_ISDIR(mode) else "link" if stat.S_ISLNK(mode) else "special",
        device=status.st_dev,
        inode=status.st_ino,
        mtime_ns=status.st_mtime_ns,
        mode=stat.S_IMODE(mode),
        links=status.st_nlink,
    )


def is_same_object(one: os.stat_result, other: os.stat_result) -> bool:
    """Whether both were taken of the same object."""
    return (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino)


def chunks_of(fd: int) -> Iterator[bytes]:
    """Yield a file's bytes from where the descriptor stands."""
    while chunk := os.read(fd, CHUNK_BYTES):
        yield chunk


def digest_of_file(fd: int) -> str:
    """Return `sha256:<hex>` of what can be read from the descriptor."""
    hashing = hashlib.sha256()
    for chunk in chunks_of(fd):
        hashing.update(chunk)
    return f"sha256:{hashing.hexdigest()}"


def set_mode(folder: int, name: bytes, mode: int) -> None:
    """Set the permission bits of an entry that is no link, whatever they are now."""
    with opened(os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)) as entry:
        # A descriptor of this kind needs no permission on the object, and can't be given to fchmod directly.
        os.chmod(f"/proc/self/fd/{entry}", mode)


def write_all(fd: int, data: bytes) -> None:
    """Write all the bytes."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(fd, rest) :]
