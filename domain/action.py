"""What an agent may ask for: one frozen struct per kind, its canonical bytes and its digest.

The digest is what a person approves and what is checked again before anything runs. It is the SHA-256 of the
action's canonical bytes (UTF-8 JSON, keys sorted, no spaces, the kind under `kind`; the form of RFC 8785 for the
values that occur here), with a prefix that keeps it apart from every other digest.
"""

import hashlib
import re
from typing import Final, Literal, TypeAlias

import msgspec

_PORT: Final = re.compile(r":[0-9]+$")
ACTION_DOMAIN: Final = b"cowork.action.v1\n"

MODE_MAX: Final = 0o777
"""The permission bits that an action may set: reading, writing and executing, never the set-id and sticky bits."""


class Location(msgspec.Struct, frozen=True, rename="camel", gc=False):
    """A place beneath a granted folder. `grant_id` is empty where no grant is meant; `path` as in `domain/path.py`."""

    grant_id: str
    path: str


class Content(msgspec.Struct, frozen=True, gc=False):
    """Bytes kept in the blob store: their digest (`sha256:<hex>`) and their size in bytes."""

    digest: str
    size: int


class _Action(
    msgspec.Struct, frozen=True, gc=False, kw_only=True, tag_field="kind", rename="camel", omit_defaults=True
):
    """Fields are part of the digest: adding one with a default leaves older digests as they were."""


class FileList(_Action, frozen=True, kw_only=True, tag="file.list"):
    """List a folder; with `recursive`, everything beneath it."""

    at: Location
    recursive: bool = False


class FileSearch(_Action, frozen=True, kw_only=True, tag="file.search"):
    """Search file contents beneath `at` for an RE2 `pattern`, in the files whose relative path matches `glob`."""

    at: Location
    pattern: str
    glob: str = ""


class FileRead(_Action, frozen=True, kw_only=True, tag="file.read"):
    """Read a file, or `length` bytes of it from `offset`."""

    at: Location
    offset: int = 0
    length: int | None = None


class FileWrite(_Action, frozen=True, kw_only=True, tag="file.write"):
    """Write a whole file, replacing what is there. `mode` sets its permission bits; without it they stay.

    With a `base` (`sha256:<hex>`) it replaces a file that holds just that, and is refused where anything else stands;
    with a `base_mode`, one that has just those permission bits.
    """

    at: Location
    content: Content
    mode: int | None = None
    base: str = ""
    base_mode: int | None = None


class FileCreate(_Action, frozen=True, kw_only=True, tag="file.create"):
    """Write a new file; refused where something exists. `mode` gives its permission bits, less the umask's."""

    at: Location
    content: Content
    mode: int | None = None


class FileRename(_Action, frozen=True, kw_only=True, tag="file.rename"):
    """Give a file or folder another name; never replaces anything."""

    at: Location
    to: Location


class FileMove(_Action, frozen=True, kw_only=True, tag="file.move"):
    """Move a file or folder; never replaces anything."""

    at: Location
    to: Location


class FileDelete(_Action, frozen=True, kw_only=True, tag="file.delete"):
    """Delete a file or folder: it goes to quarantine, from where it can be put back.

    With a `base` (`sha256:<hex>`, of a folder that of its manifest) it is refused where anything else stands there.
    """

    at: Location
    base: str = ""


class FileRestore(_Action, frozen=True, kw_only=True, tag="file.restore"):
    """Put back what an action deleted or replaced: it gets the place again, whose name must be free.

    `kept` is `quarantine:<name>` as the effect of that action has it, `digest` what was there (`sha256:<hex>`, of a
    folder that of its manifest). Only the engine asks for it, to undo: a plan can't.
    """

    at: Location
    kept: str
    digest: str


class ShellExec(_Action, frozen=True, kw_only=True, tag="shell.exec"):
    """Run a command: an argument vector, never a string that a shell would parse."""

    argv: tuple[str, ...]
    cwd: Location
    env: tuple[tuple[str, str], ...] = ()
    stdin: Content | None = None
    network: tuple[str, ...] = ()
    writes: Literal["none", "staged"] = "none"
    timeout_s: int | None = None


class CodeRun(_Action, frozen=True, kw_only=True, tag="code.run"):
    """Run Python source."""

    python: str
    cwd: Location
    args: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    stdin: Content | None = None
    network: tuple[str, ...] = ()
    writes: Literal["none", "staged"] = "none"
    timeout_s: int | None = None


