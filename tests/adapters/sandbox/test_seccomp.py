"""The system call filters: what they answer, on both architectures, to every call and to arguments made to deceive."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cowork.adapters.sandbox.filters import FOLDER, Profile, load_filter
from cowork.adapters.sandbox.seccomp.build import build
from cowork.adapters.sandbox.seccomp.libseccomp import Library
from cowork.domain.errors import DomainError
from tests.adapters.sandbox.bpf_machine import (
    ALLOW,
    ARCHITECTURES,
    AUDIT_ARCH,
    ENOSYS,
    EPERM,
    KILL,
    Architecture,
    Call,
    decide,
    numbers,
)

PROFILES: tuple[Profile, ...] = ("offline", "network")
HIGH = 1 << 32

REFUSED = """
ptrace process_vm_readv process_vm_writev process_madvise kcmp pidfd_getfd bpf perf_event_open userfaultfd keyctl
add_key
request_key lookup_dcookie io_uring_setup io_uring_enter io_uring_register mount umount2 pivot_root chroot move_mount
open_tree fsopen fsconfig fsmount fspick mount_setattr setns unshare open_by_handle_at name_to_handle_at init_module
finit_module delete_module kexec_load kexec_file_load quotactl quotactl_fd acct swapon swapoff reboot sethostname
setdomainname syslog nfsservctl vhangup settimeofday clock_settime clock_adjtime adjtimex fanotify_init fanotify_mark
move_pages migrate_pages iopl ioperm modify_ldt uselib ustat sysfs _sysctl create_module query_module get_kernel_syms
statmount listmount lsm_set_self_attr
"""
ABSENT = "clone3 openat2 fchmodat2 open_tree_attr file_getattr file_setattr"
MODES = {"chmod": 1, "fchmod": 1, "fchmodat": 2, "mkdir": 1, "mkdirat": 2, "mknod": 1, "mknodat": 2, "creat": 1}
OPENS = {"open": (1, 2), "openat": (2, 3)}


def program_of(profile: Profile, architecture: Architecture) -> bytes:
    return load_filter(profile, architecture).program


def ask(profile: Profile, architecture: Architecture, name: str, *arguments: int) -> str:
    call = Call(numbers(architecture)[name], arguments, AUDIT_ARCH[architecture])
    return decide(program_of(profile, architecture), call)


every: list[tuple[Profile, Architecture]] = [
    (profile, architecture) for profile in PROFILES for architecture in ARCHITECTURES
]
on_every = pytest.mark.parametrize(("profile", "architecture"), every)
on_both = pytest.mark.parametrize("architecture", ARCHITECTURES)


@on_every
def test_every_call_is_answered_as_the_lists_say(profile: Profile, architecture: Architecture) -> None:
    expected = dict.fromkeys(numbers(architecture), ALLOW)
    expected |= dict.fromkeys(set(REFUSED.split()) & set(expected), EPERM)
    expected |= dict.fromkeys(set(ABSENT.split()) & set(expected), ENOSYS)
    expected |= {"socket": EPERM, "socketpair": EPERM}
    if profile == "offline":
        expected["connect"] = EPERM
    answers = {name: ask(profile, architecture, name) for name in expected}
    assert {name: answer for name, answer in answers.items() if answer != expected[name]} == {}


@on_every
@pytest.mark.parametrize("arguments", [(0,) * 6, ((1 << 64) - 1,) * 6, (HIGH,) * 6])
def test_what_is_refused_is_refused_whatever_its_arguments(
    profile: Profile, architecture: Architecture, arguments: tuple[int, ...]
) -> None:
    for name in set(REFUSED.split()) & set(numbers(architecture)):
        assert ask(profile, architecture, name, *arguments) == EPERM, name


@on_every
def test_another_architecture_is_the_end(profile: Profile, architecture: Architecture) -> None:
    program = program_of(profile, architecture)
    for name, token in AUDIT_ARCH.items():
        for number in (0, 1, 59, 221, 0x40000000, 451, 500):
            answer = decide(program, Call(number, (), token))
            assert (answer == KILL) == (name != architecture or number == 0x40000000), (name, number)


@on_every
@given(number=st.integers(0x40000000, 0x7FFFFFFF))
def test_the_x32_numbers_are_the_end(profile: Profile, architecture: Architecture, number: int) -> None:
    assert decide(program_of(profile, architecture), Call(number, (), AUDIT_ARCH[architecture])) == KILL


@on_every
@given(number=st.integers(467, 0x3FFFFFFF))
def test_a_call_younger_than_the_filter_is_answered_as_an_old_kernel_would(
    profile: Profile, architecture: Architecture, number: int
) -> None:
    assert decide(program_of(profile, architecture), Call(number, (), AUDIT_ARCH[architecture])) == ENOSYS


@on_both
@given(domain=st.integers(0, 64), kind=st.integers(0, 15), protocol=st.integers(0, 300), high=st.integers(0, 3))
def test_without_a_network_there_is_no_socket(
    architecture: Architecture, domain: int, kind: int, protocol: int, high: int
) -> None:
    assert ask("offline", architecture, "socket", domain + high * HIGH, kind, protocol) == EPERM


@on_both
def test_with_a_network_there_is_tcp_and_nothing_else(architecture: Architecture) -> None:
    flags = (0, 0o2000000, 0o4000, 0o2004000)
    for domain in range(64):
        for kind in range(16):
            for protocol in (0, 1, 6, 17, 132, 255, 262):
                allowed = domain in (2, 10) and kind == 1 and protocol in (0, 6)
                for flag in flags:
                    answer = ask("network", architecture, "socket", domain, kind | flag, protocol)
                    assert answer == (ALLOW if allowed else EPERM), (domain, kind, protocol)


@on_both
@pytest.mark.parametrize("high", [HIGH, 0xFFFFFFFF << 32, 1 << 63])
def test_bits_that_the_kernel_does_not_look_at_change_nothing(architecture: Architecture, high: int) -> None:
    for profile in PROFILES:
        assert ask(profile, architecture, "socket", 1 | high, 1, 0) == EPERM
        assert ask(profile, architecture, "ioctl", 0, 0x5412 | high, 0) == EPERM
        assert ask(profile, architecture, "socketpair", 1 | high, 2, 0) == EPERM
        assert ask(profile, architecture, "personality", 0x0040000 | high) == EPERM
        for name, at in MODES.items():
            if name in numbers(architecture):
                assert ask(profile, architecture, name, *[0] * at, 0o4755 | high) == EPERM
    assert ask("network", architecture, "socket", 2 | high, 1, 262) == EPERM
    assert ask("network", architecture, "socket", 16 | high, 3, 0) == EPERM


@on_every
def test_a_pair_of_sockets_is_connected_for_good(profile: Profile, architecture: Architecture) -> None:
    answers = {kind: ask(profile, architecture, "socketpair", 1, kind | 0o2000000, 0) for kind in range(1, 7)}
    assert {kind for kind, answer in answers.items() if answer == ALLOW} == {1, 5}
    assert ask(profile, architecture, "socketpair", 2, 1, 0) == EPERM


@on_every
def test_a_process_is_made_without_namespaces(profile: Profile, architecture: Architecture) -> None:
    plain = 0x11  # SIGCHLD
    thread = 0x3D0F00
    assert ask(profile, architecture, "clone", plain) == ALLOW
    assert ask(profile, architecture, "clone", thread) == ALLOW
    for flag in (0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000):
        assert ask(profile, architecture, "clone", plain | flag) == EPERM, hex(flag)
        assert ask(profile, architecture, "clone", thread | flag | HIGH) == EPERM, hex(flag)


@on_every
def test_nothing_types_into_a_terminal(profile: Profile, architecture: Architecture) -> None:
    for request in (0x5412, 0x541C, 0x5423):
        assert ask(profile, architecture, "ioctl", 0, request) == EPERM
    for request in (0x5401, 0x5413, 0x541B, 0x5421):  # TCGETS, TIOCGWINSZ, FIONREAD, FIONBIO
        assert ask(profile, architecture, "ioctl", 0, request) == ALLOW


@on_every
@given(mode=st.integers(0, 0o177777))
def test_a_mode_with_its_owners_rights_is_refused_wherever_it_is_given(
    profile: Profile, architecture: Architecture, mode: int
) -> None:
    expected = EPERM if mode & 0o6000 else ALLOW
    known = numbers(architecture)
    for name, at in MODES.items():
        if name in known:
            assert ask(profile, architecture, name, *[7] * at, mode) == expected, name
    for name, (flags_at, mode_at) in OPENS.items():
        if name not in known:
            continue
        for flags in (0o100, 0o101, 0o1102, 0o20200000, 0o20200002):
            arguments = [0] * mode_at
            arguments[flags_at] = flags
            assert ask(profile, architecture, name, *arguments, mode) == expected, (name, oct(flags))


@on_every
@given(rest=st.integers(0, (1 << 64) - 1))
def test_the_mode_of_an_open_that_makes_nothing_is_not_looked_at(
    profile: Profile, architecture: Architecture, rest: int
) -> None:
    assert ask(profile, architecture, "openat", 0, 0, 0o2, rest) == ALLOW


@on_every
@given(persona=st.integers(0, 0xFFFFFFFF))
def test_only_the_usual_personalities_are_taken_on(profile: Profile, architecture: Architecture, persona: int) -> None:
    usual = persona in (0, 8, 0x20000, 0xFFFFFFFF)
    assert ask(profile, architecture, "personality", persona) == (ALLOW if usual else EPERM)


@on_every
def test_the_generator_decides_as_the_shipped_filter_does(profile: Profile, architecture: Architecture) -> None:
    shipped, made = program_of(profile, architecture), build(Library(), architecture, profile)
    values = (0, 1, 2, 0o100, 0o4755, 0x5412, 0x10000011, HIGH | 1, (1 << 64) - 1)
    for number in (*range(475), 0x3FFFFFFF, 0x40000000, 0x40000029):
        for value in values:
            for other in (0, 0o100, 0o6777):
                call = Call(number, (value, value, other, other), AUDIT_ARCH[architecture])
                assert decide(shipped, call) == decide(made, call), call


def test_the_lists_of_both_architectures_name_the_same_calls() -> None:
    both = set(numbers("x86_64")) & set(numbers("aarch64"))
    assert {"socket", "clone", "execve", "openat", "io_uring_setup", "mount", "clone3", "bpf"} <= both
    assert numbers("x86_64")["execve"] == 59
    assert numbers("aarch64")["execve"] == 221


def test_a_filter_that_was_changed_is_not_used(tmp_path: Path) -> None:
    for path in FOLDER.iterdir():
        if path.suffix in (".bpf", ".json"):
            (tmp_path / path.name).write_bytes(path.read_bytes())
    assert load_filter("offline", "x86_64", tmp_path).digest.startswith("sha256:")
    changed = tmp_path / "network-x86_64.bpf"
    changed.write_bytes(changed.read_bytes()[:-8] + b"\x06\0\0\0\0\0\xff\x7f")
    with pytest.raises(DomainError, match="not as it was made"):
        load_filter("network", "x86_64", tmp_path)
    (tmp_path / "offline-aarch64.bpf").unlink()
    with pytest.raises(DomainError, match="can't be read"):
        load_filter("offline", "aarch64", tmp_path)


def test_there_is_no_filter_for_other_machines() -> None:
    with pytest.raises(DomainError, match="no system call filter for `riscv64`"):
        load_filter("offline", "riscv64")


def test_the_manifest_names_every_filter() -> None:
    manifest = json.loads((FOLDER / "manifest.json").read_text())
    assert set(manifest) == {path.name for path in FOLDER.glob("*.bpf")}
    assert all(load_filter(profile, architecture).digest in manifest.values() for profile, architecture in every)
