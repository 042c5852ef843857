"""What an action did: the changes that it made and the result that it brought back."""

from typing import Literal, TypeAlias

import msgspec

from .action import Content, Location

Change: TypeAlias = Literal["create", "update", "delete", "rename", "move"]


class Effect(msgspec.Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True, rename="camel"):
    """One change to one file or folder.

    Digests are `sha256:<hex>` (of a folder: of its manifest). `kept` says where the bytes from before can be found:
    `blob:<digest>` or `quarantine:<name>`. `new_folders` are the parents created on the way. `mode_before` and
    `mode_after` are the permission bits of a file whose action sets them: the same bytes may have become executable.
    """

    change: Change
    at: Location
    previous: Location | None = None
    before: str = ""
    after: str = ""
    kept: str = ""
    new_folders: tuple[str, ...] = ()
    mode_before: int | None = None
    mode_after: int | None = None


class Output(msgspec.Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True, rename="camel"):
    """What a command printed, secrets masked, in the blob store; `cut` is how many bytes more were let go."""

    content: Content
    cut: int = 0


class CommandReport(msgspec.Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True, rename="camel"):
    """How a command ended: `exit_code`, or the `signal` that ended it, or neither where a bound did.

    `hidden` counts the files and folders that policy kept from it; `left_out` says what of its changes can be no action
    (links, empty folders, devices), a sentence each. Bytes sent and received are those of its connections.
    """

    exit_code: int | None = None
    signal: int | None = None
    stdout: Output
    stderr: Output
    milliseconds: int = 0
    hidden: int = 0
    left_out: tuple[str, ...] = ()
    bytes_sent: int = 0
    bytes_received: int = 0


class ResponseReport(msgspec.Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True, rename="camel"):
    """What a server answered: status, headers, and `location` where it points elsewhere (which is not followed).

    `address` and `port` are those that were dialled, after the name was looked up once and its addresses were checked.
    """

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    location: str = ""
    address: str
    port: int
    bytes_sent: int = 0
    bytes_received: int = 0


class Result(msgspec.Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True, rename="camel"):
    """What an action brought back: one sentence, and the whole of it in the blob store (`sha256:<hex>`, bytes).

    Of a command that is what it printed, of a request the body of the answer.
    """

    summary: str
    digest: str = ""
    size: int = 0
    command: CommandReport | None = None
    response: ResponseReport | None = None
