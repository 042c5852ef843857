"""Why a change that a command made can't be carried out, in sentences for people."""

import stat

from ...domain.facts import Obstacle
from ...domain.path import text_of_name
from ...engine.limits import READ_BYTES_MAX


def changed(path: bytes) -> Obstacle:
    """Somebody else changed what the command's change is based on."""
    return Obstacle("conflict", f"`{text_of_name(path)}` changed while the command ran")


def folder_changed(path: bytes) -> Obstacle:
    """Somebody else changed something in a folder that the command deleted."""
    return Obstacle("conflict", f"something in `{text_of_name(path)}` changed while the command ran")


def in_the_way(path: bytes) -> Obstacle:
    """Something stands there that the command could not see."""
    return Obstacle("conflict", f"`{text_of_name(path)}` exists already, where the command could not see it")


def blocked(path: bytes) -> Obstacle:
    """The path leads through something that is no folder."""
    return Obstacle("conflict", f"something else stands where `{text_of_name(path)}` needs a folder")


def moved(path: bytes) -> Obstacle:
    """A folder that the command saw on the way to the path is not there any more, or is another one."""
    return Obstacle("conflict", f"a folder above `{text_of_name(path)}` was replaced while the command ran")


def other_kind(path: bytes, before: int, after: str) -> Obstacle:
    """The command put something of another kind there; `before` is the mode of what was there."""
    return Obstacle("conflict", f"`{text_of_name(path)}` was {_kind(before)}, and the command made it {after}")


def link(path: bytes) -> Obstacle:
    """The command made, changed or deleted a symbolic link."""
    return Obstacle("symlink", f"`{text_of_name(path)}` is a symbolic link, which no action makes, changes or deletes")


def special(path: bytes) -> Obstacle:
    """The command made a pipe, a socket or a device."""
    return Obstacle("special", f"`{text_of_name(path)}` is a pipe, a socket or a device, which no action makes")


def too_large(path: bytes, size: int) -> Obstacle:
    """The command wrote a file that no action can write."""
    return Obstacle("limit", f"`{text_of_name(path)}` has {size:,} bytes, more than {READ_BYTES_MAX:,} at once")


def unusable(path: bytes, words: str) -> Obstacle:
    """The operating system refuses to show what stands there, in its words."""
    return Obstacle("io", f"`{text_of_name(path)}` can't be compared: {words}")


def _kind(mode: int) -> str:
    if stat.S_ISDIR(mode):
        return "a folder"
    return "a symbolic link" if stat.S_ISLNK(mode) else "a file"
