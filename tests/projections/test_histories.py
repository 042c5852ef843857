"""Properties of all projections together, over random but valid histories."""

from collections.abc import Sequence
from random import Random
from typing import get_args

from hypothesis import given, settings
from hypothesis import strategies as st

from cowork.adapters.read_model.memory import MemoryReadModel
from cowork.domain.event import Event, Recorded
from cowork.domain.topics import AnyEvent
from cowork.engine.ports import Projection
from cowork.projections.registry import PROJECTIONS, TABLES
from cowork.projections.row import Delete, Put, RowChange, Table
from tests.projections.history import History

SHAPES: dict[str, Table] = {table.name: table for tables in TABLES.values() for table in tables}


def _apply(model: MemoryReadModel, events: Sequence[Recorded[Event]]) -> None:
    for projection in PROJECTIONS:
        changes = [change for recorded in events for change in projection.on(recorded)]
        model.apply(projection.name, projection.code_version, changes, events[-1].position)


def test_random_histories_have_every_kind_of_event() -> None:
    seen = {type(recorded.event) for seed in range(12) for recorded in History(Random(seed)).grow(250).events}
    assert seen == set(get_args(AnyEvent))


@settings(max_examples=60)
@given(st.integers(0, 2**32), st.integers(1, 7))
def test_tables_that_grew_batch_by_batch_equal_tables_made_at_once(seed: int, size: int) -> None:
    events = History(Random(seed)).grow(60).events
    at_once, grown = MemoryReadModel(TABLES), MemoryReadModel(TABLES)
    _apply(at_once, events)
    for start in range(0, len(events), size):
        _apply(grown, events[start : start + size])
    assert grown.dump() == at_once.dump()


@given(st.integers(0, 2**32), st.data())
def test_events_that_are_delivered_again_from_an_earlier_one_on_change_nothing(seed: int, data: st.DataObject) -> None:
    events = History(Random(seed)).grow(40).events
    start = data.draw(st.integers(0, len(events) - 1))
    middle = data.draw(st.integers(start, len(events) - 1))
    once, twice = MemoryReadModel(TABLES), MemoryReadModel(TABLES)
    _apply(once, events)
    _apply(twice, events[: middle + 1])
    _apply(twice, events[start:])
    assert twice.dump() == once.dump()


@given(st.integers(0, 2**32))
def test_every_change_fits_its_table_and_belongs_to_its_projection(seed: int) -> None:
    events = History(Random(seed)).grow(60).events
    for projection in PROJECTIONS:
        own = {table.name for table in projection.tables}
        for recorded in events:
            for change in projection.on(recorded):
                _check_fits(change, own)


def _check_fits(change: RowChange, own: set[str]) -> None:
    assert change.table in own
    shape = SHAPES[change.table]
    assert len(change.key) == len(shape.key)
    assert None not in change.key
    if isinstance(change, Delete):
        return
    assert isinstance(change, Put)
    assert set(change.values) <= set(shape.columns)
    for column, value in [*zip(shape.key, change.key, strict=True), *change.values.items()]:
        kind = {**shape.key, **shape.columns}[column]
        assert value is None or type(value) is (int if kind == "integer" else str), (change.table, column, value)


@given(st.integers(0, 2**32))
def test_a_projection_gives_the_same_changes_for_the_same_event(seed: int) -> None:
    for recorded in History(Random(seed)).grow(20).events:
        for projection in PROJECTIONS:
            assert projection.on(recorded) == projection.on(recorded)


def test_each_projection_is_one_that_the_engine_knows_how_to_drive() -> None:
    driven: Sequence[Projection[RowChange]] = PROJECTIONS
    assert len({projection.name for projection in driven}) == len(driven)
