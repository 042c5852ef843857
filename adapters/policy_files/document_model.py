"""The shape of a policy document as people write it: pydantic models that mirror `domain/policy_document.py`.

Nothing is converted: a number in quotes is no number, `null` is no value, and a key that is not listed is a mistake.
"""

from typing import Annotated, Any, Final, TypeAlias

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from ...domain.policy_document import Day, RuleMode, Verdict, Version
from ...domain.reason import ReasonCode

_ABSENT: Final[Any] = None
"""Stands for a key that was not given; pydantic does not check defaults, and `null` in a document is refused."""

Text: TypeAlias = Annotated[str, Field(min_length=1)]
Texts: TypeAlias = Annotated[list[str], Field(min_length=1)]
Amount: TypeAlias = Annotated[int, Field(ge=0)] | Annotated[float, Field(ge=0)]
Count: TypeAlias = Annotated[int, Field(ge=0)]
Actions: TypeAlias = str | Texts
CommandPatternShape: TypeAlias = Annotated[list[str | Texts], Field(min_length=1)]


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, alias_generator=to_camel)


class TimeWindowShape(_Closed):
    """Mirrors `TimeWindow`."""

    days: Annotated[list[Day], Field(min_length=1)] = _ABSENT
    from_: str = Field(default=_ABSENT, alias="from")
    to: str = _ABSENT
    tz: str = _ABSENT
    not_before: Text = _ABSENT
    not_after: Text = _ABSENT


class ToolHintShape(_Closed):
    """Mirrors `ToolHint`."""

    read_only_hint: bool = _ABSENT
    destructive_hint: bool = _ABSENT
    idempotent_hint: bool = _ABSENT
    open_world_hint: bool = _ABSENT


class ConditionsShape(_Closed):
    """Mirrors `Conditions`."""

    path_within_grant: bool = _ABSENT
    path_within_output_root: bool = _ABSENT
    matches_pattern: Texts = _ABSENT
    file_size_greater_than: Amount = _ABSENT
    host_in_allowlist: bool = _ABSENT
    connector_scope_allowed: bool = _ABSENT
    extension_in: Texts = _ABSENT
    hidden: bool = _ABSENT
    sensitive: bool = _ABSENT
    executed: bool = _ABSENT
    cross_root: bool = _ABSENT
    hard_link: bool = _ABSENT
    target_exists: bool = _ABSENT
    host_matches: Texts = _ABSENT
    method_in: Texts = _ABSENT
    connector_in: Texts = _ABSENT
    tool_matches: Texts = _ABSENT
    tool_hint: ToolHintShape = _ABSENT
    command_prefix: Annotated[list[CommandPatternShape], Field(min_length=1)] = _ABSENT
    tainted: bool = _ABSENT
    taint_in: Texts = _ABSENT
    subagent_depth_greater_than: Count = _ABSENT
    batch_count_greater_than: Count = _ABSENT
    time_window: TimeWindowShape = _ABSENT


class RuleShape(_Closed):
    """Mirrors `Rule`."""

    id: str
    action: Actions
    decision: Verdict
    when: ConditionsShape = _ABSENT
    reason: str = _ABSENT
    risk_tags: list[Text] = _ABSENT
    unless: list[ConditionsShape] = _ABSENT
    mode: RuleMode = _ABSENT
    remember: bool = _ABSENT
    match: list[dict[str, Any]] = _ABSENT
    not_match: list[dict[str, Any]] = _ABSENT
    code: ReasonCode = _ABSENT


class LimitShape(_Closed):
    """Mirrors `Limit`."""

    id: str
    action: Actions
    max: Amount
    on_exceed: Annotated[str, Field(pattern="^(deny|allow_with_confirm)$")] = _ABSENT
    unit: Text = _ABSENT
    reason: str = _ABSENT


class DefaultsShape(_Closed):
    """Mirrors `Defaults`."""

    fallback: Verdict


class DocumentShape(_Closed):
    """Mirrors `PolicyDocument`; what a document of a program may leave out, a person has to write."""

    version: Version
    defaults: DefaultsShape
    rules: list[RuleShape]
    limits: list[LimitShape] = _ABSENT
