"""Undo of whatever an agent may do, after whatever a person may have done since: 500 stories, and more.

Everything that the agent changed is back, or its place is named; every line of the person's is there, and none that the
person took away has come back.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cowork.adapters.files.executor import FileExecutor
from cowork.domain.action import Action, kind_of, locations_of
from cowork.domain.facts import Facts
from cowork.domain.plan import Step
from cowork.domain.policy_document import Rule, layer_of_rules
from cowork.domain.scope import Scope
from cowork.domain.task import ActionProposed, Task
from cowork.engine.application import Application
from cowork.engine.ports import Finding, Outcome, Permit
from cowork.engine.undo_report import UndoReport
from tests.engine.breaking import Died, die
from tests.engine.rig import PERSON, Rig, Says
from tests.engine.undo_world import MOVES, Agent, Move, Person, Story, Tree, given_second_names, written

ALL: Final = layer_of_rules("all", (Rule("everything", ("file.*",), "allow"),))
WORK: Final = st.lists(MOVES, min_size=1, max_size=8)
EDITS: Final = st.lists(MOVES, max_size=5)
LINKED: Final = st.lists(st.integers(0, 8), max_size=3)
_NUMBERS: Final = count()
YES: Final = Says(approve=True)
"""Changing a file with a second name is asked about, whatever the rules say."""


class Inline:
    """The real executor without its worker threads: with thousands of actions, they would take most of the time."""

    def __init__(self, rig: Rig, around: Callable[[], None] = lambda: None) -> None:
        self._inner = FileExecutor(rig.blobs, rig.state)
        self.kinds = self._inner.kinds
        self._around = around

    async def observe(self, actions: Sequence[Action], scope: Scope, now: datetime, *, batch: int) -> list[Facts]:
        return self._inner.observe_now(actions, scope, now, batch)

    async def perform(self, permit: Permit) -> Outcome:
        self._around()
        outcome = self._inner.perform_now(permit)
        self._around()
        return outcome

    async def reconcile(self, permit: Permit) -> Finding:
        return self._inner.reconcile_now(permit)


def engine_on(rig: Rig, executor: Inline) -> Application:
    """Let the rig's engine be a new one with this executor, as after a restart."""
    rig.restart()
    rig.app = rig.engine(rig.store, (executor,))
    return rig.app


def stories(examples: int) -> settings:
    return settings(
        max_examples=examples,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )


@pytest.fixture
def places() -> Iterator[Path]:
    """In memory: what is synced a hundred thousand times here would take a disk an hour."""
    with TemporaryDirectory(dir="/dev/shm", prefix="undo-") as folder:
        yield Path(folder)


async def worked(places: Path, work: list[Move], linked: list[int]) -> tuple[Rig, str]:
    """Let an agent work on a new folder, one action after the other; return the rig and the task.

    `linked` are the numbers of files that have a second name outside.
    """
    folder = places / str(next(_NUMBERS))
    folder.mkdir()
    rig = Rig(folder)
    engine_on(rig, Inline(rig))
    written(rig.work)
    beside = folder / "beside"
    beside.mkdir()
    given_second_names(rig.work, beside, linked)
    actions = Agent(rig.work, rig.content).actions(work)
    steps = [
        Step(step_id=f"s{n}", title="a step", after=(f"s{n - 1}",) if n > 1 else (), request=action)
        for n, action in enumerate(actions, 1)
    ]
    task = await rig.run(*steps, rules=ALL, asker=YES)
    assert task.status == "completed", rig.topics()
    return rig, task.task_id


async def undone(rig: Rig, name: str) -> UndoReport:
    """Undo it all the way; what was planned is done without any failure."""
    report = await rig.app.undo(name, by=PERSON)
    if report.task_id:
        assert (await rig.app.carry_on(report.task_id, YES)).status == "completed", rig.topics()
    return report


def actions_of(rig: Rig, task_id: str) -> list[str]:
    """Return what a task did, for whoever reads a failure."""
    done = (one for one in rig.events(ActionProposed) if one.task_id == task_id)
    return [" ".join((kind_of(one.action), *(at.path for at in locations_of(one.action)))) for one in done]


def named(report: UndoReport) -> frozenset[str]:
    return frozenset(at.path for line in report.left for at in (line.at, line.to) if at is not None)


@stories(150)
@given(work=WORK, linked=LINKED)
def test_with_nobody_in_between_everything_is_as_it_was(work: list[Move], linked: list[int], places: Path) -> None:
    async def story() -> None:
        rig, task_id = await worked(places, work, linked)
        after = Tree.of(rig.work)
        report = await undone(rig, task_id)
        assert not report.left, (actions_of(rig, task_id), report.lines)
        first = places / f"{next(_NUMBERS)}"
        written(first)
        assert Tree.of(rig.work) == Tree.of(first), (actions_of(rig, task_id), report.lines)
        again = await undone(rig, report.task_id) if report.task_id else report
        assert not again.left, (report.lines, again.lines)
        assert Tree.of(rig.work) == after
        for done in range(2):
            # All of it once more: undone when it was redone, and left alone when it was undone.
            report = await undone(rig, task_id)
            assert not report.left, (actions_of(rig, task_id), report.lines)
            assert Tree.of(rig.work) == Tree.of(first), (actions_of(rig, task_id), report.lines)
            assert not (done and report.task_id), report.lines

    anyio.run(story)


@stories(500)
@given(work=WORK, edits=EDITS, killed_at=st.integers(0, 40), linked=LINKED)
def test_what_a_person_did_since_stays_and_everything_else_is_back_or_named(
    work: list[Move], edits: list[Move], killed_at: int, linked: list[int], places: Path
) -> None:
    async def story() -> None:
        rig, task_id = await worked(places, work, linked)
        first = places / f"{next(_NUMBERS)}"
        written(first)
        after_agent = Tree.of(rig.work)
        Person(rig.work).edit(edits)
        after_person = Tree.of(rig.work)
        report = await rig.app.undo(task_id, by=PERSON)
        if report.task_id:
            await carried_on_through_a_kill(rig, report.task_id, killed_at)
        after_undo = Tree.of(rig.work)
        told = Story(Tree.of(first), after_agent, after_person, after_undo, named(report))
        assert told.problems() == [], (told.problems(), actions_of(rig, task_id), told.differences(), report.lines)
        again = await rig.app.undo(task_id, by=PERSON, dry_run=True)
        assert again.done == (), (actions_of(rig, task_id), again.lines)
        if report.task_id:
            again = await undone(rig, report.task_id)
            assert not again.left, (report.lines, again.lines)
            assert Tree.of(rig.work) == after_person
        if killed_at % 8 == 0:
            rig.assert_clean()

    anyio.run(story)


async def carried_on_through_a_kill(rig: Rig, task_id: str, killed_at: int) -> None:
    """Carry the undo on; at one of its actions, before or after its effect, the process dies and another goes on."""
    calls = count()

    def perhaps_die() -> None:
        if next(calls) == killed_at:
            die()

    task: Task | None = None
    try:
        task = await engine_on(rig, Inline(rig, perhaps_die)).carry_on(task_id, YES)
    except (Died, BaseExceptionGroup):
        assert next(calls) > killed_at
    app = engine_on(rig, Inline(rig))
    task = task or await app.carry_on(task_id, YES)
    assert task.status == "completed", rig.topics()
