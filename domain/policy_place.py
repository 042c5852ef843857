"""Paths as policy compares them: one path may have several spellings, and an answer counts where all of them agree.

A path is compared as it is written, in Unicode's NFC form, with `/` for its backslashes, and by what it really is
behind symbolic links. On a volume that takes upper and lower case for the same, only the folded form counts.
"""

import unicodedata
from collections.abc import Sequence
from typing import Final, Literal, TypeAlias

from .policy_glob import slashed

Form: TypeAlias = Literal["written", "nfc", "folded"]
Spelling: TypeAlias = tuple[Form, str]
FORMS: Final[tuple[Form, ...]] = ("written", "nfc", "folded")


def in_form(text: str, form: Form) -> str:
    """Return a path, root or pattern in the form in which it is compared."""
    match form:
        case "written":
            return text
        case "nfc":
            return unicodedata.normalize("NFC", text)
        case "folded":
            return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())


def tidy(path: str) -> str:
    """Return the path without doubled slashes, `.` and a slash at its end; `/` stays."""
    if "//" not in path and "/." not in path and not path.endswith("/"):
        return path
    return "/" + "/".join(part for part in path.split("/") if part not in ("", "."))


def is_absolute(path: str) -> bool:
    """Whether the path begins at `/` and has neither NUL nor a `..` between slashes of either kind."""
    if not path.startswith("/") or "\x00" in path:
        return False
    return ".." not in path or ".." not in slashed(path).split("/")


def is_under(path: str, root: str) -> bool:
    """Whether a tidy path is the tidy root or lies in it."""
    return root in (path, "/") or path.startswith(f"{root}/")


def spellings(path: str, folded: bool) -> tuple[Spelling, ...]:
    """Return every spelling under which a path is compared."""
    if folded:
        return (("folded", in_form(tidy(slashed(path)), "folded")),)
    plain = tidy(path)
    if "\\" not in plain and plain.isascii():
        return (("written", plain),)
    texts = [plain, tidy(slashed(plain))] if "\\" in plain else [plain]
    forms: tuple[Form, ...] = ("written",) if plain.isascii() else ("written", "nfc")
    return tuple([(form, in_form(text, form)) for form in forms for text in texts])


def agreed(answers: Sequence[bool]) -> bool | None:
    """Return what all answers say, None where they differ."""
    first = answers[0]
    return first if len(answers) == 1 or all(answer is first for answer in answers) else None
