"""Atoms: what a request comes to, one path, one host, one command at a time, each as its frame sees it.

Each item of a batch is an atom, each end of a move, each simple command of a script. An answer of None is "unknown".
"""

import msgspec
from msgspec import UNSET, UnsetType

from .action import ActionKind
from .places import look_at
from .policy_frame import ReadyScope, is_live
from .policy_host import Host, parse_host
from .policy_place import Spelling, agreed, spellings
from .policy_request import Item, Request

MOVES: frozenset[str] = frozenset(("file.move", "file.rename"))


class Atom(msgspec.Struct, frozen=True, gc=False, eq=False):
    """One thing that a request does. Facts are the request's; what depends on grants is asked of a frame's scope.

    `places` are the spellings of the path, of which the first `named` are the path's as it was given and the others
    those of the real path; `other` are the spellings of a move's other end.
    """

    kind: ActionKind
    request: Request
    places: tuple[Spelling, ...]
    named: int
    other: tuple[Spelling, ...] = ()
    command: tuple[str, ...] | None = None

    @property
    def host(self) -> Host | None:
        """The host in its one form."""
        return parse_host(self.request.host) if self.request.host else None

    def batch_count(self) -> int | None:
        """Return how many things the whole request is about."""
        given = self.request.batch_count
        return 1 if given is UNSET else given

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

    __slots__ = ("_below", "atom", "request", "roots", "scope")

    def __init__(self, atom: Atom, scope: ReadyScope) -> None:
        self.atom = atom
        self.request = atom.request
        self.scope = scope
        self.roots = scope.roots(atom.request.now)
        self._below: tuple[str, ...] | None = None

    def within_grant(self) -> bool | None:
        """Whether a grant in force holds the atom's place."""
        return agreed([f"{path}/".startswith(self.roots[form].live) for form, path in self.atom.places])

    def within_output(self) -> bool | None:
        """Whether an output root holds the atom's place."""
        return agreed([f"{path}/".startswith(self.roots[form].outputs) for form, path in self.atom.places])

    def hidden(self) -> bool | None:
        """Whether a name below the granted folder begins with a dot."""
        return agreed(["/." in place for place in self.below()])

    def sensitive(self) -> bool | None:
        """Whether a name below the granted folder is one of credentials and keys."""
        return agreed([look_at(place[1:]).sensitive for place in self.below()])

    def executed(self) -> bool | None:
        """Whether a name below the granted folder is one that other programs execute or obey."""
        return agreed([look_at(place[1:]).executed for place in self.below()])

    def below(self) -> tuple[str, ...]:
        """Return each spelling of the place as it is below the granted folder that holds it: `/a/b`."""
        if self._below is None:
            self._below = tuple([self.roots[form].below(path) for form, path in self.atom.places])
        return self._below

    def cross_root(self) -> bool | None:
        """Whether no one grant holds both ends of a move."""
        atom = self.atom
        if not atom.other:
            return None
        return agreed([self._is_crossing(here, there) for here in atom.places for there in atom.other])

    def _is_crossing(self, here: Spelling, there: Spelling) -> bool:
        (form, path), (other_form, other) = here, there
        now = self.request.now
        holding = [grant for grant in self.scope.holding(form, path) if is_live(grant, now)]
        return not any(grant in holding for grant in self.scope.holding(other_form, other))

    def host_listed(self) -> bool | None:
        """Whether the host is on the frame's list."""
        host = self.atom.host
        return None if host is None else self.scope.lists_host(host)

    def connector_allowed(self) -> bool | None:
        """Whether the connector is granted with every scope that the call needs."""
        request = self.request
        if request.connector is None or request.required_scopes is None:
            return None
        return any(
            is_live(grant, request.now) and set(request.required_scopes) <= set(grant.scopes)
            for grant in self.scope.connectors(request.connector)
        )


def atoms_of(kind: ActionKind, request: Request) -> list[Atom]:
    """Return the atoms of a request whose required facts are there (see `policy_invariant.py`)."""
    items = request.items
    if items is UNSET or items is None:
        return _atoms(kind, request)
    count = len(items) if request.batch_count is UNSET else request.batch_count
    return [atom for item in items for atom in _atoms(kind, with_item(request, item, count))]


def with_item(request: Request, item: Item, count: int | None) -> Request:
    """Return the request as it would be for one of its items alone."""
    said = {name: value for name, value in msgspec.structs.asdict(item).items() if value is not UNSET}
    # An item's own path has nothing to do with where the request's path really leads.
    if "path" in said:
        said.setdefault("real_path", UNSET)
    if "to_path" in said:
        said.setdefault("to_real_path", UNSET)
    return msgspec.structs.replace(request, items=UNSET, batch_count=count, **said)


def _atoms(kind: ActionKind, request: Request) -> list[Atom]:
    folded = request.case_insensitive_paths
    places, named = _places(request.path, request.real_path, folded=folded)
    if kind in MOVES:
        target, named_of_target = _places(request.to_path, request.to_real_path, folded=folded)
        return [Atom(kind, request, places, named, target), Atom(kind, request, target, named_of_target, places)]
    if kind == "shell.exec" and request.commands:
        return [Atom(kind, request, places, named, command=command or None) for command in request.commands]
    return [Atom(kind, request, places, named)]


def _places(
    path: str | UnsetType | None, real: str | UnsetType | None, *, folded: bool
) -> tuple[tuple[Spelling, ...], int]:
    """Return the spellings of a path and then those of its real path, and how many are the path's own."""
    if path is UNSET or path is None:
        return (), 0
    named = spellings(path, folded)
    if real is UNSET or real is None or real == path:
        return named, len(named)
    return (*named, *(one for one in spellings(real, folded) if one not in named)), len(named)
