"""Merge two changed versions of one text, line by line: what one side changed and the other left alone is taken over.

Where both changed the same lines, or lines with none between that both left alone, there is no merge: nobody's words
are ever chosen over anybody's, and nothing is marked up. Source: Khanna, Kunal and Pierce, *A Formal Investigation of
Diff3*; the differences are those of Myers, *An O(ND) Difference Algorithm*.
"""

from collections.abc import Sequence
from typing import TypeAlias

import msgspec

_Run: TypeAlias = tuple[int, int, int]
"""So many lines that are the same: where they begin in the one text, where in the other, and how many they are."""


class Unmergeable(msgspec.Struct, frozen=True, gc=False):
    """Why there is no merge, as the end of a sentence about the two versions."""

    reason: str


class MergeBounds(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """How much is merged: `bytes_max` and `lines_max` of each version, `changes_max` lines that differ on a side.

    What it takes grows with the product of lines and changes.
    """

    bytes_max: int
    lines_max: int
    changes_max: int


def merge(base: bytes, one: bytes, other: bytes, bounds: MergeBounds) -> bytes | Unmergeable:
    """Return what both made of `base`. Lines end with a line feed; whatever stands before it is part of the line.

    Where one side is the base, or both are the same, any bytes can be merged. Else all three have to be text (UTF-8
    without NUL) within the bounds.
    """
    if one in (base, other):
        return other
    if other == base:
        return one
    for data in (base, one, other):
        if len(data) > bounds.bytes_max:
            return Unmergeable(f"a version has {len(data):,} bytes, and texts are merged up to {bounds.bytes_max:,}")
        if data.count(b"\n") > bounds.lines_max:
            return Unmergeable(f"a version has more than {bounds.lines_max:,} lines")
        if not is_text(data):
            return Unmergeable("a version is not text")
    numbers: dict[bytes, int] = {}
    lines = [_lines(data) for data in (base, one, other)]
    old, left, right = ([numbers.setdefault(line, len(numbers)) for line in text] for text in lines)
    in_left, in_right = _matches(old, left, bounds.changes_max), _matches(old, right, bounds.changes_max)
    if in_left is None or in_right is None:
        return Unmergeable(f"more than {bounds.changes_max:,} lines differ")
    merged = _merged((old, left, right), in_left, in_right)
    if merged is None:
        return Unmergeable("both changed the same lines")
    words = list(numbers)
    if any(not words[number].endswith(b"\n") for number in merged[:-1]):
        return Unmergeable("both changed the end of the text")
    return b"".join(words[number] for number in merged)


def is_text(data: bytes) -> bool:
    """Whether the bytes are UTF-8 without NUL."""
    if b"\x00" in data:
        return False
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _lines(data: bytes) -> list[bytes]:
    lines = [line + b"\n" for line in data.split(b"\n")]
    lines[-1] = lines[-1][:-1]
    return lines if lines[-1] else lines[:-1]


def _merged(
    texts: tuple[list[int], list[int], list[int]], in_left: dict[int, int], in_right: dict[int, int]
) -> list[int] | None:
    """Return the lines of the merge, None where both changed the same ones."""
    old, left, right = texts
    merged: list[int] = []
    at = left_at = right_at = 0
    kept = [number for number in range(len(old)) if number in in_left and number in in_right]
    for number in (*kept, len(old)):
        left_to, right_to = in_left.get(number, len(left)), in_right.get(number, len(right))
        if number == len(old):
            left_to, right_to = len(left), len(right)
        before, mine, theirs = old[at:number], left[left_at:left_to], right[right_at:right_to]
        if mine in (before, theirs):
            merged += theirs
        elif theirs == before:
            merged += mine
        else:
            return None
        merged += old[number : number + 1]
        at, left_at, right_at = number + 1, left_to + 1, right_to + 1
    return merged


def _matches(old: Sequence[int], new: Sequence[int], changes_max: int) -> dict[int, int] | None:
    """Return where each line of `old` that stayed stands in `new`; None for more changes than that."""
    shorter = min(len(old), len(new))
    above = next((n for n in range(shorter) if old[n] != new[n]), shorter)
    below = next((n for n in range(shorter - above) if old[-1 - n] != new[-1 - n]), shorter - above)
    runs = _runs(old[above : len(old) - below], new[above : len(new) - below], changes_max)
    if runs is None:
        return None
    found = {number: number for number in range(above)}
    found |= {above + start + n: above + there + n for start, there, count in runs for n in range(count)}
    found |= {len(old) - below + n: len(new) - below + n for n in range(below)}
    return found


def _runs(old: Sequence[int], new: Sequence[int], changes_max: int) -> list[_Run] | None:
    """Return the runs of equal lines of a shortest difference; None where it has more changes than that.

    `reached[k]` is how far one gets in `old` on the diagonal `k` (the line in `old` less that in `new`) with so many
    changes; `past` keeps it as it was for each number of changes, to go back along it.
    """
    reached = {1: 0}
    past: list[dict[int, int]] = []
    for changes in range(min(changes_max, len(old) + len(new)) + 1):
        past.append(dict(reached))
        for k in range(-changes, changes + 1, 2):
            x = reached[k + 1] if _goes_down(reached, k, changes) else reached[k - 1] + 1
            while x < len(old) and x - k < len(new) and old[x] == new[x - k]:
                x += 1
            reached[k] = x
            if x >= len(old) and x - k >= len(new):
                return _back(past, len(old), len(new))
    return None


def _goes_down(reached: dict[int, int], k: int, changes: int) -> bool:
    return k == -changes or (k != changes and reached[k - 1] < reached[k + 1])


def _back(past: list[dict[int, int]], x: int, y: int) -> list[_Run]:
    runs: list[_Run] = []
    for changes in range(len(past) - 1, -1, -1):
        reached, k = past[changes], x - y
        down = _goes_down(reached, k, changes)
        from_x = reached[k + 1] if down else reached[k - 1]
        from_y = from_x - (k + 1 if down else k - 1)
        start = from_x if down else from_x + 1
        if changes == 0:
            start = 0
        if x > start:
            runs.append((start, start - k, x - start))
        x, y = from_x, from_y
    runs.reverse()
    return runs
