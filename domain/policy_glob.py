"""Path patterns of policies, and a set of them that is matched all at once.

`*` is any characters but `/`, `**` any characters at all (newlines too), everything else is itself: dotfiles match,
`?`, `[` and `{` are ordinary. A pattern is held against the whole absolute path. These are not the globs of plans
(`glob.py`), which list files for a person and leave dotfiles out.
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

_TOKENS: Final = re.compile(r"\*\*|\*|[^*]+")


def slashed(text: str) -> str:
    """Return the text with `/` for every backslash, as the origin reads patterns and paths."""
    return text.replace("\\", "/") if "\\" in text else text


def regex_of(pattern: str) -> str:
    """Return the regular expression of a pattern; it is meant for `fullmatch` with `DOTALL`."""
    parts = {"**": ".*", "*": "[^/]*"}
    return "".join(parts.get(token) or re.escape(token) for token in _TOKENS.findall(slashed(pattern)))


@lru_cache(maxsize=4096)
def compiled(pattern: str) -> re.Pattern[str]:
    """Return the pattern's compiled regular expression."""
    return re.compile(regex_of(pattern), re.DOTALL)


def glob_matches(pattern: str, path: str) -> bool:
    """Whether one pattern matches the whole path."""
    return compiled(pattern).fullmatch(slashed(path)) is not None


class GlobSet:
    """Patterns with a bit mask each; `hits` returns the union of the masks of those that match a path.

    Most patterns have a fixed part that a path must contain: they are found by looking that part up, so the time
    depends on the path's depth and hardly on the number of patterns.
    """

    def __init__(self, patterns: Iterable[tuple[str, int]]) -> None:
        self._always = 0
        self._exact: dict[str, int] = {}
        self._beneath: dict[str, int] = {}
        self._inside: dict[str, int] = {}
        self._named: dict[str, list[tuple[str, int]]] = {}
        self._extensions: dict[str, list[tuple[str, int]]] = {}
        self._endings: list[tuple[str, int]] = []
        self._beginnings: dict[str, list[tuple[str, int]]] = {}
        self._below: dict[str, list[tuple[re.Pattern[str], int]]] = {}
        self._others: list[tuple[re.Pattern[str], int]] = []
        merged: dict[str, int] = {}
        for pattern, mask in patterns:
            plain = slashed(pattern)
            merged[plain] = merged.get(plain, 0) | mask
        for pattern, mask in merged.items():
            self._add(pattern, mask)

    def _add(self, pattern: str, mask: int) -> None:
        head, star, rest = pattern.partition("*")
        if not star:
            self._exact[pattern] = self._exact.get(pattern, 0) | mask
        elif pattern == "**":
            self._always |= mask
        elif head.endswith("/") and rest == "*":
            self._beneath[head] = self._beneath.get(head, 0) | mask
        elif pattern.startswith("**/") and "*" not in pattern[3:]:
            self._named.setdefault(pattern[pattern.rindex("/") + 1 :], []).append((pattern[2:], mask))
        elif (inside := _inside(pattern)) is not None:
            self._inside[inside] = self._inside.get(inside, 0) | mask
        elif pattern.startswith("**/*") and "*" not in pattern[4:] and "/" not in pattern[4:] and pattern[4:]:
            self._add_ending(pattern[4:], mask)
        elif pattern.startswith("**/") and pattern.endswith("*") and _is_name(pattern[3:-1]):
            self._beginnings.setdefault(pattern[3], []).append((pattern[3:-1], mask))
        elif "/" in head[1:]:
            folder = head[: head.rindex("/") + 1]
            self._below.setdefault(folder, []).append((compiled(pattern), mask))
        else:
            self._others.append((compiled(pattern), mask))

    def _add_ending(self, ending: str, mask: int) -> None:
        """Sort an ending by the extension that a name must have for it; one without a dot is tried each time."""
        if "." in ending:
            self._extensions.setdefault(ending[ending.rindex(".") :], []).append((ending, mask))
        else:
            self._endings.append((ending, mask))

    def hits(self, path: str) -> int:
        """Return the union of the masks of all patterns that match the path (absolute, `/` between its parts)."""
        found = self._always | self._exact.get(path, 0)
        name = path[path.rfind("/") + 1 :]
        if self._beneath or self._below or self._inside:
            found |= self._hits_of_folders(path)
        if self._beginnings:
            for beginning, mask in self._beginnings.get(name[:1], ()):
                if name.startswith(beginning):
                    found |= mask
        if self._extensions and "." in name:
            for ending, mask in self._extensions.get(name[name.rfind(".") :], ()):
                if name.endswith(ending):
                    found |= mask
        if self._named:
            for ending, mask in self._named.get(name, ()):
                if path.endswith(ending):
                    found |= mask
        for ending, mask in self._endings:
            if name.endswith(ending):
                found |= mask
        for pattern, mask in self._others:
            if pattern.fullmatch(path):
                found |= mask
        return found

    def _hits_of_folders(self, path: str) -> int:
        found = 0
        start = 0
        at = path.find("/")
        while at >= 0:
            head = path[: at + 1]
            found |= self._beneath.get(head, 0)
            if self._inside:
                found |= self._inside.get(path[start : at + 1], 0)
            for pattern, mask in self._below.get(head, ()) if self._below else ():
                if pattern.fullmatch(path):
                    found |= mask
            start, at = at, path.find("/", at + 1)
        return found


def _inside(pattern: str) -> str | None:
    """Return `/name/` for a pattern `**/name/**`: one that is about a folder's name."""
    if pattern.startswith("**/") and pattern.endswith("/**") and _is_name(pattern[3:-3]):
        return pattern[2:-2]
    return None


def _is_name(text: str) -> bool:
    return bool(text) and "*" not in text and "/" not in text
