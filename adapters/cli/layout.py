"""Text in columns, wrapped to a width; nothing is ever cut."""

import unicodedata
from collections.abc import Iterator, Sequence
from typing import Final

_WIDE: Final = ("W", "F")


def width_of(text: str) -> int:
    """Return how many terminal cells the text takes."""
    if text.isascii():
        return len(text)
    return sum(map(_cells, text))


def _cells(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in _WIDE else 1


def wrapped(text: str, width: int, *, indent: str = "  ") -> Iterator[str]:
    """Yield the text in lines of at most `width` cells, at spaces where it has them; later lines are indented.

    Every character is shown: a word that is longer than a line goes on in the next one.
    """
    rest = text
    prefix = ""
    while width_of(prefix) + width_of(rest) > width:
        room = max(1, _prefix_length(rest, width - width_of(prefix)))
        space = rest.rfind(" ", 0, room + 1)
        at = space if space > room // 2 else room
        yield prefix + rest[:at]
        rest = rest[at:].removeprefix(" ") if at == space else rest[at:]
        prefix = indent
    yield prefix + rest


def _prefix_length(text: str, cells: int) -> int:
    """Return how many characters of the text fit in so many cells."""
    taken = 0
    for number, character in enumerate(text):
        taken += _cells(character)
        if taken > cells:
            return number
    return len(text)


def padded(text: str, width: int) -> str:
    """Return the text with spaces up to `width` cells."""
    return text + " " * (width - width_of(text))


def in_columns(rows: Sequence[Sequence[str]], header: Sequence[str] = ()) -> Iterator[str]:
    """Yield the rows as lines, their cells below each other, two spaces apart; the last column is as long as it is."""
    lines = [header, *rows] if header else list(rows)
    widths = [max(width_of(cell) for cell in column) for column in zip(*lines, strict=True)]
    for cells in lines:
        shown = [padded(cell, width) for cell, width in zip(cells, widths, strict=True)]
        yield "  ".join(shown).rstrip()


def plural(number: int, one: str, many: str = "") -> str:
    """Return `1 file`, `2 files`."""
    return f"{number} {one if number == 1 else many or f'{one}s'}"


def clock_time(rfc3339: str) -> str:
    """Return a recorded time as `2026-06-14 12:03:44`, in UTC as it was recorded."""
    return rfc3339[:19].replace("T", " ")
