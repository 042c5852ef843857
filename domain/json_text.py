"""JSON text read strictly: what would be read in two ways, or can't be written as canonical JSON, is refused.

`json` lets pass a key given twice (the last one wins), NaN, half of a character, and any depth. A policy that one
reader understands otherwise than the next is none, so each of them is a fault here, with its line.
"""

import json
import math
import re
from collections.abc import Iterator
from datetime import date, time
from itertools import islice
from typing import Any, Final, NamedTuple, TypeAlias

Place: TypeAlias = tuple[str | int, ...]
"""Where something stands in a value: the keys and indices that lead to it."""

NESTING_MAX: Final = 64
"""How deep lists and objects may lie in each other."""

INTEGER_MAX: Final = 2**53 - 1
"""The largest whole number that every reader of JSON reads as the same (RFC 7493)."""

_INTEGER_DIGITS_MAX: Final = 400
_BRACKETS: Final = re.compile(r'"(?:[^"\\]|\\.)*+(?:"|\Z)|[\[\]{}]', re.DOTALL)
_STRING: Final = re.compile(r'"(?:[^"\\]|\\.)*+(?:"|\Z)', re.DOTALL)
_NO_BRACKETS: Final = re.compile(r"[^\[\]{}]+")
_INNERMOST: Final = re.compile(r"\[\]|\{\}")
_PERHAPS_ODD: Final = re.compile(r"NaN|Infinity|\\u[dD][89a-fA-F]|[0-9]{16}|[eE]\+?[0-9]{3}")
"""What a text has in it if a value in it is odd; looking at every value takes longer."""
_TOKENS: Final = re.compile(r'"(?:[^"\\]|\\.)*+"|[\[\]{},:]|[^\s\[\]{},:"]+', re.DOTALL)
_HALF: Final = re.compile("[\ud800-\udfff]")


CITED_MAX: Final = 60
"""How many characters of an offending text a sentence shows."""


def cited(text: str) -> str:
    """Return an offending text as a sentence shows it: in visible characters, on one line, and short."""
    head = text[: CITED_MAX + 1]
    visible = head if head.isprintable() else head.encode("unicode_escape").decode()
    return visible if len(text) <= CITED_MAX else f"{visible[: CITED_MAX - 1]}…"


class TextError(ValueError):
    """What is wrong with a text: its line (from 1), a sentence with the offending part, and what to do."""

    def __init__(self, line: int, message: str, hint: str) -> None:
        super().__init__(message)
        self.line = line
        self.message = message
        self.hint = hint


class ValueFault(NamedTuple):
    """A part of a value that can't be written as canonical JSON: where, a sentence, and what to do."""

    place: Place
    message: str
    hint: str


class Found(NamedTuple):
    """A key of an object or an element of a list in a text: its place, its offset, and whether the key is a repeat."""

    place: Place
    offset: int
    again: bool


def parse_json(text: str) -> Any:
    """Return the value of a JSON text. Raises `TextError` for everything that is not strict JSON of plain values."""
    value = parse_loose_json(text)
    if text.isascii() and not _PERHAPS_ODD.search(text):
        return value
    for fault in islice(value_faults(value), 1):
        raise TextError(line_at(json_places(text), text, fault.place), fault.message, fault.hint)
    return value


def parse_loose_json(text: str) -> Any:
    """Return the value of a JSON text as `parse_json`, leaving `value_faults` for the caller to look for."""
    _check_depth(text)
    repeats: list[str] = []

    def once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) != len(pairs):
            repeats.append("")
        return made

    try:
        value = json.loads(text, object_pairs_hook=once_each, parse_int=_integer)
    except json.JSONDecodeError as error:
        near = cited(text[error.pos : error.pos + 20].split("\n", maxsplit=1)[0])
        found = f"at `{near}`" if near else "at the end of the line" if error.pos < len(text) else "at its end"
        raise TextError(error.lineno, f"not JSON {found}: {_lower(error.msg)}", "mend the JSON") from error
    if repeats:
        for found_key in json_places(text):
            if found_key.again:
                line = text.count("\n", 0, found_key.offset) + 1
                raise TextError(line, f"the key `{cited(str(found_key.place[-1]))}` is given twice", "keep one of them")
    return value


def _integer(digits: str) -> int | float:
    # Longer numbers take a long time to convert, or raise; they are refused anyway.
    return int(digits) if len(digits) <= _INTEGER_DIGITS_MAX else math.inf


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]


