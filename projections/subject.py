"""What an action is about, as the columns that several tables keep: its kind, its places, or its words."""

from collections.abc import Mapping
from typing import Final, assert_never

from ..domain.action import (
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
    kind_of,
)
from .place_names import PlaceNames
from .row import ColumnType, Row, Scalar, text_of
from .visible_text import quoted, visible

SUBJECT_COLUMNS: Final[Mapping[str, ColumnType]] = {
    "kind": "text",
    "target_grant": "text",
    "target": "text",
    "to_grant": "text",
    "to_path": "text",
}
"""Of a `file.` kind `target` is a path below `target_grant`; of every other kind it is words, ready to be shown."""


def subject_of(action: Action) -> dict[str, Scalar]:
    """Return the columns of `SUBJECT_COLUMNS` that the action sets."""
    match action:
        case FileMove(at=at, to=to) | FileRename(at=at, to=to):
            return {
                "kind": kind_of(action),
                "target_grant": at.grant_id,
                "target": at.path,
                "to_grant": to.grant_id,
                "to_path": to.path,
            }
        case FileRead(at=at) | FileWrite(at=at) | FileCreate(at=at) | FileDelete(at=at) | FileRestore(at=at):
            return {"kind": kind_of(action), "target_grant": at.grant_id, "target": at.path}
        case FileList(at=at) | FileSearch(at=at):
            return {"kind": kind_of(action), "target_grant": at.grant_id, "target": at.path}
        case ShellExec(argv=argv):
            words = " ".join(map(quoted, argv))
        case CodeRun(python=python):
            words = f"Python, {len(python.splitlines())} lines"
        case NetworkRequest(method=method, url=url):
            words = f"{visible(method)} {visible(url)}"
        case ConnectorRead(connector=connector, tool=tool) | ConnectorAction(connector=connector, tool=tool):
            words = f"{visible(connector)}: {visible(tool)}"
        case SubagentSpawn(title=title):
            words = quoted(title)
        case _:
            assert_never(action)
    return {"kind": kind_of(action), "target": words}


def is_about_a_file(row: Row) -> bool:
    """Whether the row's action names a place beneath a grant."""
    return text_of(row, "kind").startswith("file.")


def target_in(row: Row, names: PlaceNames) -> str:
    """Return what the row's action is about, its text unchanged."""
    grant_id, target = text_of(row, "target_grant"), text_of(row, "target")
    return names.of(grant_id, target) if is_about_a_file(row) else target


def destination_in(row: Row, names: PlaceNames) -> str:
    """Return where the row's action moves its target, or an empty text."""
    path = text_of(row, "to_path")
    return names.of(text_of(row, "to_grant"), path) if path else ""


def shown_subject(row: Row, names: PlaceNames) -> str:
    """Return what the row's action is about for people: `a.csv` or `a.csv to invoices/a.csv`, in visible characters."""
    destination = destination_in(row, names)
    target = target_in(row, names)
    shown = visible(target) if is_about_a_file(row) else target
    return f"{shown} to {visible(destination)}" if destination else shown
