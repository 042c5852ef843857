"""What a case is, what an action came to, and the one oracle that every case is held against."""

import contextlib
import gc
import os
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Literal, Protocol

import msgspec

from cowork.domain.action import Action
from cowork.domain.baseline import BASELINE
from cowork.domain.facts import Facts
from cowork.domain.policy_decision import Decision
from cowork.domain.policy_document import Layer
from cowork.engine.ports import Outcome
from tests.adapters.files.cases.ground import Ground

RSS_GROWTH_BYTES_MAX = 64 * 1024 * 1024


class Answer(msgspec.Struct, frozen=True):
    """What one action came to. `shown` is every text and every byte that came out of the engine because of it."""

    outcome: Literal["denied", "completed", "failed"]
    code: str = ""
    asked: bool = False
    shown: bytes = b""
    facts: Facts | None = None
    decision: Decision | None = None
    performed: Outcome | None = None
    result: bytes = b""

    @property
    def word(self) -> str:
        """`completed`, or `denied/symlink`."""
        return f"{self.outcome}/{self.code}" if self.code else self.outcome


class Driver(Protocol):
    """Puts an action through the engine; a person who is asked says yes."""

    async def act(self, action: Action) -> Answer:
        """Observe, decide, ask, perform."""
        ...


class Drivers(Protocol):
    """Makes a driver for a ground and a rule set, and takes it down."""

    def __call__(self, ground: Ground, rules: Layer) -> contextlib.AbstractAsyncContextManager[Driver]: ...


Check = Callable[[Ground, list[Answer]], None]


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """One case: `arrange` the ground, put the actions that `ask` makes through, each of which must come to `allowed`.

    `allowed` are words such as `denied/symlink`. `privileged`: needs mounts or device nodes, so it runs in a mount
    namespace of its own. `links_may_drop`: a hard link to something outside is taken away, which its link count tells.
    """

    id: str
    title: str
    ask: Callable[[Ground], list[Action]]
    allowed: tuple[str, ...]
    arrange: Callable[[Ground], object] = lambda _ground: None
    between: Callable[[Ground], object] = lambda _ground: None
    check: Check = lambda _ground, _answers: None
    rules: Layer = BASELINE
    asked: bool | None = None
    seconds_max: float = 5.0
    links_may_drop: bool = False
    privileged: bool = False
    replay: Callable[[Ground, Driver, list[Answer]], Awaitable[None]] | None = None


async def run_case(case: Case, base: Path, drivers: Drivers) -> list[Answer]:
    """Run the case with the oracle around it and return the answers."""
    ground = Ground(base)
    try:
        case.arrange(ground)
        actions = case.ask(ground)
        case.between(ground)
        with watched(ground, case):
            answers = []
            async with drivers(ground, case.rules) as driver:
                for action in actions:
                    started = time.monotonic()
                    answers.append(await driver.act(action))
                    assert time.monotonic() - started < case.seconds_max, f"{case.id}: took too long"
                if case.replay is not None:
                    await case.replay(ground, driver, answers)
        for action, answer in zip(actions, answers, strict=True):
            assert answer.word in case.allowed, f"{case.id}: {action} came to {answer.word}: {answer}"
            assert case.asked is None or answer.asked is case.asked, f"{case.id}: {action}: {answer}"
            assert ground.canary.encode() not in answer.shown, f"{case.id}: the canary came out: {answer}"
        case.check(ground, answers)
        return answers
    finally:
        ground.close()


@contextlib.contextmanager
def watched(ground: Ground, case: Case) -> Iterator[None]:
    """The oracle: nothing outside changed, no canary inside, nothing left over, nobody called, no memory eaten."""
    before = ground.untouchable(links_may_drop=case.links_may_drop)
    # What tests before this one left to the collector is not this one's.
    gc.collect()
    descriptors, memory = len(os.listdir("/proc/self/fd")), _rss_bytes()
    yield
    assert _rss_bytes() - memory < RSS_GROWTH_BYTES_MAX, f"{case.id}: used too much memory"
    assert len(os.listdir("/proc/self/fd")) == descriptors, f"{case.id}: descriptors were left open"
    after = ground.untouchable(links_may_drop=case.links_may_drop)
    assert after.keys() == before.keys(), f"{case.id}: entries appeared or went outside the grants"
    assert after == before, f"{case.id}: something outside the grants was touched"
    assert ground.files_with(ground.canary.encode()) == [], f"{case.id}: the canary got into a grant"
    assert ground.leftovers() == [], f"{case.id}: temporary files were left"
    assert not ground.has_visitors(), f"{case.id}: somebody connected"


def _rss_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
