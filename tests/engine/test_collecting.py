"""What a collection would remove: random tasks of random ages, against a plain reading of the rules."""

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cowork.domain.action import Content, FileWrite, Location
from cowork.domain.attempt import mark_of_attempt
from cowork.domain.effect import Effect, Result
from cowork.domain.event import Event, Origin, Recorded
from cowork.domain.grant import FolderGranted
from cowork.domain.policy_record import DocumentStored
from cowork.domain.scope import VERBS, FolderIdentity
from cowork.domain.task import (
    ActionProposed,
    ActionStarted,
    ActionSucceeded,
    TaskCancelled,
    TaskCompleted,
    TaskPaused,
    TaskQueued,
)
from cowork.engine.collecting import UNTOUCHED, CollectionPlan, Needs, Retention, plan_collection
from cowork.engine.keeping_ports import KeptItem, KeptKind
from cowork.engine.limits import KEEP_DAYS_MAX

NOW = datetime(2030, 6, 1, tzinfo=UTC)
OLD = NOW - timedelta(days=1000)
BLOBS = [f"sha256:{hashlib.sha256(b'%d' % n).hexdigest()}" for n in range(8)]


class Work(msgspec.Struct, frozen=True):
    """A task: when the last thing happened in it, whether it is over, what it names, what it deleted."""

    number: int
    days_ago: int
    is_open: bool
    writes: tuple[int, ...] = ()
    reads: tuple[int, ...] = ()
    deletes: int = 0
    child: str = ""
    child_is_open: bool = False
    undoes: int | None = None

    @property
    def task_id(self) -> str:
        return f"task-{self.number}"

    @property
    def at(self) -> datetime:
        return NOW - timedelta(days=self.days_ago)

    @property
    def still_open(self) -> bool:
        return self.is_open or (bool(self.child) and self.child_is_open)

    def actions(self) -> Iterator[tuple[str, Event]]:
        """Yield the outcome of each action with the task that it is of."""
        names = [self.task_id, f"{self.task_id}-s1"] if self.child else [self.task_id]
        for task_id in names:
            yield from self._actions(task_id)

    def _actions(self, task_id: str) -> Iterator[tuple[str, Event]]:
        place = Location("grant-1", "a.txt")
        for n in self.writes:
            effect = Effect(change="update", at=place, kept=f"blob:{BLOBS[n]}")
            yield task_id, self._done(f"{task_id}.{n}", (effect,), None)
        for n in self.reads:
            yield task_id, self._done(f"{task_id}.1{n}", (), Result(summary="read", digest=BLOBS[n]))
        for n in range(self.deletes):
            action_id = f"{task_id}.2{n}"
            effect = Effect(change="delete", at=place, kept=f"quarantine:{mark_of_attempt(action_id, 1)}")
            yield task_id, self._done(action_id, (effect,), None)

    def _done(self, action_id: str, effects: tuple[Effect, ...], result: Result | None) -> Event:
        task_id = action_id.partition(".")[0]
        return ActionSucceeded(
            task_id=task_id, action_id=action_id, digest="", attempt=1, effects=effects, result=result
        )

    def needs(self) -> set[str]:
        names = {BLOBS[n] for n in (*self.writes, *self.reads)}
        for task_id in [self.task_id, f"{self.task_id}-s1"] if self.child else [self.task_id]:
            names |= {mark_of_attempt(f"{task_id}.2{n}", 1) for n in range(self.deletes)}
        return names


def history(works: list[Work]) -> Iterator[Recorded[Event]]:
    position = 0
    for work in works:
        undoes = "" if work.undoes is None else f"task-{work.undoes}.3"
        ids = [work.task_id, f"{work.task_id}-s1"] if work.child else [work.task_id]
        events: list[tuple[str, Event]] = []
        for task_id in ids:
            queued = TaskQueued(task_id=task_id, session_id="session-1", title="work", undoes=undoes)
            events.append((task_id, queued))
        for task_id, done in work.actions():
            assert isinstance(done, ActionSucceeded)
            started = ActionStarted(task_id=task_id, action_id=done.action_id, digest="", attempt=1)
            events += [(task_id, started), (task_id, done)]
        if work.child and not work.child_is_open:
            events.append((ids[1], TaskCancelled(task_id=ids[1])))
        last: Event = (
            TaskPaused(task_id=work.task_id, reason="") if work.is_open else TaskCompleted(task_id=work.task_id)
        )
        events.append((work.task_id, last))
        for stream, event in events:
            position += 1
            yield recorded(position, stream, event, work.at)


def recorded(position: int, stream: str, event: Event, at: datetime = NOW) -> Recorded[Event]:
    origin = Origin(actor="engine", cause="test", command_id="command-1", at=at)
    return Recorded(position=position, stream=stream, version=position, origin=origin, event=event)


