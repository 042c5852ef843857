"""What only a file can do: last, be shared, be damaged, be somebody else's."""

import os
import shutil
import sqlite3
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from cowork.adapters.read_model.sqlite import SqliteReadModel
from cowork.domain.errors import DomainError
from cowork.projections.row import Put, Table

TOYS = Table(name="toys", key={"child": "text"}, columns={"age": "integer"})
SHAPES = {"play": (TOYS,)}


def _filled(path: Path, rows: int = 2000) -> None:
    model = SqliteReadModel(path, SHAPES)
    model.position("play", 1)
    model.apply("play", 1, [Put("toys", (f"child {n:05}",), {"age": n}) for n in range(rows)], rows)
    model.close()


def test_what_was_applied_lasts(tmp_path: Path) -> None:
    _filled(tmp_path / "read.db", 3)
    model = SqliteReadModel(tmp_path / "read.db", SHAPES)
    assert model.position("play", 1) == 3
    assert [row["age"] for row in model.rows("toys")] == [0, 1, 2]
    assert model.notices == []


def test_the_file_is_for_its_owner_only_and_its_folder_is_made(tmp_path: Path) -> None:
    path = tmp_path / "state" / "deep" / "read.db"
    _filled(path)
    assert path.stat().st_mode & 0o777 == 0o600


def test_it_writes_ahead_so_that_readers_never_wait(tmp_path: Path) -> None:
    path = tmp_path / "read.db"
    _filled(path, 1)
    model = SqliteReadModel(path, SHAPES, lock_wait_s=0.05)
    writer = sqlite3.connect(path, isolation_level=None)
    assert writer.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    writer.execute("BEGIN IMMEDIATE")
    writer.execute("DELETE FROM toys")
    assert len(model.rows("toys")) == 1
    assert model.position("play", 1) == 1


def test_nothing_of_a_failed_batch_stays(tmp_path: Path) -> None:
    model = SqliteReadModel(tmp_path / "read.db", SHAPES)
    model.position("play", 1)
    with pytest.raises(DomainError):
        model.apply("play", 1, [Put("toys", ("ann",), {"age": 1}), Put("toys", ("bob",), {"size": 1})], 2)
    assert model.rows("toys") == []
    assert model.position("play", 1) == 0
    model.apply("play", 1, [Put("toys", ("ann",), {"age": 1})], 2)
    assert len(model.rows("toys")) == 1


def test_tables_of_another_shape_are_made_anew_although_the_code_version_is_the_same(tmp_path: Path) -> None:
    _filled(tmp_path / "read.db")
    wider = {"play": (Table(name="toys", key={"child": "text"}, columns={"age": "integer", "name": "text"}),)}
    model = SqliteReadModel(tmp_path / "read.db", wider)
    assert model.position("play", 1) == 0
    model.apply("play", 1, [Put("toys", ("ann",), {"name": "Ann"})], 1)
    assert model.rows("toys") == [{"child": "ann", "age": None, "name": "Ann"}]


def test_a_missing_table_is_made_again(tmp_path: Path) -> None:
    _filled(tmp_path / "read.db")
    with sqlite3.connect(tmp_path / "read.db") as connection:
        connection.execute("DROP TABLE toys")
    model = SqliteReadModel(tmp_path / "read.db", SHAPES)
    assert model.position("play", 1) == 0
    assert model.rows("toys") == []


def _zeroed(path: Path) -> None:
    path.write_bytes(b"\x00" * path.stat().st_size)


def _scribbled(path: Path) -> None:
    path.write_bytes(b"this is a text file, not a database, and longer than a header of SQLite is\n" * 60)


def _cut(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)


def _holed(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(path.stat().st_size - 4096))


DAMAGES = pytest.mark.parametrize("damage", [_zeroed, _scribbled, _cut, _holed])


@DAMAGES
def test_a_damaged_file_is_set_aside_and_made_again_and_it_is_said(
    damage: Callable[[Path], None], tmp_path: Path
) -> None:
    path = tmp_path / "read.db"
    _filled(path)
    damage(path)
    model = SqliteReadModel(path, SHAPES)
    # Where only some pages are damaged, it shows when they are read or written.
    with suppress(DomainError):
        model.rows("toys")
    if model.position("play", 1) > 0:
        with pytest.raises(DomainError) as again:
            model.apply("play", 1, [Put("toys", (f"child {n:05}",), {"age": 0}) for n in range(2000)], 5000)
        assert again.value.code == "conflict"
    assert model.position("play", 1) == 0
    model.apply("play", 1, [Put("toys", ("ann",), {"age": 1})], 9)
    assert model.rows("toys") == [{"child": "ann", "age": 1}]
    assert [notice for notice in model.notices if "read.db.set-aside" in notice] == model.notices
    assert model.notices or damage is _zeroed
    assert SqliteReadModel(path, SHAPES).position("play", 1) == 9


