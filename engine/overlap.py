"""Which places a step may touch, before its turn has come: steps that touch the same ones keep their order."""

import msgspec

from ..domain.action import (
    Action,
    CodeRun,
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
    ShellExec,
)
from ..domain.path import components
from ..domain.plan import Batch, Listed, Step
from ..domain.scope import Scope
from .binding import bind, bind_text

_Path = tuple[str, ...]


class Places(msgspec.Struct, frozen=True, gc=False):
    """What a step may read and write, as absolute paths; a folder stands for all that is in it."""

    reads: frozenset[_Path] = frozenset()
    writes: frozenset[_Path] = frozenset()

    def touches(self, other: "Places") -> bool:
        """Whether one writes where the other reads or writes."""
        return _meet(self.writes, other.writes) or _meet(self.writes, other.reads) or _meet(self.reads, other.writes)


def _meet(some: frozenset[_Path], others: frozenset[_Path]) -> bool:
    # Asked about each step against all that is under way: a loop, because it is several times as fast as `any`.
    for one in some:
        for other in others:
            if one[: len(other)] == other if len(other) <= len(one) else other[: len(one)] == one:
                return True
    return False


def places_of(step: Step, scope: Scope) -> Places:
    """Return the places that a step's request names, or where the files lie that it stands for."""
    request = step.request
    reads: set[_Path] = set()
    writes: set[_Path] = set()
    match request:
        case Batch(of=of, match=pattern, to=to):
            found = bind_text(pattern, scope)
            fixed = Location(found.grant_id, _fixed_part(found.path))
            _add(reads if of == "file.read" else writes, fixed, scope)
            if to:
                _add(writes, bind_text(to, scope), scope)
        case Listed(actions=actions):
            for action in actions:
                _add_action(bind(action, scope), scope, reads, writes)
        case _:
            _add_action(bind(request, scope), scope, reads, writes)
    return Places(frozenset(reads), frozenset(writes))


def _add_action(action: Action, scope: Scope, reads: set[_Path], writes: set[_Path]) -> None:
    match action:
        case FileList(at=at) | FileSearch(at=at) | FileRead(at=at):
            _add(reads, at, scope)
        case FileCreate(at=at) | FileWrite(at=at) | FileDelete(at=at) | FileRestore(at=at):
            _add(writes, at, scope)
        case FileMove(at=at, to=to) | FileRename(at=at, to=to):
            _add(writes, at, scope)
            _add(writes, to, scope)
        case ShellExec(cwd=cwd, writes=mode) | CodeRun(cwd=cwd, writes=mode):
            # A command sees the whole granted folder, whatever folder in it it is run in.
            _add(reads if mode == "none" else writes, Location(cwd.grant_id, "."), scope)
        case _:
            return


def _add(places: set[_Path], at: Location, scope: Scope) -> None:
    folder = scope.folder(at.grant_id)
    if folder is not None and ".." not in at.path.split("/"):
        places.add(components(folder.absolute(at.path)))


def _fixed_part(pattern: str) -> str:
    """Return the folder below which everything lies that a pattern can match."""
    fixed: list[str] = []
    for part in pattern.split("/")[:-1]:
        if any(sign in part for sign in "*?["):
            break
        fixed.append(part)
    return "/".join(fixed) or "."
