"""What a command did to its copy of a granted folder, as proposed file actions.

Its upper layer is compared with the granted folder as it is now. Where that is no longer what the command saw, the
change is a conflict: nobody's bytes are replaced by a command that never saw them. Times, extended attributes and
owners are not carried over.
"""

import os
from collections.abc import Sequence

import msgspec

from ...domain.action import FileDelete, FileMove, FileRename, Location
from ...domain.errors import DomainError
from ...domain.path import text_of_name
from ...domain.scope import FolderScope
from ...engine.limits import (
    BATCH_ACTIONS_MAX,
    COMMAND_LEFT_OUT_MAX,
    COMMAND_SEEN_ENTRIES_MAX,
    COMMAND_STAGED_BYTES_MAX,
    READ_BYTES_MAX,
)
from ...engine.ports import BlobStore, StagedChange
from .area import Area
from .comparing import Comparing, too_many
from .deletions import Deleting, Deletion
from .descriptors import FOLDER, opened
from .keeping import Keeping
from .lower import Lower
from .renames import Renamed, pair_files, pair_folders
from .seen import Seen
from .tree import Tree
from .upper import Survey, survey_upper


class Changes(msgspec.Struct, frozen=True):
    """The changes, in an order in which they can be done, and a sentence for each one that can be no action."""

    staged: tuple[StagedChange, ...]
    left_out: tuple[str, ...]


def read_changes(area: Area, root_fd: int, folder: FolderScope, blobs: BlobStore) -> Changes:
    """Return what a command that has ended changed; the bytes of its files are put into the blob store.

    `root_fd` is the granted folder, held open. The area stays as it is but for the locks on what is in it. Blocks: call
    it in a worker thread. The order: what is written, created or moved by the byte order of the paths, then what is
    deleted, the innermost first.

    Raises `DomainError`: limit for more changes or bytes than one command may make, damaged where the area can't be
    read, unavailable where the store can't keep the bytes.
    """
    try:
        with opened(os.open(area.upper, FOLDER)) as upper, Tree(upper) as written, Tree(root_fd) as granted:
            survey = survey_upper(upper, area.seen, entries_max=COMMAND_SEEN_ENTRIES_MAX)
            _require_bounded(survey, area.seen)
            lower = Lower(granted, area.seen, area.marked_ns)
            with Keeping(blobs) as keeping:
                comparing = Comparing(written, lower, area.seen, folder, keeping)
                return _Collecting(area, folder, survey, comparing).changes()
    except OSError as error:
        words = (error.strerror or str(error)).lower()
        raise DomainError("damaged", f"what the command changed can't be read: {words}") from error


def _require_bounded(survey: Survey, seen: Seen) -> None:
    """Refuse, before anything is read, what is certainly too much: what was removed, and what was not there before."""
    new = [entry for entry in survey.written if entry.kind != "folder" and seen.stamp(entry.path) is None]
    if len(new) + len(survey.removed) > BATCH_ACTIONS_MAX:
        raise too_many()
    if sum(entry.size for entry in new if entry.size <= READ_BYTES_MAX) > COMMAND_STAGED_BYTES_MAX:
        raise DomainError("limit", f"the command wrote more than {COMMAND_STAGED_BYTES_MAX:,} bytes")


class _Collecting:
    """One reading: deletions first, because a file that went may be a file that came under another name."""

    def __init__(self, area: Area, folder: FolderScope, survey: Survey, comparing: Comparing) -> None:
        self._area = area
        self._folder = folder
        self._survey = survey
        self._comparing = comparing
        self._left_out: list[str] = []

    def changes(self) -> Changes:
        """Return them all."""
        deletions = self._deletions()
        renamed: list[Renamed] = []
        if "move" in self._folder.verbs:
            renamed += pair_folders(deletions, self._survey, self._comparing)
        moved = {pair.path for pair in renamed}
        for entry in self._survey.written:
            if not _is_in(entry.path, moved):
                self._comparing.compare(entry)
        if "move" in self._folder.verbs:
            renamed += pair_files(deletions, self._comparing)
        arrived = {pair.path for pair in renamed}
        gone = {pair.deletion.path for pair in renamed}
        self._comparing.keep(file for file in self._comparing.new if file.path not in arrived)
        staged = self._in_order(renamed, [deletion for deletion in deletions if deletion.path not in gone])
        if len(staged) > BATCH_ACTIONS_MAX:
            raise too_many()
        return Changes(staged, self._sentences())

    def _deletions(self) -> list[Deletion]:
        deleting = Deleting(self._comparing.lower, self._area.seen, self._left_out)
        found: list[Deletion] = []
        for path in self._survey.removed:
            found += deleting.delete(path)
            if len(found) > BATCH_ACTIONS_MAX:
                raise too_many()
        return found

    def _in_order(self, renamed: Sequence[Renamed], deletions: Sequence[Deletion]) -> tuple[StagedChange, ...]:
        made = self._comparing.made() + [(pair.path, self._move(pair)) for pair in renamed]
        gone = self._comparing.gone + [(deletion.path, self._delete(deletion)) for deletion in deletions]
        made.sort(key=_path)
        gone.sort(key=_path, reverse=True)
        return tuple(change for _, change in (*made, *gone))

    def _move(self, pair: Renamed) -> StagedChange:
        at, to = self._at(pair.deletion.path), self._at(pair.path)
        stays = pair.deletion.path.rpartition(b"/")[0] == pair.path.rpartition(b"/")[0]
        return StagedChange(
            action=FileRename(at=at, to=to) if stays else FileMove(at=at, to=to), base=pair.deletion.base
        )

    def _delete(self, deletion: Deletion) -> StagedChange:
        return StagedChange(
            action=FileDelete(at=self._at(deletion.path)), base=deletion.base, obstacle=deletion.obstacle
        )

    def _at(self, path: bytes) -> Location:
        return Location(self._folder.grant_id, text_of_name(path))

    def _sentences(self) -> tuple[str, ...]:
        beyond = [
            f"what is in `{text_of_name(path)}` has paths that are too long for any action"
            for path in self._survey.beyond
        ]
        found = sorted({*self._left_out, *self._comparing.left_out, *beyond})
        if len(found) <= COMMAND_LEFT_OUT_MAX:
            return tuple(found)
        return (*found[:COMMAND_LEFT_OUT_MAX], f"and {len(found) - COMMAND_LEFT_OUT_MAX:,} more of this kind")


def _path(change: tuple[bytes, StagedChange]) -> bytes:
    return change[0]


def _is_in(path: bytes, folders: set[bytes]) -> bool:
    while path and folders:
        if path in folders:
            return True
        path = path.rpartition(b"/")[0]
    return False
