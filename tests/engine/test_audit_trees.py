"""The audit of trees: every breach is found where it is first shown, by its number, and says whose it is."""

from collections.abc import Callable, Iterator

import anyio
import pytest

from cowork.domain.subagent import SubagentSpawned
from cowork.domain.task import PathsClaimed
from cowork.engine.audit import INVARIANTS, audit
from cowork.engine.audit_finding import chain_of
from tests.engine import breaches_of_limits, breaches_of_trees
from tests.engine.planted import History, stored
from tests.engine.planted_trees import PLANTED_IN_TREES, Breach, tree_history
from tests.engine.rig import Rig, assert_clean


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Iterator[History]:
    rig = Rig(tmp_path_factory.mktemp("trees"))
    yield anyio.run(tree_history, rig)
    rig.assert_clean()


def test_a_history_of_trees_that_happened_is_clean(history: History) -> None:
    report = audit(stored(history))
    assert_clean(report)
    spawned = [one for one in history if isinstance(one.event, SubagentSpawned)]
    assert report.checked.subagents == len(spawned) == 6
    assert report.checked.claims == sum(isinstance(one.event, PathsClaimed) for one in history) > 6


@pytest.mark.parametrize(
    ("invariant", "tamper"), [pytest.param(number, t, id=f"{number}-{name}") for number, name, t in PLANTED_IN_TREES]
)
def test_a_planted_breach_is_the_first_thing_found_and_where_it_is(
    history: History, invariant: int, tamper: Callable[[History], Breach]
) -> None:
    tampered, index = tamper(history)
    found = [(one.position, one.invariant) for one in audit(stored(tampered)).violations]
    assert found, "nothing was found"
    assert (index + 1, invariant) in found
    assert found[0][0] == index + 1, found


def test_every_file_of_breaches_is_tried() -> None:
    assert {number for number, _, _ in PLANTED_IN_TREES} <= set(INVARIANTS)
    modules = {tamper.__module__ for _, _, tamper in PLANTED_IN_TREES}
    assert modules == {breaches_of_limits.__name__, breaches_of_trees.__name__}


def test_what_is_found_about_a_subagent_names_its_chain(history: History) -> None:
    tampered, index = breaches_of_trees.asked_for_by_another(history)
    first = audit(stored(tampered)).violations[0]
    assert first.position == index + 1
    inner = history[index].stream
    outer = inner.rpartition("-s")[0]
    root = outer.rpartition("-s")[0]
    names = (root, outer.replace("task", "subagent"), inner.replace("task", "subagent"))
    assert first.sentence.endswith(f"({' -> '.join(names)})")


def test_a_chain_is_named_from_the_task_that_a_person_started_down() -> None:
    assert chain_of("task-x") == chain_of("confirmation-x") == chain_of("ownership-task-x-s1") == ""
    assert chain_of("task-x-s3") == chain_of("subagent-x-s3") == "task-x -> subagent-x-s3"
    assert chain_of("task-x-s3-s12") == "task-x -> subagent-x-s3 -> subagent-x-s3-s12"


def test_a_tree_that_a_process_is_at_may_still_have_what_is_left_open(history: History) -> None:
    tampered, index = breaches_of_trees.a_subagent_that_outlives_its_task(history)
    # Cut right after the cancellation: what is beneath the task is about to end.
    cut = tampered[: index + 1]
    root = history[index].stream
    assert {one.invariant for one in audit(stored(cut)).violations} == {8, 14}
    assert_clean(audit(stored(cut), is_running=lambda task_id: task_id == root))
