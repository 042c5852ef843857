"""The first program inside the sandbox: it closes the last doors, says that it is ready, and becomes the command.

It is run as source (`python3 -I -S -c …`) by the machine's own Python, so it stands alone, imports little and uses
nothing newer than Python 3.9. Its arguments are two descriptors: one to read its order from, and one end of a socket
to the engine. To the engine it says `R` (ready; with a network, together with the socket that listens), waits for `G`,
and becomes the command, whereby the socket closes; or it says `E <errno>` where the command can't be started, or
`F <what failed>` where a door does not close. Without `G` nothing is ever run.
"""

from __future__ import annotations

import _ctypes
import os
import resource
import sys
from _signal import (  # type: ignore[import-not-found]
    SIG_DFL,
    SIG_SETMASK,
    SIGPIPE,
    SIGXFSZ,
    pthread_sigmask,
    signal,
)
from _socket import AF_INET, SCM_RIGHTS, SOCK_STREAM, SOL_SOCKET, socket

READ = 0b1101  # execute, read a file, list a folder
WRITE_FILE = 0b10
CHANGE = 0b1011110110010  # write, remove, make folders, files, sockets, pipes and links; no devices
MAKE_DEVICES = 0b100001000000  # held back everywhere
REFER = 1 << 13  # from ABI 2: rename and link from folder to folder
TRUNCATE = 1 << 14  # from ABI 3
CONNECT_TCP = 0b10  # from ABI 4
SCOPES = 0b11  # from ABI 6: abstract sockets and signals stay inside

LIBRARY = _ctypes.dlopen(None, 0)  # type: ignore[arg-type]
SYSCALL = _ctypes.dlsym(LIBRARY, "syscall")
CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
PRCTL = _ctypes.dlsym(LIBRARY, "prctl")
SET_NO_NEW_PRIVS = 38

DEVICES = tuple(b"/dev/" + name for name in (b"null", b"zero", b"full", b"random", b"urandom", b"tty", b"pts"))


def number(value: int, size: int) -> bytes:
    """Return a number as the kernel reads it."""
    return value.to_bytes(size, sys.byteorder)


def call(what: str, *arguments: int | bytes) -> int:
    """Make a system call of Landlock, or fail."""
    result: int = _ctypes.call_function(SYSCALL, arguments)
    if result < 0:
        raise RuntimeError(what)
    return result


def restrict(writable: list[bytes], port: int) -> None:
    """Shut in this process and all that come of it: reading everywhere, writing in a few places, one port."""
    abi = call("Landlock is not there", CREATE_RULESET, 0, 0, 1)
    change = CHANGE | (REFER if abi >= 2 else 0) | (TRUNCATE if abi >= 3 else 0)
    attributes = number(READ | change | MAKE_DEVICES, 8)
    if abi >= 4:
        attributes += number(CONNECT_TCP, 8)
    if abi >= 6:
        attributes += number(SCOPES, 8)
    rules = call("Landlock makes no rules", CREATE_RULESET, attributes, len(attributes), 0)
    allow(rules, b"/", READ)
    for path in writable:
        allow(rules, path, READ | change)
    for path in DEVICES:
        allow(rules, path, WRITE_FILE)
    if abi >= 4 and port:
        call("Landlock takes no port", ADD_RULE, rules, 2, number(CONNECT_TCP, 8) + number(port, 8), 0)
    if _ctypes.call_function(PRCTL, (SET_NO_NEW_PRIVS, 1, 0, 0, 0)) != 0:
        raise RuntimeError("privileges can't be given up")
    call("Landlock does not shut", RESTRICT_SELF, rules, 0)
    os.close(rules)


def allow(rules: int, path: bytes, rights: int) -> None:
    """Add what may be done beneath a path."""
    place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    call("Landlock takes no rule for " + os.fsdecode(path), ADD_RULE, rules, 1, number(rights, 8) + number(place, 4), 0)
    os.close(place)


def bound(limits: bytes) -> None:
    """Set the bounds of a process, never above what was inherited: pairs of a limit's number and its value."""
    for pair in limits.split():
        which, wanted = map(int, pair.split(b"="))
        hard = resource.getrlimit(which)[1]
        value = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        # Past the soft limit of processor time comes a signal of its own, which tells why; past the hard one, the end.
        last = value + 1 if which == resource.RLIMIT_CPU and value < wanted + 1 <= hard % (1 << 64) else value
        resource.setrlimit(which, (value, last))
    try:
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write("1000")
    except OSError:
        pass  # Who is ended first where memory runs out is a courtesy, and no wall.


def enter(cwd: bytes) -> None:
    """Go to the working folder, and nowhere else: what was hidden is not there, and a link may be there now."""
    try:
        os.chdir(cwd)
    except OSError:
        raise RuntimeError("the working folder can't be seen by commands") from None
    if os.getcwdb() != cwd:
        raise RuntimeError("the working folder is another one by now")


def listen(port: int) -> socket:
    """Return a socket that listens where the command will look for its proxy."""
    listener = socket(AF_INET, SOCK_STREAM, 0)
    listener.bind(("127.0.0.1", port))
    listener.listen(128)
    return listener


def say_ready(control: int, listener: socket | None) -> None:
    """Tell the engine, and hand over the socket that listens."""
    if listener is None:
        os.write(control, b"R")
        return
    channel = socket(fileno=control)
    channel.sendmsg([b"R"], [(SOL_SOCKET, SCM_RIGHTS, number(listener.fileno(), 4))])
    channel.detach()
    listener.close()


def become(argv: list[bytes], environment: dict[bytes, bytes]) -> int:
    """Replace this process by the command, found as a shell would find it; return the error's number."""
    folders = [] if b"/" in argv[0] else environment[b"PATH"].split(b":")
    paths = [folder + b"/" + argv[0] for folder in folders] or [argv[0]]
    failure = 2
    for path in paths:
        try:
            os.execve(path, argv, environment)  # noqa: S606 - that is what this program is for
        except OSError as error:
            if error.errno and error.errno not in (2, 20):
                failure = error.errno
    return failure


def read_all(descriptor: int) -> bytes:
    """Return what is left to read."""
    parts = []
    while part := os.read(descriptor, 1 << 20):
        parts.append(part)
    return b"".join(parts)


def main() -> int:
    """Close the doors and become the command; return only where that failed."""
    order, control = int(sys.argv[1]), int(sys.argv[2])
    cwd, grant, limits, *rest = read_all(order).split(b"\0")
    port, count = int(rest.pop(0)), int(rest.pop(0))
    try:
        os.closerange(3, control)
        os.closerange(control + 1, 1 << 20)
        os.set_inheritable(control, False)  # noqa: FBT003 - it takes no other
        listener = listen(port) if port else None
        restrict([b"/tmp", b"/dev/shm", *([grant] if grant else [])], port)
        enter(cwd)
        bound(limits)
        os.umask(0o022)
        say_ready(control, listener)
    except (OSError, RuntimeError, ValueError) as error:
        os.write(control, b"F " + str(error).encode("utf-8", "replace"))
        return 1
    if os.read(control, 1) != b"G":
        return 1
    for wanted in (SIGPIPE, SIGXFSZ):
        signal(wanted, SIG_DFL)
    pthread_sigmask(SIG_SETMASK, ())
    pairs = dict(pair.split(b"=", 1) for pair in rest[count:])
    failure = become(rest[:count], pairs)
    os.write(control, b"E %d" % failure)
    return 127


sys.exit(main())
