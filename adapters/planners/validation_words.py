"""Pydantic's findings in one sentence: which step, which field, which value, and what to do."""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from ...domain.action import ACTION_TYPES


def in_one_sentence(error: ValidationError, value: Mapping[str, Any]) -> tuple[str, str]:
    """Return a sentence about the first finding, and a hint."""
    findings = error.errors(include_url=False)
    finding = findings[0]
    # The kind that chose the branch stands in the place too; a person looks for the field.
    place = [part for part in finding["loc"] if part not in ACTION_TYPES]
    where = _where(place, value)
    field = str(place[-1]) if place else "the plan"
    more = f" (and {len(findings) - 1} more)" if len(findings) > 1 else ""
    match finding["type"]:
        case "extra_forbidden":
            return f"{where}unknown field `{field}`{more}", "see the plan file reference for the fields of each kind"
        case "missing":
            return f"{where}the field `{field}` is missing{more}", f"add `{field}`"
        case "union_tag_invalid":
            kind = finding["input"].get("kind") if isinstance(finding["input"], dict) else finding["input"]
            return f"{where}unknown kind `{kind}`{more}", f"the kinds are: {', '.join(ACTION_TYPES)}"
        case "union_tag_not_found":
            return f"{where}the field `kind` is missing{more}", f"the kinds are: {', '.join(ACTION_TYPES)}"
        case "value_error":
            return f"{where}{str(finding['msg']).removeprefix('Value error, ')}{more}", "see the plan file reference"
        case _:
            given = repr(finding["input"])
            shown = given if len(given) <= 60 else f"{given[:57]}…"
            message = str(finding["msg"])
            return f"{where}`{field}` can't be `{shown}`: {message[:1].lower()}{message[1:]}{more}", ""


def _where(place: list[int | str], value: Mapping[str, Any]) -> str:
    if len(place) < 2 or place[0] != "step" or not isinstance(place[1], int):
        return ""
    steps = value.get("step")
    step = steps[place[1]] if isinstance(steps, list) and place[1] < len(steps) else None
    name = step.get("id") if isinstance(step, dict) else None
    return f"step `{name}`: " if isinstance(name, str) else f"step number {place[1] + 1}: "
