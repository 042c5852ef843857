"""The world as an undo finds it: which places to look at, and what was found, put into the tree of what was changed."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeAlias

import msgspec

from ..domain.manifest import Entry, EntryKind
from .ports import Seen
from .undo_tree import FolderKey, Node, Path, Tree


class Place(msgspec.Struct, frozen=True, gc=False):
    """Where to look: at an absolute path, or (with `kept`) at what is in quarantine for the folder of that key."""

    path: Path = ()
    kept: str = ""
    folder: FolderKey | None = None


Wishes: TypeAlias = dict[Place, bool]
"""The places to look at, and whether what a folder holds is to be listed."""


class Scene(msgspec.Struct, frozen=True):
    """What was found at the places that were looked at."""

    found: dict[Place, Seen]

    def at(self, path: Path) -> Seen:
        """Return what was found at a path that was looked at."""
        return self.found[Place(path)]

    def kept(self, name: str, folder: FolderKey) -> Seen:
        """Return what was found in quarantine."""
        return self.found[Place(kept=name, folder=folder)]


def wishes_of(tree: Tree) -> Wishes:
    """Return where to look before an undo of what the tree says can be planned."""
    wishes: Wishes = {}

    def wish(place: Place, *, listed: bool = False) -> None:
        wishes[place] = wishes.get(place, False) or listed

    for node in tree.nodes():
        if node.is_lost:
            continue
        if node.top is tree.root:
            wish(Place(node.path()), listed=node.is_made or _belongs_to_made(node))
        elif node.kept is not None and node.parent is None:
            wish(Place(kept=node.kept.name, folder=node.kept.folder), listed=True)
        for parent, name in _slots(node):
            if parent.top is tree.root:
                wish(Place((*parent.path(), name)), listed=True)
        for version in node.versions:
            if version.kept.startswith("quarantine:"):
                wish(Place(kept=version.kept, folder=version.folder))
    return wishes


def _belongs_to_made(node: Node) -> bool:
    """Whether it came from something that was made: then it may have to go away with it, and be told from others."""
    home = node.home
    while home is not None:
        if home[0].is_made:
            return True
        home = home[0].home
    return False


def enter(tree: Tree, scene: Scene) -> None:
    """Put into the tree what was found: what each node holds, what else there is, and what somebody took away."""
    for node in tree.nodes():
        if node.is_lost or (node.parent is None and node.kept is None):
            continue
        if node.top is tree.root:
            _enter(node, scene.at(node.path()))
        elif node.kept is not None and node.parent is None:
            _enter(node, scene.kept(node.kept.name, node.kept.folder))
    for node in tree.nodes():
        _forget_what_is_not_kept(node, scene)
        if node.is_lost and node.parent is not None:
            node.detach()
    for node in tree.nodes():
        for slot in _slots(node):
            _enter_slot(tree, scene, *slot)


def _forget_what_is_not_kept(node: Node, scene: Scene) -> None:
    """Let go of replaced files that are gone from quarantine, or changed there: another name of theirs reaches them."""
    for version in node.versions:
        if version.kept.startswith("quarantine:") and not node.is_lost:
            seen = scene.found.get(Place(kept=version.kept, folder=version.folder))
            if seen is None or seen.state.digest != version.before:
                version.kept = ""


def _slots(node: Node) -> Iterator[tuple[Node, str]]:
    """Yield the places that something may have to be given: where it was before, and where it was deleted."""
    if node.home is not None and not node.is_at_home:
        yield node.home
    if node.kept is not None and node.was_at is not None:
        yield node.was_at


def _enter_slot(tree: Tree, scene: Scene, parent: Node, name: str) -> None:
    """Put in what somebody else has put at a place that may be needed."""
    if parent.top is not tree.root or name in parent.children:
        return
    seen = scene.found.get(Place((*parent.path(), name)))
    if seen is not None and (seen.problem or seen.state.kind != "absent"):
        kind = None if seen.state.kind == "absent" else seen.state.kind
        other = Node(name=name, home=(parent, name), kind=kind, digest=seen.state.digest, problem=seen.problem)
        other.attach(parent, name)


def _enter(node: Node, seen: Seen) -> None:
    if seen.problem:
        node.problem = seen.problem
        return
    state = seen.state
    if state.kind == "absent":
        node.is_lost = True
        return
    node.digest, node.mode = state.digest, state.mode
    if node.kind is not None and node.kind != state.kind:
        node.problem = f"a {_KIND_WORDS[state.kind]} stands there now"
        return
    node.kind = state.kind
    if state.kind == "folder" and state.digest:
        _enter_entries(node, seen.entries)


_KIND_WORDS: dict[EntryKind, str] = {
    "file": "file",
    "folder": "folder",
    "link": "symbolic link",
    "special": "pipe, socket or device",
}


def _enter_entries(folder: Node, entries: Iterable[Entry]) -> None:
    there = {"": folder}
    for entry in sorted(entries, key=lambda one: one.path):
        above, _, name = entry.path.rpartition("/")
        parent = there.get(above)
        if parent is None:
            continue
        node = parent.children.get(name)
        if node is None:
            node = Node(name=name, home=(parent, name))
            node.attach(parent, name)
        if node.kind is not None and node.kind != entry.kind:
            node.problem = f"a {_KIND_WORDS[entry.kind]} stands there now"
            continue
        node.kind, node.digest, node.mode = entry.kind, entry.digest, entry.mode
        if entry.kind == "folder":
            there[entry.path] = node
    seen = {entry.path for entry in entries}
    for node in list(folder.below()):
        if _path_in(node, folder) not in seen:
            node.is_lost = True


def _path_in(node: Node, folder: Node) -> str:
    names: list[str] = []
    while node is not folder and node.parent is not None:
        names.append(node.name)
        node = node.parent
    return "/".join(reversed(names))


def entries_of(folder: Node, include: Callable[[Node], Entry | None]) -> list[Entry]:
    """Return the entries of a listed folder as a manifest has them, of all that `include` gives an entry for."""
    found: list[Entry] = []
    waiting = [("", folder)]
    while waiting:
        above, parent = waiting.pop()
        for node in parent.children.values():
            entry = include(node)
            if entry is None:
                continue
            path = f"{above}{node.name}"
            found.append(msgspec.structs.replace(entry, path=path))
            if entry.kind == "folder":
                waiting.append((f"{path}/", node))
    return found


def entry_of(node: Node) -> Entry:
    """Return the entry of what is there now."""
    return Entry(node.name, node.kind or "file", "" if node.kind == "folder" else node.digest, node.mode)
