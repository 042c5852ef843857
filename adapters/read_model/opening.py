"""Opening `read.db`: made where there is none, set aside where it is damaged or not ours, by one process at a time."""

import errno
import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from .schema import APPLICATION_ID

_DAMAGE: Final = frozenset([sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB])
_NO_ROOM: Final = frozenset([errno.ENOSPC, errno.EDQUOT])
_COMPANIONS: Final = ("", "-wal", "-shm")


class ForeignFileError(Exception):
    """The file is a database, but not a read model."""


def is_damage(error: sqlite3.DatabaseError) -> bool:
    """Whether the error says that the file's content is damaged (not that it is locked, or the disk full)."""
    # A result code's low byte is the error, the rest its variety.
    if isinstance(error, sqlite3.ProgrammingError):
        # A mistake in the use of the module, which has no result code.
        return False
    return error.sqlite_errorcode & 0xFF in _DAMAGE


def hint_of(error: sqlite3.Error | OSError) -> str:
    """Return what to do where the file can't be used."""
    try:
        code = sqlite3.SQLITE_CANTOPEN if isinstance(error, OSError) else error.sqlite_errorcode & 0xFF
    except AttributeError:
        # The module's own errors have no result code.
        code = sqlite3.SQLITE_ERROR
    if code == sqlite3.SQLITE_FULL or (isinstance(error, OSError) and error.errno in _NO_ROOM):
        return "make room on its disk; nothing of the log is lost"
    if code == sqlite3.SQLITE_IOERR:
        return "see that its disk works and has room; nothing of the log is lost"
    return "it can be deleted at any time: it is made again from the log"


@contextmanager
def opening_lock(path: Path) -> Iterator[None]:
    """Hold the lock under which the file is made or set aside, so that no process sets aside what another just made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path.with_name(f"{path.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def connect(path: Path, lock_wait_s: float) -> sqlite3.Connection:
    """Open the file, which has to be a read model or new. Raises `ForeignFileError` and `sqlite3.DatabaseError`."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    with ExitStack() as unless_opened:
        connection = sqlite3.connect(path, timeout=lock_wait_s, isolation_level=None, check_same_thread=False)
        unless_opened.callback(connection.close)
        (known,) = connection.execute("PRAGMA application_id").fetchone()
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if known != APPLICATION_ID and (known or tables):
            raise ForeignFileError
        connection.execute("PRAGMA journal_mode = WAL")
        # A power loss may take the last transactions: the log has their events, and they are folded again.
        connection.execute("PRAGMA synchronous = NORMAL")
        if known != APPLICATION_ID:
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        unless_opened.pop_all()
    return connection


def set_aside(path: Path) -> Path:
    """Move the file and what belongs to it out of the way; return its new place. An earlier one there is replaced."""
    aside = path.with_name(f"{path.name}.set-aside")
    for companion in _COMPANIONS:
        source, target = Path(f"{path}{companion}"), Path(f"{aside}{companion}")
        if source.exists():
            source.replace(target)
        else:
            target.unlink(missing_ok=True)
    return aside
