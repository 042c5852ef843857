"""A policy document as a value: its rules, their conditions, its limits. The structs mirror the JSON exactly.

Version 1.0 is the origin's form: rules are tried in the origin's order and the first match decides. In version 1.1 the
strictest of all matching rules decides, so order never matters. What an answer means is in `policy_layer.py`.
"""

from functools import lru_cache
from typing import Final, Literal, TypeAlias, get_args

import msgspec

from .action import ActionKind
from .canonical_json import canonical_json, sha256_of
from .reason import ReasonCode

Verdict: TypeAlias = Literal["allow", "allow_with_confirm", "deny"]
VERDICTS: Final[tuple[Verdict, ...]] = get_args(Verdict)
"""From the mildest to the strictest."""

Version: TypeAlias = Literal["1.0", "1.1"]
RuleMode: TypeAlias = Literal["enforce", "audit"]
Day: TypeAlias = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
DAYS: Final[tuple[Day, ...]] = get_args(Day)

CommandPattern: TypeAlias = tuple[str | tuple[str, ...], ...]
"""Tokens from the first on; a tuple in a token's place lists its alternatives."""


class _Struct(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, rename="camel", forbid_unknown_fields=True):
    """How all parts of a document are read and written."""


class TimeWindow(_Struct, frozen=True):
    """When a rule is about. `from` (inclusive) and `to` (exclusive) are `HH:MM` in the zone `tz`.

    A window whose end lies before its start ends on the next day and belongs to the day on which it starts; one whose
    end is its start is empty. `notBefore` (inclusive) and `notAfter` (exclusive) are instants (RFC 3339).
    """

    days: tuple[Day, ...] = DAYS
    from_: str = msgspec.field(default="00:00", name="from")
    to: str = "24:00"
    tz: str = "UTC"
    not_before: str = ""
    not_after: str = ""


class ToolHint(_Struct, frozen=True, kw_only=True):
    """What a connector's tool says of itself (MCP tool annotations): every given hint must be so."""

    read_only_hint: bool | None = None
    destructive_hint: bool | None = None
    idempotent_hint: bool | None = None
    open_world_hint: bool | None = None


class Conditions(_Struct, frozen=True, kw_only=True):
    """What a rule asks about: every given key must hold; a list holds when one of its members does.

    A condition that is not about the action (a host's, say, for a file) does not hold. `fileSizeGreaterThan` is in
    bytes. The keys of version 1.0 are the first six.
    """

    path_within_grant: bool | None = None
    path_within_output_root: bool | None = None
    matches_pattern: tuple[str, ...] | None = None
    file_size_greater_than: int | float | None = None
    host_in_allowlist: bool | None = None
    connector_scope_allowed: bool | None = None
    extension_in: tuple[str, ...] | None = None
    hidden: bool | None = None
    sensitive: bool | None = None
    executed: bool | None = None
    cross_root: bool | None = None
    hard_link: bool | None = None
    target_exists: bool | None = None
    host_matches: tuple[str, ...] | None = None
    method_in: tuple[str, ...] | None = None
    connector_in: tuple[str, ...] | None = None
    tool_matches: tuple[str, ...] | None = None
    tool_hint: ToolHint | None = None
    command_prefix: tuple[CommandPattern, ...] | None = None
    tainted: bool | None = None
    taint_in: tuple[str, ...] | None = None
    subagent_depth_greater_than: int | None = None
    batch_count_greater_than: int | None = None
    time_window: TimeWindow | None = None


CONDITIONS_1_0: Final = (
    "path_within_grant",
    "path_within_output_root",
    "matches_pattern",
    "file_size_greater_than",
    "host_in_allowlist",
    "connector_scope_allowed",
)
"""The condition fields that a document of version 1.0 may use."""

ALWAYS: Final = Conditions()


