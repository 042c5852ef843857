"""A store that can't be written to says so, records nothing of the append, and works again when the cause is gone."""

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import anyio
import pytest

from cowork.adapters.event_store import SqliteEventStore, open_sqlite_store
from cowork.adapters.event_store.sqlite_store import FILE_LOOK_EVERY_S
from cowork.domain.errors import DomainError
from cowork.engine.ports import VersionConflict
from tests.adapters.event_store.connection import ask, interrupt
from tests.adapters.event_store.generated import SOMEBODY, write
from tests.house.tree import ROOT

IN_A_MOMENT_S = 0.5


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteEventStore]:
    store = open_sqlite_store(tmp_path / "events.db", lock_wait_s=IN_A_MOMENT_S)
    yield store
    store.close()


async def refusal(store: SqliteEventStore, stream: str = "refused") -> DomainError:
    """Append in vain, and check that nothing of it was recorded."""
    head = store.head()
    with pytest.raises(DomainError) as refused:
        await store.append([write(stream, 0, 3), write(f"{stream}-too")], SOMEBODY)
    assert store.head() == head
    assert store.read_stream(stream) == store.read_stream(f"{stream}-too") == []
    return refused.value


@pytest.mark.anyio
async def test_a_lock_that_lasts_is_unavailable_and_nobody_else_stands_still(
    store: SqliteEventStore, tmp_path: Path
) -> None:
    await store.append([write("before")], SOMEBODY)
    longest_s = 0.0
    error: DomainError | None = None
    began = anyio.current_time()

    async def tick() -> None:
        nonlocal longest_s
        while True:
            asleep = anyio.current_time()
            await anyio.sleep(0.001)
            longest_s = max(longest_s, anyio.current_time() - asleep)
            assert len(store.read_stream("before")) == 1

    with closing(sqlite3.connect(tmp_path / "events.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(tick)
            error = await refusal(store)
            tasks.cancel_scope.cancel()
        other.execute("ROLLBACK")
    assert error is not None
    assert error.code == "unavailable"
    assert "in use by another program" in error.message
    assert IN_A_MOMENT_S <= anyio.current_time() - began < 10 * IN_A_MOMENT_S
    assert longest_s < IN_A_MOMENT_S
    assert len(await store.append([write("refused", 0, 3)], SOMEBODY)) == 3


@pytest.mark.anyio
async def test_a_lock_that_is_let_go_is_waited_for(store: SqliteEventStore, tmp_path: Path) -> None:
    results: list[int] = []

    async def append(number: int) -> None:
        results.extend(r.version for r in await store.append([write(f"task-{number}")], SOMEBODY))

    with closing(sqlite3.connect(tmp_path / "events.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        async with anyio.create_task_group() as tasks:
            for number in range(5):
                tasks.start_soon(append, number)
            await anyio.sleep(IN_A_MOMENT_S / 3)
            assert results == []
            other.execute("ROLLBACK")
    assert results == [1] * 5


@pytest.mark.anyio
async def test_a_full_disk_records_nothing_and_the_store_goes_on_when_there_is_room(store: SqliteEventStore) -> None:
    await store.append([write("before")], SOMEBODY)
    pages = ask(store, "page_count")
    ask(store, f"max_page_count = {pages + 1}")

    async def fill() -> None:
        for number in range(1000):
            await store.append([write(f"task-{number}", 0, 9)], SOMEBODY)

    with pytest.raises(DomainError, match="full") as refused:
        await fill()
    assert refused.value.code == "unavailable"
    head = store.head()
    assert head % 9 == 1
    ask(store, "max_page_count = 1000000")
    recorded = await store.append([write("after", 0, 9)], SOMEBODY)
    assert [r.position for r in recorded] == list(range(head + 1, head + 10))
    assert store.read_log(after=head, limit=100) == list(recorded)


@pytest.mark.anyio
async def test_a_file_that_became_read_only_refuses_and_recovers(store: SqliteEventStore) -> None:
    await store.append([write("before")], SOMEBODY)
    ask(store, "query_only = ON")
    assert (await refusal(store)).code == "unavailable"
    ask(store, "query_only = OFF")
    assert len(await store.append([write("refused", 0, 3)], SOMEBODY)) == 3


@pytest.mark.anyio
async def test_a_store_that_was_moved_away_is_not_written_to_behind_everybodys_back(
    store: SqliteEventStore, tmp_path: Path
) -> None:
    await store.append([write("before")], SOMEBODY)
    path, elsewhere = tmp_path / "events.db", tmp_path / "elsewhere.db"
    path.rename(elsewhere)
    await anyio.sleep(2 * FILE_LOOK_EVERY_S)
    error = await refusal(store)
    assert (error.code, "moved" in error.message) == ("unavailable", True)
    open_sqlite_store(path).close()
    assert (await refusal(store)).code == "unavailable"
    elsewhere.rename(path)
    assert len(await store.append([write("refused", 0, 3)], SOMEBODY)) == 3


@pytest.mark.anyio
async def test_a_closed_store_says_that_it_is_closed(store: SqliteEventStore) -> None:
    store.close()
    for question in (store.head, lambda: store.read_log(after=0, limit=1), store.others_appended):
        with pytest.raises(DomainError, match="closed"):
            question()
    with pytest.raises(DomainError, match="closed"):
        await store.append([write("a")], SOMEBODY)


@pytest.mark.anyio
async def test_an_append_that_could_not_be_committed_takes_all_that_shared_its_commit_with_it(
    store: SqliteEventStore,
) -> None:
    ask(store, "query_only = ON")
    errors: list[str] = []

    async def append(number: int) -> None:
        try:
            await store.append([write(f"task-{number}")], SOMEBODY)
        except DomainError as error:
            errors.append(error.code)

    async with anyio.create_task_group() as tasks:
        for number in range(8):
            tasks.start_soon(append, number)
    assert errors == ["unavailable"] * 8
    assert store.head() == 0


@pytest.mark.anyio
@pytest.mark.parametrize("before_commit", [True, False])
async def test_an_interrupt_around_the_commit_leaves_a_store_that_knows_what_it_has(
    store: SqliteEventStore, before_commit: bool
) -> None:
    await store.append([write("task")], SOMEBODY)
    interrupt(store, before_commit=before_commit)
    with pytest.raises(KeyboardInterrupt):
        await store.append([write("task", 1, 3)], SOMEBODY)
    version = 1 if before_commit else 4
    assert store.head() == len(store.read_stream("task")) == version
    with pytest.raises(VersionConflict):
        await store.append([write("task", 5 - version)], SOMEBODY)
    recorded = await store.append([write("task", version)], SOMEBODY)
    assert [(r.position, r.version) for r in recorded] == [(version + 1, version + 1)]


# The operating system's own limits, in processes of their own.

LIMITED = """
import anyio, resource, signal, sys
from pathlib import Path
from cowork.adapters.event_store import open_sqlite_store
from cowork.domain.errors import DomainError
from tests.adapters.event_store.connection import ask, interrupt
from tests.adapters.event_store.generated import SOMEBODY, write

async def main():
    store = open_sqlite_store(Path(sys.argv[1]))
    await store.append([write("before")], SOMEBODY)
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    number = 0
    try:
        while True:
            await store.append([write(f"task-{number}", 0, 9)], SOMEBODY)
            number += 1
    except DomainError as error:
        print(error.code, number, store.head(), len(store.read_stream(f"task-{number}")))
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    await store.append([write("after", 0, 9)], SOMEBODY)
    store.close()

anyio.run(main)
"""


def test_a_write_that_the_system_refuses_records_nothing(tmp_path: Path) -> None:
    path = tmp_path / "events.db"
    run = subprocess.run(
        [sys.executable, "-c", LIMITED, str(path)], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert run.stderr == ""
    code, appended, head, half = run.stdout.split()
    assert (code, half) == ("unavailable", "0")
    assert int(head) == 1 + 9 * int(appended)
    store = open_sqlite_store(path)
    assert [r.position for r in store.read_log(after=0, limit=100_000)] == list(range(1, int(head) + 10))
    assert len(store.read_stream("after")) == 9
    store.close()


def test_a_store_that_this_person_may_not_write_is_unavailable(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    folder.mkdir()
    path = folder / "events.db"
    open_sqlite_store(path).close()
    path.chmod(0o444)
    folder.chmod(0o555)
    try:
        for place in (path, folder / "s" / "events.db"):
            with pytest.raises(DomainError) as refused:
                open_sqlite_store(place)
            assert refused.value.code == "unavailable"
    finally:
        # pytest has to remove it.
        folder.chmod(0o700)
