"""List and read: what is there, links as links, and the content of one file or a part of it."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final, Literal

import msgspec

from ...domain.action import FileList, FileRead
from ...domain.effect import Result
from ...domain.facts import FileState
from ...domain.path import components, name_of_text, text_of_name
from ...domain.places import is_engines
from ...engine.ports import Done, Permit
from .failure import PathError
from .places import granted, require_same
from .resolver import ENTRY, FOLDER, opened
from .state import chunks_of, kind_of, list_folder, open_data, state_of, walk
from .world import CHUNK_BYTES, World

_JSON: Final = msgspec.json.Encoder()


class Entry(msgspec.Struct, frozen=True, rename="camel"):
    """One line of a listing: path below the granted folder, kind, bytes (0 unless a file), time of the last change."""

    path: str
    kind: Literal["file", "folder", "link", "special"]
    size: int
    mtime: datetime


def perform_list(world: World, permit: Permit, action: FileList) -> Done:
    """List a folder. The result is a JSON array of `Entry`, in the byte order of the paths; no syncs but the blob's."""
    prefix = "/".join(components(action.at.path))
    entries_max = world.limits.list_entries_max
    with (
        granted(world, permit.scope, action.at) as root,
        opened(world.resolver.open(root, name_of_text(prefix), FOLDER)) as folder,
    ):
        require_same(permit.facts.target, state_of(os.fstat(folder)), action.at.path)
        if action.recursive:
            found = list(
                walk(
                    world.resolver,
                    folder,
                    entries_max=entries_max,
                    lenient=True,
                    enters=lambda path: not is_engines(text_of_name(path)),
                )
            )
        else:
            found = list_folder(folder)
    if len(found) > entries_max:
        raise PathError("limit", f"`{action.at.path}` has more than {entries_max} entries")
    entries = [_entry(prefix, path, status) for path, status in sorted(found, key=lambda item: item[0])]
    entries = [entry for entry in entries if not is_engines(entry.path)]
    content = world.blobs.put(_JSON.encode(entries))
    return Done(result=Result(summary=_summary_of(entries), digest=content.digest, size=content.size))


def _entry(prefix: str, path: bytes, status: os.stat_result) -> Entry:
    kind = kind_of(status.st_mode)
    below = text_of_name(path)
    return Entry(
        path=f"{prefix}/{below}" if prefix else below,
        kind=kind,
        size=status.st_size if kind == "file" else 0,
        mtime=_time_of(status.st_mtime),
    )


def _time_of(seconds: float) -> datetime:
    """Return the time; one outside the calendar's years is shown as the nearest that can be written."""
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError):
        return datetime.min.replace(tzinfo=UTC) if seconds < 0 else datetime.max.replace(tzinfo=UTC)


def _summary_of(entries: list[Entry]) -> str:
    counts = {kind: sum(1 for entry in entries if entry.kind == kind) for kind in ("file", "folder", "link", "special")}
    parts = [counted(counts["file"], "file"), counted(counts["folder"], "folder")]
    parts += [counted(counts["link"], "link")] if counts["link"] else []
    parts += [counted(counts["special"], "special file")] if counts["special"] else []
    return f"{', '.join(parts[:-1])} and {parts[-1]}, {sized(sum(entry.size for entry in entries))}"


def counted(number: int, noun: str) -> str:
    """Return `1 file`, `2 files`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def sized(size: int) -> str:
    """Return a number of bytes as people say it: `812 bytes`, `3.4 MB`."""
    if size < 1000:
        return counted(size, "byte")
    value = float(size)
    for unit in ("kB", "MB", "GB", "TB"):
        value /= 1000
        if value < 999.95 or unit == "TB":
            break
    return f"{value:,.1f} {unit}"


def perform_read(world: World, permit: Permit, action: FileRead) -> Done:
    """Read a file, or a part of it, into the blob store; no syncs but the blob's."""
    path = name_of_text("/".join(components(action.at.path)))
    whole = is_whole(action)
    with granted(world, permit.scope, action.at) as root:
        with opened(world.resolver.open(root, path, ENTRY)) as entry:
            status = os.fstat(entry)
        expected = permit.facts.target
        digest = expected.digest if expected is not None else ""
        require_same(expected, msgspec.structs.replace(state_of(status), digest=digest), action.at.path)
        if kind_of(status.st_mode) != "file":
            raise PathError("special", f"`{action.at.path}` is not an ordinary file")
        length = bytes_to_read(action, state_of(status))
        if length > world.limits.read_bytes_max:
            raise PathError("limit", too_large(action.at.path, length, world.limits.read_bytes_max))
        with opened(open_data(world.resolver, root, path, status)) as data:
            if whole:
                content = world.blobs.put_stream(chunks_of(data, bytes_max=world.limits.read_bytes_max))
            else:
                os.lseek(data, action.offset, os.SEEK_SET)
                content = world.blobs.put_stream(_some_of(data, length))
    if whole and digest and content.digest != digest:
        raise PathError("conflict", f"`{action.at.path}` was changed while it was read")
    part = "" if whole else f" from byte {action.offset:,}"
    summary = f"{counted(content.size, 'byte')} of `{action.at.path}`{part}"
    return Done(result=Result(summary=summary, digest=content.digest, size=content.size))


def is_whole(action: FileRead) -> bool:
    """Whether the action reads the file from its beginning to its end."""
    return action.offset == 0 and action.length is None


def bytes_to_read(action: FileRead, state: FileState) -> int:
    """Return how many bytes the action would bring back at most, by the file's apparent size."""
    rest = max(0, state.size - action.offset)
    return rest if action.length is None else min(rest, action.length)


def too_large(path: str, size: int, size_max: int) -> str:
    """Return the sentence for a file over the limit, with the way around it."""
    return f"`{path}` would be {sized(size)}, more than the {sized(size_max)} that are read at once: read a part of it"


def _some_of(fd: int, length: int) -> Iterator[bytes]:
    while length > 0 and (chunk := os.read(fd, min(length, CHUNK_BYTES))):
        length -= len(chunk)
        yield chunk
