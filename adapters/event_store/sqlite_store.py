"""The event store in one SQLite file, for several processes at once, with one durable commit for many appends."""

import os
import sqlite3
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final, TypeAlias

from ...domain.errors import DomainError
from ...domain.event import Event, Origin, Recorded
from ...engine.limits import STORE_LOCK_WAIT_S
from ...engine.ports import Guard, StreamWrite, VersionConflict
from .group_commit import GroupCommit, Waiter
from .mapper import EventMapper, StoredRow
from .schema import create_file, look_at, set_up
from .sqlite import factory_of
from .sqlite_errors import domain_error, is_locked, locked_message
from .staging import StagedAppend, new_versions, stage

Appending: TypeAlias = Waiter[StagedAppend, tuple[Recorded[Event], ...]]

STREAM_VERSIONS_MAX: Final = 16_384
"""How many streams' versions are kept in memory."""

FILE_LOOK_EVERY_S: Final = 0.1
"""For how long a store that is written to may have been moved away before that is noticed."""

_INSERT: Final = (
    "INSERT INTO stored_events (rowid, originator_id, originator_version, topic, state) VALUES (?, ?, ?, ?, ?)"
)
_COLUMNS: Final = "SELECT rowid, originator_id, originator_version, topic, state FROM stored_events"
_STREAM: Final = f"{_COLUMNS} WHERE originator_id = ? AND originator_version > ? ORDER BY originator_version"
_LOG: Final = f"{_COLUMNS} WHERE rowid > ? ORDER BY rowid LIMIT ?"
_VERSION: Final = "SELECT max(originator_version) FROM stored_events WHERE originator_id = ?"
_HEAD: Final = "SELECT max(rowid) FROM stored_events"
_EVER_USED: Final = "SELECT seq FROM sqlite_sequence WHERE name = 'stored_events'"


