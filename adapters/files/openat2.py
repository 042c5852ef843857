"""Two system calls that Python lacks: openat2, which resolves a path under rules, and renameat2, which never replaces.

Both go through the C library's `syscall`, so that an old C library on a new kernel is no obstacle.
"""

import ctypes
import errno
import os
import platform
from typing import Final

RESOLVE_NO_XDEV: Final = 0x01
RESOLVE_NO_MAGICLINKS: Final = 0x02
RESOLVE_NO_SYMLINKS: Final = 0x04
RESOLVE_BENEATH: Final = 0x08

RENAME_NOREPLACE: Final = 1
RENAME_EXCHANGE: Final = 2

_RETRIES_MAX: Final = 128
_AT_FDCWD: Final = -100
_OPENAT2: Final = 437
"""The number of openat2 is the same on every architecture that Python has wheels for."""

_RENAMEAT2: Final = {
    "x86_64": 316,
    "i686": 353,
    "aarch64": 276,
    "armv7l": 382,
    "riscv64": 276,
    "loongarch64": 276,
    "ppc64le": 357,
    "s390x": 347,
}

_LIBC: Final = ctypes.CDLL(None, use_errno=True)
_SYSCALL: Final = _LIBC.syscall
_SYSCALL.restype = ctypes.c_long


class _OpenHow(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


def openat2(folder: int, path: bytes, flags: int, resolve: int) -> int:
    """Open `path` relative to the folder's file descriptor and return a new descriptor.

    Raises `OSError`; EAGAIN (the tree was renamed during the look-up) only after 128 tries.
    """
    how = _OpenHow(flags, 0, resolve)
    for _ in range(_RETRIES_MAX):
        found: int = _SYSCALL(
            ctypes.c_long(_OPENAT2),
            ctypes.c_int(folder),
            ctypes.c_char_p(path),
            ctypes.byref(how),
            ctypes.c_size_t(ctypes.sizeof(how)),
        )
        if found >= 0:
            return found
        code = ctypes.get_errno()
        if code not in (errno.EAGAIN, errno.EINTR):
            raise OSError(code, os.strerror(code))
    raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))


def is_openat2_available() -> bool:
    """Whether the kernel has openat2 and lets this process use it (containers often do not)."""
    try:
        os.close(openat2(_AT_FDCWD, b".", os.O_PATH | os.O_CLOEXEC, RESOLVE_NO_SYMLINKS))
    except OSError as error:
        if error.errno in (errno.ENOSYS, errno.EPERM, errno.EINVAL, errno.E2BIG):
            return False
        raise
    return True


def renameat2(from_folder: int, from_name: bytes, to_folder: int, to_name: bytes, flags: int) -> None:
    """Rename a name of one folder to a name of another, or with `RENAME_EXCHANGE` swap the two.

    Raises `OSError`: EEXIST with `RENAME_NOREPLACE` where anything stands at the new name, EINVAL where the file
    system can't do it, ENOSYS on an architecture that is not known here.
    """
    number = _RENAMEAT2.get(platform.machine())
    if number is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    for _ in range(_RETRIES_MAX):
        failed: int = _SYSCALL(
            ctypes.c_long(number),
            ctypes.c_int(from_folder),
            ctypes.c_char_p(from_name),
            ctypes.c_int(to_folder),
            ctypes.c_char_p(to_name),
            ctypes.c_uint(flags),
        )
        if not failed:
            return
        code = ctypes.get_errno()
        if code != errno.EINTR:
            raise OSError(code, os.strerror(code))
    raise OSError(errno.EINTR, os.strerror(errno.EINTR))
