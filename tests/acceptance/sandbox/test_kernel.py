"""SHL-05, 08, 09: no socket leads anywhere, no namespace and no mount can be made, and root has no more rights."""

import json
import socket
from collections.abc import Sequence

import pytest

from cowork.domain.action import CodeRun
from tests.acceptance.sandbox.commands import Writes, code, shell
from tests.acceptance.sandbox.field import Field
from tests.acceptance.sandbox.playing import Played, play
from tests.adapters.sandbox.attacks import PRELUDE

pytestmark = pytest.mark.anyio
BOTH_TIERS = pytest.mark.parametrize("writes", ["none", "staged"])

SOCKETS = """
import itertools, json
ADDRESSES = json.loads(sys.argv[1])
INSIDE = {1: "a pair is made of them", 2: "its loopback is its own", 10: "its loopback is its own"}

def worked(family, kind, protocol=0):
    return call("socket", family, kind, protocol) == "worked"

# Every family that the kernel numbers, with every kind, and the protocols that give more than a plain one.
for family in range(1, 64):
    for kind in (1, 2, 3, 4, 5, 6, 10):
        for protocol in (0, 1, 3, 6, 17, 58, 132, 255, 262, 768):
            if worked(family, kind, protocol) and not (family in INSIDE and kind in (1, 2) and protocol != 262):
                print("made:", family, kind, protocol)
    for high in (1 << 32, 1 << 63):
        if worked(high - (1 << 64) if high >> 63 else high | family, 1) and family not in INSIDE:
            print("made:", family, "above 32 bits")

def reach(family, kind, address, protocol=0):
    try:
        with socket.socket(family, kind, protocol) as made:
            made.settimeout(1)
            made.connect(tuple(address) if isinstance(address, list) else address)
            made.send(b"x")
        return True
    except OSError:
        return False

for (family, kind, address), protocol in itertools.product(ADDRESSES, (0, 262)):
    if reach(family, kind, address.replace("@", chr(0)) if isinstance(address, str) else address, protocol):
        # A datagram to one's own loopback is handed over to nobody.
        if kind == socket.SOCK_STREAM or address[0] not in ("127.0.0.1", "::1"):
            print("reached:", family, kind, address, protocol)
print(sorted(os.listdir("/sys/class/net")) if os.path.exists("/sys") else "no interfaces to see")
print([line.split(":")[0].strip() for line in open("/proc/net/dev").read().splitlines()[2:]])
try:
    socket.getaddrinfo("data.evil.test", 80)
    print("reached: a resolver")
except OSError:
    print("held")
"""


def addresses_of(field: Field) -> list[tuple[int, int, object]]:
    """Return every listener of the host, and places far away."""
    tcp6 = field.listeners.tcp6.getsockname()[1]
    udp = field.listeners.udp.getsockname()[1]
    stream, dgram = int(socket.SOCK_STREAM), int(socket.SOCK_DGRAM)
    inet, inet6, unix = int(socket.AF_INET), int(socket.AF_INET6), int(socket.AF_UNIX)
    v4 = [(inet, stream, [host, field.port]) for host in ("127.0.0.1", "127.1.2.3", "0.0.0.0", "10.0.0.1")]
    v6 = [(inet6, stream, [host, port]) for host in ("::1", "::ffff:127.0.0.1") for port in (field.port, tcp6)]
    far = [(inet, dgram, [host, port]) for host in ("192.0.2.1", "127.0.0.1", "8.8.8.8") for port in (53, udp)]
    paths = [f"{field.out}/s.sock", f"{field.out}/more/s.sock", "/run/dbus/system_bus_socket", "/dev/log"]
    return [
        *(*v4, *v6, *far),
        *((unix, kind, path) for path in paths for kind in (stream, dgram)),
        (unix, stream, f"@{field.listeners.abstract_name}"),
        (unix, dgram, f"{field.out}/more/d.sock"),
    ]


