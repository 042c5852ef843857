"""What a command must not see of the granted folder, as a layer above it: a whiteout for each place that is hidden.

The layer has a folder only where something in it is hidden or pinned; these take the mode and time of the originals, so
that the command sees them as they are. Where nothing is hidden the layer is empty.
"""

import hashlib
import os
import stat
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from ...domain.errors import DomainError
from ...domain.path import COMPONENTS_MAX, PATH_BYTES_MAX, name_of_text, text_of_name
from ...domain.places import is_engines
from ...domain.scope import FolderScope
from ...engine.ports import Sight
from .descriptors import FOLDER, is_same_object, list_folder, opened, state_of, write_all
from .mounts import mounts_beneath
from .seen import Seen, SeenFolder, join

_WHITEOUT: Final = stat.S_IFCHR
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_FOLDER_BITS: Final = 0o1777
"""What a copy keeps of a folder's mode: all but the set-id bits."""


class Pin(msgspec.Struct, frozen=True):
    """The bytes that a command is to see in a file's place, and `sha256:<hex>` of them."""

    data: bytes
    digest: str

    @classmethod
    def of(cls, data: bytes) -> "Pin":
        """Return the pin of these bytes."""
        return cls(data, f"sha256:{hashlib.sha256(data).hexdigest()}")


class Masked(msgspec.Struct, frozen=True):
    """What there was to be seen, and how many files and folders were hidden (of a folder, only itself is counted)."""

    seen: Seen
    hidden: int


def make_mask(
    mask: int,
    root: int,
    folder: FolderScope,
    sight: Sight,
    pins: Mapping[str, Pin],
    *,
    remembers: bool,
    entries_max: int,
) -> Masked:
    """Walk the granted folder behind `root`, fill the empty folder `mask`, and return what is left to be seen.

    Hidden are: what `sight` hides (of a folder, with all in it), special files, what lies on another mount or can't be
    listed, paths that no action could name, and the engine's own. With `remembers`, what can be seen is written down.

    Raises `OSError`; `DomainError` limit for more entries, conflict where a pinned file is no file any more.
    """
    masking = _Masking(folder, sight, pins, mounts_beneath(root), remembers=remembers, entries_max=entries_max)
    with opened(os.open(".", FOLDER, dir_fd=root)) as top:
        status = os.fstat(top)
        masking.device = status.st_dev
        hides_all = sight.hides(folder.grant_id, ".", state_of(status))
        copy = _Copy(None, b"", status)
        copy.fd = os.dup(mask)
        try:
            masking.walk(top, masking.list(top), status, b"", "", copy, hides_all=hides_all)
            copy.finish()
        finally:
            copy.close()
    masking.require_all_pinned()
    return Masked(masking.seen, masking.hidden)


def take_after(fd: int, original: os.stat_result) -> None:
    """Give an open folder of ours the mode and times of the original."""
    os.fchmod(fd, original.st_mode & _FOLDER_BITS)
    os.utime(fd, ns=(original.st_atime_ns, original.st_mtime_ns))


