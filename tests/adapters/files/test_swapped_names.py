"""Opening, and each way of changing something, against a process that swaps names: no escape, nothing lost.

The short form is a part of every run of the tests; `make race` does each half a million times.
"""

from collections.abc import Callable
from typing import TypeAlias

import pytest

from tests.adapters.files.cases.direct import RESOLVERS, DirectDriver, executor_of
from tests.adapters.files.cases.ground import Ground
from tests.adapters.files.racing import (
    PRIMITIVES,
    Control,
    Count,
    Primitive,
    race_for_a_name,
    race_opening,
    race_through_a_folder,
)

Race: TypeAlias = Callable[[Ground, DirectDriver, Primitive, int, int], tuple[Count, Control]]
RACES: dict[str, Race] = {"through a folder": race_through_a_folder, "for a name": race_for_a_name}

OPENINGS, OPENINGS_LONG = 20_000, 500_000
CHANGES, CHANGES_LONG, CHANGES_LONG_BY_WALK = 5_000, 250_000, 50_000
"""For each way of changing something, resolver and adversary: in the short form 20,000 of each way together."""


def assert_held(what: str, count: Count, naive: Control) -> None:
    print(f"{what}: {count}, naive: {naive}")
    assert count.escapes == 0
    assert count.lost == 0
    assert count.done > 0, "nothing was done: the race was never run"
    assert count.refused > 0, "nothing was refused: the race was never run"
    assert naive.caught > 0, "the naive way was not caught: the race was never run"
    assert count.homeless <= count.attempts // 20


def open_many(ground: Ground, resolver: str, attempts: int) -> None:
    assert_held(f"opening by {resolver}", *race_opening(ground, RESOLVERS[resolver](), attempts, attempts // 20))


def change_many(ground: Ground, resolver: str, kind: Primitive, race: str, attempts: int) -> None:
    executor = executor_of(ground.blobs, ground.state, resolver)
    try:
        driver = DirectDriver(executor, ground.blobs, ground.scope)
        count, naive = RACES[race](ground, driver, kind, attempts, min(attempts // 20, 20_000))
    finally:
        executor.close()
    assert_held(f"{kind} {race} by {resolver}", count, naive)
    assert count.attempts == attempts
    assert ground.leftovers() == []


@pytest.mark.parametrize("resolver", RESOLVERS)
def test_no_opening_leads_out_through_a_swapped_folder(resolver: str, ground: Ground) -> None:
    open_many(ground, resolver, OPENINGS)


@pytest.mark.parametrize("resolver", RESOLVERS)
@pytest.mark.parametrize("race", RACES)
@pytest.mark.parametrize("kind", PRIMITIVES)
def test_no_change_leads_out_or_loses_anything(kind: Primitive, race: str, resolver: str, ground: Ground) -> None:
    change_many(ground, resolver, kind, race, CHANGES)


@pytest.mark.race_long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("resolver", RESOLVERS)
def test_no_opening_leads_out_in_half_a_million(resolver: str, ground: Ground) -> None:
    open_many(ground, resolver, OPENINGS_LONG)


@pytest.mark.race_long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("race", RACES)
@pytest.mark.parametrize("kind", PRIMITIVES)
def test_no_change_leads_out_or_loses_anything_in_half_a_million(kind: Primitive, race: str, ground: Ground) -> None:
    change_many(ground, "openat2", kind, race, CHANGES_LONG)


@pytest.mark.race_long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("race", RACES)
@pytest.mark.parametrize("kind", PRIMITIVES)
def test_nor_does_one_by_the_walk(kind: Primitive, race: str, ground: Ground) -> None:
    change_many(ground, "walk", kind, race, CHANGES_LONG_BY_WALK)
