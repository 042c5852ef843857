"""A frame made ready for many decisions: its granted folders, hosts and connectors in the forms that are compared."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TypeAlias

import msgspec

from .policy_host import Host, HostSet
from .policy_place import FORMS, Form, in_form, tidy
from .policy_request import FrameScope, GrantedConnector, GrantedRoot


class Roots(msgspec.Struct, frozen=True, gc=False):
    """The folders of a scope in one form, at one moment, each with a slash at its end (see `closed`).

    `live` are the folders of the grants that are in force, the innermost first; `writable` those that may be changed.
    """

    live: tuple[str, ...]
    writable: tuple[str, ...]
    outputs: tuple[str, ...]
    protected: tuple[str, ...]

    def below(self, path: str) -> str:
        """Return the place relative to the innermost granted folder that holds it: `/a/b`, empty for the folder."""
        place = f"{path}/"
        for root in self.live:
            if place.startswith(root):
                return path[len(root) - 1 :]
        return path


RootsByForm: TypeAlias = Mapping[Form, Roots]


class ReadyScope:
    """What a frame was granted. Places are compared with roots in the form of their spelling."""

    def __init__(self, scope: FrameScope) -> None:
        self.scope = scope
        self._hosts = HostSet((entry, 1) for entry in scope.host_allowlist)
        self._connectors: dict[str, list[GrantedConnector]] = {}
        for connector in scope.connectors:
            self._connectors.setdefault(connector.id, []).append(connector)
        self._ends = any(grant.expires_at is not None for grant in scope.grants)
        self._last: tuple[datetime | None, RootsByForm] = (None, self._roots(None))

    def roots(self, now: datetime | None) -> RootsByForm:
        """Return the folders as they are at that moment; only where a grant expires does the moment matter."""
        moment, known = self._last
        if self._ends and now != moment:
            known = self._roots(now)
            self._last = (now, known)
        return known

    def _roots(self, now: datetime | None) -> RootsByForm:
        live = [grant for grant in self.scope.grants if is_live(grant, now)]
        return {
            form: Roots(
                live=tuple(sorted(_closed_in(form, (grant.root for grant in live)), key=len, reverse=True)),
                writable=_closed_in(form, (grant.root for grant in live if grant.mode == "rw")),
                outputs=_closed_in(form, self.scope.output_roots),
                protected=_closed_in(form, self.scope.protected_roots),
            )
            for form in FORMS
        }

    def holding(self, form: Form, path: str) -> list[GrantedRoot]:
        """Return the grants, in force or not, whose folder holds the place."""
        place = closed(path)
        return [grant for grant in self.scope.grants if place.startswith(_closed_in(form, (grant.root,)))]

    def lists_host(self, host: Host) -> bool:
        """Whether the host is on the frame's list of allowed hosts."""
        return self._hosts.hits(host) != 0

    def connectors(self, name: str) -> Sequence[GrantedConnector]:
        """Return the grants of a connector, in force or not."""
        return self._connectors.get(name, ())


def closed(path: str) -> str:
    """Return a tidy path with one slash at its end: it lies in a folder when it begins with that folder, closed."""
    return path if path == "/" else f"{path}/"


def _closed_in(form: Form, roots: Iterable[str]) -> tuple[str, ...]:
    return tuple(closed(in_form(tidy(root), form)) for root in roots)


def is_live(grant: GrantedRoot | GrantedConnector, now: datetime | None) -> bool:
    """Whether a grant is in force. One that expires is not where the time is unknown."""
    if grant.revoked:
        return False
    return grant.expires_at is None or (now is not None and is_before(now, grant.expires_at))


def is_before(now: datetime, instant: datetime) -> bool:
    """Whether `now` lies before the instant; a time without a zone is no instant, and nothing lies before it."""
    return now.tzinfo is not None and instant.tzinfo is not None and now < instant
