"""Undo: what a task or an action changed, given back by actions that go through the same pipeline and policy as any.

What is to be done is computed from events and kept bytes, and held against the world as it is: only what was changed is
touched, and what somebody has changed since stays as they left it. An undo is a task of its own, in a session of its
own; it can be left, resumed, killed and undone like any other.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec

from ..domain.action import Action, Location
from ..domain.errors import DomainError
from ..domain.plan import Plan
from ..domain.policy_document import Layer
from ..domain.scope import VERBS, FolderScope, Scope
from ..domain.session import PolicyAdopted, SessionStarted, StartSession
from ..domain.task import AdoptPlan, QueueTask, StartPlanning, Task
from ..domain.text_merge import MergeBounds, Unmergeable, merge
from . import limits
from .command_handler import CommandHandler, Order, order_session, order_task
from .folder_requests import FolderRequest, OpenedFolder, granting
from .policy_records import RUN, SESSION_LAYER, TASK_LAYER, PolicyRecords, adopting, in_force
from .ports import BlobStore, EventStore, FolderOpener, Ids, Look, PlaceReader
from .session_view import adopted_layers
from .undo_content import is_edited
from .undo_events import Past, family_of, find_task, past_of, require_ended, undos_above
from .undo_plan import Deed, Planned, plan_undo
from .undo_report import UndoLine, UndoReport
from .undo_scene import Scene, enter, wishes_of
from .undo_steps import Folders, action_of, steps_of, verbs_of
from .undo_tree import Tree

BOUNDS: Final = MergeBounds(
    bytes_max=limits.MERGE_BYTES_MAX, lines_max=limits.MERGE_LINES_MAX, changes_max=limits.MERGE_CHANGES_MAX
)


class _Contents:
    """Kept bytes, those of files as they are now, and merges of both."""

    def __init__(self, blobs: BlobStore) -> None:
        self._blobs = blobs
        self._known: dict[str, bytes] = {}

    def note(self, data: bytes) -> str:
        """Have these bytes at hand; return their digest."""
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        self._known[digest] = data
        return digest

    def get(self, digest: str) -> bytes | None:
        """Return the bytes, None where they are no longer kept or are damaged."""
        if digest not in self._known:
            try:
                return self._blobs.get(digest)
            except DomainError:
                return None
        return self._known[digest]

    def has(self, digest: str) -> bool:
        """Whether these bytes are there to be written."""
        return digest in self._known or self._blobs.has(digest)

    def merge(self, base: str, one: str, other: str) -> str | Unmergeable:
        """Return the digest of what both made of the base, which is there from then on."""
        versions = [self.get(digest) for digest in (base, one, other)]
        if versions[2] is None:
            return Unmergeable(f"it can't be read, or has more than {limits.MERGE_BYTES_MAX:,} bytes")
        if versions[0] is None or versions[1] is None:
            return Unmergeable(
                f"what it held before is no longer kept, or has more than {limits.MERGE_BYTES_MAX:,} bytes"
            )
        merged = merge(versions[0], versions[1], versions[2], BOUNDS)
        return merged if isinstance(merged, Unmergeable) else self.note(merged)

    def size_of(self, digest: str) -> int:
        """Return how many bytes there are."""
        data = self.get(digest)
        return 0 if data is None else len(data)

    def keep(self, digests: Sequence[str]) -> None:
        """Put what is to be written into the store."""
        for digest in digests:
            if digest in self._known:
                self._blobs.put(self._known[digest])


class Prepared(msgspec.Struct, frozen=True, kw_only=True):
    """An undo that was worked out: what it would do, and all that it needs to be queued."""

    name: str
    task: Task
    report: UndoReport
    deeds: tuple[Deed, ...]
    actions: tuple[Action, ...]
    folders: Folders
    keep: Callable[[], None]


class Undoing:
    """Works undos out and queues them."""

    def __init__(
        self,
        *,
        store: EventStore,
        handler: CommandHandler,
        blobs: BlobStore,
        reader: PlaceReader,
        opener: FolderOpener,
        policies: PolicyRecords,
        ids: Ids,
        undos: Callable[[], Mapping[str, str]],
        as_root: Callable[[str], Sequence[Order]],
        take: Callable[[str], object] | None = None,
    ) -> None:
        """`undos` says of each undo's task what it undoes, `as_root` what goes on record of a session of root's.

        `take` makes the task of an undo this process's before anybody else can see it.
        """
        self._store = store
        self._handler = handler
        self._blobs = blobs
        self._reader = reader
        self._opener = opener
        self._policies = policies
        self._ids = ids
        self._undos = undos
        self._as_root = as_root
        self._take = take

    async def undo(self, name: str, *, by: str, own: Sequence[Layer] | None, dry_run: bool) -> UndoReport:
        """Work the undo out and, unless nothing is to be done, queue it."""
        prepared = await self.prepare(name)
        if dry_run or not prepared.deeds:
            return prepared.report
        return msgspec.structs.replace(prepared.report, task_id=await self.queue(prepared, by=by, own=own))

    async def prepare(self, name: str) -> Prepared:
        """Find out what undoing a task or an action comes to; nothing is changed or recorded.

        Raises `DomainError` not_found, or conflict where it, or an undo of it, has not ended.
        """
        task = find_task(self._handler, name)
        family = family_of(self._handler, name, self._undos())
        above = undos_above(self._store, self._handler, name, self._undos(), family)
        for one in family:
            require_ended(self._handler, one, "" if one == name else "which undoes it or a part of it")
        for one in above:
            require_ended(self._handler, one, "which undoes what it is a part of")
        past = past_of(self._store, self._handler, family)
        folders, lines = self._opened_again(past)
        tree = _tree_of(past, past_of(self._store, self._handler, above), folders)
        contents = _Contents(self._blobs)
        await self._enter_world(tree, folders, contents)
        planned = plan_undo(tree, contents)
        written = [deed.digest for deed in planned.deeds if not deed.kept and deed.digest]
        return Prepared(
            name=name,
            task=task,
            report=UndoReport(
                undoes=name,
                title=task.title,
                lines=(*_lines(planned, folders), *lines, *(UndoLine(deed="left", reason=one) for one in past.final)),
                folders={folder.grant_id: folder.name for folder in folders.all},
            ),
            deeds=planned.deeds,
            actions=tuple(action_of(deed, folders, contents.size_of) for deed in planned.deeds),
            folders=folders,
            keep=lambda: contents.keep(written),
        )

    def _opened_again(self, past: Past) -> tuple[Folders, list[UndoLine]]:
        """Return the folders that something was done in, as far as they are the ones that were granted then."""
        folders: list[FolderScope] = []
        lines: list[UndoLine] = []
        for (root_path, identity), granted in past.folders.items():
            try:
                found = self._opener.identify(root_path)
                reason = "" if found == (root_path, identity) else "another folder stands there than the one granted"
            except DomainError as error:
                reason = error.message
            if reason:
                lines.append(UndoLine(deed="left", reason=f"what was done in `{root_path}`: {reason}"))
                continue
            taken = {folder.name for folder in folders}
            names = (granted.name if n == 1 else f"{granted.name}-{n}" for n in range(1, len(taken) + 2))
            folders.append(
                FolderScope(
                    grant_id=self._ids.new("grant"),
                    name=next(name for name in names if name not in taken),
                    root_path=root_path,
                    verbs=VERBS,
                    output_roots=granted.output_roots,
                    identity=identity,
                )
            )
        return Folders(folders), lines

    async def _enter_world(self, tree: Tree, folders: Folders, contents: _Contents) -> None:
        """Look at all that may be touched, and have what was edited at hand, to be merged."""
        scope = Scope(folders.all)
        wishes = wishes_of(tree)
        looks = [
            Look(
                at=folders.at(place.path) if place.folder is None else folders.top(place.folder),
                kept=place.kept,
                listed=listed,
            )
            for place, listed in wishes.items()
        ]
        found = await self._reader.look(looks, scope)
        enter(tree, Scene(dict(zip(wishes, found, strict=True))))
        for node in tree.nodes():
            if node.top is tree.root and node.kind == "file" and is_edited(node):
                if not contents.has(node.digest):
                    read = await self._read(folders.at(node.path()), scope, contents)
                    node.digest = read or node.digest
                for version in node.versions:
                    if version.kept.startswith("quarantine:") and not contents.has(version.before):
                        await self._read(folders.top(version.folder), scope, contents, kept=version.kept)

    async def _read(self, at: Location, scope: Scope, contents: _Contents, *, kept: str = "") -> str:
        """Have a file's bytes at hand; return their digest."""
        try:
            return contents.note(await self._reader.read(at, scope, bytes_max=limits.MERGE_BYTES_MAX, kept=kept))
        except DomainError:
            # Gone or too large: whoever wants to merge it finds no bytes, and says so.
            return ""

    async def queue(self, prepared: Prepared, *, by: str, own: Sequence[Layer] | None = None) -> str:
        """Open a session for the undo and queue its task, all in one commit; return the task's id.

        Its rules are the machine's and those that the undone task had of its own, or `own` instead.
        """
        session_id, task_id = self._ids.new("session"), self._ids.new("task")
        granted = self._granted(prepared)
        started, of_its_own = self._session_of(prepared.task.session_id)
        standing = self._policies.standing([folder.root_path for folder in granted])
        documents, layers, policy_digest = adopting(in_force(standing, of_its_own if own is None else own))
        prepared.keep()
        title = f"undo: {prepared.task.title}"
        orders: list[Order] = [
            *documents,
            order_session(
                session_id,
                StartSession(
                    session_id=session_id,
                    user_id=by.removeprefix("person:"),
                    device_id=started.device_id,
                    platform=started.platform,
                    title=title,
                    layers=layers,
                    policy_digest=policy_digest,
                ),
            ),
        ]
        for folder in granted:
            orders += granting(session_id, OpenedFolder(FolderRequest(path=folder.root_path), folder))
        left = "\n".join(_in_words(line, prepared.folders) for line in prepared.report.left)
        queued = QueueTask(task_id=task_id, session_id=session_id, title=title, prompt=left, undoes=prepared.name)
        steps = steps_of(prepared.deeds, prepared.actions)
        orders += [
            order_task(task_id, queued),
            order_task(task_id, StartPlanning("undo")),
            order_task(task_id, AdoptPlan(Plan(title=title, steps=steps))),
            *self._as_root(session_id),
        ]
        if self._take is not None:
            self._take(task_id)
        await self._handler.execute(*orders, actor=by, cause="undo")
        return task_id

    def _granted(self, prepared: Prepared) -> list[FolderScope]:
        """Return the folders that something is done in, for the verbs that it takes."""
        needed = verbs_of(prepared.actions)
        return [
            msgspec.structs.replace(folder, verbs=tuple(verb for verb in VERBS if verb in needed[folder.grant_id]))
            for folder in prepared.folders.all
            if folder.grant_id in needed
        ]

    def _session_of(self, session_id: str) -> tuple[SessionStarted, tuple[Layer, ...]]:
        """Return how a session began, and the rules that it had of its own at its end."""
        started: SessionStarted | None = None
        adopted: PolicyAdopted | None = None
        for recorded in self._store.read_stream(session_id):
            if isinstance(recorded.event, SessionStarted):
                started = recorded.event
            elif isinstance(recorded.event, PolicyAdopted):
                adopted = recorded.event
        if started is None or adopted is None:
            raise DomainError("damaged", f"session `{session_id}` is not on record")
        layers = adopted_layers(self._handler, adopted.layers)
        return started, tuple(layer for layer in layers if layer.name in (RUN, SESSION_LAYER, TASK_LAYER))


