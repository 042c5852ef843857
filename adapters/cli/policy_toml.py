"""A policy document as TOML text, in the order in which a person reads it: the id first, then what it is about."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from ...domain.policy_document import PolicyDocument


def toml_of(document: PolicyDocument) -> str:
    """Return the document as TOML that loads as the same document."""
    return "\n".join(_lines(msgspec.to_builtins(document)))


def _lines(value: Mapping[str, Any]) -> Iterator[str]:
    yield f"version = {_value(value['version'])}"
    yield f"defaults = {_value(value['defaults'])}"
    for name in ("rules", "limits"):
        if not value[name]:
            # Without a table there would be no list at all.
            if name == "rules":
                yield "rules = []"
            continue
        for part in value[name]:
            yield ""
            yield f"[[{name}]]"
            yield from (f"{key} = {_value(member)}" for key, member in part.items())


def _value(value: object) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            # TOML's basic strings escape as JSON's do, and DEL as well.
            return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
        case list() | tuple():
            return f"[{', '.join(map(_value, value))}]"
        case dict():
            members = (f"{_key(str(key))} = {_value(member)}" for key, member in value.items())
            return f"{{ {', '.join(members)} }}"
        case _:
            return repr(value)


def _key(key: str) -> str:
    return key if key.isascii() and key.replace("_", "a").replace("-", "a").isalnum() else _value(key)