class NetworkRequest(_Action, frozen=True, kw_only=True, tag="network.request"):
    """Send one HTTP request."""

    method: str
    url: str
    headers: tuple[tuple[str, str], ...] = ()
    body: Content | None = None


class ConnectorRead(_Action, frozen=True, kw_only=True, tag="connector.read"):
    """Call a connector's tool that only reads. `arguments` is canonical JSON text."""

    connector: str
    tool: str
    arguments: str = "{}"


class ConnectorAction(_Action, frozen=True, kw_only=True, tag="connector.action"):
    """Call a connector's tool that changes something. `arguments` is canonical JSON text."""

    connector: str
    tool: str
    arguments: str = "{}"


class SubagentSpawn(_Action, frozen=True, kw_only=True, tag="subagent.spawn"):
    """Start a subagent. `scope` and `steps` are canonical JSON text, as the plan gave them."""

    title: str
    scope: str = "{}"
    steps: str = "[]"


FileAction: TypeAlias = (
    FileList | FileSearch | FileRead | FileWrite | FileCreate | FileRename | FileMove | FileDelete | FileRestore
)
CommandAction: TypeAlias = ShellExec | CodeRun
ConnectorCall: TypeAlias = ConnectorRead | ConnectorAction
Action: TypeAlias = FileAction | CommandAction | NetworkRequest | ConnectorCall | SubagentSpawn

ActionKind = Literal[
    "file.list",
    "file.search",
    "file.read",
    "file.write",
    "file.create",
    "file.rename",
    "file.move",
    "file.delete",
    "file.restore",
    "shell.exec",
    "code.run",
    "network.request",
    "connector.read",
    "connector.action",
    "subagent.spawn",
]

ACTION_TYPES: Final[dict[ActionKind, type[Action]]] = {
    "file.list": FileList,
    "file.search": FileSearch,
    "file.read": FileRead,
    "file.write": FileWrite,
    "file.create": FileCreate,
    "file.rename": FileRename,
    "file.move": FileMove,
    "file.delete": FileDelete,
    "file.restore": FileRestore,
    "shell.exec": ShellExec,
    "code.run": CodeRun,
    "network.request": NetworkRequest,
    "connector.read": ConnectorRead,
    "connector.action": ConnectorAction,
    "subagent.spawn": SubagentSpawn,
}
_KIND_OF: Final[dict[type[Action], ActionKind]] = {struct: kind for kind, struct in ACTION_TYPES.items()}
_ENCODER: Final = msgspec.json.Encoder(order="sorted")


def kind_of(action: Action) -> ActionKind:
    """Return the action's kind, such as `file.move`."""
    return _KIND_OF[type(action)]


def locations_of(action: Action) -> tuple[Location, ...]:
    """Return every place that the action names, the source first."""
    match action:
        case FileRename(at=at, to=to) | FileMove(at=at, to=to):
            return (at, to)
        case FileList(at=at) | FileSearch(at=at) | FileRead(at=at) | FileDelete(at=at):
            return (at,)
        case FileWrite(at=at) | FileCreate(at=at) | FileRestore(at=at):
            return (at,)
        case ShellExec(cwd=cwd) | CodeRun(cwd=cwd):
            return (cwd,)
        case NetworkRequest() | ConnectorRead() | ConnectorAction() | SubagentSpawn():
            return ()


def sets_mode(action: Action) -> bool:
    """Whether the action sets permission bits, in place of those that a file has."""
    return isinstance(action, (FileWrite, FileCreate)) and action.mode is not None


def hosts_of(action: Action) -> tuple[str, ...]:
    """Return the hosts that a command asks to reach, as the plan wrote them."""
    return action.network if isinstance(action, (ShellExec, CodeRun)) else ()


def connections_of(action: Action) -> tuple[NetworkRequest, ...]:
    """Return, for each host that a command asks to reach, the request that stands for opening a way to it."""
    return tuple(NetworkRequest(method="CONNECT", url=url) for host in hosts_of(action) for url in _ways_to(host))


def _ways_to(host: str) -> tuple[str, ...]:
    # Without a port a host stands for the two of the web, as in every list of hosts.
    return (f"https://{host}/",) if _PORT.search(host) else (f"https://{host}/", f"http://{host}/")


def canonical_bytes(action: Action) -> bytes:
    """Return the bytes that stand for the action and for nothing else."""
    return _ENCODER.encode(action)


def digest_of(action: Action) -> str:
    """Return `sha256:<hex>` of the action's canonical bytes."""
    return f"sha256:{hashlib.sha256(ACTION_DOMAIN + canonical_bytes(action)).hexdigest()}"
