"""Whether every change in the tree is one that the log answers for: begun on exactly what stood there."""

from collections.abc import Sequence

import msgspec

from cowork.domain.action import (
    Action,
    FileCreate,
    FileDelete,
    FileMove,
    FileRename,
    FileRestore,
    FileWrite,
    locations_of,
)
from cowork.domain.event import Event, Recorded
from cowork.domain.facts import Facts, FileState
from cowork.domain.path import is_beneath
from cowork.domain.task import (
    ActionAllowed,
    ActionConfirmationRequired,
    ActionDeclined,
    ActionFailed,
    ActionProposed,
    ActionStarted,
    ActionSucceeded,
)
from tests.simulation.tree import Tree, digest_of


class Begun(msgspec.Struct):
    """An action that was begun: the facts that its attempts were begun on, and how far the log knows of it."""

    action: Action
    facts: list[Facts]
    settled_at: int = 0
    failed: bool = False


def begun_in(log: Sequence[Recorded[Event]]) -> dict[str, Begun]:
    """Return every action that was started, by its id."""
    actions: dict[str, Action] = {}
    facts: dict[str, Facts] = {}
    begun: dict[str, Begun] = {}
    for seen in log:
        match seen.event:
            case ActionProposed(action_id=name, action=action):
                actions[name] = action
            case ActionAllowed(action_id=name, facts=found) | ActionConfirmationRequired(action_id=name, facts=found):
                facts[name] = found
            case ActionStarted(action_id=name, facts=again):
                one = begun.setdefault(name, Begun(actions[name], []))
                one.facts.append(again or facts[name])
                one.settled_at, one.failed = 0, False
            case ActionSucceeded(action_id=name) | ActionFailed(action_id=name):
                begun[name].settled_at = seen.position
                begun[name].failed = isinstance(seen.event, ActionFailed)
            case ActionDeclined(action_id=name) if name in begun:
                # Nobody can tell what became of it, and a person wants it left as it is.
                begun[name].settled_at = seen.position
            case _:
                pass
    return begun


def unexplained(
    tree: Tree, log: Sequence[Recorded[Event]], since: int, open_before: set[str], disturbed: set[str]
) -> list[str]:
    """Return the changes since position `since` that no action answers for, in sentences.

    An action answers for what it replaces, takes away or puts somewhere, and for putting that back. One that failed
    answers only for putting back what it had under way at the last look (`open_before`). Where a person changed files
    in the middle of its work, or it died in the middle (`disturbed`), what it has moved or has to put back is not yet
    compared with what it was begun on: then only its places count, and that nothing is lost.
    """
    begun = begun_in(log)
    answerable = [
        one
        for name, one in begun.items()
        if (one.settled_at == 0 or one.settled_at > since) and (not one.failed or name in open_before)
    ]
    places = [at.path for name in disturbed & begun.keys() for at in locations_of(begun[name].action)]
    complaints: list[str] = []
    for path, before, after in tree.changes():
        if any(is_beneath(path, place) for place in places):
            continue
        for data, word in ((before, "is gone"), (after, "has appeared")):
            if data is not None and not any(_answers_for(one, path, data) for one in answerable):
                complaints.append(f"{data!r} {word} at `{path}`, and no action that was begun answers for it")
    return complaints


def still_open(log: Sequence[Recorded[Event]]) -> set[str]:
    """Return the ids of the actions that were begun and are not settled."""
    return {name for name, one in begun_in(log).items() if not one.settled_at}


def _answers_for(begun: Begun, path: str, data: bytes) -> bool:
    targets = [facts.target for facts in begun.facts]
    match begun.action:
        case FileCreate(at=at, content=content):
            return path == at.path and digest_of(data) == content.digest
        case FileWrite(at=at, content=content):
            return path == at.path and (digest_of(data) == content.digest or any(_is(one, data) for one in targets))
        case FileDelete(at=at):
            return any(_moves(one, at.path, path, data) for one in targets)
        case FileRestore(at=at):
            return any(_moves(facts.kept, at.path, path, data) for facts in begun.facts)
        case FileMove(at=at, to=to) | FileRename(at=at, to=to):
            return any(_moves(one, place, path, data) for one in targets for place in (at.path, to.path))
        case _:
            return False


def _moves(target: FileState | None, place: str, path: str, data: bytes) -> bool:
    if target is not None and target.kind == "folder":
        return path != place and is_beneath(path, place)
    return path == place and _is(target, data)


def _is(target: FileState | None, data: bytes) -> bool:
    return target is not None and target.digest == digest_of(data)
