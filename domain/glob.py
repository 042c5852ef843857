"""Glob patterns over paths: `*` and `?` stay inside one component, `**` spans any number of them.

Dotfiles match only where the pattern itself names the dot. Everything else is literal. Matching takes time
proportional to pattern times path: there is no backtracking to exploit.
"""

from functools import lru_cache
from typing import Final

import msgspec

SPAN: Final = "**"


class Glob(msgspec.Struct, frozen=True):
    """A parsed pattern: its components in order."""

    text: str
    parts: tuple[str, ...]
    dotfiles: bool = False

    def matches(self, path: str) -> bool:
        """Whether the whole relative path matches."""
        return _match_parts(self.parts, tuple(path.split("/")), self.dotfiles)


@lru_cache(maxsize=512)
def parse_glob(text: str, *, dotfiles: bool = False) -> Glob:
    """Return the parsed pattern; with `dotfiles`, `*` and `**` match names with a leading dot too (for deny rules)."""
    parts: list[str] = []
    for part in text.split("/"):
        if part == SPAN and parts and parts[-1] == SPAN:
            continue
        parts.append(part)
    return Glob(text, tuple(parts), dotfiles)


def _match_parts(pattern: tuple[str, ...], path: tuple[str, ...], dotfiles: bool) -> bool:
    reached = {0}
    for index, part in enumerate(pattern):
        last = index == len(pattern) - 1
        following: set[int] = set()
        for start in reached:
            if part == SPAN:
                end = start
                following.add(end)
                while end < len(path) and (dotfiles or not path[end].startswith(".")):
                    end += 1
                    following.add(end)
                if last:
                    # A trailing `**` stands for at least one component: `a/**` is what lies in `a`, not `a`.
                    following.discard(start)
            elif start < len(path) and _match_name(part, path[start], dotfiles):
                following.add(start + 1)
        reached = following
        if not reached:
            return False
    return len(path) in reached


def _match_name(pattern: str, name: str, dotfiles: bool) -> bool:
    if name.startswith(".") and not pattern.startswith(".") and not dotfiles:
        return False
    at_pattern = at_name = 0
    star = -1
    resume = 0
    while at_name < len(name):
        if at_pattern < len(pattern) and pattern[at_pattern] == "*":
            star, resume = at_pattern, at_name
            at_pattern += 1
        elif at_pattern < len(pattern) and pattern[at_pattern] in ("?", name[at_name]):
            at_pattern += 1
            at_name += 1
        elif star >= 0:
            # The last star takes one character more; earlier stars never need to move again.
            resume += 1
            at_pattern, at_name = star + 1, resume
        else:
            return False
    return all(c == "*" for c in pattern[at_pattern:])
