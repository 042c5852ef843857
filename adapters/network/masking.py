"""What must not get from a request or its answer into the log: keys, cookies, tokens."""

import re
from collections.abc import Iterable, Sequence
from typing import Final

_SECRET_NAME: Final = re.compile(r"auth|cookie|credential|key|passw|secret|session|signature|token", re.IGNORECASE)
# They name a scheme or a permission, and hold no secret.
_PLAIN: Final = frozenset(
    [
        "access-control-allow-credentials",
        "access-control-allow-headers",
        "access-control-expose-headers",
        "proxy-authenticate",
        "vary",
        "www-authenticate",
    ]
)
_SHORTEST: Final = 6
"""A shorter text may stand in an answer by chance."""


def is_secret_name(name: str) -> bool:
    """Whether a header of that name may hold a secret."""
    return name.lower() not in _PLAIN and _SECRET_NAME.search(name) is not None


def secrets_of(headers: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """Return the secret texts of a request's headers, whole and in their parts, the longest first."""
    found: set[str] = set()
    for name, value in headers:
        if is_secret_name(name):
            parts = re.split(r"[\s;,]+", value)
            found.update([value, *parts, *(part.partition("=")[2] for part in parts)])
    return tuple(sorted((text for text in found if len(text) >= _SHORTEST), key=lambda text: (-len(text), text)))


def masked(text: str, secrets: Sequence[str]) -> str:
    """Return a text without the secrets, should a server have sent them back."""
    for secret in secrets:
        text = text.replace(secret, "(not shown)")
    return text


def masked_headers(headers: Iterable[tuple[str, str]], secrets: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Return an answer's headers for the log: a secret one with its length only."""
    return tuple(
        (name, f"({len(value):,} characters, not shown)" if is_secret_name(name) else masked(value, secrets))
        for name, value in headers
    )
