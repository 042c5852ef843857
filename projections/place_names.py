"""How a place is written for people and programs outside: as plans write it, by the names of the granted folders.

A path below the session's first granted folder stands alone; one below another begins with that folder's name
(`photos:2024/a.jpg`). A path of the first folder that could be mistaken for the second form begins with `./`.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from ..domain.action import Location
from ..domain.path import normal
from ..domain.scope import Scope
from .row import Row, number_of, text_of


class PlaceNames(msgspec.Struct, frozen=True):
    """The names of a session's granted folders by grant id, the first one known apart."""

    first: str
    names: Mapping[str, str]

    def of(self, grant_id: str, path: str) -> str:
        """Return the place as a plan would write it, its text unchanged; an unknown grant goes by its id."""
        if not grant_id and path.startswith("/"):
            # It lies in no granted folder: without its first character it would look as if it lay in one.
            return path
        relative = normal(path)
        if grant_id in (self.first, ""):
            before, colon, _ = relative.partition(":")
            return f"./{relative}" if colon and before in self.names.values() else relative
        return f"{self.names.get(grant_id, grant_id)}:{relative}"

    def at(self, place: Location) -> str:
        """Return the location as a plan would write it."""
        return self.of(place.grant_id, place.path)


NO_NAMES: Final = PlaceNames("", {})


def names_in_scope(scope: Scope) -> PlaceNames:
    """Return the names of the scope's folders; its first folder is the session's first."""
    names = {folder.grant_id: folder.name for folder in scope.folders}
    return PlaceNames(next(iter(names), ""), names)


def names_in_rows(grants: Sequence[Row]) -> PlaceNames:
    """Return the names in a session's rows of the table `grants` (`projections/active_grants.py`)."""
    given = sorted(grants, key=lambda row: number_of(row, "position"))
    names = {text_of(row, "grant_id"): text_of(row, "name") for row in given}
    return PlaceNames(next(iter(names), ""), names)