@st.composite
def all_works(draw: st.DrawFn) -> list[Work]:
    count = draw(st.integers(0, 6))
    blobs = st.lists(st.integers(0, len(BLOBS) - 1), max_size=3).map(tuple)
    return [
        Work(
            number=number,
            days_ago=draw(st.integers(0, 40)),
            is_open=draw(st.booleans()),
            writes=draw(blobs),
            reads=draw(blobs),
            deletes=draw(st.integers(0, 2)),
            child=draw(st.sampled_from(["", "one"])),
            child_is_open=draw(st.booleans()),
            undoes=draw(st.none() | st.integers(0, 5)),
        )
        for number in range(count)
    ]


@st.composite
def all_contents(draw: st.DrawFn, works: list[Work]) -> list[KeptItem]:
    """Some of the blobs, some of what was deleted, and deleted things that nothing on record knows."""
    deleted = sorted({name for work in works for name in work.needs() if not name.startswith("sha256:")})
    unknown = [mark_of_attempt("task-unknown.1", n) for n in range(2)]
    items: list[KeptItem] = []
    for name in (*BLOBS, *deleted, *unknown):
        if draw(st.booleans()):
            touched_at = draw(st.sampled_from([OLD, NOW - timedelta(days=15), NOW - timedelta(minutes=5)]))
            kind: KeptKind = "blob" if name.startswith("sha256:") else "quarantine"
            size = draw(st.integers(0, 100))
            items.append(KeptItem(kind=kind, name=name, size=size, touched_at=touched_at))
    return items


def planned(
    works: list[Work], contents: list[KeptItem], retention: Retention, areas: tuple[KeptItem, ...] = ()
) -> CollectionPlan:
    needs = Needs(frozenset(item.name for item in contents))
    for one in history(works):
        needs.on(one)
    return plan_collection(needs, contents, areas, retention, NOW)


@settings(max_examples=600, deadline=None)
@given(data=st.data(), keep_days=st.integers(0, 45), bytes_max=st.integers(0, 600))
def test_what_is_needed_stays_and_what_is_not_goes(data: st.DataObject, keep_days: int, bytes_max: int) -> None:
    works = data.draw(all_works())
    contents = data.draw(all_contents(works))
    plan = planned(works, contents, Retention(keep_days, bytes_max))
    going = {item.name for item in plan.items}
    undone = {f"task-{work.undoes}" for work in works if work.still_open and work.undoes is not None}
    held = [work for work in works if work.still_open or work.task_id in undone]
    ended = [work for work in works if work not in held]

    # Nothing that an open task needs, or one that is being undone, and nothing that was touched a moment ago.
    assert not going & {name for work in held for name in work.needs()}
    assert all(item.touched_at <= NOW - UNTOUCHED for item in plan.items)

    # What ended later than the record says is whole.
    last = plan.ended_up_to
    kept = [work for work in ended if last is None or work.at > last]
    assert not going & {name for work in kept for name in work.needs()}
    assert {loss.task_id for loss in plan.losses} <= {work.task_id for work in ended if work not in kept}

    # What is too old is kept no longer, and everything that nothing needs goes.
    assert all(work.at > NOW - timedelta(days=keep_days) for work in kept)
    needed = {name for work in (*held, *kept) for name in work.needs()}
    known = {name for work in works for name in work.needs()}
    for item in contents:
        too_young = item.touched_at > NOW - UNTOUCHED
        strange = item.kind == "quarantine" and item.name not in known
        too_young |= strange and item.touched_at > NOW - timedelta(days=keep_days)
        assert (item.name in going) == (item.name not in needed and not too_young)

    # The cap is met as long as any ended task has something left to give, and no task gives that need not have.
    left = sum(item.size for item in contents if item.name not in going)
    assert (plan.left_bytes, plan.freed_bytes) == (left, sum(item.size for item in contents) - left)
    assert plan.is_within_cap == (left <= bytes_max)
    assert plan.is_within_cap or not kept
    by_size = sorted(work.at for work in ended if work not in kept and work.at > NOW - timedelta(days=keep_days))
    if by_size:
        spared = {name for work in works if work.at == by_size[-1] for name in work.needs()}
        assert left + sum(item.size for item in contents if item.name in going & spared) > bytes_max


ALL = Retention(keep_days=0, bytes_max=10**12)
BLOB = KeptItem(kind="blob", name=BLOBS[0], size=10, touched_at=OLD)


@pytest.mark.parametrize("keep_days", [730_000, 999_999, KEEP_DAYS_MAX])
def test_more_days_than_the_calendar_has_keep_everything(keep_days: int) -> None:
    works = [Work(number=1, days_ago=5000, is_open=False, writes=(0,))]
    assert [item.name for item in planned(works, [BLOB], ALL).items] == [BLOB.name]
    assert planned(works, [BLOB], Retention(keep_days, 10**12)).items == ()


