"""Reading the texts of arguments, the same for every command: nothing is never taken for something, nor rounded."""

import re
from collections.abc import Sequence
from typing import Any, Final, get_args

from cyclopts import Parameter, Token, convert
from cyclopts.utils import UNSET

from ...projections.visible_text import visible

_WHOLE: Final = re.compile(r"[+-]?0*([0-9]+)")
_NUMBER_MAX: Final = 2**63 - 1


class TextError(ValueError):
    """A text that an argument can't be; the parser knows the argument's name.

    Attributes:
        said: What follows the name in the sentence.
        hint: What to do, empty where that is for the parser to say.
    """

    def __init__(self, said: str, hint: str = "") -> None:
        super().__init__(said)
        self.said = said
        self.hint = hint


def _value(expected: Any, tokens: Sequence[Token]) -> Any:
    """Return what the texts of one argument mean. Raises `TextError`, or what the parser raises."""
    given = [token for token in tokens if token.value or token.implicit_value is not UNSET]
    if len(given) < len(tokens):
        # An empty variable of the environment is the same as none; options that have one are None without it.
        if all(token.source == "env" for token in tokens):
            return None
        # An unset variable of the shell is no wish for everything, nor for the current folder.
        raise TextError("is empty")
    if int in (expected, *get_args(expected)):
        return _whole_number(tokens[0].value)
    return convert(expected, tokens)


def _whole_number(text: str) -> int:
    """Return a number written in digits: the parser itself would round `1.5`, and read `0x10` and other scripts."""
    match = _WHOLE.fullmatch(text)
    if match is None:
        raise TextError(f"is a whole number, not `{visible(text)}`", "write it in digits, as in `12`")
    # Python converts no text of thousands of digits.
    if len(match[1]) > len(str(_NUMBER_MAX)) or abs(int(text)) > _NUMBER_MAX:
        raise TextError(f"can't be `{visible(text)}`", f"numbers go up to {_NUMBER_MAX}")
    return int(text)


READ_ALIKE: Final = Parameter(converter=_value)
"""What every parameter of every command begins with."""

ALSO_EMPTY: Final = convert
"""How the words of a command are read: one of them may be empty."""
