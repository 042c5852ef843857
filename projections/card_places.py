"""How a card names places: as a plan would, in visible characters, and where they really are."""

import msgspec

from ..domain.action import Location
from ..domain.path import components, normal
from ..domain.scope import Scope
from .place_names import PlaceNames, names_in_scope
from .visible_text import quoted, visible


def name_shown(text: str) -> str:
    """Return a name as part of a sentence or a list: in quotes where it could be mistaken for several words."""
    shown = visible(text)
    return quoted(text) if not shown or " " in shown or '"' in shown else shown


class CardPlaces(msgspec.Struct, frozen=True):
    """The places of one question's scope."""

    scope: Scope
    names: PlaceNames

    def shown(self, place: Location) -> str:
        """Return the place as a plan would write it."""
        return name_shown(self.names.at(place))

    def resolved(self, place: Location) -> str:
        """Return the absolute path, or an empty text where the grant is not known."""
        folder = self.scope.folder(place.grant_id)
        if folder is None:
            return ""
        relative = normal(place.path)
        root = folder.root_path.rstrip("/")
        return name_shown((root or "/") if relative == "." else f"{root}/{relative}")

    def folder_of_all(self, places: list[Location]) -> str:
        """Return the folder that holds all the places, in words for a headline."""
        grants = {place.grant_id for place in places}
        if len(grants) > 1:
            return f"{len(grants)} granted folders"
        shared = components(places[0].path)[:-1]
        for place in places[1:]:
            parents = components(place.path)[:-1]
            same = 0
            for ours, theirs in zip(shared, parents, strict=False):
                if ours != theirs:
                    break
                same += 1
            shared = shared[:same]
        folder = Location(places[0].grant_id, "/".join(shared) or ".")
        return self.shown(folder) if shared else self.resolved(folder) or self.shown(folder)


def places_in(scope: Scope) -> CardPlaces:
    """Return the places of a scope."""
    return CardPlaces(scope, names_in_scope(scope))
