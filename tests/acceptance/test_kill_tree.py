"""A run with three subagents that is killed at any moment comes, resumed and answered, to what an undisturbed one does.

The plan has every kind of action and leaves two questions. What may have reached somebody else is never repeated by
itself: a person is asked, who says here what the server has seen.
"""

import contextlib
import random
import shutil
import tempfile
import time
from collections.abc import Iterator
from difflib import unified_diff
from pathlib import Path
from typing import Final

import anyio
import msgspec
import pytest

from cowork.adapters.bootstrap import open_application
from cowork.domain.action import kind_of
from cowork.domain.task import ActionProposed
from tests.acceptance.command_place import DISK, Server, processes_about
from tests.acceptance.killing import WAYS, Whole
from tests.acceptance.normal import lines_of
from tests.acceptance.tree_place import AGAIN, KINDS_OF_PLANS, ONCE, Left, TreePlace
from tests.acceptance.workplace import Forks, fork_server, workplace

CHUNKS: Final = 6
MOMENTS: Final = 10
CHUNKS_LONG: Final = 10
MOMENTS_LONG: Final = 100
KILLS_MAX: Final = 3
"""After so many kills of one task the next resume is left in peace."""

DONE: Final = 0
WAITING: Final = 3
TRIES_MAX: Final = 30
RESUME: Final = ("resume", "--answer", "wait", "--plain")


class Reference(msgspec.Struct, frozen=True):
    """An undisturbed run, what it left behind, and a store in which the sandbox was tried out already."""

    left: Left
    first: Whole
    """Up to the questions."""
    second: Whole
    """After the answers."""
    store: Path


@pytest.fixture(scope="module")
def forks() -> Iterator[Forks]:
    with fork_server() as server:
        yield server


@contextlib.contextmanager
def tree_place(forks: Forks, store: Path) -> Iterator[TreePlace]:
    """Give a place with a server and a store in which the sandbox was tried out."""
    server = Server()
    try:
        with workplace(forks, DISK) as place:
            shutil.copytree(store, place.store)
            yield TreePlace(place, server)
    finally:
        server.close()


@pytest.fixture(scope="module")
def reference(forks: Forks) -> Iterator[Reference]:
    with tempfile.TemporaryDirectory(dir=DISK) as folder:
        store = Path(folder) / "store"
        application = open_application(store)
        anyio.run(application.sandbox.run)
        application.close()
        with tree_place(forks, store) as of:
            first = whole_of(of, of.run, WAITING)
            assert of.answer() == []
            second = whole_of(of, RESUME, DONE)
            assert of.server.counts == dict.fromkeys((*ONCE, *AGAIN), 1)
            kinds = {kind_of(r.event.action) for r in of.log() if isinstance(r.event, ActionProposed)}
            assert kinds == KINDS_OF_PLANS
            yield Reference(of.left(), first, second, store)


def whole_of(of: TreePlace, arguments: tuple[str, ...], status: int) -> Whole:
    """Run a command undisturbed."""
    began = time.monotonic()
    ended = of.place.run(*arguments)
    seconds = time.monotonic() - began
    assert ended.status == status, ended
    return Whole(seconds, of.place.recorded(), ended.calls)


def live_through(of: TreePlace, draw: random.Random, moment: float, reference: Reference) -> tuple[list[int], int]:
    """Go through with the plan, with kills in between; return how many events there were at each, and who was asked.

    The first kill comes at a moment of the whole, of which answering the questions is the middle; others are drawn.
    """
    share = reference.first.seconds / (reference.first.seconds + reference.second.seconds)
    kills: list[int] = []
    findings = 0
    arguments, was_answered = of.run, False
    for _ in range(TRIES_MAX):
        whole = reference.second if was_answered else reference.first
        if not kills and was_answered == (moment >= share):
            part = (moment - share) / (1 - share) if was_answered else moment / share
            ended = draw.choice(WAYS)(of.place, arguments, part, whole)
        elif 0 < len(kills) < KILLS_MAX and draw.random() < 0.4:
            ended = draw.choice(WAYS)(of.place, arguments, draw.random(), whole)
        else:
            ended = of.place.run(*arguments)
        match ended.status:
            case -9:
                kills.append(of.place.recorded())
                assert wait_until_gone(of) == [], "something of a command is still running"
            case 3:
                findings += len(of.answer())
                was_answered = True
            case _:
                assert ended.status == DONE, ended
        # Where nothing is on record there is nothing to resume: it is run again.
        arguments = RESUME if of.place.has_task() else of.run
        if ended.status == DONE or of.is_over():
            return kills, findings
    raise AssertionError("it does not come to an end")


def wait_until_gone(of: TreePlace) -> list[int]:
    """Return the processes of commands that are still there after a while."""
    until = time.monotonic() + 10
    while (there := processes_about(of.place.folder)) and time.monotonic() < until:
        time.sleep(0.01)
    return there


def assert_same(of: TreePlace, reference: Reference) -> None:
    """Hold what was left behind against the undisturbed run."""
    left = of.left()
    found, wanted = (lines_of(msgspec.to_builtins(one)) for one in (left, reference.left))
    assert "\n".join(unified_diff(wanted, found, "undisturbed", "killed", lineterm="")) == ""
    assert {path: of.server.counts.get(path) for path in ONCE} == dict.fromkeys(ONCE, 1)
    assert all(of.server.counts[path] >= 1 for path in AGAIN)


def go_through(forks: Forks, reference: Reference, draw: random.Random, moments: int) -> tuple[list[int], int]:
    """Kill a run at so many moments spread over its whole length; return what `live_through` does of all of them."""
    kills: list[int] = []
    findings = 0
    for moment in range(moments):
        with tree_place(forks, reference.store) as of:
            at, found = live_through(of, draw, (moment + draw.random()) / moments, reference)
            assert_same(of, reference)
            kills += at
            findings += found
    return kills, findings


def assert_all_was_hit(kills: list[int], moments: int, reference: Reference) -> None:
    """A kill comes later than it was meant to on a busy machine, so that some miss; most hit, here and there."""
    events = reference.second.events
    assert len(kills) >= moments * 0.6
    assert len({4 * at // events for at in kills if 0 < at < events}) >= 2


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_a_kill_at_any_moment_and_a_resume_come_to_the_same(chunk: int, forks: Forks, reference: Reference) -> None:
    kills, _ = go_through(forks, reference, random.Random(chunk), MOMENTS)
    assert_all_was_hit(kills, MOMENTS, reference)


@pytest.mark.race_long
@pytest.mark.parametrize("chunk", range(1000, 1000 + CHUNKS_LONG))
def test_a_kill_at_any_of_many_moments_comes_to_the_same(chunk: int, forks: Forks, reference: Reference) -> None:
    kills, findings = go_through(forks, reference, random.Random(chunk), MOMENTS_LONG)
    assert_all_was_hit(kills, MOMENTS_LONG, reference)
    assert findings > 0, "nothing ever became unknown"
