"""Reading a policy file that can be trusted: an ordinary file of the right owner that nobody else may write.

Everything is asked of the file that is open, not of its name: between two looks at a name another file can take it.
"""

import os
import stat
from collections.abc import Collection
from pathlib import Path
from typing import Final

from ...domain.errors import DomainError

POLICY_BYTES_MAX: Final = 1024 * 1024
MEND: Final = "nothing runs until it is mended"
_HOW: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


def read_policy(path: Path, *, owners: Collection[int] | None = None, folder: int | None = None) -> bytes:
    """Return what stands in a policy file.

    `owners` are the users who may own it, any where None; with root alone among them its group may not write it.
    `folder` is an open folder in which the file's name is looked up. Raises `DomainError` not_found, invalid or
    limit.
    """
    try:
        opened = os.open(path if folder is None else path.name, _HOW, dir_fd=folder)
    except FileNotFoundError as error:
        raise DomainError("not_found", f"there is no policy file `{path}`", "name a file that is there") from error
    except (OSError, ValueError) as error:
        if _is_odd(path, folder):
            raise _not_ordinary(path) from error
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise DomainError("invalid", f"the policy `{path}` can't be opened: {reason}", MEND) from error
    try:
        found = os.fstat(opened)
        if not stat.S_ISREG(found.st_mode):
            raise _not_ordinary(path)
        check_owner(found, path, owners)
        return _content(opened, path)
    except OSError as error:
        raise DomainError("invalid", f"the policy `{path}` can't be read: {error.strerror}", MEND) from error
    finally:
        os.close(opened)


def check_owner(found: os.stat_result, path: Path, owners: Collection[int] | None) -> None:
    """Refuse what others than the owners could have written. Raises `DomainError` invalid."""
    what = "the folder" if stat.S_ISDIR(found.st_mode) else "the policy"
    if owners is not None and found.st_uid not in owners:
        wanted = "root" if set(owners) == {0} else "you"
        raise DomainError(
            "invalid", f"{what} `{path}` belongs to user `{found.st_uid}`, not to {wanted}", f"{MEND}: change its owner"
        )
    strict = owners is not None and set(owners) == {0}
    # In a folder with the sticky bit nobody can put another file in the place of one of mine.
    if found.st_mode & stat.S_IWOTH and (strict or what == "the policy" or not found.st_mode & stat.S_ISVTX):
        raise DomainError("invalid", f"everybody may write {what} `{path}`", f"run `chmod o-w {path}`")
    if strict and found.st_mode & stat.S_IWGRP:
        raise DomainError("invalid", f"others than root may write {what} `{path}`", f"run `chmod g-w {path}`")


def _content(opened: int, path: Path) -> bytes:
    parts: list[bytes] = []
    left = POLICY_BYTES_MAX + 1
    while left and (part := os.read(opened, left)):
        parts.append(part)
        left -= len(part)
    if not left:
        raise DomainError("limit", f"the policy `{path}` is larger than {POLICY_BYTES_MAX} bytes", MEND)
    return b"".join(parts)


def _is_odd(path: Path, folder: int | None) -> bool:
    """Whether the name is a link, or something else that can't be opened as a file."""
    try:
        mode = os.stat(path if folder is None else path.name, dir_fd=folder, follow_symlinks=False).st_mode
    except (OSError, ValueError):
        return False
    return not stat.S_ISREG(mode)


def _not_ordinary(path: Path) -> DomainError:
    return DomainError("invalid", f"the policy `{path}` is not an ordinary file", "name the file itself, not a link")
