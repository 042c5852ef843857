"""Paths as values: how a granted folder's relative path is written, and which ones are refused unseen.

A path is text, components separated by `/`, relative to a granted folder. Nothing is expanded: `~`, `%2e`, `$HOME`,
`*` and backslash are ordinary characters. A byte of a file name that is not UTF-8 is carried as one character of a
block in plane 16 (`FOREIGN_BYTE + byte`), so that every name on disk has exactly one text and every text one name.
"""

import unicodedata
from typing import Final

import msgspec

from .reason import ReasonCode

PATH_BYTES_MAX: Final = 4096
COMPONENT_BYTES_MAX: Final = 255
COMPONENTS_MAX: Final = 128
FOREIGN_BYTE: Final = 0x10FE00


class PathProblem(msgspec.Struct, frozen=True):
    """Why a path is refused before anything is looked up."""

    code: ReasonCode
    message: str


def text_of_name(name: bytes) -> str:
    """Return the text of a path as the operating system gave it."""
    loose = name.decode("utf-8", "surrogateescape")
    return loose if loose.isascii() else "".join(_carried(c) for c in loose)


def _carried(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:
        return chr(code - 0xDC00 + FOREIGN_BYTE)
    if FOREIGN_BYTE <= code <= FOREIGN_BYTE + 0xFF:
        # A name that really has such a character is carried byte by byte, or two names would share one text.
        return "".join(chr(FOREIGN_BYTE + byte) for byte in character.encode())
    return character


def name_of_text(text: str) -> bytes:
    """Return the bytes that the operating system knows the path by: the inverse of `text_of_name`."""
    if text.isascii():
        return text.encode()
    if not any(FOREIGN_BYTE <= ord(c) <= FOREIGN_BYTE + 0xFF for c in text):
        return text.encode("utf-8", "surrogatepass")
    return b"".join(
        bytes([ord(c) - FOREIGN_BYTE]) if FOREIGN_BYTE + 0x80 <= ord(c) <= FOREIGN_BYTE + 0xFF else c.encode()
        for c in text
    )


def components(path: str) -> tuple[str, ...]:
    """Return the path's components; `.` alone is the granted folder itself and has none."""
    parts = path.split("/")
    if "" in parts or "." in parts:
        return tuple([part for part in parts if part not in ("", ".")])
    return tuple(parts)


def normal(path: str) -> str:
    """Return the path with `./` and doubled slashes left out; `.` for the granted folder itself."""
    return "/".join(components(path)) or "."


def is_beneath(path: str, folder: str) -> bool:
    """Whether `path` is `folder` or lies inside it, compared component by component (`a-b` is not beneath `a`)."""
    outer = components(folder)
    return components(path)[: len(outer)] == outer


def find_problem(path: str, *, root_allowed: bool) -> PathProblem | None:
    """Return why a path can't be used at all, or None.

    `root_allowed` says whether the granted folder itself may be meant (to list it, say).
    """
    if "\x00" in path:
        return PathProblem("name", "a path can't contain NUL")
    if path.startswith("/"):
        return PathProblem("no_grant", "an absolute path outside every granted folder")
    if not path.isascii() and any(0xD800 <= ord(c) <= 0xDFFF for c in path):
        return PathProblem("name", "a path can't contain half of a character")
    parts = path.split("/")
    if ".." in parts:
        return PathProblem("escape", "a path can't contain `..`")
    length = len(name_of_text(path))
    if length > PATH_BYTES_MAX:
        return PathProblem("limit", f"a path has at most {PATH_BYTES_MAX} bytes")
    real = components(path)
    if len(real) > COMPONENTS_MAX:
        return PathProblem("limit", f"a path has at most {COMPONENTS_MAX} components")
    if length > COMPONENT_BYTES_MAX and any(len(name_of_text(part)) > COMPONENT_BYTES_MAX for part in real):
        return PathProblem("limit", f"a name has at most {COMPONENT_BYTES_MAX} bytes")
    if not path.strip():
        return PathProblem("name", "a path can't be empty or blank")
    if not real and not root_allowed:
        return PathProblem("name", "the granted folder itself can't be the target")
    return None


def has_hidden_characters(path: str) -> bool:
    """Whether the text has characters that can't be seen or that reorder what is seen (control, format, separators)."""
    if path.isascii() and path.isprintable():
        return False
    return any(unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp", "Co") for c in path)


def find_new_name_problem(path: str) -> PathProblem | None:
    """Return why no file may be given this name: names that a person can't read are never created."""
    if has_hidden_characters(path):
        return PathProblem("name", "a new name can't contain control, invisible or direction-changing characters")
    return None
