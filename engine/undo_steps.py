"""From deeds to the steps of a plan: deeds that have nothing to do with each other are one step, and one question."""

from collections.abc import Callable, Iterator, Sequence
from typing import Final

import msgspec

from ..domain.action import Action, Content, FileDelete, FileMove, FileRename, FileRestore, FileWrite, Location
from ..domain.errors import DomainError
from ..domain.path import components
from ..domain.plan import Listed, Step
from ..domain.scope import FolderScope, Verb
from . import limits
from .undo_plan import Deed
from .undo_tree import FolderKey, Path

_VERBS: Final[dict[type[Action], Verb]] = {
    FileDelete: "delete",
    FileWrite: "write",
    FileRestore: "create",
    FileMove: "move",
    FileRename: "move",
}


class Folders:
    """The granted folders of an undo, and which of them a place is beneath."""

    def __init__(self, folders: Sequence[FolderScope]) -> None:
        self.all = tuple(folders)
        self._roots = [(components(folder.root_path), folder) for folder in folders]

    def holds(self, path: Path) -> bool:
        """Whether the place lies in one of them."""
        return any(len(path) > len(root) and path[: len(root)] == root for root, _ in self._roots)

    def has(self, key: FolderKey) -> bool:
        """Whether it is one of them."""
        return any((folder.root_path, folder.identity) == key for folder in self.all)

    def top(self, key: FolderKey) -> Location:
        """Return the place of one of the folders itself."""
        (grant_id,) = (one.grant_id for one in self.all if (one.root_path, one.identity) == key)
        return Location(grant_id, ".")

    def shown(self, at: Location) -> str:
        """Return the place as an absolute path."""
        return next(one.absolute(at.path) for one in self.all if one.grant_id == at.grant_id)

    def at(self, path: Path, key: FolderKey | None = None) -> Location:
        """Return the place beneath the folder of that key where it lies in it, else beneath the innermost."""
        found = [(root, folder) for root, folder in self._roots if len(path) > len(root) and path[: len(root)] == root]
        if not found:
            raise DomainError("conflict", f"`/{'/'.join(path)}` lies in no folder of what is undone")
        asked = [one for one in found if key is not None and (one[1].root_path, one[1].identity) == key]
        root, folder = asked[0] if asked else max(found, key=lambda one: len(one[0]))
        return Location(folder.grant_id, "/".join(path[len(root) :]))


def action_of(deed: Deed, folders: Folders, size_of: Callable[[str], int]) -> Action:
    """Return the action that does it. `size_of` tells the size of a content by its digest."""
    at = folders.at(deed.at, deed.folder)
    if deed.kept:
        return FileRestore(at=at, kept=deed.kept, digest=deed.digest)
    if deed.to is not None:
        to = folders.at(deed.to)
        # Seen from the folder that both are in: where two grants lie in one another, either may hold it.
        same = folders.at(deed.at) if deed.at[:-1] == deed.to[:-1] else at
        return FileRename(at=same, to=to) if deed.at[:-1] == deed.to[:-1] else FileMove(at=at, to=to)
    if deed.digest:
        content = Content(deed.digest, size_of(deed.digest))
        return FileWrite(at=at, content=content, mode=deed.mode, base=deed.base, base_mode=deed.base_mode)
    return FileDelete(at=at, base=deed.base)


def verbs_of(actions: Sequence[Action]) -> dict[str, set[Verb]]:
    """Return which verbs the actions need, by grant."""
    needed: dict[str, set[Verb]] = {}
    for action in actions:
        verb = _VERBS[type(action)]
        match action:
            case FileMove(at=at, to=to) | FileRename(at=at, to=to):
                needed.setdefault(at.grant_id, set()).add(verb)
                needed.setdefault(to.grant_id, set()).add(verb if at.grant_id == to.grant_id else "create")
            case FileDelete(at=at) | FileWrite(at=at) | FileRestore(at=at):
                needed.setdefault(at.grant_id, set()).add(verb)
            case _:
                continue
    return needed


def steps_of(deeds: Sequence[Deed], actions: Sequence[Action]) -> tuple[Step, ...]:
    """Return the steps, each with deeds that touch no place of each other, in an order in which they can be done."""
    groups: dict[tuple[int, tuple[int, ...]], list[int]] = {}
    group_of: dict[int, tuple[int, tuple[int, ...]]] = {}
    waves = list(_waves(deeds))
    for number, deed in enumerate(deeds):
        key = (waves[number], deed.needs)
        # Deeds with other needs are another step: a step is left out as a whole where one of its needs is not met.
        group_of[number] = key
        groups.setdefault(key, []).append(number)
    steps: list[Step] = []
    names: dict[int, str] = {}
    for wave, needs in sorted(groups):
        numbers = groups[wave, needs]
        for start in range(0, len(numbers), limits.BATCH_ACTIONS_MAX):
            chosen = numbers[start : start + limits.BATCH_ACTIONS_MAX]
            step_id = f"undo-{len(steps) + 1}"
            names.update(dict.fromkeys(chosen, step_id))
            request = actions[chosen[0]] if len(chosen) == 1 else Listed(actions=tuple(actions[n] for n in chosen))
            needed = tuple(dict.fromkeys(names[need] for need in needs))
            earlier = (names[n] for n in range(len(deeds)) if n in names and waves[n] == wave - 1)
            after = tuple(one for one in dict.fromkeys(earlier) if one not in needed)
            steps.append(Step(step_id=step_id, title=step_id, needs=needed, after=after, request=request))
    if len(steps) == 1:
        return (msgspec.structs.replace(steps[0], title="undo"),)
    total = len(steps)
    return tuple(msgspec.structs.replace(step, title=f"undo, part {n} of {total}") for n, step in enumerate(steps, 1))


def _waves(deeds: Sequence[Deed]) -> Iterator[int]:
    """Yield for each deed how many others have to be done one after the other before it."""
    at: dict[Path, int] = {}
    below: dict[Path, int] = {}
    for deed in deeds:
        places = [place for place in (deed.at, deed.to) if place is not None]
        before = [below.get(place, -1) for place in places]
        before += [at.get(place[:count], -1) for place in places for count in range(len(place) + 1)]
        wave = 1 + max(before)
        for place in places:
            at[place] = max(wave, at.get(place, -1))
            for count in range(len(place) + 1):
                below[place[:count]] = max(wave, below.get(place[:count], -1))
        yield wave
