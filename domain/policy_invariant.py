"""What no document can relax: the denials that hold for every request in every frame, whatever the rules say."""

from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec import UNSET, UnsetType

from .action import ActionKind
from .policy_atom import MOVES, Atom
from .policy_column import FILES
from .policy_document import KINDS
from .policy_frame import ReadyScope, RootsByForm, closed, is_live
from .policy_host import parse_host
from .policy_place import Spelling, is_absolute
from .policy_request import Item, Request

_READS: Final[frozenset[str]] = frozenset(("file.read", "file.list", "file.search"))
_CHANGES: Final[frozenset[str]] = FILES - _READS
_REMOVES: Final = MOVES | {"file.delete"}
_NEEDS_PATH: Final[frozenset[str]] = FILES | {"shell.exec", "code.run"}
_CONNECTORS: Final = frozenset(("connector.read", "connector.action"))
_KIND_OF: Final[dict[str, ActionKind]] = {kind: kind for kind in KINDS}


class Broken(msgspec.Struct, frozen=True, gc=False):
    """An invariant that a request breaks: its rule id and a sentence."""

    rule_id: str
    reason: str


NO_POLICY = Broken("invariant.no-policy", "no policy is in force: what is not allowed is denied")


def kind_named(name: str) -> ActionKind | None:
    """Return the kind of that name."""
    return _KIND_OF.get(name)


# Of a request alone -------------------------------------------------------------------------------------------------


def find_broken_request(request: Request) -> Broken | None:
    """Return what is wrong with a request before any frame is looked at: its kind, or a required fact."""
    kind = kind_named(request.action)
    if kind is None:
        return Broken("invariant.unknown-action", f"there is no action `{request.action}`")
    items = request.items
    if items is None or items == ():
        return _missing("items")
    parts: Sequence[Request | Item] = (request,) if items is UNSET else items
    for part in parts:
        broken = _find_fault_of_part(kind, request, part)
        if broken is not None:
            return broken
    return None if kind in FILES else _find_fault_of_names(kind, request, parts)


def _find_fault_of_names(kind: ActionKind, request: Request, parts: Sequence[Request | Item]) -> Broken | None:
    if kind == "network.request":
        for part in parts:
            broken = _find_fault_of_host(request.host if part.host is UNSET else part.host)
            if broken is not None:
                return broken
    if kind in _CONNECTORS:
        if not request.connector:
            return _missing("connector")
        if request.required_scopes is None:
            return _missing("requiredScopes")
    return None


def _find_fault_of_part(kind: ActionKind, request: Request, part: Request | Item) -> Broken | None:
    path, real = part.path, part.real_path
    if path is UNSET:
        path, real = request.path, request.real_path if real is UNSET else real
    broken = _find_fault_of_path(path, real, "path", "realPath", kind in _NEEDS_PATH)
    if broken is not None or kind not in MOVES:
        return broken
    path, real = part.to_path, part.to_real_path
    if path is UNSET:
        path, real = request.to_path, request.to_real_path if real is UNSET else real
    return _find_fault_of_path(path, real, "toPath", "toRealPath", True)  # noqa: FBT003


def _find_fault_of_path(
    path: str | UnsetType | None, real: str | UnsetType | None, name: str, real_name: str, is_needed: bool
) -> Broken | None:
    """Return what is wrong with a path or with the real path behind it, which is the path where it is not given."""
    if isinstance(path, str):
        if not is_absolute(path):
            return _invalid(path)
    elif path is None or is_needed:
        return _missing(name)
    if real is UNSET:
        return None
    if real is None or not isinstance(path, str):
        return _missing(real_name if real is None else name)
    return None if is_absolute(real) else _invalid(real)


def _find_fault_of_host(host: str | None) -> Broken | None:
    if not host:
        return _missing("host")
    return None if parse_host(host) is not None else Broken("invariant.host-invalid", f"`{host}` is not a host")


def _missing(name: str) -> Broken:
    return Broken("invariant.missing-fact", f"`{name}` is not known, and the action can't be judged without it")


def _invalid(path: str) -> Broken:
    return Broken("invariant.path-invalid", f"`{path}` is not an absolute path without `..`")


# Of an atom in a frame ----------------------------------------------------------------------------------------------


def find_broken_atom(atom: Atom, scope: ReadyScope) -> Broken | None:
    """Return the invariant that an atom breaks in a frame, or None."""
    if atom.places:
        broken = _find_broken_place(atom, scope)
        if broken is not None:
            return broken
    if atom.kind in _CONNECTORS:
        broken = _find_broken_connector(atom, scope)
        if broken is not None:
            return broken
    bound = scope.scope.max_depth
    if bound is not None:
        deepest = bound - 1 if atom.kind == "subagent.spawn" else bound
        depth = atom.request.depth
        if depth is None or depth > deepest:
            return Broken("invariant.subagent-depth", f"subagents may be at most {bound} deep here")
    return None


def _find_broken_place(atom: Atom, scope: ReadyScope) -> Broken | None:
    roots = scope.roots(atom.request.now)
    for form, path in atom.places:
        if not f"{path}/".startswith(roots[form].live):
            return _why_not_granted(atom, (form, path), scope)
    if atom.kind not in _CHANGES:
        return None
    for form, path in atom.places:
        if not f"{path}/".startswith(roots[form].writable):
            return Broken("invariant.grant-mode", f"`{path}` is granted for reading only")
    return _find_broken_change(atom.kind, atom.places, roots)


def _why_not_granted(atom: Atom, place: Spelling, scope: ReadyScope) -> Broken:
    form, path = place
    if place not in atom.places[: atom.named]:
        return Broken("invariant.path-escape", f"the path leads to `{path}`, outside every granted folder")
    holding = scope.holding(form, path)
    if any(grant.revoked for grant in holding):
        return Broken("invariant.grant-revoked", f"the grant that held `{path}` was revoked")
    if holding:
        return Broken("invariant.grant-expired", f"the grant that held `{path}` has expired")
    return Broken("invariant.grant-scope", f"no granted folder holds `{path}`")


def _find_broken_change(kind: ActionKind, places: Sequence[Spelling], roots: RootsByForm) -> Broken | None:
    for form, path in places:
        place = closed(path)
        protected = roots[form].protected
        if place.startswith(protected) or any(root.startswith(place) for root in protected):
            return Broken("invariant.protected-path", f"`{path}` belongs to the engine, or holds what does")
    if kind in _REMOVES:
        for form, path in places:
            place = closed(path)
            if any(root.startswith(place) for root in roots[form].live):
                return Broken("invariant.grant-root", f"`{path}` is a granted folder, or holds one")
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
