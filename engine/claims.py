"""Who of a task's tree writes where: two agents never write at the same place unless a person says so.

What a task has claimed is in its own events. Here is the index over all live tasks of a tree, and what is about to be
claimed: an agent that looks at a place to write there holds it from that moment on.
"""

from collections.abc import Iterable, Iterator

from ..domain.action import Action
from ..domain.action_invariant import required_verbs
from ..domain.facts import Facts
from ..domain.ids import root_task_id
from ..domain.path import components
from ..domain.scope import Scope
from ..domain.task import Started, Task
from .command_handler import TASK, CommandHandler
from .live_tasks import live_below
from .session_view import SessionViews

_Path = tuple[str, ...]


class _Tree:
    """The claims of one tree. Paths are absolute, so that two grants of one folder are one place."""

    def __init__(self) -> None:
        self._at: dict[_Path, set[str]] = {}
        self._below: dict[_Path, dict[str, int]] = {}
        self._of: dict[str, set[_Path]] = {}

    def others(self, task_id: str, path: _Path) -> set[str]:
        """Return the other tasks that have claimed the place, one above it or one below it."""
        found = {holder for depth in range(len(path) + 1) for holder in self._at.get(path[:depth], ())}
        return found.union(self._below.get(path, ())) - {task_id}

    def add(self, task_id: str, path: _Path) -> None:
        """Note that the task has claimed the place."""
        mine = self._of.setdefault(task_id, set())
        if path in mine:
            return
        mine.add(path)
        self._at.setdefault(path, set()).add(task_id)
        for depth in range(len(path)):
            counts = self._below.setdefault(path[:depth], {})
            counts[task_id] = counts.get(task_id, 0) + 1

    def drop(self, task_id: str) -> None:
        """Let go of everything that the task has claimed."""
        for path in self._of.pop(task_id, ()):
            self._at[path].discard(task_id)
            if not self._at[path]:
                del self._at[path]
            for depth in range(len(path)):
                counts = self._below[path[:depth]]
                counts[task_id] -= 1
                if not counts[task_id]:
                    del counts[task_id]
                if not counts:
                    del self._below[path[:depth]]


class Claims:
    """The claims of every tree that this process carries on."""

    def __init__(self, handler: CommandHandler, views: SessionViews) -> None:
        self._handler = handler
        self._views = views
        self._trees: dict[str, _Tree] = {}

    def claim(self, task: Task, action: Action, facts: Facts) -> frozenset[str]:
        """Hold what the action would write for the task; return everybody else who does, by the ids of their tasks.

        What a task above this one has finished writing is its subagents' to go on with.
        """
        if not task.is_in_tree:
            return frozenset()
        scope = self._views.view(task.session_id).scope
        tree = self._tree(task, scope)
        above = list(self._under_way_above(task, scope))
        others: set[str] = set()
        for path in _written(action, facts, scope):
            # What a task above wrote before it had subagents is on record as an attempt, and not as a claim.
            others.update(holder for holder, theirs in above if _meet(path, theirs))
            beside = tree.others(task.task_id, path)
            others.update(holder for holder in beside if not task.task_id.startswith(f"{holder}-"))
            tree.add(task.task_id, path)
        return frozenset(others)

    def _under_way_above(self, task: Task, scope: Scope) -> Iterator[tuple[str, _Path]]:
        """Yield what attempts of the tasks above this one are writing, or may have written, as far as anybody knows."""
        while task.parent_task_id:
            above = self._handler.known(task.parent_task_id, TASK).state
            if not isinstance(above, Task):
                return
            task = above
            for action in task.open_actions.values():
                if isinstance(action.phase, Started):
                    for path in _written(action.action, action.phase.judgement.facts, scope):
                        yield task.task_id, path

    def release(self, task_id: str) -> None:
        """Let go of what a task holds that has ended; with the last of a tree, of the tree."""
        root = root_task_id(task_id)
        if root == task_id:
            self._trees.pop(root, None)
        elif root in self._trees:
            self._trees[root].drop(task_id)

    def _tree(self, task: Task, scope: Scope) -> _Tree:
        root = root_task_id(task.task_id)
        known = self._trees.get(root)
        if known is None:
            known = self._trees[root] = _Tree()
            for one in self._live(root):
                for at in one.claims:
                    folder = scope.folder(at.grant_id)
                    if folder is not None:
                        known.add(one.task_id, components(folder.absolute(at.path)))
        return known

    def _live(self, task_id: str) -> Iterator[Task]:
        state = self._handler.known(task_id, TASK).state
        if isinstance(state, Task) and not state.is_final:
            yield state
            yield from live_below(self._handler, state)


def _meet(one: _Path, other: _Path) -> bool:
    """Whether the places are the same, or one is above the other."""
    return one[: len(other)] == other or other[: len(one)] == one


def _written(action: Action, facts: Facts, scope: Scope) -> Iterable[_Path]:
    for at, verb in required_verbs(action, facts):
        folder = scope.folder(at.grant_id)
        if verb != "read" and folder is not None:
            yield components(folder.absolute(at.path))
