"""What two runs of one plan must have in common: documents without ids, times and positions, and trees of files."""

import json
import os
import re
import stat
from pathlib import Path
from typing import Any, Final

_ID: Final = re.compile(r"\b(session|grant|task|confirmation|command)-[0-9a-hjkmnp-tv-z]{16}\b")
_NUMBER: Final = re.compile(r"\b((?:session|grant|task|confirmation|command)#)\d+(?:\.\d+)?")
_DROPPED: Final = frozenset(["position", "positions", "at", "timestamp", "attempts", "recovered"])

Tree = dict[str, tuple[object, ...]]


class Normal:
    """Replaces every id by its kind and its number in order of appearance."""

    def __init__(self, folder: Path) -> None:
        self._folder = str(folder)
        self._known: dict[str, str] = {}

    def of(self, value: Any) -> Any:
        """Return the JSON value as every run of the plan has it."""
        match value:
            case dict():
                return {key: self.of(one) for key, one in value.items() if key not in _DROPPED}
            case list():
                return [self.of(one) for one in value]
            case str():
                return _ID.sub(self._named, value.replace(self._folder, "FOLDER"))
            case _:
                return value

    def _named(self, found: re.Match[str]) -> str:
        kind = found.group(1)
        count = sum(name.startswith(f"{kind}#") for name in self._known.values())
        return self._known.setdefault(found.group(), f"{kind}#{count + 1}")


def tree_of(folder: Path) -> Tree:
    """Return kind, mode and content of everything beneath the folder, by relative path."""
    tree: Tree = {}
    for top, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(top, name)
            status = path.lstat()
            content: object = b""
            if stat.S_ISREG(status.st_mode):
                content = path.read_bytes()
            elif stat.S_ISLNK(status.st_mode):
                content = os.readlink(path)
            tree[str(path.relative_to(folder))] = (status.st_mode, content)
    return tree


def unordered(value: Any) -> Any:
    """Return a document as every run has it whose steps went beside each other: nothing numbered, nothing in order."""
    match value:
        case dict():
            return {key: unordered(one) for key, one in value.items()}
        case list():
            return sorted((unordered(one) for one in value), key=json.dumps)
        case str():
            return _NUMBER.sub(r"\1", value)
        case _:
            return value


def lines_of(value: Any) -> list[str]:
    """Return a document as lines, so that a difference between two is a readable one."""
    return json.dumps(value, indent=1, sort_keys=True).splitlines()
