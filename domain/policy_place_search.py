"""Paths for witnesses: one that some patterns match and others do not, with a granted folder that suits it.

Looks first among the paths that it found before, then among a few that a person could have written, and only then
searches the automata, with no more patterns than get in each other's way. Where there is none it names the patterns
that can't be had together.
"""

from collections.abc import Iterator, Mapping
from itertools import zip_longest
from typing import Final

import msgspec

from .places import look_at
from .policy_automaton import (
    EXECUTED_NAMES,
    HIDDEN,
    SENSITIVE_NAMES,
    Language,
    Shape,
    TooHardError,
    extension_language,
    find_word,
    glob_language,
)
from .policy_circuit import Fact
from .policy_glob import compiled, slashed
from .policy_place import in_form, is_absolute, is_under, tidy

PLACE_FACTS: Final = frozenset(("glob", "extension", "hidden", "sensitive", "executed", "cross_root"))
_BELOW: Final = ("hidden", "sensitive", "executed")
_LISTS: Final = {"hidden": HIDDEN, "sensitive": SENSITIVE_NAMES, "executed": EXECUTED_NAMES}
_POOL_MAX: Final = 96
_MINIMISED_MAX: Final = 8

_SHALLOW: Final = ((), ("/*", "/*/*"), ("/*", "/*/*", "/*/*/*"))
"""What two places must not be, one try after the other: the deeper they lie, the more folders there are to grant."""

_NAMES: Final = ("report.txt", "docs/report.txt", "README", "a/b/c.md")
_TELLING: Final = {
    "hidden": (".hidden/report.txt", ".hidden"),
    "sensitive": ("secrets/report.txt", "id_rsa", ".env"),
    "executed": ("claude.md", "sitecustomize.py", ".vscode/tasks.json"),
}


class Place(msgspec.Struct, frozen=True, gc=False):
    """A path and the granted folder that holds it."""

    path: str
    root: str


class Conflict(msgspec.Struct, frozen=True):
    """Facts that can't be had together."""

    facts: dict[Fact, bool]


class PlaceSearch:
    """Finds paths. `is_inner`: the granted folder itself will not do (it can be neither deleted nor moved)."""

    def __init__(self, *, is_inner: bool) -> None:
        self._is_inner = is_inner
        self._pool: list[tuple[Place, dict[Fact, bool]]] = []
        self._conflicts: list[dict[Fact, bool]] = []

    def find(self, wants: Mapping[Fact, bool]) -> Place | Conflict:
        """Return a place where the facts are as wanted, or which of them can't be had together.

        Raises `TooHardError` where the search had to stop.
        """
        for place, known in self._pool:
            if all(
                _holds(fact, place, known) is is_wanted for fact, is_wanted in wants.items() if _matters(fact, wants)
            ):
                return place
        for conflict in self._conflicts:
            if conflict.items() <= wants.items():
                return Conflict(conflict)
        plain = self._find_plain(wants)
        found = plain or self._search(wants)
        if isinstance(found, Conflict):
            self._conflicts.append(found.facts)
        else:
            # What reads well is tried first, and what was found by force last.
            self._pool.insert(0 if plain else len(self._pool), (found, {}))
            del self._pool[_POOL_MAX:]
        return found

    def find_apart(self, wants: Mapping[Fact, bool]) -> tuple[Place, Place] | None:
        """Return two places where the facts are as wanted, in two granted folders neither of which holds both.

        None stands for none found, not for none there. Raises `TooHardError` as `find`.
        """
        for shallow in _SHALLOW:
            first = self._find_but_for(shallow, wants)
            if first is None:
                continue
            first = self._in_deepest(first, wants)
            second = self._find_but_for((f"{first.root}/**", first.root), wants)
            if second is not None:
                second = self._in_deepest(second, wants)
                if not is_under(first.path, second.root):
                    return first, second
        return None

    def _find_but_for(self, patterns: tuple[str, ...], wants: Mapping[Fact, bool]) -> Place | None:
        """Return a place where the facts are as wanted and which none of the patterns matches."""
        avoided = {Fact("glob", pattern): False for pattern in patterns}
        if any(wants.get(fact) for fact in avoided):
            return None
        found = self.find({**wants, **avoided})
        return None if isinstance(found, Conflict) else found

    def _in_deepest(self, place: Place, wants: Mapping[Fact, bool]) -> Place:
        """Return the place in the innermost granted folder that suits what is wanted."""
        suited = [
            one for one in (Place(place.path, root) for root in self._roots(place.path)) if not _fault(one, wants)
        ]
        return max(suited, key=lambda one: len(one.root), default=place)

    def _find_plain(self, wants: Mapping[Fact, bool]) -> Place | None:
        for path in _plain_paths(wants):
            if is_absolute(path) and tidy(path) == path:
                place = self._with_root(path, wants)
                if place is not None and _fault(place, wants) is None:
                    return place
        return None

    def _with_root(self, path: str, wants: Mapping[Fact, bool]) -> Place | None:
        """Return the path with the first granted folder that suits what is wanted below it."""
        asked = {fact: is_wanted for fact, is_wanted in wants.items() if fact.name not in ("glob", "extension")}
        for root in self._roots(path):
            place = Place(path, root)
            if _fault(place, asked) is None:
                return place
        return None

    def _roots(self, path: str) -> Iterator[str]:
        at = path.find("/", 1)
        while at > 0:
            yield path[:at]
            at = path.find("/", at + 1)
        if path != "/" or not self._is_inner:
            yield "/"
        if path != "/" and not self._is_inner:
            yield path

    def _search(self, wants: Mapping[Fact, bool]) -> Place | Conflict:
        """Search with more and more of the facts, until the path found suits them all or there is none."""
        active = {f: True for f, is_wanted in wants.items() if is_wanted and f.name not in _BELOW}
        while True:
            place = self._word(active)
            if place is None:
                return Conflict(self._without_idle(active))
            if not any(fact.name in _BELOW for fact in active):
                place = self._with_root(place.path, wants) or place
            fault = _fault(place, wants)
            if fault is None:
                return place
            if fault in active:
                raise TooHardError
            active[fault] = wants[fault]

    def _word(self, wants: Mapping[Fact, bool]) -> Place | None:
        crossing = wants.get(CROSSING, False)
        shape = Shape(
            is_marked=crossing or any(fact.name in _BELOW for fact in wants),
            is_inner=self._is_inner,
            below_top=crossing,
        )
        languages = [(_language_of(fact), is_wanted) for fact, is_wanted in wants.items() if fact != CROSSING]
        languages.sort(key=lambda one: (not one[1], one[0].alternatives))
        word = find_word(languages, shape)
        if word is None:
            return None
        return Place(word.text, word.root or next(self._roots(word.text), "/"))

    def _without_idle(self, facts: dict[Fact, bool]) -> dict[Fact, bool]:
        """Return as few of the facts as have no path in common."""
        if len(facts) > _MINIMISED_MAX:
            return facts
        for fact in list(facts):
            rest = {one: is_wanted for one, is_wanted in facts.items() if one != fact}
            try:
                is_idle = self._word(rest) is None
            except TooHardError:
                is_idle = False
            if is_idle:
                facts = rest
        return facts


