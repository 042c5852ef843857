"""Swaps two names for ever: `python adversary.py <folder> <name> <other name> [swap|carry]`; says `ready` first.

What it swaps is its own affair: a folder with a link to outside, an approved file with a precious one. With `carry` it
gives what has the other name the first one, and takes it back, and never replaces anything.
"""

import contextlib
import os
import sys

from cowork.adapters.files.openat2 import RENAME_EXCHANGE, RENAME_NOREPLACE, renameat2


def main() -> None:
    """Swap until killed; a name that is missing for a moment is waited for."""
    folder, name, other, *how = sys.argv[1:]
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    one, two = os.fsencode(name), os.fsencode(other)
    print("ready", flush=True)
    while how == ["carry"]:
        for source, target in ((two, one), (one, two)):
            with contextlib.suppress(FileNotFoundError, FileExistsError):
                renameat2(fd, source, fd, target, RENAME_NOREPLACE)
    while True:
        with contextlib.suppress(FileNotFoundError):
            renameat2(fd, one, fd, two, RENAME_EXCHANGE)


if __name__ == "__main__":
    main()
