"""Swaps two names for ever: `python adversary.py <folder> <name> <other name>`; says `ready` first.

What it swaps is its own affair: a folder with a link to outside, an approved file with a precious one.
"""

import contextlib
import os
import sys

from cowork.adapters.files.openat2 import RENAME_EXCHANGE, renameat2


def main() -> None:
    """Swap until killed; a name that is missing for a moment is waited for."""
    folder, name, other = sys.argv[1:]
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    one, two = os.fsencode(name), os.fsencode(other)
    print("ready", flush=True)
    while True:
        with contextlib.suppress(FileNotFoundError):
            renameat2(fd, one, fd, two, RENAME_EXCHANGE)


if __name__ == "__main__":
    main()
