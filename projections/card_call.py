"""The part of a card that says exactly what will be run, sent or called outside the granted folders."""

import re
from typing import Final
from urllib.parse import SplitResult, urlsplit

import msgspec

from ..domain.action import (
    CodeRun,
    CommandAction,
    ConnectorAction,
    ConnectorRead,
    Content,
    NetworkRequest,
    ShellExec,
    SubagentSpawn,
)
from .card_layout import block, field
from .card_places import CardPlaces, name_shown
from .measure import count_words, size_words
from .visible_text import quoted, visible, visible_lines

SHELLS: Final = frozenset(["sh", "bash", "dash", "zsh", "ksh", "fish", "busybox", "ash", "csh", "tcsh"])
_SECRET: Final = re.compile(r"auth|cookie|credential|key|passw|secret|session|token", re.IGNORECASE)


def command_lines(action: ShellExec, places: CardPlaces) -> list[str]:
    """Return a command: one argument a line, each in quotes, then everything that it is given."""
    lines = block("run", [quoted(argument) for argument in action.argv])
    if _is_shell_script(action.argv):
        lines.append(field("", "a shell will read one of these as a program: it cannot be inspected"))
    return [*lines, *_surroundings(action, places)]


def code_lines(action: CodeRun, places: CardPlaces) -> list[str]:
    """Return Python source line by line, then everything that it is given."""
    source = visible_lines(action.python)
    lines = [field("run", f"Python, {count_words(len(source), 'line')}: it cannot be inspected")]
    lines += (f"  | {line}" for line in source)
    lines += block("arguments", [quoted(argument) for argument in action.args])
    return [*lines, *_surroundings(action, places)]


def _is_shell_script(argv: tuple[str, ...]) -> bool:
    return any(argument.rpartition("/")[2] in SHELLS for argument in argv) and any(
        re.fullmatch(r"-[a-z]*c[a-z]*", argument) is not None for argument in argv
    )


def _surroundings(action: CommandAction, places: CardPlaces) -> list[str]:
    hosts = ", ".join(map(name_shown, action.network)) or "none"
    limit = "the engine's own" if action.timeout_s is None else f"{action.timeout_s:,} s"
    writes = "none" if action.writes == "none" else "staged: shown before they are kept"
    return [
        field("in", places.shown(action.cwd)),
        field("in full", places.resolved(action.cwd) or "no granted folder covers it"),
        *block("environment", [f"{name_shown(name)}={_value(name, value)}" for name, value in action.env]),
        *_body("input", action.stdin),
        field("network", hosts),
        field("writes", writes),
        field("time limit", limit),
    ]


def _value(name: str, value: str) -> str:
    """Return a value in quotes; one whose name says that it is secret by its length only."""
    return f"({count_words(len(value), 'character')}, not shown)" if _SECRET.search(name) else quoted(value)


def _body(label: str, content: Content | None) -> list[str]:
    return [] if content is None else [field(label, f"{size_words(content.size)}, {content.digest}")]


def request_lines(action: NetworkRequest) -> list[str]:
    """Return an HTTP request: method, whole URL, its host in both spellings, and what leaves the machine."""
    headers = [f"{name_shown(name)}: {_value(name, value)}" for name, value in action.headers]
    return [
        field("method", name_shown(action.method)),
        field("URL", name_shown(action.url)),
        *_host(action.url),
        *block("headers", headers),
        *(_body("sends", action.body) or [field("sends", "no body")]),
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
        *_json("arguments", action.arguments),
    ]


def subagent_lines(action: SubagentSpawn) -> list[str]:
    """Return a subagent: what it is called by the agent, what it may do and what it is told to do."""
    return [
        field("called", quoted(action.title)),
        *_json("may use", action.scope),
        *_json("steps", action.steps),
    ]


def _json(label: str, text: str) -> list[str]:
    """Return JSON text indented; it is laid out anew, never read, so that a repeated key stays to be seen."""
    try:
        laid_out = msgspec.json.format(text, indent=2)
    except msgspec.DecodeError:
        laid_out = text
    lines = visible_lines(laid_out)
    if len(lines) == 1:
        return [field(label, lines[0])]
    return [field(label, ""), *(f"  | {line}" for line in lines)]
