"""New folders that two actions beside each other count on: one undoes its own work, and the other is still done."""

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cowork.adapters.files.executor import FileExecutor
from cowork.adapters.files.quarantine import Quarantine
from cowork.adapters.files.resolver import Openat2Resolver
from cowork.domain.action import Action, FileCreate, FileDelete, FileMove, FileRestore, FileWrite
from cowork.engine.ports import Done, Failed, NotApplied
from tests.adapters.files.cases.direct import DirectDriver
from tests.adapters.files.cases.ground import Ground, manifest_of

pytestmark = pytest.mark.anyio
FOLDERS = ("new", "new/inner")
KINDS = ("create", "write", "move", "restore")
DELETIONS = 300


class Neighbour:
    """At a checkpoint another action, which was cut off, clears up after itself: as often as it is told to."""

    def __init__(self) -> None:
        self.point = ""
        self.times = 0
        self.clear_up: Callable[[], object] = lambda: None
        self.points: list[str] = []

    def __call__(self, point: str) -> None:
        self.points.append(point)
        if point == self.point and self.times:
            self.times -= 1
            self.clear_up()


@pytest.fixture
def neighbour() -> Neighbour:
    return Neighbour()


@pytest.fixture
def driver(ground: Ground, neighbour: Neighbour) -> Iterator[DirectDriver]:
    executor = FileExecutor(ground.blobs, ground.state, checkpoint=neighbour)
    yield DirectDriver(executor, ground.blobs, ground.scope)
    executor.close()


async def action_of(kind: str, ground: Ground, driver: DirectDriver) -> Action:
    """Return an action of that kind that brings `data` to `new/inner/f`."""
    to, source = ground.at("new/inner/f"), ground.at("f")
    if kind == "create":
        return FileCreate(at=to, content=ground.content("data"))
    if kind == "write":
        return FileWrite(at=to, content=ground.content("data"))
    (ground.grant / "f").write_text("data")
    if kind == "move":
        return FileMove(at=source, to=to)
    deletion = FileDelete(at=source)
    deleted = await driver.executor.perform(driver.permit(deletion, await driver.observe(deletion)))
    assert isinstance(deleted, Done)
    return FileRestore(at=to, kept=deleted.effects[0].kept, digest=deleted.effects[0].before)


async def let_clear_up(ground: Ground, driver: DirectDriver, neighbour: Neighbour) -> None:
    """The neighbour is a creation in the same new folders that was cut off before it did anything."""
    other = FileCreate(at=ground.at("new/inner/other"), content=ground.content("other"))
    permit = driver.permit(other, await driver.observe(other))
    executor = FileExecutor(ground.blobs, ground.state)

    def clear_up() -> None:
        assert isinstance(executor.reconcile_now(permit), NotApplied)

    neighbour.clear_up = clear_up


def points_of(neighbour: Neighbour) -> list[str]:
    points = list(dict.fromkeys(neighbour.points))
    neighbour.points.clear()
    return points


@pytest.mark.parametrize("kind", KINDS)
async def test_whoever_clears_up_takes_no_folder_from_an_action_that_is_about_to_use_it(
    kind: str, ground: Ground, driver: DirectDriver, neighbour: Neighbour
) -> None:
    points = ["make-folder"]
    for number in range(100):
        if number >= len(points):
            break
        action = await action_of(kind, ground, driver)
        facts = await driver.observe(action)
        await let_clear_up(ground, driver, neighbour)
        points_of(neighbour)
        neighbour.point, neighbour.times = points[number], 1
        outcome = await driver.executor.perform(driver.permit(action, facts))
        assert isinstance(outcome, Done), (points[number], outcome)
        assert outcome.effects[0].new_folders == FOLDERS
        assert (ground.grant / "new" / "inner" / "f").read_text() == "data"
        assert sorted(path.name for path in (ground.grant / "new" / "inner").iterdir()) == ["f"]
        assert neighbour.times == 0
        points = points_of(neighbour)
        (ground.grant / "new" / "inner" / "f").unlink()
        (ground.grant / "new" / "inner").rmdir()
        (ground.grant / "new").rmdir()
    assert len(points) > 2


@pytest.mark.parametrize("kind", KINDS)
async def test_where_the_folders_never_stay_it_gives_up_and_everything_is_as_before(
    kind: str, ground: Ground, driver: DirectDriver, neighbour: Neighbour
) -> None:
    action = await action_of(kind, ground, driver)
    facts = await driver.observe(action)
    before = manifest_of(ground.grant)
    await let_clear_up(ground, driver, neighbour)
    neighbour.point, neighbour.times = {"move": "move", "restore": "restore"}.get(kind, "temporary"), 10_000
    outcome = await driver.executor.perform(driver.permit(action, facts))
    assert isinstance(outcome, Failed)
    assert outcome.reason_code == "not_found"
    assert manifest_of(ground.grant) == before


async def test_a_target_that_is_gone_is_not_tried_again(
    ground: Ground, driver: DirectDriver, neighbour: Neighbour
) -> None:
    action = await action_of("move", ground, driver)
    facts = await driver.observe(action)
    neighbour.point, neighbour.times, neighbour.clear_up = "move", 1, (ground.grant / "f").unlink
    outcome = await driver.executor.perform(driver.permit(action, facts))
    assert isinstance(outcome, Failed)
    assert outcome.reason_code == "not_found"
    assert neighbour.points.count("move") == 1
    assert list(ground.grant.iterdir()) == []


def test_nothing_is_refused_a_place_in_quarantine_while_another_action_tidies_there(
    ground: Ground, tmp_path: Path
) -> None:
    assert tmp_path.stat().st_dev != ground.grant.stat().st_dev, "the quarantine has to be inside the granted folder"
    quarantine = Quarantine(tmp_path, Openat2Resolver())
    root = os.open(ground.grant, os.O_PATH | os.O_DIRECTORY)
    parent = os.open(ground.grant, os.O_RDONLY | os.O_DIRECTORY)
    is_done = threading.Event()

    def tidy() -> None:
        while not is_done.is_set():
            quarantine.tidy(root)

    tidying = threading.Thread(target=tidy)
    tidying.start()
    try:
        for number in range(DELETIONS):
            (ground.grant / "f").write_text(str(number))
            quarantine.put(root, parent, b"f", b"kept")
            assert quarantine.purge(root, b"kept")
        with pytest.raises(FileNotFoundError):
            quarantine.put(root, parent, b"f", b"kept")
    finally:
        is_done.set()
        tidying.join()
        os.close(root)
        os.close(parent)
