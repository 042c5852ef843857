"""What a task or an action did, read from the log: every effect on files in order, and what can't be taken back."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Final, TypeAlias

import msgspec

from ..domain.action import Action, ConnectorAction, FileRestore, Location, NetworkRequest, SubagentSpawn, kind_of
from ..domain.effect import Effect
from ..domain.errors import DomainError
from ..domain.event import Event
from ..domain.facts import Facts
from ..domain.grant import FolderGrant
from ..domain.ids import child_task_id, root_task_id, task_chain
from ..domain.manifest import EntryKind
from ..domain.path import components
from ..domain.scope import FolderScope
from ..domain.task import (
    ActionAllowed,
    ActionConfirmationRequired,
    ActionFailed,
    ActionOutcomeUnknown,
    ActionProposed,
    ActionStarted,
    ActionSucceeded,
    Started,
    Task,
)
from .command_handler import GRANT, TASK, CommandHandler
from .ports import EventStore
from .undo_tree import Change, FolderKey, Path

_ONLY_LOOKS: Final = ("GET", "HEAD", "OPTIONS")

FolderOf: TypeAlias = Callable[[str], FolderScope | None]
"""Returns a grant's folder by the grant's id."""


class Past(msgspec.Struct, kw_only=True):
    """What was done, in order, with the folders that it was done in; `final` has what no undo can take back."""

    changes: list[tuple[int, Change]] = msgspec.field(default_factory=list)
    folders: dict[FolderKey, FolderScope] = msgspec.field(default_factory=dict)
    final: list[str] = msgspec.field(default_factory=list)


class _Proposal(msgspec.Struct):
    action: Action
    staged_by: str
    facts: Facts | None = None
    started: int = 0
    is_unknown: bool = False


def find_task(handler: CommandHandler, name: str) -> Task:
    """Return the task that is named, or that the named action is of. Raises `DomainError` not_found."""
    task_id, dot, number = name.partition(".")
    state = handler.load(task_id, TASK).state
    if not isinstance(state, Task):
        raise DomainError("not_found", f"there is no task `{task_id}`", "see `cowork task list`")
    if dot and number not in map(str, range(1, state.actions + 1)):
        raise DomainError("not_found", f"there is no action `{name}`", f"see `cowork task show {task_id}`")
    return state


def require_ended(handler: CommandHandler, one: str, relation: str) -> None:
    """Raise `DomainError` conflict where something of `one` may still happen; `relation` says why that matters."""
    root = root_task_id(one.partition(".")[0])
    whole = handler.load(root, TASK).state
    if isinstance(whole, Task) and not whole.is_final:
        which = f"task `{root}`, {relation}," if relation else f"task `{root}`"
        raise DomainError(
            "conflict",
            f"{which} has not ended: it is {whole.status}",
            f"end it first: `cowork resume {root}` or `cowork task cancel {root}`",
        )
    for task in tree_of(handler, root):
        if any(isinstance(action.phase, Started) for action in task.open_actions.values()):
            raise DomainError(
                "conflict",
                f"nobody has looked yet what became of an action of task `{task.task_id}`",
                f"let the engine look: `cowork resume {root}`",
            )


def tree_of(handler: CommandHandler, task_id: str) -> Iterator[Task]:
    """Yield the task and those of its subagents."""
    state = handler.load(task_id, TASK).state
    if isinstance(state, Task):
        yield state
        for child in state.children:
            yield from tree_of(handler, child)


def family_of(handler: CommandHandler, name: str, undos: Mapping[str, str]) -> list[str]:
    """Return what is undone when the named task or action is: itself, and all undos of it or of a part of it.

    `undos` says of each undo's task what it undoes. An undo of an undo is one of what that undid, too.
    """
    family = [name]
    for one in family:
        top = child_task_id(one) if "." in one else one
        members = {one, *(task.task_id for task in tree_of(handler, top))}
        undone_by = (undo for undo, of in undos.items() if of in members or of.partition(".")[0] in members)
        family += [undo for undo in undone_by if undo not in family]
    return family


def undos_above(
    store: EventStore, handler: CommandHandler, name: str, undos: Mapping[str, str], family: Collection[str]
) -> list[str]:
    """Return the undos of what the named task or action is a part of: they took back its changes as well.

    That is the command that left an action's change, its task, and all above that.
    """
    task_id = name.partition(".")[0]
    above: set[str] = {one for one in task_chain(task_id) if one != name}
    above |= {f"{task.rpartition('-s')[0]}.{task.rpartition('-s')[2]}" for task in task_chain(task_id)[1:]}
    if task_id != name:
        events = (recorded.event for recorded in store.read_stream(task_id))
        above |= {one.staged_by for one in events if isinstance(one, ActionProposed) and one.action_id == name}
    found: list[str] = []
    for undo, of in undos.items():
        if of in above and undo not in family:
            found += [one for one in family_of(handler, undo, undos) if one not in family and one not in found]
    return found


def past_of(store: EventStore, handler: CommandHandler, names: Iterable[str]) -> Past:
    """Return what the tasks and actions did, all together in the order in which it was started."""
    past = Past()
    folders: dict[str, FolderScope | None] = {}

    def folder_of(grant_id: str) -> FolderScope | None:
        if grant_id not in folders:
            state = handler.load(grant_id, GRANT).state
            folders[grant_id] = state.scope if isinstance(state, FolderGrant) else None
        return folders[grant_id]

    read: set[str] = set()
    for name in names:
        _read(store, handler, name, past, folder_of, read)
    past.changes.sort(key=lambda item: item[0])
    return past


def _read(
    store: EventStore, handler: CommandHandler, name: str, past: Past, folder_of: FolderOf, read: set[str]
) -> None:
    task_id, _, number = name.partition(".")
    if task_id in read or name in read:
        return
    read.add(name)
    proposals: dict[str, _Proposal] = {}
    for recorded in store.read_stream(task_id):
        event = recorded.event
        match event:
            case ActionProposed():
                proposals[event.action_id] = _Proposal(event.action, event.staged_by)
            case ActionAllowed() | ActionConfirmationRequired():
                proposals[event.action_id].facts = event.facts
            case ActionStarted(facts=facts):
                proposals[event.action_id].started = recorded.position
                proposals[event.action_id].facts = facts or proposals[event.action_id].facts
            case _:
                pass
        action_id = _action_of(event)
        if not action_id or (number and name not in (action_id, proposals[action_id].staged_by)):
            continue
        proposal = proposals[action_id]
        if isinstance(event, ActionStarted) and isinstance(proposal.action, SubagentSpawn):
            _read(store, handler, child_task_id(action_id), past, folder_of, read)
        proposal.is_unknown = isinstance(event, ActionOutcomeUnknown)
        if isinstance(event, ActionSucceeded):
            _note(event, proposal, past, folder_of)
    past.final += [
        f"nobody knows whether `{kind_of(one.action)}` of action {action_id} happened: look at it yourself"
        for action_id, one in proposals.items()
        if one.is_unknown
    ]


def _action_of(event: Event) -> str:
    if isinstance(event, ActionProposed | ActionStarted | ActionSucceeded | ActionFailed | ActionOutcomeUnknown):
        return event.action_id
    return ""


def _note(event: ActionSucceeded, proposal: _Proposal, past: Past, folder_of: FolderOf) -> None:
    action = proposal.action
    if event.said_by and kind_of(action) not in ("file.read", "file.list", "file.search") and not event.effects:
        past.final.append(
            f"`{kind_of(action)}` of action {event.action_id} happened, as {event.said_by} says, and nothing is on "
            "record of what it changed"
        )
    sent = _what_was_sent(event, action)
    if sent:
        past.final.append(sent)
    for effect in event.effects:
        folder = folder_of(effect.at.grant_id)
        before = folder_of(effect.previous.grant_id) if effect.previous is not None else None
        if folder is None or (effect.previous is not None and before is None):
            raise DomainError("damaged", f"the grant of an effect of action `{event.action_id}` is not on record")
        # By its start: after a crash, what happened early may be found and recorded late.
        past.changes.append((proposal.started, _change(event.action_id, effect, proposal, folder, before)))
        for one in (folder, before):
            if one is not None:
                past.folders.setdefault((one.root_path, one.identity), one)


def _what_was_sent(event: ActionSucceeded, action: Action) -> str:
    if isinstance(action, NetworkRequest) and action.method.upper() not in _ONLY_LOOKS:
        return f"the {action.method} request of action {event.action_id} was sent, and can't be taken back"
    if isinstance(action, ConnectorAction):
        return f"what connector `{action.connector}` did for action {event.action_id} can't be taken back"
    command = event.result.command if event.result is not None else None
    if command is not None and command.bytes_sent:
        return f"the command of action {event.action_id} sent {command.bytes_sent:,} bytes, which can't be taken back"
    return ""


def _change(
    action_id: str, effect: Effect, proposal: _Proposal, folder: FolderScope, before: FolderScope | None
) -> Change:
    facts = proposal.facts
    action = proposal.action
    restored = action.kept if isinstance(action, FileRestore) else ""
    state = None if facts is None else facts.kept if restored else facts.target
    kind: EntryKind = state.kind if state is not None and state.kind != "absent" else "file"
    return Change(
        action_id=action_id,
        effect=effect,
        folder=(folder.root_path, folder.identity),
        at=place_of(folder, effect.at),
        previous=None if effect.previous is None or before is None else place_of(before, effect.previous),
        new_folders=tuple(place_of(folder, Location(effect.at.grant_id, path)) for path in effect.new_folders),
        kind=kind,
        restored=restored,
    )


def place_of(folder: FolderScope, at: Location) -> Path:
    """Return a place beneath a granted folder by its absolute path."""
    return components(folder.absolute(at.path))
