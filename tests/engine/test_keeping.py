"""Collecting on a real store, with a clock in the test's hand: what was deleted, leftovers, and what is told of it."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from cowork.adapters.blobs.collecting import BlobCollector
from cowork.adapters.bootstrap import open_application
from cowork.adapters.event_store import open_sqlite_store
from cowork.adapters.files.collecting import FileQuarantineCollector
from cowork.adapters.sandbox.collecting import AreaCollector
from cowork.adapters.system.ids import RandomIds
from cowork.adapters.system.store_sizes import FolderSizes
from cowork.adapters.system.task_locks import FileTaskLocks
from cowork.domain.action import FileCreate, FileDelete, FileWrite, Location
from cowork.domain.errors import DomainError
from cowork.domain.retention import CollectionFinished, CollectionStarted
from cowork.engine.collecting import Retention
from cowork.engine.command_handler import CommandHandler
from cowork.engine.keeping import Collectors, Keeping
from cowork.engine.keeping_ports import KeptItem
from tests.acceptance.engine import YES, Engine, MovableClock, Person, opened_engine
from tests.engine.rig import assert_clean

pytestmark = pytest.mark.anyio
ALL = Retention(keep_days=30, bytes_max=10**12)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def work(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    (folder / "old").mkdir(parents=True)
    for name in ("a.txt", "b.txt", "old/c.txt"):
        (folder / name).write_text(f"what {name} held")
    return folder


@pytest.fixture
def elsewhere() -> Iterator[Path]:
    """A folder on another disk than the store."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        (Path(folder) / "a.txt").write_text("elsewhere")
        yield Path(folder)


@contextmanager
def keeping_of(folder: Path, *, days: float) -> Iterator[Keeping]:
    """Give what another process would collect with, so many days later."""
    clock = MovableClock()
    clock.later = timedelta(days=days)
    store = open_sqlite_store(folder / "events.db")
    collectors = Collectors(
        blobs=BlobCollector(folder / "blobs"),
        quarantine=FileQuarantineCollector(folder),
        areas=AreaCollector(folder),
        sizes=FolderSizes(folder),
    )
    handler = CommandHandler(store, clock, RandomIds())
    locks = FileTaskLocks(folder / "locks")
    try:
        yield Keeping(store=store, handler=handler, locks=locks, clock=clock, collectors=lambda: collectors)
    finally:
        store.close()


def delete(path: str) -> FileDelete:
    return FileDelete(at=Location("", path))


async def done(engine: Engine, *actions: object, folders: tuple[Path, ...], **how: object) -> str:
    task_id = await engine.start(*actions, folders=folders, **how)  # type: ignore[arg-type]
    task = await engine.app.carry_on(task_id, Person(*[YES] * 5))
    assert task.status == "completed"
    return task_id


def quarantined(folder: Path) -> list[str]:
    place = folder / "quarantine"
    return sorted(os.listdir(place)) if place.exists() else []


async def test_what_was_deleted_goes_when_its_task_is_old_enough_and_not_before(tmp_path: Path, work: Path) -> None:
    folder = tmp_path / "store"
    with opened_engine(folder) as engine:
        task = await done(engine, delete("a.txt"), delete("old"), folders=(work,))
        assert len(quarantined(folder)) == 2
        with keeping_of(folder, days=29) as keeping:
            report = await keeping.collect(ALL, by="person:ann")
            assert (report.quarantined, report.tasks) == (0, ())
            assert keeping.why_gone(task) == ""
        with keeping_of(folder, days=31) as keeping:
            told = await keeping.look(ALL)
            assert len(quarantined(folder)) == 2
            report = await keeping.collect(ALL, by="person:ann")
            assert (report.quarantined, report.freed_bytes) == (told.quarantined, told.freed_bytes)
            assert report.quarantined == 2
            assert [loss.task_id for loss in report.tasks] == [task]
            why = keeping.why_gone(task)
            assert f"no longer kept since {report.at:%Y-%m-%d}: task `{task}` ended on" in why
        assert quarantined(folder) == []
        assert os.listdir(work) == ["b.txt"]
        assert_clean(engine.app.audit())


