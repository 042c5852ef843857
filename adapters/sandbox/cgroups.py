"""A control group for each command, where this machine lets an ordinary user have one: memory and processes in all.

The bounds that a process has of its own add up; those of a group do not. A place for groups is the parent of the group
that the engine runs in, if that is the engine's to write to and hands on both controllers: as in a session of systemd.
Elsewhere there is none, and the bounds of processes are what holds.
"""

import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from ...engine.limits import COMMAND_PROCESSES_MAX, COMMAND_TOTAL_MEMORY_BYTES_MAX

CONTROLLERS: Final = frozenset(["memory", "pids"])
_END_S_MAX: Final = 5.0
_OWN_PROCESSES: Final = 8
"""What the sandbox itself needs beside the command: bwrap outside and inside, and room for the script's mounts."""


class Group(msgspec.Struct, frozen=True):
    """A control group that was made for one command. Whatever enters `folder` is bounded."""

    folder: Path

    def end(self) -> None:
        """End all that is in the group, and remove it. What can't be removed stays, empty and bounded."""
        with suppress(OSError):
            (self.folder / "cgroup.kill").write_text("1", encoding="ascii")
        ends = time.monotonic() + _END_S_MAX
        while time.monotonic() < ends:
            try:
                self.folder.rmdir()
            except FileNotFoundError:
                return
            except OSError:
                # The last process is not quite gone yet.
                time.sleep(0.002)
            else:
                return


def make_group(
    name: str,
    place: Path | None,
    *,
    memory_bytes: int = COMMAND_TOTAL_MEMORY_BYTES_MAX,
    processes: int = COMMAND_PROCESSES_MAX,
) -> Group | None:
    """Make a group for a command at a place for groups; None where there is no place, or it turns out to be none."""
    if place is None:
        return None
    group = Group(place / f"cowork-{os.getpid()}-{name}")
    try:
        group.folder.mkdir()
        for setting, value in (
            ("memory.max", memory_bytes),
            ("memory.swap.max", 0),
            ("memory.oom.group", 1),
            ("pids.max", processes + _OWN_PROCESSES),
        ):
            if setting != "memory.swap.max" or (group.folder / setting).exists():
                (group.folder / setting).write_text(str(value), encoding="ascii")
    except OSError:
        with suppress(OSError):
            group.folder.rmdir()
        return None
    return group


def find_place(process: Path = Path("/proc/self")) -> Path | None:
    """Return where groups for commands can be made, or None."""
    try:
        own = _own_group(process)
    except (OSError, ValueError):
        return None
    if own is None:
        return None
    place = own.parent
    try:
        handed_on = set((place / "cgroup.subtree_control").read_text(encoding="ascii").split())
    except OSError:
        return None
    # To move a process from one group to another, both must have a parent that may be written to.
    writable = os.access(place, os.W_OK | os.X_OK) and os.access(place / "cgroup.procs", os.W_OK)
    return place if writable and handed_on >= CONTROLLERS else None


def _own_group(process: Path) -> Path | None:
    """Return the folder of the group of the second version that a process is in; the topmost has no place beside it."""
    own = ""
    for line in (process / "cgroup").read_text(encoding="utf-8").splitlines():
        number, _, path = line.split(":", 2)
        if number == "0":
            own = path.strip("/")
    if not own:
        return None
    for line in (process / "mountinfo").read_text(encoding="utf-8").splitlines():
        before, _, after = line.partition(" - ")
        if after.split()[0] == "cgroup2":
            root, mounted = before.split()[3:5]
            inner = Path("/", own).relative_to(root)
            return Path(mounted) / inner if inner.parts else None
    return None
