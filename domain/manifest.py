"""What a folder holds, as one digest.

It is the SHA-256 of a first line and, for each entry at any depth in the byte order of the paths, of one of these, each
ended by NUL:

    file <sha256 of its bytes> <path>
    folder <path>
    link <sha256 of where it points> <path>
    special <device number> <path>
"""

import hashlib
from collections.abc import Iterable
from typing import Final, Literal, TypeAlias

import msgspec

from .path import name_of_text

EntryKind: TypeAlias = Literal["file", "folder", "link", "special"]

MANIFEST: Final = b"cowork.manifest.v1\n"


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One entry of a folder, at any depth: its path below it, and what tells its content.

    `digest` is `sha256:<hex>` of a file's bytes or of where a link points, a special file's device number, empty of a
    folder. `mode` are a file's permission bits, which are no part of the manifest.
    """

    path: str
    kind: EntryKind
    digest: str = ""
    mode: int = 0


def digest_of_entries(entries: Iterable[Entry]) -> str:
    """Return `sha256:<hex>` of the manifest of a folder with these entries."""
    return digest_of_lines(
        (name, line_of(entry.kind, entry.digest, name)) for entry in entries for name in (name_of_text(entry.path),)
    )


def line_of(kind: EntryKind, digest: str, name: bytes) -> bytes:
    """Return an entry's line."""
    if kind == "folder":
        return b"folder %s\0" % name
    return b"%s %s %s\0" % (kind.encode(), digest.removeprefix("sha256:").encode(), name)


def digest_of_lines(lines: Iterable[tuple[bytes, bytes]]) -> str:
    """Return `sha256:<hex>` of the manifest with these lines, each with the path that it is about."""
    hashing = hashlib.sha256(MANIFEST)
    for _, line in sorted(lines):
        hashing.update(line)
    return f"sha256:{hashing.hexdigest()}"


NOTHING_IN_IT: Final = digest_of_lines(())
"""The digest of an empty folder."""
