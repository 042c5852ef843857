"""What the store has to keep, from the log alone: which bytes some task still needs, and whose go first.

Nothing is read or removed here: what there is comes as values, and what is to go is returned as values.

A task and its subagents' tasks are one tree, which is open until all of them have ended and no attempt is under way.
An open tree needs whatever its events name. So does an ended one, for as long as it is kept. Every digest and every
name in quarantine that an event holds counts as needed, whichever field it is in: what is not understood is kept,
rather than lost.
"""

import heapq
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, Literal, get_args

import msgspec

from ..domain.approvals import ApprovalEvent
from ..domain.attempt import mark_of_attempt
from ..domain.confirmation import ConfirmationEvent, ConfirmationRequested
from ..domain.event import Event, Recorded
from ..domain.grant import FolderGranted
from ..domain.ids import root_task_id
from ..domain.scope import FolderScope
from ..domain.subagent import SubagentSpawned
from ..domain.task import (
    ActionFailed,
    ActionOutcomeUnknown,
    ActionStarted,
    ActionSucceeded,
    EndEvent,
    TaskEvent,
    TaskQueued,
)
from ..domain.topics import KeepingEvent
from .keeping_ports import KeptItem
from .limits import COLLECT_UNTOUCHED_S_MIN

UNTOUCHED: Final = timedelta(seconds=2 * COLLECT_UNTOUCHED_S_MIN)
"""How long nothing that is collected was touched: more than is promised, since a touch is not made every time."""

_NAMED: Final = re.compile(rb"sha256:[0-9a-f]{64}|(?<=quarantine:)[0-9a-f]{24}")
_QUARANTINE: Final = "quarantine:"
_SELF_TEST: Final = "self-test"
_TASK: Final = frozenset(get_args(TaskEvent))
_NEEDS_NOTHING: Final = frozenset((*get_args(ApprovalEvent), *get_args(ConfirmationEvent), *get_args(KeepingEvent)))
"""Events whose digests are those of questions, actions and scopes."""

_ENDS: Final = frozenset(get_args(EndEvent))


class Retention(msgspec.Struct, frozen=True):
    """For how many days an ended task's bytes are kept, and how many bytes may be kept in all."""

    keep_days: int
    bytes_max: int


class Tree(msgspec.Struct):
    """A task with all its subagents' tasks. `needs` are digests of blobs and names in quarantine."""

    task_id: str
    title: str = ""
    touched_at: datetime | None = None
    open_tasks: set[str] = msgspec.field(default_factory=set)
    attempts: set[str] = msgspec.field(default_factory=set)
    needs: set[str] = msgspec.field(default_factory=set)
    undoes: set[str] = msgspec.field(default_factory=set)

    @property
    def is_open(self) -> bool:
        """Whether anything may still happen in it."""
        return bool(self.open_tasks or self.attempts)


