"""What was asked of a disk, in order, and what a power cut leaves of it.

Only what was synced is sure to be there. Of everything later any part may be missing: a file's sectors each hold any
one of the contents that they had since the last sync, its size any one of its sizes, and a name made, moved or removed
since the last sync of its folder may be as it was. That is more than any one file system does wrong: a rename is one
step on all of them, and so it is here; everything else is as little as POSIX promises.
"""

import random
from collections import defaultdict
from collections.abc import Sequence
from itertools import takewhile
from typing import Final, TypeAlias

import msgspec

from tests.power_loss.image import Image, Kind, Node

SECTORS: Final = (512, 4096)


class Inode:
    """A file, folder or link, and what was on the disk of it at the beginning."""

    __slots__ = ("content", "entries", "kind", "mode", "number", "target")

    def __init__(self, kind: Kind, mode: int, number: int = 0) -> None:
        self.kind: Kind = kind
        self.mode = mode
        self.number = number
        """The number that the file system gave it; 0 where that is not known."""
        self.content = b""
        self.entries: dict[bytes, Inode] = {}
        self.target = b""


class Write(msgspec.Struct, frozen=True, eq=False):
    """Bytes written to a file."""

    begun: int
    ended: int
    inode: Inode
    offset: int
    data: bytes


class Resize(msgspec.Struct, frozen=True, eq=False):
    """A file cut short or made longer."""

    begun: int
    ended: int
    inode: Inode
    size: int


class Mode(msgspec.Struct, frozen=True, eq=False):
    """New permissions."""

    begun: int
    ended: int
    inode: Inode
    mode: int


class Names(msgspec.Struct, frozen=True, eq=False):
    """Names made, moved and removed in one step: folder, name and what it now stands for."""

    begun: int
    ended: int
    changes: tuple[tuple[Inode, bytes, Inode | None], ...]
    needs: "tuple[Names, ...]"
    """The earlier steps without which this one can't be: about the same names or the same object."""


class Sync(msgspec.Struct, frozen=True, eq=False):
    """A sync of a file or folder that has come back: what had been done to it before is durable."""

    begun: int
    ended: int
    inode: Inode
    with_mode: bool


class Mark(msgspec.Struct, frozen=True, eq=False):
    """A line that the program wrote outside of the disk: what it told the world."""

    begun: int
    ended: int
    text: str


Step: TypeAlias = Write | Resize | Mode | Names | Sync | Mark
DataStep: TypeAlias = Write | Resize


class Chances(msgspec.Struct, frozen=True):
    """How a cut treats what was not synced: chances from 0 (lost) to 1 (there)."""

    names: float
    sizes: float
    sectors: float
    sector_bytes: int = 512
    garbage: bool = False
    """Whether sectors that a file was given and that were never written hold something else than zeros."""


def draw_chances(draw: random.Random) -> Chances:
    """Draw a treatment; all lost and all there come often, for each kind of change."""
    names, sizes, sectors = (draw.choice((0.0, 0.0, 1.0, 1.0, draw.random(), draw.random())) for _ in range(3))
    return Chances(names, sizes, sectors, draw.choice(SECTORS), draw.random() < 0.2)


class Disk:
    """A folder's beginning and all that happened to it since."""

    def __init__(self, root: Inode, steps: Sequence[Step]) -> None:
        self.root = root
        # A sync counts from its end, everything else from its beginning.
        self.steps = sorted(steps, key=_moment)

    def cuts(self) -> list[int]:
        """Return how many steps may have been made when the power fails: one moment after each change."""
        return [count + 1 for count, step in enumerate(self.steps) if not isinstance(step, Mark)]

    def marks(self, cut: int) -> list[str]:
        """Return what the program may have told the world before the cut, without having asked the disk for more."""
        following = takewhile(lambda step: isinstance(step, Mark), self.steps[cut:])
        return [step.text for step in (*self.steps[:cut], *following) if isinstance(step, Mark)]

    def whole(self) -> Image:
        """Return the disk as the program saw it in the end."""
        return _Remains(self.steps, random.Random(0), Chances(1, 1, 1), is_cut=False).image(self.root)

    def after_cut(self, cut: int, draw: random.Random, chances: Chances) -> Image:
        """Return a disk that a power cut after so many steps may leave."""
        return _Remains(self.steps[:cut], draw, chances).image(self.root)


def _moment(step: Step) -> int:
    return step.ended if isinstance(step, Sync) else step.begun


