"""The area of one command: the folders of ours that its view of a granted folder is put together from.

    <state folder>/commands/<name>/mask     what it must not see, a layer above the granted folder
                                   upper    what it writes
                                   work     the overlay's own
                                   merged   where the whole is mounted
                                   tmp      where its temporary folder is mounted
                                   marker   a file made last: what changed later, changed while the command ran

Nothing here is worth keeping: after a crash the area is removed.
"""

import os
import time
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Final

import msgspec

from ...domain.errors import DomainError
from ...domain.scope import FolderScope
from ...engine.limits import COMMAND_SEEN_ENTRIES_MAX
from ...engine.ports import Sight
from .descriptors import FOLDER, opened
from .mask import Pin, make_mask, take_after
from .removal import remove_folder
from .seen import Seen

_AREAS: Final = b"commands"
_MARKER: Final = b"marker"
_TICK_S_MAX: Final = 2.5
"""How coarse the times of a file system may be that is waited for: the coarsest in use have two seconds."""


class Area(msgspec.Struct, frozen=True, kw_only=True):
    """The folders, as absolute paths; `upper` and `work` exist only for a command that writes.

    `hidden` counts the files and folders kept from the command. `seen` and `marked_ns` (the marker's ctime) are what
    its changes are compared with.
    """

    state_dir: Path
    name: str
    mask: str
    upper: str
    work: str
    merged: str
    tmp: str
    hidden: int
    seen: Seen
    marked_ns: int

    def remove(self) -> None:
        """Remove all of it. Nothing may be running in it any more. Raises `DomainError` unavailable."""
        clear(self.state_dir, self.name)


def prepare(
    state_dir: Path,
    name: str,
    root_fd: int,
    folder: FolderScope,
    sight: Sight,
    *,
    writes: bool,
    pinned: Mapping[str, bytes] | None = None,
    entries_max: int = COMMAND_SEEN_ENTRIES_MAX,
) -> Area:
    """Make the area of a command in the granted folder behind `root_fd`, fresh even where an old one was left.

    `pinned` maps paths beneath the folder to the bytes that the command is to see there, whatever happens to the files
    meanwhile; what policy hides stays hidden. Blocks: call it in a worker thread.

    Raises `DomainError`: limit for a folder with too much in it, conflict where a pinned file is no file any more,
    unavailable where the system refuses. Nothing is left behind then.
    """
    clear(state_dir, name)
    with ExitStack() as undo:
        undo.callback(clear, state_dir, name)
        try:
            area = _make(state_dir, name, root_fd, folder, sight, writes, pinned or {}, entries_max)
        except OSError as error:
            raise DomainError(
                "unavailable", f"no place for the command can be made in the store: {_words(error)}"
            ) from error
        undo.pop_all()
    return area


def clear(state_dir: Path, name: str) -> None:
    """Remove a command's area, if there is one. Raises `DomainError` unavailable."""
    assert "/" not in name, name
    assert name.strip("."), name
    try:
        with opened(os.open(state_dir / os.fsdecode(_AREAS), FOLDER)) as areas:
            remove_folder(areas, os.fsencode(name))
    except FileNotFoundError:
        return
    except OSError as error:
        raise DomainError("unavailable", f"what command `{name}` left can't be removed: {_words(error)}") from error


def area_names(state_dir: Path) -> list[str]:
    """Return the names of all areas there are: of commands that run, and of those that a crash left."""
    try:
        return sorted(os.listdir(state_dir / os.fsdecode(_AREAS)))
    except FileNotFoundError:
        return []


def _make(
    state_dir: Path,
    name: str,
    root_fd: int,
    folder: FolderScope,
    sight: Sight,
    writes: bool,
    pinned: Mapping[str, bytes],
    entries_max: int,
) -> Area:
    areas = state_dir / os.fsdecode(_AREAS)
    with suppress(FileExistsError):
        areas.mkdir(mode=0o700)
    place = areas / name
    place.mkdir(mode=0o700)
    for inner in ("mask", "merged", "tmp", *(("upper", "work") if writes else ())):
        (place / inner).mkdir(mode=0o700)
    with opened(os.open(place, FOLDER)) as area:
        first_ns = _mark(area)
        with opened(os.open("mask", FOLDER, dir_fd=area)) as mask:
            pins = {path: Pin.of(data) for path, data in pinned.items()}
            masked = make_mask(mask, root_fd, folder, sight, pins, remembers=writes, entries_max=entries_max)
            if writes:
                with opened(os.open("upper", FOLDER, dir_fd=area)) as upper:
                    take_after(upper, os.fstat(mask))
        marked_ns = _mark_later(area, first_ns) if writes else first_ns
    return Area(
        state_dir=state_dir,
        name=name,
        mask=str(place / "mask"),
        upper=str(place / "upper"),
        work=str(place / "work"),
        merged=str(place / "merged"),
        tmp=str(place / "tmp"),
        hidden=masked.hidden,
        seen=masked.seen,
        marked_ns=marked_ns,
    )


def _mark(area: int) -> int:
    """Touch the marker and return its ctime, by the clock that file systems use."""
    with opened(os.open(_MARKER, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=area)) as fd:
        os.utime(fd)
        return os.fstat(fd).st_ctime_ns


def _mark_later(area: int, first_ns: int) -> int:
    """Touch the marker until its ctime is later than when the work began.

    That clock ticks in milliseconds. What was written before all this, by the action before this one, must not look as
    if it had been written while the command ran: an equal time counts as that.
    """
    ends = time.monotonic() + _TICK_S_MAX
    while (marked_ns := _mark(area)) <= first_ns and time.monotonic() < ends:
        time.sleep(0.0005)
    return marked_ns


def _words(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
