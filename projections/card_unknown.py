"""The part of a card that asks what became of an attempt: what was found, where to look, and what each answer does."""

from collections.abc import Iterator, Sequence
from typing import Final

from ..domain.action import (
    Action,
    CodeRun,
    ConnectorAction,
    ConnectorRead,
    NetworkRequest,
    ShellExec,
    SubagentSpawn,
    locations_of,
)
from .card_layout import block, field
from .card_places import CardPlaces, name_shown
from .question import QuestionItem
from .visible_text import visible, visible_lines

HAPPENED: Final = "it counts as done, on your word"
NOT_HAPPENED: Final = "it counts as failed, on your word, and nothing is done"
TRY_AGAIN: Final = "it is done once more, from what is there now"


def unknown_lines(items: Sequence[QuestionItem], places: CardPlaces, found: str) -> Iterator[str]:
    """Yield what is known of an attempt of which nobody can tell whether it happened, and the three answers."""
    yield "This was begun and then interrupted. Nobody can tell whether it happened."
    yield from (f"found now: {line}" for line in (visible_lines(found) if found else ()))
    yield from block("check", list(dict.fromkeys(_to_check(item.action, places) for item in items)))
    yield field("happened", HAPPENED)
    yield field("did not", NOT_HAPPENED)
    yield field("try again", TRY_AGAIN)


def _to_check(action: Action, places: CardPlaces) -> str:
    """Return where a person can look for what became of it."""
    match action:
        case NetworkRequest(url=url):
            return f"ask {name_shown(url)} whether the request arrived"
        case ShellExec(network=hosts) | CodeRun(network=hosts):
            return f"look whether it did something at {', '.join(map(name_shown, hosts)) or 'another place'}"
        case ConnectorRead(connector=connector) | ConnectorAction(connector=connector):
            return f"look whether {visible(connector)} did it"
        case SubagentSpawn():
            return "look at what the subagent did"
        case _:
            return f"look at {' and '.join(map(places.shown, locations_of(action)))}"