class Needs:
    """Folds the log into what every task needs of the things that are there: digests and names in quarantine."""

    def __init__(self, there: Collection[str]) -> None:
        self.position = 0
        self.trees: dict[str, Tree] = {}
        self.standing: set[str] = set()
        self.deleted: dict[str, str] = {}
        """Names in quarantine that are not among those asked about, each with the grant that it was deleted under."""
        self.folders: dict[str, FolderScope] = {}
        self._there = there
        self._encode = msgspec.json.Encoder().encode

    def on(self, recorded: Recorded[Event]) -> None:
        """Take an event in."""
        self.position = recorded.position
        event = recorded.event
        if isinstance(event, FolderGranted):
            self.folders[event.grant_id] = FolderScope(
                grant_id=event.grant_id,
                name=event.name,
                root_path=event.root_path,
                verbs=event.verbs,
                identity=event.identity,
            )
        elif type(event) in _TASK:
            self._of_task(recorded)
        elif isinstance(event, ConfirmationRequested | SubagentSpawned):
            self._tree(event.task_id).needs.update(self._named(event))
        elif type(event) not in _NEEDS_NOTHING:
            self.standing.update(self._named(event))

    def _of_task(self, recorded: Recorded[Event]) -> None:
        event, task_id = recorded.event, recorded.stream
        tree = self._tree(task_id)
        tree.needs.update(self._named(event))
        tree.touched_at = recorded.origin.at
        match event:
            case TaskQueued(title=title, undoes=undone):
                tree.open_tasks.add(task_id)
                if task_id == tree.task_id:
                    tree.title = title
                if undone:
                    tree.undoes.add(root_task_id(undone.partition(".")[0]))
            case ActionStarted(action_id=action_id, attempt=attempt):
                tree.attempts.add(action_id)
                mark = mark_of_attempt(action_id, attempt)
                if mark in self._there:
                    tree.needs.add(mark)
            case ActionSucceeded(action_id=action_id, effects=effects):
                tree.attempts.discard(action_id)
                for effect in effects:
                    if effect.kept.startswith(_QUARANTINE):
                        self._delete(tree, effect.kept.removeprefix(_QUARANTINE), effect.at.grant_id)
            case ActionFailed(action_id=action_id) | ActionOutcomeUnknown(action_id=action_id):
                tree.attempts.discard(action_id)
            case _ if type(event) in _ENDS:
                tree.open_tasks.discard(task_id)
            case _:
                pass

    def _tree(self, task_id: str) -> Tree:
        root = root_task_id(task_id)
        return self.trees.setdefault(root, Tree(root))

    def _delete(self, tree: Tree, name: str, grant_id: str) -> None:
        tree.needs.add(name)
        if name not in self._there:
            self.deleted[name] = grant_id

    def _named(self, event: Event) -> Iterator[str]:
        """Yield the digests and names in quarantine of things that are there which the event says."""
        for name in _NAMED.findall(self._encode(event)):
            text = name.decode()
            if text in self._there:
                yield text

    def deleted_in_folders(self) -> dict[str, FolderScope]:
        """Return the names that may be in the quarantine of a granted folder, each with that folder."""
        return {name: self.folders[grant] for name, grant in self.deleted.items() if grant in self.folders}

    def kept_trees(self, ended_up_to: datetime | None) -> Iterator[Tree]:
        """Yield the trees that are kept: open ones, those that one undoes, and those that ended later than that."""
        undone = self.undone()
        for tree in self.trees.values():
            if tree.is_open or tree.task_id in undone or ended_up_to is None or _ended_at(tree) > ended_up_to:
                yield tree

    def undone(self) -> set[str]:
        """Return the trees that an open one undoes."""
        return {undone for tree in self.trees.values() if tree.is_open for undone in tree.undoes}

    def needed(self, ended_up_to: datetime | None) -> set[str]:
        """Return the names of all that has to be kept when tasks that ended by then are not."""
        needed = set(self.standing)
        for tree in self.kept_trees(ended_up_to):
            needed |= tree.needs
        return needed


