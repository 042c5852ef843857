"""What can be known about an action's places before it is decided, without changing anything."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import datetime

import msgspec

from ...domain.action import (
    Action,
    FileAction,
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
    locations_of,
)
from ...domain.facts import ABSENT, Facts, FileState, Obstacle
from ...domain.path import components, find_problem, is_beneath, name_of_text, text_of_name
from ...domain.places import EXECUTED_NAMES_MAX, is_engines, is_executed, is_hidden, is_sensitive
from ...domain.scope import Scope
from .failure import EXPECTED, Expected, PathError, failure_of, sentence_of
from .places import missing_parents
from .preview import preview_of
from .reading import bytes_to_read, is_whole, too_large
from .resolver import FOLDER, opened
from .restoring import look_at_kept
from .searching import compile_pattern
from .state import look, walk
from .world import World


def observe_actions(world: World, actions: Sequence[Action], scope: Scope, now: datetime, batch: int) -> list[Facts]:
    """Return the facts about each action, opening every granted folder once."""
    with ExitStack() as held:
        roots: dict[str, int | Obstacle] = {}
        return [_observe(world, action, scope, Facts(now=now, batch=batch), roots, held) for action in actions]


def _observe(
    world: World, action: Action, scope: Scope, blank: Facts, roots: dict[str, int | Obstacle], held: ExitStack
) -> Facts:
    if not isinstance(action, FileAction) or not all(
        _may_look(at, action, scope, blank.now) for at in locations_of(action)
    ):
        # Policy refuses it by an invariant: the path never reaches the operating system.
        return blank
    opened: list[int] = []
    for at in locations_of(action):
        root = _root(world, at, scope, roots, held)
        if isinstance(root, Obstacle):
            return msgspec.structs.replace(blank, obstacle=root)
        opened.append(root)
    try:
        return _observe_opened(world, action, blank, opened)
    except EXPECTED as error:
        return msgspec.structs.replace(blank, obstacle=Obstacle(*sentence_of(_placed(error, action))))


def _placed(error: Expected, action: FileAction) -> Expected:
    return failure_of(error, action.at.path) if isinstance(error, OSError) else error


def _may_look(at: Location, action: FileAction, scope: Scope, now: datetime) -> bool:
    folder = scope.folder(at.grant_id)
    if folder is None or folder.revoked or (folder.expires_at is not None and now >= folder.expires_at):
        return False
    root_allowed = isinstance(action, FileList | FileSearch)
    return find_problem(at.path, root_allowed=root_allowed) is None and not is_engines(at.path)


def _root(
    world: World, at: Location, scope: Scope, roots: dict[str, int | Obstacle], held: ExitStack
) -> int | Obstacle:
    if at.grant_id not in roots:
        folder = scope.folder(at.grant_id)
        assert folder is not None
        try:
            roots[at.grant_id] = held.enter_context(world.roots.hold(folder))
        except EXPECTED as error:
            roots[at.grant_id] = Obstacle(*sentence_of(error))
    return roots[at.grant_id]


def _observe_opened(world: World, action: FileAction, blank: Facts, roots: list[int]) -> Facts:
    for at, root in zip(locations_of(action), roots, strict=True):
        if text_of_name(name_of_text(at.path)) != at.path:
            # Two texts for one name would let a rule see one and the file system the other.
            raise PathError("name", "a name that is written in a way in which no listing writes it")
        world.spellings.require_listed(root, at.path)
    target = _target(world, roots[0], action)
    facts = msgspec.structs.replace(blank, target=target, obstacle=_obstacle_of(world, action, target))
    match action:
        case FileWrite() | FileCreate():
            if target.kind == "absent":
                facts = msgspec.structs.replace(facts, new_folders=missing_parents(world, roots[0], action.at.path))
            if facts.obstacle is None and target.kind in ("absent", "file"):
                facts = msgspec.structs.replace(facts, preview=preview_of(world, roots[0], action, target))
        case FileRename(to=to) | FileMove(to=to):
            destination = _look(world, roots[1], to.path, digest=False)
            facts = msgspec.structs.replace(
                facts,
                destination=destination,
                obstacle=facts.obstacle
                or _refused_kind(destination, to.path)
                or (_refused_content(world, roots[0], action) if target.kind == "folder" else None),
                new_folders=missing_parents(world, roots[1], to.path) if destination.kind == "absent" else (),
            )
        case FileRestore(kept=kept):
            facts = msgspec.structs.replace(
                facts,
                kept=look_at_kept(world, roots[0], kept),
                new_folders=missing_parents(world, roots[0], action.at.path) if target.kind == "absent" else (),
            )
        case FileList() | FileSearch() | FileRead() | FileDelete():
            pass
    return facts


def _target(world: World, root: int, action: FileAction) -> FileState:
    """Look at the action's target; its content is read only where the action depends on it and is not closed anyway."""
    path = action.at.path
    match action:
        case FileRead():
            wanted = is_whole(action) and not is_sensitive(path) and not is_hidden(path)
            size_max = world.limits.read_bytes_max
            return _look(world, root, path, digest=wanted, unless=lambda s: s.kind != "file" or s.size > size_max)
        case FileWrite():
            return _look(world, root, path, digest=True, unless=lambda seen: seen.kind == "folder")
        case FileDelete() | FileRename() | FileMove():
            return _look(world, root, path, digest=True)
        case FileList() | FileSearch() | FileCreate() | FileRestore():
            return _look(world, root, path, digest=False)


