"""The part of a card that says exactly what will be sent or called outside the granted folders."""

import re
from typing import Final
from urllib.parse import SplitResult, urlsplit

import msgspec

from ..domain.action import (
    ConnectorAction,
    ConnectorRead,
    Content,
    NetworkRequest,
)
from ..domain.http_method import IDEMPOTENCY_KEY, wants_key
from .card_layout import block, field
from .card_places import name_shown
from .measure import count_words, size_words
from .visible_text import quoted, visible, visible_lines

_SECRET: Final = re.compile(r"auth|cookie|credential|key|passw|secret|session|token", re.IGNORECASE)


def value_shown(name: str, value: str) -> str:
    """Return a value in quotes; one whose name says that it is secret by its length only."""
    return f"({count_words(len(value), 'character')}, not shown)" if _SECRET.search(name) else quoted(value)


def body_lines(label: str, content: Content | None) -> list[str]:
    """Return the size and digest of what is sent; nothing where nothing is."""
    return [] if content is None else [field(label, f"{size_words(content.size)}, {content.digest}")]


def request_lines(action: NetworkRequest) -> list[str]:
    """Return an HTTP request: method, whole URL, its host in both spellings, and what leaves the machine."""
    headers = [f"{name_shown(name)}: {value_shown(name, value)}" for name, value in action.headers]
    if wants_key(action):
        headers.append(f"{IDEMPOTENCY_KEY}: one for this action, the same for each attempt")
    return [
        field("method", name_shown(action.method)),
        field("URL", name_shown(action.url)),
        *_host(action.url),
        *block("headers", headers),
        *(body_lines("sends", action.body) or [field("sends", "no body")]),
    ]


def _host(url: str) -> list[str]:
    try:
        parts: SplitResult = urlsplit(url)
        host = parts.hostname or ""
        spelt = host.encode("idna").decode() if not host.isascii() else host.encode().decode("idna")
    except UnicodeError:
        return [field("host", "cannot be inspected: not a host name that the network knows")]
    except ValueError:
        return [field("host", "cannot be inspected: not a URL")]
    if not host:
        return [field("host", "cannot be inspected: the URL names none")]
    both = [name_shown(host)] if spelt == host else [name_shown(host), f"also written {name_shown(spelt)}"]
    user = [] if parts.username is None else ["a user name stands before it"]
    return block("host", [*both, *user])


def connector_lines(action: ConnectorRead | ConnectorAction) -> list[str]:
    """Return a call of a connector's tool with its arguments."""
    effect = "reads" if isinstance(action, ConnectorRead) else "changes something"
    return [
        field("connector", visible(action.connector)),
        field("tool", f"{name_shown(action.tool)} ({effect})"),
        *json_lines("arguments", action.arguments),
    ]


def json_lines(label: str, text: str) -> list[str]:
    """Return JSON text indented; it is laid out anew, never read, so that a repeated key stays to be seen."""
    try:
        laid_out = msgspec.json.format(text, indent=2)
    except (msgspec.DecodeError, RecursionError):
        laid_out = text
    lines = visible_lines(laid_out)
    if len(lines) == 1:
        return [field(label, lines[0])]
    return [field(label, ""), *(f"  | {line}" for line in lines)]
