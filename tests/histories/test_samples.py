"""What was stored once stays readable: every event type has a sample, and every sample says today what it said then."""

from collections.abc import Iterator
from typing import Any

import msgspec
import msgspec.inspect as shape
import pytest

from cowork.adapters.event_store.mapper import UPCASTERS, EventMapper
from cowork.domain.event import Event
from cowork.domain.topics import EVENT_OF_TOPIC, EVENT_TYPES
from tests.histories.samples import STREAM, Sample, stored_samples

SAMPLES = stored_samples()
RELEASED = "a stored event can't be changed: give the new form a new topic and the old one an entry in UPCASTERS"


def decoded(sample: Sample) -> list[Event]:
    mapper = EventMapper()
    return [
        mapper.decode(n, STREAM, row[1], sample.topic, msgspec.json.encode(row)).event
        for n, row in enumerate(sample.rows, 1)
    ]


def test_every_event_type_and_every_older_topic_has_a_sample() -> None:
    topics = {sample.topic for sample in SAMPLES.values()}
    missing = sorted({*EVENT_OF_TOPIC, *UPCASTERS} - topics)
    assert missing == [], "run: python -m tests.histories.samples"
    assert all(sample.rows for sample in SAMPLES.values())


@pytest.mark.parametrize("name", SAMPLES)
def test_every_sample_can_be_read(name: str) -> None:
    assert len(decoded(SAMPLES[name])) == len(SAMPLES[name].rows), RELEASED


@pytest.mark.parametrize("name", [name for name, sample in SAMPLES.items() if sample.topic in EVENT_OF_TOPIC])
def test_nothing_of_a_sample_is_lost(name: str) -> None:
    """A field that was renamed or removed would be dropped on reading, and its loss would be seen by nobody."""
    sample = SAMPLES[name]
    mapper = EventMapper()
    for row in sample.rows:
        recorded = mapper.decode(1, STREAM, row[1], sample.topic, msgspec.json.encode(row))
        again = mapper.encode(STREAM, row[1], recorded.origin, recorded.event)
        assert again == (sample.topic, msgspec.json.encode(row)), RELEASED


def structs_in(value: object) -> Iterator[msgspec.Struct]:
    if isinstance(value, msgspec.Struct):
        yield value
        for inner in msgspec.structs.asdict(value).values():
            yield from structs_in(inner)
    elif isinstance(value, tuple):
        for inner in value:
            yield from structs_in(inner)


def declared_in(kind: Any, found: dict[type, shape.StructType]) -> None:
    """Collect every struct that a type is made of."""
    match kind:
        case shape.StructType() if kind.cls not in found:
            found[kind.cls] = kind
            for field in kind.fields:
                declared_in(field.type, found)
        case shape.UnionType(types=members) | shape.TupleType(item_types=members):
            for member in members:
                declared_in(member, found)
        case shape.VarTupleType(item_type=item):
            declared_in(item, found)
        case _:
            pass


def test_the_samples_show_every_field_of_everything_that_is_stored() -> None:
    declared: dict[type, shape.StructType] = {}
    for event in EVENT_TYPES:
        declared_in(shape.type_info(event), declared)
    shown: set[tuple[type, str]] = set()
    for sample in SAMPLES.values():
        for struct in (struct for event in decoded(sample) for struct in structs_in(event)):
            for field in declared[type(struct)].fields:
                if msgspec.structs.asdict(struct)[field.name] != field.default:
                    shown.add((type(struct), field.name))
    fields = {(cls, field.name) for cls, kind in declared.items() for field in kind.fields}
    missing = sorted(f"{cls.__name__}.{name}" for cls, name in fields - shown)
    assert missing == [], "add a second sample file that shows the new fields"
