"""What no document can relax: the denials that hold for every request in every frame, whatever the rules say."""

from collections.abc import Iterator, Sequence

import msgspec
from msgspec import UnsetType

from .action import ActionKind
from .policy_atom import MOVES, Atom
from .policy_column import FILES
from .policy_document import KINDS
from .policy_frame import ReadyScope, is_live
from .policy_host import parse_host
from .policy_place import Spelling, is_absolute
from .policy_request import Item, Request

_READS: frozenset[ActionKind] = frozenset(("file.read", "file.list", "file.search"))
_CHANGES: frozenset[ActionKind] = FILES - _READS
_REMOVES: frozenset[str] = frozenset(("file.delete", "file.rename", "file.move"))
_NEEDS_PATH: frozenset[ActionKind] = FILES | {"shell.exec", "code.run"}
_CONNECTORS = ("connector.read", "connector.action")
_KIND_OF: dict[str, ActionKind] = {kind: kind for kind in KINDS}


class Broken(msgspec.Struct, frozen=True, gc=False):
    """An invariant that a request breaks: its rule id and a sentence."""

    rule_id: str
    reason: str


NO_POLICY = Broken("invariant.no-policy", "no policy is in force: what is not allowed is denied")


def find_broken_request(request: Request) -> Broken | None:
    """Return what is wrong with a request before any frame is looked at: its kind, or a required fact."""
    kind = kind_named(request.action)
    if kind is None:
        return Broken("invariant.unknown-action", f"there is no action `{request.action}`")
    if request.items is None or request.items == ():
        return _missing("items")
    parts: Sequence[Request | Item] = request.items if isinstance(request.items, tuple) else (request,)
    for part in parts:
        broken = next(_faults_of_paths(kind, request, part), None)
        if broken is not None:
            return broken
    return _find_fault_of_names(kind, request, parts)


def kind_named(name: str) -> ActionKind | None:
    """Return the kind of that name."""
    return _KIND_OF.get(name)


def _faults_of_paths(kind: ActionKind, request: Request, part: Request | Item) -> Iterator[Broken]:
    path = part.path if not isinstance(part.path, UnsetType) else request.path
    to_path = part.to_path if not isinstance(part.to_path, UnsetType) else request.to_path
    required = (("path", path, kind in _NEEDS_PATH), ("toPath", to_path, kind in MOVES))
    for name, value, is_needed in required:
        if value is None or (is_needed and isinstance(value, UnsetType)):
            yield _missing(name)
        elif isinstance(value, str) and not is_absolute(value):
            yield Broken("invariant.path-invalid", f"`{value}` is not an absolute path without `..`")
    for name, real in (("realPath", part.real_path), ("toRealPath", part.to_real_path)):
        if real is None:
            yield _missing(name)
        elif isinstance(real, str) and not is_absolute(real):
            yield Broken("invariant.path-invalid", f"`{real}` is not an absolute path without `..`")


def _find_fault_of_names(kind: ActionKind, request: Request, parts: Sequence[Request | Item]) -> Broken | None:
    if kind == "network.request":
        for part in parts:
            host = part.host if not isinstance(part.host, UnsetType) else request.host
            if not host:
                return _missing("host")
            if parse_host(host) is None:
                return Broken("invariant.host-invalid", f"`{host}` is not a host")
    if kind in _CONNECTORS:
        if not request.connector:
            return _missing("connector")
        if request.required_scopes is None:
            return _missing("requiredScopes")
    return None


def _missing(name: str) -> Broken:
    return Broken("invariant.missing-fact", f"`{name}` is not known, and the action can't be judged without it")


def find_broken_atom(atom: Atom, scope: ReadyScope) -> Broken | None:
    """Return the invariant that an atom breaks in a frame, or None."""
    for number, place in enumerate(atom.places):
        broken = _find_broken_place(atom, place, scope, is_first=number == 0)
        if broken is not None:
            return broken
    request = atom.request
    if atom.kind in _CONNECTORS:
        return _find_broken_connector(atom, scope)
    bound = scope.scope.max_depth
    if bound is not None:
        deepest = bound - 1 if atom.kind == "subagent.spawn" else bound
        if request.depth is None or request.depth > deepest:
            return Broken("invariant.subagent-depth", f"subagents may be at most {bound} deep here")
    return None


def _find_broken_place(atom: Atom, place: Spelling, scope: ReadyScope, *, is_first: bool) -> Broken | None:
    now = atom.request.now
    covering = scope.covering(place)
    live = [grant for _, grant in covering if is_live(grant, now)]
    shown = place[1]
    if not live:
        if not is_first and place[0] != "nfc":
            return Broken("invariant.path-escape", f"the path leads to `{shown}`, outside every granted folder")
        if any(grant.revoked for _, grant in covering):
            return Broken("invariant.grant-revoked", f"the grant that held `{shown}` was revoked")
        if covering:
            return Broken("invariant.grant-expired", f"the grant that held `{shown}` has expired")
        return Broken("invariant.grant-scope", f"no granted folder holds `{shown}`")
    if atom.kind not in _CHANGES:
        return None
    if all(grant.mode == "r" for grant in live):
        return Broken("invariant.grant-mode", f"`{shown}` is granted for reading only")
    if scope.is_protected(place):
        return Broken("invariant.protected-path", f"`{shown}` belongs to the engine, or holds what does")
    if atom.kind in _REMOVES and scope.holds_grant(place, now):
        return Broken("invariant.grant-root", f"`{shown}` is a granted folder, or holds one")
    return None


def _find_broken_connector(atom: Atom, scope: ReadyScope) -> Broken | None:
    request = atom.request
    name = request.connector or ""
    granted = scope.connectors(name)
    live = [grant for grant in granted if is_live(grant, request.now)]
    if not live:
        if any(grant.revoked for grant in granted):
            return Broken("invariant.connector-revoked", f"the grant of connector `{name}` was revoked")
        if granted:
            return Broken("invariant.connector-expired", f"the grant of connector `{name}` has expired")
        return Broken("invariant.connector-scope", f"connector `{name}` is not granted")
    needed = set(request.required_scopes or ())
    enough = [grant for grant in live if needed <= set(grant.scopes)]
    if not enough:
        return Broken("invariant.connector-scope", f"connector `{name}` is not granted every scope that this needs")
    if atom.kind == "connector.action" and not any(grant.allow_actions for grant in enough):
        return Broken("invariant.connector-actions", f"connector `{name}` is granted for reading only")
    return None
