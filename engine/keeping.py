"""What the store keeps and what it lets go of: a look, a collection, and why something is no longer there."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

import anyio.to_thread
import msgspec

from ..domain.action import SubagentSpawn
from ..domain.errors import DomainError
from ..domain.ids import child_task_id, root_task_id
from ..domain.retention import STORE_STREAM, CollectionFinished, CollectionStarted, FinishCollection, StartCollection
from ..domain.task import ActionProposed, EndEvent
from . import limits
from .collecting import CollectionPlan, Loss, Needs, Retention, plan_collection
from .command_handler import CommandHandler, order_store
from .keeping_ports import Collector, KeptItem, QuarantineCollector, StorePart, StoreSizes
from .ports import Clock, EventStore, TaskLocks
from .undo_report import UndoReport

__all__ = ["CollectionReport", "Collectors", "Keeping", "Loss", "Retention", "StoreStatus", "TaskShare"]

_LOCK: Final = "collection"
_PROBLEMS_MAX: Final = 20


class Collectors(msgspec.Struct, frozen=True):
    """Who finds and removes what, and who measures the store."""

    blobs: Collector
    quarantine: QuarantineCollector
    areas: Collector
    sizes: StoreSizes


class CollectionReport(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What a collection removed, or would remove (`dry_run`): contents, deleted files, what dead commands left.

    `tasks` lose something: what they did can't be undone whole any more. `ended_up_to` is when the last of those ended
    whose bytes are no longer kept. `unreferenced` counts the contents among `blobs` that belonged to nothing. `spared`
    was needed again, or touched, by the time that it was to go. `too_new_bytes` are needed by nothing and were put or
    asked for within the last two hours: they go later. Where more than `bytes_max` is left, it belongs to
    tasks that are open, or was put a short while ago. `problems` are sentences about what could not be removed.
    """

    dry_run: bool
    at: datetime
    keep_days: int
    bytes_max: int
    ended_up_to: datetime | None
    tasks: tuple[Loss, ...]
    blobs: int
    quarantined: int
    leftovers: int
    unreferenced: int
    freed_bytes: int
    left_bytes: int
    too_new_bytes: int
    within_bytes_max: bool
    spared: int = 0
    problems: tuple[str, ...] = ()


