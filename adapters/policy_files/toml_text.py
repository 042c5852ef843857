"""TOML text read strictly, and where things stand in it: `tomllib` tells values, and lines of syntax errors only."""

import re
import tomllib
from collections.abc import Iterator
from typing import Any, Final

from ...domain.json_text import NESTING_MAX, Found, Place, TextError, cited

# A possessive `*+` stands behind single characters only: behind a choice it matches wrongly before Python 3.11.5.
_TOKENS: Final = re.compile(
    r'"""[^"\\]*+(?:(?:\\.|"(?!""))[^"\\]*+)*(?:"{3,5}|\Z)'
    r"|'''[^']*+(?:'(?!'')[^']*+)*(?:'{3,5}|\Z)"
    r'|"[^"\\\n]*+(?:\\.[^"\\\n]*+)*"?'
    r"|'[^'\n]*+'?"
    r"|#[^\n]*+"
    r"|\n|[\[\]{},=.]"
    r"|[^\s\[\]{},=.\"'#]+",
    re.DOTALL,
)
_SYNTAX: Final = re.compile(r"(.*) \(at (?:line (\d+), column \d+|(end of document))\)", re.DOTALL)
_NUMBER_LENGTH_MAX: Final = 400
_END: Final = ("\n", -1)


def parse_toml(text: str) -> dict[str, Any]:
    """Return the value of a TOML text. Raises `TextError` for a syntax error, a key given twice, and deep nesting."""
    _check_depth(text)
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = _SYNTAX.fullmatch(str(error))
        message = found[1] if found else str(error)
        line = int(found[2]) if found and found[2] else text.rstrip().count("\n") + 1
        near = cited(text.split("\n")[line - 1].strip())
        message = f"{message[:1].lower()}{message[1:]}".encode("unicode_escape").decode()
        raise TextError(line, f"not TOML at `{near}`: {message[:120]}", "mend the TOML") from error
    except (ValueError, OverflowError) as error:
        # What is no syntax error for `tomllib` comes without a line.
        raise TextError(1, f"not TOML: {str(error)[:1].lower()}{str(error)[1:]}", "mend the TOML") from error


def _check_depth(text: str) -> None:
    """Refuse deep nesting before `tomllib` meets it, which it would not survive, or not in reasonable time."""
    depth = dots = 0
    for token in _TOKENS.finditer(text):
        match token[0]:
            case "[" | "{":
                depth += 1
                dots = 0
            case "]" | "}":
                depth -= 1
            case ".":
                dots += 1
            case "\n" | "=" | ",":
                dots = 0
            case text_of if len(text_of) > _NUMBER_LENGTH_MAX and text_of[0] in "+-0123456789":
                line = text.count("\n", 0, token.start()) + 1
                raise TextError(line, f"the number `{text_of[:20]}…` is too long", "write it shorter, or in quotes")
            case _:
                continue
        if depth > NESTING_MAX or dots > NESTING_MAX:
            line = text.count("\n", 0, token.start()) + 1
            raise TextError(line, f"lists and tables lie more than {NESTING_MAX} deep in each other", "make it flatter")


def toml_places(text: str) -> Iterator[Found]:
    """Yield every key, table and list element of a TOML text that `parse_toml` can read, in order."""
    yield from _Places(text).found


class _Places:
    def __init__(self, text: str) -> None:
        self._tokens = [(t[0], t.start()) for t in _TOKENS.finditer(text) if not t[0].startswith("#")]
        self._at = 0
        self._elements: dict[Place, int] = {}
        self._noted: set[Place] = set()
        self.found: list[Found] = []
        table: Place = ()
        while self._at < len(self._tokens):
            mark, offset = self._tokens[self._at]
            if mark == "\n":
                self._at += 1
            elif mark == "[":
                table = self._header(offset)
            else:
                self._pair(table)

    def _peek(self) -> tuple[str, int]:
        return self._tokens[self._at] if self._at < len(self._tokens) else _END

    def _next(self) -> tuple[str, int]:
        token = self._peek()
        self._at += 1
        return token

    def _note(self, place: Place, offset: int) -> None:
        if place not in self._noted:
            self._noted.add(place)
            self.found.append(Found(place, offset, again=False))

    def _header(self, offset: int) -> Place:
        """Read `[a.b]` or `[[a.b]]` and return the place of the table that it opens."""
        self._next()
        is_element = self._peek() == ("[", offset + 1)
        if is_element:
            self._next()
        keys, _ = self._key()
        while self._peek()[0] == "]":
            self._next()
        place: Place = ()
        for number, key in enumerate(keys):
            place = (*place, key)
            self._note(place, offset)
            if is_element and number == len(keys) - 1:
                self._elements[place] = self._elements.get(place, -1) + 1
            if place in self._elements:
                place = (*place, self._elements[place])
                self._note(place, offset)
        return place

    def _pair(self, table: Place) -> None:
        """Read `key = value`."""
        keys, offset = self._key()
        for length in range(1, len(keys) + 1):
            self._note((*table, *keys[:length]), offset)
        if self._peek()[0] == "=":
            self._next()
        self._value((*table, *keys))

    def _key(self) -> tuple[tuple[str, ...], int]:
        """Read the parts of a key up to `=` or `]`, and return them with the offset of the first."""
        parts: list[str] = []
        offset = self._peek()[1]
        while self._peek()[0] not in ("=", "]", "\n"):
            mark, _ = self._next()
            if mark != ".":
                parts.append(tomllib.loads(f"x = {mark}")["x"] if mark[0] in "\"'" else mark)
        return tuple(parts), offset

    def _value(self, place: Place) -> None:
        match self._peek()[0]:
            case "[":
                self._next()
                self._members_of_list(place)
            case "{":
                self._next()
                while (token := self._peek())[0] not in ("}",) and token != _END:
                    if token[0] in (",", "\n"):
                        self._next()
                    else:
                        self._pair(place)
                self._next()
            case _:
                while self._peek()[0] not in (",", "]", "}", "\n"):
                    self._next()

    def _members_of_list(self, place: Place) -> None:
        number = 0
        while (token := self._peek())[0] != "]" and token != _END:
            if token[0] in (",", "\n"):
                number += token[0] == ","
                self._next()
            else:
                self._note((*place, number), token[1])
                self._value((*place, number))
        self._next()
