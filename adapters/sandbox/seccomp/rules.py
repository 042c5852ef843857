"""What a command may not ask of the kernel: the source of the filters, from which `build.py` makes them.

A filter has two parts. The first, written out in instructions, holds what is allowed by enumeration: sockets, odd
personalities, and system calls younger than the ones that were looked at. The second, made by libseccomp, is the list
of what is refused; whatever it does not name is allowed, because the walls are the namespaces, the mounts and
Landlock, and the filter takes away the kernel's less travelled corners.

Arguments that the kernel takes as 32 bits are compared as 32 bits: a comparison of 64 lets a caller through that sets
a bit which the kernel never looks at.
"""

import errno
from typing import Final, Literal, TypeAlias

import msgspec

Architecture: TypeAlias = Literal["x86_64", "aarch64"]
Profile: TypeAlias = Literal["offline", "network"]

ARCHITECTURES: Final[tuple[Architecture, ...]] = ("x86_64", "aarch64")
PROFILES: Final[tuple[Profile, ...]] = ("offline", "network")

LAST_KNOWN: Final = 466
"""`removexattrat`: system calls with a greater number were not looked at, and are answered as an old kernel would."""

X32_BIT: Final = 0x40000000

AF_UNIX: Final = 1
AF_INET: Final = 2
AF_INET6: Final = 10
SOCK_STREAM: Final = 1
SOCK_SEQPACKET: Final = 5
SOCK_TYPE_MASK: Final = 0xF
IPPROTO_TCP: Final = 6

PERSONALITIES: Final = (0, 0xFFFFFFFF, 0x8, 0x20000)
"""As they are: to be as a Linux, to ask, to be called a 32 bit machine, to be called version 2.6."""

NUMBERS: Final[dict[Architecture, dict[str, int]]] = {
    "x86_64": {"socket": 41, "socketpair": 53, "personality": 135},
    "aarch64": {"socket": 198, "socketpair": 199, "personality": 92},
}
"""The system calls that the first part looks into."""

REFUSED: Final = (
    # Other processes' memory and files
    "ptrace",
    "process_vm_readv",
    "process_vm_writev",
    "process_madvise",
    "kcmp",
    "pidfd_getfd",
    # The kernel's own programs, counters and keys
    "bpf",
    "perf_event_open",
    "userfaultfd",
    "keyctl",
    "add_key",
    "request_key",
    "lookup_dcookie",
    # Rings of requests that no filter sees
    "io_uring_setup",
    "io_uring_enter",
    "io_uring_register",
    # Mounts and namespaces
    "mount",
    "umount2",
    "umount",
    "pivot_root",
    "chroot",
    "move_mount",
    "open_tree",
    "fsopen",
    "fsconfig",
    "fsmount",
    "fspick",
    "mount_setattr",
    "setns",
    "unshare",
    # Files without a path
    "open_by_handle_at",
    "name_to_handle_at",
    # The machine
    "init_module",
    "finit_module",
    "delete_module",
    "create_module",
    "query_module",
    "get_kernel_syms",
    "kexec_load",
    "kexec_file_load",
    "quotactl",
    "quotactl_fd",
    "acct",
    "swapon",
    "swapoff",
    "reboot",
    "sethostname",
    "setdomainname",
    "iopl",
    "ioperm",
    "modify_ldt",
    "vm86",
    "vm86old",
    "syslog",
    "nfsservctl",
    "uselib",
    "ustat",
    "sysfs",
    "_sysctl",
    "vhangup",
    "settimeofday",
    "stime",
    "clock_settime",
    "clock_adjtime",
    "adjtimex",
    "fanotify_init",
    "fanotify_mark",
    "move_pages",
    "migrate_pages",
)
"""Answered EPERM, whatever the arguments."""

REFUSED_OFFLINE: Final = ("connect",)
"""Answered EPERM as well where there is no network: nothing is left to connect."""

REFUSED_BY_NUMBER: Final = (457, 458, 460)
"""`statmount`, `listmount` and `lsm_set_self_attr`: younger than the libseccomp of today's stable systems."""

MISSING: Final = ("clone3", "openat2")
"""Answered ENOSYS, upon which libraries take the older call: these hide their flags behind a pointer."""

MISSING_BY_NUMBER: Final = (452,)
"""`fchmodat2`, likewise: its older sister is looked into."""

NAMESPACE_FLAGS: Final = (0x00020000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000)
"""CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET."""

TERMINAL_REQUESTS: Final = (0x5412, 0x541C, 0x5423)
"""TIOCSTI and TIOCLINUX type into a terminal; TIOCSETD loads line disciplines."""

SET_ID_BITS: Final = (0o4000, 0o2000)

O_CREAT: Final = 0o100
O_TMPFILE_BIT: Final = 0o20000000


class ModeArgument(msgspec.Struct, frozen=True):
    """A system call that gives a file its mode: which argument, and the one with the flags that make it count."""

    name: str
    mode: int
    flags: int | None = None


MODES: Final = (
    ModeArgument("chmod", 1),
    ModeArgument("fchmod", 1),
    ModeArgument("fchmodat", 2),
    ModeArgument("mkdir", 1),
    ModeArgument("mkdirat", 2),
    ModeArgument("mknod", 1),
    ModeArgument("mknodat", 2),
    ModeArgument("creat", 1),
    ModeArgument("open", 2, flags=1),
    ModeArgument("openat", 3, flags=2),
)

EPERM: Final = errno.EPERM
ENOSYS: Final = errno.ENOSYS
