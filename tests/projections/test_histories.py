"""Properties of all projections together, over random but valid histories."""

from collections.abc import Sequence
from random import Random
from typing import get_args

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from cowork.adapters.read_model.memory import MemoryReadModel
from cowork.domain.budget import Usage, plus
from cowork.domain.event import Event, Recorded
from cowork.domain.task import Task
from cowork.domain.topics import AnyEvent
from cowork.engine.ports import Projection
from cowork.projections.registry import PROJECTIONS, TABLES
from cowork.projections.row import Delete, Put, RowChange, Table
from cowork.projections.task_status import task_of
from cowork.projections.usage_report import usage_of_tree, usage_rows
from tests.projections.history import History

SHAPES: dict[str, Table] = {table.name: table for tables in TABLES.values() for table in tables}


def _apply(model: MemoryReadModel, events: Sequence[Recorded[Event]]) -> None:
    for projection in PROJECTIONS:
        changes = [change for recorded in events for change in projection.on(recorded)]
        model.apply(projection.name, projection.code_version, changes, events[-1].position)


def test_random_histories_have_every_kind_of_event() -> None:
    seen = {type(recorded.event) for seed in range(48) for recorded in History(Random(seed)).grow(400).events}
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


@settings(max_examples=60)
@given(st.integers(0, 2**32))
def test_what_a_task_used_is_what_its_own_state_says(seed: int) -> None:
    history = History(Random(seed)).grow(150)
    model = MemoryReadModel(TABLES)
    _apply(model, history.events)
    roots = {str(row["root_task_id"]) for row in model.rows("usage_tasks")}
    told = {name: one for root in roots for name, one in usage_of_tree(usage_rows(model.rows, root)).items()}
    assert set(told) == set(history.tasks)
    for name, usage in told.items():
        state = history.state_of(name)
        assert (usage.own, usage.own_under_way, usage.budget) == (state.spent, state.reserved, state.budget)
        assert (usage.total, usage.total_under_way) == _with_all_beneath(history, state)


def _with_all_beneath(history: History, state: Task) -> tuple[Usage, Usage]:
    """Add up as the engine's ledger does: the time at work is a task's own."""
    spent, under_way = state.spent, state.reserved
    for child in (name for name in history.tasks if history.state_of(name).parent_task_id == state.task_id):
        theirs, open_ones = _with_all_beneath(history, history.state_of(child))
        spent = plus(spent, msgspec.structs.replace(theirs, wall_ms=0))
        under_way = plus(under_way, open_ones)
    return spent, under_way


@settings(max_examples=40)
@given(st.integers(0, 2**32))
def test_a_tasks_row_has_the_status_and_the_plan_that_its_state_has(seed: int) -> None:
    history = History(Random(seed)).grow(120)
    model = MemoryReadModel(TABLES)
    _apply(model, history.events)
    for row in model.rows("tasks"):
        told, state = task_of(row), history.state_of(str(row["task_id"]))
        assert (told.status, told.interrupted) == (state.status, state.is_interrupted and state.status == "paused")
        planned = () if state.plan is None else state.plan.steps
        assert [step.step_id for step in (told.plan.steps if told.plan else ())] == [step.step_id for step in planned]
        (of_summary,) = model.rows("summary_tasks", {"task_id": told.task_id})
        assert of_summary["status"] == state.status


def test_each_projection_is_one_that_the_engine_knows_how_to_drive() -> None:
    driven: Sequence[Projection[RowChange]] = PROJECTIONS
    assert len({projection.name for projection in driven}) == len(driven)