CROSSING: Final = Fact("cross_root", value=True)


def _language_of(fact: Fact) -> Language:
    text = str(fact.value)
    match fact.name:
        case "glob":
            return glob_language(text)
        case "extension":
            return extension_language(text)
        case name:
            return _LISTS[name]


def _matters(fact: Fact, wants: Mapping[Fact, bool]) -> bool:
    """Whether the place has a say in the fact: two places in one folder can always be had."""
    return fact != CROSSING or wants[fact]


def _fault(place: Place, wants: Mapping[Fact, bool]) -> Fact | None:
    """Return a fact that is not as wanted."""
    known: dict[Fact, bool] = {}
    for fact, is_wanted in wants.items():
        if _matters(fact, wants) and _holds(fact, place, known) is not is_wanted:
            return fact
    return None


def _holds(fact: Fact, place: Place, known: dict[Fact, bool]) -> bool:
    found = known.get(fact)
    if found is None:
        found = known[fact] = _answer(fact, place)
    return found


def _answer(fact: Fact, place: Place) -> bool:
    text = str(fact.value)
    below = place.path if place.root == "/" else place.path[len(place.root) :]
    match fact.name:
        case "glob":
            return compiled(in_form(slashed(text), "nfc")).fullmatch(place.path) is not None
        case "extension":
            name = place.path[place.path.rfind("/") + 1 :].lower()
            return text.startswith(".") and name.endswith(text.lower())
        case "hidden":
            return "/." in below
        case "sensitive":
            return look_at(below).sensitive
        case "executed":
            return look_at(below).executed
        case _:
            return place.root != "/"


def _plain_paths(wants: Mapping[Fact, bool]) -> Iterator[str]:
    """Yield paths that a person could have written, the likely ones first."""
    patterns = [slashed(str(fact.value)) for fact, is_wanted in wants.items() if is_wanted and fact.name == "glob"]
    endings = [str(fact.value) for fact, is_wanted in wants.items() if is_wanted and fact.name == "extension"]
    telling = [_TELLING[key] for key in _BELOW if wants.get(Fact(key))]
    names = [name for rank in zip_longest(*telling) for name in rank if name]
    names += [f"report{ending}" for ending in endings[:2]] or list(_NAMES)
    if not patterns:
        yield from (f"/ws/{name}" for name in names)
        yield from (f"/ws/{name}{ending}" for name in names for ending in endings[:1])
    for pattern in sorted(patterns, key=len, reverse=True)[:3]:
        for name in names[:3]:
            yield _filled(pattern, "a", name)
        yield _filled(pattern, "a/b", "a")
        yield _filled(pattern, "", "")


def _filled(pattern: str, folder: str, name: str) -> str:
    """Return a path that the pattern matches."""
    if pattern.startswith("**"):
        rest = pattern[2:]
        pattern = f"/ws{rest}" if rest.startswith("/") else f"/ws/{folder}{rest}"
    if pattern.endswith("**"):
        pattern = pattern[:-2] + name
    plain = name.rpartition("/")[2]
    whole = pattern.replace("**", folder).replace("/*", f"/{plain.partition('.')[0]}")
    return whole.replace("*", "")
