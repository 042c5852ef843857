"""Places that need more care than their folder: secrets, hidden files, and files that other programs execute or trust.

The lists are data (`place_lists.py`) and are printed in the reference. Names are compared as the most forgiving file
system would: NFKC, invisible characters and trailing dots and spaces removed, case folded.
"""

import re
import unicodedata
from functools import lru_cache
from typing import Final

import msgspec

from .path import components
from .place_lists import EXECUTED_PLACES, SENSITIVE_PLACES, entries_of

SENSITIVE: Final = entries_of(SENSITIVE_PLACES)
"""Credentials and keys: their content is never read or written by default."""

EXECUTED: Final = entries_of(EXECUTED_PLACES)
"""What a shell, an editor, git or another agent runs or obeys: changing it is running code later."""

ITSELF: Final = "/."
"""How an entry ends that is about its last name alone and not about what lies in it."""

EXECUTED_NAMES_MAX: Final = max(len(entry.split("/")) for entry in EXECUTED)
"""How many names in a row the longest entry has: so far down a folder's content can be listed because of its name."""

ENGINE_FOLDER: Final = ".cowork"
"""The engine's own folder in a grant (quarantine on another file system); no action reaches into it."""

_IGNORED: Final = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2065\u3164\ufe00-\ufe0f\uffa0\ufff0-\ufff8\U000e0000-\U000e0fff]"
)
"""What Unicode lets a comparison ignore beside the control and format characters (Default_Ignorable_Code_Point)."""

_INVISIBLE: Final = ("Cc", "Cf")


class _Finder:
    """Finds the entries of a list in a folded path."""

    def __init__(self, entries: tuple[str, ...]) -> None:
        is_plain = [not {"*", "/"} & set(entry) for entry in entries]
        self._names = frozenset(entry for entry, plain in zip(entries, is_plain, strict=True) if plain)
        others = (entry for entry, plain in zip(entries, is_plain, strict=True) if not plain)
        self._others = re.compile("|".join(_expression(entry) for entry in others) or "(?!)")

    def is_in(self, text: str) -> bool:
        """Whether one of the entries occurs in the path."""
        return not self._names.isdisjoint(text.split("/")) or self._others.search(text) is not None


def _expression(entry: str) -> str:
    names = re.escape(entry.removesuffix(ITSELF)).replace(r"\*", "[^/]*")
    return rf"/{names}/\Z" if entry.endswith(ITSELF) else rf"/{names}/"


_FIND_SENSITIVE: Final = _Finder(SENSITIVE)
_FIND_EXECUTED: Final = _Finder(EXECUTED)
_FIND_ENGINES: Final = _Finder((ENGINE_FOLDER, f"{ENGINE_FOLDER}-*"))


class Look(msgspec.Struct, frozen=True, gc=False):
    """A path held against all the lists at once."""

    hidden: bool
    sensitive: bool
    executed: bool
    engines: bool


@lru_cache(maxsize=1024)
def look_at(path: str) -> Look:
    """Return what the four questions below have for answers. One decision asks them several times about one path."""
    text = folded(path)
    return Look(
        _has_hidden_name(path),
        _FIND_SENSITIVE.is_in(text),
        _FIND_EXECUTED.is_in(text),
        _FIND_ENGINES.is_in(text),
    )


def folded(path: str) -> str:
    """Return `/a/b/`: the path as the most forgiving file system would compare it."""
    if path.isascii() and path.isprintable() and not _is_untidy(path):
        return f"/{path.lower()}/"
    return f"/{'/'.join(_folded_name(part) for part in components(path))}/"


def _folded_name(name: str) -> str:
    plain = name.casefold() if name.isascii() and name.isprintable() else folded_text(name)
    return plain.rstrip(". ") or plain


def folded_text(text: str) -> str:
    """Return the text as the most forgiving file system would compare it, and so that folding again changes nothing.

    Upper case in between makes one of what only some systems tell apart (`ı` and `i`); what is not to be seen goes
    before and after, because folding can bring it about.
    """
    plain = _visible(unicodedata.normalize("NFKC", text)).casefold().upper().casefold()
    return _visible(unicodedata.normalize("NFKC", plain)).replace("i\u0307", "i")


def _visible(text: str) -> str:
    return "".join(c for c in _IGNORED.sub("", text) if unicodedata.category(c) not in _INVISIBLE)


def _is_untidy(path: str) -> bool:
    """Whether a component is empty, `.` or `..`, or ends in a dot or a space: not so in an ordinary path."""
    return path.startswith("/") or path[-1:] in "/. " or "//" in path or "./" in path or " /" in path


def is_hidden(path: str) -> bool:
    """Whether a component of the path begins with a dot."""
    return look_at(path).hidden


def _has_hidden_name(path: str) -> bool:
    return (path.startswith(".") or "/." in path) and any(part.startswith(".") for part in components(path))


def is_sensitive(path: str) -> bool:
    """Whether the path is on the list of credentials and keys."""
    return look_at(path).sensitive


def is_executed(path: str) -> bool:
    """Whether the path is on the list of files that other programs execute or trust."""
    return look_at(path).executed


def is_engines(path: str) -> bool:
    """Whether the path is the engine's own: its folder in a grant, or one of its temporary files."""
    return look_at(path).engines
