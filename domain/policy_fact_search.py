"""Hosts, tools and times for witnesses: one that some entries, patterns or windows are about and others are not.

As `policy_place_search.py` does for paths: a value, or the facts that can't be had together.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from .policy_automaton import Shape, find_word, text_language
from .policy_circuit import Fact
from .policy_document import TimeWindow
from .policy_host import HostEntry, parse_entry
from .policy_place_search import Conflict
from .policy_window import is_open

# Hosts --------------------------------------------------------------------------------------------------------------

_FRESH_HOST: Final = "example.org"
_FRESH_LABELS: Final = ("www", "host", "x-7f3a")
_PORTS: Final[tuple[int | None, ...]] = (None, 443, 80, 8443, 49_151, 50_000)


def find_host(wants: Mapping[Fact, bool]) -> str | Conflict:
    """Return a host that the wanted entries (`Fact("host", entry)`) are about, and no other of those given."""
    entries = [(fact, parse_entry(str(fact.value)), is_wanted) for fact, is_wanted in wants.items()]
    wanted = [(fact, entry) for fact, entry, is_wanted in entries if is_wanted and entry is not None]
    unreadable = [fact for fact, entry, is_wanted in entries if is_wanted and entry is None]
    if unreadable:
        return Conflict({unreadable[0]: True})
    name, is_address, clash = _name_of(wanted, [entry for _, entry, is_wanted in entries if entry and not is_wanted])
    if clash:
        return Conflict(dict.fromkeys(clash, True))
    avoided = [(f, e) for f, e, is_wanted in entries if not is_wanted and e and _is_about(e, name, is_address)]
    ports = [port for port in _ports_of(wanted) if all(_takes(entry, port) for _, entry in wanted)]
    free = [port for port in ports if not any(_takes(entry, port) for _, entry in avoided)]
    if not free:
        return Conflict(dict.fromkeys([f for f, _ in wanted], True) | dict.fromkeys([f for f, _ in avoided], False))
    return name if free[0] is None else f"{name}:{free[0]}"


def _name_of(
    wanted: Sequence[tuple[Fact, HostEntry]], unwanted: Sequence[HostEntry]
) -> tuple[str, bool, tuple[Fact, ...]]:
    """Return a name, whether it is an address, and two entries that have no name in common."""
    exact = next((one for one in wanted if not one[1].below), None)
    if exact is not None:
        name = exact[1].name
        is_address = name.startswith("[") or name.rpartition(".")[2].isdigit()
        clash = next((fact for fact, entry in wanted if not _is_about(entry, name, is_address)), None)
        return name, is_address, () if clash is None else (exact[0], clash)
    deepest = max(wanted, key=lambda one: len(one[1].name), default=None)
    parent = _FRESH_HOST if deepest is None else deepest[1].name
    if deepest is not None:
        clash = next((f for f, e in wanted if e.name != parent and not parent.endswith(f".{e.name}")), None)
        if clash is not None:
            return parent, False, (deepest[0], clash)
    for label in (*_FRESH_LABELS, *(f"x{number}" for number in range(len(unwanted) + 1))):
        name = f"{label}.{parent}"
        if not any(entry.name == name or entry.name.endswith(f".{name}") for entry in unwanted):
            if deepest is None and any(_is_about(entry, name, is_address=False) for entry in unwanted):
                parent = f"{label}.test"
                continue
            return name, False, ()
    return f"x7f3a9c.{parent}", False, ()


def _is_about(entry: HostEntry, name: str, is_address: bool) -> bool:
    return not is_address and name.endswith(f".{entry.name}") if entry.below else name == entry.name


def _takes(entry: HostEntry, port: int | None) -> bool:
    return entry.ports is None or port in entry.ports


def _ports_of(wanted: Sequence[tuple[Fact, HostEntry]]) -> Iterable[int | None]:
    narrow = [entry.ports for _, entry in wanted if entry.ports is not None]
    if narrow:
        return min(narrow, key=len)
    return (*_PORTS, *range(50_001, 50_001 + 2000))


# Tools --------------------------------------------------------------------------------------------------------------


def find_tool(wants: Mapping[Fact, bool]) -> str | Conflict:
    """Return a tool's name that the wanted patterns match and no other. Raises `TooHardError`."""
    patterns = [(str(fact.value), is_wanted) for fact, is_wanted in wants.items()]
    for pattern, is_wanted in patterns:
        for middle in ("x", "") if is_wanted else ():
            name = pattern.replace("*", middle)
            if name and all(_tool_matches(other, name) is wish for other, wish in patterns):
                return name
    word = find_word([(text_language(pattern), is_wanted) for pattern, is_wanted in patterns], Shape(is_path=False))
    return Conflict(dict(wants)) if word is None else word.text