def _tree_of(past: Past, above: Past, folders: Folders) -> Tree:
    """Return the tree of what was done, as far as undos of what it is a part of have not taken it back."""
    tree = Tree()
    changes = [(position, change, tree.apply) for position, change in past.changes]
    changes += [(position, change, tree.follow) for position, change in above.changes]
    for _, change, enter_change in sorted(changes, key=lambda one: one[0]):
        places = (change.at,) if change.previous is None else (change.at, change.previous)
        if folders.has(change.folder) and all(map(folders.holds, places)):
            enter_change(change)
    return tree


def _lines(planned: Planned, folders: Folders) -> list[UndoLine]:
    lines = [
        UndoLine(deed=deed.deed, at=folders.at(deed.at), to=None if deed.to is None else folders.at(deed.to))
        for deed in planned.deeds
    ]
    lines += [UndoLine(deed="gone", at=folders.at(place)) for place in planned.gone]
    for left in planned.left:
        before = folders.at(left.before) if left.before is not None and folders.holds(left.before) else None
        lines.append(UndoLine(deed="left", at=folders.at(left.at), to=before, reason=left.reason))
    return lines


def _in_words(line: UndoLine, folders: Folders) -> str:
    if line.at is None:
        return f"left: {line.reason}"
    return f"left, {folders.shown(line.at)}: {line.reason}"