async def test_what_was_deleted_on_another_disk_goes_from_the_granted_folder(
    tmp_path: Path, work: Path, elsewhere: Path
) -> None:
    folder = tmp_path / "store"
    with opened_engine(folder) as engine:
        task = await done(engine, delete("a.txt"), folders=(elsewhere,))
        (name,) = os.listdir(elsewhere / ".cowork" / "quarantine")
        others = elsewhere / ".cowork" / "quarantine" / "0123456789abcdef01234567"
        others.write_text("of another store")
        with keeping_of(folder, days=1) as keeping:
            status = await keeping.status(ALL, tasks_max=5)
            assert status.deleted_in_folders_bytes == len("elsewhere")
            assert [(share.task_id, share.needed_bytes) for share in status.tasks] == [(task, len("elsewhere"))]
        with keeping_of(folder, days=31) as keeping:
            report = await keeping.collect(ALL, by="person:ann")
        assert (report.quarantined, report.freed_bytes) == (1, len("elsewhere"))
        assert not (elsewhere / ".cowork" / "quarantine" / name).exists()
        assert others.read_text() == "of another store"


async def test_a_folder_that_is_gone_or_another_one_now_is_passed_by(tmp_path: Path, elsewhere: Path) -> None:
    folder, granted = tmp_path / "store", elsewhere / "granted"
    granted.mkdir()
    (granted / "a.txt").write_text("a")
    with opened_engine(folder) as engine:
        await done(engine, delete("a.txt"), folders=(granted,))
        granted.rename(elsewhere / "renamed")
        with keeping_of(folder, days=31) as keeping:
            assert (await keeping.collect(ALL, by="person:ann")).quarantined == 0
        granted.mkdir()
        with keeping_of(folder, days=31) as keeping:
            assert (await keeping.collect(ALL, by="person:ann")).quarantined == 0
        assert len(os.listdir(elsewhere / "renamed" / ".cowork" / "quarantine")) == 1


async def test_every_byte_that_a_kept_task_needs_to_be_undone_is_still_there(tmp_path: Path, work: Path) -> None:
    """Tasks of different ages change the same files; whatever goes, the younger ones' bytes from before stay."""
    folder = tmp_path / "store"
    before: dict[str, list[str]] = {}
    for age in (60, 40, 20, 10):
        clock = MovableClock()
        clock.later = -timedelta(days=age)
        with opened_engine(folder, clock=clock) as engine:
            content = engine.blobs.put(f"written {age} days ago".encode())
            task = await done(engine, FileWrite(at=Location("", "a.txt"), content=content), folders=(work,))
            frames = engine.app.replay(task)
            effects = [e for frame in frames for e in getattr(frame.recorded.event, "effects", ())]
            before[task] = [effect.kept.removeprefix("blob:") for effect in effects]
    with keeping_of(folder, days=1) as keeping:
        report = await keeping.collect(ALL, by="person:ann")
        assert [loss.task_id for loss in report.tasks] == list(before)[:2]
        gone = [bool(keeping.why_gone(task)) for task in before]
        assert gone == [True, True, False, False]
    with opened_engine(folder) as engine:
        kept = [all(engine.blobs.has(digest) for digest in digests) for digests in before.values()]
        # What the second one found is what the first one wrote, and nobody keeps that; the third found the second's.
        assert kept == [False, False, True, True]


async def test_an_undo_that_is_open_keeps_what_it_undoes(tmp_path: Path, work: Path) -> None:
    folder = tmp_path / "store"
    with opened_engine(folder) as engine:
        task = await done(engine, delete("a.txt"), folders=(work,))
    app = open_application(folder)
    try:
        report = await app.undo(task, by="person:ann")
        assert report.task_id
        with keeping_of(folder, days=400) as keeping:
            assert (await keeping.collect(Retention(0, 0), by="person:ann")).quarantined == 0
        undone = await app.carry_on(report.task_id, Person(*[YES] * 5))
        assert undone.status == "completed"
        assert (work / "a.txt").read_text() == "what a.txt held"
    finally:
        app.close()


