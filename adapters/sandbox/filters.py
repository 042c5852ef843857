"""Loading a system call filter: the one for this machine, and only as it was made."""

import hashlib
import json
import platform
from functools import cache
from pathlib import Path
from typing import Final, Literal, TypeAlias

import msgspec

from ...domain.errors import DomainError

Profile: TypeAlias = Literal["offline", "network"]

ARCHITECTURES: Final = ("x86_64", "aarch64")
"""Those that filters are made for, as `platform.machine()` calls them."""

FOLDER: Final = Path(__file__).parent / "seccomp"


class SystemCallFilter(msgspec.Struct, frozen=True, gc=False):
    """BPF instructions for seccomp(2), and `sha256:<hex>` of them."""

    program: bytes
    digest: str


def load_filter(profile: Profile, machine: str = "", folder: Path = FOLDER) -> SystemCallFilter:
    """Return the filter of a profile for a machine (this one). Raises `DomainError` unavailable or damaged."""
    return _load(profile, machine or platform.machine(), folder)


@cache
def _load(profile: Profile, machine: str, folder: Path) -> SystemCallFilter:
    if machine not in ARCHITECTURES:
        raise DomainError("unavailable", f"there is no system call filter for `{machine}`")
    name = f"{profile}-{machine}.bpf"
    try:
        program = (folder / name).read_bytes()
        expected = json.loads((folder / "manifest.json").read_bytes()).get(name)
    except (OSError, ValueError) as error:
        raise DomainError("damaged", f"the system call filter `{name}` can't be read", _HINT) from error
    digest = f"sha256:{hashlib.sha256(program).hexdigest()}"
    if digest != expected:
        raise DomainError("damaged", f"the system call filter `{name}` is not as it was made", _HINT)
    return SystemCallFilter(program, digest)


_HINT: Final = "install cowork again"
