"""An action in words for a line on a screen: `move a.csv to invoices/a.csv`. All of it visible text."""

from collections.abc import Sequence
from typing import assert_never

from ...domain.action import (
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
    Location,
    NetworkRequest,
    ShellExec,
    SubagentSpawn,
)
from ...projections.measure import executable_word
from ...projections.place_names import PlaceNames
from ...projections.visible_text import quoted, visible
from .layout import plural


def words_of(action: Action, names: PlaceNames) -> str:
    """Return what the action does and to what."""
    match action:
        case FileList(at=at, recursive=recursive):
            return f"list {_place(at, names)}{' and all beneath it' if recursive else ''}"
        case FileSearch(at=at, pattern=pattern):
            return f"search {_place(at, names)} for {quoted(pattern)}"
        case FileRead(at=at):
            return f"read {_place(at, names)}"
        case FileWrite(at=at, content=content, mode=mode):
            return f"write {_place(at, names)} ({plural(content.size, 'byte')}{executable_word(mode)})"
        case FileCreate(at=at, content=content, mode=mode):
            return f"create {_place(at, names)} ({plural(content.size, 'byte')}{executable_word(mode)})"
        case FileRename(at=at, to=to):
            return f"rename {_place(at, names)} to {_place(to, names)}"
        case FileMove(at=at, to=to):
            return f"move {_place(at, names)} to {_place(to, names)}"
        case FileDelete(at=at):
            return f"delete {_place(at, names)}"
        case FileRestore(at=at):
            return f"put back {_place(at, names)}"
        case ShellExec(argv=argv, network=network):
            return f"run {' '.join(map(quoted, argv))}{_reaching(network)}"
        case CodeRun(python=python, network=network):
            return f"run Python, {plural(len(python.splitlines()), 'line')}{_reaching(network)}"
        case NetworkRequest(method=method, url=url):
            return f"{visible(method)} {visible(url)}"
        case ConnectorRead(connector=connector, tool=tool) | ConnectorAction(connector=connector, tool=tool):
            return f"{visible(connector)}: {visible(tool)}"
        case SubagentSpawn(title=title):
            return f"start an agent {quoted(title)}"
        case _:
            assert_never(action)


def _reaching(hosts: Sequence[str]) -> str:
    return f", with {', '.join(map(visible, hosts))} within reach" if hosts else ""


def _place(place: Location, names: PlaceNames) -> str:
    """Return the place as a plan would write it; one that lies in no granted folder, exactly as it was asked for."""
    return visible(names.at(place) if place.grant_id else place.path)
