"""What policy is asked about, as a value: the request with its facts, and the frames that it is decided in.

A fact that is absent or null is unknown, and never helps. These take a name from what stands beside them where they
are absent (not where they are null): `realPath` is `path`, `labels` are none, `depth` is 0, `batchCount` is the number
of items, `requiredScopes` are none. The shapes are those of the JSON lines of `cowork policy evaluate`.
"""

from datetime import datetime
from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType


class _Struct(msgspec.Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True, rename="camel"):
    """How the parts are read and written. Facts that nobody asks about are let pass."""


class Item(_Struct, frozen=True):
    """One of several things that one request is about; what it does not say, the request says."""

    path: str | UnsetType | None = UNSET
    real_path: str | UnsetType | None = UNSET
    to_path: str | UnsetType | None = UNSET
    to_real_path: str | UnsetType | None = UNSET
    file_size_bytes: int | float | UnsetType | None = UNSET
    target_exists: bool | UnsetType | None = UNSET
    link_count: int | UnsetType | None = UNSET
    host: str | UnsetType | None = UNSET
    method: str | UnsetType | None = UNSET


class Request(_Struct, frozen=True):
    """One thing that an agent wants to do, and what is known about it.

    `commands` are the simple commands of a script, each a list of tokens, unknown where the script could not be read.
    `fileSizeBytes` is the size of the file, or of what is sent. `linkCount` is the number of names of the file.
    `annotations` are a tool's hints, which count only where `toolTrusted` is true. `labels` name untrusted origins of
    the input (`web`, `connector`). `usage` is what each limit has counted so far, by the limit's id; `cost` what this
    request costs, by unit. `caseInsensitivePaths` says how the volume compares names.
    """

    action: str
    path: str | UnsetType | None = UNSET
    real_path: str | UnsetType | None = UNSET
    to_path: str | UnsetType | None = UNSET
    to_real_path: str | UnsetType | None = UNSET
    file_size_bytes: int | float | None = None
    target_exists: bool | None = None
    link_count: int | None = None
    host: str | None = None
    method: str | None = None
    connector: str | None = None
    required_scopes: tuple[str, ...] | None = ()
    tool: str | None = None
    tool_trusted: bool | None = None
    tool_digest: str | None = None
    annotations: dict[str, object] | None = None
    commands: tuple[tuple[str, ...], ...] | None = None
    labels: tuple[str, ...] | None = ()
    depth: int | None = 0
    batch_count: int | UnsetType | None = UNSET
    now: datetime | None = None
    usage: dict[str, int | float | None] | None = None
    cost: dict[str, int | float | None] | None = None
    items: tuple[Item, ...] | UnsetType | None = UNSET
    case_insensitive_paths: bool = False
    session: str = ""
    task: str = ""
    workspace: str = ""


class _Closed(_Struct, frozen=True, forbid_unknown_fields=True):
    """A part of a scope: a key that nobody knows could have been meant to narrow it."""


class GrantedRoot(_Closed, frozen=True):
    """A granted folder: its absolute path, whether it may be changed, and until when it is in force."""

    root: str
    mode: Literal["r", "rw"] = "rw"
    expires_at: datetime | None = None
    revoked: bool = False


class GrantedConnector(_Closed, frozen=True):
    """A granted connector: the scopes it has, and whether it may be asked to change things."""

    id: str
    scopes: tuple[str, ...] = ()
    allow_actions: bool = False
    expires_at: datetime | None = None
    revoked: bool = False


class FrameScope(_Closed, frozen=True):
    """What one frame (the session, or one subagent in it) was granted. Without `maxDepth` any depth will do."""

    grants: tuple[GrantedRoot, ...] = ()
    output_roots: tuple[str, ...] = ()
    host_allowlist: tuple[str, ...] = ()
    connectors: tuple[GrantedConnector, ...] = ()
    protected_roots: tuple[str, ...] = ()
    max_depth: int | None = None
