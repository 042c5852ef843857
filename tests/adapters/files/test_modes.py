"""Permission bits: what an action asks for, never more, and an effect that says what became of them."""

import os
import stat
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from cowork.domain.action import FileCreate, FileWrite, digest_of
from cowork.domain.action_invariant import find_refusal
from cowork.domain.effect import Effect
from cowork.domain.facts import Facts
from cowork.engine.ports import Done, Failed, NotApplied, Outcome, Unclear
from tests.adapters.files.cases.direct import DirectDriver
from tests.adapters.files.cases.ground import Ground

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def umask() -> Iterator[None]:
    before = os.umask(0o027)
    yield
    os.umask(before)


def mode_of(ground: Ground, path: str) -> int:
    return stat.S_IMODE((ground.grant / path).stat().st_mode)


async def perform(driver: DirectDriver, action: FileCreate | FileWrite) -> Outcome:
    return await driver.executor.perform(driver.permit(action, await driver.observe(action)))


def only_effect(outcome: object) -> Effect:
    assert isinstance(outcome, Done), outcome
    (effect,) = outcome.effects
    return effect


@pytest.mark.parametrize("mode", [0o755, 0o777, 0o600, 0o640, 0o400, 0o111, 0, 0o4755, 0o7777])
async def test_a_new_file_gets_the_mode_less_the_umask_and_never_a_set_id_bit(
    mode: int, ground: Ground, driver: DirectDriver
) -> None:
    content = ground.content("new")
    for path, action in (
        ("created", FileCreate(at=ground.at("created"), content=content, mode=mode)),
        ("written", FileWrite(at=ground.at("written"), content=content, mode=mode)),
    ):
        effect = only_effect(await perform(driver, action))
        assert mode_of(ground, path) == mode & 0o777 & ~0o027
        assert (effect.change, effect.mode_before, effect.mode_after) == ("create", None, mode & 0o777 & ~0o027)


@pytest.mark.parametrize("mode", [0o755, 0o777, 0o600, 0, 0o6711])
async def test_a_replaced_file_gets_the_mode_that_is_given(mode: int, ground: Ground, driver: DirectDriver) -> None:
    (ground.grant / "f").write_text("old")
    (ground.grant / "f").chmod(0o4640)
    effect = only_effect(await perform(driver, FileWrite(at=ground.at("f"), content=ground.content("new"), mode=mode)))
    assert mode_of(ground, "f") == mode & 0o777
    assert (effect.mode_before, effect.mode_after) == (0o4640, mode & 0o777)


async def test_without_a_mode_nothing_is_said_of_it(ground: Ground, driver: DirectDriver) -> None:
    (ground.grant / "f").write_text("old")
    (ground.grant / "f").chmod(0o751)
    content = ground.content("new")
    replaced = only_effect(await perform(driver, FileWrite(at=ground.at("f"), content=content)))
    created = only_effect(await perform(driver, FileCreate(at=ground.at("g"), content=content)))
    assert (mode_of(ground, "f"), mode_of(ground, "g")) == (0o751, 0o640)
    assert {replaced.mode_before, replaced.mode_after, created.mode_before, created.mode_after} == {None}


async def test_the_same_bytes_can_become_executable_and_that_is_a_change_of_its_own(
    ground: Ground, driver: DirectDriver
) -> None:
    content = ground.content("#!/bin/sh\n")
    (ground.grant / "tool").write_text("#!/bin/sh\n")
    (ground.grant / "tool").chmod(0o644)
    action = FileWrite(at=ground.at("tool"), content=content, mode=0o755)
    assert digest_of(action) != digest_of(FileWrite(at=ground.at("tool"), content=content))
    permit = driver.permit(action, await driver.observe(action))
    outcome = await driver.executor.perform(permit)
    assert only_effect(outcome) == Effect(
        change="update",
        at=action.at,
        before=content.digest,
        after=content.digest,
        kept=f"blob:{content.digest}",
        mode_before=0o644,
        mode_after=0o755,
    )
    assert mode_of(ground, "tool") == 0o755
    assert await driver.executor.reconcile(permit) == outcome
    again = await driver.executor.perform(permit)
    assert isinstance(again, Failed)
    assert again.reason_code == "conflict"
    assert only_effect(await perform(driver, action)).mode_before == 0o755
    assert mode_of(ground, "tool") == 0o755
    assert os.listdir(ground.grant) == ["tool"]


async def test_an_access_list_yields_to_the_mode_that_is_given(ground: Ground, driver: DirectDriver) -> None:
    (ground.grant / "f").write_text("old")
    # u::rw-, u:1:rwx, g::r--, m::rwx, o::--- as the kernel writes it: a version, then a tag, a mode and an id each.
    entries = ((1, 6, 2**32 - 1), (2, 7, 1), (4, 4, 2**32 - 1), (16, 7, 2**32 - 1), (32, 0, 2**32 - 1))
    listed = (2).to_bytes(4, "little") + b"".join(
        tag.to_bytes(2, "little") + mode.to_bytes(2, "little") + who.to_bytes(4, "little") for tag, mode, who in entries
    )
    os.setxattr(ground.grant / "f", "system.posix_acl_access", listed)
    assert mode_of(ground, "f") == 0o670
    await perform(driver, FileWrite(at=ground.at("f"), content=ground.content("new"), mode=0o600))
    assert mode_of(ground, "f") == 0o600


async def test_a_mode_that_somebody_changed_since_is_a_conflict(ground: Ground, driver: DirectDriver) -> None:
    path = ground.grant / "f"
    path.write_text("same")
    path.chmod(0o644)
    action = FileWrite(at=ground.at("f"), content=ground.content("same"), mode=0o755)
    permit = driver.permit(action, await driver.observe(action))
    path.chmod(0o600)
    outcome = await driver.executor.perform(permit)
    assert isinstance(outcome, Failed)
    assert (outcome.reason_code, mode_of(ground, "f")) == ("conflict", 0o600)
    assert await driver.executor.reconcile(permit) == NotApplied()


async def test_the_same_bytes_by_another_hand_are_not_taken_for_the_change(
    ground: Ground, driver: DirectDriver
) -> None:
    path = ground.grant / "f"
    path.write_text("same")
    path.chmod(0o644)
    action = FileWrite(at=ground.at("f"), content=ground.content("same"), mode=0o755)
    permit = driver.permit(action, await driver.observe(action))
    (ground.grant / "new").write_text("same")
    (ground.grant / "new").chmod(0o644)
    (ground.grant / "new").rename(path)
    assert isinstance(await driver.executor.reconcile(permit), Unclear)
    assert mode_of(ground, "f") == 0o644


@pytest.mark.parametrize("mode", [-1, 0o1000, 0o2755, 0o4755, 0o10644, 1 << 40])
@pytest.mark.parametrize("kind", [FileCreate, FileWrite])
async def test_no_policy_lets_an_action_ask_for_more_than_permission_bits(
    mode: int, kind: type[FileCreate] | type[FileWrite], ground: Ground, driver: DirectDriver
) -> None:
    action = kind(at=ground.at("f"), content=ground.content("x"), mode=mode)
    refusal = find_refusal(action, Facts(now=datetime.now(UTC)), ground.scope)
    assert refusal is not None
    assert (refusal.code, refusal.rule_id) == ("special", "invariant.mode")
    assert f"{mode:o}" in refusal.reason
    answer = await driver.act(action)
    assert answer.word == "denied/special"
    assert os.listdir(ground.grant) == []
