"""Columns: one condition asked of all rules at once.

The rules that a kind of action may meet are rows, each a bit. A column holds what every row wants of one condition;
asked about a sight it returns which rows the answer refutes and which it leaves open, as two bit masks. So the time for
a decision depends on the number of different conditions and hardly on the number of rules.
"""

import re
from bisect import bisect_left
from collections.abc import Callable, Hashable, Iterable, Sequence
from operator import attrgetter
from typing import Final, Protocol, TypeAlias, TypeVar

import msgspec

from .action import ActionKind
from .policy_atom import Sight
from .policy_command import CommandSet
from .policy_document import KINDS, CommandPattern, Conditions, TimeWindow, ToolHint
from .policy_glob import GlobSet
from .policy_host import HostSet
from .policy_place import FORMS, in_form
from .policy_window import is_open

_Key = TypeVar("_Key", bound=Hashable)

Refuted: TypeAlias = tuple[int, int]
"""The rows that the answer refutes, and the rows that it leaves open."""


class Column(Protocol):
    """One condition of all rows."""

    @property
    def condition(self) -> str:
        """The condition's key in a document."""
        ...

    @property
    def rows(self) -> int:
        """The rows that have the condition."""
        ...

    def ask(self, sight: Sight) -> Refuted:
        """Return which rows the sight refutes, and which it leaves open."""
        ...


class Row:
    """A bit, and what the row wants of each condition that it has."""

    __slots__ = ("bit", "wants")

    def __init__(self, bit: int, conditions: Conditions) -> None:
        self.bit = bit
        self.wants = {key: value for key, value in msgspec.structs.asdict(conditions).items() if value is not None}


# Yes or no ----------------------------------------------------------------------------------------------------------


class FlagColumn:
    """A condition with the answer yes or no. Where it is about a place, an atom without one refutes it either way."""

    __slots__ = ("_answer", "_if_none", "_if_not", "_if_so", "_of_place", "_open", "condition", "rows")

    def __init__(
        self, condition: str, answer: Callable[[Sight], bool | None], yes: int, no: int, *, of_place: bool = False
    ) -> None:
        self.condition = condition
        self.rows = yes | no
        self._answer = answer
        self._of_place = of_place
        self._if_so, self._if_not, self._if_none, self._open = (no, 0), (yes, 0), (self.rows, 0), (0, self.rows)

    def ask(self, sight: Sight) -> Refuted:
        """See `Column`."""
        if self._of_place and not sight.atom.places:
            return self._if_none
        answer = self._answer(sight)
        if answer is None:
            return self._open
        return self._if_so if answer else self._if_not


class OverColumn:
    """A number that has to be greater than the row's."""

    __slots__ = ("_bounds", "_not_over", "_number", "condition", "rows")

    def __init__(
        self, condition: str, number: Callable[[Sight], float | None], wanted: Sequence[tuple[float, int]]
    ) -> None:
        self.condition = condition
        self.rows = sum_of(bit for _, bit in wanted)
        self._number = number
        self._bounds = sorted({bound for bound, _ in wanted})
        self._not_over = [sum_of(bit for bound, bit in wanted if bound >= least) for least in self._bounds]

    def ask(self, sight: Sight) -> Refuted:
        """See `Column`. A number that is none (NaN) leaves every row open."""
        number = self._number(sight)
        if number is None or number != number:  # noqa: PLR0124 - only NaN differs from itself
            return 0, self.rows
        at = bisect_left(self._bounds, number)
        return (self._not_over[at] if at < len(self._bounds) else 0), 0


# One of several -----------------------------------------------------------------------------------------------------


class WordColumn:
    """A word that has to be one of the row's."""

    __slots__ = ("_of_word", "_word", "condition", "rows")

    def __init__(self, condition: str, word: Callable[[Sight], str | None], wanted: Sequence[tuple[str, int]]) -> None:
        self.condition = condition
        self.rows = sum_of(bit for _, bit in wanted)
        self._word = word
        self._of_word = merged(wanted)

    def ask(self, sight: Sight) -> Refuted:
        """See `Column`."""
        word = self._word(sight)
        if word is None:
            return 0, self.rows
        return self.rows & ~self._of_word.get(word, 0), 0


