"""Attacks on the kernel's interface, as Python that runs inside: each prints `held` or what it reached."""

PRELUDE = """
import ctypes, errno, os, platform, socket, struct, sys

libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
NUMBERS = {
    "x86_64": dict(socket=41, socketpair=53, clone=56, mount=165, umount2=166, unshare=272, keyctl=250, bpf=321,
                   perf=298, userfaultfd=323, ptrace=101, openat=257, chroot=161, personality=135, mknodat=259,
                   handle=304, name=303, acct=163, connect=42, mkdirat=258),
    "aarch64": dict(socket=198, socketpair=199, clone=220, mount=40, umount2=39, unshare=97, keyctl=219, bpf=280,
                    perf=241, userfaultfd=282, ptrace=117, openat=56, chroot=51, personality=92, mknodat=33,
                    handle=265, name=264, acct=89, connect=203, mkdirat=34),
}[platform.machine()]
SAME = dict(io_uring_setup=425, clone3=435, open_tree=428, move_mount=429, fsopen=430, openat2=437, pidfd_getfd=438,
            mount_setattr=442, fchmodat2=452, statmount=457, open_tree_attr=467, future=700)

def call(name, *arguments):
    number = NUMBERS.get(name, SAME.get(name, name))
    values = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    ctypes.set_errno(0)
    result = libc.syscall(ctypes.c_long(number), *values)
    return errno.errorcode.get(ctypes.get_errno(), "?") if result < 0 else "worked"

def report(**found):
    for name, what in found.items():
        print(name, what)
"""