def _look(
    world: World, root: int, path: str, *, digest: bool, unless: Callable[[FileState], bool] = lambda _seen: False
) -> FileState:
    try:
        return look(world, root, name_of_text("/".join(components(path))), digest=digest, unless=unless)
    except NotADirectoryError:
        # A file stands where a folder would be: nothing is there, and `missing_parents` says why nothing can be.
        return ABSENT
    except OSError as error:
        raise failure_of(error, path) from error


def _obstacle_of(world: World, action: FileAction, target: FileState) -> Obstacle | None:
    refused = _refused_kind(target, action.at.path)
    if refused is not None:
        return refused
    limit = world.limits.read_bytes_max
    match action:
        case FileRead() if action.offset < 0 or (action.length is not None and action.length < 0):
            return Obstacle("limit", "a part of a file begins at 0 or later and is not shorter than nothing")
        case FileRead() if target.kind == "file" and bytes_to_read(action, target) > limit:
            return Obstacle("limit", too_large(action.at.path, bytes_to_read(action, target), limit))
        case FileWrite(content=content) | FileCreate(content=content) if content.size > limit:
            return Obstacle("limit", f"a file of {content.size:,} bytes, more than {limit:,} at once")
        case FileSearch():
            compile_pattern(action.pattern)
        case FileRename(at=at, to=to) | FileMove(at=at, to=to):
            if at.grant_id == to.grant_id and at != to and is_beneath(to.path, at.path):
                return Obstacle("conflict", f"`{at.path}` can't be moved into itself")
        case _:
            pass
    return None


def _refused_kind(state: FileState, path: str) -> Obstacle | None:
    if state.kind == "link":
        return Obstacle("symlink", f"`{path}` is a symbolic link")
    if state.kind == "special":
        return Obstacle("special", f"`{path}` is not an ordinary file or folder")
    return None


def _refused_content(world: World, root: int, action: FileRename | FileMove) -> Obstacle | None:
    """Refuse to give a folder a name that would make something in it a file that other programs run or obey.

    What is one already may be moved along with all that is around it; where the new name alone is on the list, policy
    says what becomes of it.
    """
    if is_executed(action.to.path):
        return None
    name = name_of_text("/".join(components(action.at.path)))
    with opened(world.resolver.open(root, name, FOLDER)) as folder:
        below = walk(
            world.resolver,
            folder,
            entries_max=world.limits.list_entries_max,
            lenient=True,
            enters=lambda path: path.count(b"/") < EXECUTED_NAMES_MAX - 2,
        )
        for path, _ in below:
            text = text_of_name(path)
            there = f"{action.to.path}/{text}"
            if is_executed(there) and not is_executed(f"{action.at.path}/{text}"):
                return Obstacle("protected", f"`{there}` would be a file that other programs run or obey")
    return None
