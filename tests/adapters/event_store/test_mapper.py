"""Topics and bodies: a closed registry, older forms lifted one version at a time, and nothing imported for a row."""

import sys
from typing import Any, ClassVar

import msgspec
import pytest
from eventsourcing.persistence import StoredEvent
from hypothesis import given, settings
from hypothesis import strategies as st

from cowork.adapters.event_store.mapper import UPCASTERS, EventMapper, Row
from cowork.domain.errors import DomainError
from cowork.domain.event import Event
from cowork.domain.topics import EVENT_OF_TOPIC
from tests.adapters.event_store.generated import EVENT_STRATEGIES, NOON, ORIGINS, SOMEBODY, queued


class FoldersOpened(Event, frozen=True, kw_only=True):
    """The third form of an event that once opened a single folder."""

    TOPIC: ClassVar[str] = "demo.opened.v3"
    folders: tuple[str, ...]
    by_hand: bool = False


def _v1(data: dict[str, Any]) -> dict[str, Any]:
    return {"folder": data["path"]}


def _v2(data: dict[str, Any]) -> dict[str, Any]:
    return {"folders": [data["folder"]], "byHand": True}


DEMO = EventMapper(
    types={FoldersOpened.TOPIC: FoldersOpened},
    upcasters={"demo.opened.v1": ("demo.opened.v2", _v1), "demo.opened.v2": ("demo.opened.v3", _v2)},
)


def body(data: object, stream: str = "s", version: int = 1) -> bytes:
    return msgspec.json.encode([stream, version, "person:ada", "Open", "command-1", NOON, data])


def damage(mapper: EventMapper, topic: str, stored: bytes) -> DomainError:
    with pytest.raises(DomainError) as refused:
        mapper.decode(41, "s", 1, topic, stored)
    assert refused.value.code == "damaged"
    with pytest.raises(DomainError) as refused_among_others:
        mapper.decode_rows([(41, "s", 1, topic, stored)])
    assert refused_among_others.value.message == refused.value.message
    return refused.value


@pytest.mark.parametrize("topic", EVENT_STRATEGIES)
@settings(max_examples=25)
@given(data=st.data())
def test_every_event_survives_encoding(topic: str, data: st.DataObject) -> None:
    event, by = data.draw(EVENT_STRATEGIES[topic]), data.draw(ORIGINS)
    stream, version = data.draw(st.text(st.characters(exclude_categories=["Cs"]))), data.draw(st.integers(1, 2**62))
    mapper = EventMapper()
    found, stored = mapper.encode(stream, version, by, event)
    recorded = mapper.decode(7, stream, version, found, stored)
    assert found == topic
    assert (recorded.position, recorded.stream, recorded.version) == (7, stream, version)
    assert (recorded.origin, recorded.event, type(recorded.event)) == (by, event, type(event))
    assert mapper.decode_rows([(7, stream, version, found, stored)]) == [recorded]


def test_a_body_is_one_json_array_that_other_tools_can_read() -> None:
    _, stored = EventMapper().encode("task-1", 3, SOMEBODY, queued("task-1", 2))
    assert stored.decode() == (
        '["task-1",3,"person:ada","QueueTask","command-1","2026-01-02T12:00:00.123456Z",'
        '{"taskId":"task-1","sessionId":"session-1","title":"task number 2"}]'
    )


def test_an_older_form_is_lifted_version_by_version() -> None:
    assert DEMO.decode(1, "s", 1, "demo.opened.v1", body({"path": "a"})).event == FoldersOpened(
        folders=("a",), by_hand=True
    )
    assert DEMO.decode(1, "s", 1, "demo.opened.v2", body({"folder": "b"})).event == FoldersOpened(
        folders=("b",), by_hand=True
    )
    assert DEMO.decode(1, "s", 1, "demo.opened.v3", body({"folders": ["c"]})).event == FoldersOpened(folders=("c",))


@pytest.mark.parametrize("stored", [body({}), body({"folder": 7}), body([]), b"[]", b"{"])
def test_an_older_form_that_cannot_be_lifted_is_damaged(stored: bytes) -> None:
    assert "event 41" in damage(DEMO, "demo.opened.v2", stored).message


def test_every_chain_of_upcasters_ends_in_the_registry() -> None:
    for topic in UPCASTERS:
        seen = [topic]
        while seen[-1] in UPCASTERS:
            seen.append(UPCASTERS[seen[-1]][0])
            assert seen.count(seen[-1]) == 1, f"a circle: {seen}"
        assert seen[-1] in EVENT_OF_TOPIC
        assert topic not in EVENT_OF_TOPIC, "a topic is either current or lifted"


def test_an_unknown_topic_is_said_to_come_from_a_newer_version() -> None:
    error = damage(EventMapper(), "task.teleported.v1", body({}))
    assert "`task.teleported.v1`" in error.message
    assert "newer version" in error.message
    assert error.hint == "upgrade cowork"


@pytest.mark.parametrize("topic", ["antigravity", "antigravity:geohash", "os:system", "", "eventsourcing.domain:Event"])
def test_nothing_is_imported_because_a_row_names_it(topic: str) -> None:
    before = set(sys.modules)
    damage(EventMapper(), topic, body({}))
    assert set(sys.modules) == before


@pytest.mark.parametrize(
    "stored",
    [
        b"",
        b"not json",
        b"{}",
        b"[]",
        body({}),
        body({"taskId": 7, "sessionId": "s", "title": "t"}),
        body(None),
        body({"taskId": "t", "sessionId": "s", "title": "t"})[:-1],
        body({"taskId": "t", "sessionId": "s", "title": "t"}).replace(b"Z", b""),
        body({"taskId": "t", "sessionId": "s", "title": "t"}).replace(b'"t"', b'"\xff"'),
        body({"taskId": "t", "sessionId": "s", "title": "t"})[:-1] + b',"more"]',
    ],
)
def test_a_body_that_is_not_as_it_was_written_is_damaged(stored: bytes) -> None:
    assert "event 41" in damage(EventMapper(), "task.queued.v1", stored).message


@pytest.mark.parametrize(("stream", "version"), [("other", 1), ("s", 2)])
def test_a_body_that_disagrees_with_its_key_is_damaged(stream: str, version: int) -> None:
    stored = body({"taskId": "t", "sessionId": "s", "title": "t"}, stream, version)
    message = damage(EventMapper(), "task.queued.v1", stored).message
    assert f"version {version} of `{stream}`" in message
    assert "version 1 of `s`" in message


def test_the_librarys_methods_are_the_same_mapping() -> None:
    mapper = EventMapper()
    row: Row[Event] = Row("task-1", 3, "person:ada", "QueueTask", "command-1", NOON, queued("task-1"))
    stored = mapper.to_stored_event(row)
    assert (stored.topic, stored.state) == mapper.encode("task-1", 3, SOMEBODY, queued("task-1"))
    assert mapper.to_domain_event(stored) == row
    with pytest.raises(DomainError):
        mapper.to_domain_event(StoredEvent("task-2", 3, stored.topic, stored.state))
