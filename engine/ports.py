"""The engine's ports: what it needs of the world, in its own words. Contract tests check every adapter against them."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from datetime import datetime
from typing import Literal, Protocol, TypeAlias, TypeVar

import msgspec

from ..domain.action import Action, ActionKind, Content, FileAction, Location
from ..domain.effect import Effect, Result
from ..domain.event import Event, Origin, Recorded
from ..domain.facts import ABSENT, Facts, FileState, Obstacle
from ..domain.folder_trust import TrustedFolders
from ..domain.manifest import Entry
from ..domain.policy_document import Layer
from ..domain.reason import ReasonCode
from ..domain.sandbox import Canary
from ..domain.scope import FolderIdentity, FolderScope, Scope

# The log


class StreamWrite(msgspec.Struct, frozen=True, gc=False):
    """Events for one stream, on condition that its last version is `expected_version` (0: the stream is new)."""

    stream: str
    expected_version: int
    events: tuple[Event, ...]


class Guard(msgspec.Struct, frozen=True, gc=False):
    """A stream that was read for the decision and must still be at that version when it is recorded."""

    stream: str
    version: int


class VersionConflict(Exception):  # noqa: N818 - the field's own term, and not an error but an answer
    """Another command was faster: `stream` is not at the version that was expected. Nothing was recorded."""

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self.stream = stream


class EventStore(Protocol):
    """The append-only log. Positions rise in the order of commits; a reader never sees one appear behind another."""

    async def append(
        self, writes: Sequence[StreamWrite], origin: Origin, guards: Sequence[Guard] = ()
    ) -> tuple[Recorded[Event], ...]:
        """Record all the events durably, or none; return them in the order given.

        Appends that wait at the same moment may share one durable commit, each with its own outcome. Raises
        `VersionConflict`; `DomainError` unavailable (locked, full, read-only) or damaged. After any error nothing of
        this append is recorded. Once begun it is not cancelled half way.
        """
        ...

    def read_stream(self, stream: str, *, after_version: int = 0) -> list[Recorded[Event]]:
        """Return the stream's events with a greater version, in order; an unknown stream has none."""
        ...

    def read_log(self, *, after: int, limit: int) -> list[Recorded[Event]]:
        """Return at most `limit` events with a greater position, in order."""
        ...

    def head(self) -> int:
        """Return the position of the last event, 0 for an empty log. Cheap enough to ask before every action."""
        ...

    def others_appended(self) -> bool:
        """Return whether anyone but this object appended since the last call (or since it was opened). Very cheap."""
        ...

    def close(self) -> None:
        """Let go of files and connections."""
        ...


# Projections

RowChangeT = TypeVar("RowChangeT")
RowChange_co = TypeVar("RowChange_co", covariant=True)
RowChange_contra = TypeVar("RowChange_contra", contravariant=True)
"""A change to one row. The engine hands it from a projection to the read model and never looks inside."""


class Projection(Protocol[RowChange_co]):
    """A pure fold from recorded events to row changes. Another `code_version` means: rebuild from zero."""

    name: str
    code_version: int

    def on(self, recorded: Recorded[Event]) -> Sequence[RowChange_co]:
        """Return what the event changes, from the event alone: no clock, no reads."""
        ...


class ReadModel(Protocol[RowChange_contra]):
    """The projections' tables. `apply` writes rows and position in one transaction; everything can be rebuilt."""

    def position(self, projection: str, code_version: int) -> int:
        """Return up to where the projection has been applied; 0, with its tables emptied, for another code version."""
        ...

    def apply(self, projection: str, code_version: int, changes: Sequence[RowChange_contra], position: int) -> None:
        """Apply the changes in order and remember the position, all or nothing."""
        ...

    def reset(self, projection: str) -> None:
        """Empty the projection's tables and set its position to 0."""
        ...

    def rows(
        self, table: str, where: Mapping[str, object] | None = None, *, order_by: str = ""
    ) -> list[dict[str, object]]:
        """Return rows as plain values, by equality of the given columns, ordered by a column or by key."""
        ...

    def dump(self) -> bytes:
        """Return all rows as canonical bytes: the same for the same rows, whoever keeps them and since when."""
        ...

    def close(self) -> None:
        """Let go of files and connections."""
        ...


class BlobStore(Protocol):
    """Content-addressed bytes. What was put is durable before the call returns; the same bytes are kept once.

    What was put, or was there when it was asked for with `has`, stays for `COLLECT_UNTOUCHED_S_MIN` seconds at least:
    time enough to put on record what it is needed for.
    """

    def put(self, data: bytes) -> Content:
        """Keep the bytes and return their digest and size."""
        ...

    def put_stream(self, chunks: Iterable[bytes]) -> Content:
        """Keep the bytes that the chunks make up. What the chunks raise goes through, and nothing is kept then."""
        ...

    def get(self, digest: str) -> bytes:
        """Return the bytes. Raises `DomainError` not_found, or damaged where they no longer match their digest."""
        ...

    def has(self, digest: str) -> bool:
        """Whether these bytes are kept."""
        ...


