"""Locks that keep two processes from running one task: advisory file locks, which the kernel drops with the process."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ...domain.errors import DomainError


class FileTaskLocks:
    """One file per task in a folder of the store; see the `TaskLocks` port."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextmanager
    def hold(self, task_id: str) -> Iterator[bool]:
        """Enter with whether this process now has the task."""
        path = self._folder / f"{task_id}.lock"
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise DomainError("unavailable", f"the lock `{path}` can't be opened: {error.strerror}") from error
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
                return
            yield True
        finally:
            os.close(descriptor)
