"""The folders that a person opens to a session: looked up, named, and turned into grants."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from ..domain.errors import DomainError
from ..domain.grant import FolderGrant, GrantFolder, GrantState, NarrowGrant
from ..domain.path import components, is_beneath
from ..domain.scope import VERBS, FolderIdentity, FolderScope, Verb
from ..domain.session import AddGrant
from .command_handler import Order, order_grant, order_session
from .ports import FolderOpener, Ids


class FolderRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A folder that a person opens: its path, the verbs, and the output roots as paths.

    `name` is how plans are to call it; without one it is called by its own name, or that and a number.
    """

    path: str
    verbs: tuple[Verb, ...] = VERBS
    output_paths: tuple[str, ...] = ()
    expires_at: datetime | None = None
    name: str = ""


class OpenedFolder(msgspec.Struct, frozen=True):
    """A folder that was looked up and can be granted."""

    request: FolderRequest
    scope: FolderScope

    @property
    def root_path(self) -> str:
        """Its absolute path, without links."""
        return self.scope.root_path


def opened_folders(requests: Sequence[FolderRequest], opener: FolderOpener, ids: Ids) -> list[OpenedFolder]:
    """Return the folders, each under a name of its own.

    Raises `DomainError` not_found or invalid: no folder, granted twice, an output root outside, or one that may only be
    read and could be written to by way of another.
    """
    found = [(request, *opener.identify(request.path)) for request in requests]
    taken = {request.name for request in requests if request.name}
    folders: list[OpenedFolder] = []
    for request, root, identity in found:
        if any(folder.scope.identity == identity for folder in folders):
            raise DomainError("invalid", f"`{request.path}` is granted twice", "name each folder once")
        name = request.name or _free_name(components(root)[-1], taken)
        taken.add(name)
        folders.append(OpenedFolder(request, _scope(ids.new("grant"), name, root, identity, request)))
    for folder in folders:
        _refuse_other_ways(folder.scope, folders)
    return folders


def granting(session_id: str, folder: OpenedFolder) -> list[Order]:
    """Return the orders that open the folder to the session."""
    scope = folder.scope
    grant = GrantFolder(
        grant_id=scope.grant_id,
        session_id=session_id,
        name=scope.name,
        root_path=scope.root_path,
        verbs=scope.verbs,
        output_roots=scope.output_roots,
        identity=scope.identity,
        expires_at=scope.expires_at,
    )
    return [order_session(session_id, AddGrant(scope.grant_id)), order_grant(scope.grant_id, grant)]


def narrowing(
    grant_id: str, grant: GrantState, verbs: Sequence[Verb], output_paths: Sequence[str] | None = None
) -> Order:
    """Return the order that lets a granted folder cover what it does and these do; the output roots stay without paths.

    Raises `DomainError` not_found, invalid (a path outside the folder) or conflict (nothing would be left).
    """
    if not isinstance(grant, FolderGrant):
        raise DomainError("not_found", f"there is no granted folder `{grant_id}`", "see `cowork grant list`")
    if not set(verbs) & set(grant.scope.verbs):
        raise DomainError("conflict", f"nothing would be left of `{grant_id}`", "take it back: `cowork grant revoke`")
    roots = grant.scope.output_roots
    if output_paths is not None:
        roots = tuple(_below(grant.scope.root_path, path) for path in output_paths)
    return order_grant(grant_id, NarrowGrant(verbs=tuple(verbs), output_roots=roots))


def _scope(grant_id: str, name: str, root: str, identity: FolderIdentity, request: FolderRequest) -> FolderScope:
    return FolderScope(
        grant_id=grant_id,
        name=name,
        root_path=root,
        verbs=request.verbs,
        output_roots=tuple(_below(root, path) for path in request.output_paths),
        identity=identity,
        expires_at=request.expires_at,
    )


def _refuse_other_ways(folder: FolderScope, others: Sequence[OpenedFolder]) -> None:
    """Raise `DomainError` invalid where a folder that may only be read lies in another that may be changed."""
    if set(folder.verbs) - {"read"}:
        return
    for other in (one.scope for one in others):
        if set(other.verbs) - {"read"} and is_beneath(folder.root_path, other.root_path):
            raise DomainError(
                "invalid",
                f"`{folder.root_path}` is granted for reading only, and lies in `{other.root_path}`, which is granted"
                " for more",
                "grant folders that do not lie in one another",
            )


def _free_name(wish: str, taken: set[str]) -> str:
    names = (wish if number == 1 else f"{wish}-{number}" for number in range(1, len(taken) + 2))
    return next(name for name in names if name not in taken)


def _below(root: str, path: str) -> str:
    if not is_beneath(path, root) or ".." in path.split("/"):
        raise DomainError("invalid", f"the output root `{path}` does not lie in the granted folder `{root}`")
    return "/".join(components(path)[len(components(root)) :]) or "."
