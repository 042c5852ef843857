"""What had not been there before and is to go: what was made, if nobody has put anything of their own into it."""

from ..domain.manifest import NOTHING_IN_IT, Entry, digest_of_entries
from .undo_scene import entries_of, entry_of
from .undo_tree import Node


class MadeThings:
    """`pending` are those that are to go and are not in one another.

    `moves` are what is still to be given the places in `targets`: something that moves out does not keep a folder, and
    something that comes back into one is a part of it.
    """

    def __init__(self, moves: dict[int, Node], targets: dict[int, tuple[Node, str]]) -> None:
        self.pending: dict[int, Node] = {}
        self._moves = moves
        self._targets = targets
        self._coming: dict[int, list[Node]] = {}
        self._awaited: set[int] = set()

    def add(self, node: Node) -> None:
        """Take it in, unless it goes with something that it is in."""
        if self.pending_above(node) is not None:
            return
        for inner in node.below():
            self.pending.pop(id(inner), None)
        self.pending[id(node)] = node

    def is_to_go(self, node: Node) -> bool:
        """Whether it is to go. One that would go with something that it is in goes by itself from here on."""
        above = self.pending_above(node)
        if above is not None and node.is_made:
            self.pending[id(node)] = node
        return id(node) in self.pending

    def add_below(self, folder: Node) -> None:
        """Take in what was made in a folder that stays."""
        for node in list(folder.below()):
            if node.is_made and not node.is_lost:
                self.add(node)

    def drop(self, node: Node) -> None:
        """It is decided about."""
        self.pending.pop(id(node), None)

    def pending_above(self, node: Node) -> Node | None:
        """Return the one that is to go and that it is, or is in."""
        above: Node | None = node
        while above is not None:
            if id(above) in self.pending:
                return above
            above = above.parent
        return None

    def note_moves(self) -> None:
        """Take note of what is still to be moved."""
        self._coming = {}
        self._awaited = set()
        for node in self._moves.values():
            parent, _ = self._targets[id(node)]
            self._coming.setdefault(id(parent), []).append(node)
            for start in (node.parent, parent):
                above = start
                while above is not None:
                    self._awaited.add(id(above))
                    above = above.parent

    def waits(self, node: Node) -> bool:
        """Whether something is still to be moved out of it or into it."""
        return id(node) in self._awaited

    def decides_about(self, node: Node) -> bool:
        """Whether its content goes with something that was put back whole: then it is no concern of its own."""
        home = node.home
        while home is not None:
            if home[0].is_made and home[0].made_digest:
                return True
            home = home[0].home
        return False

    def holds_others(self, node: Node) -> bool:
        """Whether there is more in it (or in what it holds) than was made: somebody else's things, or their changes."""
        if node.kind != "folder":
            return node.digest != node.made_digest or bool(node.versions)
        if node.made_digest:
            return not self._goes(node)
        return any(not one.is_made or (one.kind != "folder" and self.holds_others(one)) for one in node.below())

    def why_it_stays(self, node: Node) -> str:
        """Return why it can't go, or nothing. What is still to be moved counts as moved."""
        if node.problem:
            return node.problem
        if node.kind != "folder":
            return "" if self._is_as_left(node) else "it was made here, and has been changed since"
        if self._goes(node):
            return ""
        if node.made_digest:
            return "it was put back here, and has been changed since"
        return "it was made here, and holds something else now"

    def digest_of(self, node: Node) -> str:
        """Return the digest of what it is and holds now, as its deletion will find it."""
        if node.kind != "folder":
            return node.digest
        return digest_of_entries(entries_of(node, lambda one: None if one.is_lost else entry_of(one)))

    def _is_as_left(self, node: Node) -> bool:
        return node.digest == node.made_digest and not node.versions

    def _goes(self, node: Node) -> bool:
        if node.is_lost:
            return True
        if node.problem:
            return False
        if node.kind != "folder":
            return self._is_as_left(node)
        before = self._before(node)
        return before is not None and digest_of_entries(before) == (node.made_digest or NOTHING_IN_IT)

    def _before(self, folder: Node) -> list[Entry] | None:
        """Return what of the folder's entries was there before, as it was; None where that can't be told."""
        found: list[Entry] = []
        waiting = [("", folder)]
        while waiting:
            above, parent = waiting.pop()
            here = [(one.name, one) for one in parent.children.values() if id(one) not in self._moves]
            here += [(self._targets[id(one)][1], one) for one in self._coming.get(id(parent), ())]
            for name, node in here:
                if node.is_lost:
                    continue
                if node.is_made:
                    if not self._goes(node):
                        return None
                    continue
                if id(node) not in self._moves and not node.is_at_home:
                    return None
                entry = entry_of(node)
                found.append(Entry(f"{above}{name}", entry.kind, _digest_before(node), entry.mode))
                if entry.kind == "folder":
                    waiting.append((f"{above}{name}/", node))
        return found


def _digest_before(node: Node) -> str:
    if node.kind == "folder":
        return ""
    if len(node.versions) == 1 and node.digest == node.versions[0].after:
        return node.versions[0].before
    return node.digest
