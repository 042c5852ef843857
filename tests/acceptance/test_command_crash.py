"""A run with commands and requests that is killed at any moment comes, resumed, to what an undisturbed run comes to.

What may have reached somebody else is the exception: nobody can tell, a person is asked, and it is not repeated.
"""

import contextlib
import random
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import anyio
import msgspec
import pytest

from cowork.adapters.bootstrap import open_application
from cowork.domain.task import ActionOutcomeUnknown
from tests.acceptance.command_place import (
    AT_MOST_ONCE,
    DISK,
    CommandPlace,
    Left,
    Server,
    is_launching,
    settle,
    wait_until_gone,
)
from tests.acceptance.killing import WAYS, Whole
from tests.acceptance.workplace import Forks, fork_server, workplace

CHUNKS: Final = 10
MOMENTS: Final = 15
KILLS_MAX: Final = 3
"""After so many kills of one task the next resume is left in peace."""

FAILED: Final = 1
"""The status of an undisturbed run: one of its commands fails."""

KILLED: Final = -9
LAUNCHES: Final = 20
LAUNCH_S: Final = 0.04
"""About as long as it takes from the first process of a sandbox to the command."""

SLEEP: Final = """
title = "Sleep"
[[step]]
id = "sleep"
action = { kind = "shell.exec", argv = ["sleep", "60"] }
"""
RESUME: Final = ("resume", "--plain", "--answer")


class Reference(msgspec.Struct, frozen=True):
    """An undisturbed run, what it left behind, and a store in which the sandbox was tried out already."""

    left: Left
    whole: Whole
    store: Path


@pytest.fixture(scope="module")
def forks() -> Iterator[Forks]:
    with fork_server() as server:
        yield server


@contextlib.contextmanager
def command_place(forks: Forks, store: Path | None) -> Iterator[CommandPlace]:
    """Give a place with a server; with a store in which the sandbox was tried out, where one is given."""
    server = Server()
    try:
        with workplace(forks, DISK) as place:
            if store is not None:
                shutil.copytree(store, place.store)
            yield CommandPlace(place, server)
    finally:
        server.close()


@pytest.fixture(scope="module")
def reference(forks: Forks) -> Iterator[Reference]:
    with tempfile.TemporaryDirectory(dir=DISK) as folder:
        store = Path(folder) / "store"
        application = open_application(store)
        anyio.run(application.sandbox.run)
        application.close()
        with command_place(forks, store) as of:
            began = time.monotonic()
            ended = of.place.run(*of.run)
            seconds = time.monotonic() - began
            assert ended.status == FAILED, ended
            assert of.server.counts == {"/page": 1, "/order": 1, "/fetched": 1}
            yield Reference(of.left(), Whole(seconds, of.place.recorded(), ended.calls), store)


def next_command(of: CommandPlace) -> tuple[str, ...]:
    """Return what a person does after a kill: run it again where nothing is on record, else go on with it.

    Of a task that had ended when the kill came, nothing is left to do.

    Where it is open whether something has left the machine, the question about it is not to be answered with yes.
    """
    if not of.place.has_task():
        return of.run
    with of.reading() as application:
        (row,) = application.rows("tasks")
        task = application.task(str(row["task_id"]))
        if task.is_final:
            return ()
        actions = task.open_actions.values()
        # Begun before, and not settled: it is open what became of it, or the question about that was asked already.
        at_stake = any(one.step_id in AT_MOST_ONCE and one.attempts > 0 for one in actions)
    return (*RESUME, "wait" if at_stake else "approve")


def live_through(of: CommandPlace, draw: random.Random, moment: float, whole: Whole) -> list[int]:
    """Run the plan with kills in between until it has ended; return how many events there were at each kill."""
    kills: list[int] = []
    arguments = of.run
    tries = 0
    while arguments:
        if tries == 0:
            ended = draw.choice(WAYS)(of.place, arguments, moment, whole)
        elif tries < KILLS_MAX and draw.random() < 0.4:
            ended = draw.choice(WAYS)(of.place, arguments, draw.random(), whole)
        else:
            ended = of.place.run(*arguments)
        tries += 1
        match ended.status:
            case -9:
                kills.append(of.place.recorded())
                assert wait_until_gone(of) == [], "something of a command is still running"
            case 3:
                settle(of)
            case _:
                assert ended.status == FAILED, ended
                return kills
        arguments = next_command(of)
    return kills


def assert_same(of: CommandPlace, reference: Reference) -> bool:
    """Hold what was left behind against the undisturbed run; return whether something had become unknown."""
    left, counts = of.left(), of.server.counts
    assert left.tree == reference.left.tree
    with of.reading() as application:
        (row,) = application.rows("tasks")
        history = [frame.recorded.event for frame in application.replay(str(row["task_id"]))]
    unknown = [event for event in history if isinstance(event, ActionOutcomeUnknown)]
    for path in ("/order", "/fetched"):
        assert counts.get(path, 0) <= 1, f"{path} was asked for {counts[path]} times"
    if not unknown:
        assert left.summary == reference.left.summary
        assert left.ends == reference.left.ends
        assert (counts["/order"], counts["/fetched"]) == (1, 1)
        return False
    for step, ends in reference.left.ends.items():
        if step not in AT_MOST_ONCE:
            assert left.ends[step] == ends, step
        elif left.ends[step] != ends:
            assert [end[2:] for end in left.ends[step]] == [("unknown", "unknown")], left.ends[step]
    return True


def go_through(forks: Forks, reference: Reference, draw: random.Random, moments: int) -> list[int]:
    """Kill a run at so many moments spread over its whole length; return how many events there were at each kill."""
    kills: list[int] = []
    for moment in range(moments):
        with command_place(forks, reference.store) as of:
            kills += live_through(of, draw, (moment + draw.random()) / moments, reference.whole)
            assert_same(of, reference)
    return kills


def assert_all_was_hit(kills: list[int], moments: int, whole: Whole) -> None:
    """A kill comes later than it was meant to on a busy machine, so that some miss; most hit, here and there."""
    assert len(kills) >= moments * 0.6
    assert len({4 * events // whole.events for events in kills if 0 < events < whole.events}) >= 2


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_a_kill_at_any_moment_and_a_resume_come_to_the_same(chunk: int, forks: Forks, reference: Reference) -> None:
    kills = go_through(forks, reference, random.Random(chunk), MOMENTS)
    assert_all_was_hit(kills, MOMENTS, reference.whole)


@pytest.mark.race_long
@pytest.mark.parametrize("chunk", range(1000, 1010))
def test_a_kill_at_any_of_many_moments_comes_to_the_same(chunk: int, forks: Forks, reference: Reference) -> None:
    kills = go_through(forks, reference, random.Random(chunk), 100)
    assert_all_was_hit(kills, 100, reference.whole)


def test_an_engine_that_is_killed_while_a_sandbox_is_made_leaves_none_behind(
    forks: Forks, reference: Reference
) -> None:
    draw = random.Random(1)
    seen = 0
    for _ in range(LAUNCHES):
        with command_place(forks, reference.store) as of:
            of.place.write({"plan.toml": SLEEP})
            running = of.place.start(*of.run)
            until = time.monotonic() + 5
            while not is_launching(running.pid, of.place.folder) and time.monotonic() < until:
                pass
            seen += time.monotonic() < until
            time.sleep(draw.random() * LAUNCH_S)
            assert running.kill().status == KILLED
            assert wait_until_gone(of) == []
    # On a busy machine the moment can be over between two looks.
    assert seen >= LAUNCHES / 2, "the test does not see what it is about"