def _check_depth(text: str) -> None:
    if text.count("[") + text.count("{") <= NESTING_MAX:
        return
    brackets = _NO_BRACKETS.sub("", _STRING.sub("", text))
    for _ in range(NESTING_MAX):
        brackets = _INNERMOST.sub("", brackets)
    if not brackets:
        return
    depth = 0
    for token in _BRACKETS.finditer(text):
        match token[0]:
            case "[" | "{":
                depth += 1
            case "]" | "}":
                depth -= 1
            case _:
                continue
        if depth > NESTING_MAX:
            raise TextError(text.count("\n", 0, token.start()) + 1, *_TOO_DEEP)


_TOO_DEEP: Final = (f"lists and objects lie more than {NESTING_MAX} deep in each other", "make it flatter")


def value_faults(value: object) -> Iterator[ValueFault]:
    """Yield every part of a value that is no plain JSON, in order: halves of characters, odd numbers, dates, depth."""
    stack: list[tuple[Place, object]] = [((), value)]
    while stack:
        place, part = stack.pop()
        match part:
            case dict():
                if len(place) >= NESTING_MAX:
                    yield ValueFault(place, *_TOO_DEEP)
                    continue
                for key in part:
                    if not isinstance(key, str) or _HALF.search(key):
                        yield ValueFault((*place, key), *_half(str(key)))
                stack += [((*place, key), member) for key, member in reversed(part.items())]
            case list():
                if len(place) >= NESTING_MAX:
                    yield ValueFault(place, *_TOO_DEEP)
                    continue
                stack += [((*place, number), element) for number, element in reversed(list(enumerate(part)))]
            case _:
                fault = _scalar_fault(part)
                if fault:
                    yield ValueFault(place, *fault)


def _scalar_fault(value: object) -> tuple[str, str] | None:
    match value:
        case None | bool():
            return None
        case str():
            return _half(value) if _HALF.search(value) else None
        case int() if abs(value) > INTEGER_MAX:
            shown = str(value) if abs(value) < 10**40 else "it"
            return f"`{shown}` is too large: programs would read it as another number", f"at most {INTEGER_MAX}"
        case float() if not math.isfinite(value):
            shown = "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
            return f"`{shown}` is no number that JSON can write, or stands for one too large", "write another number"
        case int() | float():
            return None
        case date() | time():
            return f"the date `{value}` is no text", "write it in quotes"
        case _:
            return f"a {type(value).__name__} is no JSON value", "write a text, a number, a list or an object"


def _half(text: str) -> tuple[str, str]:
    found = _HALF.search(text)
    shown = f"\\u{ord(found[0]):04x}" if found else cited(text)
    return f"half of a character: `{shown}`", "write the character whole"


# Where things stand -------------------------------------------------------------------------------------------------


def json_places(text: str) -> Iterator[Found]:
    """Yield every key and list element of a JSON text that `json` can read, in order."""
    # For each open list its index so far; for each open object the last key, whose value or successor comes next.
    path: list[str | int] = []
    keys: list[set[str] | None] = []
    awaits_key = False
    for token in _TOKENS.finditer(text):
        mark = token[0]
        if mark in "]}":
            path.pop()
            keys.pop()
            awaits_key = False
        elif mark == ",":
            if keys[-1] is None:
                path[-1] = int(path[-1]) + 1
            awaits_key = keys[-1] is not None
        elif awaits_key and (seen := keys[-1]) is not None:
            path[-1] = json.loads(mark)
            yield Found(tuple(path), token.start(), path[-1] in seen)
            seen.add(str(path[-1]))
            awaits_key = False
        elif mark != ":":
            if keys and keys[-1] is None:
                yield Found(tuple(path), token.start(), again=False)
            if mark in "[{":
                path.append(0 if mark == "[" else "")
                keys.append(None if mark == "[" else set())
                awaits_key = mark == "{"


class Lines:
    """Tells lines (from 1) of places in a text."""

    def __init__(self, places: Iterator[Found], text: str) -> None:
        self._offsets = {found.place: found.offset for found in places}
        self._text = text

    def at(self, place: Place) -> int:
        """Return the line of a place; of what holds it where the place itself is not in the text."""
        for length in range(len(place), 0, -1):
            if place[:length] in self._offsets:
                return self._text.count("\n", 0, self._offsets[place[:length]]) + 1
        start = len(self._text) - len(self._text.lstrip())
        return self._text.count("\n", 0, start) + 1


def line_at(places: Iterator[Found], text: str, place: Place) -> int:
    """Return the line of one place, as `Lines` does."""
    return Lines(places, text).at(place)
