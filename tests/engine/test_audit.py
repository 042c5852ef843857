"""The audit finds every breach of an invariant by its number, and nothing in a history that really happened."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from cowork.adapters.event_store.memory import MemoryEventStore
from cowork.domain.task import ActionProposed, ActionStarted, ActionSucceeded, TaskStarted
from cowork.engine.audit import INVARIANTS, audit
from cowork.projections.row import Put
from cowork.projections.task_status import TASK_STATUS
from tests.engine import (
    breaches_of_acting,
    breaches_of_asking,
    breaches_of_commands,
    breaches_of_limits,
    breaches_of_trees,
)
from tests.engine.planted import PLANTED, History, Tamper, again, place, stored, stored_as_it_is, true_history
from tests.engine.planted_trees import PLANTED_IN_TREES
from tests.engine.rig import Rig, assert_clean


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Iterator[History]:
    rig = Rig(tmp_path_factory.mktemp("true"))
    yield anyio.run(true_history, rig)
    rig.assert_clean()


def test_a_history_that_happened_is_clean(history: History) -> None:
    report = audit(stored(history))
    assert_clean(report)
    checked = report.checked
    assert (checked.events, checked.tasks, checked.sessions) == (len(history), 5, 5)
    assert checked.actions == checked.decisions == sum(isinstance(one.event, ActionProposed) for one in history)
    assert checked.attempts == sum(isinstance(one.event, ActionStarted) for one in history) > 5
    assert checked.effects > 4
    assert checked.confirmations > 4
    assert checked.connections == 2


def test_an_empty_log_is_clean() -> None:
    assert_clean(audit(MemoryEventStore()))


@pytest.mark.parametrize(("invariant", "tamper"), [pytest.param(n, t, id=f"{n}-{name}") for n, name, t in PLANTED])
def test_a_planted_breach_is_found_under_its_number(history: History, invariant: int, tamper: Tamper) -> None:
    violations = audit(stored(tamper(history))).violations
    assert invariant in {one.invariant for one in violations}, violations
    assert all(one.sentence and one.invariant in INVARIANTS for one in violations)


def test_a_gap_in_a_streams_versions_is_found(history: History) -> None:
    index = place(history, TaskStarted)
    gap = [one for one in history if one is not history[index]]
    found = audit(stored_as_it_is(gap)).violations
    assert (7, index + 1) in {(one.invariant, one.position) for one in found if "version" in one.sentence}


def test_a_stream_that_reads_otherwise_than_the_log_is_found(history: History) -> None:
    class Forgetful(MemoryEventStore):
        def read_stream(self, stream: str, *, after_version: int = 0) -> Any:
            return super().read_stream(stream, after_version=after_version)[:-1]

    sentences = [one.sentence for one in audit(Forgetful(stored(history).rows)).violations if one.invariant == 7]
    assert any("the stream ends at version" in one for one in sentences)


def test_projections_that_differ_from_the_log_are_found(history: History) -> None:
    found = audit(stored(history), dumps=lambda: (b'["tasks","t","done"]\n', b'["tasks","t","failed"]\n')).violations
    assert [(one.invariant, one.position) for one in found] == [(6, len(history))]
    assert "done" in found[0].sentence
    assert "failed" in found[0].sentence


def test_a_row_that_was_changed_in_the_read_model_is_found(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    anyio.run(true_history, rig)
    assert_clean(rig.app.audit())
    (name, version), head = ("task_status", TASK_STATUS.code_version), len(rig.rows)
    task = str(rig.app.rows("tasks")[0]["task_id"])
    rig.read_model.apply(name, version, [Put("tasks", (task,), {"status": "paused"})], head + 1)
    assert [one.invariant for one in rig.app.audit().violations] == [6]


def test_an_attempt_that_a_process_is_at_is_no_breach(history: History) -> None:
    cut = breaches_of_asking.a_cancelled_task_with_an_attempt_that_nobody_looked_at(history)
    task = history[place(history, ActionStarted)].stream
    assert [one.invariant for one in audit(stored(cut)).violations] == [8]
    assert_clean(audit(stored(cut), is_running=lambda name: name == task))


def test_every_invariant_has_a_planted_breach() -> None:
    found = {number for number, _, _ in PLANTED} | {number for number, _, _ in PLANTED_IN_TREES}
    assert found | {6} == set(INVARIANTS)
    assert {tamper.__module__ for _, _, tamper in PLANTED} == {
        module.__name__ for module in (breaches_of_acting, breaches_of_asking, breaches_of_commands)
    }
    assert {tamper.__module__ for _, _, tamper in PLANTED_IN_TREES} == {
        module.__name__ for module in (breaches_of_limits, breaches_of_trees)
    }


def test_a_report_says_where(history: History) -> None:
    index = place(history, ActionSucceeded)
    (found,) = [one for one in audit(stored(again(history, index))).violations if one.invariant == 2]
    assert (found.position, found.stream) == (index + 2, history[index].stream)
