"""Which files a task leaves behind: those it made or changed, followed through its later moves and deletions."""

from collections import Counter
from collections.abc import Iterable
from typing import Final, Literal, TypeAlias

import msgspec

from ..domain.action import Location
from ..domain.effect import Effect
from ..domain.path import components

OutputKind: TypeAlias = Literal["document", "spreadsheet", "image", "other"]

_ENDINGS: Final[dict[OutputKind, str]] = {
    "document": "doc docx epub htm html md odp odt pdf ppt pptx rst rtf tex txt",
    "spreadsheet": "csv numbers ods tsv xls xlsx",
    "image": "avif bmp gif heic ico jpeg jpg png svg tif tiff webp",
}
_KIND_OF_ENDING: Final[dict[str, OutputKind]] = {
    ending: kind for kind, endings in _ENDINGS.items() for ending in endings.split()
}


class Standing(msgspec.Struct, frozen=True):
    """A file that stands at the end, with the positions of the events that brought it there."""

    at: Location
    positions: tuple[int, ...]


def output_kind(path: str) -> OutputKind:
    """Return what kind of file it is by the ending of its name."""
    name = path.rpartition("/")[2]
    _, dot, ending = name.rpartition(".")
    return _KIND_OF_ENDING.get(ending.lower(), "other") if dot else "other"


def standing_outputs(effects: Iterable[tuple[int, Effect]]) -> list[Standing]:
    """Return the files that stand, in the order in which they were made. `effects` come with their positions, in order.

    A folder that is moved or deleted takes what is beneath it along.
    """
    outputs = _Outputs()
    for position, effect in effects:
        match effect.change:
            case "create" | "update":
                outputs.write(effect.at, position)
            case "delete":
                for place in outputs.beneath(effect.at):
                    outputs.remove(place)
            case "rename" | "move":
                if effect.previous is not None:
                    outputs.move(effect.previous, effect.at, position)
    return outputs.all()


_Place: TypeAlias = tuple[str, tuple[str, ...]]


class _Outputs:
    """The files that stand so far. `folders` counts how many are beneath each folder, so that most looks are short."""

    def __init__(self) -> None:
        self._order = 0
        self._standing: dict[_Place, tuple[int, tuple[int, ...]]] = {}
        self._folders: Counter[_Place] = Counter()

    def write(self, at: Location, position: int) -> None:
        place = _place(at)
        order, positions = self._standing.get(place, (self._order, ()))
        self._put(place, order, (*positions, position))
        self._order += 1

    def beneath(self, at: Location) -> list[_Place]:
        """Return the places of the files that are the one at `at`, or lie beneath it."""
        grant_id, parts = _place(at)
        if not self._folders[grant_id, parts]:
            return [(grant_id, parts)] if (grant_id, parts) in self._standing else []
        return [place for place in self._standing if place[0] == grant_id and place[1][: len(parts)] == parts]

    def remove(self, place: _Place) -> tuple[int, tuple[int, ...]]:
        self._folders.subtract(_parents(place))
        return self._standing.pop(place)

    def move(self, previous: Location, at: Location, position: int) -> None:
        skipped = len(components(previous.path))
        for place in self.beneath(previous):
            order, positions = self.remove(place)
            target = (at.grant_id, (*components(at.path), *place[1][skipped:]))
            self._put(target, order, (*positions, position))

    def all(self) -> list[Standing]:
        ordered = sorted(self._standing.items(), key=lambda item: item[1][0])
        return [Standing(Location(grant_id, "/".join(parts)), seen) for (grant_id, parts), (_, seen) in ordered]

    def _put(self, place: _Place, order: int, positions: tuple[int, ...]) -> None:
        if place not in self._standing:
            self._folders.update(_parents(place))
        self._standing[place] = (order, positions)


def _place(at: Location) -> _Place:
    return at.grant_id, components(at.path)


def _parents(place: _Place) -> list[_Place]:
    grant_id, parts = place
    return [(grant_id, parts[:length]) for length in range(len(parts))]
