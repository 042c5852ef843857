"""What is to be undone, followed through everything that it did: for each file and folder, where it stood before.

Effects are applied in their order to a tree that at first knows nothing. A chain of them (created, renamed, written
again) comes to one difference: a node knows its home (where it stood before, None where it did not exist), where it is
now, and what became of its content. Pure: nothing here looks at the world.
"""

from collections.abc import Iterator
from typing import TypeAlias

import msgspec

from ..domain.effect import Effect
from ..domain.manifest import EntryKind
from ..domain.scope import FolderIdentity

Path: TypeAlias = tuple[str, ...]
"""The components of an absolute path: one place has one, by whichever grant it was reached."""

FolderKey: TypeAlias = tuple[str, FolderIdentity]
"""Which granted folder it is, in whichever session: its absolute path and its identity."""


class Change(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One recorded effect, its places absolute. `restored` is what it put back (`quarantine:<name>`), if it did."""

    action_id: str
    effect: Effect
    folder: FolderKey
    at: Path
    previous: Path | None = None
    new_folders: tuple[Path, ...] = ()
    kind: EntryKind = "file"
    restored: str = ""


class Version(msgspec.Struct, gc=False, kw_only=True):
    """From one content of a file to another, by digests. `kept` is where the first can be found (`Effect.kept`).

    Several in a row are one. Where somebody else changed the file in between, there are several.
    """

    before: str
    after: str
    kept: str
    folder: FolderKey


class Kept(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Where something is that was deleted: its name in quarantine, for which granted folder, and what it was."""

    name: str
    folder: FolderKey
    digest: str


class Node(msgspec.Struct, eq=False, kw_only=True):
    """A file or folder. `parent` is None for one that is gone, or that nobody knows the place of any more.

    `was_at` is where it stood before that. `has_had` says that something was in it before. `made_digest` is what
    something made held at first, empty for a folder that was made on the way. `taken_back` are versions that an undo of
    more than this took back.
    """

    name: str
    parent: "Node | None" = None
    home: "tuple[Node, str] | None" = None
    kind: EntryKind | None = None
    children: dict[str, "Node"] = msgspec.field(default_factory=dict)
    is_made: bool = False
    made_digest: str = ""
    versions: list[Version] = msgspec.field(default_factory=list)
    taken_back: list[Version] = msgspec.field(default_factory=list)
    mode_before: int | None = None
    mode_left: int | None = None
    kept: Kept | None = None
    was_at: "tuple[Node, str] | None" = None
    digest_known: str = ""
    is_lost: bool = False
    has_had: bool = False
    # What was found in the world, and what becomes of it while an undo is planned.
    digest: str = ""
    mode: int = 0
    problem: str = ""
    placed_by: int | None = None

    @property
    def is_at_home(self) -> bool:
        """Whether it stands where it stood before, seen from the folder that it is in."""
        return self.home is not None and self.parent is self.home[0] and self.name == self.home[1]

    @property
    def stood_at_home(self) -> bool:
        """Whether something that is gone stood there at last."""
        return self.home is not None and self.was_at is not None and self.was_at == self.home

    @property
    def top(self) -> "Node":
        """The outermost node that it is in: the tree's root, or what is gone as a whole."""
        node = self
        while node.parent is not None:
            node = node.parent
        return node

    def is_inside(self, other: "Node") -> bool:
        """Whether it is the other one, or somewhere in it."""
        node: Node | None = self
        while node is not None and node is not other:
            node = node.parent
        return node is other

    def path(self) -> Path:
        """Return its place from its top on: absolute where that is the tree's root."""
        names: list[str] = []
        node = self
        while node.parent is not None:
            names.append(node.name)
            node = node.parent
        return tuple(reversed(names))

    def below(self) -> "Iterator[Node]":
        """Yield everything in it, a folder before what it holds."""
        for child in self.children.values():
            yield child
            yield from child.below()

    def attach(self, parent: "Node", name: str) -> None:
        """Give it a place."""
        self.parent, self.name = parent, name
        parent.children[name] = self

    def detach(self) -> None:
        """Take it from its place, with all that is in it."""
        if self.parent is not None:
            self.was_at = (self.parent, self.name)
            del self.parent.children[self.name]
            self.parent = None


class Tree:
    """All that the effects were about, and `touched`: what they changed, in the order in which they first did."""

    def __init__(self) -> None:
        self.root = Node(name="", kind="folder")
        self.touched: dict[int, Node] = {}
        # By the name in quarantine: whose it is, and the digest of what it held when it was put there.
        self._kept: dict[str, tuple[Node, str]] = {}

    def nodes(self) -> list[Node]:
        """Return what was changed."""
        return list(self.touched.values())

    def apply(self, change: Change) -> None:
        """Follow one effect."""
        match change.effect.change:
            case "create":
                self._create(change)
            case "update":
                self._update(self._walk(change.at), change)
            case "delete":
                self._delete(self._walk(change.at), change)
            case "rename" | "move":
                self._move(change)

    def follow(self, change: Change) -> None:
        """Follow an effect that is not itself to be taken back to where it took what is known here."""
        at = change.at if change.previous is None else change.previous
        node = self._find(at)
        match change.effect.change:
            case "create":
                node, digest = self._kept.pop(change.restored, (None, ""))
                if node is not None and node.kept is not None:
                    self._follow_content(node, node.kept.digest, digest)
                    node.kept = None
                    self._place(node, change.at)
            case "update" if node is not None:
                self._follow_content(node, change.effect.before, change.effect.after)
            case "delete" if node is not None:
                self._take_away(node, change)
            case "rename" | "move" if node is not None:
                self._walk(change.at[:-1])
                node.detach()
                self._place(node, change.at)
            case _:
                return

    def _follow_content(self, node: Node, before: str, after: str) -> None:
        """Follow a content that was taken back, and one that was given back after that."""
        node.digest_known = after
        if node.versions and (node.versions[-1].after, node.versions[-1].before) == (before, after):
            node.taken_back.append(node.versions.pop())
        elif node.taken_back and (node.taken_back[-1].before, node.taken_back[-1].after) == (before, after):
            node.versions.append(node.taken_back.pop())

    def _find(self, path: Path) -> Node | None:
        node: Node | None = self.root
        for name in path:
            node = None if node is None else node.children.get(name)
        return node

    def _walk(self, path: Path) -> Node:
        node = self.root
        for name in path:
            child = node.children.get(name)
            if child is None:
                # It was there all along, or somebody put it there meanwhile: either way it is not ours.
                child = Node(name=name, home=(node, name))
                child.attach(node, name)
                node.has_had = True
            node = child
        return node

    def _slot(self, change: Change) -> Node:
        """Return the folder that the effect's place is in, with the folders that were made on the way."""
        for path in change.new_folders:
            there = self._walk(path[:-1]).children.get(path[-1])
            if there is None or there.kind == "file":
                self._put(Node(name=path[-1], kind="folder", is_made=True), path)
            elif there.home is not None and not there.has_had and id(there) not in self.touched:
                # Something was put into it that was recorded earlier than what made it: they were under way together.
                there.home, there.kind, there.is_made = None, "folder", True
                self._touch(there)
        return self._walk(change.at[:-1])

    def _put(self, node: Node, path: Path) -> None:
        self._place(node, path)
        self._touch(node)

    def _place(self, node: Node, path: Path) -> None:
        parent = self._walk(path[:-1])
        there = parent.children.get(path[-1])
        if there is not None:
            # An effect never replaces anything here: somebody had taken away what stood there.
            there.detach()
            there.is_lost = True
        node.attach(parent, path[-1])

    def _touch(self, node: Node) -> None:
        self.touched.setdefault(id(node), node)

    def _create(self, change: Change) -> None:
        self._slot(change)
        node, digest = self._kept.pop(change.restored, (None, ""))
        if node is None or node.kept is None:
            node = Node(
                name=change.at[-1],
                kind=change.kind,
                is_made=True,
                made_digest=change.effect.after,
                digest_known=change.effect.after,
            )
        else:
            # What had been replaced may stand there again, after what it was replaced by had been taken away.
            self._note_version(node, node.kept.digest, digest, node.kept.name, node.kept.folder)
            node.digest_known = digest
            node.kept = None
        self._put(node, change.at)

    def _update(self, node: Node, change: Change) -> None:
        effect = change.effect
        self._touch(node)
        node.kind = "file"
        node.digest_known = effect.after
        if effect.mode_after is not None:
            # A mode that somebody else set in between is the one to go back to.
            if node.mode_left is None or node.mode_left != effect.mode_before:
                node.mode_before = effect.mode_before
            node.mode_left = effect.mode_after
        if effect.kept.startswith("quarantine:"):
            self._kept[effect.kept] = (node, effect.before)
        self._note_version(node, effect.before, effect.after, effect.kept, change.folder)

    def _note_version(self, node: Node, before: str, after: str, kept: str, folder: FolderKey) -> None:
        if before == after:
            return
        if node.is_made and not node.versions and node.made_digest == before:
            node.made_digest = after
        elif node.versions and node.versions[-1].after == before:
            node.versions[-1].after = after
        else:
            node.versions.append(Version(before=before, after=after, kept=kept, folder=folder))
        node.versions = [version for version in node.versions if version.before != version.after]

    def _delete(self, node: Node, change: Change) -> None:
        self._touch(node)
        self._take_away(node, change)

    def _take_away(self, node: Node, change: Change) -> None:
        effect = change.effect
        node.kind = change.kind
        node.detach()
        node.kept = Kept(name=effect.kept, folder=change.folder, digest=effect.before)
        node.digest_known = effect.before
        self._kept[effect.kept] = (node, effect.before)

    def _move(self, change: Change) -> None:
        assert change.previous is not None
        node = self._walk(change.previous)
        node.kind = change.kind
        node.digest_known = change.effect.after
        self._slot(change)
        node.detach()
        self._put(node, change.at)
