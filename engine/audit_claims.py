"""Invariant 12: two agents of one task never write at the same place, unless a person said so of that very action.

A folder stands for all that is in it. What a task claimed is its own until it has ended; only its subagents may go on
with what it has finished writing.
"""

from collections.abc import Iterable, Iterator

from ..domain.action import Action, Location
from ..domain.action_invariant import required_verbs
from ..domain.facts import Facts
from ..domain.ids import root_task_id
from ..domain.path import components
from ..domain.task import PathsClaimed
from .audit_finding import Acting, Findings, Seen
from .audit_rights import Rights
from .audit_tree import Node

_Path = tuple[str, ...]


class _Held:
    """The places that the tasks of one tree have claimed: by place, and how many lie in each folder."""

    def __init__(self) -> None:
        self._of: dict[str, set[_Path]] = {}
        self._at: dict[_Path, set[str]] = {}
        self._inside: dict[_Path, dict[str, int]] = {}

    def holds(self, task_id: str, path: _Path) -> bool:
        """Whether the task has claimed this very place."""
        return path in self._of.get(task_id, ())

    def who(self, path: _Path) -> set[str]:
        """Return the tasks that have claimed the place, a folder above it or something in it."""
        above = {name for length in range(len(path) + 1) for name in self._at.get(path[:length], ())}
        return above.union(self._inside.get(path, ()))

    def add(self, task_id: str, path: _Path) -> None:
        """Note a claim."""
        if self.holds(task_id, path):
            return
        self._of.setdefault(task_id, set()).add(path)
        self._at.setdefault(path, set()).add(task_id)
        for length in range(len(path)):
            inside = self._inside.setdefault(path[:length], {})
            inside[task_id] = inside.get(task_id, 0) + 1

    def drop(self, task_id: str) -> None:
        """Let go of all that a task has claimed."""
        for path in self._of.pop(task_id, ()):
            _take(self._at, path, task_id)
            for length in range(len(path)):
                inside = self._inside[path[:length]]
                inside[task_id] -= 1
                if not inside[task_id]:
                    _take(self._inside, path[:length], task_id)


def _take(index: dict[_Path, set[str]] | dict[_Path, dict[str, int]], path: _Path, task_id: str) -> None:
    names = index[path]
    if isinstance(names, set):
        names.discard(task_id)
    else:
        names.pop(task_id, None)
    if not names:
        del index[path]


class Claims:
    """What the tasks of each tree have claimed, and write right now."""

    def __init__(self, findings: Findings, rights: Rights) -> None:
        self._findings = findings
        self._rights = rights
        self._trees: dict[str, _Held] = {}
        self._writing: dict[str, dict[str, tuple[_Path, ...]]] = {}

    def release(self, task_ids: Iterable[str]) -> None:
        """Let go of tasks whose tree is over."""
        for task_id in task_ids:
            self._trees.pop(task_id, None)
            self._writing.pop(task_id, None)

    def on_claimed(self, seen: Seen, event: PathsClaimed, action: Acting | None) -> None:
        """Fold a claim: it is about what the action that is about to start writes."""
        self._findings.count("claims")
        writes = () if action is None else tuple(at for at, _ in _written(action.action, Facts(now=seen.origin.at)))
        if not event.places or not set(event.places) <= set(writes):
            self._findings.add(12, seen, f"`{event.task_id}` claims what `{event.action_id}` does not write")
        held = self._trees.setdefault(root_task_id(event.task_id), _Held())
        for path in self._paths(event.places):
            held.add(event.task_id, path)

    def on_start(
        self, seen: Seen, node: Node, action_id: str, action: Action, facts: Facts, *, shown: frozenset[str]
    ) -> None:
        """Check what an action writes. `shown` are the other agents that a person knew of who said yes."""
        places = [at for at, verb in _written(action, facts) if verb]
        paths = tuple(self._paths(places))
        held = self._trees.setdefault(root_task_id(node.task_id), _Held())
        if node.above is not None or node.has_children:
            for path, place in zip(paths, places, strict=False):
                if not held.holds(node.task_id, path):
                    self._findings.add(12, seen, f"`{action_id}` writes `{place.path}` without having claimed it")
        other = next((name for path in paths for name in self._others(held, node, path) if name not in shown), "")
        if other:
            self._findings.add(12, seen, f"`{action_id}` writes where `{other}` does, and nobody was asked")
        if paths:
            self._writing.setdefault(node.task_id, {})[action_id] = paths

    def _others(self, held: _Held, node: Node, path: _Path) -> Iterator[str]:
        above = {one.task_id for one in node.upwards()}
        yield from sorted(held.who(path) - above)
        for name in above - {node.task_id}:
            if any(_meet(path, theirs) for paths in self._writing.get(name, {}).values() for theirs in paths):
                yield name

    def on_settled(self, task_id: str, action_id: str) -> None:
        """Note that an attempt is over."""
        self._writing.get(task_id, {}).pop(action_id, None)

    def on_ended(self, task_id: str) -> None:
        """Let go of what a task claimed that has ended."""
        held = self._trees.get(root_task_id(task_id))
        if held is not None:
            held.drop(task_id)

    def _paths(self, places: Iterable[Location]) -> Iterator[_Path]:
        for at in places:
            root = self._rights.root_of(at.grant_id)
            yield (*components(root), *components(at.path))


def _written(action: Action, facts: Facts) -> Iterator[tuple[Location, str]]:
    return ((at, verb) for at, verb in required_verbs(action, facts) if verb != "read")


def _meet(one: _Path, other: _Path) -> bool:
    return one[: len(other)] == other or other[: len(one)] == one
