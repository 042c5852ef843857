"""Against a process that swaps names as fast as it can: never anything outside, never anybody's bytes lost.

Each race has its control: the naive way must be caught in the same run, or the zero would mean nothing.
"""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import anyio
import pytest

from cowork.adapters.files.executor import FileExecutor
from cowork.domain.action import Action, FileCreate, FileDelete, FileMove, FileRead, FileSearch, FileWrite
from cowork.domain.baseline import BASELINE
from cowork.domain.facts import Facts
from cowork.domain.policy import Policy
from cowork.engine.ports import Done, Failed, Permit
from tests.adapters.files.cases.direct import DirectDriver
from tests.adapters.files.cases.ground import Ground

ROOT = Path(__file__).resolve().parents[3]
NAIVE_TRIES_MAX = 400_000
INSIDE = b"inside"


@pytest.fixture
def anyio_backend() -> str:
    """The race is with another process: one event loop is enough."""
    return "asyncio"


@contextlib.contextmanager
def adversary(folder: Path, name: str, other: str) -> Iterator[None]:
    """Have another process swap the two names for the length of the block."""
    command = [sys.executable, "-m", "tests.adapters.files.adversary", str(folder), name, other]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            yield
        finally:
            process.kill()


def swapping_out(ground: Ground) -> None:
    """`sub` is a folder with a file, `evil` a link to the folder outside, which has one of the same name."""
    (ground.grant / "sub").mkdir()
    (ground.grant / "sub" / "f").write_bytes(INSIDE)
    (ground.out / "f").write_text(ground.canary)
    (ground.grant / "evil").symlink_to("../out")


class Work:
    """The executor's work without the hop to a thread, so that tens of thousands of tries take seconds."""

    def __init__(self, driver: DirectDriver) -> None:
        self._driver = driver
        self._executor: FileExecutor = driver.executor
        self._policy = Policy((BASELINE,))

    def observe(self, action: Action) -> Facts:
        """Return the facts about one action."""
        return self._executor.observe_now([action], self._driver.scope, datetime.now(UTC), 1)[0]

    def act(self, action: Action) -> Done | Failed | str:
        """Put one action through; return the outcome, or the code of the denial."""
        facts = self.observe(action)
        decision = self._policy.decide(action, facts, self._driver.scope)
        if decision.verdict == "deny":
            return decision.reason_code or ""
        return self._executor.perform_now(self._driver.permit(action, facts))


def read_naively(ground: Ground) -> bool:
    """Resolve, check, open: return whether what was read came from outside."""
    try:
        path = os.path.realpath(ground.grant / "sub" / "f")
        if os.path.commonpath([path, ground.grant]) != str(ground.grant):
            return False
        return (ground.grant / "sub" / "f").read_bytes() != INSIDE
    except OSError:
        return False


def write_naively(ground: Ground) -> bool:
    """Resolve, check, create: return whether a file came to be outside."""
    with contextlib.suppress(OSError):
        parent = os.path.realpath(ground.grant / "sub")
        if os.path.commonpath([parent, ground.grant]) == str(ground.grant):
            (ground.grant / "sub" / "new").write_bytes(b"x")
    escaped = (ground.out / "new").exists()
    for folder in (ground.out, ground.grant / "sub", ground.grant / "evil"):
        with contextlib.suppress(OSError):
            (folder / "new").unlink()
    return escaped


def is_caught(naive: Callable[[], bool]) -> bool:
    """Whether the naive way fails within its tries."""
    return any(naive() for _ in range(NAIVE_TRIES_MAX))


def race_reading(ground: Ground, driver: DirectDriver, tries: int) -> None:
    swapping_out(ground)
    work, action = Work(driver), FileRead(at=ground.at("sub/f"))
    words: set[str] = set()
    with adversary(ground.grant, "sub", "evil"):
        for _ in range(tries):
            match work.act(action):
                case Done(result=result):
                    assert result is not None
                    assert ground.blobs.get(result.digest) == INSIDE
                    words.add("completed")
                case Failed(reason_code=code):
                    words.add(code)
                case str(code):
                    words.add(code)
        assert is_caught(lambda: read_naively(ground)), "the race was never run"
    assert words <= {"completed", "symlink", "conflict", "not_found"}
    assert {"completed", "symlink"} <= words


