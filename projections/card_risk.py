"""The part of a card that names the risks: words first, then one clause of evidence each."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from ..domain.action import (
    ConnectorAction,
    ConnectorRead,
    FileMove,
    FileRename,
    FileWrite,
    Location,
    NetworkRequest,
    ShellExec,
    hosts_of,
    locations_of,
)
from ..domain.path import has_hidden_characters
from ..domain.places import is_executed
from ..domain.risk import RISK_TAGS, RISK_WORDS, RiskTag
from .card_headline import things, total_size
from .card_places import CardPlaces, name_shown
from .measure import count_words
from .question import QuestionItem
from .visible_text import visible

_NAMED_MAX: Final = 3


def risk_lines(items: Sequence[QuestionItem], places: CardPlaces, *, agent_hides: bool) -> tuple[str, ...]:
    """Return a line for each risk tag of any item; `agent_hides` says that the agent's words needed escapes."""
    tagged: dict[str, list[QuestionItem]] = {}
    for item in items:
        for tag in item.decision.risk_tags:
            tagged.setdefault(tag, []).append(item)
    lines = [f"{RISK_WORDS[tag]}: {_evidence(tag, tagged.pop(tag), places)}" for tag in RISK_TAGS if tag in tagged]
    lines += (f"{visible(tag)}: {count_words(len(which), 'action')}, says the rule" for tag, which in tagged.items())
    if agent_hides:
        lines.append("hidden characters: in the agent's words, written out")
    return tuple(lines)


def _reached(item: QuestionItem) -> Iterator[str]:
    if isinstance(item.action, NetworkRequest):
        yield name_shown(item.action.url)
    yield from map(name_shown, hosts_of(item.action))


def _evidence(tag: RiskTag, items: Sequence[QuestionItem], places: CardPlaces) -> str:
    match tag:
        case "delete":
            states = [item.facts.target for item in items]
            return f"{things(states)}{total_size(states)}"
        case "overwrite":
            return _named(places.shown(item.action.at) for item in items if isinstance(item.action, FileWrite))
        case "network":
            return _named(place for item in items for place in _reached(item))
        case "connector":
            calls = (item.action for item in items)
            return _named(name_shown(c.connector) for c in calls if isinstance(c, ConnectorRead | ConnectorAction))
        case "batch":
            return f"{count_words(len(items), 'action')} in this question"
        case "execute":
            return _named(map(_program, items))
        case "spawn":
            return "with the rights listed above, never more than its parent has"
        case "cross-root":
            moves = (item.action for item in items)
            return _named(
                f"{places.shown(move.at)} -> {places.shown(move.to)}"
                for move in moves
                if isinstance(move, FileMove | FileRename)
            )
        case "hardlink":
            return _named(_links(item, places) for item in items)
        case "host-executed":
            return _named(places.shown(place) for place in _places(items) if is_executed(place.path))
        case "hidden-characters":
            return _named(places.shown(place) for place in _places(items) if has_hidden_characters(place.path))
        case "untrusted":
            labels = (label for item in items for label in item.facts.labels or ("an origin that can't be told",))
            return _named(map(name_shown, dict.fromkeys(labels)))


def _named(shown: Iterable[str]) -> str:
    """Return the first few of them; all of them stand in the card's list."""
    names = list(shown)
    more = len(names) - _NAMED_MAX
    return ", ".join([*names[:_NAMED_MAX], *([f"and {more:,} more, listed above"] if more > 0 else [])])


def _places(items: Sequence[QuestionItem]) -> Iterator[Location]:
    return (place for item in items for place in locations_of(item.action))


def _program(item: QuestionItem) -> str:
    action = item.action
    return name_shown(action.argv[0]) if isinstance(action, ShellExec) and action.argv else "Python"


def _links(item: QuestionItem, places: CardPlaces) -> str:
    names = 0 if item.facts.target is None else item.facts.target.links
    return f"{places.shown(locations_of(item.action)[0])} has {count_words(names, 'name')}"