def test_an_attempt_that_is_under_way_keeps_what_its_task_needs_after_the_task_was_cancelled() -> None:
    ended = Work(number=1, days_ago=500, is_open=False, writes=(0,))
    events = list(history([ended]))
    needs = Needs(frozenset([BLOB.name]))
    for one in events:
        needs.on(one)
    started = ActionStarted(task_id="task-1", action_id="task-1.9", digest="", attempt=1)
    needs.on(recorded(99, "task-1", started))
    assert plan_collection(needs, [BLOB], (), ALL, NOW).items == ()


def test_what_an_attempt_took_away_before_a_crash_is_kept_under_the_name_that_follows_from_it() -> None:
    item = KeptItem(kind="quarantine", name=mark_of_attempt("task-1.1", 2), size=1, touched_at=OLD)
    needs = Needs(frozenset([item.name]))
    queued = TaskQueued(task_id="task-1", session_id="session-1", title="t")
    started = ActionStarted(task_id="task-1", action_id="task-1.1", digest="", attempt=2)
    for position, event in enumerate((queued, started), start=1):
        needs.on(recorded(position, "task-1", event, OLD))
    assert plan_collection(needs, [item], (), ALL, NOW).items == ()


def test_whatever_field_of_a_tasks_event_names_a_digest_keeps_it() -> None:
    action = FileWrite(at=Location("grant-1", "a"), content=Content(BLOBS[0], 10))
    event = ActionProposed(
        task_id="task-1", action_id="task-1.1", step_id="s", action=action, digest="", proposed_by="agent:plan"
    )
    needs = Needs(frozenset([BLOB.name]))
    needs.on(recorded(1, "task-1", TaskQueued(task_id="task-1", session_id="session-1", title="t"), OLD))
    needs.on(recorded(2, "task-1", event, OLD))
    assert plan_collection(needs, [BLOB], (), ALL, NOW).items == ()


def test_what_is_named_outside_of_tasks_is_kept_for_ever() -> None:
    needs = Needs(frozenset([BLOB.name]))
    needs.on(recorded(1, "policy-1", DocumentStored(digest=BLOB.name, source="{}"), OLD))
    assert plan_collection(needs, [BLOB], (), Retention(0, 0), NOW).items == ()


def test_what_was_deleted_in_a_folder_is_looked_for_there() -> None:
    name = mark_of_attempt("task-1.20", 1)
    needs = Needs(frozenset())
    granted = FolderGranted(
        grant_id="grant-1",
        session_id="session-1",
        name="work",
        root_path="/work",
        verbs=VERBS,
        identity=FolderIdentity(1, 2),
    )
    needs.on(recorded(1, "grant-1", granted))
    for one in history([Work(number=1, days_ago=9, is_open=False, deletes=1)]):
        needs.on(one)
    ((found, folder),) = needs.deleted_in_folders().items()
    assert (found, folder.root_path, folder.identity) == (name, "/work", FolderIdentity(1, 2))


@pytest.mark.parametrize(
    ("name", "hours", "goes"),
    [
        ("task-1.1", 5, True),
        ("task-1-s1.4", 5, True),
        ("task-1.1", 1, False),
        ("task-2.1", 5, False),
        ("task-3.1", 5, False),
        ("self-test-77-1", 5, True),
        ("self-test-77-1", 1, False),
    ],
)
def test_an_area_goes_when_its_task_has_ended_or_its_self_test_is_long_over(name: str, hours: int, goes: bool) -> None:
    works = [Work(number=1, days_ago=1, is_open=False), Work(number=2, days_ago=1, is_open=True)]
    area = KeptItem(kind="area", name=name, size=5, touched_at=NOW - timedelta(hours=hours))
    plan = planned(works, [], Retention(90, 10**12), (area,))
    assert plan.items == ((area,) if goes else ())
    assert plan.freed_bytes == 0


def test_what_an_earlier_collection_had_begun_to_remove_goes() -> None:
    item = KeptItem(kind="quarantine", name="0" * 24 + ".going", size=7, touched_at=NOW, going=True)
    plan = planned([], [item], Retention(90, 10**12))
    assert (plan.items, plan.freed_bytes, plan.left_bytes) == ((item,), 7, 0)


def test_tasks_that_ended_at_the_same_moment_go_together() -> None:
    works = [Work(number=n, days_ago=3 if n < 2 else 1, is_open=False, writes=(n,)) for n in range(3)]
    contents = [KeptItem(kind="blob", name=BLOBS[n], size=10, touched_at=OLD) for n in range(3)]
    # One of the two would be enough; the record names a moment, and what ended by then is kept no longer.
    plan = planned(works, contents, Retention(keep_days=90, bytes_max=20))
    assert [loss.task_id for loss in plan.losses] == ["task-0", "task-1"]
    assert (plan.ended_up_to, plan.left_bytes) == (works[0].at, 10)