class LabelColumn:
    """Labels of which one has to be one of the row's."""

    __slots__ = ("_of_label", "condition", "rows")

    def __init__(self, condition: str, wanted: Sequence[tuple[str, int]]) -> None:
        self.condition = condition
        self.rows = sum_of(bit for _, bit in wanted)
        self._of_label = merged(wanted)

    def ask(self, sight: Sight) -> Refuted:
        """See `Column`."""
        labels = sight.request.labels
        if labels is None:
            return 0, self.rows
        hit = 0
        for label in labels:
            hit |= self._of_label.get(label, 0)
        return self.rows & ~hit, 0


class PatternColumn:
    """The place has to match one of the row's patterns, under each of its spellings."""

    __slots__ = ("_sets", "condition", "rows")

    def __init__(self, condition: str, wanted: Sequence[tuple[str, int]]) -> None:
        self.condition = condition
        self.rows = sum_of(bit for _, bit in wanted)
        plain = GlobSet(wanted)
        is_plain = all(pattern.isascii() for pattern, _ in wanted)
        self._sets = {
            form: plain
            if form == "written" or (form == "nfc" and is_plain)
            else GlobSet((in_form(pattern, form), bit) for pattern, bit in wanted)
            for form in FORMS
        }

    def ask(self, sight: Sight) -> Refuted:
        """See `Column`."""
        places = sight.atom.places
        if len(places) == 1:
            form, path = places[0]
            return self.rows & ~self._sets[form].hits(path), 0
        return _of_spellings(self.rows, [self._sets[form].hits(path) for form, path in places])


class ExtensionColumn:
    """The place's name has to end in one of the row's extensions, upper or lower case, under each of its spellings."""

    __slots__ = ("_of_extension", "condition", "rows")

    def __init__(self, condition: str, wanted: Sequence[tuple[str, int]]) -> None:
        self.condition = condition
        self.rows = sum_of(bit for _, bit in wanted)
        self._of_extension = merged([(extension.lower(), bit) for extension, bit in wanted])

    def ask(self, sight: Sight) -> Refuted:
        """See `Column`."""
        places = sight.atom.places
        if len(places) == 1:
            return self.rows & ~self._hits(places[0][1]), 0
        return _of_spellings(self.rows, [self._hits(path) for _, path in places])

    def _hits(self, path: str) -> int:
        name = path[path.rfind("/") + 1 :].lower()
        hits = 0
        at = name.find(".")
        while at >= 0:
            hits |= self._of_extension.get(name[at:], 0)
            at = name.find(".", at + 1)
        return hits


def _of_spellings(rows: int, hits: Sequence[int]) -> Refuted:
    """Return the rows that no spelling of a place hits as refuted, and those that only some hit as open."""
    if not hits:
        return rows, 0
    some = every = hits[0]
    for one in hits[1:]:
        some |= one
        every &= one
    return rows & ~some, some & ~every


class HostColumn:
    """The host has to be one of the row's entries."""

    __slots__ = ("_set", "condition", "rows")

    def __init__(self, condition: str, wanted: Sequence[tuple[str, int]]) -> None:
        self.condition = condition
        self.rows = sum_of(bit for _, bit in wanted)
        self._set = HostSet(wanted)

    def ask(self, sight: Sight) -> Refuted:
        """See `Column`."""
        host = sight.atom.host
        return (0, self.rows) if host is None else (self.rows & ~self._set.hits(host), 0)


class ToolColumn:
    """The tool's name has to match one of the row's patterns, in which `*` is any characters."""

    __slots__ = ("_exact", "_patterns", "condition", "rows")

    def __init__(self, condition: str, wanted: Sequence[tuple[str, int]]) -> None:
        self.condition = condition
        self.rows = sum_of(bit for _, bit in wanted)
        self._exact = merged([(pattern, bit) for pattern, bit in wanted if "*" not in pattern])
        self._patterns = [
            (re.compile(tool_regex(pattern), re.DOTALL), bit)
            for pattern, bit in merged(wanted).items()
            if "*" in pattern
        ]

    def ask(self, sight: Sight) -> Refuted:
        """See `Column`."""
        tool = sight.request.tool
        if tool is None:
            return 0, self.rows
        hit = self._exact.get(tool, 0)
        for pattern, bit in self._patterns:
            if pattern.fullmatch(tool):
                hit |= bit
        return self.rows & ~hit, 0