def race_writing(ground: Ground, driver: DirectDriver, tries: int) -> None:
    swapping_out(ground)
    work = Work(driver)
    before = ground.untouchable()
    made = 0
    with adversary(ground.grant, "sub", "evil"):
        for number in range(tries):
            outcome = work.act(FileCreate(at=ground.at(f"sub/new-{number % 50}"), content=ground.content(b"n")))
            if isinstance(outcome, Done):
                made += 1
                for name in ("sub", "evil"):
                    with contextlib.suppress(OSError):
                        # The swaps go on: unlinking is by a path that may lead outside, where there must be nothing.
                        (ground.grant / name / f"new-{number % 50}").unlink()
        escapes = ground.untouchable()
        assert is_caught(lambda: write_naively(ground)), "the race was never run"
    assert escapes == before
    assert made > 0
    assert ground.leftovers() == []


@pytest.mark.anyio
async def test_rac_01_a_swapped_folder_never_lets_a_read_out(ground: Ground, driver: DirectDriver) -> None:
    race_reading(ground, driver, openings_of(driver))


@pytest.mark.anyio
async def test_rac_02_a_swapped_folder_never_lets_a_write_out(ground: Ground, driver: DirectDriver) -> None:
    race_writing(ground, driver, openings_of(driver))


@pytest.mark.anyio
async def test_a_search_never_reads_through_a_swapped_folder(ground: Ground, driver: DirectDriver) -> None:
    swapping_out(ground)
    work = Work(driver)
    with adversary(ground.grant, "sub", "evil"):
        for _ in range(300):
            outcome = work.act(FileSearch(at=ground.at("."), pattern="."))
            if isinstance(outcome, Done) and outcome.result is not None:
                texts = {match["text"] for match in json.loads(ground.blobs.get(outcome.result.digest))["matches"]}
                assert texts <= {INSIDE.decode()}


@pytest.mark.anyio
async def test_rac_08_a_path_that_climbs_is_refused_whatever_is_renamed(ground: Ground, driver: DirectDriver) -> None:
    (ground.grant / "a/a/a/a").mkdir(parents=True)
    (ground.grant / "b").mkdir()
    (ground.grant / "a" / "f").write_bytes(INSIDE)
    work, action = Work(driver), FileRead(at=ground.at("a/a/a/a/../../../../a/f"))
    with adversary(ground.grant, "a/a", "b"):
        assert {work.act(action) for _ in range(2000)} == {"escape"}


def openings_of(driver: DirectDriver) -> int:
    """How often a path is looked up; `test_swapped_names.py` does it far more often, without the policy before it."""
    return 3000 if driver.executor.resolver == "openat2" else 1000


def tries_of(driver: DirectDriver) -> int:
    """The walk has to look again more often, so a try of it takes longer; the changes themselves are the same."""
    return 500 if driver.executor.resolver == "openat2" else 200


APPROVED, PRECIOUS, NEW = b"approved", b"precious: must not be lost", b"new content"


def set_out(ground: Ground) -> None:
    """Put the two files under their names."""
    for name, data in (("target", APPROVED), ("precious", PRECIOUS)):
        staged = ground.grant / f"staged-{name}"
        staged.write_bytes(data)
        staged.rename(ground.grant / name)


def delete_naively(ground: Ground) -> bool:
    """Look, then unlink: return whether the precious file was lost."""
    set_out(ground)
    path = ground.grant / "target"
    with contextlib.suppress(FileNotFoundError):
        if path.read_bytes() == APPROVED:
            path.unlink()
    return PRECIOUS not in {p.read_bytes() for p in _paused(ground)}


def replace_naively(ground: Ground) -> bool:
    """Look, then rename over: return whether the precious file was lost."""
    set_out(ground)
    path = ground.grant / "target"
    (ground.grant / "staged").write_bytes(NEW)
    with contextlib.suppress(FileNotFoundError):
        if path.read_bytes() == APPROVED:
            (ground.grant / "staged").rename(path)
    return PRECIOUS not in {p.read_bytes() for p in _paused(ground)}


def _paused(ground: Ground) -> list[Path]:
    """The files, under names that nobody swaps: each is moved away before it is read."""
    kept = []
    for number, name in enumerate(("target", "precious", "staged")):
        with contextlib.suppress(FileNotFoundError):
            (ground.grant / name).rename(ground.base / f"kept-{number}")
            kept.append(ground.base / f"kept-{number}")
    return kept


