"""What a command sees: a list of what is there, mounted read-only unless it is the command's own.

It is written as arguments of bubblewrap, which takes them from a descriptor (`--args`): its own command line can be
read from inside.
"""

import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from typing import Final

import msgspec

from ...domain.path import is_beneath

CODE_FILE: Final = "/run/cowork/code.py"
"""Where the source of `code.run` lies in the sandbox."""

HOST_NAME: Final = "cowork"

_SYSTEM_FOLDERS: Final = ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")

_SETTINGS: Final = (
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/alternatives",
    "/etc/localtime",
    "/etc/ssl/certs",
    "/etc/ssl/openssl.cnf",
    "/etc/pki/tls/certs",
    "/etc/pki/ca-trust/extracted",
    "/etc/ca-certificates/extracted",
    "/etc/crypto-policies",
)
"""What programs need of the machine's settings: where libraries are, whom to trust, which time it is."""

_TAKEN: Final = ("/usr", "/etc", "/proc", "/sys", "/dev", "/boot", "/run/cowork", *_SYSTEM_FOLDERS)
"""Places that the sandbox fills itself. A granted folder can be none of them, nor within, nor around."""

_OWN: Final = ("/tmp", "/dev/shm", "/run")  # noqa: S108 - places in the sandbox, which are the command's own
"""Places that a granted folder may lie in and may not be."""


class Person(msgspec.Struct, frozen=True):
    """Who the command runs as: the engine's user, by number."""

    uid: int
    gid: int


class Descriptors(msgspec.Struct, frozen=True):
    """The descriptors that bubblewrap finds open, by what they hold."""

    grant: int
    tmp: int
    shared_memory: int
    passwd: int
    group: int
    hosts: int
    names: int
    filter: int
    info: int
    code: int | None = None


def find_taken(folder: str) -> str | None:
    """Return the place of the sandbox's own that a granted folder (an absolute path) collides with, or None."""
    if folder.strip("/") == "":
        return "/"
    for place in _TAKEN:
        inside = is_beneath(folder, place) and not (place == "/dev" and is_beneath(folder, "/dev/shm"))  # noqa: S108
        if inside or is_beneath(place, folder):
            return place
    return next((place for place in _OWN if is_beneath(place, folder)), None)


def arguments_of_view(
    folder: str, person: Person, descriptors: Descriptors, *, writes: bool, host: str = "/"
) -> list[str]:
    """Return bubblewrap's arguments. `folder` is the granted one; `host` is where the machine's files are (for tests).

    The order counts: a later mount lies on top of an earlier one, and the root is shut last.
    """
    return [
        *_walls(person, descriptors),
        *_system(host),
        *_settings(host, descriptors),
        *("--proc", "/proc", "--dev", "/dev"),
        *("--bind-fd", str(descriptors.tmp), "/tmp"),  # noqa: S108 - the command's own
        *("--bind-fd", str(descriptors.shared_memory), "/dev/shm"),  # noqa: S108
        *("--remount-ro", "/dev"),
        *("--bind-fd" if writes else "--ro-bind-fd", str(descriptors.grant), folder),
        *(("--perms", "0444", "--file", str(descriptors.code), CODE_FILE) if descriptors.code is not None else ()),
        *("--remount-ro", "/"),
    ]


def _walls(person: Person, descriptors: Descriptors) -> list[str]:
    """Every namespace by its name: the forms with `try` would go on without."""
    return [
        *("--unshare-user", "--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup"),
        *("--disable-userns", "--cap-drop", "ALL"),
        *("--uid", str(person.uid), "--gid", str(person.gid)),
        *("--die-with-parent", "--new-session", "--hostname", HOST_NAME),
        *("--seccomp", str(descriptors.filter), "--info-fd", str(descriptors.info)),
    ]


def _system(host: str) -> Iterator[str]:
    yield from ("--ro-bind", _on(host, "/usr"), "/usr")
    for folder in _SYSTEM_FOLDERS:
        try:
            status = os.lstat(_on(host, folder))
        except FileNotFoundError:
            continue
        if stat.S_ISLNK(status.st_mode):
            yield from ("--symlink", os.readlink(_on(host, folder)), folder)
        elif stat.S_ISDIR(status.st_mode):
            yield from ("--ro-bind", _on(host, folder), folder)


def _settings(host: str, descriptors: Descriptors) -> Iterator[str]:
    for path in _SETTINGS:
        if os.path.exists(_on(host, path)):
            yield from ("--ro-bind", _on(host, path), path)
    for descriptor, path in (
        (descriptors.passwd, "/etc/passwd"),
        (descriptors.group, "/etc/group"),
        (descriptors.hosts, "/etc/hosts"),
        (descriptors.names, "/etc/nsswitch.conf"),
    ):
        yield from ("--perms", "0444", "--file", str(descriptor), path)


def _on(host: str, path: str) -> str:
    return path if host == "/" else str(PurePosixPath(host) / path.lstrip("/"))


def passwd_of(person: Person) -> bytes:
    """Return an /etc/passwd that knows one person."""
    return f"cowork:x:{person.uid}:{person.gid}:cowork:/tmp:/bin/sh\n".encode()


def group_of(person: Person) -> bytes:
    """Return an /etc/group that knows one group."""
    return f"cowork:x:{person.gid}:\n".encode()


HOSTS: Final = b"127.0.0.1 localhost\n::1 localhost\n"
NAMES: Final = b"passwd: files\ngroup: files\nhosts: files\n"
"""Names are looked up in these files and nowhere else: there is nobody to ask."""


def joined(arguments: Sequence[str | bytes]) -> bytes:
    """Return arguments as bubblewrap reads them from a descriptor: each ended by NUL."""
    return b"".join(os.fsencode(argument) + b"\0" for argument in arguments)