async def test_an_open_undo_keeps_what_it_is_about_to_put_back_whichever_task_deleted_it(
    tmp_path: Path, work: Path
) -> None:
    folder = tmp_path / "store"
    with opened_engine(folder) as engine:
        task = await done(engine, delete("a.txt"), folders=(work,))
    app = open_application(folder)
    try:
        first = await app.undo(task, by="person:ann")
        await app.carry_on(first.task_id, Person(*[YES] * 5))
        second = await app.undo(first.task_id, by="person:ann")
        await app.carry_on(second.task_id, Person(*[YES] * 5))
        third = await app.undo(task, by="person:ann")
        with keeping_of(folder, days=400) as keeping:
            assert (await keeping.collect(Retention(0, 0), by="person:ann")).quarantined == 0
        assert (await app.carry_on(third.task_id, Person(*[YES] * 5))).status == "completed"
        assert (work / "a.txt").read_text() == "what a.txt held"
    finally:
        app.close()


async def test_an_undo_of_what_is_gone_says_since_when(tmp_path: Path, work: Path) -> None:
    folder = tmp_path / "store"
    with opened_engine(folder) as engine:
        content = engine.blobs.put(b"new")
        write = FileWrite(at=Location("", "b.txt"), content=content)
        task = await done(engine, delete("a.txt"), write, folders=(work,))
    with keeping_of(folder, days=31) as keeping:
        await keeping.collect(ALL, by="person:ann")
    app = open_application(folder)
    try:
        report = await app.undo(task, by="person:ann", dry_run=True)
    finally:
        app.close()
    reasons = {line.at.path: line.reason for line in report.left if line.at is not None}
    assert set(reasons) == {"a.txt", "b.txt"}
    assert all("no longer kept since 20" in reason for reason in reasons.values()), reasons
    assert all(f"task `{task}` ended on" in reason for reason in reasons.values())


async def test_what_dead_commands_and_self_tests_left_goes_and_an_open_tasks_area_stays(
    tmp_path: Path, work: Path
) -> None:
    folder = tmp_path / "store"
    with opened_engine(folder) as engine:
        ended = await done(engine, delete("a.txt"), folders=(work,))
        still_open = await engine.start(delete("b.txt"), folders=(work,))
        for name in (f"{ended}.1", f"{still_open}.1", "self-test-1-1"):
            (folder / "commands" / name / "upper").mkdir(parents=True)
        with keeping_of(folder, days=0) as keeping:
            assert (await keeping.collect(ALL, by="person:ann")).leftovers == 0
        with keeping_of(folder, days=1) as keeping:
            assert (await keeping.collect(ALL, by="person:ann")).leftovers == 2
        assert os.listdir(folder / "commands") == [f"{still_open}.1"]


async def test_what_goes_is_on_record_before_it_goes(
    tmp_path: Path, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "store"
    with opened_engine(folder) as engine:
        await done(engine, delete("a.txt"), delete("b.txt"), folders=(work,))
        with keeping_of(folder, days=31) as keeping:
            seen: list[list[str]] = []
            real = FileQuarantineCollector.remove

            def remove(self: FileQuarantineCollector, item: KeptItem, *, untouched_since: datetime) -> bool:
                events = [one.event for one in engine.store.read_stream("store")]
                seen.append([type(event).__name__ for event in events])
                if len(seen) == 2:
                    raise DomainError("unavailable", "`it` can't be removed: a reason")
                return real(self, item, untouched_since=untouched_since)

            monkeypatch.setattr(FileQuarantineCollector, "remove", remove)
            report = await keeping.collect(ALL, by="person:ann")
        assert seen == [["CollectionStarted"]] * 2
        started, finished = (one.event for one in engine.store.read_stream("store"))
        assert isinstance(started, CollectionStarted)
        assert isinstance(finished, CollectionFinished)
        assert (started.quarantined, finished.quarantined, finished.spared) == (2, 1, 1)
        assert (report.spared, report.problems) == (1, ("`it` can't be removed: a reason",))
        with keeping_of(folder, days=32) as keeping:
            assert (await keeping.collect(ALL, by="person:ann")).quarantined == 1


async def test_only_one_process_collects_at_a_time(tmp_path: Path, work: Path) -> None:
    folder = tmp_path / "store"
    with opened_engine(folder) as engine:
        await done(engine, FileCreate(at=Location("", "new"), content=engine.blobs.put(b"x")), folders=(work,))
        with FileTaskLocks(folder / "locks").hold("collection"), keeping_of(folder, days=31) as keeping:
            with pytest.raises(DomainError, match="another process is collecting already") as caught:
                await keeping.collect(ALL, by="person:ann")
            assert caught.value.code == "unavailable"
            assert (await keeping.look(ALL)).blobs == 1
