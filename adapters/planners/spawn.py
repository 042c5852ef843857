"""What a `subagent.spawn` action says in the words of a plan file: its steps, and what it wishes to have."""

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any

import msgspec
from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationError

from ...domain.action import Action, ActionKind, Location, SubagentSpawn
from ...domain.errors import DomainError
from ...domain.path import find_problem, is_beneath, normal
from ...domain.plan import Plan, check_plan
from ...domain.policy_host import entry_of_both, parse_entry
from ...domain.scope import VERBS, FolderScope, GrantedHost, PartVerbs, Scope, Verb
from ...domain.subagent import DEPTH_MAX
from ...engine import limits
from ...engine.planning_ports import PlannedTask, SubagentRequest
from .plan_model import BudgetFields, Name, Place, StepFields, Text
from .plan_steps import budget_of, step_of
from .validation_words import in_one_sentence


def _read_only() -> list[Verb]:
    return ["read"]


class FolderFields(BaseModel):
    """A part of a granted folder that a subagent is given. Without `verbs` it may only read there."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: Place
    verbs: list[Verb] = Field(default_factory=_read_only, min_length=1)
    outputs: list[Place] = Field(default_factory=list)


def _form(value: object) -> str:
    return "a place" if isinstance(value, str) else "a table"


class ScopeFields(BaseModel):
    """What a subagent is given of what its parent has. What is not named is not given."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    folders: list[
        Annotated[Annotated[Place, Tag("a place")] | Annotated[FolderFields, Tag("a table")], Discriminator(_form)]
    ] = Field(default_factory=list)
    hosts: list[Name] = Field(default_factory=list)
    connectors: list[Name] = Field(default_factory=list)
    kinds: list[ActionKind] | None = None
    budget: BudgetFields = BudgetFields()
    deadline_s: Annotated[int, Field(strict=True, gt=0, le=limits.SUBAGENT_S_MAX)] | None = None