def _tool_matches(pattern: str, name: str) -> bool:
    first, *rest = pattern.split("*")
    if not rest:
        return name == pattern
    *middle, last = rest
    if not name.startswith(first) or not name.endswith(last) or len(name) < len(first) + len(last):
        return False
    at = len(first)
    for part in middle:
        found = name.find(part, at, len(name) - len(last))
        if found < 0:
            return False
        at = found + len(part)
    return True


# Times --------------------------------------------------------------------------------------------------------------

DEFAULT_NOW: Final = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)
"""A Wednesday's noon, for witnesses in which the time is of no importance."""

_SPAN: Final = timedelta(days=15)
_SEASONS: Final = (datetime(2026, 1, 5, tzinfo=UTC), datetime(2026, 7, 6, tzinfo=UTC))
_TRANSITIONS: Final = (datetime(2026, 3, 2, tzinfo=UTC), datetime(2026, 3, 22, tzinfo=UTC))


class TimeSearch:
    """Instants at which windows open or close: all that can be told apart, where `is_exact`.

    Within one zone fifteen days show every weekly combination. Where windows are in several zones their distance
    changes with the season, and only some seasons are looked at.
    """

    def __init__(self, windows: Sequence[TimeWindow]) -> None:
        self._windows = tuple(dict.fromkeys(windows))
        self.is_exact = len({one.tz for one in self._windows if one.from_ != "00:00" or one.to != "24:00"}) < 2
        self._found: dict[tuple[bool, ...], datetime] | None = None

    def find(self, wants: Mapping[Fact, bool]) -> datetime | Conflict:
        """Return an instant in the wanted windows and in no other, or the windows that can't be had together."""
        if self._found is None:
            self._found = self._cells()
        known = [(self._windows.index(fact.value), wish, fact) for fact, wish in wants.items() if _is_window(fact)]
        instant = self._instant(known)
        if instant is not None:
            return instant
        for one in list(known):
            rest = [other for other in known if other is not one]
            if self._instant(rest) is None:
                known = rest
        return Conflict({fact: wish for _, wish, fact in known})

    def _instant(self, known: Sequence[tuple[int, bool, Fact]]) -> datetime | None:
        assert self._found is not None, "the instants are looked for first"
        for cell, instant in self._found.items():
            if all(cell[number] is wish for number, wish, _ in known):
                return instant
        return None

    def _cells(self) -> dict[tuple[bool, ...], datetime]:
        found: dict[tuple[bool, ...], datetime] = {}
        for instant in self._instants():
            cell = tuple([is_open(window, instant) for window in self._windows])
            found.setdefault(cell, instant)
        return found

    def _instants(self) -> Iterator[datetime]:
        bounds = sorted({_instant(t) for one in self._windows for t in (one.not_before, one.not_after) if t})
        starts = [*(() if self.is_exact else _TRANSITIONS), *_SEASONS]
        yield DEFAULT_NOW
        if bounds:
            starts += [_shifted(bounds[0], -_SPAN), *bounds]
        for start in starts:
            end = min([bound for bound in bounds if bound > start], default=_shifted(start, _SPAN))
            end = min(end, _shifted(start, _SPAN))
            yield start
            for day in range(-1, (end - start).days + 2):
                yield from (at for at in self._boundaries(_shifted(start, timedelta(days=day))) if start <= at < end)
            if end - start < _SPAN:
                hours = int((end - start).total_seconds() // 1800)
                yield from (start + timedelta(minutes=30 * number) for number in range(hours + 1))

    def _boundaries(self, day: datetime) -> Iterator[datetime]:
        for tz, clock in sorted({(one.tz, clock) for one in self._windows for clock in (one.from_, one.to, "00:00")}):
            zone = ZoneInfo(tz)
            local = day.astimezone(zone)
            hours, _, minutes = clock.partition(":")
            midnight = datetime(local.year, local.month, local.day, tzinfo=zone)
            yield (midnight + timedelta(hours=int(hours), minutes=int(minutes))).astimezone(UTC)


def _is_window(fact: Fact) -> bool:
    return isinstance(fact.value, TimeWindow)


@lru_cache(maxsize=256)
def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def _shifted(instant: datetime, by: timedelta) -> datetime:
    try:
        return instant + by
    except OverflowError:
        return instant
