"""Removing for good what was deleted long ago: what lies in quarantine, in the store and in granted folders.

In a granted folder another store may keep something under the same roof: there only what is asked for by its name is
looked at. Nothing outside the two quarantine folders is ever opened for writing.
"""

import errno
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from ...domain.errors import DomainError
from ...domain.places import ENGINE_FOLDER
from ...domain.scope import FolderScope
from ...engine.keeping_ports import KeptItem, KeptKind
from .failure import PathError
from .openat2 import RENAME_NOREPLACE, renameat2
from .quarantine import Quarantine
from .resolver import FOLDER, Resolver, choose_resolver, opened
from .roots import Roots

_QUARANTINE: Final = "quarantine"
_GOING: Final = ".going"
"""How the name of something ends that is being removed: nothing finds it any more under its own."""

_OURS: Final = re.compile(rf"[0-9a-f]{{24}}(?:{re.escape(_GOING)})?")
"""The names that attempts give (`domain/attempt.py`). What else somebody put there is theirs."""


class FileQuarantineCollector:
    """The QuarantineCollector port over the quarantine of a store and of the folders that were granted.

    A thing is touched when it is put into quarantine (its ctime). It goes with one rename, after which nothing finds it
    by its name; its tree is taken down then, however it is locked.
    """

    kind: KeptKind = "quarantine"

    def __init__(self, state_dir: Path, resolver: Resolver | None = None) -> None:
        self._state_dir = state_dir
        self._resolver = resolver or choose_resolver()
        self._quarantine = Quarantine(state_dir, self._resolver)

    def kept(self) -> Iterator[KeptItem]:
        """Yield all that lies in the store's quarantine."""
        with self._opened(None) as store:
            if store is not None:
                yield from _items(store, os.listdir(store), None)

    def kept_in_folders(self, deleted: Mapping[str, FolderScope]) -> Iterator[KeptItem]:
        """Yield what lies in granted folders of that which is asked for."""
        names: dict[str, list[str]] = {}
        folders: dict[str, FolderScope] = {}
        for name, folder in deleted.items():
            folders[folder.grant_id] = folder
            names.setdefault(folder.grant_id, []).append(name)
        for grant_id, wanted in names.items():
            with self._opened(folders[grant_id]) as place:
                if place is not None:
                    asked = {*wanted, *(f"{name}{_GOING}" for name in wanted)}
                    yield from _items(place, sorted(asked.intersection(os.listdir(place))), folders[grant_id])

    def remove(self, item: KeptItem, *, untouched_since: datetime) -> bool:
        """Remove it for good, links as links. Raises `DomainError` unavailable."""
        try:
            with self._opened(item.folder) as place:
                if place is None:
                    return False
                name = os.fsencode(item.name)
                if not item.going:
                    if os.stat(name, dir_fd=place, follow_symlinks=False).st_ctime > untouched_since.timestamp():
                        return False
                    going = name + os.fsencode(_GOING)
                    renameat2(place, name, place, going, RENAME_NOREPLACE)
                    os.fsync(place)
                    name = going
                _remove(place, name)
                os.fsync(place)
        except FileNotFoundError:
            return False
        except (OSError, RecursionError) as error:
            said = (error.strerror or str(error)).lower() if isinstance(error, OSError) else "it is nested too deeply"
            raise DomainError("unavailable", f"`{item.name}` in quarantine can't be removed: {said}") from error
        self._tidy(item.folder)
        return True

    def _tidy(self, folder: FolderScope | None) -> None:
        if folder is not None:
            with self._held(folder) as root:
                if root is not None:
                    self._quarantine.tidy(root)

    @contextmanager
    def _opened(self, folder: FolderScope | None) -> Iterator[int | None]:
        """Give a descriptor of the quarantine in a granted folder (None: of the store), None where there is none."""
        with ExitStack() as stack:
            fd: int | None = None
            if folder is None:
                with suppress(FileNotFoundError):
                    fd = os.open(self._state_dir / _QUARANTINE, FOLDER)
            else:
                root = stack.enter_context(self._held(folder))
                if root is not None:
                    with suppress(OSError):
                        fd = self._resolver.open(root, os.fsencode(f"{ENGINE_FOLDER}/{_QUARANTINE}"), FOLDER)
            if fd is not None:
                stack.callback(os.close, fd)
            yield fd

    @contextmanager
    def _held(self, folder: FolderScope) -> Iterator[int | None]:
        """Give a descriptor of the granted folder, None where it is no longer the one that was granted."""
        roots = Roots(self._resolver)
        with ExitStack() as stack:
            stack.callback(roots.close)
            try:
                root = stack.enter_context(roots.hold(folder))
            except (PathError, OSError):
                root = None
            yield root


def _items(place: int, names: list[str], folder: FolderScope | None) -> Iterator[KeptItem]:
    for name in filter(_OURS.fullmatch, names):
        try:
            status = os.stat(name, dir_fd=place, follow_symlinks=False)
            yield KeptItem(
                kind="quarantine",
                name=name,
                size=_size(place, name),
                touched_at=datetime.fromtimestamp(status.st_ctime, UTC),
                folder=folder,
                going=name.endswith(_GOING),
            )
        except FileNotFoundError:
            continue


def _size(place: int, name: str) -> int:
    """Return the bytes of a file, or of all files of a tree that can be looked into."""
    total = os.stat(name, dir_fd=place, follow_symlinks=False).st_size
    for _, _, files, folder in os.fwalk(name, dir_fd=place):
        for file in files:
            with suppress(OSError):
                total += os.stat(file, dir_fd=folder, follow_symlinks=False).st_size
    return total


def _remove(place: int, name: bytes) -> None:
    try:
        os.unlink(name, dir_fd=place)
    except OSError as error:
        if error.errno not in (errno.EISDIR, errno.EPERM):
            raise
        _unlock(place, name)
        for _, folders, _, folder in os.fwalk(name, dir_fd=place):
            for inner in folders:
                _unlock(folder, os.fsencode(inner))
        # Python's own removal works on descriptors and refuses links on the way.
        shutil.rmtree(name, dir_fd=place)


def _unlock(place: int, name: bytes) -> None:
    """Let the owner into a folder that was locked when it was deleted. A link is left alone."""
    try:
        fd = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=place)
    except NotADirectoryError:
        return
    with opened(fd):
        os.chmod(f"/proc/self/fd/{fd}", 0o700)
