"""Atoms: what a request comes to, one path, one host, one command at a time, each as its frame sees it.

Each item of a batch is an atom, each end of a move, each simple command of a script. An answer of None is "unknown".
"""

from collections.abc import Iterator

import msgspec
from msgspec import UNSET, UnsetType

from .action import ActionKind
from .places import look_at
from .policy_frame import ReadyScope, is_live
from .policy_host import Host, parse_host
from .policy_place import Spelling, agreed, spellings
from .policy_request import Item, Request

MOVES: frozenset[str] = frozenset(("file.move", "file.rename"))


class Atom:
    """One thing that a request does. Facts are the request's; what depends on grants is asked of a frame's scope."""

    __slots__ = ("command", "host", "kind", "other", "places", "request")

    def __init__(
        self,
        kind: ActionKind,
        request: Request,
        places: tuple[Spelling, ...],
        other: tuple[Spelling, ...],
        command: tuple[str, ...] | None,
    ) -> None:
        self.kind = kind
        self.request = request
        self.places = places
        self.other = other
        self.command = command
        self.host: Host | None = parse_host(request.host) if request.host else None

    def batch_count(self) -> int | None:
        """Return how many things the whole request is about."""
        given = self.request.batch_count
        return 1 if isinstance(given, UnsetType) else given

    def is_tainted(self) -> bool | None:
        """Whether the input came from an untrusted source."""
        labels = self.request.labels
        return None if labels is None else bool(labels)

    def hint(self, name: str) -> bool | None:
        """Return what the tool says of itself, None where it is not trusted to. The defaults are those of MCP."""
        if self.request.tool_trusted is not True or self.request.annotations is None:
            return None
        said = self.request.annotations.get(name, _HINT_DEFAULTS[name])
        return said if isinstance(said, bool) else None


_HINT_DEFAULTS = {"readOnlyHint": False, "destructiveHint": True, "idempotentHint": False, "openWorldHint": True}
"""MCP specification 2025-06-18, `ToolAnnotations`."""


class Sight:
    """An atom in a frame: the answers that depend on what the frame was granted."""

    __slots__ = ("atom", "scope")

    def __init__(self, atom: Atom, scope: ReadyScope) -> None:
        self.atom = atom
        self.scope = scope

    def within_grant(self) -> bool | None:
        """Whether a grant in force holds the atom's place."""
        return self.scope.is_within_grant(self.atom.places, self.atom.request.now)

    def within_output(self) -> bool | None:
        """Whether an output root holds the atom's place."""
        return self.scope.is_within_output(self.atom.places)

    def hidden(self) -> bool | None:
        """Whether a name below the granted folder begins with a dot."""
        return agreed(["/." in place for place in self._below()])

    def sensitive(self) -> bool | None:
        """Whether a name below the granted folder is one of credentials and keys."""
        return agreed([look_at(place).sensitive for place in self._below()])

    def executed(self) -> bool | None:
        """Whether a name below the granted folder is one that other programs execute or obey."""
        return agreed([look_at(place).executed for place in self._below()])

    def _below(self) -> list[str]:
        now = self.atom.request.now
        return [self.scope.below_root(spelling, now) for spelling in self.atom.places]

    def cross_root(self) -> bool | None:
        """Whether no one grant holds both ends of a move."""
        if not self.atom.other:
            return None
        return self.scope.is_crossing(self.atom.places, self.atom.other, self.atom.request.now)

    def host_listed(self) -> bool | None:
        """Whether the host is on the frame's list."""
        return None if self.atom.host is None else self.scope.lists_host(self.atom.host)

    def connector_allowed(self) -> bool | None:
        """Whether the connector is granted with every scope that the call needs."""
        request = self.atom.request
        if request.connector is None or request.required_scopes is None:
            return None
        return any(
            is_live(grant, request.now) and set(request.required_scopes) <= set(grant.scopes)
            for grant in self.scope.connectors(request.connector)
        )


def atoms_of(kind: ActionKind, request: Request) -> list[Atom]:
    """Return the atoms of a request whose required facts are there (see `policy_invariant.py`)."""
    if isinstance(request.items, tuple):
        count = len(request.items) if isinstance(request.batch_count, UnsetType) else request.batch_count
        return [atom for item in request.items for atom in _atoms(kind, with_item(request, item, count))]
    return list(_atoms(kind, request))


def with_item(request: Request, item: Item, count: int | None) -> Request:
    """Return the request as it would be for one of its items alone."""
    said = {name: value for name, value in msgspec.structs.asdict(item).items() if value is not UNSET}
    # An item's own path has nothing to do with where the request's path really leads.
    if "path" in said:
        said.setdefault("real_path", UNSET)
    if "to_path" in said:
        said.setdefault("to_real_path", UNSET)
    return msgspec.structs.replace(request, items=UNSET, batch_count=count, **said)


def _atoms(kind: ActionKind, request: Request) -> Iterator[Atom]:
    folded = request.case_insensitive_paths
    places = _places(request.path, request.real_path, folded=folded)
    if kind in MOVES:
        target = _places(request.to_path, request.to_real_path, folded=folded)
        yield Atom(kind, request, places, target, None)
        yield Atom(kind, request, target, places, None)
    elif kind == "shell.exec" and request.commands:
        for command in request.commands:
            yield Atom(kind, request, places, (), command or None)
    else:
        yield Atom(kind, request, places, (), None)


def _places(path: str | UnsetType | None, real: str | UnsetType | None, *, folded: bool) -> tuple[Spelling, ...]:
    if not isinstance(path, str):
        return ()
    named = spellings(path, folded)
    if not isinstance(real, str) or real == path:
        return named
    return (*named, *(one for one in spellings(real, folded) if one not in named))
