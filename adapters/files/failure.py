"""Why a file could not be used, as a reason code and a sentence; and the one translation of the system's errors."""

import errno
from typing import Final, TypeAlias

from ...domain.errors import DomainError
from ...domain.reason import ReasonCode


class PathError(Exception):
    """A place can't be used. It becomes an obstacle, a `Failed` or an `Unclear`, and never leaves this adapter."""

    def __init__(self, code: ReasonCode, message: str) -> None:
        super().__init__(message)
        self.code: ReasonCode = code
        self.message = message


_CODES: Final[dict[int, tuple[ReasonCode, str]]] = {
    errno.ELOOP: ("symlink", "a symbolic link stands in the way"),
    errno.EXDEV: ("xdev", "it lies on another file system"),
    errno.ENOENT: ("not_found", "it does not exist"),
    errno.ENOTDIR: ("not_found", "a file stands where a folder is needed"),
    errno.EEXIST: ("conflict", "something stands there already"),
    errno.ENAMETOOLONG: ("limit", "the path or a name is too long"),
    errno.ESTALE: ("conflict", "it was replaced while it was looked at"),
    errno.EAGAIN: ("conflict", "the folders were renamed again and again while it was looked up"),
    errno.ENXIO: ("special", "it is not an ordinary file"),
}


def failure_of(error: OSError, shown: str) -> PathError:
    """Return what an error of the operating system at the place `shown` means."""
    code, words = _CODES.get(error.errno or 0, ("io", (error.strerror or str(error)).lower()))
    return PathError(code, f"`{shown}` can't be used: {words}")


Expected: TypeAlias = OSError | DomainError | PathError


def sentence_of(error: Expected) -> tuple[ReasonCode, str]:
    """Return the reason code and the sentence for any error that is expected while working on files."""
    if isinstance(error, DomainError):
        return "io", error.message
    failure = failure_of(error, "the target") if isinstance(error, OSError) else error
    return failure.code, failure.message


EXPECTED: Final = (OSError, DomainError, PathError)
"""What the world may do to file work. Everything else is a bug."""
