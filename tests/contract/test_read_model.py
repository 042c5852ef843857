"""What every read model does, whatever keeps its tables."""

from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cowork.adapters.read_model.memory import MemoryReadModel
from cowork.adapters.read_model.sqlite import SqliteReadModel
from cowork.domain.errors import DomainError
from cowork.engine.ports import ReadModel
from cowork.projections.registry import PROJECTIONS, TABLES
from cowork.projections.row import Delete, Put, RowChange, Table
from tests.projections.history import History

TOYS = Table(
    name="toys",
    key={"child": "text", "number": "integer"},
    columns={"name": "text", "age": "integer", "tags": "json"},
    indexes=(("name",),),
)
CHILDREN = Table(name="children", key={"child": "text"}, columns={"name": "text"})
OTHER = Table(name="other", key={"id": "integer"}, columns={"text": "text"})
SHAPES = {"play": (TOYS, CHILDREN), "work": (OTHER,)}

Dumping = MemoryReadModel | SqliteReadModel


@pytest.fixture(params=["memory", "sqlite"])
def model(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Dumping]:
    made = MemoryReadModel(SHAPES) if request.param == "memory" else SqliteReadModel(tmp_path / "read.db", SHAPES)
    yield made
    made.close()


def _driven(model: ReadModel[RowChange]) -> ReadModel[RowChange]:
    """A read model as the engine sees it."""
    return model


def test_a_new_projection_starts_at_zero_with_empty_tables(model: Dumping) -> None:
    assert _driven(model).position("play", 1) == 0
    assert model.rows("toys") == []
    assert model.dump() == b""


def test_changes_and_position_are_there_together(model: Dumping) -> None:
    model.position("play", 1)
    model.apply("play", 1, [Put("toys", ("ann", 1), {"name": "bear", "age": 3})], 7)
    assert model.position("play", 1) == 7
    assert model.rows("toys") == [{"child": "ann", "number": 1, "name": "bear", "age": 3, "tags": None}]


def test_a_put_changes_the_columns_that_it_names_and_no_others(model: Dumping) -> None:
    model.position("play", 1)
    model.apply("play", 1, [Put("toys", ("ann", 1), {"name": "bear", "age": 3})], 1)
    model.apply("play", 1, [Put("toys", ("ann", 1), {"age": None, "tags": "[]"}), Put("toys", ("ann", 2), {})], 2)
    assert model.rows("toys") == [
        {"child": "ann", "number": 1, "name": "bear", "age": None, "tags": "[]"},
        {"child": "ann", "number": 2, "name": None, "age": None, "tags": None},
    ]


def test_a_row_that_is_deleted_and_made_again_remembers_nothing(model: Dumping) -> None:
    model.position("play", 1)
    model.apply("play", 1, [Put("toys", ("ann", 1), {"name": "bear", "age": 3})], 1)
    model.apply("play", 1, [Delete("toys", ("ann", 1)), Put("toys", ("ann", 1), {"age": 4})], 2)
    assert [row["name"] for row in model.rows("toys")] == [None]
    model.apply("play", 1, [Put("toys", ("ann", 1), {"age": 5}), Delete("toys", ("ann", 1))], 3)
    assert model.rows("toys") == []
    model.apply("play", 1, [Delete("toys", ("nobody", 9))], 4)
    assert model.position("play", 1) == 4


def test_what_was_applied_already_is_not_applied_again(model: Dumping) -> None:
    model.position("play", 1)
    model.apply("play", 1, [Put("toys", ("ann", 1), {"age": 3})], 5)
    model.apply("play", 1, [Put("toys", ("ann", 1), {"age": 1})], 5)
    model.apply("play", 1, [Put("toys", ("ann", 1), {"age": 2})], 4)
    assert [row["age"] for row in model.rows("toys")] == [3]
    assert model.position("play", 1) == 5


def test_another_code_version_empties_the_tables_of_its_projection_only(model: Dumping) -> None:
    model.position("play", 1)
    model.position("work", 1)
    model.apply("play", 1, [Put("toys", ("ann", 1), {"age": 3}), Put("children", ("ann",), {"name": "Ann"})], 5)
    model.apply("work", 1, [Put("other", (1,), {"text": "x"})], 5)
    assert model.position("play", 2) == 0
    assert model.rows("toys") == model.rows("children") == []
    assert model.position("work", 1) == 5
    assert len(model.rows("other")) == 1


def test_changes_of_an_older_code_version_are_refused(model: Dumping) -> None:
    model.position("play", 1)
    model.apply("play", 1, [], 3)
    model.position("play", 2)
    model.apply("play", 2, [], 1)
    with pytest.raises(DomainError) as refusal:
        model.apply("play", 1, [Put("toys", ("ann", 1), {"age": 3})], 6)
    assert refusal.value.code == "conflict"
    assert model.rows("toys") == []
    assert model.position("play", 2) == 1


