"""What stands at a place: kind, identity, size and digest, found out before anything is opened to be read."""

import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from typing import Literal

from ...domain.facts import ABSENT, FileState
from ...domain.manifest import digest_of_lines, line_of
from .failure import PathError
from .resolver import DATA, ENTRY, FOLDER, Resolver, opened
from .world import CHUNK_BYTES, World

Kind = Literal["file", "folder", "link", "special"]


def kind_of(mode: int) -> Kind:
    """Return the kind of file that the mode of a `stat` says."""
    if stat.S_ISREG(mode):
        return "file"
    if stat.S_ISDIR(mode):
        return "folder"
    return "link" if stat.S_ISLNK(mode) else "special"


def is_same_file(one: os.stat_result, other: os.stat_result) -> bool:
    """Whether both were taken of the same object."""
    return (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino)


def state_of(status: os.stat_result) -> FileState:
    """Return what the `stat` of an object says, without a digest."""
    kind = kind_of(status.st_mode)
    return FileState(
        kind,
        device=status.st_dev,
        inode=status.st_ino,
        size=status.st_size if kind == "file" else 0,
        mtime_ns=status.st_mtime_ns,
        mode=stat.S_IMODE(status.st_mode),
        links=status.st_nlink,
    )


def look(
    world: World, folder: int, path: bytes, *, digest: bool, unless: Callable[[FileState], bool] = lambda _seen: False
) -> FileState:
    """Return what stands at a path beneath an open folder; with `digest`, read it to say which content it is.

    `unless` says, from all but the digest, that this one is not to be read.

    Links and special files are told, not refused. Raises `OSError` for what stands in the way, `PathError` limit
    for more than `hash_bytes_max` bytes or `list_entries_max` entries, conflict for what changes meanwhile.
    """
    try:
        entry = world.resolver.open(folder, path, ENTRY)
    except FileNotFoundError:
        return ABSENT
    with opened(entry):
        status = os.fstat(entry)
        seen = state_of(status)
        if not digest or unless(seen):
            return seen
        if seen.kind == "file":
            if seen.size > world.limits.hash_bytes_max:
                raise PathError("limit", f"a file of {seen.size} bytes is too large to be compared")
            with opened(open_data(world.resolver, folder, path, status)) as data:
                return _with(seen, *digest_of_data(data, world.limits.hash_bytes_max))
        if seen.kind == "folder":
            return _with(seen, *digest_of_tree(world, entry))
        return seen


def _with(seen: FileState, digest: str, size: int, entries: int = 0) -> FileState:
    return FileState(
        seen.kind, seen.device, seen.inode, size, seen.mtime_ns, seen.mode, seen.links, digest=digest, entries=entries
    )


def open_data(resolver: Resolver, folder: int, path: bytes, expected: os.stat_result) -> int:
    """Open an ordinary file for reading, if it is still the one that was looked at; else `PathError` conflict."""
    fd = resolver.open(folder, path, DATA)
    status = os.fstat(fd)
    if stat.S_ISREG(status.st_mode) and is_same_file(status, expected):
        return fd
    os.close(fd)
    raise PathError("conflict", "it was replaced while it was looked at")


def chunks_of(fd: int, *, bytes_max: int) -> Iterator[bytes]:
    """Yield a file's bytes from where the descriptor stands; `PathError` limit once there are more than that."""
    size = 0
    while chunk := os.read(fd, CHUNK_BYTES):
        size += len(chunk)
        if size > bytes_max:
            raise PathError("limit", f"a file of more than {bytes_max} bytes")
        yield chunk


def digest_of_data(fd: int, bytes_max: int) -> tuple[str, int]:
    """Return `sha256:<hex>` and the size of what can be read from the descriptor."""
    hashing = hashlib.sha256()
    size = 0
    for chunk in chunks_of(fd, bytes_max=bytes_max):
        hashing.update(chunk)
        size += len(chunk)
    return f"sha256:{hashing.hexdigest()}", size


def digest_of_tree(world: World, folder: int) -> tuple[str, int, int]:
    """Return the digest of the folder's manifest, the bytes of all its files and how many entries it has."""
    found, size = entries_of_tree(world, folder)
    return digest_of_lines((path, line_of(kind, digest, path)) for path, kind, digest, _ in found), size, len(found)


def entries_of_tree(world: World, folder: int) -> tuple[list[tuple[bytes, Kind, str, int]], int]:
    """Return path, kind, digest and mode of each entry as a manifest has them, and the bytes of all files together."""
    found: list[tuple[bytes, Kind, str, int]] = []
    size = 0
    for path, status in walk(world.resolver, folder, entries_max=world.limits.list_entries_max):
        kind = kind_of(status.st_mode)
        if kind == "file":
            with opened(open_data(world.resolver, folder, path, status)) as data:
                digest, read = digest_of_data(data, world.limits.hash_bytes_max - size)
            size += read
        elif kind == "folder":
            digest = ""
        elif kind == "link":
            with opened(world.resolver.open(folder, path, ENTRY)) as link:
                digest = f"sha256:{hashlib.sha256(os.readlink(b'', dir_fd=link)).hexdigest()}"
        else:
            digest = str(status.st_rdev)
        found.append((path, kind, digest, stat.S_IMODE(status.st_mode)))
    return found, size


def walk(
    resolver: Resolver,
    folder: int,
    *,
    entries_max: int,
    lenient: bool = False,
    enters: Callable[[bytes], bool] = lambda _path: True,
) -> Iterator[tuple[bytes, os.stat_result]]:
    """Yield path and `stat` of everything beneath an open folder; never follows a link and never leaves its mount.

    Each folder is opened from the top by its path, so the number of descriptors does not grow with the depth. Raises
    `PathError` limit for more entries, `OSError` for a folder that can't be read, EXDEV for a mount inside; with
    `lenient`, such folders are yielded and not entered. `enters` says into which folders to go.
    """
    waiting = [b""]
    count = 0
    while waiting:
        prefix = waiting.pop()
        try:
            with opened(resolver.open(folder, prefix, FOLDER)) as listed:
                entries = list_folder(listed)
        except OSError:
            if lenient and prefix:
                continue
            raise
        for name, status in entries:
            count += 1
            if count > entries_max:
                raise PathError("limit", f"a folder with more than {entries_max:,} entries")
            path = prefix + b"/" + name if prefix else name
            yield path, status
            if stat.S_ISDIR(status.st_mode) and enters(path):
                waiting.append(path)


def list_folder(folder: int) -> list[tuple[bytes, os.stat_result]]:
    """Return name and `stat` of each entry of an open folder, links as links."""
    found: list[tuple[bytes, os.stat_result]] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            try:
                found.append((os.fsencode(entry.name), entry.stat(follow_symlinks=False)))
            except FileNotFoundError:
                continue
    return found
