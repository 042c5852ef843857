"""Where other file systems are mounted beneath a folder, bind mounts included."""

import os
import re
from typing import Final

_ESCAPED: Final = re.compile(rb"\\([0-7]{3})")
_MOUNT_POINT: Final = 4
"""The field of a line of `mountinfo` (see proc(5)) that says where the mount is."""


def mounts_beneath(folder: int) -> frozenset[bytes]:
    """Return the paths, relative to the open folder, that are mount points: what is under them is another tree.

    A bind mount of the same file system has the same device number, so a `stat` can't tell.
    """
    top = os.fsencode(os.readlink(f"/proc/self/fd/{folder}")).rstrip(b"/") + b"/"
    found: list[bytes] = []
    with open("/proc/self/mountinfo", "rb") as mounts:
        for line in mounts:
            point = line.split(b" ")[_MOUNT_POINT]
            if b"\\" in point:
                point = _ESCAPED.sub(lambda match: bytes([int(match[1], 8)]), point)
            if point.startswith(top) and point != top:
                found.append(point[len(top) :])
    return frozenset(found)
