"""Where deleted files go: a folder of the engine's on the same file system, which one rename takes a whole tree to.

That is `<state folder>/quarantine/` where it lies on the grant's file system, else `.cowork/quarantine/` inside the
granted folder, which no action can reach.
"""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from ...domain.places import ENGINE_FOLDER
from .openat2 import RENAME_NOREPLACE, renameat2
from .resolver import FOLDER, Resolver, opened

_TIDIED_MAX: Final = 64
_FOLDER_NAME: Final = b"quarantine"
_IN_GRANT: Final = (os.fsencode(ENGINE_FOLDER), _FOLDER_NAME)


class Quarantine:
    """Keeps what was deleted, under a name that follows from the attempt."""

    def __init__(self, state_dir: Path, resolver: Resolver) -> None:
        self._state_dir = state_dir
        self._resolver = resolver

    def put(self, root: int, parent: int, name: bytes, kept_as: bytes) -> None:
        """Move the entry `name` of the folder `parent`, which lies beneath `root`, into quarantine with one rename.

        Raises `OSError`: ENOENT where it is gone, EEXIST where something is kept under that name already.
        """
        if self._is_beside_state(root):
            try:
                with opened(self._open_state(create=True)) as folder:
                    renameat2(parent, name, folder, kept_as, RENAME_NOREPLACE)
                    return
            except OSError as error:
                # A bind mount has the same device number and is still another mount: then it stays in the grant.
                if error.errno != errno.EXDEV:
                    raise
        for tidied in range(1, _TIDIED_MAX + 1):
            try:
                with opened(self._open_in_grant(root, create=True)) as folder:
                    renameat2(parent, name, folder, kept_as, RENAME_NOREPLACE)
                    return
            except FileNotFoundError:
                # Another action may have tidied the folders away between the two; else it is the entry that is gone.
                os.stat(name, dir_fd=parent, follow_symlinks=False)
                if tidied == _TIDIED_MAX:
                    raise

    @contextmanager
    def find(self, root: int, kept_as: bytes) -> Iterator[int | None]:
        """Give a descriptor of the folder in which something is kept under that name for this grant, or None."""
        for folder in self._folders(root):
            with opened(folder):
                try:
                    os.stat(kept_as, dir_fd=folder, follow_symlinks=False)
                except FileNotFoundError:
                    continue
                yield folder
                return
        yield None

    def tidy(self, root: int) -> None:
        """Remove the folders inside the grant where nothing is kept in them."""
        try:
            with opened(self._resolver.open(root, _IN_GRANT[0], FOLDER)) as engine_folder:
                os.rmdir(_FOLDER_NAME, dir_fd=engine_folder)
            with opened(self._resolver.open(root, b"", FOLDER)) as folder:
                os.rmdir(_IN_GRANT[0], dir_fd=folder)
        except OSError:
            return

    def sync(self, root: int, kept_as: bytes) -> None:
        """Make the last move under that name durable."""
        with self.find(root, kept_as) as folder:
            if folder is not None:
                os.fsync(folder)

    def purge(self, root: int, kept_as: bytes) -> bool:
        """Remove for good what is kept under that name, links as links; return whether there was anything."""
        with self.find(root, kept_as) as folder:
            if folder is None:
                return False
            remove_tree(folder, kept_as)
            os.fsync(folder)
        self.tidy(root)
        return True

    def _folders(self, root: int) -> Iterator[int]:
        """Yield a new descriptor of each place where something of this grant may be kept."""
        with suppress(FileNotFoundError):
            if self._is_beside_state(root):
                yield self._open_state(create=False)
        with suppress(FileNotFoundError):
            yield self._open_in_grant(root, create=False)

    def _is_beside_state(self, root: int) -> bool:
        return self._state_dir.stat().st_dev == os.fstat(root).st_dev

    def _open_state(self, *, create: bool) -> int:
        path = self._state_dir / os.fsdecode(_FOLDER_NAME)
        if create:
            with opened(os.open(self._state_dir, FOLDER)) as state:
                _make(state, _FOLDER_NAME)
        return os.open(path, FOLDER)

    def _open_in_grant(self, root: int, *, create: bool) -> int:
        if create:
            with opened(self._resolver.open(root, b"", FOLDER)) as folder:
                _make(folder, _IN_GRANT[0])
            with opened(self._resolver.open(root, _IN_GRANT[0], FOLDER)) as folder:
                _make(folder, _IN_GRANT[1])
        return self._resolver.open(root, b"/".join(_IN_GRANT), FOLDER)


def _make(folder: int, name: bytes) -> None:
    try:
        os.mkdir(name, 0o700, dir_fd=folder)
    except FileExistsError:
        return
    os.fsync(folder)


def remove_tree(folder: int, name: bytes) -> None:
    """Remove a file, link or whole tree by its name in a folder, never following a link."""
    try:
        os.unlink(name, dir_fd=folder)
    except IsADirectoryError:
        # Python's own removal works on descriptors and refuses links on the way.
        shutil.rmtree(name, dir_fd=folder)
