"""What SQLite's errors mean for people."""

import sqlite3
from pathlib import Path

from ...domain.errors import DomainError


def primary_code(error: sqlite3.Error) -> int:
    """Return SQLite's primary result code; `SQLITE_ERROR` where the error is the Python module's own."""
    try:
        return error.sqlite_errorcode & 0xFF
    except AttributeError:
        return sqlite3.SQLITE_ERROR


def is_locked(error: sqlite3.Error) -> bool:
    """Whether another connection holds a lock that this one needs."""
    return primary_code(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def domain_error(error: sqlite3.Error, path: Path) -> DomainError:
    """Return the error as a refusal: unavailable while an outer cause lasts, damaged where the file is wrong."""
    if isinstance(error, sqlite3.ProgrammingError):
        return DomainError("unavailable", f"the event store `{path}` is closed", "open it again")
    match primary_code(error):
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return DomainError("unavailable", locked_message(path), "try again when that has finished")
        case sqlite3.SQLITE_FULL:
            return DomainError(
                "unavailable", f"the disk of the event store `{path}` is full; nothing was recorded", "make room on it"
            )
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_PERM | sqlite3.SQLITE_AUTH:
            return DomainError(
                "unavailable",
                f"the event store `{path}` can't be written to",
                "check who may write the file and folder",
            )
        case sqlite3.SQLITE_IOERR | sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_NOMEM | sqlite3.SQLITE_PROTOCOL:
            return DomainError(
                "unavailable",
                f"the event store `{path}` can't be reached: {error}",
                "check the disk, and who may write the folder",
            )
        case _:
            return DomainError("damaged", f"the event store `{path}` is damaged: {error}", "restore it from a backup")


def locked_message(path: Path) -> str:
    """Return the sentence about a lock that lasts."""
    return f"the event store `{path}` is in use by another program"
