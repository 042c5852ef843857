"""Secrets are masked in what a command prints, before anything of it is kept or shown.

Masked are the values that the engine itself was given under names such as `API_TOKEN`, and texts that are tokens by
their shape. This catches accidents. Whoever wants to get a secret past it can print it backwards; that a command
can't read the secrets of others to begin with is what the sandbox is for.

The result does not depend on the pieces in which the output comes: nothing is decided about a byte before as many bytes
behind it are known as any pattern looks at.
"""

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Final, Protocol, cast

import msgspec
import re2

MASK: Final = b"[masked]"

_SECRET_NAME: Final = re.compile(
    r"(?:^|_)(?:(?:API|ACCESS|SECRET|PRIVATE|ENCRYPTION|SIGNING|AUTH|ACCOUNT|MASTER)_?KEY|KEY|PAT|TOKEN|SECRETS?"
    r"|PASSWORD|PASSWD|PASS|PASSPHRASE|PWD|CREDENTIALS?|DSN|COOKIE|JWT)(?:_|[0-9]|$)",
    re.IGNORECASE,
)
_VALUE_BYTES_MIN: Final = 8
_VALUE_BYTES_MAX: Final = 512
_ORDINARY: Final = re.compile(rb"[0-9]{1,12}|[a-z]{1,10}|(?:/[\w.@+-]+)+/?|true|false|none|null", re.IGNORECASE)
"""Values that are words, short numbers or paths: masking them would hide more than it protects."""


class _Shape(msgspec.Struct, frozen=True):
    """How a token begins: `pattern` looks at no more than 600 bytes; its group is masked, or else all that it matches.

    What follows is masked as well for as long as it is made of the bytes `tail`.
    """

    name: str
    pattern: str
    tail: bytes = b""


