"""Removing what a command left behind, however deep, wide and locked it made it."""

import errno
import itertools
import os
from collections.abc import Iterator
from typing import Final

from .descriptors import FOLDER, opened, set_mode

_TAKEN: Final = (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR)


def remove_folder(parent: int, name: bytes) -> None:
    """Remove the folder of that name and all in it; nothing to do where there is none. Links are removed as links.

    Each inner folder is first renamed to the top, so that neither the depth of the tree nor the length of its paths
    matters, and two descriptors are enough. Broken off at any point, it can be begun again. Raises `OSError`.
    """
    try:
        set_mode(parent, name, 0o700)
    except FileNotFoundError:
        return
    with opened(os.open(name, FOLDER, dir_fd=parent)) as top:
        numbers = itertools.count()
        while entries := _entries(top):
            for inner, is_folder in entries:
                if is_folder:
                    _empty(top, inner, numbers)
                    os.rmdir(inner, dir_fd=top)
                else:
                    os.unlink(inner, dir_fd=top)
    os.rmdir(name, dir_fd=parent)


def _entries(folder: int) -> list[tuple[bytes, bool]]:
    with os.scandir(folder) as entries:
        return [(os.fsencode(entry.name), entry.is_dir(follow_symlinks=False)) for entry in entries]


def _empty(top: int, name: bytes, numbers: Iterator[int]) -> None:
    """Remove what is directly in the folder, and lift the folders that are in it to the top."""
    set_mode(top, name, 0o700)
    with opened(os.open(name, FOLDER, dir_fd=top)) as folder:
        for inner, is_folder in _entries(folder):
            if not is_folder:
                os.unlink(inner, dir_fd=folder)
                continue
            # A folder that is locked against its owner can't be moved to another parent either.
            set_mode(folder, inner, 0o700)
            _lift(folder, inner, top, numbers)


def _lift(folder: int, name: bytes, top: int, numbers: Iterator[int]) -> None:
    for number in numbers:
        try:
            os.rename(name, b"%d" % number, src_dir_fd=folder, dst_dir_fd=top)
            return
        except OSError as error:
            if error.errno not in _TAKEN:
                raise
