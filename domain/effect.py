"""What an action did: the changes that it made and the result that it brought back."""

from typing import Literal, TypeAlias

import msgspec

from .action import Location

Change: TypeAlias = Literal["create", "update", "delete", "rename", "move"]


class Effect(msgspec.Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True, rename="camel"):
    """One change to one file or folder.

    Digests are `sha256:<hex>` (of a folder: of its manifest). `kept` says where the bytes from before can be found:
    `blob:<digest>` or `quarantine:<name>`. `new_folders` are the parents created on the way.
    """

    change: Change
    at: Location
    previous: Location | None = None
    before: str = ""
    after: str = ""
    kept: str = ""
    new_folders: tuple[str, ...] = ()


class Result(msgspec.Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True, rename="camel"):
    """What an action brought back: one sentence, and the whole of it in the blob store (`sha256:<hex>`, bytes)."""

    summary: str
    digest: str = ""
    size: int = 0
