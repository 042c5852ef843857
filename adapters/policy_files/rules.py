"""A rule set from a file: the origin's JSON (`version` 1.0) or the same keys in TOML.

A document's rules are ordered, the first match wins, and what no rule matches has the document's fallback. The
invariants and floors of `domain/policy.py` hold whatever it says. It takes the place of the default rules.
"""

import json
import stat
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from pydantic.alias_generators import to_camel

from ...domain.action import ACTION_TYPES, ActionKind
from ...domain.errors import DomainError
from ...domain.policy import Conditions, Rule, RuleSet, Verdict

POLICY_BYTES_MAX = 1024 * 1024
MEND = "nothing runs until it is mended"
_FAMILIES = tuple(sorted({f"{kind.partition('.')[0]}.*" for kind in ACTION_TYPES}))
_KINDS = (*get_args(ActionKind), *_FAMILIES, "*")


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=to_camel, populate_by_name=True)


class _When(_Closed):
    path_within_grant: bool | None = None
    path_within_output_root: bool | None = None
    matches_pattern: list[Annotated[str, StringConstraints(min_length=1)]] = Field(default_factory=list)
    target_exists: bool | None = None
    hidden: bool | None = None
    sensitive: bool | None = None
    executed: bool | None = None
    cross_root: bool | None = None
    hard_link: bool | None = None


class _Rule(_Closed):
    id: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100)]
    action: str | list[str]
    decision: Verdict
    when: _When = _When()
    reason: str = ""
    risk_tags: list[str] = Field(default_factory=list)


class _Defaults(_Closed):
    fallback: Literal["deny"] = "deny"


class _Document(_Closed):
    version: Literal["1.0"] = "1.0"
    defaults: _Defaults = _Defaults()
    rules: list[_Rule] = Field(min_length=1)


def load_rules(path: Path) -> RuleSet:
    """Return the rules in the file. Raises `DomainError` not_found or invalid: then nothing runs under it."""
    value = _parsed(path)
    try:
        document = _Document.model_validate(value)
    except ValidationError as error:
        finding = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in finding["loc"]) or "the document"
        message = str(finding["msg"])
        raise DomainError(
            "invalid",
            f"the policy `{path}`: `{place}`: {message[:1].lower()}{message[1:]}",
            "nothing runs until it is mended",
        ) from error
    seen: set[str] = set()
    for rule in document.rules:
        _check(rule, path, seen)
    return RuleSet(path.name, tuple(_rule(rule) for rule in document.rules))


def _check(rule: _Rule, path: Path, seen: set[str]) -> None:
    if rule.id in seen or rule.id.startswith(("invariant.", "floor.")):
        raise DomainError(
            "invalid", f"the policy `{path}`: the rule id `{rule.id}` is taken", "give each rule its own id"
        )
    seen.add(rule.id)
    for action in _actions(rule):
        if action not in _KINDS:
            raise DomainError(
                "invalid",
                f"the policy `{path}`: rule `{rule.id}` names no action: `{action}`",
                f"one of {', '.join(_KINDS)}",
            )


def _actions(rule: _Rule) -> tuple[str, ...]:
    return (rule.action,) if isinstance(rule.action, str) else tuple(rule.action)


def _rule(rule: _Rule) -> Rule:
    given = rule.when.model_dump()
    given["matches_pattern"] = tuple(given["matches_pattern"])
    return Rule(
        id=rule.id,
        actions=_actions(rule),
        decision=rule.decision,
        when=Conditions(**given),
        reason=rule.reason or f"rule {rule.id}",
        risk_tags=tuple(rule.risk_tags),
    )


def _parsed(path: Path) -> dict[str, Any]:
    try:
        found = path.lstat()
        if stat.S_ISLNK(found.st_mode) or not stat.S_ISREG(found.st_mode):
            raise DomainError("invalid", f"the policy `{path}` is not an ordinary file", "name the file itself")
        if found.st_mode & stat.S_IWOTH:
            raise DomainError("invalid", f"everybody may write the policy `{path}`", f"run `chmod o-w {path}`")
        if found.st_size > POLICY_BYTES_MAX:
            raise DomainError("limit", f"the policy `{path}` is larger than {POLICY_BYTES_MAX} bytes")
        text = path.read_text("utf-8")
    except FileNotFoundError as error:
        raise DomainError("not_found", f"there is no policy file `{path}`") from error
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise DomainError("invalid", f"the policy `{path}` can't be read: {error}") from error
    try:
        value = tomllib.loads(text) if path.suffix.lower() == ".toml" else json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DomainError(
            "invalid", f"the policy `{path}` can't be parsed: {error}", "nothing runs until it is mended"
        ) from error
    if not isinstance(value, dict):
        raise DomainError("invalid", f"the policy `{path}` is not an object")
    return value