@BOTH_TIERS
async def test_no_socket_leads_anywhere(field: Field, account: str, writes: Writes) -> None:
    attack = code(field, PRELUDE + SOCKETS, json.dumps(addresses_of(field)), writes=writes)
    assert lines_of(await play(field, attack)) == ["no interfaces to see", "['lo']", "held"]


MOUNTS = """
flags = dict(user=0x10000000, mount=0x20000, net=0x40000000, pid=0x20000000, uts=0x4000000, ipc=0x8000000,
             cgroup=0x2000000, time=0x80)
found = {}
for name, flag in flags.items():
    found["unshare", name] = call("unshare", flag)
    found["unshare user and", name] = call("unshare", flag | 0x10000000)
    if name != "time":
        found["clone", name] = call("clone", flag | 17, 0, 0, 0, 0)
        found["clone user and", name] = call("clone", flag | 0x10000000 | 17, 0, 0, 0, 0)
    struct_clone = struct.pack("11Q", flag, *[0] * 10)
    found["clone3", name] = call("clone3", struct_clone, len(struct_clone))
    for n in ("1", "self"):
        try:
            fd = os.open(f"/proc/{n}/ns/{name}", os.O_RDONLY)
        except OSError:
            continue
        found["setns", name, n] = call(308 if platform.machine() == "x86_64" else 268, fd, 0)
for target in (b"/tmp", b"/usr", b"/proc", b"/", os.getcwd().encode()):
    for kind in (b"tmpfs", b"proc", b"overlay", b"ramfs", b"sysfs", b"cgroup2", b"mqueue", b"fuse"):
        found["mount", kind, target] = call("mount", b"none", target, kind, 0, 0)
    for flag in (4096, 32, 4096 | 32, 1 << 18, 1 << 19, 8192):
        found["mount with", flag, target] = call("mount", b"/", target, b"", flag, 0)
    for flag in (0, 1, 2, 8):
        found["umount", target, flag] = call("umount2", target, flag)
    found["chroot", target] = call("chroot", target)
    found["open_tree", target] = call("open_tree", -100, target, 1)
    found["move_mount", target] = call("move_mount", -100, target, -100, b"/tmp", 0)
    found["mount_setattr", target] = call("mount_setattr", -100, target, 0, struct.pack("4Q", 0, 1, 0, 0), 32)
    found["pivot_root", target] = call(155 if platform.machine() == "x86_64" else 41, target, target)
for kind in (b"tmpfs", b"proc", b"overlay"):
    found["fsopen", kind] = call("fsopen", kind, 0)
found["fspick"] = call(433, -100, b"/tmp", 0)
found["fsmount"] = call(432, 0, 0, 0)
for name in ("mknodat", "bpf", "perf", "keyctl", "userfaultfd", "handle", "name", "acct", "pidfd_getfd", "statmount"):
    found[name] = call(name, -100, b"/tmp/dev", 0o20666, 0x103, 0)
found["io_uring"] = call("io_uring_setup", 4, ctypes.create_string_buffer(120))
found["ptrace"] = call("ptrace", 16, 1, 0, 0)
for name, what in found.items():
    if what not in ("EPERM", "EACCES", "ENOSYS"):
        print(name, what)
print("done")
"""


@BOTH_TIERS
async def test_no_namespace_and_no_mount_can_be_made(field: Field, account: str, writes: Writes) -> None:
    assert lines_of(await play(field, code(field, PRELUDE + MOUNTS, writes=writes))) == ["done"]


