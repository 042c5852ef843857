"""Locks that keep two processes from running one task: advisory file locks, which the kernel drops with the process.

A lock's file is there while somebody has the lock; what a crash left goes with the next who has it. Whoever has locked
a file therefore looks whether it is still the one at its path: its last holder may have removed it in between.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ...domain.errors import DomainError


class FileTaskLocks:
    """One file per task that is in somebody's hands, in a folder of the store; see the `TaskLocks` port."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextmanager
    def hold(self, task_id: str) -> Iterator[bool]:
        """Enter with whether this process now has the task."""
        path = self._folder / f"{task_id}.lock"
        descriptor = self._locked(path)
        if descriptor is None:
            yield False
            return
        try:
            yield True
        finally:
            # Removed while it is locked: after that somebody else may have it.
            with suppress(OSError):
                if _is_at(path, descriptor):
                    path.unlink()
            os.close(descriptor)

    def _locked(self, path: Path) -> int | None:
        """Return the descriptor of the locked file, or None where somebody else has it."""
        while True:
            try:
                self._folder.mkdir(mode=0o700, exist_ok=True)
                descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            except OSError as error:
                raise DomainError("unavailable", f"the lock `{path}` can't be opened: {error.strerror}") from error
            is_ours = False
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                is_ours = _is_at(path, descriptor)
            except BlockingIOError:
                return None
            finally:
                if not is_ours:
                    os.close(descriptor)
            if is_ours:
                return descriptor


def _is_at(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.stat(path, follow_symlinks=False), os.fstat(descriptor))
    except FileNotFoundError:
        return False
