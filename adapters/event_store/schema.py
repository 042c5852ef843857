"""The store's file: what is in it, how it is made, and how it is told from every other file before it is touched."""

import errno
import os
import sqlite3
import stat
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import Final, Literal

from ...domain.errors import DomainError
from .sqlite_errors import domain_error, is_locked, primary_code

APPLICATION_ID: Final = 0x436F576B
"""Marks the file as ours, in its header (`CoWk`)."""

FORMAT_VERSION: Final = 1
"""The file's `user_version`. A file with a greater one was written by a newer version and is left alone."""

EVENTS_TABLE: Final = "stored_events"

# The names are the library's: its recorder reads `rowid` as the position. AUTOINCREMENT never gives a position twice.
# The triggers make the table append-only and its streams without gaps, for every program that opens the file.
STATEMENTS: Final = (
    """CREATE TABLE IF NOT EXISTS stored_events (
        rowid INTEGER PRIMARY KEY AUTOINCREMENT,
        originator_id TEXT NOT NULL,
        originator_version INTEGER NOT NULL CHECK (originator_version > 0),
        topic TEXT NOT NULL,
        state BLOB NOT NULL,
        UNIQUE (originator_id, originator_version)
    ) STRICT""",
    """CREATE TRIGGER IF NOT EXISTS stored_events_are_never_changed BEFORE UPDATE ON stored_events
        BEGIN SELECT RAISE(ABORT, 'recorded events are never changed'); END""",
    """CREATE TRIGGER IF NOT EXISTS stored_events_are_never_deleted BEFORE DELETE ON stored_events
        BEGIN SELECT RAISE(ABORT, 'recorded events are never deleted'); END""",
    """CREATE TRIGGER IF NOT EXISTS stored_events_are_never_replaced BEFORE INSERT ON stored_events
        WHEN EXISTS (SELECT 1 FROM stored_events WHERE originator_id = NEW.originator_id
            AND originator_version = NEW.originator_version)
        BEGIN SELECT RAISE(ABORT, 'recorded events are never replaced'); END""",
)

_SETUP_WAIT_S: Final = 5.0

_NO_NAMELESS_FILES: Final = (errno.EOPNOTSUPP, errno.EISDIR, errno.ENOENT, errno.EINVAL)
"""What file systems, and kernels, say that can't make a file that has no name yet."""


def look_at(path: Path) -> Literal["absent", "ours"]:
    """Say whether the file is a store; an empty file is as good as none. Nothing is written, not even beside the file.

    Raises `DomainError` invalid for any other file and for one of a newer version, unavailable where it can't be read.
    """
    try:
        found = path.stat()
    except FileNotFoundError:
        return "absent"
    except OSError as error:
        raise DomainError("unavailable", f"the event store `{path}` can't be read: {_reason(error)}") from error
    if not stat.S_ISREG(found.st_mode):
        raise DomainError("invalid", f"`{path}` is not a file, and so not an event store", "name a file")
    if found.st_size == 0:
        return "absent"
    other = "name another place for the store; this file was not touched"
    application_id, format_version = _marks(path)
    if application_id is None:
        raise DomainError("invalid", f"`{path}` is not an event store", other)
    if application_id != APPLICATION_ID:
        raise DomainError("invalid", f"`{path}` is a database of another program, not an event store", other)
    check_format(path, format_version)
    return "ours"


def _marks(path: Path) -> tuple[int | None, int]:
    """Return the header's application id (None: not SQLite's file at all) and format.

    SQLite itself reads them, without locks or a look at the log: were the file opened and closed here by hand, the
    locks that this process may already hold on it would be gone.
    """
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)) as connection:
            # A process that dies while it writes the file leaves one that is shorter than its header says; the next
            # opening mends it from the journal. Only with this does SQLite tell the marks of such a file.
            connection.execute("PRAGMA writable_schema = ON")
            application_id: int = connection.execute("PRAGMA application_id").fetchone()[0]
            format_version: int = connection.execute("PRAGMA user_version").fetchone()[0]
            return application_id, format_version
    except sqlite3.Error as error:
        if primary_code(error) == sqlite3.SQLITE_NOTADB:
            return None, 0
        raise domain_error(error, path) from error


