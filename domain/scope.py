"""What an actor may touch, as values: granted folders with their verbs, and how rights only ever get narrower."""

import hashlib
from collections.abc import Iterator
from datetime import datetime
from typing import Final, Literal, TypeAlias, TypeVar, get_args

import msgspec

from .action import ActionKind
from .path import components, is_beneath, normal
from .policy_host import entry_of_both
from .reason import ReasonCode

Verb: TypeAlias = Literal["read", "create", "write", "move", "delete"]
VERBS: tuple[Verb, ...] = get_args(Verb)

WHOLE: Final = (".",)
"""All of a granted folder."""


class FolderIdentity(msgspec.Struct, frozen=True, gc=False):
    """Which folder it is, whatever its name says later: device and inode number, as at the time of the grant."""

    device: int
    inode: int


class PartVerbs(msgspec.Struct, frozen=True, gc=False):
    """What may be done in one part of a granted folder: the path below it, and the verbs."""

    path: str
    verbs: tuple[Verb, ...]


class FolderScope(msgspec.Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True, rename="camel"):
    """One granted folder. `output_roots` are paths below it (`.` is all of it); `name` is how plans call it.

    `within` are the paths below it that are covered at all: a subagent may be kept to a part of a granted folder. Where
    its parts have different verbs, `by_part` lists them, once for each subagent on the way: all lists have to agree.
    """

    grant_id: str
    name: str
    root_path: str
    verbs: tuple[Verb, ...]
    output_roots: tuple[str, ...] = ()
    identity: FolderIdentity
    expires_at: datetime | None = None
    revoked: bool = False
    within: tuple[str, ...] = WHOLE
    by_part: tuple[tuple[PartVerbs, ...], ...] = ()

    def absolute(self, path: str) -> str:
        """Return a path below the folder as an absolute one."""
        inner = normal(path)
        return self.root_path if inner == "." else f"{self.root_path.rstrip('/')}/{inner}"

    def is_output(self, path: str) -> bool:
        """Whether the path lies beneath one of the output roots."""
        return any(is_beneath(path, root) for root in self.output_roots)

    def covers(self, path: str) -> bool:
        """Whether the path lies in the part of the folder that is covered."""
        return self.within == WHOLE or any(is_beneath(path, part) for part in self.within)

    def lets(self, verb: Verb, path: str) -> bool:
        """Whether the verb is covered at a path that is."""
        return verb in self.verbs and all(
            any(verb in part.verbs and is_beneath(path, part.path) for part in parts) for parts in self.by_part
        )

    def is_on_the_way(self, path: str) -> bool:
        """Whether the path is a folder above a part that is covered: it has to be passed, and nothing else in it."""
        return any(is_beneath(part, path) for part in self.within)


class GrantedHost(msgspec.Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True, rename="camel"):
    """One granted host: an entry of a list of hosts, as `domain/policy_host.py` describes it."""

    grant_id: str
    host: str
    revoked: bool = False