class SqliteEventStore:
    """An `EventStore` on a file that exists. Appends belong to one event loop; reads may come from any thread."""

    def __init__(self, path: Path, *, read_only: bool = False, lock_wait_s: float = STORE_LOCK_WAIT_S) -> None:
        self._path = path
        self._is_read_only = read_only
        self._factory = factory_of(path, read_only=read_only)
        self._mapper: EventMapper = self._factory.mapper()
        # What is known of the log, as of `_seen`: SQLite's count of the commits of others. 0 means: nothing is known.
        self._seen = 0
        self._head = 0
        self._last_position = 0
        self._versions: dict[str, int] = {}
        with ExitStack() as unless_opened:
            unless_opened.callback(self._factory.close)
            try:
                self._writer = self._factory.datastore.connect()
                if read_only:
                    self._writer.execute(_HEAD).fetchone()
                else:
                    set_up(self._writer, path)
                self._writer.execute("PRAGMA busy_timeout = 0")
                self._reader = self._factory.datastore.connect()
                found = path.stat()
                self._look_again()
            except sqlite3.Error as error:
                raise domain_error(error, path) from error
            unless_opened.pop_all()
        self._name = os.fspath(path)
        self._file = (found.st_dev, found.st_ino)
        self._group = GroupCommit(self._commit, lock_wait_s=lock_wait_s, locked_message=locked_message(path))
        self._look_at_file_at = 0.0
        self._others_wrote = False

    async def append(
        self, writes: Sequence[StreamWrite], origin: Origin, guards: Sequence[Guard] = ()
    ) -> tuple[Recorded[Event], ...]:
        """Record all the events durably, or none. Raises as the port says."""
        if self._is_read_only:
            raise DomainError("unavailable", f"the event store `{self._path}` was opened for reading only")
        return await self._group.submit(stage(self._mapper, writes, origin, guards))

    def read_stream(self, stream: str, *, after_version: int = 0) -> list[Recorded[Event]]:
        """Return the stream's events with a greater version. Raises `DomainError` unavailable or damaged."""
        return self._read(_STREAM, (stream, after_version))

    def read_log(self, *, after: int, limit: int) -> list[Recorded[Event]]:
        """Return at most `limit` events with a greater position. Raises `DomainError` unavailable or damaged."""
        return self._read(_LOG, (after, limit))

    def head(self) -> int:
        """Return the position of the last event: from memory, unless another process has written meanwhile."""
        try:
            self._look_again()
        except sqlite3.Error as error:
            raise domain_error(error, self._path) from error
        return self._head

    def others_appended(self) -> bool:
        """Return whether another process appended since the last call or the opening: one question to SQLite."""
        try:
            self._look_again()
        except sqlite3.Error as error:
            raise domain_error(error, self._path) from error
        others_wrote, self._others_wrote = self._others_wrote, False
        return others_wrote

    def close(self) -> None:
        """Close the file; the last process to do so empties the write-ahead log into it."""
        self._factory.close()

    def _read(self, query: str, parameters: tuple[str | int, int]) -> list[Recorded[Event]]:
        try:
            rows: list[StoredRow] = self._reader.execute(query, parameters).fetchall()
        except sqlite3.Error as error:
            raise domain_error(error, self._path) from error
        return self._mapper.decode_rows(rows)

    def _commit(self, group: Sequence[Appending]) -> bool:
        """Commit what can be of the group, in order, and give each its outcome. False: another process has the lock."""
        try:
            self._check_file()
            self._writer.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            if is_locked(error):
                return False
            self._fail(group, error)
            return True
        except DomainError as error:
            for waiter in group:
                waiter.fail(DomainError(error.code, error.message, error.hint))
            return True
        try:
            self._write(group)
        except sqlite3.IntegrityError as error:
            # The file does not agree with what was remembered of it: look again, and believe it the second time.
            self._roll_back()
            self._write_anew(group, error)
        except sqlite3.Error as error:
            self._fail(group, error)
        finally:
            self._roll_back()
        return True

    def _write_anew(self, group: Sequence[Appending], first: sqlite3.IntegrityError) -> None:
        try:
            self._writer.execute("BEGIN IMMEDIATE")
            self._write(group)
        except sqlite3.Error as error:
            self._fail(group, error if is_locked(error) else first)

    def _write(self, group: Sequence[Appending]) -> None:
        self._look_again()
        # Until the commit has returned, nothing is known: an interrupt may come at any point of it.
        seen, self._seen = self._seen, 0
        changed: dict[str, int] = {}
        accepted: list[tuple[Appending, int]] = []
        rows: list[StoredRow] = []
        position = self._last_position

        def version_of(stream: str) -> int:
            found = changed.get(stream)
            return self._version_of(stream) if found is None else found

        for waiter in group:
            try:
                changed.update(new_versions(waiter.item, version_of))
            except VersionConflict as conflict:
                waiter.fail(conflict)
                continue
            accepted.append((waiter, position))
            rows += waiter.item.rows(position)
            position += len(waiter.item.keyed)
        if rows:
            self._writer.executemany(_INSERT, rows)
            self._writer.execute("COMMIT")
            self._head = self._last_position = position
            self._versions.update(changed)
        self._seen = seen
        for waiter, at in accepted:
            waiter.succeed(waiter.item.recorded(at))

    def _version_of(self, stream: str) -> int:
        version = self._versions.get(stream)
        if version is None:
            if len(self._versions) >= STREAM_VERSIONS_MAX:
                self._versions.clear()
            version = self._versions[stream] = self._writer.execute(_VERSION, (stream,)).fetchone()[0] or 0
        return version

    def _look_again(self) -> None:
        """Forget what is remembered of the log if another connection has committed since."""
        seen: int = self._writer.execute("PRAGMA data_version").fetchone()[0]
        if seen != self._seen:
            self._others_wrote = True
            self._versions.clear()
            self._head = self._writer.execute(_HEAD).fetchone()[0] or 0
            ever_used = self._writer.execute(_EVER_USED).fetchone()
            self._last_position = max(self._head, ever_used[0] if ever_used else 0)
            self._seen = seen

    def _check_file(self) -> None:
        """Refuse to write to a file that is no longer where people will look for it. A look costs 2 to 6 us."""
        now = time.monotonic()
        if now < self._look_at_file_at:
            return
        try:
            found = os.stat(self._name)
        except OSError:
            found = None
        if found is None or (found.st_dev, found.st_ino) != self._file:
            raise DomainError(
                "unavailable", f"the event store `{self._path}` was moved or replaced while in use", "start again"
            )
        self._look_at_file_at = now + FILE_LOOK_EVERY_S

    def _fail(self, group: Sequence[Appending], error: sqlite3.Error) -> None:
        for waiter in group:
            waiter.fail(domain_error(error, self._path))

    def _roll_back(self) -> None:
        if self._writer.in_transaction:
            self._writer.execute("ROLLBACK")


def open_sqlite_store(
    path: Path, *, read_only: bool = False, lock_wait_s: float = STORE_LOCK_WAIT_S
) -> SqliteEventStore:
    """Open the store in the file `path`; where there is none, make it (folder 0700, file 0600).

    With `read_only` nothing is made and every append is refused. Raises `DomainError`: invalid for a file that is not a
    store or is of a newer version (left untouched), not_found (`read_only`), unavailable, damaged.
    """
    if look_at(path) == "absent":
        if read_only:
            raise DomainError("not_found", f"there is no event store at `{path}`", "start a session first")
        create_file(path)
    return SqliteEventStore(path, read_only=read_only, lock_wait_s=lock_wait_s)