def race_on_object(ground: Ground, driver: DirectDriver, action: Action, tries: int) -> dict[str, int]:
    """Perform the action on the approved object while its name is swapped with the precious file's."""
    work = Work(driver)
    counts = {"done": 0, "conflict": 0, "homeless": 0}
    with adversary(ground.grant, "target", "precious"):
        for _ in range(tries):
            for path in (*ground.grant.iterdir(), *(ground.state / "quarantine").glob("*")):
                path.unlink()
            set_out(ground)
            facts = _observe_approved(work, action)
            outcome = driver.executor.perform_now(driver.permit(action, facts))
            contents = [path.read_bytes() for path in _paused(ground)]
            quarantined = [path.read_bytes() for path in (ground.state / "quarantine").glob("*")]
            assert PRECIOUS in contents, f"lost: {outcome} left {contents}, {quarantined}"
            assert PRECIOUS not in quarantined
            if isinstance(outcome, Failed) and "kept in quarantine" in outcome.reason:
                # The other process put our file under its own name and stopped: then one file has no place left.
                assert APPROVED in quarantined
                counts["homeless"] += 1
                continue
            if isinstance(outcome, Done):
                counts["done"] += 1
                assert APPROVED not in contents
                assert APPROVED in quarantined or ground.blobs.has(ground.content(APPROVED).digest)
            else:
                counts["conflict"] += 1
                assert outcome.reason_code in ("conflict", "not_found")
                assert APPROVED in contents
                assert NEW not in contents
        naive = delete_naively if isinstance(action, FileDelete) else replace_naively
        assert is_caught(lambda: naive(ground)), "the race was never run"
    assert ground.leftovers() == []
    assert counts["homeless"] < tries // 20
    return counts


def _observe_approved(work: Work, action: Action) -> Facts:
    while True:
        facts = work.observe(action)
        if facts.target is not None and facts.target.size == len(APPROVED):
            return facts


@pytest.mark.anyio
async def test_rac_09_deleting_the_approved_object_never_loses_another(ground: Ground, driver: DirectDriver) -> None:
    counts = race_on_object(ground, driver, FileDelete(at=ground.at("target")), tries_of(driver))
    assert counts["done"] > 0
    assert counts["conflict"] > 0


@pytest.mark.anyio
async def test_replacing_the_approved_object_never_loses_another(ground: Ground, driver: DirectDriver) -> None:
    action = FileWrite(at=ground.at("target"), content=ground.content(NEW))
    counts = race_on_object(ground, driver, action, tries_of(driver))
    assert counts["done"] > 0
    assert counts["conflict"] > 0


@pytest.mark.anyio
async def test_moving_the_approved_object_never_moves_another(ground: Ground, driver: DirectDriver) -> None:
    work, action = Work(driver), FileMove(at=ground.at("target"), to=ground.at("moved/away"))
    done = 0
    with adversary(ground.grant, "target", "precious"):
        for _ in range(tries_of(driver)):
            set_out(ground)
            outcome = driver.executor.perform_now(driver.permit(action, _observe_approved(work, action)))
            moved = ground.grant / "moved" / "away"
            if isinstance(outcome, Done):
                done += 1
                assert moved.read_bytes() == APPROVED
                moved.unlink()
                moved.parent.rmdir()
            assert not moved.parent.exists()
            assert PRECIOUS in [path.read_bytes() for path in _paused(ground)]
    assert done > 0


async def _perform_into(outcomes: dict[int, Done | Failed], writer: int, driver: DirectDriver, permit: Permit) -> None:
    outcomes[writer] = await driver.executor.perform(permit)


@pytest.mark.anyio
@pytest.mark.parametrize("writers", [2, 4])
async def test_rac_13_of_several_writers_with_one_base_exactly_one_wins(
    writers: int, ground: Ground, driver: DirectDriver
) -> None:
    for number in range(100):
        (ground.grant / "f").write_bytes(b"base %d" % number)
        permits = []
        for writer in range(writers):
            action = FileWrite(at=ground.at("f"), content=ground.content(b"%d by %d" % (number, writer)))
            permits.append(driver.permit(action, await driver.observe(action)))
        outcomes: dict[int, Done | Failed] = {}

        async with anyio.create_task_group() as tasks:
            for writer, permit in enumerate(permits):
                tasks.start_soon(_perform_into, outcomes, writer, driver, permit)
        winners = [writer for writer, outcome in outcomes.items() if isinstance(outcome, Done)]
        assert len(winners) == 1, outcomes
        assert (ground.grant / "f").read_bytes() == b"%d by %d" % (number, winners[0])
        assert all(isinstance(o, Done) or o.reason_code in ("conflict", "not_found") for o in outcomes.values())
        assert ground.blobs.get(ground.content(b"base %d" % number).digest)
    assert os.listdir(ground.grant) == ["f"]
