"""Asking the kernel which Landlock it has. What restricts a command is in `stage0.py`."""

import ctypes
from functools import cache
from typing import Final

_CREATE_RULESET: Final = 444
_ASK_VERSION: Final = 1


@cache
def landlock_abi() -> int:
    """Return the version of Landlock's interface; 0 where the kernel lacks it or was started without it."""
    syscall = ctypes.CDLL(None, use_errno=True).syscall
    syscall.restype = ctypes.c_long
    found: int = syscall(
        ctypes.c_long(_CREATE_RULESET), ctypes.c_void_p(None), ctypes.c_size_t(0), ctypes.c_uint(_ASK_VERSION)
    )
    return max(found, 0)
