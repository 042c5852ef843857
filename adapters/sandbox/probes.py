"""What the self test runs inside the sandbox: it tries to do what must not be possible, and says what was.

It is run as source by the machine's own Python, so it stands alone. Its argument is JSON with the places to try; it
prints JSON: for each try, an empty text where the wall held, and what happened where it did not.
"""

from __future__ import annotations

import ctypes
import json
import os
import socket
import sys
from collections.abc import Callable

CLONE_NEWUSER = 0x10000000
OPEN = "it worked"
ENGINE_LIBRARY = ctypes.CDLL(None, use_errno=True)


def refused(attempt: Callable[[], object]) -> str:
    """Return an empty text if the attempt fails as the system's refusals do."""
    try:
        attempt()
    except OSError:
        return ""
    return OPEN


def write(path: str) -> None:
    """Write a file."""
    with open(path, "a", encoding="utf-8") as file:
        file.write("written from inside")


def read(path: str) -> bytes:
    """Read a file."""
    with open(path, "rb") as file:
        return file.read(1 << 16)


def connect(family: int, kind: int, address: tuple[str, int] | str) -> None:
    """Connect, and send something."""
    with socket.socket(family, kind) as made:
        made.settimeout(2)
        made.connect(address)
        made.send(b"x")


def call(name: str, *arguments: object) -> None:
    """Call a function of the C library that answers -1 where it fails."""
    if ENGINE_LIBRARY[name](*arguments) == -1:
        raise OSError(ctypes.get_errno(), name)


def try_files(places: dict[str, str]) -> dict[str, str]:
    """Try the ways to files that were not granted."""
    return {
        "outside-read": refused(lambda: read(places["outside"] + "/secret.txt")),
        "outside-write": refused(lambda: write(places["outside"] + "/new.txt")),
        "system-write": refused(lambda: write("/usr/cowork-probe")) or refused(lambda: write("/etc/cowork-probe")),
        "other-grant": refused(lambda: os.listdir(places["other"])),
        "symlink-out": refused(lambda: read(places["folder"] + "/link.txt")),
        "hidden-file": refused(lambda: read(places["folder"] + "/hidden.txt")),
    }


def try_engine(places: dict[str, str]) -> dict[str, str]:
    """Try the ways to what the engine knows."""
    leaked = sorted(set(os.environ) - set(places["names"].split()))
    command_line = read("/proc/1/cmdline").decode("utf-8", "replace")
    mounts = read("/proc/self/mountinfo").decode("utf-8", "replace")
    told = places["state"] in command_line or places["state"] in mounts
    return {
        "engine-environment": ", ".join(leaked) or refused(lambda: read("/proc/1/environ")),
        "engine-memory": refused(lambda: open("/proc/1/mem", "r+b")),
        "engine-paths": "the engine's folder can be read from /proc" if told else "",
    }


def try_network(places: dict[str, str]) -> dict[str, str]:
    """Try the ways to other machines and to the programs of this one."""
    stream, datagram = socket.SOCK_STREAM, socket.SOCK_DGRAM
    return {
        "network-tcp": refused(lambda: connect(socket.AF_INET, stream, ("127.0.0.1", int(places["tcp"])))),
        "network-udp": refused(lambda: connect(socket.AF_INET, datagram, ("127.0.0.1", int(places["udp"])))),
        "unix-socket": refused(lambda: connect(socket.AF_UNIX, stream, places["socket"]))
        or refused(lambda: connect(socket.AF_UNIX, stream, "\0" + places["abstract"])),
    }


def try_kernel(_places: dict[str, str]) -> dict[str, str]:
    """Try the ways to more rights."""
    status = dict(line.split(":\t", 1) for line in read("/proc/self/status").decode().splitlines() if ":\t" in line)
    wanted = {"Seccomp": "2", "NoNewPrivs": "1", "CapEff": "0" * 16, "CapBnd": "0" * 16}
    lacking = [name for name, value in wanted.items() if status[name].strip() != value]
    return {
        "user-namespace": refused(lambda: call("unshare", CLONE_NEWUSER)),
        "mount": refused(lambda: call("mount", b"none", b"/tmp", b"tmpfs", 0, None)),
        "confinement": ", ".join(lacking),
    }


def try_writing(places: dict[str, str]) -> dict[str, str]:
    """Try what is meant to work: writing to one's own copy, also through a second name of a file outside."""
    try:
        write(places["folder"] + "/own.txt")
        write(places["folder"] + "/hard.txt")
        worked = b"inside" in read(places["folder"] + "/own.txt")
    except OSError as error:
        return {"own-copy": str(error)}
    # What the bits would allow is the attempt's point.
    setuid = refused(lambda: os.chmod(places["folder"] + "/own.txt", 0o4755))  # noqa: S103
    return {"own-copy": "" if worked else "what was written is not there", "setuid": setuid}


def leave_daemon(marker: str) -> None:
    """Leave a process behind that belongs to nobody and holds on to the output."""
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.execv("/usr/bin/sleep", ["sleep", marker])  # noqa: S606 - no shell is meant
        os._exit(0)


def main() -> None:
    """Try everything and print what was found."""
    places = json.loads(sys.argv[1])
    found: dict[str, str] = {}
    if places.get("writes"):
        found.update(try_writing(places))
        leave_daemon(places["marker"])
    else:
        found["read-only"] = refused(lambda: write(places["folder"] + "/own.txt"))
        planted = [one for one in sys.path if one in ("", places["folder"])]
        found["code-isolated"] = "the folder is looked for modules in" if planted or "planted" in dir(json) else ""
    for tries in (try_files, try_engine, try_network, try_kernel):
        found.update(tries(places))
    sys.stdout.write(json.dumps(found))


main()
