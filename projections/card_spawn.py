"""The part of a card that says what a subagent is given, in words, and told to do: each of its steps, whole.

What is said here is read from the JSON text that the action holds, as the engine reads it. What can't be put in words
is shown as it stands; nothing is left out.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeAlias

from ..domain.action import SubagentSpawn
from ..domain.budget import Measure
from .budget_words import amount_words
from .card_call import json_lines, value_shown
from .card_layout import block, field
from .card_places import name_shown
from .measure import count_words, milliseconds_words
from .visible_text import quoted, visible, visible_lines

_NESTED_MAX: Final = 8
"""How many subagents within one another are told in words; those further in are shown as they stand."""

_MEASURES: Final[Mapping[str, tuple[Measure, int]]] = {
    "wall_s": ("wall_ms", 1000),
    "actions": ("actions", 1),
    "bytes_written": ("bytes_written", 1),
    "bytes_sent": ("bytes_sent", 1),
    "files_deleted": ("files_deleted", 1),
    "tokens": ("tokens", 1),
}

_NAMED_VALUES: Final = ("env", "headers")
_AMOUNT_MAX: Final = 10**12
"""A larger bound is none that anybody means: it is shown as it stands."""

_Object: TypeAlias = dict[str, Any]


def subagent_lines(action: SubagentSpawn) -> list[str]:
    """Return a subagent: what it is called by the agent, what it may do and what it is told to do."""
    called = field("called", quoted(action.title))
    try:
        return [called, *_scope(action.scope), *_steps(action.steps, 0)]
    except RecursionError:
        return [called, *json_lines("may use", action.scope), *json_lines("steps", action.steps)]


def _read(text: str) -> Any:
    """Return what the JSON text says, or None where it is none, or says something twice."""
    try:
        return json.loads(text, object_pairs_hook=_once_each)
    except (ValueError, RecursionError):
        return None


def _once_each(pairs: list[tuple[str, Any]]) -> _Object:
    if len({key for key, _ in pairs}) < len(pairs):
        raise ValueError("a key is given twice")
    return dict(pairs)


# What it may do


def _scope(text: str) -> list[str]:
    scope = _read(text)
    if not isinstance(scope, dict):
        return json_lines("may use", text)
    known = {
        "folders": _folders,
        "hosts": lambda value: _names("hosts", value, "none: it can't reach the network"),
        "connectors": lambda value: _names("connectors", value, "none"),
        "kinds": lambda value: _names("actions", value, "of every kind that its folders and hosts allow"),
        "budget": _budget,
        "deadline_s": _deadline,
    }
    lines = [line for key, words in known.items() for line in words(scope.get(key))]
    for key in scope:
        if key not in known:
            lines += _shown(key, scope[key])
    lines.append(field("at most", "what the agent that starts it has, as long as that one has it"))
    return lines


def _folders(value: Any) -> list[str]:
    if value in (None, []):
        return [field("folders", "none: it sees no file")]
    if not isinstance(value, list):
        return _shown("folders", value)
    return block("folders", [_folder(one) for one in value])


def _folder(one: Any) -> str:
    if isinstance(one, str):
        return f"{name_shown(one)}: read"
    if isinstance(one, dict) and set(one) <= {"path", "verbs", "outputs"} and isinstance(one.get("path"), str):
        verbs, outputs = one.get("verbs", ["read"]), one.get("outputs", [])
        if _are_texts(verbs) and _are_texts(outputs):
            made = f"; its results go to {', '.join(map(name_shown, outputs))}" if outputs else ""
            return f"{name_shown(one['path'])}: {', '.join(map(visible, verbs))}{made}"
    return _json(one)


def _names(label: str, value: Any, otherwise: str) -> list[str]:
    if value is None or (value == [] and label != "actions"):
        return [field(label, otherwise)]
    if not _are_texts(value):
        return _shown(label, value)
    return block(label, list(map(name_shown, value))) or [field(label, "none at all")]


def _budget(value: Any) -> list[str]:
    if value in (None, {}):
        return [field("budget", "none of its own: what it uses up counts for its parent")]
    if not isinstance(value, dict):
        return _shown("budget", value)
    return block("budget", [_bound(key, bound) for key, bound in value.items() if bound is not None])


def _bound(key: str, bound: Any) -> str:
    if key == "cost" and isinstance(bound, str):
        return f"{name_shown(bound)} of money"
    if key not in _MEASURES or not _is_amount(bound):
        return f"{name_shown(key)}: {_json(bound)}"
    measure, factor = _MEASURES[key]
    return amount_words(measure, bound * factor)


def _deadline(value: Any) -> list[str]:
    if value is None:
        return [field("deadline", "none of its own")]
    if not _is_amount(value):
        return _shown("deadline", value)
    return [field("deadline", f"{milliseconds_words(value * 1000)} after it starts")]


def _is_amount(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _AMOUNT_MAX


# What it is told to do


def _steps(text: str, depth: int) -> list[str]:
    steps = _read(text)
    if not isinstance(steps, list) or not all(isinstance(step, dict) for step in steps):
        return json_lines("steps", text)
    return [field("told to do", count_words(len(steps), "step")), *_told(steps, depth)]


def _told(steps: list[_Object], depth: int) -> Iterator[str]:
    for number, step in enumerate(steps, start=1):
        called = [quoted(step[key]) for key in ("id", "title") if isinstance(step.get(key), str) and step[key]]
        yield f"  {number} of {len(steps)}: {' '.join(called)}".rstrip()
        for key, value in step.items():
            if key in ("id", "title") and isinstance(value, str):
                continue
            lines = _action(value, depth) if key == "action" and isinstance(value, dict) else _shown(key, value)
            yield from (f"    {line}" for line in lines)


def _action(action: _Object, depth: int) -> Iterator[str]:
    kind = action.get("kind")
    yield field("does", visible(kind) if isinstance(kind, str) else _json(kind))
    inner = kind == "subagent.spawn" and depth < _NESTED_MAX
    for key, value in action.items():
        if key == "kind":
            continue
        if inner and key == "scope":
            yield from _scope(_json_text(value))
        elif inner and key == "step":
            yield from _steps(_json_text(value), depth + 1)
        else:
            yield from _shown(key, value)
    if inner and "scope" not in action:
        yield from _scope("{}")


def _shown(key: str, value: Any) -> list[str]:
    """Return a value as it stands, nothing cut; of variables and headers, a secret one by its length only."""
    label = visible(key)
    if isinstance(value, str) and "\n" not in value:
        return [field(f"{label} ", quoted(value))]
    if isinstance(value, str):
        return [field(label, ""), *(f"  | {line}" for line in visible_lines(value))]
    if value and _are_texts(value):
        return block(f"{label} ", [quoted(one) for one in value])
    if key in _NAMED_VALUES and isinstance(value, dict) and value and _are_texts(list(value.values())):
        return block(f"{label} ", [f"{name_shown(name)}: {value_shown(name, one)}" for name, one in value.items()])
    return json_lines(f"{label} ", _json_text(value))


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def _json_text(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:
        # JSON can spell half of a character, which no text can hold.
        return json.dumps(value)
    return text


def _json(value: Any) -> str:
    return visible(_json_text(value))
