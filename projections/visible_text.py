r"""Text from files, agents and the network made safe to look at: everything that can hide or deceive is written out.

No two texts give the same rendering, not even one that only looks the same: what is shown unescaped is in Unicode's
composed form (NFC), and every backslash of the text itself is doubled. Escapes are

* `\t`, `\n`, `\r`, and `\x1b` for the other ASCII control characters;
* `\xe9` (128 and above) for a byte of a file name that is not UTF-8 (`domain/path.py`);
* `\u202e` and `\U000e0041` for every other character that can't be seen, reorders its neighbours, is private or
  unassigned, is a space other than the ordinary one, varies or piles onto the character before it, or passes for
  a slash, a backslash or a colon;
* `\x20` for each space of a run, and for one at either end.

Sources: Unicode 15 categories, its `Default_Ignorable_Code_Point` property, and UTS #39 on what is confusable.
"""

import re
import unicodedata
from functools import lru_cache
from typing import Final

from ..domain.path import FOREIGN_BYTE

MARKS_MAX: Final = 2
"""How many combining marks one letter may carry before the rest are written out."""

SPACES_IN_A_LINE_MAX: Final = 39
"""How long a run of spaces inside a line of a file may be before it is counted out: `\\x20{40}`."""

_SHORT: Final = {"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"}
_HIDING_CATEGORIES: Final = frozenset(["Cc", "Cf", "Cs", "Co", "Cn", "Zs", "Zl", "Zp"])

# Letters, marks and symbols by their category that are blank or change another character: the rest of Unicode's
# default-ignorable code points, and the blank pattern of Braille.
_BLANK: Final = frozenset(
    map(
        chr,
        (
            0x034F,
            0x115F,
            0x1160,
            0x17B4,
            0x17B5,
            *range(0x180B, 0x1810),
            0x2800,
            0x3164,
            *range(0xFE00, 0xFE10),
            0xFFA0,
            *range(0xE0100, 0xE01F0),
        ),
    )
)
_LOOKALIKES: Final = frozenset(
    "\u2044\u2215\u29f8\u2571\uff0f\u2216\u29f5\u29f9\uff3c\u2236\ua789\uff1a\ufe55\u02d0\u2024"
)
"""Characters that pass for `/`, `\\`, `:` or `.` in a path or an address."""

_PLAIN: Final = re.compile(r"[!-\[\]-~]+(?: [!-\[\]-~]+)*\Z").match
_RUN: Final = re.compile(r"^ +| +\Z|  +")
_LINE_RUN: Final = re.compile(rf" +\Z| {{{SPACES_IN_A_LINE_MAX + 1},}}")


def visible(text: str) -> str:
    """Return the text on one line, with everything that hides or deceives written out; see this file's head."""
    if not text or _PLAIN(text):
        return text
    return _RUN.sub(lambda run: "\\x20" * len(run[0]), _escaped(text))


def visible_line(text: str) -> str:
    """Return one line of a file or of an agent's words: as `visible`, but indentation and columns keep their spaces.

    Spaces at the end are written out, and a long run as its number, so that it can't push text out of sight.
    """
    if _PLAIN(text):
        return text
    return _LINE_RUN.sub(_counted_out, _escaped(text))


def visible_lines(text: str) -> tuple[str, ...]:
    """Return the lines of a text (only a line feed ends one), each as `visible_line` shows it."""
    return tuple(map(visible_line, text.split("\n")))


def quoted(text: str) -> str:
    """Return the text in double quotes, a quote inside it escaped: where it begins and ends can be seen."""
    return '"' + visible(text).replace('"', '\\"') + '"'


def has_escapes(text: str) -> bool:
    """Whether something in the text hides or deceives (a backslash or an ordinary space does not)."""
    bare = text.replace("\\", "")
    return _escaped(bare) != bare


def _counted_out(run: re.Match[str]) -> str:
    length = len(run[0])
    return "\\x20" * length if length <= SPACES_IN_A_LINE_MAX else f"\\x20{{{length}}}"


def _escaped(text: str) -> str:
    if text.isascii():
        return "".join(map(_of_character, text)) if "\\" in text or not text.isprintable() else text
    composed = unicodedata.is_normalized("NFC", text)
    shown: list[str] = []
    marks = MARKS_MAX
    for character in text:
        written = _of_character(character)
        if len(written) > 1 or written in " /":
            # Nothing that follows may attach itself to an escape, a space or a slash.
            marks = MARKS_MAX
        elif unicodedata.category(character)[0] == "M":
            marks += 1
            if marks > MARKS_MAX or not composed:
                written, marks = _by_number(character), MARKS_MAX
        elif not composed and (_is_jamo(character) or not unicodedata.is_normalized("NFC", character)):
            written, marks = _by_number(character), MARKS_MAX
        else:
            marks = 0
        shown.append(written)
    return "".join(shown)


@lru_cache(maxsize=8192)
def _of_character(character: str) -> str:
    """Return the character, or its escape where it always needs one."""
    if character in _SHORT:
        return _SHORT[character]
    if " " <= character <= "~":
        return character
    code = ord(character)
    if FOREIGN_BYTE + 0x80 <= code <= FOREIGN_BYTE + 0xFF:
        return f"\\x{code - FOREIGN_BYTE:02x}"
    hides = unicodedata.category(character) in _HIDING_CATEGORIES
    return _by_number(character) if hides or character in _BLANK or character in _LOOKALIKES else character


def _by_number(character: str) -> str:
    code = ord(character)
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def _is_jamo(character: str) -> bool:
    return "\u1100" <= character <= "\u11ff" or "\ua960" <= character <= "\ua97f" or "\ud7b0" <= character <= "\ud7ff"
