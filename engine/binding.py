"""Step (0) of the pipeline: a request's text becomes places beneath grants. Nothing is looked up, nothing expanded."""

import posixpath

import msgspec

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
    Location,
    NetworkRequest,
    ShellExec,
    SubagentSpawn,
)
from ..domain.path import components, find_problem, is_beneath, normal
from ..domain.plan import Batch
from ..domain.scope import Scope


def bind_text(text: str, scope: Scope) -> Location:
    """Return the place that a path in a plan means.

    Relative paths lie below the first grant; `name:path` below the grant of that name; an absolute path below the
    grant whose folder holds it. What lies nowhere has no grant id, and is denied; nor has what lies in a folder of one
    above a subagent that the subagent was not given.
    """
    if text.startswith("/"):
        for folder in scope.folders:
            if is_beneath(text, folder.root_path) and ".." not in text.split("/"):
                inside = components(text)[len(components(folder.root_path)) :]
                return Location(folder.grant_id, "/".join(inside) or ".")
        return Location("", text)
    name, colon, rest = text.partition(":")
    if colon:
        for folder in scope.folders:
            if folder.name == name:
                return Location(folder.grant_id, _tidy(rest or "."))
        if any(folder.name == name for one in scope.above for folder in one.folders):
            return Location("", text)
    if not scope.folders:
        return Location("", text)
    return Location(scope.folders[0].grant_id, _tidy(text))


def name_without_grant(text: str, scope: Scope) -> str:
    """Return what stands before the first colon of a path where it looks like a grant and none is called that."""
    name, colon, _ = text.partition(":")
    known = any(folder.name == name for folder in scope.folders)
    return name if colon and name and "/" not in name and not known else ""


def _tidy(path: str) -> str:
    # A path that is refused anyway stays as it was written, so that the refusal shows what was asked for.
    return path if find_problem(path, root_allowed=True) is not None else normal(path)


def bind_place(place: Location, scope: Scope) -> Location:
    """Return the place that one in a plan means: one that has its grant already is as it is."""
    return place if place.grant_id else bind_text(place.path, scope)


def bind(action: Action, scope: Scope) -> Action:
    """Return the action with its places bound to the scope's grants."""
    match action:
        case FileMove(at=at, to=to) | FileRename(at=at, to=to):
            source = bind_place(at, scope)
            into = posixpath.join(to.path, posixpath.basename(source.path)) if to.path.endswith("/") else to.path
            target = bind_place(msgspec.structs.replace(to, path=into), scope)
            return msgspec.structs.replace(action, at=source, to=target)
        case FileList(at=at) | FileSearch(at=at) | FileRead(at=at) | FileWrite(at=at) | FileCreate(at=at):
            return msgspec.structs.replace(action, at=bind_place(at, scope))
        case FileDelete(at=at) | FileRestore(at=at):
            return msgspec.structs.replace(action, at=bind_place(at, scope))
        case ShellExec(cwd=cwd) | CodeRun(cwd=cwd):
            return msgspec.structs.replace(action, cwd=bind_place(cwd, scope))
        case NetworkRequest() | ConnectorRead() | ConnectorAction() | SubagentSpawn():
            return action


def expand(batch: Batch, pattern: Location, paths: list[str], scope: Scope) -> list[Action]:
    """Return one action for each path that the batch's pattern matched."""
    sources = [Location(pattern.grant_id, path) for path in paths]
    match batch.of:
        case "file.read":
            return [FileRead(at=source) for source in sources]
        case "file.delete":
            return [FileDelete(at=source) for source in sources]
        case "file.move" | "file.rename":
            kind = FileMove if batch.of == "file.move" else FileRename
            folder = bind_text(batch.to, scope)
            return [
                kind(
                    at=source, to=Location(folder.grant_id, normal(f"{folder.path}/{posixpath.basename(source.path)}"))
                )
                for source in sources
            ]
