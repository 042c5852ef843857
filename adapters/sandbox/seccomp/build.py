"""Make the system call filters: `python -m cowork.adapters.sandbox.seccomp.build`, where libseccomp.so.2 is installed.

They are kept as data, so that nothing is compiled where commands run, with their digests in `manifest.json`.
"""

import hashlib
import json
from pathlib import Path
from typing import Final

from .bpf import (
    ALLOW,
    AND,
    ARCHITECTURE_AT,
    END,
    ERRNO,
    JUMP,
    JUMP_AT_LEAST,
    JUMP_EQUAL,
    JUMP_GREATER,
    KILL_PROCESS,
    LOAD,
    NUMBER_AT,
    RETURN,
    Line,
    assemble,
    low_half_at,
)
from .libseccomp import AUDIT_ARCH, Bits, Filter, Library
from .rules import (
    AF_INET,
    AF_INET6,
    AF_UNIX,
    ARCHITECTURES,
    ENOSYS,
    EPERM,
    IPPROTO_TCP,
    LAST_KNOWN,
    MISSING,
    MISSING_BY_NUMBER,
    MODES,
    NAMESPACE_FLAGS,
    NUMBERS,
    O_CREAT,
    O_TMPFILE_BIT,
    PERSONALITIES,
    PROFILES,
    REFUSED,
    REFUSED_BY_NUMBER,
    REFUSED_OFFLINE,
    SET_ID_BITS,
    SOCK_SEQPACKET,
    SOCK_STREAM,
    SOCK_TYPE_MASK,
    TERMINAL_REQUESTS,
    X32_BIT,
    Architecture,
    Profile,
)

_INT: Final = 0xFFFFFFFF
_EPERM: Final = ERRNO | EPERM
_ENOSYS: Final = ERRNO | ENOSYS


def build(library: Library, architecture: Architecture, profile: Profile) -> bytes:
    """Return one filter."""
    return assemble(_first_part(architecture, profile)) + _second_part(library, architecture, profile)


def _first_part(architecture: Architecture, profile: Profile) -> list[Line]:
    numbers = NUMBERS[architecture]
    return [
        Line(LOAD, ARCHITECTURE_AT),
        Line(JUMP_EQUAL, AUDIT_ARCH[architecture], when_false="kill"),
        Line(LOAD, NUMBER_AT),
        # On x86-64 these numbers are the x32 interface; elsewhere they are nothing.
        Line(JUMP_AT_LEAST, X32_BIT, when_true="kill"),
        Line(JUMP_GREATER, LAST_KNOWN, when_true="missing"),
        *[Line(JUMP_EQUAL, number, when_true="missing") for number in MISSING_BY_NUMBER],
        *[Line(JUMP_EQUAL, number, when_true="refuse") for number in REFUSED_BY_NUMBER],
        Line(JUMP_EQUAL, numbers["socket"], when_true="socket" if profile == "network" else "refuse"),
        Line(JUMP_EQUAL, numbers["socketpair"], when_true="pair"),
        Line(JUMP_EQUAL, numbers["personality"], when_true="personality"),
        Line(JUMP, when_true=END),
        *(_SOCKET if profile == "network" else []),
        *_PAIR,
        Line(LOAD, low_half_at(0), label="personality"),
        *[Line(JUMP_EQUAL, value, when_true="allow") for value in PERSONALITIES],
        Line(RETURN, _EPERM, label="refuse"),
        Line(RETURN, _ENOSYS, label="missing"),
        Line(RETURN, KILL_PROCESS, label="kill"),
        Line(RETURN, ALLOW, label="allow"),
    ]


# TCP over IPv4 or IPv6 and nothing else: not MPTCP (protocol 262), which Landlock's rule of ports does not see.
_SOCKET: Final = [
    Line(LOAD, low_half_at(0), label="socket"),
    Line(JUMP_EQUAL, AF_INET, when_true="stream"),
    Line(JUMP_EQUAL, AF_INET6, when_false="refuse"),
    Line(LOAD, low_half_at(1), label="stream"),
    Line(AND, SOCK_TYPE_MASK),
    Line(JUMP_EQUAL, SOCK_STREAM, when_false="refuse"),
    Line(LOAD, low_half_at(2)),
    Line(JUMP_EQUAL, 0, when_true="allow"),
    Line(JUMP_EQUAL, IPPROTO_TCP, when_true="allow", when_false="refuse"),
]

# A pair that is connected for good: one of datagrams could be connected again, to a socket of the machine's.
_PAIR: Final = [
    Line(LOAD, low_half_at(0), label="pair"),
    Line(JUMP_EQUAL, AF_UNIX, when_false="refuse"),
    Line(LOAD, low_half_at(1)),
    Line(AND, SOCK_TYPE_MASK),
    Line(JUMP_EQUAL, SOCK_STREAM, when_true="allow"),
    Line(JUMP_EQUAL, SOCK_SEQPACKET, when_true="allow", when_false="refuse"),
]


def _second_part(library: Library, architecture: Architecture, profile: Profile) -> bytes:
    with library.filter(architecture, otherwise=ALLOW, elsewhere=KILL_PROCESS) as made:
        for name in REFUSED + (REFUSED_OFFLINE if profile == "offline" else ()):
            made.add(_EPERM, library.number(name))
        for name in MISSING:
            made.add(_ENOSYS, library.number(name))
        for flag in NAMESPACE_FLAGS:
            made.add(_EPERM, library.number("clone"), Bits(0, flag, flag))
        for request in TERMINAL_REQUESTS:
            made.add(_EPERM, library.number("ioctl"), Bits(1, _INT, request))
        _add_modes(library, made)
        return made.program()


def _add_modes(library: Library, made: Filter) -> None:
    """Refuse the set-user-id and set-group-id bits in whatever gives a file its mode."""
    for call in MODES:
        for bit in SET_ID_BITS:
            mode = Bits(call.mode, bit, bit)
            if call.flags is None:
                made.add(_EPERM, library.number(call.name), mode)
            else:
                # Without one of these flags the argument is not there, and holds whatever it held before.
                for flag in (O_CREAT, O_TMPFILE_BIT):
                    made.add(_EPERM, library.number(call.name), Bits(call.flags, flag, flag), mode)


def main() -> None:
    """Write all filters and their manifest beside this file."""
    folder = Path(__file__).parent
    library = Library()
    manifest: dict[str, str] = {}
    for architecture in ARCHITECTURES:
        for profile in PROFILES:
            program = build(library, architecture, profile)
            name = f"{profile}-{architecture}.bpf"
            (folder / name).write_bytes(program)
            manifest[name] = f"sha256:{hashlib.sha256(program).hexdigest()}"
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=2, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
