"""Mistakes on the command line, said as every other refusal is: a lower-case sentence, a hint, status 2."""

import re
from typing import Final

from cyclopts import CycloptsError, UnusedCliTokensError

from ...domain.errors import DomainError
from ...projections.visible_text import visible

_SENTENCE_END: Final = re.compile(r"(?<=[.?!]) (?=[A-Z])")


def usage_error(error: CycloptsError) -> DomainError:
    """Return the parser's complaint as a refusal: its first sentence, and the rest as the hint."""
    if isinstance(error, UnusedCliTokensError) and error.unused_tokens:
        return DomainError("invalid", f"unexpected argument `{visible(error.unused_tokens[0])}`", _see(error))
    first, *rest = _SENTENCE_END.split(" ".join(visible(line) for line in str(error).splitlines()))
    hint = " ".join(_lowered(sentence) for sentence in rest) or _see(error)
    return DomainError("invalid", _lowered(first), hint)


def _see(error: CycloptsError) -> str:
    return f"see `{' '.join(('cowork', *(error.command_chain or ())))} --help`"


def _lowered(sentence: str) -> str:
    """Return the sentence in lower case at its beginning, without its period, values in backticks."""
    plain = re.sub(r'"([^"]*)"', r"`\1`", sentence).rstrip(".")
    return plain[:1].lower() + plain[1:]
