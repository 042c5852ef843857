"""Which of what went and what came is the same under another name.

An overlay knows no renames of what lies below it: `mv` copies and deletes. A file or folder that went and one that came
with the same bytes and permissions is a move, if nothing else could be meant.
"""

import os
import stat
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from typing import TypeVar

import msgspec

from ...domain.errors import DomainError
from .comparing import Comparing
from .deletions import Deletion
from .lower import LowerError
from .seen import above
from .upper import Survey, Written

_Key = TypeVar("_Key", bound=Hashable)
_Thing = TypeVar("_Thing")


class Renamed(msgspec.Struct, frozen=True):
    """What is deleted at one path and made at another."""

    path: bytes
    deletion: Deletion


def pair_files(deletions: Sequence[Deletion], comparing: Comparing) -> list[Renamed]:
    """Return the new files that are deleted ones: the only two with these bytes, which are not none."""
    by_digest = _unique(
        (deletion.base.digest, deletion)
        for deletion in deletions
        if deletion.obstacle is None and deletion.base.kind == "file" and deletion.base.size
    )
    sizes = {deletion.base.size for deletion in by_digest.values()}
    came = _unique((comparing.digest(file.path), file) for file in comparing.new if file.size in sizes)
    return [
        Renamed(file.path, by_digest[digest])
        for digest, file in came.items()
        if digest in by_digest and by_digest[digest].base.mode & 0o777 == file.mode
    ]


def pair_folders(deletions: Sequence[Deletion], survey: Survey, comparing: Comparing) -> list[Renamed]:
    """Return the new folders that are deleted ones: all that is in them is the same, and it is not nothing.

    Only where the numbers of entries and bytes agree, and no other two folders agree in them, is anything read.
    """
    went = _unique(
        ((deletion.base.entries, deletion.base.size), deletion)
        for deletion in deletions
        if deletion.obstacle is None and deletion.base.kind == "folder" and deletion.base.size
    )
    if not went:
        return []
    came = _unique((measure, position) for position, measure in _new_folders(survey.written, comparing).items())
    found: list[Renamed] = []
    for measure, position in came.items():
        if measure not in went:
            continue
        folder = survey.written[position]
        inner = survey.written[position + 1 : position + 1 + measure[0]]
        if _is_moved(went[measure], folder, inner, comparing):
            found.append(Renamed(folder.path, went[measure]))
    return found


def _new_folders(written: Sequence[Written], comparing: Comparing) -> dict[int, tuple[int, int]]:
    """Return the positions of the folders that are new, and how many entries and bytes of files are in each.

    What is in a folder follows it, in the order of a walk.
    """
    positions: dict[bytes, int] = {}
    entries: Counter[int] = Counter()
    sizes: Counter[int] = Counter()
    for position, entry in enumerate(written):
        for folder in above(entry.path):
            if folder in positions and folder != entry.path:
                entries[positions[folder]] += 1
                sizes[positions[folder]] += entry.size
        if entry.kind == "folder" and comparing.is_new_place(entry.path):
            positions[entry.path] = position
    return {position: (entries[position], sizes[position]) for position in positions.values()}


def _is_moved(deletion: Deletion, folder: Written, inner: Sequence[Written], comparing: Comparing) -> bool:
    if deletion.base.mode & 0o777 != folder.mode:
        return False
    came = {entry.path[len(folder.path) :]: entry for entry in inner}
    try:
        if comparing.obstacle_to_making(folder.path, comparing.lower.look(folder.path)) is not None:
            return False
        return all(
            _is_alike(path, status, came.get(path[len(deletion.path) :]), comparing)
            for path, status in comparing.lower.beneath(deletion.path)
        )
    except (LowerError, DomainError):
        return False


def _is_alike(path: bytes, status: os.stat_result, entry: Written | None, comparing: Comparing) -> bool:
    mode = status.st_mode
    if entry is None:
        return False
    if stat.S_ISLNK(mode):
        return entry.kind == "link" and comparing.upper.link_text(entry.path) == comparing.lower.link_text(path)
    if mode & 0o777 != entry.mode:
        return False
    if stat.S_ISDIR(mode):
        return entry.kind == "folder"
    if entry.kind != "file" or entry.size != status.st_size:
        return False
    return comparing.lower.digest(path, status) == comparing.digest(entry.path)


def _unique(pairs: Iterable[tuple[_Key, _Thing]]) -> dict[_Key, _Thing]:
    """Return the pairs as a mapping, without the keys that occur twice."""
    listed = list(pairs)
    counts = Counter(key for key, _ in listed)
    return {key: thing for key, thing in listed if counts[key] == 1}