class Loss(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A task that can't be undone whole from here on, and some of whose results are gone.

    `because` says whether its time is over or the store is too large. What several tasks need is counted with each.
    """

    task_id: str
    title: str
    ended_at: datetime
    because: Literal["age", "size"]
    blobs: int
    quarantined: int
    freed_bytes: int


class CollectionPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What is to go and what is left then, in bytes of contents and deleted files together."""

    retention: Retention
    untouched_since: datetime
    ended_up_to: datetime | None
    items: tuple[KeptItem, ...]
    losses: tuple[Loss, ...]
    unreferenced: int
    freed_bytes: int
    left_bytes: int
    too_new_bytes: int

    @property
    def is_within_cap(self) -> bool:
        """Whether what is left is no more than may be kept."""
        return self.left_bytes <= self.retention.bytes_max

    def count(self, kind: str) -> int:
        """Return how many things of a kind are to go."""
        return sum(item.kind == kind for item in self.items)


def plan_collection(
    needs: Needs, contents: Sequence[KeptItem], areas: Iterable[KeptItem], retention: Retention, now: datetime
) -> CollectionPlan:
    """Return what is to go.

    `contents` are all blobs and all that is in quarantine, each once. First goes what belongs to nothing, then what
    belongs to tasks that ended long enough ago; where more is left than may be kept, the oldest ended tasks' goes.
    """
    untouched_since = now - UNTOUCHED
    choice = _Choice(needs, contents, retention, now)
    dropped = choice.by_age()
    dropped |= choice.by_size()
    going = [item for item in contents if item.going or choice.goes(item)]
    by_name = {item.name: item for item in going}
    losses = [_loss(needs.trees[name], because, by_name) for name, because in dropped.items()]
    ended = [_ended_at(needs.trees[name]) for name in dropped]
    return CollectionPlan(
        retention=retention,
        untouched_since=untouched_since,
        ended_up_to=max(ended, default=None),
        items=(*going, *(area for area in areas if _is_left_over(area, needs, untouched_since))),
        losses=tuple(one for one in losses if one.blobs or one.quarantined),
        unreferenced=choice.unreferenced(going),
        freed_bytes=sum(item.size for item in going),
        left_bytes=sum(item.size for item in contents) - sum(item.size for item in going),
        too_new_bytes=sum(item.size for item in contents if not item.going and choice.is_too_new(item)),
    )


def _days_before(now: datetime, days: int) -> datetime:
    """Return the time so many days ago, or the first that there is: so many days are said for `for ever`."""
    try:
        return now - timedelta(days=days)
    except OverflowError:
        return datetime.min.replace(tzinfo=now.tzinfo)


class _Choice:
    """Chooses the trees that are kept no longer, and keeps count of who needs what."""

    def __init__(self, needs: Needs, contents: Sequence[KeptItem], retention: Retention, now: datetime) -> None:
        self._needs = needs
        self._items = {item.name: item for item in contents if not item.going}
        self._retention = retention
        self._old = _days_before(now, retention.keep_days)
        self._untouched_since = now - UNTOUCHED
        self._needers: Counter[str] = Counter(needs.standing)
        for tree in needs.trees.values():
            self._needers.update(tree.needs)
        self._known = frozenset(self._needers)
        undone = needs.undone()
        ended = (tree for tree in needs.trees.values() if not tree.is_open and tree.task_id not in undone)
        self._queue = [(_ended_at(tree), tree.task_id) for tree in ended]
        heapq.heapify(self._queue)

    def is_too_new(self, item: KeptItem) -> bool:
        """Whether nothing that is on record needs it, and somebody may be about to."""
        return self._needers[item.name] <= 0 and item.touched_at > self._untouched_since

    def goes(self, item: KeptItem) -> bool:
        """Whether nothing needs it, and nobody may be about to."""
        if self._needers[item.name] > 0 or item.touched_at > self._untouched_since:
            return False
        # What was deleted without any trace in the log is kept as long as an ended task's: it may be all there is.
        return item.kind != "quarantine" or item.name in self._known or item.touched_at <= self._old

    def by_age(self) -> dict[str, Literal["age", "size"]]:
        """Drop the trees that ended long enough ago."""
        dropped: dict[str, Literal["age", "size"]] = {}
        while self._queue and self._queue[0][0] <= self._old:
            dropped[self._drop()] = "age"
        return dropped

    def by_size(self) -> dict[str, Literal["age", "size"]]:
        """Drop the oldest ended trees until what is left is within the cap, or there is none left."""
        dropped: dict[str, Literal["age", "size"]] = {}
        left = sum(item.size for item in self._items.values() if not self.goes(item))
        last: datetime | None = None
        # Those that ended at the very same moment go together: the record names a moment.
        while self._queue and (left > self._retention.bytes_max or self._queue[0][0] == last):
            last, name = self._queue[0]
            before = [item for item in self._needed_items(name) if not self.goes(item)]
            dropped[self._drop()] = "size"
            left -= sum(item.size for item in before if self.goes(item))
        return dropped

    def _needed_items(self, name: str) -> Iterator[KeptItem]:
        for need in self._needs.trees[name].needs:
            item = self._items.get(need)
            if item is not None:
                yield item

    def _drop(self) -> str:
        _, name = heapq.heappop(self._queue)
        self._needers.subtract(self._needs.trees[name].needs)
        return name

    def unreferenced(self, going: Iterable[KeptItem]) -> int:
        """Return how many of the blobs belong to nothing on record."""
        return sum(item.kind == "blob" and item.name not in self._known for item in going)


def _loss(tree: Tree, because: Literal["age", "size"], going: Mapping[str, KeptItem]) -> Loss:
    lost = [going[name] for name in tree.needs if name in going]
    return Loss(
        task_id=tree.task_id,
        title=tree.title,
        ended_at=_ended_at(tree),
        because=because,
        blobs=sum(item.kind == "blob" for item in lost),
        quarantined=sum(item.kind == "quarantine" for item in lost),
        freed_bytes=sum(item.size for item in lost),
    )


def _is_left_over(area: KeptItem, needs: Needs, untouched_since: datetime) -> bool:
    """Whether nobody works in an area any more: its task has ended, or it is a self test's, which takes seconds."""
    if area.touched_at > untouched_since:
        return False
    if area.name.startswith(_SELF_TEST):
        return True
    tree = needs.trees.get(root_task_id(area.name.partition(".")[0]))
    return tree is not None and not tree.is_open


def _ended_at(tree: Tree) -> datetime:
    assert tree.touched_at is not None, f"nothing happened in {tree.task_id}"
    return tree.touched_at
