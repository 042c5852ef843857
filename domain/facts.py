"""What was found out about an action before it was decided: values only, recorded with the decision."""

from collections.abc import Iterable
from datetime import datetime
from typing import Final, Literal

import msgspec

from .reason import ReasonCode


class FileState(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, rename="camel"):
    """What stands at a place, as it was seen. An approval and a start are bound to it.

    `size` is in bytes (of a folder: of all its files), `mtime_ns` in nanoseconds since 1970, `digest` is
    `sha256:<hex>` of a file's bytes, or of a folder's manifest. `entries` counts what a folder holds, at any depth.
    """

    kind: Literal["absent", "file", "folder", "link", "special"]
    device: int = 0
    inode: int = 0
    size: int = 0
    mtime_ns: int = 0
    mode: int = 0
    links: int = 1
    digest: str = ""
    entries: int = 0


ABSENT = FileState("absent")


def is_same_object(before: FileState, now: FileState) -> bool:
    """Whether the two were taken of the same object with the same content (its times may differ)."""
    if before.kind != now.kind:
        return False
    if before.kind == "absent":
        return True
    return (before.device, before.inode, before.digest, before.size) == (
        now.device,
        now.inode,
        now.digest,
        now.size,
    )


def is_same_target(before: FileState, now: FileState, *, with_mode: bool) -> bool:
    """The same, of what an action is about to change: its permission bits count as well where the action sets them."""
    return is_same_object(before, now) and (not with_mode or before.mode == now.mode)


class Obstacle(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """Why a place can't be used, found while looking it up: the code, and a sentence for people."""

    code: ReasonCode
    message: str


class Confinement(msgspec.Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True, rename="camel"):
    """What would hold a command: the sandbox's name and version, the digest of its system call filter, Landlock's ABI.

    An approval is bound to it: another sandbox is another question.
    """

    sandbox: str
    seccomp: str
    landlock: int
    network: Literal["none", "proxy"] = "none"


class Input(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, rename="camel"):
    """A file beneath a grant that a command names in its arguments, and `sha256:<hex>` of what it held.

    Only of what the command may see: `size` (bytes) and `links` are what policy may ask about besides the path.
    """

    path: str
    digest: str
    size: int = 0
    links: int = 1

    @property
    def state(self) -> FileState:
        """The file as policy is asked about it."""
        return FileState("file", size=self.size, links=self.links)


_BETWEEN_NAMES: Final = ", "


def names_of(task_ids: Iterable[str]) -> str:
    """Return tasks' ids as `claimed_by` has them, always in the same order."""
    return _BETWEEN_NAMES.join(sorted(set(task_ids)))


def writing_too(task_ids: Iterable[str]) -> str:
    """Return a sentence that says who else is writing."""
    names = sorted(set(task_ids))
    return f"{' and '.join(f'`{name}`' for name in names)} {'is' if len(names) == 1 else 'are'} writing there, too"


class Facts(msgspec.Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True, rename="camel"):
    """The facts that policy may ask about. An absent fact is unknown, and never helps an action along.

    `target` and `destination` are what stands there now; `new_folders` the missing parents that the action would
    create (paths below the destination's grant); `batch` how many actions one request stands for; `available`
    whether an executor for the kind is installed; `preview` a text diff for the person (not a fact of policy).
    `labels` name the untrusted origins of the input, None where they can't be told; `depth` is that of the subagent
    that asks, 0 for the session's own agent; `usage` is what each limit of the policy has counted so far.
    `claimed_by` names the other agents of the same task that are writing at the places, by the ids of their tasks,
    with a comma and a space between them; empty where none is.
    `confinement` and `inputs` are of commands: what would hold it, and the files that its arguments name. `kept` is of
    putting back: what is in quarantine, absent where it is not there.
    """

    now: datetime
    target: FileState | None = None
    destination: FileState | None = None
    obstacle: Obstacle | None = None
    new_folders: tuple[str, ...] = ()
    batch: int = 1
    available: bool = True
    preview: str = ""
    labels: tuple[str, ...] | None = ()
    depth: int = 0
    usage: tuple[tuple[str, int], ...] = ()
    claimed_by: str = ""
    confinement: Confinement | None = None
    inputs: tuple[Input, ...] = ()
    kept: FileState | None = None

    @property
    def claimants(self) -> frozenset[str]:
        """The tasks that `claimed_by` names."""
        return frozenset(self.claimed_by.split(_BETWEEN_NAMES)) if self.claimed_by else frozenset()
