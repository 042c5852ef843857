"""Path patterns of policies, and a set of them that is matched all at once.

`*` is any characters but `/`, `**` any characters at all (newlines too), everything else is itself: dotfiles match,
`?`, `[` and `{` are ordinary. A pattern is held against the whole absolute path. These are not the globs of plans
(`glob.py`), which list files for a person and leave dotfiles out.
"""

import re
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Final, TypeAlias

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


Compiled: TypeAlias = tuple[re.Pattern[str], int]
"""A pattern as a regular expression, and its bit mask."""


class PrefixSet:
    """Texts with a bit mask each; `hits` returns the union of the masks of those that a given text begins with.

    In sorted order, every text that the given one begins with is a beginning of its neighbour too: one binary search
    finds the neighbour, and each text knows the next shorter one that it begins with. A text may also have patterns,
    which are tried where the given text begins with it.
    """

    __slots__ = ("_masks", "_patterns", "_shorter", "_texts")

    def __init__(self, masks: Mapping[str, int], patterns: Mapping[str, Sequence[Compiled]] | None = None) -> None:
        tried = patterns or {}
        self._texts = sorted({*masks, *tried})
        self._masks: list[int] = []
        self._patterns: list[tuple[Compiled, ...]] = []
        self._shorter: list[int] = []
        line: list[int] = []
        for at, text in enumerate(self._texts):
            while line and not text.startswith(self._texts[line[-1]]):
                line.pop()
            self._shorter.append(line[-1] if line else -1)
            self._masks.append(masks.get(text, 0) | (self._masks[line[-1]] if line else 0))
            self._patterns.append((*tried.get(text, ()), *(self._patterns[line[-1]] if line else ())))
            line.append(at)

    def hits(self, text: str) -> int:
        """Return the union of the masks."""
        texts = self._texts
        at = bisect_right(texts, text) - 1
        while at >= 0:
            if text.startswith(texts[at]):
                found = self._masks[at]
                for pattern, mask in self._patterns[at]:
                    if pattern.fullmatch(text):
                        found |= mask
                return found
            at = self._shorter[at]
        return 0


class GlobSet:
    """Patterns with a bit mask each; `hits` returns the union of the masks of those that match a path.

    Most patterns have a fixed part at one end, or are about one name: those are looked up, whatever their number.
    """

    def __init__(self, patterns: Iterable[tuple[str, int]]) -> None:
        self._always = 0
        self._exact: dict[str, int] = {}
        self._folders: dict[str, int] = {}
        self._parts: dict[str, int] = {}
        self._names: dict[str, list[tuple[str, int]]] = {}
        self._others: list[Compiled] = []
        beneath: dict[str, int] = {}
        beginnings: dict[str, int] = {}
        endings: dict[str, int] = {}
        heads: dict[str, list[Compiled]] = {}
        for pattern, mask in _merged(patterns).items():
            head, star, rest = pattern.partition("*")
            tail = pattern[3:] if pattern.startswith("**/") else ""
            if not star:
                self._exact[pattern] = mask
            elif pattern == "**":
                self._always |= mask
            elif head and rest == "*":
                beneath[head] = mask
            elif tail and "*" not in tail:
                self._names.setdefault(tail[tail.rfind("/") + 1 :], []).append((f"/{tail}", mask))
            elif tail.endswith("/**") and "*" not in tail[:-3]:
                self._add_part(tail[:-3], mask)
            elif tail.startswith("*") and _is_name(tail[1:]):
                endings[tail[:0:-1]] = mask
            elif tail.endswith("*") and _is_name(tail[:-1]):
                beginnings[tail[:-1]] = mask
            elif head:
                heads.setdefault(head, []).append((compiled(pattern), mask))
            else:
                self._others.append((compiled(pattern), mask))
        self._heads = PrefixSet(beneath, heads) if beneath or heads else None
        self._beginnings = PrefixSet(beginnings) if beginnings else None
        self._endings = PrefixSet(endings) if endings else None

    def _add_part(self, part: str, mask: int) -> None:
        """Note a pattern that is about a folder's name, or several in a row."""
        if "/" in part:
            self._parts[f"/{part}/"] = mask
        else:
            self._folders[part] = mask

    def hits(self, path: str) -> int:
        """Return the union of the masks of all patterns that match the path (absolute, `/` between its parts)."""
        found = self._always
        if self._exact:
            found |= self._exact.get(path, 0)
        if self._heads is not None:
            found |= self._heads.hits(path)
        name = path[path.rfind("/") + 1 :]
        if self._beginnings is not None:
            found |= self._beginnings.hits(name)
        if self._endings is not None:
            found |= self._endings.hits(name[::-1])
        for ending, mask in self._names.get(name, ()):
            if path.endswith(ending):
                found |= mask
        if self._folders and not self._folders.keys().isdisjoint(folders := path.split("/")[1:-1]):
            for folder in folders:
                found |= self._folders.get(folder, 0)
        for part, mask in self._parts.items():
            if part in path:
                found |= mask
        for pattern, mask in self._others:
            if pattern.fullmatch(path):
                found |= mask
        return found


def _merged(patterns: Iterable[tuple[str, int]]) -> dict[str, int]:
    merged: dict[str, int] = {}
    for pattern, mask in patterns:
        plain = slashed(pattern)
        merged[plain] = merged.get(plain, 0) | mask
    return merged


def _is_name(text: str) -> bool:
    return bool(text) and "*" not in text and "/" not in text
