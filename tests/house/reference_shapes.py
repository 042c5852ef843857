"""The reference of everything that is written as JSON, from the frozen structs themselves."""

import importlib
import inspect
import types
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, ClassVar, Final, Literal, Union, get_args, get_origin

import msgspec

_PLAIN: Final[dict[object, str]] = {
    str: "text",
    int: "integer",
    float: "number",
    bool: "true or false",
    datetime: "time",
    object: "any JSON value",
    dict: "object",
}

_NULL: Final = " or null"


def described(struct: type[msgspec.Struct]) -> list[str]:
    """Return a struct's docstring and the table of its fields, with the names that they have in JSON."""
    fields = msgspec.structs.fields(struct)
    text = inspect.getdoc(struct) or ""
    for field in fields:
        text = text.replace(f"`{field.name}`", f"`{field.encode_name}`")
    config = struct.__struct_config__
    tag = f"| `{config.tag_field}` | `{config.tag}` |" if config.tag_field else ""
    if not config.omit_defaults:
        rows = [tag, *(f"| `{field.encode_name}` | {kind_words(field.type)} |" for field in fields)]
        return [*text.splitlines(), "", "| field | value |", "| --- | --- |", *filter(None, rows)]
    rows = [f"{tag} never |"] if tag else []
    for field in fields:
        rows.append(f"| `{field.encode_name}` | {kind_words(field.type).removesuffix(_NULL)} | {_absent(field)} |")
    return [*text.splitlines(), "", "| field | value | left out |", "| --- | --- | --- |", *rows]


def _absent(field: Any) -> str:
    if field.required:
        return "never"
    if field.default is msgspec.NODEFAULT:
        return "where empty"
    if field.default is None or isinstance(field.default, msgspec.UnsetType):
        return "where there is none"
    empty = field.default in ("", ()) and not isinstance(field.default, bool | int)
    return "where empty" if empty else f"where it is `{_shown(field.default)}`"


def _shown(value: object) -> str:
    return msgspec.json.encode(value).decode()


def kind_words(kind: Any) -> str:
    """Return what kind of JSON value a field has, in words."""
    if kind in _PLAIN:
        return _PLAIN[kind]
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Literal and arguments == importlib.import_module("cowork.domain.reason").REASON_CODES:
        return "a [reason code](reason-codes.md)"
    if origin is Literal and arguments == importlib.import_module("cowork.domain.policy_document").KINDS:
        return "a [kind of action](actions.md)"
    if origin is Literal:
        return " or ".join(f"`{value}`" if value else "empty" for value in arguments)
    if origin is tuple and arguments[-1] is not ...:
        return f"list of {len(arguments)}: {', '.join(map(kind_words, arguments))}"
    if origin in (tuple, frozenset):
        return f"list of {kind_words(arguments[0])}"
    if origin is dict:
        return f"object, each value {kind_words(arguments[1])}"
    if origin in (Union, types.UnionType):
        arguments = tuple(one for one in arguments if one is not msgspec.UnsetType)
        null = _NULL if types.NoneType in arguments else ""
        return _one_of([one for one in arguments if one is not types.NoneType]) + null
    assert inspect.isclass(kind), f"the reference has no words for {kind}"
    return _link(kind)


def _one_of(kinds: Sequence[Any]) -> str:
    if all(_is_action(kind) for kind in kinds) and len(kinds) > 1:
        return "an [action](actions.md)"
    rest = [kind for kind in kinds if not _is_action(kind)]
    action = ["an [action](actions.md)"] if len(rest) < len(kinds) else []
    return " or ".join([*action, *map(kind_words, rest)])


def _is_action(kind: Any) -> bool:
    return kind in importlib.import_module("cowork.domain.action").ACTION_TYPES.values()


def _link(struct: type) -> str:
    return f"[{struct.__name__}]({_page_of(struct)}#{struct.__name__.lower()})"


def _page_of(struct: type) -> str:
    pages = {"cowork.domain.action": "actions.md"}
    if struct in _values():
        return "events.md"
    return pages.get(struct.__module__, "json-shapes.md")


# Events


def events() -> list[str]:
    """Return a section for each event, those of one aggregate after the other."""
    topics = importlib.import_module("cowork.domain.topics")
    lines: list[str] = []
    aggregate = ""
    for topic, event in topics.EVENT_OF_TOPIC.items():
        if topic.partition(".")[0] != aggregate:
            aggregate = topic.partition(".")[0]
            lines += [f"## Of a {aggregate}", ""]
        lines += [f"### `{topic}`", "", *described(event), ""]
    return lines[:-1]


def _values() -> list[type[msgspec.Struct]]:
    """Return the structs that events hold, at any depth, without actions and what only actions hold."""
    topics = importlib.import_module("cowork.domain.topics")
    found: dict[type[msgspec.Struct], None] = {}
    waiting: list[Any] = [field.type for event in topics.EVENT_TYPES for field in msgspec.structs.fields(event)]
    while waiting:
        kind = waiting.pop(0)
        if inspect.isclass(kind) and issubclass(kind, msgspec.Struct):
            if kind not in found and kind.__module__ != "cowork.domain.action":
                found[kind] = None
                waiting += [field.type for field in msgspec.structs.fields(kind)]
        else:
            waiting += [one for one in get_args(kind) if one is not ... and not isinstance(one, str)]
    return list(found)


