"""The library's own tools work on our file: its application and recorder read and write what the store does."""

from pathlib import Path
from typing import ClassVar

import anyio
import pytest
from eventsourcing.application import Application
from eventsourcing.persistence import IntegrityError, StoredEvent
from eventsourcing.utils import Environment, EnvType

from cowork.adapters.event_store import open_sqlite_store
from cowork.adapters.event_store.mapper import Row
from cowork.adapters.event_store.sqlite import EventRecorder, factory_of
from cowork.domain.event import Event
from cowork.engine.ports import VersionConflict
from tests.adapters.event_store.generated import NOON, SOMEBODY, queued, write


class LibraryView(Application[str]):
    """The library's application on our factory, mapper and recorder, deaf to the environment."""

    env: ClassVar[dict[str, str]] = {
        "PERSISTENCE_MODULE": "cowork.adapters.event_store.sqlite:EventStoreFactory",
        "CREATE_TABLE": "no",
    }

    def construct_env(self, name: str, env: EnvType | None = None) -> Environment:
        return Environment(name, {**self.env, **(env or {})})


def row(version: int) -> Row[Event]:
    return Row("task-1", version, "person:ada", "QueueTask", "command-1", NOON, queued("task-1", version))


def test_the_librarys_application_shares_the_file_with_the_store(tmp_path: Path) -> None:
    path = tmp_path / "events.db"

    async def share() -> None:
        store = open_sqlite_store(path)
        view = LibraryView(env={"SQLITE_DBNAME": f"{path.as_uri()}?mode=rw"})
        recorded = await store.append([write("task-1", 0, 2)], SOMEBODY)
        assert list(view.events.get("task-1")) == [row(1), row(2)]
        assert [n.id for n in view.notification_log.select(start=1, limit=10)] == [1, 2]

        assert [recording.notification.id for recording in view.save(row(3))] == [3]
        assert store.head() == 3
        assert store.others_appended()
        assert [r.event for r in store.read_stream("task-1")] == [*[r.event for r in recorded], queued("task-1", 3)]
        with pytest.raises(VersionConflict):
            await store.append([write("task-1", 2)], SOMEBODY)
        with pytest.raises(IntegrityError):
            view.save(row(3))
        view.close()
        store.close()

    anyio.run(share)


def test_the_librarys_recorder_makes_the_same_table(tmp_path: Path) -> None:
    path = tmp_path / "events.db"
    path.touch()
    factory = factory_of(path, read_only=False)
    recorder = EventRecorder(factory.datastore)
    recorder.create_table()
    stored = [StoredEvent("a", version, "demo.v1", b"{}") for version in (1, 2)]
    assert recorder.insert_events(stored) == [1, 2]
    with pytest.raises(IntegrityError):
        recorder.insert_events([StoredEvent("b", 1, "demo.v1", b"{}"), StoredEvent("a", 2, "demo.v1", b"{}")])
    assert recorder.insert_events([StoredEvent("b", 1, "demo.v1", b"{}")]) == [3]
    assert recorder.select_events("a") == stored
    assert recorder.max_notification_id() == 3
    factory.close()
