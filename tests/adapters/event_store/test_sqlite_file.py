"""The store's file: how it is made, how every other file is told from it and left alone, and what damage looks like."""

import os
import sqlite3
import stat
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import anyio
import pytest

from cowork.adapters.event_store import open_sqlite_store
from cowork.adapters.event_store.schema import APPLICATION_ID, FORMAT_VERSION
from cowork.domain.errors import DomainError
from tests.adapters.event_store.connection import ask
from tests.adapters.event_store.generated import SOMEBODY, write

PAGE_BYTES = 4096


def fill(path: Path, appends: int = 100) -> list[object]:
    """Make a store with three events per append and return everything in it."""

    async def append() -> list[object]:
        store = open_sqlite_store(path)
        for number in range(appends):
            await store.append([write(f"task-{number}", 0, 3)], SOMEBODY)
        events: list[object] = [*store.read_log(after=0, limit=1_000_000)]
        store.close()
        return events

    return anyio.run(append)


def refusal(path: Path, *, read_only: bool = False) -> DomainError:
    """Open what can't be opened, and check that nothing was touched."""
    names = sorted(os.listdir(path.parent))
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(DomainError) as refused:
        open_sqlite_store(path, read_only=read_only)
    if before is not None:
        assert path.read_bytes() == before
        assert sorted(os.listdir(path.parent)) == names
    return refused.value


def database(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


def test_a_new_store_gets_a_folder_and_a_file_that_only_its_owner_can_open(tmp_path: Path) -> None:
    path = tmp_path / "data" / "cowork" / "events.db"
    umask = os.umask(0)
    try:
        open_sqlite_store(path).close()
    finally:
        os.umask(umask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_the_file_says_whose_it_is_from_its_first_commit_on(tmp_path: Path) -> None:
    path = tmp_path / "events.db"
    store = open_sqlite_store(path)
    header = path.read_bytes()[:100]
    assert header.startswith(b"SQLite format 3\x00")
    assert int.from_bytes(header[68:72], "big") == APPLICATION_ID
    assert int.from_bytes(header[60:64], "big") == FORMAT_VERSION
    store.close()


def test_commits_are_durable_and_the_log_is_written_ahead(tmp_path: Path) -> None:
    store = open_sqlite_store(tmp_path / "events.db")
    assert ask(store, "journal_mode") == "wal"
    assert ask(store, "synchronous") == 2
    store.close()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE stored_events SET state = x'00'",
        "UPDATE stored_events SET originator_version = 9 WHERE rowid = 1",
        "DELETE FROM stored_events",
        "DELETE FROM stored_events WHERE rowid = 300",
        "INSERT OR REPLACE INTO stored_events SELECT * FROM stored_events WHERE rowid = 1",
        "REPLACE INTO stored_events SELECT 999, originator_id, originator_version, topic, x'00' FROM stored_events",
        "INSERT INTO stored_events VALUES (1000, 'task-0', 0, 'x', x'00')",
        "INSERT INTO stored_events VALUES (1000, NULL, 1, 'x', x'00')",
        "INSERT INTO stored_events VALUES (1000, 'task-0', 'four', 'x', x'00')",
    ],
)
def test_recorded_events_are_not_changed_by_any_program(tmp_path: Path, statement: str) -> None:
    path = tmp_path / "events.db"
    events = fill(path)
    with closing(sqlite3.connect(path)) as other, pytest.raises(sqlite3.IntegrityError):
        other.execute(statement)
    store = open_sqlite_store(path)
    assert store.read_log(after=0, limit=1000) == events
    store.close()


def test_a_position_is_not_given_twice_even_if_the_newest_events_were_removed_by_force(tmp_path: Path) -> None:
    path = tmp_path / "events.db"
    fill(path, 2)
    database(
        path,
        "DROP TRIGGER stored_events_are_never_deleted",
        "DELETE FROM stored_events WHERE rowid > 3",
    )

    async def append() -> list[int]:
        store = open_sqlite_store(path)
        recorded = await store.append([write("task-9", 0, 2)], SOMEBODY)
        store.close()
        return [r.position for r in recorded]

    assert anyio.run(append) == [7, 8]


def test_positions_survive_a_dump_and_its_restoration(tmp_path: Path) -> None:
    events = fill(tmp_path / "events.db", 5)
    with closing(sqlite3.connect(tmp_path / "events.db")) as old, closing(sqlite3.connect(tmp_path / "new.db")) as new:
        new.executescript("\n".join(old.iterdump()))
        new.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        new.execute(f"PRAGMA user_version = {FORMAT_VERSION}")
    store = open_sqlite_store(tmp_path / "new.db")
    assert store.read_log(after=0, limit=100) == events
    store.close()


@pytest.mark.parametrize(
    "content", [b"hello", b"\x00" * 9000, b"SQLite format 3\x00", os.urandom(8192), b'{"events": []}'], ids=len
)
def test_a_file_that_is_no_database_is_left_alone(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "notes").write_bytes(content)
    error = refusal(tmp_path / "notes")
    assert (error.code, error.message) == ("invalid", f"`{tmp_path / 'notes'}` is not an event store")


@pytest.mark.parametrize("journal", ["delete", "wal"])
def test_another_programs_database_is_left_alone(tmp_path: Path, journal: str) -> None:
    path = tmp_path / "other.db"
    database(path, f"PRAGMA journal_mode = {journal}", "CREATE TABLE stored_events (rowid, state)")
    error = refusal(path)
    assert error.code == "invalid"
    assert "another program" in error.message
    database(path, "PRAGMA application_id = 7")
    assert "another program" in refusal(path).message


