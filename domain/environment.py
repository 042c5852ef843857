"""What an action may put into a command's environment: a short list, because programs obey their environment.

`LD_PRELOAD`, `PYTHONSTARTUP`, `BASH_ENV`, `GIT_SSH_COMMAND`, `NODE_OPTIONS` and many more make a program run something
else than what was asked for. No list of the bad ones is complete, so this is one of the harmless ones.
"""

import re
from collections.abc import Sequence
from typing import Final

NAMES: Final = frozenset(
    [
        "CI",
        "CLICOLOR",
        "COLUMNS",
        "FORCE_COLOR",
        "LANG",
        "LANGUAGE",
        "LINES",
        "NO_COLOR",
        "SOURCE_DATE_EPOCH",
        "TERM",
        "TZ",
    ]
)
"""The names that may be set as they are."""

PREFIXES: Final = ("APP_", "INPUT_", "LC_")
"""How other names must begin: a program's own settings, by a convention that no interpreter or library uses."""

_NAME: Final = re.compile(r"[A-Z][A-Z0-9_]*")
_FILE_NAMES: Final = ("LANG", "LANGUAGE", "LC_", "TERM", "TZ")
"""Names whose values libraries make paths of: these may not lead out of the libraries' own folders."""


def refused_names(env: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    """Return the names of an action's environment that it may not set, in the order given and each once.

    Refused as well: a name that is given twice, a value that holds NUL or half of a character, and one that a library
    would take for a path.
    """
    refused: dict[str, None] = {}
    seen: set[str] = set()
    for name, value in env:
        if name in seen or not is_allowed_name(name) or not _is_sound(name, value):
            refused[name] = None
        seen.add(name)
    return tuple(refused)


def is_allowed_name(name: str) -> bool:
    """Whether an action may set this name at all."""
    if _NAME.fullmatch(name) is None:
        return False
    return name in NAMES or any(name.startswith(prefix) and name != prefix for prefix in PREFIXES)


def _is_sound(name: str, value: str) -> bool:
    if "\x00" in value or any("\ud800" <= character <= "\udfff" for character in value):
        return False
    if any(name.startswith(prefix) for prefix in _FILE_NAMES):
        return not value.startswith((":", "/", ".")) and ".." not in value.split("/")
    return True