class _Remains:
    """One outcome of a power cut."""

    def __init__(self, steps: Sequence[Step], draw: random.Random, chances: Chances, *, is_cut: bool = True) -> None:
        self._draw = draw
        self._chances = chances
        self._is_cut = is_cut
        self._data: dict[Inode, list[DataStep]] = defaultdict(list)
        self._modes: dict[Inode, list[Mode]] = defaultdict(list)
        # Until when what was done to a file, folder or mode is durable.
        self._synced: dict[Inode, int] = {}
        self._mode_synced: dict[Inode, int] = {}
        names: list[Names] = []
        for step in steps:
            match step:
                case Write() | Resize():
                    self._data[step.inode].append(step)
                case Mode():
                    self._modes[step.inode].append(step)
                case Names():
                    names.append(step)
                case Sync():
                    self._synced[step.inode] = max(step.begun, self._synced.get(step.inode, -1))
                    if step.with_mode:
                        self._mode_synced[step.inode] = self._synced[step.inode]
                case Mark():
                    pass
        self._entries: dict[Inode, dict[bytes, Inode]] = {}
        for step in self._kept(names):
            for folder, name, inode in step.changes:
                entries = self._entries.setdefault(folder, dict(folder.entries))
                if inode is None:
                    entries.pop(name, None)
                else:
                    entries[name] = inode

    def _kept(self, names: Sequence[Names]) -> list[Names]:
        sure: set[Names] = set()
        waiting = [
            step for step in names if any(step.ended < self._synced.get(folder, -1) for folder, _, _ in step.changes)
        ]
        while waiting:
            step = waiting.pop()
            if step not in sure:
                sure.add(step)
                waiting += step.needs
        kept: list[Names] = []
        there: set[Names] = set()
        for step in names:
            is_possible = all(earlier in there for earlier in step.needs)
            if step in sure or (is_possible and self._happens(self._chances.names)):
                kept.append(step)
                there.add(step)
        return kept

    def _happens(self, chance: float) -> bool:
        return not self._is_cut or self._draw.random() < chance

    def image(self, root: Inode) -> Image:
        """Return what is left beneath the folder."""
        made: dict[Inode, Node] = {}

        def node(inode: Inode) -> Node:
            if inode not in made:
                content = self._content(inode) if inode.kind == "file" else inode.target
                made[inode] = Node(inode.kind, self._mode(inode), content, {}, inode)
                if inode.kind == "folder":
                    entries = self._entries.get(inode, inode.entries)
                    made[inode].entries.update((name, node(entry)) for name, entry in entries.items())
            return made[inode]

        return Image(node(root))

    def _mode(self, inode: Inode) -> int:
        mode = inode.mode
        for step in self._modes.get(inode, ()):
            if step.ended < self._mode_synced.get(inode, -1) or self._happens(self._chances.names):
                mode = step.mode
        return mode

    def _content(self, inode: Inode) -> bytes:
        steps = self._data.get(inode, [])
        content = bytearray(inode.content)
        synced = self._synced.get(inode, -1)
        durable = [step for step in steps if step.ended < synced]
        pending = [step for step in steps if step.ended >= synced]
        for step in durable:
            _apply(content, step)
        if not self._is_cut:
            for step in pending:
                _apply(content, step)
        elif pending:
            self._tear(content, pending)
        return bytes(content)

    def _tear(self, content: bytearray, pending: Sequence[DataStep]) -> None:
        """Let the file have one of its sizes, and each sector one of its contents."""
        resized = self._how_many(len(pending), self._chances.sizes)
        size, known = len(content), len(content)
        sector_bytes = self._chances.sector_bytes
        touched: dict[int, list[int]] = defaultdict(list)
        for count, step in enumerate(pending):
            if isinstance(step, Write):
                first, last = step.offset // sector_bytes, (step.offset + len(step.data) - 1) // sector_bytes
                for sector in range(first, last + 1):
                    touched[sector].append(count)
                if count < resized:
                    size = max(size, step.offset + len(step.data))
            elif count < resized:
                size = step.size
        written: set[int] = set()
        upto = {sector: self._how_many(len(counts), self._chances.sectors) for sector, counts in touched.items()}
        last_of = {sector: touched[sector][:count] for sector, count in upto.items()}
        for count, step in enumerate(pending):
            if isinstance(step, Resize):
                if count < resized:
                    _apply(content, step)
                continue
            first, last = step.offset // sector_bytes, (step.offset + len(step.data) - 1) // sector_bytes
            for sector in range(first, last + 1):
                if count in last_of[sector]:
                    written.add(sector)
                    start = max(sector * sector_bytes, step.offset)
                    end = min((sector + 1) * sector_bytes, step.offset + len(step.data))
                    _put(content, start, step.data[start - step.offset : end - step.offset])
        _apply(content, Resize(0, 0, pending[0].inode, size))
        if self._chances.garbage:
            for sector in range(-(-known // sector_bytes), -(-size // sector_bytes)):
                if sector not in written:
                    start = sector * sector_bytes
                    content[start : start + sector_bytes] = self._draw.randbytes(min(sector_bytes, size - start))

    def _how_many(self, count: int, chance: float) -> int:
        """Return how many of so many changes in a row are on the disk."""
        if chance in (0.0, 1.0):
            return count if chance else 0
        if self._draw.random() < chance:
            return count
        return self._draw.randrange(count + 1)


def _apply(content: bytearray, step: DataStep) -> None:
    if isinstance(step, Write):
        _put(content, step.offset, step.data)
    elif step.size < len(content):
        del content[step.size :]
    else:
        content.extend(bytes(step.size - len(content)))


def _put(content: bytearray, offset: int, data: bytes) -> None:
    if offset > len(content):
        content.extend(bytes(offset - len(content)))
    content[offset : offset + len(data)] = data
