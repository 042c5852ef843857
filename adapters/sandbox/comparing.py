"""What a command wrote, entry by entry: which file action it comes to, or why to none."""

import os
import stat
from collections.abc import Iterable
from concurrent.futures import Future

import msgspec

from ...domain.action import Content, FileCreate, FileDelete, FileWrite, Location
from ...domain.errors import DomainError
from ...domain.facts import ABSENT, FileState, Obstacle
from ...domain.path import text_of_name
from ...domain.scope import FolderScope
from ...engine.limits import BATCH_ACTIONS_MAX, READ_BYTES_MAX
from ...engine.ports import StagedChange
from . import obstacles
from .descriptors import digest_of_file, opened
from .keeping import Keeping
from .lower import Lower, LowerError, Now
from .seen import Seen
from .tree import Tree
from .upper import Written, require_whole


class NewFile(msgspec.Struct, frozen=True):
    """A file that the command made where it saw nothing, and where nothing is."""

    path: bytes
    mode: int
    size: int


class _Pending(msgspec.Struct, frozen=True):
    """A creation or write whose bytes are on their way into the blob store."""

    path: bytes
    base: FileState
    content: Future[Content]
    obstacle: Obstacle | None
    mode: int | None


class Comparing:
    """Takes the entries of the upper layer one after the other.

    `gone` are deletions with their paths; `new` are files that may turn out to be old ones under another name, and
    become creations by `keep`; `left_out` are sentences.
    """

    def __init__(self, upper: Tree, lower: Lower, seen: Seen, folder: FolderScope, keeping: Keeping) -> None:
        self.upper = upper
        self.lower = lower
        self.seen = seen
        self.gone: list[tuple[bytes, StagedChange]] = []
        self.new: list[NewFile] = []
        self.left_out: list[str] = []
        self._grant_id = folder.grant_id
        self._keeping = keeping
        self._pending: list[_Pending] = []
        self._umask = _umask()

    def compare(self, entry: Written) -> None:
        """Take one entry."""
        try:
            now = self.lower.look(entry.path)
            match entry.kind:
                case "file":
                    self._file(entry, now)
                case "folder":
                    self._folder(entry, now)
                case "link":
                    self._link(entry, now)
                case "special":
                    self._stage(entry.path, now.state, self._nothing(), obstacles.special(entry.path))
        except LowerError as error:
            # Of a folder nothing is said here: each file in it meets the same error.
            if entry.kind != "folder":
                obstacle = obstacles.unusable(entry.path, error.words)
                self._stage(entry.path, ABSENT, self._nothing(), obstacle)

    def keep(self, files: Iterable[NewFile]) -> None:
        """Make creations of new files: all but those that were told to be old ones."""
        for file in files:
            content = self._content(file.path, file.size)
            self._stage(file.path, ABSENT, content, mode=self._mode_unlike_plain(file.mode))

    def made(self) -> list[tuple[bytes, StagedChange]]:
        """Return the creations and writes with their paths, once their bytes are kept.

        It is a write where the command saw a file or a link. Raises `DomainError` unavailable.
        """
        found: list[tuple[bytes, StagedChange]] = []
        for pending in self._pending:
            kind = FileCreate if self.seen.stamp(pending.path) is None else FileWrite
            at = Location(self._grant_id, text_of_name(pending.path))
            action = kind(at=at, content=pending.content.result(), mode=pending.mode)
            found.append((pending.path, StagedChange(action=action, base=pending.base, obstacle=pending.obstacle)))
        return found

    def digest(self, path: bytes) -> str:
        """Return `sha256:<hex>` of a file that the command wrote."""
        with opened(self.upper.open_file(path)) as file:
            require_whole(file)
            return digest_of_file(file)

    def is_new_place(self, path: bytes) -> bool:
        """Whether nothing could be there, as far as the command could know, and nothing was hidden there."""
        return not (self.seen.is_folder(path) or self.seen.stamp(path) is not None or self.seen.is_hidden(path))

    def obstacle_to_making(self, path: bytes, now: Now) -> Obstacle | None:
        """Return why nothing can be made at a place where the command saw nothing."""
        if now.status is not None:
            return obstacles.in_the_way(path)
        if now.is_blocked:
            return obstacles.blocked(path)
        return None if now.is_steady else obstacles.moved(path)

    def _file(self, entry: Written, now: Now) -> None:
        path = entry.path
        if self.seen.stamp(path) is not None:
            self._rewritten(entry, now)
            return
        obstacle = (
            obstacles.other_kind(path, stat.S_IFDIR, "a file")
            if self.seen.is_folder(path)
            else self.obstacle_to_making(path, now)
        )
        if entry.size > READ_BYTES_MAX:
            self._stage(path, now.state, self._nothing(), obstacle or obstacles.too_large(path, entry.size))
        elif obstacle is not None:
            self._stage(path, now.state, self._content(path, entry.size), obstacle)
        else:
            self.new.append(NewFile(path, entry.mode, entry.size))

    def _rewritten(self, entry: Written, now: Now) -> None:
        """Take a file where the command saw a file or a link: perhaps only a copy that is as it was."""
        path = entry.path
        before, obstacle = self._before(path, now)
        is_alike = (before.size, before.mode & 0o777) == (entry.size, entry.mode)
        if obstacle is None and is_alike and before.digest == self.digest(path):
            return
        mode = entry.mode if before.kind == "file" and before.mode & 0o777 != entry.mode else None
        if entry.size > READ_BYTES_MAX:
            self._stage(path, before, self._nothing(), obstacle or obstacles.too_large(path, entry.size))
        else:
            self._stage(path, before, self._content(path, entry.size), obstacle, mode=mode)

    def _before(self, path: bytes, now: Now) -> tuple[FileState, Obstacle | None]:
        """Return what the command's file takes the place of, with its digest, or why it can't."""
        state, status = now.state, now.status
        if status is None or not now.is_steady or not self.lower.is_as_seen(path, status):
            return state, obstacles.changed(path)
        if not stat.S_ISREG(status.st_mode):
            return state, obstacles.other_kind(path, status.st_mode, "a file")
        try:
            digest = self.lower.digest(path, status)
        except DomainError as error:
            return state, Obstacle("limit", error.message)
        if digest is None or self.seen.pinned.get(path, digest) != digest:
            return state, obstacles.changed(path)
        return msgspec.structs.replace(state, digest=digest), None

    def _folder(self, entry: Written, now: Now) -> None:
        path, text = entry.path, text_of_name(entry.path) or "."
        if self.seen.is_folder(path):
            if self.seen.folders[path].mode & 0o777 != entry.mode:
                self.left_out.append(f"the permissions of the folder `{text}` were changed, and stay as they were")
            return
        if self.seen.stamp(path) is not None:
            before = stat.S_IFREG if now.status is None else now.status.st_mode
            gone = StagedChange(
                action=FileDelete(at=Location(self._grant_id, text)),
                base=now.state,
                obstacle=obstacles.other_kind(path, before, "a folder"),
            )
            self.gone.append((path, gone))
        elif entry.is_empty:
            self.left_out.append(f"the new folder `{text}` is empty: no action makes a folder alone")
        if not entry.is_empty and entry.mode != 0o777 & ~self._umask:
            self.left_out.append(f"the new folder `{text}` gets the usual permissions, not those that the command set")

    def _link(self, entry: Written, now: Now) -> None:
        text = self.upper.link_text(entry.path)
        is_copy = (
            now.status is not None
            and now.is_steady
            and stat.S_ISLNK(now.status.st_mode)
            and self.lower.is_as_seen(entry.path, now.status)
            and self.lower.link_text(entry.path) == text
        )
        if not is_copy:
            self._stage(entry.path, now.state, self._keeping.put(text), obstacles.link(entry.path))

    def _stage(
        self,
        path: bytes,
        base: FileState,
        content: Future[Content],
        obstacle: Obstacle | None = None,
        *,
        mode: int | None = None,
    ) -> None:
        self._pending.append(_Pending(path, base, content, obstacle, mode))
        if len(self._pending) > BATCH_ACTIONS_MAX:
            raise too_many()

    def _content(self, path: bytes, size: int) -> Future[Content]:
        self._keeping.count(size)
        file = self.upper.open_file(path)
        try:
            require_whole(file)
        except DomainError:
            os.close(file)
            raise
        return self._keeping.put_file(file)

    def _nothing(self) -> Future[Content]:
        return self._keeping.put(b"")

    def _mode_unlike_plain(self, mode: int) -> int | None:
        """Return the mode where it says more than that a file was made: a plain one needs no word."""
        return None if mode == 0o666 & ~self._umask else mode


def too_many() -> DomainError:
    """Return the refusal of more changes than can be decided together."""
    return DomainError("limit", f"the command changed more than {BATCH_ACTIONS_MAX:,} files")


def _umask() -> int:
    """Return this process's umask, which the command has inherited. To ask for it by `os.umask` would change it."""
    with open("/proc/self/status", encoding="ascii", errors="replace") as status:
        for line in status:
            if line.startswith("Umask:"):
                return int(line.split()[1], 8)
    return 0o022
