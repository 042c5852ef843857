"""Writing, moving and deleting: what is kept, what is refused, and that a failure leaves everything as it was."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from cowork.adapters.files.executor import FileExecutor
from cowork.adapters.files.world import FileLimits
from cowork.domain.action import (
    Action,
    FileCreate,
    FileDelete,
    FileMove,
    FileRename,
    FileRestore,
    FileWrite,
)
from cowork.domain.effect import Effect
from cowork.domain.facts import ABSENT, Facts
from cowork.engine.ports import Done, Failed, NotApplied, Outcome, Unclear
from tests.adapters.files.cases.direct import DirectDriver
from tests.adapters.files.cases.ground import Ground, manifest_of

pytestmark = pytest.mark.anyio


class Interloper:
    """Does something at a checkpoint, once: what another program does between two of our system calls."""

    def __init__(self) -> None:
        self.point = ""
        self.act: Callable[[], object] = lambda: None
        self.points: list[str] = []

    def __call__(self, point: str) -> None:
        self.points.append(point)
        if point == self.point:
            self.point = ""
            self.act()

    def at(self, point: str, act: Callable[[], object]) -> None:
        """Act at that point of the next action."""
        self.point, self.act = point, act


@pytest.fixture
def interloper() -> Interloper:
    return Interloper()


@pytest.fixture
def watched(ground: Ground, interloper: Interloper) -> DirectDriver:
    executor = FileExecutor(ground.blobs, ground.state, checkpoint=interloper)
    return DirectDriver(executor, ground.blobs, ground.scope)


async def perform(driver: DirectDriver, action: Action, facts: Facts | None = None) -> Outcome:
    return await driver.executor.perform(driver.permit(action, facts or await driver.observe(action)))


async def test_a_new_file_has_the_usual_mode_and_its_folders_are_told(ground: Ground, driver: DirectDriver) -> None:
    before = os.umask(0o027)
    try:
        action = FileCreate(at=ground.at("one/two/f"), content=ground.content("x"))
        facts = await driver.observe(action)
        outcome = await perform(driver, action, facts)
    finally:
        os.umask(before)
    assert facts.new_folders == ("one", "one/two")
    assert isinstance(outcome, Done)
    assert outcome.effects[0].new_folders == ("one", "one/two")
    assert stat.S_IMODE((ground.grant / "one/two/f").stat().st_mode) == 0o640
    assert stat.S_IMODE((ground.grant / "one").stat().st_mode) == 0o750


async def test_a_replacement_keeps_mode_owner_and_attributes(ground: Ground, driver: DirectDriver) -> None:
    path = ground.grant / "f"
    path.write_text("old")
    path.chmod(0o4751)
    os.setxattr(path, "user.colour", b"green")
    outcome = await perform(driver, FileWrite(at=ground.at("f"), content=ground.content("new")))
    assert isinstance(outcome, Done)
    assert stat.S_IMODE(path.stat().st_mode) == 0o751
    assert os.getxattr(path, "user.colour") == b"green"
    kept = outcome.effects[0].kept
    assert kept.startswith("blob:")
    assert ground.blobs.get(kept.removeprefix("blob:")) == b"old"


async def test_a_file_too_large_for_the_store_is_kept_in_quarantine_when_replaced(ground: Ground) -> None:
    executor = FileExecutor(ground.blobs, ground.state, limits=FileLimits(read_bytes_max=10))
    driver = DirectDriver(executor, ground.blobs, ground.scope)
    (ground.grant / "f").write_text("more than ten bytes")
    action = FileWrite(at=ground.at("f"), content=ground.content("new"))
    permit = driver.permit(action, await driver.observe(action))
    outcome = await executor.perform(permit)
    assert isinstance(outcome, Done)
    where, _, name = outcome.effects[0].kept.partition(":")
    assert where == "quarantine"
    assert (ground.state / "quarantine" / name).read_text() == "more than ten bytes"
    assert (ground.grant / "f").read_text() == "new"
    assert ground.leftovers() == []
    assert await executor.reconcile(permit) == outcome
    executor.close()


@pytest.mark.parametrize("point", ["temporary", "write", "sync-temporary", "swap", "verify"])
async def test_what_was_written_meanwhile_is_not_overwritten(
    point: str, ground: Ground, watched: DirectDriver, interloper: Interloper
) -> None:
    """Another program replaces the file, by a rename, at any moment before the check."""
    path = ground.grant / "f"
    path.write_text("as decided")

    def save() -> None:
        (ground.grant / "theirs").write_text("by somebody else")
        (ground.grant / "theirs").rename(path)

    interloper.at(point, save)
    outcome = await perform(watched, FileWrite(at=ground.at("f"), content=ground.content("ours")))
    if point == "verify":
        # Theirs went over ours after the swap: theirs stands, and what came out was what had been decided on.
        assert isinstance(outcome, Done)
    else:
        assert isinstance(outcome, Failed)
        assert outcome.reason_code == "conflict"
    assert path.read_text() == "by somebody else"
    assert ground.leftovers() == []


@pytest.mark.parametrize("point", ["temporary", "swap", "verify"])
async def test_what_was_appended_meanwhile_is_not_lost(
    point: str, ground: Ground, watched: DirectDriver, interloper: Interloper
) -> None:
    path = ground.grant / "f"
    path.write_text("as decided")
    file = path.open("ab", buffering=0)
    interloper.at(point, lambda: file.write(b", and more"))
    outcome = await perform(watched, FileWrite(at=ground.at("f"), content=ground.content("ours")))
    file.close()
    assert isinstance(outcome, Failed)
    assert outcome.reason_code == "conflict"
    assert path.read_text() == "as decided, and more"
    assert ground.leftovers() == []


async def test_a_file_that_appears_meanwhile_is_not_replaced(
    ground: Ground, watched: DirectDriver, interloper: Interloper
) -> None:
    path = ground.grant / "new/f"
    interloper.at("publish", lambda: path.write_text("theirs"))
    outcome = await perform(watched, FileCreate(at=ground.at("new/f"), content=ground.content("ours")))
    assert isinstance(outcome, Failed)
    assert outcome.reason_code == "conflict"
    assert path.read_text() == "theirs"
    assert ground.leftovers() == []


@pytest.mark.parametrize("is_elsewhere", [False, True])
async def test_what_appears_at_the_destination_meanwhile_is_not_replaced(
    is_elsewhere: bool, ground: Ground, watched: DirectDriver, interloper: Interloper, tmp_path: Path
) -> None:
    if is_elsewhere:
        ground.grant2 = tmp_path
        ground.grant_again()
        watched.scope = ground.scope
    (ground.grant / "f").write_text("ours")
    destination = ground.grant2 / "f"
    interloper.at("publish" if is_elsewhere else "move", lambda: destination.write_text("theirs"))
    outcome = await perform(watched, FileMove(at=ground.at("f"), to=ground.at("f", "g2")))
    assert isinstance(outcome, Failed)
    assert outcome.reason_code == "conflict"
    assert ((ground.grant / "f").read_text(), destination.read_text()) == ("ours", "theirs")
    assert ground.leftovers() == []
    assert os.listdir(ground.grant2) == ["f"]


@pytest.mark.parametrize("point", ["make-folder", "temporary", "write", "publish", "sync"])
async def test_a_failure_half_way_takes_back_the_new_folders(
    point: str, ground: Ground, watched: DirectDriver, interloper: Interloper
) -> None:
    def fail() -> None:
        raise OSError(28, "No space left on device")

    interloper.at(point, fail)
    outcome = await perform(watched, FileCreate(at=ground.at("new/deep/f"), content=ground.content("x")))
    assert outcome == Failed("io", "`new/deep/f` can't be used: no space left on device")
    assert list(ground.grant.iterdir()) == []


@pytest.mark.parametrize(
    ("kind", "point"),
    [
        ("write", "swap"),
        ("write", "verify"),
        ("write", "sync"),
        ("delete", "quarantine"),
        ("delete", "verify"),
        ("delete", "sync"),
        ("move", "make-folder"),
        ("move", "move"),
        ("move", "verify"),
        ("move", "sync"),
    ],
)
async def test_a_failure_half_way_leaves_everything_as_it_was(
    kind: str, point: str, ground: Ground, watched: DirectDriver, interloper: Interloper
) -> None:
    (ground.grant / "f").write_text("old")
    os.utime(ground.grant / "f", ns=(1, 1))

    def fail() -> None:
        raise OSError(5, "Input/output error")

    actions: dict[str, Action] = {
        "write": FileWrite(at=ground.at("f"), content=ground.content("new")),
        "delete": FileDelete(at=ground.at("f")),
        "move": FileMove(at=ground.at("f"), to=ground.at("new/f")),
    }
    before = manifest_of(ground.grant)
    interloper.at(point, fail)
    outcome = await perform(watched, actions[kind])
    assert interloper.point == "", "the point was never passed"
    assert isinstance(outcome, Failed)
    assert outcome.reason_code == "io"
    assert manifest_of(ground.grant) == before
    assert not list((ground.state / "quarantine").glob("*"))


async def test_what_takes_the_place_of_a_deleted_file_stays_and_the_other_is_kept(
    ground: Ground, watched: DirectDriver, interloper: Interloper
) -> None:
    """The file is another than was decided on, and its place is taken while it is looked at."""
    path = ground.grant / "f"
    path.write_text("as decided")
    action = FileDelete(at=ground.at("f"))
    facts = await watched.observe(action)

    def change() -> None:
        path.unlink()
        path.write_text("not as decided")

    interloper.at("quarantine", change)
    # The place is taken between the rename and the look at what it brought.
    original = interloper.__call__

    def meddle(point: str) -> None:
        original(point)
        if point == "verify":
            path.write_text("taken")

    executor = FileExecutor(ground.blobs, ground.state, checkpoint=meddle)
    permit = watched.permit(action, facts)
    outcome = await executor.perform(permit)
    executor.close()
    assert isinstance(outcome, Failed)
    assert outcome.reason_code == "conflict"
    (kept,) = (ground.state / "quarantine").iterdir()
    assert kept.name in outcome.reason
    assert kept.read_text() == "not as decided"
    assert path.read_text() == "taken"


@pytest.mark.parametrize("change", ["content", "identity", "gone", "appeared"])
async def test_a_target_that_is_not_as_decided_is_a_conflict(change: str, ground: Ground, driver: DirectDriver) -> None:
    path = ground.grant / "f"
    if change != "appeared":
        path.write_text("as decided")
    at, to, content = ground.at("f"), ground.at("to"), ground.content("new")
    actions: list[Action] = [FileWrite(at=at, content=content)]
    actions += [FileDelete(at=at), FileRename(at=at, to=to), FileMove(at=at, to=to)] if change != "appeared" else []
    facts = [await driver.observe(action) for action in actions]
    match change:
        case "content":
            path.write_text("as DECIDED")
        case "identity":
            path.rename(ground.grant / "other")
            path.write_text("as decided")
        case "gone":
            path.unlink()
        case _:
            path.write_text("theirs")
    before = manifest_of(ground.grant)
    for action, fact in zip(actions, facts, strict=True):
        outcome = await perform(driver, action, fact)
        assert isinstance(outcome, Failed), (action, outcome)
        assert outcome.reason_code == ("not_found" if change == "gone" else "conflict")
    assert manifest_of(ground.grant) == before


async def test_a_tree_that_changed_inside_is_not_moved_or_deleted(ground: Ground, driver: DirectDriver) -> None:
    (ground.grant / "d" / "inner").mkdir(parents=True)
    (ground.grant / "d" / "inner" / "f").write_text("one")
    actions: list[Action] = [FileDelete(at=ground.at("d")), FileMove(at=ground.at("d"), to=ground.at("new/d"))]
    facts = [await driver.observe(action) for action in actions]
    (ground.grant / "d" / "inner" / "f").write_text("two")
    before = manifest_of(ground.grant)
    for action, fact in zip(actions, facts, strict=True):
        outcome = await perform(driver, action, fact)
        assert isinstance(outcome, Failed)
        assert outcome.reason_code == "conflict"
    assert manifest_of(ground.grant) == before


async def test_a_folder_is_not_moved_into_itself(ground: Ground, driver: DirectDriver) -> None:
    (ground.grant / "d").mkdir()
    answer = await driver.act(FileMove(at=ground.at("d"), to=ground.at("d/e/f")))
    assert answer.word == "denied/conflict"
    assert os.listdir(ground.grant / "d") == []


async def test_between_file_systems_a_move_copies_compares_and_keeps_the_original(
    ground: Ground, driver: DirectDriver, tmp_path: Path
) -> None:
    (ground.grant / "d" / "inner").mkdir(parents=True)
    tool = ground.grant / "d" / "inner" / "tool"
    tool.write_text("x" * 3_000_000)
    tool.chmod(0o6755)
    os.utime(tool, ns=(1_000_000_000, 2_000_000_000))
    (ground.grant / "d" / "link").symlink_to("../../out")
    ground.grant2 = tmp_path
    ground.grant_again()
    driver.scope = ground.scope
    outcome = await perform(driver, FileMove(at=ground.at("d"), to=ground.at("new/d", "g2")))
    assert isinstance(outcome, Done), outcome
    (effect,) = outcome.effects
    assert effect.new_folders == ("new",)
    assert effect.kept.startswith("quarantine:")
    moved = tmp_path / "new" / "d" / "inner" / "tool"
    assert moved.read_text() == "x" * 3_000_000
    assert stat.S_IMODE(moved.stat().st_mode) == 0o755
    assert moved.stat().st_mtime_ns == 2_000_000_000
    assert os.readlink(tmp_path / "new" / "d" / "link") == "../../out"
    assert not (ground.grant / "d").exists()
    assert (ground.state / "quarantine" / effect.kept.partition(":")[2] / "inner" / "tool").exists()


async def test_between_file_systems_pipes_are_not_moved(ground: Ground, driver: DirectDriver, tmp_path: Path) -> None:
    (ground.grant / "d").mkdir()
    os.mkfifo(ground.grant / "d" / "pipe")
    ground.grant2 = tmp_path
    ground.grant_again()
    driver.scope = ground.scope
    outcome = await perform(driver, FileMove(at=ground.at("d"), to=ground.at("new/d", "g2")))
    assert isinstance(outcome, Failed)
    assert outcome.reason_code == "special"
    assert os.listdir(tmp_path) == []
    assert os.listdir(ground.grant / "d") == ["pipe"]


async def test_an_edit_after_a_crash_is_told_as_unclear_and_kept(ground: Ground, driver: DirectDriver) -> None:
    """Neither the old nor the new content stands there: somebody else was at work."""
    path = ground.grant / "f"
    path.write_text("old")
    action = FileWrite(at=ground.at("f"), content=ground.content("new"))
    permit = driver.permit(action, await driver.observe(action))
    path.write_text("neither")
    finding = await driver.executor.reconcile(permit)
    assert isinstance(finding, Unclear)
    assert path.read_text() == "neither"


async def test_a_foreign_file_under_the_temporary_name_is_kept(ground: Ground, driver: DirectDriver) -> None:
    from cowork.adapters.files.places import temporary_name

    action = FileCreate(at=ground.at("f"), content=ground.content("new content"))
    permit = driver.permit(action, await driver.observe(action))
    planted = ground.grant / os.fsdecode(temporary_name(permit))
    planted.write_text("whose is this?")
    outcome = await driver.executor.perform(permit)
    assert isinstance(outcome, Failed)
    assert outcome.reason_code == "conflict"
    finding = await driver.executor.reconcile(permit)
    assert isinstance(finding, Unclear)
    (kept,) = (ground.state / "quarantine").iterdir()
    assert kept.name in finding.observed
    assert kept.read_text() == "whose is this?"
    assert ground.leftovers() == []


@pytest.mark.parametrize("has_happened", [True, False])
async def test_a_replaced_file_that_went_with_its_folder_after_a_crash_cannot_be_told(
    has_happened: bool, ground: Ground, driver: DirectDriver
) -> None:
    (ground.grant / "d").mkdir()
    (ground.grant / "d" / "f").write_text("as decided")
    action = FileWrite(at=ground.at("d/f"), content=ground.content("new"))
    permit = driver.permit(action, await driver.observe(action))
    if has_happened:
        assert isinstance(await driver.executor.perform(permit), Done)
    (ground.grant / "d" / "f").rename(ground.grant / "moved away")
    (ground.grant / "d").rmdir()
    assert isinstance(await driver.executor.reconcile(permit), Unclear)


async def test_reconciling_what_never_began_removes_nothing(ground: Ground, driver: DirectDriver) -> None:
    (ground.grant / "f").write_text("f")
    (ground.grant / "d").mkdir()
    actions: list[Action] = [
        FileWrite(at=ground.at("f"), content=ground.content("new")),
        FileCreate(at=ground.at("n/g"), content=ground.content("new")),
        FileDelete(at=ground.at("f")),
        FileMove(at=ground.at("f"), to=ground.at("d/f")),
        FileDelete(at=ground.at("d")),
    ]
    before = manifest_of(ground.grant)
    for action in actions:
        finding = await driver.executor.reconcile(driver.permit(action, await driver.observe(action)))
        assert finding == NotApplied(), action
    assert manifest_of(ground.grant) == before


async def test_content_that_is_not_in_the_store_is_no_crash(ground: Ground, driver: DirectDriver) -> None:
    from cowork.domain.action import Content

    action = FileCreate(at=ground.at("new/f"), content=Content("sha256:" + "0" * 64, 3))
    facts = await driver.observe(action)
    assert "not in the store" in facts.preview
    outcome = await perform(driver, action, facts)
    assert isinstance(outcome, Failed)
    assert list(ground.grant.iterdir()) == []


async def test_what_cannot_be_restored_says_so(ground: Ground, driver: DirectDriver) -> None:
    nothing = FileRestore(at=ground.at("f"), kept="quarantine:" + "0" * 24, digest="sha256:" + "0" * 64)
    assert (await driver.observe(nothing)).kept == ABSENT
    outcome = await perform(driver, nothing)
    assert isinstance(outcome, Failed)
    assert outcome.reason_code == "not_found"
    (ground.grant / "f").write_text("f")
    deleted = await perform(driver, FileDelete(at=ground.at("f")))
    assert isinstance(deleted, Done)
    (ground.grant / "f").write_text("another")
    (effect,) = deleted.effects
    taken = await perform(driver, FileRestore(at=ground.at("f"), kept=effect.kept, digest=effect.before))
    assert isinstance(taken, Failed)
    assert taken.reason_code == "conflict"
    back = await perform(driver, FileRestore(at=ground.at("g"), kept=effect.kept, digest=effect.before))
    assert back == Done((Effect(change="create", at=ground.at("g"), after=effect.before),))
    assert ((ground.grant / "f").read_text(), (ground.grant / "g").read_text()) == ("another", "f")


async def test_a_planted_engine_folder_is_not_followed(ground: Ground, driver: DirectDriver, tmp_path: Path) -> None:
    """The state lies on another file system, so deleted files stay in the grant, where somebody has put a link."""
    ground.grant = tmp_path
    ground.grant_again()
    driver.scope = ground.scope
    (tmp_path / "f").write_text("f")
    (tmp_path / ".cowork").symlink_to(ground.out)
    outcome = await perform(driver, FileDelete(at=ground.at("f")))
    assert isinstance(outcome, Failed)
    assert outcome.reason_code == "symlink"
    assert (tmp_path / "f").read_text() == "f"
    assert sorted(os.listdir(ground.out)) == ["linked.txt", "s.sock", "secret.txt"]
