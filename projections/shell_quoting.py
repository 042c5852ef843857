"""Where quotes, backquotes and substitutions of a shell line end; -1 where that can't be told for certain."""

from typing import Final

DEPTH_MAX: Final = 20
"""How deep quotes and substitutions are followed into each other."""

_UNCERTAIN: Final = {"(": ("case", "<<", "#", "${"), "{": ("'", '"', "\\", "`", "$(")}
"""What makes it uncertain where a substitution is closed: it has rules of its own, and shells differ about them."""


def end_of_double_quotes(line: str, at: int, depth: int = 0) -> int:
    """Return where the double quotes end that were opened just before `at`."""
    while at < len(line):
        match line[at]:
            case '"':
                return at
            case "\\":
                at += 2
            case "`":
                at = _after(end_of_backquotes(line, at + 1))
            case "$" if line[at + 1 : at + 2] in ("(", "{"):
                at = _after(closing_of(line, at + 1, depth + 1))
            case _:
                at += 1
        if at <= 0:
            return -1
    return -1


def end_of_backquotes(line: str, at: int) -> int:
    """Return where the backquotes end that were opened just before `at`."""
    while at < len(line):
        if line[at] == "`":
            return at
        at += 2 if line[at] == "\\" else 1
    return -1


def closing_of(line: str, at: int, depth: int = 0) -> int:
    """Return where the parenthesis or brace at `at` is closed."""
    if depth > DEPTH_MAX:
        return -1
    opening, closing = line[at], {"(": ")", "{": "}"}[line[at]]
    first, open_ones = at, 0
    while at < len(line):
        character = line[at]
        if character == opening:
            open_ones += 1
        elif character == closing:
            open_ones -= 1
            if not open_ones:
                inside = line[first : at + 1]
                return -1 if any(one in inside for one in _UNCERTAIN[opening]) else at
        at = _after_quoted(line, at, depth)
        if at <= 0:
            return -1
    return -1


def _after_quoted(line: str, at: int, depth: int) -> int:
    """Return where the line goes on after the character at `at`, or after the quotes that it opens."""
    match line[at]:
        case "\\":
            return at + 2
        case "'":
            return _after(line.find("'", at + 1))
        case '"':
            return _after(end_of_double_quotes(line, at + 1, depth + 1))
        case "`":
            return _after(end_of_backquotes(line, at + 1))
        case _:
            return at + 1


def _after(end: int) -> int:
    return -1 if end < 0 else end + 1
