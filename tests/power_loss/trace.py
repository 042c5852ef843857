"""Runs a program under `strace`, and reads what it asked of the kernel about files.

Every kind of program is seen alike: SQLite's own writes, those of Python, and those of its threads and children.
"""

import re
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

CALLS: Final = (
    *("open", "openat", "openat2", "creat", "lseek", "write", "pwrite64", "writev", "pwritev", "pwritev2"),
    *("truncate", "ftruncate", "fallocate", "copy_file_range", "sendfile", "splice", "mmap"),
    *("fsync", "fdatasync", "sync", "syncfs", "sync_file_range", "msync"),
    *("rename", "renameat", "renameat2", "link", "linkat", "symlink", "symlinkat", "unlink", "unlinkat"),
    *("mkdir", "mkdirat", "rmdir", "mknod", "mknodat", "chmod", "fchmod", "fchmodat", "fchmodat2"),
)
"""What changes files, or makes changes durable. What is not understood here is an error and not passed over."""

_CURRENT_FOLDER: Final = -100
_STRING_MAX: Final = 4 << 20
_LINE: Final = re.compile(r"(\d+) +(.*)")
_CALL: Final = re.compile(r"(\w+)\((.*)\) += (-?\d+|0x[0-9a-f]+|\?)(?:<((?:\\x[0-9a-f]{2})*)>)?(.*)")
_UNFINISHED: Final = " <unfinished ...>"
_RESUMED: Final = re.compile(r"<\.\.\. \w+ resumed>(.*)")
_STRING: Final = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
_DESCRIPTOR: Final = re.compile(r"(?:AT_FDCWD|(-?\d+))<((?:\\x[0-9a-f]{2})*)>(\(deleted\))?")


class Descriptor(msgspec.Struct, frozen=True):
    """A descriptor among the arguments of a call (-100: the current folder), and the path of what it is open on."""

    number: int
    path: bytes
    is_deleted: bool


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """A system call that succeeded. Texts are the bytes that the program handed over; paths are as the kernel has them.

    `begun` and `ended` are its places among all beginnings and ends of the run.
    """

    name: str
    begun: int
    ended: int
    process: int
    result: int
    opened: bytes
    """For a call that returns a descriptor: the path of what it is open on."""
    descriptors: tuple[Descriptor, ...]
    strings: tuple[bytes, ...]
    plain: str
    """The arguments as `strace` writes them."""

    @property
    def numbers(self) -> list[int]:
        """The last arguments, as far as they are numbers, from the last one backwards."""
        found: list[int] = []
        for word in reversed(self.plain.split(", ")):
            if not re.fullmatch(r"-?\d+", word):
                break
            found.append(int(word))
        return found


def record(command: Sequence[str], output: Path, *, cwd: Path) -> list[Call]:
    """Run the command under `strace` to its end, which must be a good one, and return its calls."""
    strace = [
        *("strace", "-f", "-qq", "--seccomp-bpf", "-y", "-xx", "-s", str(_STRING_MAX), "-o", str(output)),
        *("-e", "signal=none", "-e", f"trace={','.join(f'?{name}' for name in CALLS)}", "--", *command),
    ]
    done = subprocess.run(strace, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    with output.open(encoding="ascii") as lines:
        return sorted(parsed(lines), key=lambda call: call.begun)


def parsed(lines: Iterator[str]) -> Iterator[Call]:
    """Yield the calls of a trace that succeeded, in the order of their ends."""
    unfinished: dict[str, tuple[int, str]] = {}
    for place, line in enumerate(lines):
        match = _LINE.match(line.rstrip("\n"))
        assert match is not None, line[:200]
        process, text = match.groups()
        begun = place
        if text.endswith(_UNFINISHED):
            unfinished[process] = (place, text.removesuffix(_UNFINISHED))
            continue
        if resumed := _RESUMED.match(text):
            begun, beginning = unfinished.pop(process)
            text = beginning + resumed[1]
        found = _CALL.fullmatch(text)
        if found is None:
            assert text.startswith(("+++", "---")), text[:200]
            continue
        name, arguments, result, opened, _ = found.groups()
        if result == "?" or result.startswith("-"):
            continue
        assert '"...' not in arguments, f"a text of more than {_STRING_MAX} bytes was cut short"
        yield Call(
            name=name,
            begun=begun,
            ended=place,
            process=int(process),
            result=int(result, 0),
            opened=_bytes(opened or ""),
            descriptors=tuple(
                Descriptor(int(number or _CURRENT_FOLDER), _bytes(path), bool(deleted))
                for number, path, deleted in _DESCRIPTOR.findall(arguments)
            ),
            strings=tuple(_bytes(string) for string in _STRING.findall(arguments)),
            plain=arguments,
        )


def _bytes(escaped: str) -> bytes:
    return bytes.fromhex(escaped.replace("\\x", ""))