def check_format(path: Path, found: int) -> None:
    """Raise `DomainError` invalid for a file of a newer version."""
    if found > FORMAT_VERSION:
        raise DomainError(
            "invalid",
            f"the event store `{path}` has format {found}; this version knows {FORMAT_VERSION} and older",
            "it was written by a newer version: upgrade cowork",
        )


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()


def create_file(path: Path) -> None:
    """Make the folder (0700, where it is new) and the file (0600), durably. Others may do the same meanwhile.

    The file gets its name once it is whole and on the disk: after a power cut it is there, or there is none. Raises
    `DomainError` unavailable.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with suppress(FileExistsError):
            _make(path)
        _sync(path.parent)
        # A folder of ours may be as new as the file: by this process, or by one that has died before it could sync.
        for folder in path.parent.absolute().parents:
            _sync(folder)
            if folder.stat().st_uid != os.geteuid():
                break
    except OSError as error:
        raise DomainError("unavailable", f"the event store `{path}` can't be made: {_reason(error)}") from error


def _make(path: Path) -> None:
    """Give a new store its name. Raises `OSError`: EEXIST where there is a file, however empty."""
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            made = os.open(path.parent, os.O_TMPFILE | os.O_WRONLY, 0o600)
        except OSError as error:
            if error.errno not in _NO_NAMELESS_FILES:
                raise
            # An empty file will do: `set_up` makes the tables in it.
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
            return
        with os.fdopen(made, "wb") as file:
            file.write(_new_store())
            file.flush()
            os.fsync(made)
            os.link(f"/proc/self/fd/{made}", path.name, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=True)
    finally:
        os.close(folder)


def _new_store() -> bytes:
    """Return the bytes of a store without events."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        _make_tables(connection)
        return connection.serialize()


def _make_tables(connection: sqlite3.Connection) -> None:
    for statement in STATEMENTS:
        connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {FORMAT_VERSION}")


def _sync(folder: Path) -> None:
    """Make durable which names are in a folder, unless it is one that only others may read."""
    try:
        opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except PermissionError:
        return
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def set_up(connection: sqlite3.Connection, path: Path) -> None:
    """Make the tables where there are none, and turn the write-ahead log on. Raises `sqlite3.Error`, `DomainError`.

    There are none in an empty file. The tables and the marks in the header are one transaction then, made before the
    log is turned on: wherever the process dies, the file's first bytes either are empty or say whose it is.
    """
    if not _is_marked(connection):
        connection.execute("BEGIN IMMEDIATE")
        try:
            if not _is_marked(connection):
                _make_tables(connection)
            connection.execute("COMMIT")
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
    check_format(path, connection.execute("PRAGMA user_version").fetchone()[0])
    if _journal_mode(connection) != "wal":
        raise DomainError(
            "unavailable",
            f"the file system of `{path}` can't hold an event store (no write-ahead log)",
            "put the store on a local disk",
        )


def _is_marked(connection: sqlite3.Connection) -> bool:
    return bool(connection.execute("PRAGMA application_id").fetchone()[0] == APPLICATION_ID)


def _journal_mode(connection: sqlite3.Connection) -> str:
    """Turn the write-ahead log on. SQLite does not wait for this by itself when another process is just doing it."""
    give_up = time.monotonic() + _SETUP_WAIT_S
    while True:
        try:
            return str(connection.execute("PRAGMA journal_mode = WAL").fetchone()[0])
        except sqlite3.OperationalError as error:
            if not is_locked(error) or time.monotonic() > give_up:
                raise
            time.sleep(0.005)