class Rule(_Struct, frozen=True):
    """One rule. `action` is a kind or a glob over kinds (`file.*`, `*`), or several; `when` all of, `unless` none of.

    `mode` audit means: evaluated and listed, never decides. `remember` false means: ask every time. `match` and
    `not_match` are requests that must and must not match, checked when the document is loaded. `code` is the reason
    code of a denial.
    """

    id: str
    action: str | tuple[str, ...]
    decision: Verdict
    when: Conditions = ALWAYS
    reason: str = ""
    risk_tags: tuple[str, ...] = ()
    unless: tuple[Conditions, ...] = ()
    mode: RuleMode = "enforce"
    remember: bool = True
    match: tuple[dict[str, object], ...] = ()
    not_match: tuple[dict[str, object], ...] = ()
    code: ReasonCode = "policy"

    @property
    def actions(self) -> tuple[str, ...]:
        """The kinds and globs that the rule names."""
        return (self.action,) if isinstance(self.action, str) else self.action


class Limit(_Struct, frozen=True, kw_only=True):
    """A bound on use: exceeded when what was used and what is asked for are together more than `max`.

    Without `unit` each item of a request counts as one; with it, the request's cost in that unit counts.
    """

    id: str
    action: str | tuple[str, ...]
    max: int | float
    on_exceed: Literal["deny", "allow_with_confirm"] = "deny"
    unit: str = ""
    reason: str = ""

    @property
    def actions(self) -> tuple[str, ...]:
        """The kinds and globs that the limit counts."""
        return (self.action,) if isinstance(self.action, str) else self.action


class Defaults(_Struct, frozen=True, omit_defaults=False):
    """What a document answers where no rule matches."""

    fallback: Verdict = "deny"


class PolicyDocument(_Struct, frozen=True, kw_only=True, omit_defaults=False):
    """A whole document."""

    version: Version = "1.1"
    defaults: Defaults = Defaults()
    rules: tuple[Rule, ...] = ()
    limits: tuple[Limit, ...] = ()


class Layer(msgspec.Struct, frozen=True, gc=False):
    """A document under the name by which decisions cite it (`baseline`, `organisation`, `user`, …).

    `source` are the canonical bytes of the document as it was written, under whose digest it is stored.
    """

    name: str
    document: PolicyDocument
    source: bytes

    @property
    def digest(self) -> str:
        """`sha256:<hex>` of the document's canonical bytes."""
        return f"sha256:{sha256_of(self.source)}"


def layer(name: str, document: PolicyDocument) -> Layer:
    """Return a layer of a document that was made here and not read."""
    return Layer(name, document, canonical_json(msgspec.to_builtins(document)))


def layer_of_rules(name: str, rules: tuple[Rule, ...], fallback: Verdict = "deny") -> Layer:
    """Return a layer of rules that were made here: version 1.1, no limits."""
    return layer(name, PolicyDocument(defaults=Defaults(fallback), rules=rules))


def stored_layer(name: str, source: bytes) -> Layer:
    """Return a layer of canonical bytes. Raises `msgspec.ValidationError` where they stand for no document.

    For stored documents only: what a person wrote is loaded, and explained, by the policy file adapter.
    """
    return Layer(name, _DECODER.decode(source), source)


_DECODER: Final = msgspec.json.Decoder(PolicyDocument)

# Action names -------------------------------------------------------------------------------------------------------

KINDS: Final[tuple[ActionKind, ...]] = get_args(ActionKind)

ALIASES: Final[dict[ActionKind, ActionKind]] = {
    "file.create": "file.write",
    "file.restore": "file.write",
    "file.delete": "file.write",
    "file.rename": "file.write",
    "file.move": "file.write",
    "file.list": "file.read",
    "file.search": "file.read",
}
"""Which kind a document of version 1.0 means where it does not name the one at hand: the origin had fewer."""


def names_kind(pattern: str, kind: ActionKind) -> bool:
    """Whether the pattern (a kind, or a glob in which `*` stands for any characters) names the kind."""
    if "*" not in pattern:
        return pattern == kind
    first, *middle, last = pattern.split("*")
    if not kind.startswith(first) or len(kind) < len(first) + len(last) or not kind.endswith(last):
        return False
    at = len(first)
    for part in middle:
        at = kind.find(part, at, len(kind) - len(last)) + len(part)
        if at < len(part):
            return False
    return True


@lru_cache(maxsize=4096)
def kinds_named(patterns: tuple[str, ...]) -> tuple[ActionKind, ...]:
    """Return the kinds that one of the patterns names: those that a rule or a limit is about."""
    return tuple(kind for kind in KINDS if any(names_kind(pattern, kind) for pattern in patterns))
