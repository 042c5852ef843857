"""A machine for classic BPF as seccomp(2) runs it: filters can be asked about any system call of any machine."""

import json
import struct
from functools import cache
from pathlib import Path
from typing import Literal

import msgspec

Architecture = Literal["x86_64", "aarch64"]
ARCHITECTURES: tuple[Architecture, ...] = ("x86_64", "aarch64")
AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7, "i386": 0x40000003, "arm": 0x40000028}

ALLOW, KILL = "allow", "kill"
EPERM, ENOSYS = "errno 1", "errno 38"


class Call(msgspec.Struct, frozen=True):
    """One system call, as a filter sees it: six arguments of 64 bits."""

    number: int
    arguments: tuple[int, ...] = ()
    architecture: int = AUDIT_ARCH["x86_64"]

    def data(self) -> bytes:
        arguments = [argument & 0xFFFF_FFFF_FFFF_FFFF for argument in self.arguments]
        return struct.pack(
            "<iIQ6Q", self.number & 0x7FFF_FFFF, self.architecture, 0, *arguments, *[0] * (6 - len(arguments))
        )


def decide(program: bytes, call: Call) -> str:
    """Run the program and say what it answers."""
    data = call.data()
    instructions = _instructions(program)
    accumulator = at = 0
    for _ in range(len(instructions)):
        code, when_true, when_false, constant = instructions[at]
        at += 1
        match code:
            case 0x20:
                [accumulator] = struct.unpack_from("<I", data, constant)
            case 0x54:
                accumulator &= constant
            case 0x05:
                at += constant
            case 0x15:
                at += when_true if accumulator == constant else when_false
            case 0x25:
                at += when_true if accumulator > constant else when_false
            case 0x35:
                at += when_true if accumulator >= constant else when_false
            case 0x45:
                at += when_true if accumulator & constant else when_false
            case 0x06:
                return _answer(constant)
            case _:
                raise AssertionError(f"instruction {at - 1} has the code {code:#x}")
    raise AssertionError("the program does not end")


@cache
def _instructions(program: bytes) -> list[tuple[int, int, int, int]]:
    return list(struct.iter_unpack("<HBBI", program))


def _answer(value: int) -> str:
    match value & 0xFFFF0000:
        case 0x7FFF0000:
            return ALLOW
        case 0x80000000:
            return KILL
        case 0x00050000:
            return f"errno {value & 0xFFFF}"
        case _:
            raise AssertionError(f"the answer {value:#x} was not expected")


@cache
def numbers(architecture: Architecture) -> dict[str, int]:
    """Return the system calls of an architecture by name."""
    table = json.loads(Path(__file__).with_name("syscalls.json").read_text())
    index = ARCHITECTURES.index(architecture)
    return {name: both[index] for name, both in table.items() if both[index] is not None}
