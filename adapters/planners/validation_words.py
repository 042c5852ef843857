"""Pydantic's findings in one sentence: which step, which field, which value, and what to do."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, Final, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from ...domain.action import ACTION_TYPES, ActionKind

PLANNED_KINDS: Final[tuple[ActionKind, ...]] = tuple(kind for kind in ACTION_TYPES if kind != "file.restore")
"""What a plan can write: putting something back is the engine's own."""

BRANCHES: Final = frozenset([*ACTION_TYPES, "a place", "a table"])
"""What chooses among the forms that a value may have: it stands in the place as well, and is no field."""

_SHOWN_MAX: Final = 60
_QUOTED: Final = re.compile(r"'([^']*)'")
_WORDS: Final = {
    "string_type": "it is a text, in quotes",
    "bool_type": "it is `true` or `false`",
    "bool_parsing": "it is `true` or `false`",
    "int_type": "it is a whole number",
    "int_parsing": "it is a whole number",
    "int_from_float": "it is a whole number",
    "list_type": "it is a list, in `[` and `]`",
    "dict_type": "it is a table, in `{{` and `}}`",
    "model_type": "it is a table, in `{{` and `}}`",
    "model_attributes_type": "it is a table, in `{{` and `}}`",
    "string_too_long": "it has at most {max_length} characters",
    "greater_than": "it is more than {gt}",
    "greater_than_equal": "it is at least {ge}",
    "less_than": "it is less than {lt}",
    "less_than_equal": "it is at most {le}",
}
"""What a value has to be, by the finding that it is something else."""


def in_one_sentence(error: ValidationError, value: Mapping[str, Any], model: type[BaseModel]) -> tuple[str, str]:
    """Return a sentence about the finding that tells most, and a hint. `model` is what the value was read as."""
    findings = error.errors(include_url=False)
    finding = _telling(findings)
    place = [part for part in finding["loc"] if part not in BRANCHES]
    said, hint = _said(finding, place, model)
    more = f" (and {len(findings) - 1} more)" if len(findings) > 1 else ""
    return f"{_where(place, value)}{said}{more}", hint


def _telling(findings: Sequence[ErrorDetails]) -> ErrorDetails:
    """Return the first finding; where that is a missing field, the unknown one beside it that was meant for it."""
    first = findings[0]
    if first["type"] == "missing":
        *beside, missing = first["loc"]
        for one in findings:
            *place, name = one["loc"]
            if one["type"] == "extra_forbidden" and place == beside and _meant(str(name), [str(missing)]):
                return one
    return first


def _said(finding: ErrorDetails, place: Sequence[int | str], model: type[BaseModel]) -> tuple[str, str]:
    """Return what is wrong with one field, and what to do about it."""
    field = next((part for part in reversed(place) if isinstance(part, str)), "the plan")
    given = finding["input"]
    match finding["type"]:
        case "extra_forbidden":
            known = _fields_at(model, finding["loc"])
            return f"unknown field `{field}`", _meant(field, known) or f"the fields here are: {', '.join(known)}"
        case "missing":
            return f"the field `{field}` is missing", f"add `{field}`"
        case "union_tag_invalid" if isinstance(given, dict) and isinstance(given["kind"], str):
            kinds = f"the kinds are: {', '.join(PLANNED_KINDS)}"
            return f"unknown kind `{given['kind']}`", _meant(given["kind"], PLANNED_KINDS, kinds)
        case "union_tag_invalid" | "union_tag_not_found" if isinstance(given, dict) and "kind" in given:
            return f"`kind` can't be `{_shown(given['kind'])}`: it is a text, in quotes", ""
        case "union_tag_not_found" if isinstance(given, dict):
            return "the field `kind` is missing", f"the kinds are: {', '.join(PLANNED_KINDS)}"
        case "list_type" if list(place) == ["step"] and isinstance(given, dict):
            return "`step` is a list of steps, and this is a single table", "write `[[step]]` instead of `[step]`"
        case "literal_error":
            expected = _QUOTED.findall(str(finding.get("ctx", {}).get("expected", "")))
            choices = [one for one in expected if one in PLANNED_KINDS or one not in ACTION_TYPES]
            some = f"it is one of: {', '.join(choices)}"
            return f"`{field}` can't be `{_shown(given)}`", _meant(str(given), choices, some)
        case "string_too_short" | "too_short":
            return f"`{field}` is empty", ""
        case "value_error":
            return str(finding["msg"]).removeprefix("Value error, "), "see the plan file reference"
        case kind:
            own, said = _WORDS.get(kind), finding["msg"]
            words = f"{said[:1].lower()}{said[1:]}" if own is None else own.format_map(finding.get("ctx", {}))
            is_text = isinstance(given, str) and not kind.startswith("string")
            shown = _shown(json.dumps(given, ensure_ascii=False) if is_text else given)
            return f"`{field}` can't be `{shown}`: {words}", ""


def _shown(value: object) -> str:
    """Return the value much as a plan writes it."""
    is_json = value is None or isinstance(value, dict | list | bool | int | float)
    text = json.dumps(value, ensure_ascii=False, default=str) if is_json else str(value)
    return text if len(text) <= _SHOWN_MAX else f"{text[: _SHOWN_MAX - 3]}…"


def _meant(word: str, known: Iterable[str], otherwise: str = "") -> str:
    near = get_close_matches(word, list(known), n=1)
    return f"did you mean `{near[0]}`?" if near else otherwise


def _fields_at(model: type[BaseModel], place: Sequence[int | str]) -> list[str]:
    """Return the names of the fields that there are beside the one at this place."""
    models = [model]
    for part in place[:-1]:
        if part in ACTION_TYPES:
            models = [one for one in models if part in get_args(one.model_fields["kind"].annotation)]
        elif any(part in one.model_fields for one in models):
            annotations = [one.model_fields[str(part)].annotation for one in models if part in one.model_fields]
            models = [found for annotation in annotations for found in _models_in(annotation)]
    return list(dict.fromkeys(name for one in models for name in one.model_fields))


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for part in get_args(annotation) for found in _models_in(part)]


def _where(place: Sequence[int | str], value: Mapping[str, Any]) -> str:
    if len(place) < 2 or place[0] != "step" or not isinstance(place[1], int):
        return ""
    steps = value.get("step")
    step = steps[place[1]] if isinstance(steps, list) and place[1] < len(steps) else None
    name = step.get("id") if isinstance(step, dict) else None
    return f"step `{_shown(name)}`: " if isinstance(name, str) else f"step number {place[1] + 1}: "
