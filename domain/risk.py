"""Risk tags: short words for what an action may do to a person, computed from the action and its facts alone.

What the agent says about its action never adds or removes a tag.
"""

from typing import Final, Literal, TypeAlias, get_args

from .action import (
    Action,
    CodeRun,
    ConnectorAction,
    ConnectorRead,
    FileCreate,
    FileDelete,
    FileList,
    FileMove,
    FileRead,
    FileRename,
    FileRestore,
    FileSearch,
    FileWrite,
    NetworkRequest,
    ShellExec,
    SubagentSpawn,
    locations_of,
)
from .facts import Facts
from .path import has_hidden_characters
from .places import is_executed

RiskTag: TypeAlias = Literal[
    "delete",
    "overwrite",
    "network",
    "connector",
    "batch",
    "execute",
    "spawn",
    "cross-root",
    "hardlink",
    "host-executed",
    "hidden-characters",
    "untrusted",
]

RISK_TAGS: Final[tuple[RiskTag, ...]] = get_args(RiskTag)

RISK_WORDS: Final[dict[RiskTag, str]] = {
    "delete": "deletes",
    "overwrite": "overwrites",
    "network": "leaves the machine",
    "connector": "uses a connector",
    "batch": "many files",
    "execute": "runs code",
    "spawn": "starts another agent",
    "cross-root": "moves out of its granted folder",
    "hardlink": "the file has other names elsewhere",
    "host-executed": "other programs run or obey this file",
    "hidden-characters": "a name has hidden characters",
    "untrusted": "follows from what an outsider wrote",
}
"""What a person reads in place of a tag."""


def derive_risk_tags(action: Action, facts: Facts) -> tuple[RiskTag, ...]:
    """Return the action's risk tags, in the order of `RISK_TAGS`."""
    tags: set[RiskTag] = set(_tags_of_kind(action, facts))
    places = locations_of(action)
    if facts.batch > 1:
        tags.add("batch")
    if len({place.grant_id for place in places}) > 1:
        tags.add("cross-root")
    if facts.target is not None and facts.target.kind == "file" and facts.target.links > 1:
        tags.add("hardlink")
    if not isinstance(action, (FileRead, FileList, FileSearch)) and any(is_executed(p.path) for p in places):
        tags.add("host-executed")
    if any(has_hidden_characters(p.path) for p in places):
        tags.add("hidden-characters")
    if facts.labels is None or facts.labels:
        tags.add("untrusted")
    return tuple(tag for tag in RISK_TAGS if tag in tags) if tags else ()


def _tags_of_kind(action: Action, facts: Facts) -> tuple[RiskTag, ...]:
    match action:
        case FileDelete():
            return ("delete",)
        case FileWrite():
            # An unknown target may exist: only one known to be absent is not an overwrite.
            known_absent = facts.target is not None and facts.target.kind == "absent"
            return () if known_absent else ("overwrite",)
        case ShellExec(network=hosts) | CodeRun(network=hosts):
            return ("execute", "network") if hosts else ("execute",)
        case NetworkRequest():
            return ("network",)
        case ConnectorRead() | ConnectorAction():
            return ("connector",)
        case SubagentSpawn():
            return ("spawn",)
        case FileList() | FileSearch() | FileRead() | FileCreate() | FileRename() | FileMove() | FileRestore():
            return ()