@BOTH_TIERS
async def test_no_program_makes_one_either(field: Field, account: str, writes: Writes) -> None:
    line = """
        try_it unshare true; try_it unshare -Urm true; try_it unshare -r true; try_it unshare -n true
        try_it unshare -p -f true; try_it unshare --mount-proc -Upf true
        try_it bwrap --ro-bind / / true; try_it bwrap --unshare-all --ro-bind / / true
        try_it nsenter -t 1 -m true; try_it nsenter -t 1 -a true; try_it chroot / true; try_it chroot /tmp true
        try_it mount -t tmpfs none /tmp; try_it mount --bind / /tmp; try_it mount -o remount,rw /usr
        try_it umount -l "$1"; try_it umount -l /tmp; try_it umount /proc; try_it umount -l /etc/passwd
        try_it su -c true; try_it sudo -n true; try_it pkexec true; try_it newgrp root; try_it setpriv --reuid=1234 true
        try_it mknod /tmp/c c 1 3; try_it mknod "$1/c" c 1 3; try_it losetup -f; try_it swapon /tmp; try_it insmod x
        try_it sysctl -w kernel.x=1; try_it dmesg; try_it reboot -f; try_it hostname x; try_it date -s 12:00
        echo done
        """
    assert lines_of(await play(field, shell(field, line, str(field.grant), writes=writes))) == ["done"]


ROOT = """
import glob
status = dict(line.split(":", 1) for line in open("/proc/self/status").read().splitlines())
print({status[f"Cap{name}"].strip().strip("0") for name in ("Inh", "Prm", "Eff", "Bnd", "Amb")})
print(status["NoNewPrivs"].strip(), status["Seccomp"].strip())
def tried(what, deed):
    try:
        deed()
    except OSError:
        return
    print("worked:", what)
def opened(path, flags):
    return lambda: os.close(os.open(path, flags))
for path in ["/proc/sysrq-trigger", "/proc/sys/kernel/core_pattern", "/proc/sys/vm/drop_caches",
             "/proc/sys/kernel/modprobe", "/proc/sys/user/max_user_namespaces", "/proc/sys/fs/binfmt_misc/register",
             "/proc/1/oom_score_adj", "/proc/self/attr/current", "/proc/self/setgroups", "/proc/self/uid_map",
             "/dev/mem", "/dev/kmsg", "/dev/port"]:
    tried(path, opened(path, os.O_WRONLY))
for path in ["/proc/kcore", "/proc/kmsg", "/proc/1/mem", "/proc/1/environ", "/proc/1/root/etc", "/dev/vda"]:
    tried(path, lambda: os.read(os.open(path, os.O_RDONLY), 1) and None)
tried("another person", lambda: os.setuid(1234))
tried("another group", lambda: os.setgid(1234))
tried("groups", lambda: os.setgroups([0]))
tried("owner", lambda: os.chown("mine", 1234, 1234))
tried("a device", lambda: os.mknod("/tmp/null", 0o20666, os.makedev(1, 3)))
tried("chroot", lambda: os.chroot("/tmp"))
tried("priority", lambda: os.nice(-5))
tried("an end", lambda: os.kill(1, 9))
tried("a stop", lambda: os.kill(1, 19))
tried("set-id", lambda: os.chmod("mine", 0o4755))
tried("trusted attribute", lambda: os.setxattr("mine", "trusted.x", b"x"))
tried("capability", lambda: os.setxattr("mine", "security.capability", bytes.fromhex("0100000200200000" + "00" * 12)))
print("done")
"""


async def test_whoever_the_engine_is_a_command_has_no_rights(field: Field, account: str) -> None:
    source = PRELUDE + "open('mine', 'w').close()\n" + ROOT
    played = await play(field, code(field, source, writes="staged"))
    assert lines_of(played) == ["{''}", "1 2", "done"]
    assert field.tree() == {"mine": b""}
    assert (field.grant / "mine").stat().st_mode & 0o7000 == 0


def lines_of(played: Played) -> Sequence[str]:
    """Return what the attack printed, if it came to its end."""
    assert played.first.word == "completed", (played.first, played.first.err)
    assert isinstance(played.first.action, CodeRun) or played.first.out.endswith("done\n")
    return played.first.out.splitlines()