def tool_regex(pattern: str) -> str:
    """Return the regular expression of a pattern over tool names; it is meant for `fullmatch` with `DOTALL`."""
    return ".*".join(re.escape(part) for part in pattern.split("*"))


class CommandColumn:
    """The command has to begin with one of the row's token patterns."""

    __slots__ = ("_set", "condition", "rows")

    def __init__(self, condition: str, wanted: Sequence[tuple[CommandPattern, int]]) -> None:
        self.condition = condition
        self.rows = sum_of(bit for _, bit in wanted)
        self._set = CommandSet(wanted)

    def ask(self, sight: Sight) -> Refuted:
        """See `Column`."""
        command = sight.atom.command
        if command is None:
            return 0, self.rows
        hit, perhaps = self._set.hits(command)
        return self.rows & ~(hit | perhaps), perhaps & ~hit


class WindowColumn:
    """The time has to lie in the row's window."""

    __slots__ = ("_windows", "condition", "rows")

    def __init__(self, condition: str, wanted: Sequence[tuple[TimeWindow, int]]) -> None:
        self.condition = condition
        self.rows = sum_of(bit for _, bit in wanted)
        self._windows = tuple(merged(wanted).items())

    def ask(self, sight: Sight) -> Refuted:
        """See `Column`."""
        now = sight.request.now
        if now is None or now.tzinfo is None:
            return 0, self.rows
        hit = 0
        for window, bits in self._windows:
            if is_open(window, now):
                hit |= bits
        return self.rows & ~hit, 0


# Making columns -----------------------------------------------------------------------------------------------------

FILES: Final[frozenset[ActionKind]] = frozenset(
    (
        "file.list",
        "file.search",
        "file.read",
        "file.write",
        "file.create",
        "file.rename",
        "file.move",
        "file.delete",
        "file.restore",
    )
)
_CONNECTORS: Final[frozenset[ActionKind]] = frozenset(("connector.read", "connector.action"))
_NETWORK: Final[frozenset[ActionKind]] = frozenset(("network.request",))

ABOUT: Final[dict[str, frozenset[ActionKind]]] = {
    "file_size_greater_than": FILES | _NETWORK | _CONNECTORS,
    "host_in_allowlist": _NETWORK,
    "host_matches": _NETWORK,
    "method_in": _NETWORK,
    "connector_scope_allowed": _CONNECTORS,
    "connector_in": _CONNECTORS,
    "tool_matches": _CONNECTORS,
    "tool_hint": _CONNECTORS,
    "command_prefix": frozenset(("shell.exec",)),
    "cross_root": frozenset(("file.rename", "file.move")),
    "target_exists": FILES,
    "hard_link": FILES,
}
"""Which kinds a condition is about; one that is not listed is about all (those about a place: where there is one)."""


def _is_hard_link(sight: Sight) -> bool | None:
    links = sight.request.link_count
    return None if links is None else links > 1


def _method(sight: Sight) -> str | None:
    method = sight.request.method
    return None if method is None else method.upper()


_FLAGS: Final[dict[str, tuple[Callable[[Sight], bool | None], bool]]] = {
    "target_exists": (attrgetter("request.target_exists"), False),
    "hard_link": (_is_hard_link, False),
    "tainted": (lambda sight: sight.atom.is_tainted(), False),
    "path_within_grant": (Sight.within_grant, True),
    "path_within_output_root": (Sight.within_output, True),
    "hidden": (Sight.hidden, True),
    "sensitive": (Sight.sensitive, True),
    "executed": (Sight.executed, True),
    "cross_root": (Sight.cross_root, False),
    "host_in_allowlist": (Sight.host_listed, False),
    "connector_scope_allowed": (lambda sight: sight.connector_allowed(), False),
}
_NUMBERS: Final[dict[str, Callable[[Sight], float | None]]] = {
    "file_size_greater_than": attrgetter("request.file_size_bytes"),
    "subagent_depth_greater_than": attrgetter("request.depth"),
    "batch_count_greater_than": lambda sight: sight.atom.batch_count(),
}
_WORDS: Final[dict[str, Callable[[Sight], str | None]]] = {
    "connector_in": attrgetter("request.connector"),
    "method_in": _method,
}
_HINTS: Final = ("read_only_hint", "destructive_hint", "idempotent_hint", "open_world_hint")


