"""Watching what a command writes while it runs: its copy lies on the store's disk, which is not its to fill."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import anyio
import anyio.to_thread
import msgspec

from ...engine.limits import COMMAND_STAGED_BYTES_MAX, COMMAND_STAGED_FILES_MAX
from .descriptors import FOLDER, opened

_PAUSE_S: Final = 0.25
_SHARE: Final = 20
"""A look may take one part in so many of the time."""

_PASSED_OVER: Final = (FileNotFoundError, NotADirectoryError, PermissionError)
"""What stood there a moment ago is removed, or something else stands in its place: of a removed folder, its mark.

A folder that nobody may list is counted by the disk's free space, and refused when changes are read.
"""


class StagedLimits(msgspec.Struct, frozen=True, kw_only=True):
    """How much a copy may grow to, and how much of the disk must stay free; smaller in tests."""

    bytes_max: int = COMMAND_STAGED_BYTES_MAX
    files_max: int = COMMAND_STAGED_FILES_MAX
    free_bytes_min: int = 256 * 1024 * 1024


async def watch_copy(upper: str, limits: StagedLimits) -> str:
    """Return why the command has to be stopped, as soon as it has to be."""
    while True:
        began = anyio.current_time()
        reason = await anyio.to_thread.run_sync(find_excess, upper, limits)
        if reason is not None:
            return reason
        await anyio.sleep(max(_PAUSE_S, (anyio.current_time() - began) * _SHARE))


def find_lack_of_room(folder: str | Path, limits: StagedLimits) -> str | None:
    """Return that the disk of that folder has too little room for a command, as a sentence, or None."""
    disk = os.statvfs(folder)
    if disk.f_bavail * disk.f_frsize < limits.free_bytes_min:
        return f"the disk of the store has less than {limits.free_bytes_min:,} bytes left"
    return None


def find_excess(upper: str, limits: StagedLimits) -> str | None:
    """Return which bound a copy is over, as a sentence, or None."""
    if (lack := find_lack_of_room(upper, limits)) is not None:
        return lack
    size = 0
    try:
        for files, status in enumerate(_below(upper), 1):
            # What is allocated counts, or what would be read of a file with holes: whichever is more.
            size += max(status.st_blocks * 512, status.st_size)
            if files > limits.files_max:
                return f"it changed more than {limits.files_max:,} files"
            if size > limits.bytes_max:
                return f"it wrote more than {limits.bytes_max:,} bytes"
    except OSError as error:
        # Folders within folders until no path reaches them: what lies there could not be counted.
        return f"its copy can't be looked through: {(error.strerror or str(error)).lower()}"
    return None


def _below(folder: str) -> Iterator[os.stat_result]:
    """Yield the state of everything beneath a folder; what is gone or shut by now is passed over."""
    pending = [folder]
    while pending:
        path = pending.pop()
        try:
            # The command may put a link where a folder was: what that leads to is not part of the copy.
            folder_fd = os.open(path, FOLDER)
        except _PASSED_OVER:
            continue
        with opened(folder_fd):
            yield from _in_folder(folder_fd, path, pending)


def _in_folder(folder: int, path: str, pending: list[str]) -> Iterator[os.stat_result]:
    with os.scandir(folder) as entries:
        for entry in entries:
            try:
                status = entry.stat(follow_symlinks=False)
            except _PASSED_OVER:
                continue
            yield status
            if stat.S_ISDIR(status.st_mode):
                pending.append(os.path.join(path, entry.name))
