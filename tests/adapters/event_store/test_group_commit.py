"""Group commit by itself: who shares a commit, who leads, and what a cancellation or an error does to the others."""

import asyncio
from collections.abc import Sequence

import anyio
import pytest
from anyio.lowlevel import checkpoint

from cowork.adapters.event_store.group_commit import GROUP_ITEMS_MAX, GroupCommit, Waiter
from cowork.domain.errors import DomainError

pytestmark = pytest.mark.anyio


class Log:
    """A commit that writes down its groups; locked while told so, and failing on the item `bad`."""

    def __init__(self) -> None:
        self.groups: list[list[str]] = []
        self.is_locked = False
        self.tries = 0

    def commit(self, group: Sequence[Waiter[str, str]]) -> bool:
        self.tries += 1
        if self.is_locked:
            return False
        self.groups.append([waiter.item for waiter in group])
        for waiter in group:
            if waiter.item == "bug":
                raise RuntimeError("unforeseen")
            if waiter.item == "bad":
                waiter.fail(ValueError(waiter.item))
            else:
                waiter.succeed(waiter.item.upper())
        return True

    def group_commit(self, lock_wait_s: float = 5.0) -> GroupCommit[str, str]:
        return GroupCommit(self.commit, lock_wait_s=lock_wait_s, locked_message="locked")


async def submit_all(group: GroupCommit[str, str], items: Sequence[str]) -> dict[str, str]:
    """Submit all at once and return each one's result, or its error's text."""
    outcomes: dict[str, str] = {}

    async def submit(item: str) -> None:
        try:
            outcomes[item] = await group.submit(item)
        except (ValueError, RuntimeError, DomainError) as error:
            outcomes[item] = f"{type(error).__name__}: {error}"

    async with anyio.create_task_group() as tasks:
        for item in items:
            tasks.start_soon(submit, item)
    return outcomes


async def test_what_comes_in_one_moment_is_one_commit() -> None:
    log = Log()
    outcomes = await submit_all(log.group_commit(), ["a", "b", "bad", "c"])
    assert outcomes == {"a": "A", "b": "B", "bad": "ValueError: bad", "c": "C"}
    assert sum(len(group) for group in log.groups) == 4
    assert len(log.groups) == 1


async def test_one_after_another_are_commits_of_their_own_in_order() -> None:
    log = Log()
    group = log.group_commit()
    assert [await group.submit(item) for item in "abc"] == ["A", "B", "C"]
    assert log.groups == [["a"], ["b"], ["c"]]


async def test_a_crowd_is_committed_in_groups_of_a_bounded_size() -> None:
    log = Log()
    items = [f"item-{number}" for number in range(2 * GROUP_ITEMS_MAX + 3)]
    outcomes = await submit_all(log.group_commit(), items)
    assert outcomes == {item: item.upper() for item in items}
    assert max(len(group) for group in log.groups) == GROUP_ITEMS_MAX
    assert sorted(item for group in log.groups for item in group) == sorted(items)


async def test_a_lock_is_waited_for_and_what_comes_meanwhile_joins() -> None:
    log = Log()
    log.is_locked = True
    group = log.group_commit()
    results: list[str] = []

    async def submit(item: str) -> None:
        results.append(await group.submit(item))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(submit, "a")
        await anyio.sleep(0.02)
        tasks.start_soon(submit, "b")
        await anyio.sleep(0.02)
        assert (log.groups, results) == ([], [])
        log.is_locked = False
    assert log.groups == [["a", "b"]]
    assert sorted(results) == ["A", "B"]


async def test_a_lock_that_lasts_is_given_up_by_each_after_its_own_time() -> None:
    log = Log()
    log.is_locked = True
    group = log.group_commit(lock_wait_s=0.5)
    outcomes: dict[str, str] = {}

    async def submit(item: str) -> None:
        try:
            outcomes[item] = await group.submit(item)
        except DomainError as error:
            outcomes[item] = error.code

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(submit, "early")
        await anyio.sleep(0.4)
        tasks.start_soon(submit, "late")
        await anyio.sleep(0.3)
        assert outcomes == {"early": "unavailable"}
        log.is_locked = False
    assert outcomes == {"early": "unavailable", "late": "LATE"}
    assert log.groups == [["late"]]
    assert await group.submit("next") == "NEXT"


async def test_an_unforeseen_error_reaches_its_leader_and_frees_the_others() -> None:
    log = Log()
    group = log.group_commit()
    with anyio.fail_after(2):
        outcomes = await submit_all(group, ["a", "bug", "b"])
    assert sum(outcome == "RuntimeError: unforeseen" for outcome in outcomes.values()) == 1
    assert sorted(outcomes) == ["a", "b", "bug"]
    assert await group.submit("next") == "NEXT"


async def test_a_cancelled_scope_waits_out_a_lock_and_gets_its_result() -> None:
    log = Log()
    log.is_locked = True
    group = log.group_commit()
    results: list[str] = []

    async def submit(item: str) -> None:
        results.append(await group.submit(item))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(submit, "leader")
        tasks.start_soon(submit, "follower")
        await anyio.sleep(0.01)
        tasks.cancel_scope.cancel()
        log.is_locked = False
    assert sorted(results) == ["FOLLOWER", "LEADER"]
    assert sorted(log.groups[0]) == ["follower", "leader"]


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("cancelled", ["a", "b", "c"])
async def test_a_task_cancelled_past_every_shield_takes_back_its_own_item_only(cancelled: str) -> None:
    log = Log()
    log.is_locked = True
    group = log.group_commit()
    tasks = {item: asyncio.create_task(group.submit(item)) for item in "abc"}
    while not log.tries:
        await checkpoint()
    tasks[cancelled].cancel()
    await asyncio.sleep(0)
    log.is_locked = False
    for item, task in tasks.items():
        if item == cancelled:
            with pytest.raises(asyncio.CancelledError):
                await task
        else:
            assert await task == item.upper()
    assert log.groups == [[item for item in "abc" if item != cancelled]]
    assert await group.submit("next") == "NEXT"


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_leader_cancelled_before_it_begins_passes_the_lead_on() -> None:
    log = Log()
    group = log.group_commit()
    leader = asyncio.create_task(group.submit("leader"))
    follower = asyncio.create_task(group.submit("follower"))
    promoted_and_cancelled = asyncio.create_task(group.submit("other"))
    await asyncio.sleep(0)
    leader.cancel()
    follower.cancel()
    assert await promoted_and_cancelled == "OTHER"
    assert log.groups == [["other"]]
    assert leader.cancelled()
    assert follower.cancelled()