# Acting


class Connection(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A connection that a command in the sandbox asked for, and whether it gets it. `address` is the one dialled.

    `host` is the name as it was asked for, or what could be read of it; without an `address` nothing is dialled.
    """

    host: str
    port: int
    address: str = ""
    reason_code: ReasonCode | None = None
    reason: str = ""

    @property
    def is_allowed(self) -> bool:
        """Whether it is made."""
        return self.reason_code is None


class Witness(Protocol):
    """Told by an executor what goes on while an action runs."""

    async def connection(self, connection: Connection) -> None:
        """Record a connection, allowed or refused. Durable on return: only then may a byte leave."""
        ...

    def output(self, stream: Literal["stdout", "stderr"], chunk: bytes) -> None:
        """Show what a command just printed (masked) to whoever is looking; nothing is kept of it."""
        ...


class Sight(Protocol):
    """What policy lets the commands of one task see of a granted folder."""

    def hides(self, grant_id: str, path: str, state: FileState) -> bool:
        """Whether a file may not be read, or a folder not be listed, without a person. `state` needs no digest."""
        ...


class Permit(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Leave to carry out one attempt. Only step (7) of the action pipeline makes one, from a recorded `ActionStarted`.

    `position` is where the start was recorded; `facts` the state of the targets that the start is bound to. `sight`
    and `witness` are for commands: what they may see, and whom to tell about their connections. `reached` is for a look
    at an attempt without an outcome: the places (`host:port`) that it is on record to have been let out to, None where
    the log was not asked.
    """

    position: int
    action_id: str
    attempt: int
    action: Action
    digest: str
    facts: Facts
    scope: Scope
    sight: Sight
    witness: Witness
    reached: tuple[str, ...] | None = None


class StagedChange(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One change that a command made to its own copy of a granted folder: an action to be decided like any other.

    `base` is what the command saw at the place that is written, deleted or moved (of a folder: kind, device, inode
    and number of entries): it must still be there. `obstacle` says why it can't be done whatever policy says.
    """

    action: FileAction
    base: FileState
    obstacle: Obstacle | None = None


class Done(msgspec.Struct, frozen=True, gc=False):
    """Carried out. `staged` is what a command would change, in the order in which it can be done."""

    effects: tuple[Effect, ...] = ()
    result: Result | None = None
    staged: tuple[StagedChange, ...] = ()


class Failed(msgspec.Struct, frozen=True, gc=False):
    """Not carried out, and nothing was changed. `result` is what it brought back nevertheless."""

    reason_code: ReasonCode
    reason: str
    result: Result | None = None


class NotApplied(msgspec.Struct, frozen=True, gc=False):
    """A look after a restart: the attempt left no trace and can be made again."""


class Unclear(msgspec.Struct, frozen=True, gc=False):
    """Nobody can tell whether it happened. `observed` says in words what is there, or what was seen of it."""

    observed: str


Outcome: TypeAlias = Done | Failed | Unclear
Finding: TypeAlias = Done | NotApplied | Unclear


class Executor(Protocol):
    """Carries out the actions of some kinds. Errors of the world come back as values; an exception is a bug."""

    kinds: frozenset[ActionKind]

    async def observe(self, actions: Sequence[Action], scope: Scope, now: datetime, *, batch: int) -> list[Facts]:
        """Look at what the actions would touch, changing nothing. Never raises for any path, name or kind of file."""
        ...

    async def perform(self, permit: Permit) -> Outcome:
        """Do it, if the targets are still as the permit's facts say (else `Failed("conflict", …)`).

        A call that is cancelled leaves nothing at work: on return no process of it is alive and no connection open.
        """
        ...

    async def reconcile(self, permit: Permit) -> Finding:
        """After a crash, or a cancelled `perform`: find out by looking whether the attempt happened.

        `Done`: it happened. `NotApplied`: it did not, and can be made again. `Unclear`: that can't be told, and nobody
        tries. What it left half done is cleared away; a second look says the same. Never repeats the action.
        """
        ...


class FileFinder(Protocol):
    """Finds the files that a pattern of a plan stands for."""

    async def find(self, grant_id: str, pattern: str, scope: Scope, *, limit: int) -> list[str]:
        """Return the relative paths of all files (and links, so that they can be refused) that match, in byte order.

        Links are never followed. Raises `DomainError` denied (no live grant, no such folder), or limit where there are
        more than `limit`.
        """
        ...


class Look(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What a look at a place is to find out: with `listed`, what a folder holds at any depth.

    With `kept` (as in `Effect.kept`) it is not at the place but at what is in quarantine for the place's grant.
    """

    at: Location
    kept: str = ""
    listed: bool = False


class Seen(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What a look found: what stands there, with its digest, or in `problem` why that can't be told.

    Of a folder that was not to be listed there is no digest. `entries` are in the byte order of their paths.
    """

    state: FileState = ABSENT
    entries: tuple[Entry, ...] = ()
    problem: str = ""


class PlaceReader(Protocol):
    """Looks at places beneath grants to find out what an undo would meet. Nothing of it reaches an agent."""

    async def look(self, looks: Sequence[Look], scope: Scope) -> list[Seen]:
        """Look at each place, changing nothing. Never raises for any path, name or kind of file."""
        ...

    async def read(self, at: Location, scope: Scope, *, bytes_max: int, kept: str = "") -> bytes:
        """Return the bytes of an ordinary file, or (with `kept`) of one in quarantine for the grant of `at`.

        Raises `DomainError` conflict (it can't be read), limit.
        """
        ...

    def close(self) -> None:
        """Let go of what is held open."""
        ...


class Closable(Protocol):
    """Something that holds files or folders open."""

    def close(self) -> None:
        """Let go of them."""
        ...


class FolderHolder(Protocol):
    """Opens granted folders, each time making sure that it is the folder that was granted."""

    def hold(self, folder: FolderScope) -> AbstractContextManager[int]:
        """Give an `O_PATH` descriptor of the granted folder for the length of the block.

        Raises `DomainError` conflict where its path leads to another folder, to none, or through a link.
        """
        ...


class ListeningSocket(Protocol):
    """A socket that listens, such as Python's own."""

    def detach(self) -> int:
        """Give the descriptor away; the object is closed then."""
        ...


class Egress(Protocol):
    """The way out for a command in the sandbox: the only one there is."""

    def serve(
        self, listener: ListeningSocket, hosts: Sequence[str], addresses: Sequence[str], witness: Witness
    ) -> AbstractAsyncContextManager["Traffic"]:
        """Take proxy requests from a listening socket, which is taken over, and let through what is on the list.

        `hosts` are entries as in `domain/policy_host.py`, none where the list is empty. `addresses` are the granted
        entries that are addresses: only these may be private or special. Each connection, allowed or refused, is told
        to the witness before it is made. On leaving the block every connection is closed.
        """
        ...


class Traffic(msgspec.Struct):
    """How much went through an open way out so far, in bytes of payload."""

    sent: int = 0
    received: int = 0


class SelfTest(Protocol):
    """Tries the sandbox out: what it must keep in is run against it, on this machine, as this user."""

    def fingerprint(self) -> str:
        """Return `sha256:<hex>` of all that the result depends on: sandbox program, kernel, filters, user, version."""
        ...

    async def run(self) -> tuple[Canary, ...]:
        """Run every canary. Never raises for a missing or broken sandbox: that is a result."""
        ...


class FolderOpener(Protocol):
    """Looks at a folder that a person is about to grant."""

    def identify(self, path: str) -> tuple[str, FolderIdentity]:
        """Return the folder's absolute path without links, and which folder it is.

        Raises `DomainError` not_found or invalid (a file, a link, the store itself).
        """
        ...


# Planning and asking


# Clock, ids, locks


class Clock(Protocol):
    """The time."""

    def now(self) -> datetime:
        """Return the time in UTC, timezone-aware."""
        ...


class Ids(Protocol):
    """New identifiers."""

    def new(self, prefix: str) -> str:
        """Return an id that was never returned before, as `domain/ids.py` writes it."""
        ...


class StandingLayers(msgspec.Struct, frozen=True, kw_only=True):
    """The documents of this machine and of the folders at hand, each absent where there is no such file.

    With an organisation's document the machine is managed: then `root` and a run's own root document only narrow.
    `notices` are sentences about files that are there and not used.
    """

    organisation: Layer | None = None
    root: Layer | None = None
    user: Layer | None = None
    workspaces: tuple[Layer, ...] = ()
    notices: tuple[str, ...] = ()


class PolicySource(Protocol):
    """Reads the policy documents of this machine and of folders."""

    def standing(self, folders: Sequence[str], trusted: TrustedFolders) -> StandingLayers:
        """Return the documents that hold for work in the folders (absolute paths, as grants write them).

        Of a folder that is not trusted nothing is read. Raises `DomainError` invalid or limit for a document that can't
        be taken whole: then nothing may run.
        """
        ...


class TaskLocks(Protocol):
    """Keeps two processes from running one task. A lock ends with its process, however that ends."""

    def hold(self, task_id: str) -> AbstractContextManager[bool]:
        """Return a context, entered with whether this process now has the task (False: another has it)."""
        ...