class TaskShare(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How much of the store a task and its subagents need. What several tasks need is counted with each."""

    task_id: str
    title: str
    open: bool
    last_event_at: datetime | None
    needed_bytes: int


class StoreStatus(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How large the store is: its parts on the disk, what the contents are needed for, and what is kept how long.

    `tasks` are the largest, the largest first. `deleted_in_folders_bytes` lie in granted folders on other disks.
    """

    folder: str = ""
    parts: tuple[StorePart, ...]
    deleted_in_folders_bytes: int
    tasks: tuple[TaskShare, ...]
    keep_days: int
    bytes_max: int


class Keeping:
    """Looks after what the store keeps. One per process."""

    def __init__(
        self,
        *,
        store: EventStore,
        handler: CommandHandler,
        locks: TaskLocks,
        clock: Clock,
        collectors: Callable[[], Collectors] | None,
    ) -> None:
        self._store = store
        self._handler = handler
        self._locks = locks
        self._clock = clock
        self._make = collectors
        self._made: Collectors | None = None

    # Collecting

    async def plan(self, retention: Retention) -> CollectionPlan:
        """Return what a collection would remove now. Raises `DomainError` unavailable where nothing is collected."""
        _, plan = await self._planned(retention)
        return plan

    async def look(self, retention: Retention) -> CollectionReport:
        """Return what `collect` would report, removing nothing."""
        plan = await self.plan(retention)
        return _report(plan, self._clock.now(), dry_run=True)

    async def collect(self, retention: Retention, *, by: str) -> CollectionReport:
        """Remove what nothing needs any more, and what is over the retention.

        What is to go is on record before the first of it does. Broken off at any point, the next one goes on. Raises
        `DomainError` unavailable where another process is collecting.
        """
        with self._locks.hold(_LOCK) as mine:
            if not mine:
                raise DomainError("unavailable", "another process is collecting already", "wait for it")
            needs, plan = await self._planned(retention)
            if not plan.items:
                return _report(plan, self._clock.now(), dry_run=False)
            started = order_store(StartCollection(_started(plan)))
            await self._handler.execute(started, actor=by, cause="store gc")
            removal = _Removal(self._store, self._parts(), needs, plan)
            await removal.run()
            finished = removal.finished()
            await self._handler.execute(order_store(FinishCollection(finished)), actor=by, cause="store gc")
            return _report(plan, self._clock.now(), dry_run=False, finished=finished, problems=removal.problems)

    def _parts(self) -> Collectors:
        if self._made is None:
            if self._make is None:
                raise DomainError("unavailable", "nothing is kept here that could be collected")
            # Most runs of the program collect nothing: what does is loaded when it is needed.
            self._made = self._make()
        return self._made

    async def _planned(self, retention: Retention) -> tuple[Needs, CollectionPlan]:
        parts = self._parts()
        now = self._clock.now()
        contents, areas = await anyio.to_thread.run_sync(_there, parts)
        needs = Needs(frozenset(item.name for item in contents))
        read_on(self._store, needs)
        wanted = needs.deleted_in_folders()
        contents += await anyio.to_thread.run_sync(lambda: list(parts.quarantine.kept_in_folders(wanted)))
        return needs, plan_collection(needs, contents, areas, retention, now)

    # Looking

    async def status(self, retention: Retention, *, tasks_max: int) -> StoreStatus:
        """Return how large the store is, and which tasks need most of it."""
        parts = self._parts()
        contents, _ = await anyio.to_thread.run_sync(_there, parts)
        needs = Needs(frozenset(item.name for item in contents))
        read_on(self._store, needs)
        wanted = needs.deleted_in_folders()
        in_folders = await anyio.to_thread.run_sync(lambda: list(parts.quarantine.kept_in_folders(wanted)))
        sizes = {item.name: item.size for item in (*contents, *in_folders)}
        shares = [
            TaskShare(
                task_id=tree.task_id,
                title=tree.title,
                open=tree.is_open,
                last_event_at=tree.touched_at,
                needed_bytes=sum(sizes.get(name, 0) for name in tree.needs),
            )
            for tree in needs.trees.values()
        ]
        shares.sort(key=lambda share: (-share.needed_bytes, share.task_id))
        return StoreStatus(
            parts=await anyio.to_thread.run_sync(parts.sizes.parts),
            deleted_in_folders_bytes=sum(item.size for item in in_folders),
            tasks=tuple(share for share in shares[:tasks_max] if share.needed_bytes),
            keep_days=retention.keep_days,
            bytes_max=retention.bytes_max,
        )

    def why_gone(self, task_id: str) -> str:
        """Return since when the bytes of a task are no longer kept, in a sentence; empty where they should be there."""
        ended_at = self._ended_at(task_id)
        if ended_at is None:
            return ""
        for recorded in self._store.read_stream(STORE_STREAM):
            match recorded.event:
                case CollectionStarted(ended_up_to=datetime() as last) if ended_at <= last:
                    return (
                        f"{GONE} since {recorded.origin.at:%Y-%m-%d}: task `{root_task_id(task_id)}` ended on"
                        f" {ended_at:%Y-%m-%d}, and `cowork store gc` let go of it"
                    )
                case _:
                    continue
        return ""

    def _ended_at(self, task_id: str) -> datetime | None:
        """Return when the last thing happened in a task and its subagents' tasks; None where one of them is open."""
        ended_at: datetime | None = None
        waiting = [str(root_task_id(task_id))]
        while waiting:
            name = waiting.pop()
            events = self._store.read_stream(name)
            if not events:
                continue
            if not any(isinstance(recorded.event, EndEvent) for recorded in events):
                return None
            ended_at = max(events[-1].origin.at, ended_at or events[-1].origin.at)
            spawns = (one.event for one in events if isinstance(one.event, ActionProposed))
            waiting += [str(child_task_id(one.action_id)) for one in spawns if _is_spawn(one)]
        return ended_at


GONE: Final = "no longer kept"
"""How every sentence about bytes that went begins or ends."""


def explained(report: UndoReport, why: str) -> UndoReport:
    """Return the report of an undo; what it says is no longer kept, it says since when, where `why` does."""
    if not why:
        return report
    lines = (msgspec.structs.replace(line, reason=line.reason.replace(GONE, why)) for line in report.lines)
    return msgspec.structs.replace(report, lines=tuple(lines))


def read_on(store: EventStore, needs: Needs) -> bool:
    """Take in what the log has after what was taken in; return whether there was anything."""
    before = needs.position
    while page := store.read_log(after=needs.position, limit=limits.CATCH_UP_PAGE_EVENTS):
        for recorded in page:
            needs.on(recorded)
    return needs.position > before


class _Removal:
    """Removes what a plan names, looking again now and then whether something is needed after all."""

    def __init__(self, store: EventStore, parts: Collectors, needs: Needs, plan: CollectionPlan) -> None:
        self._store = store
        self._of: dict[str, Collector] = {one.kind: one for one in (parts.blobs, parts.quarantine, parts.areas)}
        self._needs = needs
        self._plan = plan
        self._gone: list[KeptItem] = []
        self._spared = 0
        self.problems: list[str] = []

    async def run(self) -> None:
        """Remove everything that can be."""
        items = self._plan.items
        needed = self._needs.needed(self._plan.ended_up_to)
        for start in range(0, len(items), limits.COLLECT_BATCH):
            if read_on(self._store, self._needs):
                needed = self._needs.needed(self._plan.ended_up_to)
            batch = items[start : start + limits.COLLECT_BATCH]
            unneeded = [item for item in batch if item.going or item.name not in needed]
            self._spared += len(batch) - len(unneeded)
            await anyio.to_thread.run_sync(self._remove, unneeded)

    def _remove(self, batch: Sequence[KeptItem]) -> None:
        for item in batch:
            try:
                if self._of[item.kind].remove(item, untouched_since=self._plan.untouched_since):
                    self._gone.append(item)
                    continue
            except DomainError as error:
                if len(self.problems) < _PROBLEMS_MAX:
                    self.problems.append(error.message)
            self._spared += 1

    def finished(self) -> CollectionFinished:
        """Return what went."""
        counts = {kind: sum(item.kind == kind for item in self._gone) for kind in self._of}
        freed = sum(item.size for item in self._gone if item.kind != "area")
        return CollectionFinished(
            blobs=counts["blob"],
            quarantined=counts["quarantine"],
            leftovers=counts["area"],
            freed_bytes=freed,
            spared=self._spared,
            left_bytes=self._plan.left_bytes + self._plan.freed_bytes - freed,
        )


def _is_spawn(event: ActionProposed) -> bool:
    return isinstance(event.action, SubagentSpawn)


def _there(parts: Collectors) -> tuple[list[KeptItem], list[KeptItem]]:
    return [*parts.blobs.kept(), *parts.quarantine.kept()], list(parts.areas.kept())


def _started(plan: CollectionPlan) -> CollectionStarted:
    return CollectionStarted(
        ended_up_to=plan.ended_up_to,
        keep_days=plan.retention.keep_days,
        bytes_max=plan.retention.bytes_max,
        tasks=len(plan.losses),
        blobs=plan.count("blob"),
        quarantined=plan.count("quarantine"),
        leftovers=plan.count("area"),
        freed_bytes=plan.freed_bytes,
        unreferenced=plan.unreferenced,
    )


def _report(
    plan: CollectionPlan,
    at: datetime,
    *,
    dry_run: bool,
    finished: CollectionFinished | None = None,
    problems: Sequence[str] = (),
) -> CollectionReport:
    """Return the report of a plan, or of what came of it."""
    left = plan.left_bytes if finished is None else finished.left_bytes
    return CollectionReport(
        dry_run=dry_run,
        at=at,
        keep_days=plan.retention.keep_days,
        bytes_max=plan.retention.bytes_max,
        ended_up_to=plan.ended_up_to,
        tasks=plan.losses,
        blobs=plan.count("blob") if finished is None else finished.blobs,
        quarantined=plan.count("quarantine") if finished is None else finished.quarantined,
        leftovers=plan.count("area") if finished is None else finished.leftovers,
        unreferenced=plan.unreferenced,
        freed_bytes=plan.freed_bytes if finished is None else finished.freed_bytes,
        left_bytes=left,
        too_new_bytes=plan.too_new_bytes,
        within_bytes_max=left <= plan.retention.bytes_max,
        spared=0 if finished is None else finished.spared,
        problems=tuple(problems),
    )
