"""The reference of policy: the shipped documents rule by rule, what they answer, and what a condition asks about."""

import importlib
from collections.abc import Iterator
from typing import Any, Final

import msgspec


def _module(name: str) -> Any:
    return importlib.import_module(f"cowork.{name}")


def baseline_rules() -> list[str]:
    """Return the rules of the baseline, in their order."""
    return _rules(_module("domain.baseline").BASELINE.document)


def floor_rules() -> list[str]:
    """Return the rules of the floor."""
    return _rules(_module("domain.baseline").FLOOR.document)


def _rules(document: Any) -> list[str]:
    lines = ["| rule | actions | when | answer |", "| --- | --- | --- | --- |"]
    for rule in document.rules:
        kinds = ", ".join(f"`{kind}`" for kind in rule.actions)
        when = ", ".join(_condition(name, value) for name, value in msgspec.to_builtins(rule.when).items())
        lines.append(f"| `{rule.id}` | {kinds} | {when or 'always'} | {_answer(rule)} |")
    return lines


def _condition(name: str, value: object) -> str:
    return f"`{name}`" if value is True else f"`{name}` = {msgspec.json.encode(value).decode()}"


def _answer(rule: Any) -> str:
    match rule.decision:
        case "deny":
            return f"denied (`{rule.code}`)"
        case "allow":
            return "allowed"
        case _:
            return "asked" if rule.remember else "asked, every time"


# What the baseline answers

_ROOT: Final = "/home/ann/work"
_PLACES: Final = {
    "in an output folder": "out/new.csv",
    "elsewhere in the grant": "notes/a.txt",
    "hidden": "notes/.draft",
    "credentials or keys": "server.pem",
    "run or obeyed by programs": "CLAUDE.md",
}
_ROWS: Final = (
    ("list, search", "file.list", True, ""),
    ("read", "file.read", True, ""),
    ("create", "file.create", False, ""),
    ("write, where nothing is", "file.write", False, ""),
    ("write, over a file", "file.write", True, ""),
    ("rename, move", "file.move", False, f"{_ROOT}/moved.txt"),
    ("move to another granted folder", "file.move", False, "/home/ann/archive/moved.txt"),
    ("delete", "file.delete", True, ""),
)
_WORDS: Final = {"allow": "allowed", "allow_with_confirm": "asked", "deny": "denied"}


def baseline_decisions() -> list[str]:
    """Return what is answered under the baseline, by what is done and where, as the evaluator answers it."""
    columns = [*_PLACES, "a file with other names", "outside every grant"]
    lines = [f"| | {' | '.join(columns)} |", f"| --- |{' --- |' * len(columns)}"]
    for title, kind, is_there, to_path in _ROWS:
        cells = [_asked(kind, f"{_ROOT}/{path}", to_path, is_there=is_there) for path in _PLACES.values()]
        has_names = kind not in ("file.list", "file.create") and (is_there or to_path)
        cells.append(_asked(kind, f"{_ROOT}/notes/a.txt", to_path, is_there=is_there, links=2) if has_names else "-")
        cells.append(_asked(kind, "/etc/passwd", to_path, is_there=is_there))
        lines.append(f"| {title} | {' | '.join(cells)} |")
    return [*lines, "", *_other_decisions()]


_COMMANDS: Final = ("shell.exec", "code.run")
_CLOSED: Final = ("connector.read", "connector.action")


def _other_decisions() -> list[str]:
    """Return what is answered where it is not about a place of a file."""
    rows = {
        "`shell.exec`, `code.run`, in a granted folder": [_asked(kind, _ROOT, "") for kind in _COMMANDS],
        "`shell.exec`, `code.run`, elsewhere": [_asked(kind, "/etc", "") for kind in _COMMANDS],
        "`network.request`, to a granted host": [_asked("network.request", "", "", host="api.example.com")],
        "`network.request`, to another": [_asked("network.request", "", "", host="example.org")],
        "`subagent.spawn`": [_asked("subagent.spawn", "", "")],
        ", ".join(f"`{kind}`" for kind in _CLOSED): [_asked(kind, "", "") for kind in _CLOSED],
    }
    for title, answers in rows.items():
        assert len(set(answers)) == 1, f"{title}: one row can't say that"
    return ["| | |", "| --- | --- |", *(f"| {title} | {answers[0]} |" for title, answers in rows.items())]


def _asked(kind: str, path: str, to_path: str, *, is_there: bool = False, links: int = 1, host: str = "") -> str:
    asked = _module("domain.policy_request")
    decision = _module("domain.policy_decision")
    baseline = _module("domain.baseline")
    facts: dict[str, Any] = {"target_exists": is_there, "link_count": links}
    if path:
        facts["path"] = path
    if to_path:
        facts["to_path"] = to_path
    if kind == "network.request":
        facts |= {"host": host, "method": "GET"}
    if kind.startswith("connector."):
        facts |= {"connector": "mail", "tool": "search"}
    if kind in _COMMANDS:
        facts |= {"commands": (("ls",),)}
    scope = asked.FrameScope(
        grants=(asked.GrantedRoot(root=_ROOT), asked.GrantedRoot(root="/home/ann/archive")),
        output_roots=(f"{_ROOT}/out",),
        host_allowlist=("api.example.com",),
        connectors=(asked.GrantedConnector(id="mail", allow_actions=True),),
    )
    frame = decision.ready_frame(scope, (baseline.BASELINE, baseline.FLOOR))
    return _WORDS[decision.judge((frame,), asked.Request(action=kind, **facts)).verdict]


