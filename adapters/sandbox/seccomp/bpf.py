"""A few instructions of classic BPF, as seccomp(2) runs them, with labels instead of distances.

An instruction is 8 bytes: code (16 bits), two distances for a jump (8 bits each) and a constant (32 bits), in the
byte order of the machine; both architectures that filters are made for have the least byte first.
"""

import struct
from collections.abc import Sequence
from typing import Final

import msgspec

LOAD: Final = 0x20  # A = the 32 bits of seccomp_data at offset k
AND: Final = 0x54  # A &= k
JUMP: Final = 0x05
JUMP_EQUAL: Final = 0x15
JUMP_GREATER: Final = 0x25
JUMP_AT_LEAST: Final = 0x35
JUMP_BITS: Final = 0x45
RETURN: Final = 0x06

ALLOW: Final = 0x7FFF0000
ERRNO: Final = 0x00050000
KILL_PROCESS: Final = 0x80000000

NUMBER_AT: Final = 0
ARCHITECTURE_AT: Final = 4

_DISTANCE_MAX: Final = 255


def low_half_at(argument: int) -> int:
    """Return the offset in seccomp_data of the low 32 bits of an argument: all that the kernel takes of an int."""
    return 16 + 8 * argument


class Line(msgspec.Struct, frozen=True):
    """One instruction. A jump goes to a label where its test holds, or to the next line; so does one that fails."""

    code: int
    constant: int = 0
    when_true: str = ""
    when_false: str = ""
    label: str = ""


END: Final = "end"
"""The label behind the last line."""


def assemble(lines: Sequence[Line]) -> bytes:
    """Return the instructions. What is jumped to lies ahead, at most 255 instructions."""
    places = {line.label: index for index, line in enumerate(lines) if line.label} | {END: len(lines)}

    def distance(index: int, label: str) -> int:
        steps = places[label] - index - 1 if label else 0
        if not 0 <= steps <= _DISTANCE_MAX:
            raise ValueError(f"`{label}` can't be reached from line {index}")
        return steps

    program = b""
    for index, line in enumerate(lines):
        if line.code == JUMP:
            program += struct.pack("<HBBI", line.code, 0, 0, distance(index, line.when_true))
        else:
            program += struct.pack(
                "<HBBI", line.code, distance(index, line.when_true), distance(index, line.when_false), line.constant
            )
    return program