class Scope(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """Every grant of a session or subagent, those no longer in force included (so that a refusal can name them).

    A subagent may be kept to some kinds of actions and some connectors (None: to none in particular), and to a time.
    With `only_hosts`, no other host than those listed is reached, whatever the rules say of hosts that nobody granted.
    `above` is what those have of whom a subagent got its rights, the session first: a rule that denies something to one
    of them denies it to the subagent, even where it is a rule about what the subagent was not given.
    """

    folders: tuple[FolderScope, ...] = ()
    hosts: tuple[GrantedHost, ...] = ()
    kinds: tuple[ActionKind, ...] | None = None
    connectors: tuple[str, ...] | None = None
    until: datetime | None = None
    only_hosts: bool = False
    above: tuple["Scope", ...] = ()

    @property
    def alone(self) -> "Scope":
        """What was given here, without what those above have."""
        return msgspec.structs.replace(self, above=()) if self.above else self

    @property
    def open_hosts(self) -> tuple[str, ...]:
        """The entries of the hosts that are in force."""
        return tuple(host.host for host in self.hosts if not host.revoked)

    def folder(self, grant_id: str) -> FolderScope | None:
        """Return the grant with that id, or None."""
        for folder in self.folders:
            if folder.grant_id == grant_id:
                return folder
        return None

    def digest(self) -> str:
        """Return `sha256:<hex>` of the scope, under which a decision refers to it."""
        return f"sha256:{hashlib.sha256(_ENCODER.encode(self)).hexdigest()}"


_ENCODER = msgspec.json.Encoder(order="sorted")


class NotCovered(msgspec.Struct, frozen=True, gc=False):
    """Why a verb is not covered at a place: a reason code, the invariant's id and a sentence."""

    code: ReasonCode
    rule_id: str
    message: str


def find_gap(folder: FolderScope | None, path: str, verb: Verb, now: datetime) -> NotCovered | None:
    """Return why the grant does not cover `verb` at `path`, or None where it does."""
    if folder is None:
        return NotCovered("no_grant", "invariant.grant-scope", f"no granted folder covers `{path}`")
    if folder.revoked:
        return NotCovered("no_grant", "invariant.grant-revoked", f"the grant of `{folder.name}` was revoked")
    if folder.expires_at is not None and now >= folder.expires_at:
        return NotCovered("no_grant", "invariant.grant-expired", f"the grant of `{folder.name}` has expired")
    if not folder.covers(path):
        outside = f"`{path}` lies outside the part of `{folder.name}` that was given"
        return NotCovered("no_grant", "invariant.grant-within", outside)
    if not folder.lets(verb, path):
        where = "" if verb not in folder.verbs else f" at `{path}`"
        missing = f"the grant of `{folder.name}` does not cover {verb}{where}"
        return NotCovered("no_grant", "invariant.grant-verb", missing)
    return None


def attenuate(parent: Scope, wished: Scope) -> Scope:
    """Return what a child may have of what it wishes for, beneath what its parent has: never more than that.

    A wished grant keeps the verbs, parts, output roots and life time that the parent's of the same id has too; one that
    the parent lacks is dropped. Of a wished host that is kept which the parent's grant of that id is about, too.
    """
    return Scope(
        tuple(_narrowed_folders(parent, wished)),
        _narrowed_hosts(parent, wished),
        _in_both(parent.kinds, wished.kinds),
        _in_both(parent.connectors, wished.connectors),
        _earlier(parent.until, wished.until),
        parent.only_hosts or wished.only_hosts,
        (*parent.above, parent.alone),
    )


def _narrowed_folders(parent: Scope, wished: Scope) -> Iterator[FolderScope]:
    """Yield one folder of each id, the one that `Scope.folder` finds: no other may count for a child of the child."""
    for grant_id in dict.fromkeys(folder.grant_id for folder in wished.folders):
        held, wish = parent.folder(grant_id), wished.folder(grant_id)
        if held is not None and wish is not None:
            yield _narrowed(held, wish)


def _narrowed(held: FolderScope, wish: FolderScope) -> FolderScope:
    return msgspec.structs.replace(
        held,
        verbs=tuple(verb for verb in held.verbs if verb in wish.verbs),
        output_roots=tuple(_narrowed_roots(held.output_roots, wish.output_roots)),
        expires_at=_earlier(held.expires_at, wish.expires_at),
        revoked=held.revoked or wish.revoked,
        within=tuple(_narrowed_roots(held.within, wish.within)),
        by_part=tuple(dict.fromkeys((*held.by_part, *wish.by_part))),
    )


def _narrowed_hosts(parent: Scope, wished: Scope) -> tuple[GrantedHost, ...]:
    """Return what is in both lists, and nothing twice; a grant may stand for several hosts."""
    found = [
        GrantedHost(grant_id=wish.grant_id, host=host, revoked=wish.revoked or held.revoked)
        for wish in wished.hosts
        for held in parent.hosts
        if wish.grant_id == held.grant_id and (host := entry_of_both(wish.host, held.host)) is not None
    ]
    kept: list[GrantedHost] = []
    for one in found:
        if not any(_says_as_much(other, one) for other in kept):
            kept = [other for other in kept if not _says_as_much(one, other)]
            kept.append(one)
    return tuple(kept)


def _says_as_much(one: GrantedHost, other: GrantedHost) -> bool:
    is_about_it = one.grant_id == other.grant_id and entry_of_both(other.host, one.host) == other.host
    return is_about_it and one.revoked <= other.revoked


T = TypeVar("T")


def _in_both(held: tuple[T, ...] | None, wished: tuple[T, ...] | None) -> tuple[T, ...] | None:
    if held is None or wished is None:
        return wished if held is None else held
    return tuple(one for one in held if one in wished)


def _earlier(held: datetime | None, wished: datetime | None) -> datetime | None:
    ends = [t for t in (held, wished) if t is not None]
    return min(ends) if ends else None


def _narrowed_roots(held: tuple[str, ...], wished: tuple[str, ...]) -> list[str]:
    kept = [normal(wish) for wish in wished if any(is_beneath(wish, root) for root in held)]
    kept += [normal(root) for root in held if any(is_beneath(root, wish) for wish in wished)]
    return sorted(set(kept), key=lambda path: (len(components(path)), path))