def can_match(row: Row, kind: ActionKind) -> bool:
    """Whether an action of the kind can match the row: each condition is about it, and no list is empty."""
    return all(kind in ABOUT.get(field, _ALL_KINDS) and value != () for field, value in row.wants.items())


_ALL_KINDS: Final = frozenset(KINDS)


def columns_of(rows: Sequence[Row]) -> tuple[Column, ...]:
    """Return the columns that the rows need: first those that refute most of their rows, and so save asking others."""
    return tuple(_columns(rows))


def _columns(rows: Sequence[Row]) -> Iterable[Column]:
    if patterns := _members(rows, "matches_pattern"):
        yield PatternColumn(_key("matches_pattern"), patterns)
    if commands := _commands(rows):
        yield CommandColumn(_key("command_prefix"), commands)
    if hosts := _members(rows, "host_matches"):
        yield HostColumn(_key("host_matches"), hosts)
    if tools := _members(rows, "tool_matches"):
        yield ToolColumn(_key("tool_matches"), tools)
    for field, word in _WORDS.items():
        if words := _members(rows, field):
            yield WordColumn(_key(field), word, [(w.upper() if field == "method_in" else w, bit) for w, bit in words])
    if labels := _members(rows, "taint_in"):
        yield LabelColumn(_key("taint_in"), labels)
    for field, number in _NUMBERS.items():
        bounds = [(bound, r.bit) for r in rows if isinstance(bound := r.wants.get(field), int | float)]
        if bounds:
            yield OverColumn(_key(field), number, bounds)
    for field, (answer, of_place) in _FLAGS.items():
        yes = sum_of(row.bit for row in rows if row.wants.get(field) is True)
        no = sum_of(row.bit for row in rows if row.wants.get(field) is False)
        if yes | no:
            yield FlagColumn(_key(field), answer, yes, no, of_place=of_place)
    if extensions := _members(rows, "extension_in"):
        yield ExtensionColumn(_key("extension_in"), extensions)
    yield from _columns_of_hints(rows)
    if windows := [(w, row.bit) for row in rows if isinstance(w := row.wants.get("time_window"), TimeWindow)]:
        yield WindowColumn(_key("time_window"), windows)


def _commands(rows: Sequence[Row]) -> list[tuple[CommandPattern, int]]:
    return [
        (prefix, row.bit)
        for row in rows
        if isinstance(prefixes := row.wants.get("command_prefix"), tuple)
        for prefix in prefixes
    ]


def _columns_of_hints(rows: Sequence[Row]) -> Iterable[Column]:
    hinted = [
        (msgspec.structs.asdict(hint), row.bit)
        for row in rows
        if isinstance(hint := row.wants.get("tool_hint"), ToolHint)
    ]
    for field in _HINTS:
        yes = sum_of(bit for hint, bit in hinted if hint[field] is True)
        no = sum_of(bit for hint, bit in hinted if hint[field] is False)
        if yes | no:
            yield FlagColumn(_key("tool_hint"), _hint_reader(_key(field)), yes, no)


def _hint_reader(name: str) -> Callable[[Sight], bool | None]:
    return lambda sight: sight.atom.hint(name)


def _members(rows: Sequence[Row], field: str) -> list[tuple[str, int]]:
    return [
        (member, row.bit) for row in rows if isinstance(members := row.wants.get(field), tuple) for member in members
    ]


def _key(field: str) -> str:
    first, *rest = field.split("_")
    return first + "".join(word.capitalize() for word in rest)


def merged(wanted: Iterable[tuple[_Key, int]]) -> dict[_Key, int]:
    """Return the union of the masks of each key."""
    table: dict[_Key, int] = {}
    for word, bit in wanted:
        table[word] = table.get(word, 0) | bit
    return table


def sum_of(bits: Iterable[int]) -> int:
    """Return the union of masks."""
    union = 0
    for bit in bits:
        union |= bit
    return union
