"""Rules, limits and requests of policy in words: what a person reads instead of a document's keys.

Everything that a document or a request brings is shown as visible text.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from ..domain.policy_document import CommandPattern, Conditions, Limit, PolicyDocument, Rule, TimeWindow, Verdict
from ..domain.policy_request import FrameScope, Item, Request
from .visible_text import visible

VERDICT_WORDS: Final[Mapping[Verdict, str]] = {
    "allow": "allowed",
    "allow_with_confirm": "asked about",
    "deny": "denied",
}
"""A verdict as it is said of an action."""

_DOES: Final[Mapping[Verdict, str]] = {
    "allow": "allows",
    "allow_with_confirm": "asks a person before",
    "deny": "denies",
}
_WOULD: Final[Mapping[Verdict, str]] = {
    "allow": "would allow",
    "allow_with_confirm": "would ask a person before",
    "deny": "would deny",
}
_ALL_DAYS: Final = 7


# Rules --------------------------------------------------------------------------------------------------------------


def rule_in_words(rule: Rule) -> str:
    """Return what a rule does as one sentence without a full stop: `denies file.read where …, unless …`."""
    verbs = _WOULD if rule.mode == "audit" else _DOES
    verb = verbs[rule.decision]
    if rule.decision == "allow_with_confirm" and not rule.remember:
        verb = verb.replace("before", "every time before")
    parts = [f"{verb} {_actions(rule.actions)}"]
    asked = conditions_in_words(rule.when)
    parts += [f" where {asked}"] if asked else []
    parts += [f", unless {conditions_in_words(exception)}" for exception in rule.unless]
    if rule.mode == "audit":
        parts.append(" (tried out only: it never decides)")
    if rule.reason:
        parts.append(f": {visible(rule.reason)}")
    return "".join(parts)


def _actions(actions: tuple[str, ...]) -> str:
    return _listed([_FAMILIES.get(action, action) for action in actions])


_FAMILIES: Final = {
    "*": "every action",
    "file.*": "every action on a file",
    "connector.*": "every use of a connector",
}


def limit_in_words(limit: Limit) -> str:
    """Return what a limit does as one sentence without a full stop."""
    unit = f" {visible(limit.unit)} in" if limit.unit else ""
    verb = "denies" if limit.on_exceed == "deny" else "asks a person about"
    because = f": {visible(limit.reason)}" if limit.reason else ""
    return f"{verb} what is more than {limit.max:g}{unit} {_actions(limit.actions)} in a task{because}"


def fallback_in_words(document: PolicyDocument) -> str:
    """Return what a document says of what no rule is about."""
    match document.defaults.fallback:
        case "deny":
            return "what no rule allows is denied"
        case "allow_with_confirm":
            return "what no rule is about is asked about"
        case "allow":
            return "what no rule is about is left to the other layers"


def conditions_in_words(conditions: Conditions) -> str:
    """Return the conditions joined by `and`; nothing for none."""
    values = msgspec.structs.asdict(conditions)
    said = [_FLAGS[key][0 if value else 1] for key, value in values.items() if key in _FLAGS and value is not None]
    said += [_WORDS[key](value) for key, value in values.items() if key in _WORDS and value is not None]
    return " and ".join(said)


_FLAGS: Final[Mapping[str, tuple[str, str]]] = {
    "path_within_grant": ("the path lies in a granted folder", "the path lies in no granted folder"),
    "path_within_output_root": ("the path lies in an output folder", "the path lies in no output folder"),
    "host_in_allowlist": ("the host is on the session's list", "the host is not on the session's list"),
    "connector_scope_allowed": ("the connector has the scopes for it", "the connector lacks a scope for it"),
    "hidden": ("a name in the path begins with a dot", "no name in the path begins with a dot"),
    "sensitive": ("the path is one of credentials or keys", "the path is none of credentials or keys"),
    "executed": ("other programs run or obey the file", "no other program runs or obeys the file"),
    "cross_root": ("it leaves its granted folder for another", "it stays in its granted folder"),
    "hard_link": ("the file has other names", "the file has no other name"),
    "target_exists": ("something is there already", "nothing is there yet"),
    "tainted": ("it follows from what an outsider wrote", "it follows from nothing that an outsider wrote"),
}
"""What a condition says where it is true, and where it is false."""


def _any_of(what: str, texts: Iterable[str]) -> str:
    return f"{what} {_listed(texts, 'or', quote=True)}"


def _command(pattern: CommandPattern) -> str:
    return " ".join(visible(token) if isinstance(token, str) else f"({visible('|'.join(token))})" for token in pattern)


def _window(window: TimeWindow) -> str:
    parts: list[str] = []
    if len(window.days) < _ALL_DAYS:
        parts.append(f"it is {_listed(window.days, 'or')}")
    if (window.from_, window.to) != ("00:00", "24:00"):
        parts.append(f"it is between {visible(window.from_)} and {visible(window.to)} ({visible(window.tz)})")
    if window.not_before:
        parts.append(f"it is {visible(window.not_before)} or later")
    if window.not_after:
        parts.append(f"it is before {visible(window.not_after)}")
    return " and ".join(parts) or "it is any time"


def _hints(hints: msgspec.Struct) -> str:
    said = [
        f"{'' if value else 'not '}{_HINTS[key]}"
        for key, value in msgspec.structs.asdict(hints).items()
        if value is not None
    ]
    return f"a trusted tool says that it is {' and '.join(said)}" if said else "a tool says anything"


_HINTS: Final = {
    "read_only_hint": "read-only",
    "destructive_hint": "destructive",
    "idempotent_hint": "idempotent",
    "open_world_hint": "open to the world",
}
_WORDS: Final[Mapping[str, Callable[[Any], str]]] = {
    "matches_pattern": lambda texts: _any_of("the path matches", texts),
    "file_size_greater_than": lambda size: f"it is more than {size:,} bytes",
    "extension_in": lambda texts: _any_of("the name ends in", texts),
    "host_matches": lambda texts: _any_of("the host is", texts),
    "method_in": lambda texts: _any_of("the method is", texts),
    "connector_in": lambda texts: _any_of("the connector is", texts),
    "tool_matches": lambda texts: _any_of("the tool is", texts),
    "tool_hint": _hints,
    "command_prefix": lambda patterns: f"the command begins with {_commands(patterns)}",
    "taint_in": lambda texts: _any_of("it follows from what came from", texts),
    "subagent_depth_greater_than": lambda depth: f"the agent is more than {depth} levels below the first",
    "batch_count_greater_than": lambda count: f"it is about more than {count} things at once",
    "time_window": _window,
}


def _commands(patterns: Sequence[CommandPattern]) -> str:
    return _joined([f"`{_command(pattern)}`" for pattern in patterns], "or")


def _listed(texts: Iterable[str], last: str = "and", *, quote: bool = False) -> str:
    return _joined([f"`{visible(text)}`" if quote else visible(text) for text in texts], last)


def _joined(texts: Sequence[str], last: str) -> str:
    return f"{', '.join(texts[:-1])} {last} {texts[-1]}" if len(texts) > 1 else "".join(texts)


# Requests -----------------------------------------------------------------------------------------------------------


def request_in_words(request: Request) -> str:
    """Return a request as one line: the action and what it is about, then the facts that are given beside it."""
    about = [_place_in_words(request), _call_in_words(request)]
    if isinstance(request.items, tuple):
        about.append("; ".join(_place_in_words(item) for item in request.items))
    facts = [text for text in (*_facts_of(request), *_facts_of_origin(request)) if text]
    shown = " ".join([visible(request.action), *filter(None, about)])
    return f"{shown} ({', '.join(facts)})" if facts else shown


def scope_in_words(scope: FrameScope) -> str:
    """Return what was granted, in a few words: `/home/ann and results in /home/ann/out`."""
    parts = [f"{visible(one.root)}{' for reading' if one.mode == 'r' else ''}" for one in scope.grants]
    parts += [f"results in {visible(root)}" for root in scope.output_roots]
    parts += [f"the host {visible(host)}" for host in scope.host_allowlist]
    parts += [f"the connector {visible(one.id)}" for one in scope.connectors]
    return _joined(parts, "and") or "nothing"


def _place_in_words(part: Request | Item) -> str:
    found = [visible(part.path)] if isinstance(part.path, str) else []
    if isinstance(part.real_path, str) and part.real_path != part.path:
        found.append(f"(really {visible(part.real_path)})")
    if isinstance(part.to_path, str):
        found.append(f"to {visible(part.to_path)}")
    if isinstance(part.to_real_path, str) and part.to_real_path != part.to_path:
        found.append(f"(really {visible(part.to_real_path)})")
    return " ".join(found)


def _call_in_words(request: Request) -> str:
    commands = [" ".join(visible(token) for token in command) for command in request.commands or ()]
    tool = f"{visible(request.connector or '?')}:{visible(request.tool or '?')}"
    parts = (
        f"-- {' && '.join(commands)}" if commands else "",
        f"{visible(request.method)} to" if request.method and request.host else visible(request.method or ""),
        visible(request.host or ""),
        tool if request.connector or request.tool else "",
    )
    return " ".join(part for part in parts if part)


def _facts_of(request: Request) -> Iterable[str]:
    if request.file_size_bytes is not None:
        yield f"{request.file_size_bytes:,} bytes"
    if request.target_exists is not None:
        yield "something is there" if request.target_exists else "nothing is there"
    if request.link_count is not None and request.link_count != 1:
        yield f"{request.link_count} names"
    if isinstance(request.batch_count, int) and request.batch_count != 1:
        yield f"{request.batch_count} at once"
    if request.case_insensitive_paths:
        yield "upper and lower case are the same"
    yield from (f"limit {visible(name)} has counted {count}" for name, count in (request.usage or {}).items())
    yield from (f"costs {amount} {visible(unit)}" for unit, amount in (request.cost or {}).items())


def _facts_of_origin(request: Request) -> Iterable[str]:
    if request.labels:
        yield f"follows from {_listed(request.labels)}"
    if request.depth:
        yield f"by an agent {request.depth} deep"
    if request.required_scopes:
        yield f"needs {_listed(request.required_scopes)}"
    if request.annotations is not None:
        trusted = "trusted" if request.tool_trusted else "untrusted"
        yield f"{trusted} tool says {visible(msgspec.json.encode(request.annotations).decode())}"
    if request.now is not None:
        yield f"at {request.now.isoformat(timespec='seconds')}"