def test_somebody_elses_database_is_kept_whole_beside_the_new_file(tmp_path: Path) -> None:
    path = tmp_path / "read.db"
    theirs = sqlite3.connect(path)
    theirs.execute("PRAGMA journal_mode = WAL")
    theirs.execute("CREATE TABLE recipes (name)")
    theirs.execute("INSERT INTO recipes VALUES ('soup')")
    theirs.commit()
    # As a program leaves it that was killed: the row is in the write-ahead log only.
    for companion in ("", "-wal", "-shm"):
        shutil.copy(f"{path}{companion}", f"{tmp_path / 'killed.db'}{companion}")
    theirs.close()
    path.unlink()
    for companion in ("", "-wal", "-shm"):
        (tmp_path / f"killed.db{companion}").rename(f"{path}{companion}")
    model = SqliteReadModel(path, SHAPES)
    assert "not a read model" in model.notices[0]
    assert model.position("play", 1) == 0
    aside = sqlite3.connect(tmp_path / "read.db.set-aside")
    assert aside.execute("SELECT name FROM recipes").fetchall() == [("soup",)]


def test_a_file_that_another_process_made_anew_is_not_set_aside_again(tmp_path: Path) -> None:
    path = tmp_path / "read.db"
    _filled(path)
    late = SqliteReadModel(path, SHAPES)
    assert late.position("play", 1) == 2000
    _scribbled(path)
    Path(f"{path}-wal").unlink()
    fresh = SqliteReadModel(path, SHAPES)
    assert len(fresh.notices) == 1
    fresh.position("play", 1)
    fresh.apply("play", 1, [Put("toys", ("ann",), {"age": 1})], 3)
    with suppress(DomainError):
        late.rows("toys")
    assert late.notices == []
    assert late.position("play", 1) == 3
    assert late.rows("toys") == fresh.rows("toys") == [{"child": "ann", "age": 1}]


def test_changes_that_start_where_the_table_no_longer_is_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "read.db"
    ours, theirs = SqliteReadModel(path, SHAPES), SqliteReadModel(path, SHAPES)
    ours.position("play", 1)
    ours.apply("play", 1, [Put("toys", ("ann",), {"age": 1})], 5)
    theirs.position("play", 1)
    theirs.reset("play")
    with pytest.raises(DomainError) as refusal:
        ours.apply("play", 1, [Put("toys", ("bob",), {"age": 1})], 6)
    assert refusal.value.code == "conflict"
    assert ours.position("play", 1) == 0
    assert ours.rows("toys") == []


def test_a_process_that_is_behind_another_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "read.db"
    ours, theirs = SqliteReadModel(path, SHAPES), SqliteReadModel(path, SHAPES)
    assert ours.position("play", 1) == theirs.position("play", 1) == 0
    theirs.apply("play", 1, [Put("toys", ("ann",), {"age": 2})], 6)
    ours.apply("play", 1, [Put("toys", ("ann",), {"age": 1})], 5)
    assert ours.position("play", 1) == 6
    assert [row["age"] for row in ours.rows("toys")] == [2]


def test_a_locked_file_is_said_to_be_unavailable(tmp_path: Path) -> None:
    path = tmp_path / "read.db"
    _filled(path, 1)
    model = SqliteReadModel(path, SHAPES, lock_wait_s=0.05)
    model.position("play", 1)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    writes = (
        lambda: model.apply("play", 1, [], 9),
        lambda: model.reset("play"),
        lambda: model.position("play", 2),
        lambda: SqliteReadModel(path, SHAPES, lock_wait_s=0.05),
    )
    for write in writes:
        with pytest.raises(DomainError) as refusal:
            write()
        assert refusal.value.code == "unavailable"
    other.execute("ROLLBACK")
    model.apply("play", 1, [], 9)
    assert model.position("play", 1) == 9


def test_a_model_that_was_closed_is_unavailable(tmp_path: Path) -> None:
    model = SqliteReadModel(tmp_path / "read.db", SHAPES)
    model.close()
    with pytest.raises(DomainError) as refusal:
        model.rows("toys")
    assert refusal.value.code == "unavailable"


def test_a_place_where_no_file_can_be_is_said_to_be_unavailable(tmp_path: Path) -> None:
    (tmp_path / "read.db").mkdir()
    with pytest.raises(DomainError) as refusal:
        SqliteReadModel(tmp_path / "read.db", SHAPES)
    assert refusal.value.code == "unavailable"
    assert "deleted at any time" in refusal.value.hint


def test_two_threads_can_read_and_write_through_one_model(tmp_path: Path) -> None:
    model = SqliteReadModel(tmp_path / "read.db", SHAPES)
    model.position("play", 1)
    errors: list[BaseException] = []

    def write() -> None:
        try:
            for position in range(1, 60):
                model.apply("play", 1, [Put("toys", ("ann",), {"age": position})], position)
        except BaseException as error:
            errors.append(error)

    writer = threading.Thread(target=write)
    writer.start()
    ages = [row["age"] for _ in range(200) for row in model.rows("toys")]
    writer.join()
    assert errors == []
    assert ages == sorted(ages, key=lambda age: age if isinstance(age, int) else 0)
    assert model.position("play", 1) == 59


def test_opening_at_once_makes_one_file(tmp_path: Path) -> None:
    path = tmp_path / "read.db"
    path.write_bytes(b"not a database at all, though it is longer than one header of SQLite would be\n" * 40)
    models: list[SqliteReadModel] = []
    threads = [threading.Thread(target=lambda: models.append(SqliteReadModel(path, SHAPES))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(models) == 6
    assert sum(len(model.notices) for model in models) == 1
    models[0].position("play", 1)
    models[0].apply("play", 1, [Put("toys", ("ann",), {"age": 1})], 1)
    assert all(model.position("play", 1) == 1 for model in models)