def test_a_reset_starts_from_zero(model: Dumping) -> None:
    model.position("play", 1)
    model.apply("play", 1, [Put("toys", ("ann", 1), {"age": 3})], 5)
    model.reset("play")
    assert model.position("play", 1) == 0
    assert model.rows("toys") == []
    model.apply("play", 1, [Put("toys", ("bob", 1), {"age": 3})], 2)
    assert [row["child"] for row in model.rows("toys")] == ["bob"]


def test_rows_are_found_by_equality_and_ordered_by_key_or_by_a_column(model: Dumping) -> None:
    model.position("play", 1)
    ages = {("ann", 10): 1, ("ann", 9): 3, ("\U0001f600", 1): 2, ("\uffff", 1): None, ("Zoe", 1): 3}
    model.apply("play", 1, [Put("toys", key, {"age": age}) for key, age in ages.items()], 1)
    keys = [(row["child"], row["number"]) for row in model.rows("toys")]
    assert keys == [("Zoe", 1), ("ann", 9), ("ann", 10), ("\uffff", 1), ("\U0001f600", 1)]
    assert [row["number"] for row in model.rows("toys", {"child": "ann"})] == [9, 10]
    assert [row["child"] for row in model.rows("toys", {"age": 3, "number": 1})] == ["Zoe"]
    assert [row["age"] for row in model.rows("toys", order_by="age")] == [None, 1, 2, 3, 3]
    assert model.rows("toys", {"age": None}) == []


def test_names_from_outside_never_reach_a_statement(model: Dumping) -> None:
    model.position("play", 1)
    for table, where, order_by in (
        ("projection", None, ""),
        ('toys" --', None, ""),
        ("toys", {"1=1 --": 1}, ""),
        ("toys", None, "age desc"),
    ):
        with pytest.raises(DomainError) as refusal:
            model.rows(table, where, order_by=order_by)
        assert refusal.value.code == "not_found"
    with pytest.raises(DomainError):
        model.reset("sleep")


def test_a_row_can_hold_any_text(model: Dumping) -> None:
    model.position("play", 1)
    texts = ["", "\x00", "a\x00b", "'\"; drop table toys", "\u202e", "\U0010feff", "ü" * 10_000]
    model.apply("play", 1, [Put("children", (text,), {"name": text}) for text in texts], 1)
    assert sorted(str(row["name"]) for row in model.rows("children")) == sorted(texts)


CHANGES = st.one_of(
    st.builds(
        Put,
        st.just("toys"),
        st.tuples(st.sampled_from(["ann", "bob"]), st.integers(0, 2)),
        st.dictionaries(st.sampled_from(["age"]), st.integers(0, 9) | st.none())
        | st.dictionaries(st.sampled_from(["name", "tags"]), st.text(max_size=2) | st.none()),
    ),
    st.builds(Delete, st.just("toys"), st.tuples(st.sampled_from(["ann", "bob"]), st.integers(0, 2))),
)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(CHANGES, max_size=6), max_size=5))
def test_the_file_and_the_memory_come_to_the_same_rows(tmp_path: Path, batches: list[list[RowChange]]) -> None:
    memory = MemoryReadModel(SHAPES)
    lasting = SqliteReadModel(tmp_path / "read.db", SHAPES)
    lasting.reset("play")
    for model in (memory, lasting):
        model.position("play", 1)
        for position, batch in enumerate(batches, start=1):
            model.apply("play", 1, batch, position)
    assert lasting.dump() == memory.dump()
    lasting.close()


@pytest.mark.parametrize("seed", range(4))
def test_the_real_projections_come_to_the_same_bytes_in_both_and_in_any_batches(seed: int, tmp_path: Path) -> None:
    events = History(Random(seed)).grow(200).events
    memory = MemoryReadModel(TABLES)
    grown = SqliteReadModel(tmp_path / "grown.db", TABLES)
    rebuilt = SqliteReadModel(tmp_path / "rebuilt.db", TABLES)
    for model, size in ((memory, 1), (grown, 7), (rebuilt, len(events))):
        for projection in PROJECTIONS:
            model.position(projection.name, projection.code_version)
            for start in range(0, len(events), size):
                page = events[start : start + size]
                changes = [change for recorded in page for change in projection.on(recorded)]
                model.apply(projection.name, projection.code_version, changes, page[-1].position)
    assert memory.dump().count(b"\n") > 100
    assert memory.dump() == grown.dump() == rebuilt.dump()
    grown.close()
    rebuilt.close()
