"""What a person asks policy about: an action that nobody proposed, with as much as they know of it."""

import msgspec

from ..domain.action import (
    Action,
    ActionKind,
    CodeRun,
    ConnectorAction,
    ConnectorRead,
    Content,
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
from ..domain.errors import DomainError
from ..domain.facts import ABSENT, FileState
from ..domain.scope import Scope
from .binding import bind


class Inquiry(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """An action to ask about. Paths are written as in a plan; what is None is not known, and never helps.

    `exists` and `size` (bytes) are of the file itself, of a move `exists` is of its destination. `url` is an address
    or a host. `command` is an argument vector. `links` is the number of the file's names.
    """

    kind: ActionKind
    path: str = ""
    to: str = ""
    url: str = ""
    method: str = "GET"
    command: tuple[str, ...] = ()
    connector: str = ""
    tool: str = ""
    exists: bool | None = None
    size: int | None = None
    links: int | None = None
    batch: int = 1
    depth: int = 0
    labels: tuple[str, ...] = ()

    def action(self, scope: Scope) -> Action:
        """Return it as an action, its places bound to the scope's grants. Raises `DomainError` invalid."""
        return bind(self._unbound(), scope)

    def _unbound(self) -> Action:
        at = Location("", self._needed("path", self.path)) if self.kind.startswith("file.") else Location("", self.path)
        content = Content("", self.size or 0)
        match self.kind:
            case "file.list":
                return FileList(at=at)
            case "file.search":
                return FileSearch(at=at, pattern="")
            case "file.read":
                return FileRead(at=at)
            case "file.write":
                return FileWrite(at=at, content=content)
            case "file.create":
                return FileCreate(at=at, content=content)
            case "file.rename":
                return FileRename(at=at, to=Location("", self._needed("to", self.to)))
            case "file.move":
                return FileMove(at=at, to=Location("", self._needed("to", self.to)))
            case "file.delete":
                return FileDelete(at=at)
            case "file.restore":
                return FileRestore(at=at, kept="", digest="")
            case "shell.exec":
                return ShellExec(argv=self.command, cwd=Location("", self.path or "."))
            case "code.run":
                return CodeRun(python="", cwd=Location("", self.path or "."))
            case "network.request":
                url = self._needed("url", self.url)
                return NetworkRequest(method=self.method, url=url if "://" in url else f"https://{url}/")
            case "connector.read":
                return ConnectorRead(connector=self.connector, tool=self.tool)
            case "connector.action":
                return ConnectorAction(connector=self.connector, tool=self.tool)
            case "subagent.spawn":
                return SubagentSpawn(title="")

    def _needed(self, name: str, value: str) -> str:
        if not value:
            raise DomainError("invalid", f"`{self.kind}` needs a {name}", f"say which {name} is meant")
        return value

    def state(self) -> FileState | None:
        """Return what is known of the file, as far as invariants ask."""
        if self.exists is None:
            return None
        return FileState("file", size=self.size or 0, links=self.links or 1) if self.exists else ABSENT
