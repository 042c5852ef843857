"""A fault put into a program on purpose: it asks the disk for nothing."""

import os
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from _typeshed import FileDescriptorLike

NO_FSYNC: Final = "no-fsync"


def sync_nothing() -> None:
    """Let everything that Python syncs in this process be lost; SQLite's own files are synced as ever."""
    os.fsync = _pass_by


def _pass_by(fd: "FileDescriptorLike") -> None:
    """Sync nothing."""
