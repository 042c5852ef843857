"""Places that need more care than their folder: secrets, hidden files, and files that other programs execute or trust.

The lists are data and are printed in the reference. An entry is one name or several in a row (`.git/hooks`), with `*`
for any part of a name; a path is on the list when the entry occurs anywhere in it, so what lies inside a listed folder
is listed too. Names are compared as the most forgiving file system would: NFKC, invisible characters and trailing
dots and spaces removed, case folded.
"""

import re
import unicodedata
from functools import lru_cache
from typing import Final

import msgspec

from .path import components

SENSITIVE: Final[tuple[str, ...]] = (
    ".env*",
    "secrets",
    "id_rsa*",
    "id_dsa*",
    "id_ecdsa*",
    "id_ed25519*",
    "*.pem",
    "*.key",
    "*.p12",
    "*.pfx",
    "*.kdbx",
    "*.keystore",
    ".netrc",
    "_netrc",
    ".pgpass",
    ".npmrc",
    ".pypirc",
    ".git-credentials",
    "credentials",
    "credentials.json",
    ".ssh",
    ".aws",
    ".gnupg",
)
"""Credentials and keys: their content is never read or written by default."""

EXECUTED: Final[tuple[str, ...]] = (
    ".git/hooks",
    ".git/config",
    ".git/modules",
    ".git/worktrees",
    ".gitmodules",
    ".githooks",
    ".husky",
    ".mcp.json",
    ".vscode",
    ".idea",
    ".claude",
    ".cursor",
    ".codex",
    ".agents",
    ".amazonq",
    "claude.md",
    "claude.local.md",
    "agents.md",
    "gemini.md",
    ".cursorrules",
    ".envrc",
    ".bashrc",
    ".bash_profile",
    ".bash_login",
    ".bash_logout",
    ".profile",
    ".zshrc",
    ".zshenv",
    ".zprofile",
    ".zlogin",
    ".config/fish",
    ".config/autostart",
    ".ssh",
    "sitecustomize.py",
    "usercustomize.py",
)
"""What a shell, an editor, git or another agent runs or obeys: changing it is running code later."""

ENGINE_FOLDER: Final = ".cowork"
"""The engine's own folder in a grant (quarantine on another file system); no action reaches into it."""

_INVISIBLE: Final = ("Cc", "Cf")


def _finder(entries: tuple[str, ...]) -> re.Pattern[str]:
    alternatives = (re.escape(entry).replace(r"\*", "[^/]*") for entry in entries)
    return re.compile(rf"/(?:{'|'.join(alternatives)})(?=/)")


_FIND_SENSITIVE: Final = _finder(SENSITIVE)
_FIND_EXECUTED: Final = _finder(EXECUTED)
_FIND_ENGINES: Final = re.compile(rf"/{re.escape(ENGINE_FOLDER)}(?:-[^/]*)?(?=/)")


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
        _FIND_SENSITIVE.search(text) is not None,
        _FIND_EXECUTED.search(text) is not None,
        _FIND_ENGINES.search(text) is not None,
    )


def folded(path: str) -> str:
    """Return `/a/b/`: the path as the most forgiving file system would compare it."""
    if path.isascii() and path.isprintable() and not _is_untidy(path):
        return f"/{path.lower()}/"
    return f"/{'/'.join(_folded_name(part) for part in components(path))}/"


def _folded_name(name: str) -> str:
    if name.isascii() and name.isprintable():
        plain = name
    else:
        shown = unicodedata.normalize("NFKC", name)
        plain = "".join(c for c in shown if unicodedata.category(c) not in _INVISIBLE)
    return (plain.rstrip(". ") or plain).casefold()


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
