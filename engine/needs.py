"""What an action of recorded history needed of the rules, as far as rules can tell it apart from others."""

from collections.abc import Iterable
from typing import Literal, TypeAlias

import msgspec

from ..domain.action import ActionKind, kind_of
from ..domain.path import is_beneath, normal
from ..domain.places import look_at
from ..domain.policy_host import parse_host
from ..domain.policy_request import Request
from ..domain.policy_translation import request_of
from .policy_history import Began, Decided, Standing

Level: TypeAlias = Literal["allow", "allow_with_confirm"]


class Need(msgspec.Struct, frozen=True, gc=False):
    """One way in which actions were needed: the same for all that a rule could not tell apart.

    `places` are absolute, `roots` the granted folders that hold them. `special` says which kinds of names lie below
    those (hidden, sensitive, executed). `commands` is None where they can't be told.
    """

    kind: ActionKind
    level: Level
    places: tuple[str, ...] = ()
    roots: tuple[str, ...] = ()
    special: tuple[str, ...] = ()
    exists: bool | None = None
    host: str = ""
    method: str = ""
    commands: tuple[tuple[str, ...], ...] | None = None
    connector: str = ""
    tool: str = ""


class Sample(msgspec.Struct, gc=False):
    """How often something was needed, with the first time as an example of it.

    `asked` counts the actions to which a person said yes first; `rememberable` whether that could ever be remembered.
    """

    moment: Decided | Began
    request: Request
    actions: int = 0
    asked: int = 0
    rememberable: bool = False


def request_at(moment: Decided | Began) -> Request | None:
    """Return what policy was asked at a moment, None for a start before which it was not asked."""
    if moment.facts is None:
        return None
    past = moment.past
    return request_of(past.action, moment.facts, moment.standing.scope, session=past.session_id, task=past.task_id)


def need_of(moment: Decided | Began, request: Request, level: Level) -> Need:
    """Return what the moment's action needed."""
    places = tuple(_tidy(place) for place in (request.path, request.to_path) if isinstance(place, str))
    roots = tuple(_root_of(place, moment.standing) for place in places)
    return Need(
        kind=kind_of(moment.past.action),
        level=level,
        places=places,
        roots=roots,
        special=_special(zip(places, roots, strict=True)),
        exists=request.target_exists,
        host=_host(request.host),
        method=(request.method or "").upper(),
        commands=request.commands,
        connector=request.connector or "",
        tool=request.tool or "",
    )


def _tidy(place: str) -> str:
    return f"/{inner}" if (inner := normal(place)) != "." else "/"


def _root_of(place: str, standing: Standing) -> str:
    """Return the innermost granted folder that holds the place."""
    roots = [folder.root_path for folder in standing.scope.folders if is_beneath(place, folder.root_path)]
    return max(roots, key=len, default="/")


def _special(placed: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for place, root in placed:
        look = look_at(place[len(root.rstrip("/")) :])
        flags = (("hidden", look.hidden), ("sensitive", look.sensitive), ("executed", look.executed))
        found |= dict.fromkeys(name for name, is_so in flags if is_so)
    return tuple(sorted(found))


def _host(text: str | None) -> str:
    """Return the entry of a list of hosts that is about this host."""
    host = None if not text else parse_host(text)
    if host is None:
        return ""
    return host.name if host.port in (None, 80, 443) else f"{host.name}:{host.port}"
