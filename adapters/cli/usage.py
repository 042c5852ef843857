"""Mistakes on the command line, said as every other refusal is: a lower-case sentence, a hint, status 2."""

import re
from difflib import get_close_matches
from typing import Final

from cyclopts import CoercionError, CycloptsError, UnknownCommandError, UnusedCliTokensError

from ...domain.errors import DomainError
from ...projections.visible_text import visible
from .argument_text import TextError

_SENTENCE_END: Final = re.compile(r"(?<=[.?!]) (?=[A-Z])|(?<=\") (?=Did you mean)")


def usage_error(error: CycloptsError) -> DomainError:
    """Return the parser's complaint as a refusal: its first sentence, and the rest as the hint."""
    if isinstance(error, UnusedCliTokensError) and error.unused_tokens:
        return DomainError("invalid", f"unexpected argument `{visible(error.unused_tokens[0])}`", _see(error))
    if isinstance(error, CoercionError) and isinstance(error.__cause__, TextError):
        return _text_error(error, error.__cause__)
    if isinstance(error, UnknownCommandError):
        return _unknown_command(error)
    first, *rest = _SENTENCE_END.split(" ".join(visible(line) for line in str(error).splitlines()))
    hint = "; ".join(_lowered(sentence) for sentence in rest) or _see(error)
    return DomainError("invalid", _lowered(first), hint)


def _unknown_command(error: UnknownCommandError) -> DomainError:
    """The parser's own words list the first eight commands and end in a comma."""
    unknown = error.unused_tokens[0] if error.unused_tokens else ""
    names = [name for name in error.app or () if not name.startswith("-")]
    near = get_close_matches(unknown, names, n=1)
    known = f"did you mean `{near[0]}`? {_see(error)}" if near else f"the commands are {', '.join(names)}"
    return DomainError("invalid", f"unknown command `{visible(unknown)}`", known)


def _text_error(error: CoercionError, wrong: TextError) -> DomainError:
    argument = error.argument
    keywords = [token.keyword for token in argument.tokens if token.keyword] if argument else []
    name = keywords[0] if keywords else argument.name.lstrip("-").upper() if argument else "an argument"
    way_out = "give it a value" if argument and argument.required else "give it a value, or leave it out"
    hint = wrong.hint or f"{way_out}; a variable of the shell that is not set is empty"
    return DomainError("invalid", f"`{visible(name)}` {wrong.said}", hint)


def _see(error: CycloptsError) -> str:
    return f"see `{' '.join(('cowork', *(error.command_chain or ())))} --help`"


def _lowered(sentence: str) -> str:
    """Return the sentence in lower case at its beginning, without its period, values in backticks."""
    plain = re.sub(r'"([^"]*)"', r"`\1`", sentence).rstrip(".")
    return plain[:1].lower() + plain[1:]