def values_in_events() -> list[str]:
    """Return a section for each kind of object that events hold."""
    lines: list[str] = []
    for struct in sorted(_values(), key=lambda one: one.__name__):
        lines += [f"### {struct.__name__}", "", *described(struct), ""]
    return lines[:-1]


def actions() -> list[str]:
    """Return a section for each kind of action, then what they hold."""
    action = importlib.import_module("cowork.domain.action")
    lines: list[str] = []
    for kind, struct in action.ACTION_TYPES.items():
        lines += [f"## `{kind}`", "", *described(struct), ""]
    for struct in (action.Location, action.Content):
        lines += [f"## {struct.__name__}", "", *described(struct), ""]
    return lines[:-1]


# What commands print


class Shapes:
    """Where the structs are that commands print with `--json`, and which command prints each."""

    PRINTED: ClassVar[tuple[tuple[str, str, str], ...]] = (
        ("projections.task_status", "Task", "`cowork task list` (a list), `show`, `pause` and `cancel`"),
        ("projections.summary_shape", "TaskSummary", "`cowork task summary`"),
        ("projections.confirmation_inbox", "Confirmation", "`cowork confirmation list` (a list), and its others"),
        ("projections.active_grants", "FolderGrant", "`cowork grant list` (a list, with `HostGrant`s) and `revoke`"),
        ("projections.active_grants", "HostGrant", "`cowork grant list` (in its list, after the folders) and `revoke`"),
        ("projections.action_output", "ActionOutput", "`cowork task output`"),
        ("adapters.cli.session", "SessionShown", "`cowork session show` and `end`; `list` prints a list of `Session`s"),
        ("engine.keeping", "StoreStatus", "`cowork store status`"),
        ("engine.keeping", "CollectionReport", "`cowork store gc`"),
        ("adapters.cli.policy_show", "LayerInForce", "`cowork policy show` (a list)"),
        ("adapters.cli.policy_check", "PolicyFileCheck", "`cowork policy check` (a list)"),
        ("adapters.cli.policy_test", "PolicyTest", "`cowork policy test`"),
        ("domain.policy_finding", "LintReport", "`cowork policy lint`"),
        ("domain.policy_diff", "PolicyDiff", "`cowork policy diff`"),
        ("domain.policy_proof", "Proof", "`cowork policy prove`"),
        ("domain.policy_proof", "ReachReport", "`cowork policy who-can`"),
        ("engine.explain", "Explanation", "`cowork policy explain`"),
        ("engine.explain_at", "AtPosition", "`cowork policy explain --at` and `--session`"),
        ("engine.backtest_report", "BacktestReport", "`cowork policy backtest`"),
        ("engine.tighten_report", "Proposal", "`cowork policy tighten`"),
        ("adapters.cli.policy_approvals", "RememberedApproval", "`cowork policy approvals list` (a list) and `revoke`"),
        ("adapters.cli.policy_trust", "TrustedFolder", "`cowork policy trust`; `trusted` and `distrust` (a list)"),
        ("projections.audit_log", "AuditRow", "`cowork audit log` (a list)"),
        ("engine.audit_finding", "AuditReport", "`cowork audit check`"),
        ("adapters.cli.event_json", "EventObject", "`cowork run`, `resume` and `replay`, one on each line"),
        ("adapters.cli.event_json", "TaskEnd", "`cowork run` and `resume`, on the last line of each task"),
        ("engine.resume_report", "ResumeReport", "`cowork resume --report-only` (without an id: a list)"),
        ("engine.undo_report", "UndoReport", "`cowork undo`, on the first line; alone with `--dry-run`"),
        ("projections.digest_report", "Digest", "`cowork digest`"),
        ("adapters.cli.doctor", "Check", "`cowork doctor`, in the list `checks`"),
    )  # fmt: skip


def json_shapes() -> list[str]:
    """Return a section for each object that a command prints, each followed by the objects that it holds."""
    lines: list[str] = []
    seen: set[type] = set(_values())
    for module, name, printed in Shapes.PRINTED:
        struct = _struct(module, name)
        lines += [f"## {name}", "", f"Printed by {printed}.", "", *described(struct), ""]
        seen.add(struct)
        for held in _held(struct):
            if held not in seen:
                seen.add(held)
                lines += [f"### {held.__name__}", "", *described(held), ""]
    return lines[:-1]


def _struct(module: str, name: str) -> type[msgspec.Struct]:
    found = vars(importlib.import_module(f"cowork.{module}"))[name]
    assert isinstance(found, type), f"{module} has no {name}"
    return found


def _held(struct: type[msgspec.Struct]) -> Iterator[type[msgspec.Struct]]:
    """Yield the structs in the fields of a struct, at any depth."""
    for field in msgspec.structs.fields(struct):
        for kind in _parts(field.type):
            if inspect.isclass(kind) and issubclass(kind, msgspec.Struct):
                yield kind
                yield from _held(kind)


def _parts(kind: Any) -> Iterator[Any]:
    yield kind
    for part in get_args(kind):
        yield from _parts(part)
