"""The ordinary user that commands run as where the tests run as root."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

USER: Final = 65534
GROUP: Final = 65534


def give_away(folder: Path) -> None:
    """Make the ordinary user the owner of the folder and of all in it, where the tests run as root."""
    if os.geteuid() != 0:
        return
    os.lchown(folder, USER, GROUP)
    for top, folders, files in os.walk(folder):
        for name in (*folders, *files):
            os.lchown(os.path.join(top, name), USER, GROUP)


def become_ordinary() -> None:
    """Turn this process into that user's for good, where it is root's."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(GROUP)
        os.setuid(USER)


@contextlib.contextmanager
def as_ordinary_user() -> Iterator[None]:
    """Be that user for the length of the block, where the tests run as root."""
    if os.geteuid() != 0:
        yield
        return
    os.setegid(GROUP)
    os.seteuid(USER)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
