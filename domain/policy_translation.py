"""From what the engine knows to what policy is asked: an action with its facts as a `Request`, a scope as a frame's."""

from urllib.parse import urlsplit

from msgspec import UNSET

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
    Location,
    NetworkRequest,
    ShellExec,
    SubagentSpawn,
    kind_of,
)
from .facts import Facts, FileState
from .network_url import Url, parse_url
from .policy_command import simple_commands
from .policy_request import FrameScope, GrantedRoot, Request
from .scope import Scope


def frame_scope_of(scope: Scope) -> FrameScope:
    """Return a session's or subagent's grants as a frame has them: roots as absolute paths.

    A subagent that is kept to a part of a folder has the whole folder here: that part's name says what lies in it, and
    a rule about hidden files or about the folder itself holds for it as for its parent.
    """
    return FrameScope(
        grants=tuple(
            GrantedRoot(
                root=folder.root_path,
                mode="r" if set(folder.verbs) <= {"read"} else "rw",
                expires_at=folder.expires_at,
                revoked=folder.revoked,
            )
            for folder in scope.folders
        ),
        output_roots=tuple(folder.absolute(root) for folder in scope.folders for root in folder.output_roots),
        host_allowlist=scope.open_hosts,
    )


def request_of(action: Action, facts: Facts, scope: Scope, *, session: str = "", task: str = "") -> Request:
    """Return the request that policy decides about. What the facts leave out stays unknown."""
    target = facts.target
    folders = scope.folders
    first = folders[0].root_path if folders else ""

    def asked(
        at: Location | None = None,
        to: Location | None = None,
        *,
        size: int | None = None,
        exists: bool | None = None,
        commands: tuple[tuple[str, ...], ...] | None = None,
        host: str | None = None,
        method: str | None = None,
        connector: str | None = None,
        tool: str | None = None,
    ) -> Request:
        held = None if at is None else scope.folder(at.grant_id)
        return Request(
            action=kind_of(action),
            path=UNSET if at is None else absolute_path(at, scope),
            to_path=UNSET if to is None else absolute_path(to, scope),
            file_size_bytes=size,
            target_exists=exists,
            link_count=_links(target),
            commands=commands,
            host=host,
            method=method,
            connector=connector,
            # Which scopes a call needs is a fact of the connector's pin; until it is known, nothing can be granted.
            required_scopes=None,
            tool=tool,
            labels=facts.labels,
            depth=facts.depth,
            batch_count=facts.batch,
            now=facts.now,
            usage=dict(facts.usage),
            session=session,
            task=task,
            workspace=first if held is None else held.root_path,
        )

    match action:
        case FileList(at=at) | FileSearch(at=at) | FileRead(at=at) | FileDelete(at=at):
            return asked(at, size=_size(target), exists=_exists(target))
        case FileWrite(at=at, content=content) | FileCreate(at=at, content=content):
            return asked(at, size=content.size, exists=_exists(target))
        case FileRestore(at=at):
            return asked(at, size=_size(facts.kept), exists=_exists(target))
        case FileRename(at=at, to=to) | FileMove(at=at, to=to):
            return asked(at, to, size=_size(target), exists=_exists(facts.destination))
        case ShellExec(cwd=cwd, argv=argv):
            return asked(cwd, commands=simple_commands(argv))
        case CodeRun(cwd=cwd):
            return asked(cwd)
        case NetworkRequest(method=method, url=url, body=body):
            return asked(size=0 if body is None else body.size, host=_host(url), method=method)
        case ConnectorRead(connector=connector, tool=tool) | ConnectorAction(connector=connector, tool=tool):
            return asked(connector=connector, tool=tool)
        case SubagentSpawn():
            return asked()


def absolute_path(place: Location, scope: Scope) -> str:
    """Return a place as an absolute path; as it was written where no grant is meant."""
    folder = scope.folder(place.grant_id)
    return place.path if folder is None else folder.absolute(place.path)


def _exists(state: FileState | None) -> bool | None:
    return None if state is None else state.kind != "absent"


def _size(state: FileState | None) -> int | None:
    return None if state is None else state.size


def _links(state: FileState | None) -> int | None:
    if state is None:
        return None
    return state.links if state.kind == "file" else 1


def _host(url: str) -> str | None:
    """Return `host:port` of a URL, the scheme's port where none is written; None where there is none to be judged."""
    read = parse_url(url, length_max=len(url))
    if isinstance(read, Url):
        return f"{read.host.name}:{read.port}"
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    return parts.netloc.lower() if parts.scheme in ("http", "https") else None
