"""A frame made ready for many decisions: its granted folders, hosts and connectors in the forms that are compared."""

from collections.abc import Sequence
from datetime import datetime
from typing import TypeAlias

from .policy_host import Host, HostSet
from .policy_place import FORMS, Form, Spelling, agreed, in_form, is_under, tidy
from .policy_request import FrameScope, GrantedConnector, GrantedRoot


class _Roots:
    """The roots of one scope in one form."""

    __slots__ = ("grants", "outputs", "protected")

    def __init__(self, scope: FrameScope, form: Form) -> None:
        self.grants: tuple[tuple[str, GrantedRoot], ...] = tuple(
            (in_form(tidy(grant.root), form), grant) for grant in scope.grants
        )
        self.outputs = tuple(in_form(tidy(root), form) for root in scope.output_roots)
        self.protected = tuple(in_form(tidy(root), form) for root in scope.protected_roots)


Roots: TypeAlias = tuple[tuple[str, GrantedRoot], ...]


class ReadyScope:
    """What a frame was granted, answering where a place lies. Roots are compared in the form of the spelling."""

    def __init__(self, scope: FrameScope) -> None:
        self.scope = scope
        self._roots = {form: _Roots(scope, form) for form in FORMS}
        self._hosts = HostSet((entry, 1) for entry in scope.host_allowlist)
        self._connectors: dict[str, list[GrantedConnector]] = {}
        for connector in scope.connectors:
            self._connectors.setdefault(connector.id, []).append(connector)
        self._ends = any(grant.revoked or grant.expires_at is not None for grant in scope.grants)

    def covering(self, spelling: Spelling) -> list[tuple[str, GrantedRoot]]:
        """Return the grants, in force or not, whose folder holds the place."""
        form, path = spelling
        return [(root, grant) for root, grant in self._roots[form].grants if is_under(path, root)]

    def live_roots(self, form: Form, now: datetime | None) -> Sequence[str]:
        """Return the folders of the grants that are in force."""
        grants = self._roots[form].grants
        if not self._ends:
            return [root for root, _ in grants]
        return [root for root, grant in grants if is_live(grant, now)]

    def is_within_grant(self, places: Sequence[Spelling], now: datetime | None) -> bool | None:
        """Whether a grant in force holds the place; None where its spellings differ in that."""
        return agreed([any(is_under(path, root) for root in self.live_roots(form, now)) for form, path in places])

    def is_within_output(self, places: Sequence[Spelling]) -> bool | None:
        """Whether an output root holds the place; None where its spellings differ in that."""
        return agreed([any(is_under(path, root) for root in self._roots[form].outputs) for form, path in places])

    def below_root(self, spelling: Spelling, now: datetime | None) -> str:
        """Return the place relative to the innermost granted folder that holds it: `/a/b`, empty for the folder."""
        form, path = spelling
        roots = [root for root in self.live_roots(form, now) if is_under(path, root)]
        inner = max(map(len, roots), default=0)
        return path if inner == 1 else path[inner:]

    def is_protected(self, spelling: Spelling) -> bool:
        """Whether the place is protected, or holds a place that is."""
        form, path = spelling
        return any(is_under(path, root) or is_under(root, path) for root in self._roots[form].protected)

    def holds_grant(self, spelling: Spelling, now: datetime | None) -> bool:
        """Whether the place is a granted folder itself, or holds one."""
        form, path = spelling
        return any(is_under(root, path) for root in self.live_roots(form, now))

    def is_crossing(self, places: Sequence[Spelling], others: Sequence[Spelling], now: datetime | None) -> bool | None:
        """Whether no one grant holds both places; None where their spellings differ in that."""
        return agreed(
            [
                not any(is_under(path, root) and is_under(other, root) for root in self.live_roots(form, now))
                for form, path in places
                for other_form, other in others
                if other_form == form
            ]
            or [True]
        )

    def lists_host(self, host: Host) -> bool:
        """Whether the host is on the frame's list of allowed hosts."""
        return self._hosts.hits(host) != 0

    def connectors(self, name: str) -> Sequence[GrantedConnector]:
        """Return the grants of a connector, in force or not."""
        return self._connectors.get(name, ())


def is_live(grant: GrantedRoot | GrantedConnector, now: datetime | None) -> bool:
    """Whether a grant is in force. One that expires is not where the time is unknown."""
    if grant.revoked:
        return False
    return grant.expires_at is None or (now is not None and is_before(now, grant.expires_at))


def is_before(now: datetime, instant: datetime) -> bool:
    """Whether `now` lies before the instant; a time without a zone is no instant, and nothing lies before it."""
    return now.tzinfo is not None and instant.tzinfo is not None and now < instant