_WORD: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_"
_SHAPES: Final = (
    _Shape("aws_key", r"\b(?:AKIA|ASIA|ABIA|ACCA|AROA|AIDA)[A-Z0-9]{16}\b"),
    _Shape(
        "aws_secret",
        r"(?i:secret_?access_?key|aws_?session_?token)[\"']?[ \t]{0,8}[=:][ \t]{0,8}[\"']?([A-Za-z0-9/+=]{40})",
        _WORD + b"/+=",
    ),
    _Shape("github", r"\bgh[pousr]_[A-Za-z0-9]{30}", _WORD),
    _Shape("github_fine", r"\bgithub_pat_[A-Za-z0-9_]{22}", _WORD),
    _Shape("gitlab", r"\bgl(?:pat|ptt|dt|rt|cbt)-[A-Za-z0-9_-]{20}", _WORD + b"-"),
    _Shape("slack", r"\b(?:xox[abeoprs]|xapp)-[A-Za-z0-9-]{10}", _WORD + b"-"),
    _Shape("slack_hook", r"hooks\.slack\.com/services/(T[A-Za-z0-9_]{6})", _WORD + b"/"),
    _Shape("model_key", r"\bsk-[A-Za-z0-9_-]{20}", _WORD + b"-"),
    _Shape("payment_key", r"\b[rs]k_(?:live|test)_[A-Za-z0-9]{16}", _WORD),
    _Shape("google", r"\bAIza[A-Za-z0-9_-]{35}", _WORD + b"-"),
    _Shape("npm", r"\bnpm_[A-Za-z0-9]{36}", _WORD),
    _Shape("pypi", r"\bpypi-AgEI[A-Za-z0-9_-]{20}", _WORD + b"-"),
    _Shape("jwt", r"\beyJ[A-Za-z0-9_-]{8,400}\.[A-Za-z0-9_-]{8}", _WORD + b"-."),
    _Shape("bearer", r"(?i:\b(?:bearer|basic))[ \t]{1,4}([A-Za-z0-9._~+/=-]{16})", _WORD + b".~+/=-"),
    _Shape("url", r"://[^\s/:@\"'<>]{0,200}:([^\s/@\"'<>]{1,300})@"),
    _Shape("key_block", r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"),
)
_KEY_BLOCK: Final = len(_SHAPES)
_KEY_BLOCK_END: Final = b"-----END "
_KEY_BLOCK_LAST_LINE: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 -"
_KEY_BLOCK_BYTES_MAX: Final = 32 * 1024
_REACH: Final = 640
"""No pattern looks at more bytes than this, from where it begins."""


def secret_values(environment: Mapping[str, str]) -> tuple[bytes, ...]:
    """Return the values of an environment that are secrets by their names, and long enough to be told from words."""
    values: set[bytes] = set()
    for name, value in environment.items():
        if _SECRET_NAME.search(name) is None:
            continue
        for line in value.encode("utf-8", "surrogateescape").splitlines():
            text = line.strip()
            if len(text) >= _VALUE_BYTES_MIN and _ORDINARY.fullmatch(text) is None:
                # Of a longer value the beginning is enough to find it, and its rest is found by pieces.
                values.update(_pieces(text))
    return tuple(sorted(values, key=lambda value: (-len(value), value)))


def _pieces(text: bytes) -> Iterable[bytes]:
    for start in range(0, len(text), _VALUE_BYTES_MAX):
        piece = text[start : start + _VALUE_BYTES_MAX]
        if len(piece) >= _VALUE_BYTES_MIN:
            yield piece


class Redactor:
    """Masks one stream of bytes. Memory is bounded by a piece and what the patterns reach."""

    def __init__(self, values: Iterable[bytes] = ()) -> None:
        self._pattern = _compiled(tuple(values))
        self._text = b""
        self._at = 0
        """Up to where `_text` has been given out; a byte before it is kept, so that it can be the end of a word."""
        self._tail = b""
        self._key_block = 0

    def feed(self, piece: bytes) -> bytes:
        """Return what is decided of the stream so far, masked."""
        self._text += piece
        return self._advance(ends=False)

    def finish(self) -> bytes:
        """Return the rest: nothing more comes."""
        rest = self._advance(ends=True)
        self._text, self._at = b"", 0
        return rest

    def drop(self) -> int:
        """Forget what is not decided; return how many bytes it was."""
        dropped = len(self._text) - self._at
        self._text, self._at = b"", 0
        return dropped

    def _advance(self, *, ends: bool) -> bytes:
        given: list[bytes] = []
        while self._at < len(self._text):
            if self._key_block:
                if not self._skip_key_block(ends=ends):
                    break
            elif self._tail:
                self._skip_tail()
            elif not self._scan(given, ends=ends):
                break
        keep = max(0, self._at - 1)
        self._text, self._at = self._text[keep:], self._at - keep
        return b"".join(given)

    def _scan(self, given: list[bytes], *, ends: bool) -> bool:
        """Give out what comes before the next secret, and a mask for it; return whether there was one."""
        decided = len(self._text) if ends else max(self._at, len(self._text) - _REACH)
        found = self._pattern.search(self._text, self._at)
        if found is None or found.start() >= decided:
            given.append(self._text[self._at : decided])
            self._at = decided
            return False
        group = found.lastindex or 0
        given += (self._text[self._at : found.start(group)], MASK)
        self._at = found.end(group)
        if group == _KEY_BLOCK:
            self._key_block = _KEY_BLOCK_BYTES_MAX
        elif group <= len(_SHAPES):
            self._tail = _SHAPES[group - 1].tail
        return True

    def _skip_tail(self) -> None:
        rest = self._text[self._at :].lstrip(self._tail)
        self._at = len(self._text) - len(rest)
        if rest:
            self._tail = b""

    def _skip_key_block(self, *, ends: bool) -> bool:
        """Skip the block up to its last line, or its bound; return whether that was reached."""
        last = self._text.find(_KEY_BLOCK_END, self._at, self._at + self._key_block)
        known = len(self._text) - self._at
        if last >= 0:
            self._at = last + len(_KEY_BLOCK_END)
            self._key_block, self._tail = 0, _KEY_BLOCK_LAST_LINE
        elif known >= self._key_block:
            self._at += self._key_block
            self._key_block = 0
        else:
            # The last bytes may be the beginning of the last line.
            skipped = known if ends else max(0, known - len(_KEY_BLOCK_END) + 1)
            self._at += skipped
            self._key_block -= skipped
            return ends
        return True


class _Match(Protocol):
    lastindex: int | None

    def start(self, group: int = 0) -> int: ...

    def end(self, group: int = 0) -> int: ...


class _Pattern(Protocol):
    def search(self, text: bytes, pos: int) -> _Match | None: ...


@lru_cache(maxsize=8)
def _compiled(values: tuple[bytes, ...]) -> _Pattern:
    """Return one pattern for everything; of its groups, one per shape and one for all values, exactly one matches."""
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.log_errors = False
    options.max_mem = 64 * 1024 * 1024
    shapes = [shape.pattern if _has_group(shape.pattern) else f"({shape.pattern})" for shape in _SHAPES]
    literal = b"|".join(re2.escape(value) for value in values)
    pattern = "|".join(shapes).encode() + (b"|(" + literal + b")" if literal else b"")
    return cast("_Pattern", re2.compile(pattern, options))


def _has_group(pattern: str) -> bool:
    return re.search(r"(?<!\\)\((?!\?)", pattern) is not None
