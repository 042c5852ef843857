"""A store whose log was lost is no new store: what is kept beside it was named by events that are gone."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from ...domain.errors import DomainError
from ...projections.visible_text import visible


def check_log(log: Path, read_model: Path) -> None:
    """Refuse a store whose log is missing or empty, and that has what comes only after an event. Writes nothing.

    Raises `DomainError` damaged.
    """
    if _size(log):
        return
    found = next(_remains(log, read_model), "")
    # Who begins a store makes its log whole before anything else: a second look tells that from a log that was lost.
    if not found or _size(log):
        return
    lost = "empty" if log.exists() else "missing"
    folder = visible(str(log.parent))
    raise DomainError(
        "damaged",
        f"the event store `{visible(str(log))}` is {lost}, but there is {found} in `{folder}`, so it was lost",
        f"restore it from a backup; nothing was changed. To begin a new store, move `{folder}` away",
    )


def _size(path: Path) -> int:
    """Return the size of the file, 0 where there is none or it can't be looked at: opening it says why."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _remains(log: Path, read_model: Path) -> Iterator[str]:
    """Yield, in words, each thing that is there and that no store has before its first event."""
    # SQLite itself would remove the write-ahead log of an empty file, with the last events in it.
    if _size(log.with_name(f"{log.name}-wal")):
        yield f"a write-ahead log `{log.name}-wal`"
    if _has_entries(log.parent / "quarantine"):
        yield "something that was deleted, in `quarantine`"
    if any(_has_entries(folder) for folder in _folders(log.parent / "blobs") if folder.name != "unfinished"):
        yield "a content, in `blobs`"
    if _has_entries(log.parent / "memory"):
        yield "the memory of a session, in `memory`"
    if _was_read(read_model):
        yield f"a read model of its events, `{read_model.name}`"


def _has_entries(folder: Path) -> bool:
    try:
        with os.scandir(folder) as entries:
            return next(entries, None) is not None
    except OSError:
        return False


def _folders(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            return [Path(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return []


def _was_read(read_model: Path) -> bool:
    """Whether the read model holds anything of a log. Without its own write-ahead log, which a reading would touch."""
    if not _size(read_model):
        return False
    try:
        with closing(sqlite3.connect(f"{read_model.absolute().as_uri()}?mode=ro&immutable=1", uri=True)) as connection:
            row = connection.execute("SELECT max(position) FROM projection").fetchone()
    except sqlite3.Error:
        return False
    return bool(row[0])