class _Spawn(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    title: Text
    scope: ScopeFields
    step: list[StepFields]


class PlannedSpawns:
    """Reads subagents as plan files write them; see the port `SpawnReader`."""

    def read(self, action: Action, scope: Scope, now: datetime) -> SubagentRequest:
        """Return what is wished for, bound to the parent's scope. Raises `DomainError` invalid, limit or denied."""
        if not isinstance(action, SubagentSpawn):
            raise DomainError("invalid", "this action starts no subagent")
        fields, planned = _planned(action)
        wished = fields.scope
        until = None if wished.deadline_s is None else now + timedelta(seconds=wished.deadline_s)
        return SubagentRequest(
            planned=planned,
            scope=Scope(
                folders=_folders(wished.folders, scope),
                hosts=tuple(_host(name, scope) for name in wished.hosts),
                kinds=None if wished.kinds is None else tuple(wished.kinds),
                connectors=tuple(wished.connectors),
                until=until,
                only_hosts=True,
            ),
            budget=budget_of(wished.budget),
        )


def check_spawn(action: SubagentSpawn) -> None:
    """Check what a plan says of a subagent and of all beneath it, before anything runs.

    Raises `DomainError` invalid or limit.
    """
    _check_beneath(action, depth=1)


def _check_beneath(action: SubagentSpawn, *, depth: int) -> None:
    if depth > DEPTH_MAX:
        raise DomainError("limit", f"subagent `{action.title}`: subagents may be nested at most {DEPTH_MAX} deep")
    _, planned = _planned(action)
    for step in planned.plan.steps:
        if isinstance(step.request, SubagentSpawn):
            _check_beneath(step.request, depth=depth + 1)


def _planned(action: SubagentSpawn) -> tuple[_Spawn, PlannedTask]:
    value: dict[str, Any] = {
        "title": action.title,
        "scope": json.loads(action.scope),
        "step": json.loads(action.steps),
    }
    try:
        fields = _Spawn.model_validate(value)
    except ValidationError as error:
        sentence, hint = in_one_sentence(error, value, _Spawn)
        raise DomainError("invalid", f"subagent `{action.title}`: {sentence}", hint) from error
    contents: dict[str, bytes] = {}
    steps = tuple(step_of(step, contents) for step in fields.step)
    if len(steps) > limits.PLAN_STEPS_MAX:
        raise DomainError("limit", f"a plan has at most {limits.PLAN_STEPS_MAX} steps, this one has {len(steps)}")
    plan = Plan(title=action.title, steps=steps)
    try:
        check_plan(plan)
    except DomainError as error:
        raise DomainError(error.code, f"subagent `{action.title}`: {error.message}", error.hint) from error
    return fields, PlannedTask(plan, tuple(contents.values()))


def _folders(wished: Sequence[str | FolderFields], scope: Scope) -> tuple[FolderScope, ...]:
    """Return one folder for each grant that parts are wished of, as wide as they are together."""
    parts: dict[str, list[FolderScope]] = {}
    for one in wished:
        part = _part(FolderFields(path=one) if isinstance(one, str) else one, scope)
        parts.setdefault(part.grant_id, []).append(part)
    return tuple(_together(some) for some in parts.values())


def _part(wish: FolderFields, scope: Scope) -> FolderScope:
    held, at = _held(wish.path, scope)
    missing = [verb for verb in wish.verbs if not held.lets(verb, at.path)]
    if missing:
        raise DomainError(
            "denied", f"`{wish.path}` can't be given for {', '.join(missing)}: the task itself has no such right"
        )
    outputs = tuple(_output(path, wish.path, at, held, scope) for path in wish.outputs)
    kept = outputs or tuple(root for root in held.output_roots if is_beneath(root, at.path))
    inside = (at.path,) if held.is_output(at.path) and not outputs else ()
    return msgspec.structs.replace(
        held, verbs=tuple(dict.fromkeys(wish.verbs)), output_roots=kept or inside, within=(normal(at.path),)
    )


def _output(path: str, part: str, part_at: Location, held: FolderScope, scope: Scope) -> str:
    """Return the path in its folder of a place where results go, which lies in a part that is given."""
    of, at = _held(path, scope)
    if of.grant_id != held.grant_id or not is_beneath(at.path, part_at.path):
        raise DomainError("invalid", f"the output `{path}` does not lie in `{part}`")
    if not held.is_output(at.path):
        raise DomainError("denied", f"`{path}` can't be given as an output: the task itself has no such output")
    return at.path


def _together(parts: list[FolderScope]) -> FolderScope:
    verbs = {verb for part in parts for verb in part.verbs}
    whole = msgspec.structs.replace(
        parts[0],
        verbs=tuple(verb for verb in VERBS if verb in verbs),
        within=tuple(dict.fromkeys(path for part in parts for path in part.within)),
        output_roots=tuple(dict.fromkeys(root for part in parts for root in part.output_roots)),
    )
    if all(set(part.verbs) == verbs for part in parts):
        return whole
    own = tuple(PartVerbs(path, part.verbs) for part in parts for path in part.within)
    return msgspec.structs.replace(whole, by_part=(*whole.by_part, own))


def _held(path: str, scope: Scope) -> tuple[FolderScope, Location]:
    """Return the parent's folder that a path lies in, and the place in it."""
    from ...engine.binding import bind_text

    at = bind_text(path, scope)
    held = scope.folder(at.grant_id)
    problem = find_problem(at.path, root_allowed=True)
    if held is None or problem is not None or not held.covers(at.path):
        raise DomainError("denied", f"`{path}` can't be given: the task itself has no such folder")
    return held, at


def _host(name: str, scope: Scope) -> GrantedHost:
    if parse_entry(name) is None:
        raise DomainError("invalid", f"`{name}` is not a host")
    for held in scope.hosts:
        if not held.revoked and entry_of_both(name, held.host) == name:
            return GrantedHost(grant_id=held.grant_id, host=name)
    raise DomainError("denied", f"`{name}` can't be given: the task itself has no such host")