# The language

_FILES: Final = "every `file.` action"
_PLACE: Final = "where there is a path"
_CONDITIONS: Final[dict[str, tuple[str, str]]] = {
    "pathWithinGrant": ("true, false", "the path lies in a folder that is granted, and whose grant is in force"),
    "pathWithinOutputRoot": ("true, false", "the path lies in an output folder (`--output`)"),
    "matchesPattern": ("[patterns](#patterns)", "the whole absolute path matches one of them"),
    "fileSizeGreaterThan": ("bytes", "the file, or what is sent, is larger"),
    "hostInAllowlist": ("true, false", "the host is on the session's own list"),
    "connectorScopeAllowed": ("true, false", "the connector is granted with every scope that the call needs"),
    "extensionIn": ("extensions", "the file's name ends in one of them, upper or lower case: `.md`, `.tar.gz`"),
    "hidden": ("true, false", "a name below the granted folder begins with a dot"),
    "sensitive": ("true, false", "a name below the granted folder is on the [list of credentials](places.md)"),
    "executed": ("true, false", "a name below the granted folder is on the [list of executed places](places.md)"),
    "crossRoot": ("true, false", "no one granted folder holds both ends of the move"),
    "hardLink": ("true, false", "the file has more than one name"),
    "targetExists": ("true, false", "something is at the path already; for a move, at its destination"),
    "hostMatches": ("[hosts](#hosts)", "the host is one of them"),
    "methodIn": ("methods", "the method is one of them, upper or lower case: `GET`, `POST`"),
    "connectorIn": ("names", "the connector is one of them"),
    "toolMatches": ("names", "the tool's name is one of them; `*` in it stands for any characters"),
    "toolHint": ("[hints](#connectors)", "a trusted tool says all of this of itself"),
    "commandPrefix": ("[commands](#commands)", "the command begins with one of them"),
    "tainted": ("true, false", "the action follows from what an outsider wrote"),
    "taintIn": ("labels", "it follows from one of these: `web`, `connector`"),
    "subagentDepthGreaterThan": ("number", "the agent is more than so many levels below the session's own (0)"),
    "batchCountGreaterThan": ("number", "the step is about more than so many things at once"),
    "timeWindow": ("[window](#windows)", "now lies in it"),
}


def conditions() -> list[str]:
    """Return what the conditions of a rule ask about, those of version 1.0 first."""
    document = _module("domain.policy_document")
    fields = msgspec.structs.fields(document.Conditions)
    assert [field.encode_name for field in fields] == list(_CONDITIONS), "say what each condition asks about, in order"
    rows: list[str] = []
    for field in fields:
        version = "1.0, 1.1" if field.name in document.CONDITIONS_1_0 else "1.1"
        value, holds = _CONDITIONS[field.encode_name]
        rows.append(f"| `{field.encode_name}` | {version} | {value} | {_about(field.name)} | {holds} |")
    return ["| key | version | value | about | holds where |", "| --- | --- | --- | --- | --- |", *rows]


def _about(name: str) -> str:
    columns = _module("domain.policy_column")
    kinds = columns.ABOUT.get(name)
    if kinds is None:
        return _PLACE if name in _OF_PLACE else "every action"
    if kinds == columns.FILES:
        return _FILES
    if kinds >= columns.FILES:
        return f"{_FILES}, {', '.join(sorted(_families(kinds - columns.FILES)))}"
    return ", ".join(sorted(_families(kinds)))


_OF_PLACE: Final = (
    "path_within_grant",
    "path_within_output_root",
    "matches_pattern",
    "extension_in",
    "hidden",
    "sensitive",
    "executed",
)


def _families(kinds: Any) -> Iterator[str]:
    if {"connector.read", "connector.action"} <= kinds:
        yield "`connector.*`"
        kinds = kinds - {"connector.read", "connector.action"}
    yield from (f"`{kind}`" for kind in kinds)


def actions() -> list[str]:
    """Return the kinds of action, each with the kind that version 1.0 means where it does not name it."""
    document = _module("domain.policy_document")
    aliases = {kind: f"`{alias}`" for kind, alias in document.ALIASES.items()}
    rows = [f"| `{kind}` | {aliases.get(kind, '-')} |" for kind in document.KINDS]
    return ["| action | in version 1.0 also reached by |", "| --- | --- |", *rows]


def claims() -> list[str]:
    """Return the flags that a claim may name."""
    flags = _module("domain.policy_claim").FLAGS
    return [", ".join(f"`{flag}`" for flag in flags)]


def findings() -> list[str]:
    """Return what a lint may say."""
    codes = _module("domain.policy_finding").CODES
    return ["| finding | meaning |", "| --- | --- |", *(f"| `{code}` | {text} |" for code, text in codes.items())]