class _Copy:
    """The mask's copy of one folder, made when it is needed."""

    def __init__(self, parent: "_Copy | None", name: bytes, original: os.stat_result) -> None:
        self._parent = parent
        self._name = name
        self._original = original
        self.fd = -1

    def open(self) -> int:
        """Return the copy's descriptor; the copy and those around it are made first where they are missing."""
        if self.fd < 0:
            assert self._parent is not None
            around = self._parent.open()
            os.mkdir(self._name, 0o700, dir_fd=around)
            self.fd = os.open(self._name, FOLDER, dir_fd=around)
        return self.fd

    def finish(self) -> None:
        """Give the copy the original's mode and times, now that nothing more is put into it."""
        if self.fd >= 0:
            take_after(self.fd, self._original)

    def close(self) -> None:
        """Let go of it."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


class _Masking:
    """One walk."""

    def __init__(
        self,
        folder: FolderScope,
        sight: Sight,
        pins: Mapping[str, Pin],
        mounts: frozenset[bytes],
        *,
        remembers: bool,
        entries_max: int,
    ) -> None:
        self.seen = Seen({}, set(), {})
        self.hidden = 0
        self.device = 0
        self._folder = folder
        self._sight = sight
        self._pins = {name_of_text(path): pin for path, pin in pins.items()}
        self._mounts = mounts
        self._remembers = remembers
        self._entries_max = entries_max
        self._count = 0

    def list(self, fd: int) -> list[tuple[bytes, os.stat_result]]:
        """Return what is in an open folder, as long as there is not too much in all."""
        entries = list_folder(fd, most=self._entries_max - self._count + 1)
        self._count += len(entries)
        if self._count > self._entries_max:
            raise DomainError(
                "limit",
                f"`{self._folder.name}` has more than {self._entries_max:,} files and folders, too many to be laid"
                " before a command",
                "grant a smaller folder",
            )
        return entries

    def walk(
        self,
        fd: int,
        entries: Sequence[tuple[bytes, os.stat_result]],
        status: os.stat_result,
        path: bytes,
        text: str,
        copy: _Copy,
        *,
        hides_all: bool = False,
    ) -> None:
        """Go through what is in an open folder. At most COMPONENTS_MAX calls deep: what is deeper is hidden."""
        is_too_deep = bool(path) and path.count(b"/") + 2 > COMPONENTS_MAX
        names = SeenFolder(status.st_ino, stat.S_IMODE(status.st_mode), {})
        if self._remembers:
            self.seen.folders[path] = names
        for name, inner_status in entries:
            inner = join(path, name)
            inner_text = f"{text}/{text_of_name(name)}" if text else text_of_name(name)
            if hides_all or is_too_deep or self._is_hidden(name, inner, inner_text, inner_status):
                self._hide(name, inner, copy)
            elif stat.S_ISDIR(inner_status.st_mode):
                if self._enter(fd, name, inner, inner_text, inner_status, copy):
                    names.names[name] = None
            else:
                names.names[name] = (inner_status.st_ino, inner_status.st_ctime_ns)
                if self._pins and inner in self._pins:
                    self._pin(name, inner, inner_text, inner_status, copy)

    def require_all_pinned(self) -> None:
        """Raise `DomainError` conflict for a pinned file that was not found; those that are hidden are left alone."""
        for path in self._pins:
            if path not in self.seen.pinned and not self.seen.is_hidden(path):
                raise _no_file(text_of_name(path))

    def _is_hidden(self, name: bytes, path: bytes, text: str, status: os.stat_result) -> bool:
        mode = status.st_mode
        if status.st_dev != self.device or len(path) > PATH_BYTES_MAX or path in self._mounts:
            return True
        if stat.S_ISLNK(mode):
            # Where it points is decided at its target, which is beneath the folder too or not in view at all.
            return False
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            return True
        if (not name.isascii() or b".cowork" in name.lower()) and is_engines(text):
            return True
        return self._sight.hides(self._folder.grant_id, text, state_of(status))

    def _hide(self, name: bytes, path: bytes, copy: _Copy) -> None:
        os.mknod(name, _WHITEOUT, 0, dir_fd=copy.open())
        self.seen.hidden.add(path)
        self.hidden += 1

    def _enter(self, fd: int, name: bytes, path: bytes, text: str, status: os.stat_result, around: _Copy) -> bool:
        """Go into a folder; return whether it can be seen. One that can't be listed by us is hidden.

        The command could make it readable in its copy and then see what nobody has decided about.
        """
        try:
            inner = os.open(name, FOLDER, dir_fd=fd)
        except OSError:
            self._hide(name, path, around)
            return False
        copy = _Copy(around, name, status)
        with opened(inner):
            now = os.fstat(inner)
            try:
                entries = self.list(inner)
            except OSError:
                entries = None
            if entries is None or not is_same_object(now, status):
                self._hide(name, path, around)
                return False
            try:
                self.walk(inner, entries, now, path, text, copy)
                copy.finish()
            finally:
                copy.close()
        return True

    def _pin(self, name: bytes, path: bytes, text: str, original: os.stat_result, copy: _Copy) -> None:
        if not stat.S_ISREG(original.st_mode):
            raise _no_file(text)
        pin = self._pins[path]
        with opened(os.open(name, _NEW, 0o600, dir_fd=copy.open())) as fd:
            write_all(fd, pin.data)
            os.fchmod(fd, stat.S_IMODE(original.st_mode) & 0o777)
            os.utime(fd, ns=(original.st_atime_ns, original.st_mtime_ns))
        self.seen.pinned[path] = pin.digest


def _no_file(text: str) -> DomainError:
    return DomainError("conflict", f"`{text}` is no file any more: it was replaced after the command was decided")
