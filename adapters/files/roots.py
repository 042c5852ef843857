"""The granted folders, opened: at each use it is made sure that they are still the folder that was granted."""

import os
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from ...domain.path import name_of_text
from ...domain.scope import FolderIdentity, FolderScope
from .failure import PathError
from .resolver import Resolver, opened

PINS_MAX: Final = 256


class Roots:
    """Opens granted folders by their path and compares them with their identity.

    A descriptor of each stays open: as long as it does, its inode number can't be given to another folder.
    """

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver
        self._lock = threading.Lock()
        self._pins: OrderedDict[tuple[str, FolderIdentity], int] = OrderedDict()

    @contextmanager
    def hold(self, folder: FolderScope) -> Iterator[int]:
        """Give an `O_PATH` descriptor of the granted folder for the length of the block.

        Raises `PathError` conflict where the path leads to another folder, to none, or through a link.
        """
        try:
            fd = self._resolver.open_root(name_of_text(folder.root_path))
        except OSError as error:
            raise _replaced(folder) from error
        with opened(fd):
            status = os.fstat(fd)
            if FolderIdentity(status.st_dev, status.st_ino) != folder.identity:
                raise _replaced(folder)
            self._pin(folder, fd)
            yield fd

    def close(self) -> None:
        """Let go of all descriptors."""
        with self._lock:
            while self._pins:
                os.close(self._pins.popitem()[1])

    def _pin(self, folder: FolderScope, fd: int) -> None:
        key = (folder.grant_id, folder.identity)
        with self._lock:
            if key in self._pins:
                self._pins.move_to_end(key)
                return
            self._pins[key] = os.dup(fd)
            if len(self._pins) > PINS_MAX:
                os.close(self._pins.popitem(last=False)[1])


def _replaced(folder: FolderScope) -> PathError:
    return PathError("conflict", f"`{folder.root_path}` is no longer the folder that was granted as `{folder.name}`")
