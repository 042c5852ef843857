"""What stands between the engine and bubblewrap: a few mounts in a namespace of their own, by a constant script.

An ordinary user may mount an overlay only in a user namespace of its own; `unshare` makes one, a POSIX shell makes the
mounts in it and becomes bubblewrap. The script gets everything as arguments and puts none of it into words.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

UNSHARE: Final = "/usr/bin/unshare"
SHELL: Final = "/bin/sh"
MOUNT: Final = "/usr/bin/mount"
MKDIR: Final = "/usr/bin/mkdir"

GRANT_FD: Final = 8
TMP_FD: Final = 7
SHARED_MEMORY_FD: Final = 9
LOWEST_FREE_FD: Final = 10
"""The script opens descriptors below; those that are handed to it have this number or a greater one."""

EXIT_REPLACED: Final = 120
EXIT_OVERLAY: Final = 121
EXIT_MEMORY: Final = 122
EXIT_GROUP: Final = 123

# Layers are named by descriptors that were opened in this namespace (those of the engine's can't be layers), the
# granted folder by `.`: so the path that was compared is the folder that is mounted, whoever renames it meanwhile, no
# character of a path has a meaning among the options, and the list of mounts, which commands can read, tells no path.
# What is written is never synced (`volatile`): after a crash of the machine nothing of it is wanted.
SCRIPT: Final = f"""
grant=$1 root=$2 mask=$3 upper=$4 work=$5 merged=$6 tmp=$7 options=$8 group=$9
shift 9
if [ -n "$group" ]; then echo 0 >"$group/cgroup.procs" || exit {EXIT_GROUP}; fi
cd "$grant" || exit {EXIT_REPLACED}
[ . -ef "/proc/self/fd/$root" ] || exit {EXIT_REPLACED}
exec 4<"$mask"
if [ -n "$upper" ]; then
  exec 5<"$upper" 6<"$work"
  layers=rw,volatile,lowerdir=/proc/self/fd/4:.,upperdir=/proc/self/fd/5,workdir=/proc/self/fd/6
else
  layers=ro,lowerdir=/proc/self/fd/4:.
fi
{MOUNT} -i -n -c -t overlay -o "nosuid,nodev,userxattr,$layers" overlay "$merged" || exit {EXIT_OVERLAY}
{MOUNT} -i -n -c -t tmpfs -o "nosuid,nodev,mode=0700,$options" tmpfs "$tmp" || exit {EXIT_MEMORY}
{MKDIR} -m 1777 "$tmp/tmp" "$tmp/shm" || exit {EXIT_MEMORY}
exec {GRANT_FD}<"$merged" {TMP_FD}<"$tmp/tmp" {SHARED_MEMORY_FD}<"$tmp/shm" 4<&- 5<&- 6<&-
cd /
exec "$@"
"""


class Layers(msgspec.Struct, frozen=True):
    """The folders of an area: what hides, what takes changes (empty for reading only), and where both are mounted."""

    mask: str
    upper: str
    work: str
    merged: str
    tmp: str


def launch_command(
    folder: str, root: int, layers: Layers, bubblewrap: Sequence[str], *, tmp_options: str, group: str = ""
) -> list[str]:
    """Return the argument vector that the engine starts.

    `folder` is the granted folder's path, `root` a descriptor of it that is compared; `group` a control group's folder
    that everything goes into first.
    """
    return [
        *(UNSHARE, "--user", "--map-root-user", "--mount"),
        *(SHELL, "-c", SCRIPT, "launch"),
        *(folder, str(root), layers.mask, layers.upper, layers.work, layers.merged, layers.tmp, tmp_options, group),
        *bubblewrap,
    ]
