"""From what is and what was to the deeds of an undo, in an order in which they can be done. Pure.

A deed gives one file or folder its place or its content back, or takes away what had not been there. Where somebody has
changed something since, it is left as it is, and named, unless what they changed can stay where it is.
"""

import hashlib
from collections.abc import Iterator

import msgspec

from .undo_content import Contents, Rewrite, find_rewrite
from .undo_made import MadeThings
from .undo_report import UndoDeed
from .undo_tree import FolderKey, Node, Path, Tree


class Deed(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to do. `digest` is what is to stand there: a file's new content, or what is put back.

    `base` is what must stand there before, `base_mode` which permission bits it must have where they are replaced;
    `needs` are the deeds, by their number, without which it is not to be done.
    """

    deed: UndoDeed
    at: Path
    to: Path | None = None
    base: str = ""
    digest: str = ""
    mode: int | None = None
    base_mode: int | None = None
    kept: str = ""
    folder: FolderKey | None = None
    needs: tuple[int, ...] = ()


class Left(msgspec.Struct, frozen=True):
    """What is not undone: its place, where it stood before all that is undone (if elsewhere), and the reason."""

    at: Path
    reason: str
    before: Path | None = None


class Planned(msgspec.Struct, frozen=True):
    """What is done, in an order in which it can be, and what is left. `gone` was made, and somebody took it away."""

    deeds: tuple[Deed, ...]
    left: tuple[Left, ...]
    gone: tuple[Path, ...]


def plan_undo(tree: Tree, contents: Contents) -> Planned:
    """Return what an undo does and what it leaves. The tree, into which the world was entered, is used up."""
    planning = _Planning(tree, contents)
    planning.sort_out()
    while planning.is_busy:
        if not planning.made_progress():
            planning.break_circle()
    # Named by where it is in the end: there people will look for it.
    left = dict.fromkeys(_left(node, reason) for node, reason in planning.left)
    gone = dict.fromkeys(_shown(node) for node in planning.gone)
    return Planned(tuple(planning.deeds), tuple(left), tuple(gone))


class _Planning:
    """`moves` are to get the places in `targets`; `made` are to go; `rewrites` are to get their content back."""

    def __init__(self, tree: Tree, contents: Contents) -> None:
        self._tree = tree
        self._contents = contents
        self.deeds: list[Deed] = []
        self.left: list[tuple[Node, str]] = []
        self.gone: list[Node] = []
        self._moves: dict[int, Node] = {}
        self._targets: dict[int, tuple[Node, str]] = {}
        self._rewrites: dict[int, Node] = {}
        self._made = MadeThings(self._moves, self._targets)
        self._moved_aside: set[tuple[int, int]] = set()

    @property
    def is_busy(self) -> bool:
        """Whether there is something that was not decided yet."""
        return bool(self._moves or self._made.pending or self._rewrites)

    def _leave(self, node: Node, reason: str) -> None:
        self.left.append((node, reason))

    # What there is to do

    def sort_out(self) -> None:
        """Find out of everything that was changed what is to become of it."""
        for node in self._tree.nodes():
            if node.is_made:
                self._sort_made(node)
            else:
                self._sort_other(node)

    def _sort_made(self, node: Node) -> None:
        if node.is_lost:
            # Whoever took it away has undone it, or has it somewhere else.
            self.gone += [node] if node.kept is None else []
            return
        if node.problem:
            self._leave(node, node.problem)
            return
        if node.parent is None:
            if node.was_at is not None and self._made.holds_others(node) and self._is_as_deleted(node):
                # What was deleted with it is not ours alone: it has to come out again.
                self._plan_move(node, node.was_at)
            return
        if node.versions:
            self._rewrites[id(node)] = node
        self._made.add(node)

    def _sort_other(self, node: Node) -> None:
        if node.is_lost:
            self._sort_lost(node)
            return
        if node.problem:
            self._leave(node, node.problem)
            return
        if node.home is not None and not node.is_at_home:
            if node.parent is None and (self._is_back(node) or not self._is_as_deleted(node)):
                return
            self._plan_move(node, node.home)
        if (node.versions or node.mode_left is not None) and not self._made.decides_about(node):
            self._rewrites[id(node)] = node

    def _is_as_deleted(self, node: Node) -> bool:
        if node.kept is not None and node.digest == node.kept.digest:
            return True
        self._leave(node, "what is kept of it is not what was deleted")
        return False

    def _sort_lost(self, node: Node) -> None:
        if self._is_back(node):
            return
        if node.kept is not None:
            self._leave(node, "what was deleted is no longer kept")
        elif node.versions or node.mode_left is not None or not node.stood_at_home:
            self._leave(node, "it is no longer there: somebody has deleted, renamed or moved it")

    def _is_back(self, node: Node) -> bool:
        """Whether somebody has put it back already: its place holds what it held, and is not one that we know of."""
        there = None if node.home is None else node.home[0].children.get(node.home[1])
        if there is None or id(there) in self._tree.touched:
            return False
        return bool(node.digest_known) and there.digest == node.digest_known

    def _plan_move(self, node: Node, target: tuple[Node, str]) -> None:
        self._moves[id(node)] = node
        self._targets[id(node)] = target

    # Doing what can be done

    def made_progress(self) -> bool:
        """Decide about everything that waits for nothing; return whether there was anything."""
        before = self._count()
        for node in list(self._rewrites.values()):
            self._rewrite(node)
        for node in list(self._moves.values()):
            found = self._obstacle_of(node)
            if isinstance(found, str):
                self._drop_move(node)
                self._leave(node, found)
            elif found is None:
                self._move(node)
        self._made.note_moves()
        for node in list(self._made.pending.values()):
            self._remove(node)
        return before != self._count()

    def _count(self) -> tuple[int, ...]:
        return len(self._moves), len(self._made.pending), len(self._rewrites), len(self.deeds), len(self.left)

    def _drop_move(self, node: Node) -> None:
        del self._moves[id(node)]
        del self._targets[id(node)]

    def _is_out_of_reach(self, node: Node) -> bool:
        """Whether it went away with something that does not come back, about which enough is said there."""
        return node.top is not self._tree.root and id(node.top) not in self._moves

    def _obstacle_of(self, node: Node) -> Node | str | None:
        """Return what a move waits for, why it can't be made, or None where it can be made now."""
        parent, name = self._targets[id(node)]
        if self._is_out_of_reach(parent):
            return "the folder that it was in is gone"
        if self._is_out_of_reach(node):
            return "it is gone with the folder that it was in"
        if parent.top is not self._tree.root:
            return parent.top
        if node.parent is not None and node.top is not self._tree.root:
            return node.top
        there = parent.children.get(name)
        if there is not None and there is not node:
            if id(there) in self._moves or self._made.is_to_go(there):
                return there
            if not node.is_made or name != node.name:
                return "its place is taken by something else"
            # It comes out only for what is in it: any place will do.
            self._targets[id(node)] = (parent, _name_aside(node, name))
            return self._obstacle_of(node)
        if parent.is_inside(node):
            return next(iter(self._moves_between(parent, node)), "its folder is inside of it now")
        return None

    def _moves_between(self, inner: Node, outer: Node) -> list[Node]:
        between: list[Node] = []
        node: Node | None = inner
        while node is not None and node is not outer:
            if id(node) in self._moves:
                between.append(node)
            node = node.parent
        return between

    def _move(self, node: Node) -> None:
        parent, name = self._targets[id(node)]
        needs = _placed_above(parent)
        to = (*parent.path(), name)
        if node.parent is None and node.kept is not None:
            kept = node.kept
            deed = Deed(deed="put_back", at=to, digest=node.digest, kept=kept.name, folder=kept.folder, needs=needs)
        else:
            deed = Deed(deed="move_back", at=node.path(), to=to, needs=needs)
        self._drop_move(node)
        node.detach()
        node.kept = None
        node.attach(parent, name)
        node.placed_by = len(self.deeds)
        self.deeds.append(deed)
        if node.is_made:
            self._made.add(node)
        # What was made in it was to go with what it was in.
        self._made.add_below(node)

    def _rewrite(self, node: Node) -> None:
        if node.top is not self._tree.root:
            if self._is_out_of_reach(node):
                del self._rewrites[id(node)]
            return
        del self._rewrites[id(node)]
        found = find_rewrite(node, self._contents)
        if isinstance(found, str):
            self._leave(node, found)
        elif found is not None:
            self._write(node, found)
            if found.remark:
                self._leave(node, found.remark)
        node.versions = []

    def _write(self, node: Node, wanted: Rewrite) -> None:
        path, needs = node.path(), _placed_above(node)
        if wanted.kept:
            aside = Deed(deed="move_aside", at=path, base=node.digest, needs=needs)
            back = Deed(deed="write_back", at=path, digest=wanted.digest, kept=wanted.kept, folder=wanted.folder)
            self.deeds += [aside, back]
        else:
            what: UndoDeed = "merge" if wanted.is_merged else "write_back"
            if wanted.digest == node.digest:
                what = "set_mode"
            deed = Deed(deed=what, at=path, base=node.digest, digest=wanted.digest, needs=needs)
            if wanted.mode is not None:
                deed = msgspec.structs.replace(deed, mode=wanted.mode, base_mode=node.mode)
            self.deeds.append(deed)
        node.digest = wanted.digest

    def _remove(self, node: Node) -> None:
        if node.top is not self._tree.root:
            if self._is_out_of_reach(node):
                self._made.drop(node)
            return
        reason = self._made.why_it_stays(node)
        if reason:
            self._leave(node, reason)
            self._made.drop(node)
            self._made.add_below(node)
        elif not self._made.waits(node) and not any(one.is_inside(node) for one in self._rewrites.values()):
            self.deeds.append(Deed(deed="remove", at=node.path(), base=self._made.digest_of(node)))
            self._made.drop(node)
            node.detach()

    # Circles

    def break_circle(self) -> None:
        """Give something that others wait for a place of its own for the time being, or give up what is left."""
        circle = self._circle()
        for node, folder in self._ways_out(circle):
            if (id(node), id(folder)) not in self._moved_aside:
                self._moved_aside.add((id(node), id(folder)))
                self._move_aside(node, folder, self._targets[id(node)][1])
                return
        for node in circle or [*self._moves.values(), *self._made.pending.values()]:
            if id(node) in self._moves:
                self._drop_move(node)
            self._made.drop(node)
            self._leave(node, "its place and what holds it can't be freed for one another")
        if not circle:
            self._rewrites.clear()

    def _ways_out(self, circle: list[Node]) -> Iterator[tuple[Node, Node]]:
        """Yield what of the circle could be moved for the time being, and into which folder: its own is better."""
        movable = [node for node in circle if id(node) in self._moves and node.top is self._tree.root]
        for node in movable:
            folder = self._targets[id(node)][0]
            if folder.top is self._tree.root and not folder.is_inside(node):
                yield node, folder
        for node in movable:
            for holder in circle:
                if holder is not node and holder.parent is not None and node.is_inside(holder):
                    yield node, holder.parent
        for node in movable:
            if node.parent is not None:
                yield node, node.parent

    def _circle(self) -> list[Node]:
        """Return things each of which waits for the next, and the last for the first."""
        chain: list[Node] = []
        node = next(iter((*self._moves.values(), *self._made.pending.values())), None)
        while node is not None and node not in chain:
            chain.append(node)
            node = self._awaited_by(node)
        return chain[chain.index(node) :] if node is not None else []

    def _awaited_by(self, node: Node) -> Node | None:
        if id(node) in self._moves:
            found = self._obstacle_of(node)
            return found if isinstance(found, Node) else None
        ends = ((one, self._targets[id(one)][0]) for one in self._moves.values())
        return next((one for one, parent in ends if one.is_inside(node) or parent.is_inside(node)), None)

    def _move_aside(self, node: Node, parent: Node, name: str) -> None:
        aside = _name_aside(node, name)
        deed = Deed(deed="move_aside", at=node.path(), to=(*parent.path(), aside), needs=_placed_above(parent))
        node.detach()
        node.attach(parent, aside)
        node.placed_by = len(self.deeds)
        self.deeds.append(deed)


def _name_aside(node: Node, name: str) -> str:
    mark = hashlib.sha256("/".join(_shown(node)).encode("utf-8", "surrogatepass")).hexdigest()[:8]
    # A name has at most 255 bytes: of a long one the mark alone has to do.
    return f"{name}.undo-{mark}" if len(name.encode("utf-8", "surrogatepass")) < 200 else f"undo-{mark}"


def _placed_above(folder: Node) -> tuple[int, ...]:
    """Return the deeds that give the folder, or one that it is in, its place: without them others must not make it."""
    found: list[int] = []
    node: Node | None = folder
    while node is not None:
        if node.placed_by is not None:
            found.append(node.placed_by)
        node = node.parent
    return tuple(sorted(found))


def _left(node: Node, reason: str) -> Left:
    at, before = _shown(node), _first_place(node)
    return Left(at, reason, None if before == at else before)


def _first_place(node: Node) -> Path | None:
    """Return where it stood before everything, None where there was no such thing."""
    names: list[str] = []
    while node.home is not None:
        names.append(node.home[1])
        node = node.home[0]
    return None if node.is_made else tuple(reversed(names))


def _shown(node: Node) -> Path:
    """Return the place under which people know something: where it is, or where it was."""
    names: list[str] = []
    spot: tuple[Node, str] | None = (node, "")
    while spot is not None:
        node, name = spot
        if name:
            names.append(name)
        if node.parent is not None:
            spot = (node.parent, node.name)
        else:
            spot = (node.home if node.kept is not None else None) or node.was_at or node.home
    return tuple(reversed(names))