def test_a_store_of_a_newer_version_is_left_alone_with_a_hint_to_upgrade(tmp_path: Path) -> None:
    path = tmp_path / "events.db"
    fill(path, 1)
    database(path, f"PRAGMA user_version = {FORMAT_VERSION + 1}")
    for read_only in (False, True):
        error = refusal(path, read_only=read_only)
        assert error.code == "invalid"
        assert "upgrade" in error.hint


def test_a_folder_a_device_and_a_place_below_a_file_are_no_stores(tmp_path: Path) -> None:
    assert refusal(tmp_path).code == "invalid"
    assert refusal(Path("/dev/null")).code == "invalid"
    (tmp_path / "file").write_text("x", encoding="utf-8")
    with pytest.raises(DomainError, match="not a directory"):
        open_sqlite_store(tmp_path / "file" / "events.db")


def test_an_empty_file_becomes_a_store(tmp_path: Path) -> None:
    (tmp_path / "events.db").touch()
    assert len(fill(tmp_path / "events.db", 1)) == 3


def _truncated(content: bytes) -> bytes:
    return content[: 5 * PAGE_BYTES + 17]


def _page_lost(page: int) -> Callable[[bytes], bytes]:
    start = page * PAGE_BYTES
    return lambda content: content[:start] + b"\xff" * PAGE_BYTES + content[start + PAGE_BYTES :]


def _schema_lost(content: bytes) -> bytes:
    return content[:100] + b"\xff" * (PAGE_BYTES - 100) + content[PAGE_BYTES:]


DAMAGES = [_truncated, _schema_lost, *[_page_lost(page) for page in range(1, 12)]]


@pytest.mark.parametrize("damage", DAMAGES, ids=["truncated", "schema", *[f"page {n}" for n in range(1, 12)]])
def test_damage_is_said_and_never_read_as_something_else(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "events.db"
    events = fill(path)
    path.write_bytes(damage(path.read_bytes()))
    errors: list[DomainError] = []
    found: list[object] = []
    try:
        store = open_sqlite_store(path)
        for read in (
            lambda: found.extend(store.read_log(after=0, limit=1000)),
            lambda: [store.read_stream(f"task-{number}") for number in range(100)],
        ):
            try:
                read()
            except DomainError as error:
                errors.append(error)
        store.close()
    except DomainError as error:
        errors.append(error)
    assert errors, "a lost page is noticed by whoever reads all there is"
    assert {error.code for error in errors} == {"damaged"}
    assert found in ([], events)


def test_a_store_that_lost_its_table_is_damaged_and_not_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "events.db"
    fill(path, 1)
    database(path, "DROP TABLE stored_events")
    with pytest.raises(DomainError) as refused:
        open_sqlite_store(path)
    assert refused.value.code == "damaged"


def test_a_row_that_was_moved_to_another_stream_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "events.db"
    fill(path, 2)
    database(
        path,
        "DROP TRIGGER stored_events_are_never_changed",
        "UPDATE stored_events SET originator_id = 'task-9' WHERE originator_id = 'task-1'",
    )
    store = open_sqlite_store(path)
    with pytest.raises(DomainError) as refused:
        store.read_stream("task-9")
    assert refused.value.code == "damaged"
    assert "`task-9`" in refused.value.message
    assert "`task-1`" in refused.value.message
    store.close()


def test_a_store_opened_for_reading_reads_follows_and_refuses_to_write(tmp_path: Path) -> None:
    path = tmp_path / "events.db"
    events = fill(path, 2)

    async def look() -> None:
        reader, writer = open_sqlite_store(path, read_only=True), open_sqlite_store(path)
        assert reader.read_log(after=0, limit=100) == events
        assert reader.head() == 6
        await writer.append([write("task-2")], SOMEBODY)
        assert reader.head() == 7
        assert reader.others_appended()
        with pytest.raises(DomainError) as refused:
            await reader.append([write("task-3")], SOMEBODY)
        assert refused.value.code == "unavailable"
        writer.close()
        assert len(reader.read_stream("task-2")) == 1
        reader.close()

    anyio.run(look)


def test_opening_for_reading_makes_nothing(tmp_path: Path) -> None:
    with pytest.raises(DomainError) as refused:
        open_sqlite_store(tmp_path / "s" / "events.db", read_only=True)
    assert refused.value.code == "not_found"
    assert list(tmp_path.iterdir()) == []


def test_the_users_shell_does_not_change_the_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "MAPPER_TOPIC": "os:system",
        "PERSISTENCE_MODULE": "eventsourcing.popo",
        "SQLITE_DBNAME": ":memory:",
        "COWORK_SQLITE_DBNAME": str(tmp_path / "elsewhere.db"),
        "COMPRESSOR_TOPIC": "zlib",
        "CIPHER_KEY": "bm90IGEga2V5",
        "CREATE_TABLE": "yes",
        "ORIGINATOR_ID_TYPE": "uuid",
        "APPLICATION_RECORDER_TOPIC": "os:system",
    }.items():
        monkeypatch.setenv(name, value)
    events = fill(tmp_path / "events.db", 1)
    monkeypatch.undo()
    store = open_sqlite_store(tmp_path / "events.db")
    assert store.read_log(after=0, limit=10) == events
    store.close()
    assert [entry.name for entry in tmp_path.iterdir()] == ["events.db"]


@pytest.mark.parametrize("name", ["with space", "per%cent", "question?mode=ro", "hash#tag", "Grüße", "a'b\"c"])
def test_the_files_name_may_be_any(tmp_path: Path, name: str) -> None:
    assert len(fill(tmp_path / name, 1)) == 3
    assert (tmp_path / name).is_file()
