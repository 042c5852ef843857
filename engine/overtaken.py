"""Whether a file that an attempt made was taken away again before anybody looked: the log of all tasks may tell.

A look at the place can't: nothing stands there, as before. Without it the file would be made a second time.
"""

from collections.abc import Iterator

from ..domain.action import Action, FileCreate, FileWrite, Location
from ..domain.effect import Effect
from ..domain.event import Event, Recorded
from ..domain.facts import Facts
from ..domain.grant import FolderGrant
from ..domain.path import is_beneath
from ..domain.task import ActionSucceeded
from .command_handler import GRANT, CommandHandler
from .ports import Done, EventStore, Unclear

_PAGE = 1_000


def find_taken_away(
    handler: CommandHandler, store: EventStore, start: Recorded[Event], action: Action, facts: Facts
) -> Done | Unclear | None:
    """Return what the log says of an attempt to make a file that is not there: None where it says nothing.

    `Done` where somebody moved, replaced or deleted the very bytes at the very place since the start; `Unclear` where
    somebody took away a folder above it.
    """
    if not isinstance(action, FileCreate | FileWrite) or (facts.target is not None and facts.target.kind != "absent"):
        return None
    place = _absolute(handler, action.at)
    for name, effect in _effects_since(store, start.position) if place else ():
        if effect.change == "create" and _absolute(handler, effect.at) == place:
            return None  # What stood there since then was somebody else's, whatever was in it.
        taken = _absolute(handler, effect.previous or effect.at)
        if not taken or effect.change == "create":
            continue
        if taken == place and effect.before == action.content.digest:
            made = Effect(change="create", at=action.at, after=action.content.digest, mode_after=action.mode)
            return Done((made,))
        if taken != place and is_beneath(place, taken):
            return Unclear(
                f"`{effect.at.path}` was a folder above `{action.at.path}`, and action `{name}` took it away"
            )
    return None


def _effects_since(store: EventStore, position: int) -> Iterator[tuple[str, Effect]]:
    after = position
    while page := store.read_log(after=after, limit=_PAGE):
        after = page[-1].position
        for recorded in page:
            event = recorded.event
            if isinstance(event, ActionSucceeded):
                yield from ((event.action_id, effect) for effect in event.effects)


def _absolute(handler: CommandHandler, place: Location) -> str:
    """Return where a place lies, empty where its grant is none of a folder."""
    grant = handler.known(place.grant_id, GRANT).state
    return grant.scope.absolute(place.path) if isinstance(grant, FolderGrant) else ""
