"""A planner that needs no model: a plan written down in a TOML or JSON file."""

import hashlib
import json
import tomllib
from datetime import date, time
from math import isfinite
from pathlib import Path
from typing import Any

import anyio.to_thread
from pydantic import ValidationError

from ...domain.action import SubagentSpawn
from ...domain.errors import DomainError
from ...domain.plan import Plan, check_plan
from ...engine import limits
from ...engine.planning_ports import PlannedTask
from .plan_model import PlanFields, canonical_json
from .plan_steps import budget_of, step_of
from .spawn import check_spawn
from .validation_words import in_one_sentence


class PlanFile:
    """The plan in a file. `name` is what the event says about who planned: `plan-file`."""

    name = "plan-file"

    def __init__(self, path: Path) -> None:
        self._path = path

    async def plan(self) -> PlannedTask:
        """Return the plan. Raises `DomainError` not_found or invalid, with the offending value and what to do."""
        return await anyio.to_thread.run_sync(self._plan)

    def _plan(self) -> PlannedTask:
        data = _read(self._path)
        fields = _checked(_parsed(data, self._path), self._path)
        contents: dict[str, bytes] = {}
        steps = tuple(step_of(step, contents) for step in fields.step)
        plan = Plan(
            title=fields.title or self._path.stem,
            steps=steps,
            on_ask=fields.on_ask,
            answer_within_s=fields.answer_within_s,
            source_digest=f"sha256:{hashlib.sha256(data).hexdigest()}",
        )
        try:
            _check(plan)
        except DomainError as error:
            raise DomainError(error.code, f"the plan `{self._path}`: {error.message}", error.hint) from error
        return PlannedTask(plan, tuple(contents.values()), budget_of(fields.budget), fields.priority)


def _check(plan: Plan) -> None:
    if len(plan.steps) > limits.PLAN_STEPS_MAX:
        most = limits.PLAN_STEPS_MAX
        raise DomainError("limit", f"a plan has at most {most} steps, this one has {len(plan.steps)}")
    check_plan(plan)
    for step in plan.steps:
        if isinstance(step.request, SubagentSpawn):
            check_spawn(step.request)


def _read(path: Path) -> bytes:
    try:
        if not path.is_file():
            missing = not path.exists()
            raise DomainError(
                "not_found" if missing else "invalid",
                f"there is no plan file `{path}`" if missing else f"`{path}` is not a file",
                "name a TOML or JSON file",
            )
        if path.stat().st_size > limits.PLAN_BYTES_MAX:
            raise DomainError("limit", f"the plan `{path}` is larger than {limits.PLAN_BYTES_MAX} bytes")
        return path.read_bytes()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise DomainError("invalid", f"the plan `{path}` can't be read: {reason}") from error


def _parsed(data: bytes, path: Path) -> dict[str, Any]:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DomainError("invalid", f"the plan `{path}` is not UTF-8 text", "save it as UTF-8") from error
    is_json = path.suffix.lower() == ".json" or (path.suffix.lower() != ".toml" and text.lstrip().startswith("{"))
    form = "JSON" if is_json else "TOML"
    try:
        value = json.loads(text, object_pairs_hook=_once_each) if is_json else tomllib.loads(text)
        if is_json:
            # JSON can spell half of a character, which no file name and no event can have.
            canonical_json(value).encode()
    except UnicodeEncodeError as error:
        half = f"\\u{ord(error.object[error.start]):04x}"
        raise DomainError(
            "invalid", f"the plan `{path}` has half of a character: `{half}`", "write it whole"
        ) from error
    except (ValueError, RecursionError) as error:
        raise DomainError("invalid", f"the plan `{path}` is not {form}: {error}", f"mend the {form}") from error
    if not isinstance(value, dict):
        raise DomainError("invalid", f"the plan `{path}` is not an object", 'begin with {"title": …, "step": […]}')
    _check_values(value, path)
    return value


def _check_values(value: object, path: Path) -> None:
    """Refuse what JSON has no spelling for: what a plan says of subagents and connectors is kept as JSON."""
    left = [value]
    while left:
        match left.pop():
            case dict() as table:
                left += table.values()
            case list() as some:
                left += some
            case date() | time() as moment:
                said = f"the plan `{path}`: it has a date or time, which no field takes: `{moment.isoformat()}`"
                raise DomainError("invalid", said, "write it in quotes")
            case float() as number if not isfinite(number):
                raise DomainError(
                    "invalid", f"the plan `{path}`: it has a number that is none: `{number}`", "name a number"
                )
            case _:
                pass


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = [key for key, _ in pairs]
    for key in keys:
        # A key given twice would silently hide one of its values, and with it what a person reads.
        if keys.count(key) > 1:
            raise ValueError(f"the key `{key}` is given twice")
    return dict(pairs)


def _checked(value: dict[str, Any], path: Path) -> PlanFields:
    try:
        return PlanFields.model_validate(value)
    except ValidationError as error:
        sentence, hint = in_one_sentence(error, value, PlanFields)
        raise DomainError("invalid", f"the plan `{path}`: {sentence}", hint) from error
