"""Sets of paths as automata: the shortest path that lies in some sets and not in others, or the proof of none.

A glob, an extension and a list of names become a nondeterministic automaton whose states are bits of one number, so
that all sets of a question advance together with a few operations per character. The search is breadth-first over
states, and over one character of each class that the sets tell apart. Paths are absolute and tidy, in one spelling:
no empty name, no `.` or `..`, no slash at the end, no backslash, no NUL.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Final, Literal, NamedTuple, TypeAlias

from .places import EXECUTED, ITSELF, SENSITIVE, folded_text
from .policy_glob import slashed
from .policy_place import in_form

ANYTHING: Final = ".*"
ANY_NAME: Final = "[^/]*"
_TRAILING: Final = "[. ]*"
_LOOPS: Final = (ANYTHING, ANY_NAME, _TRAILING)

Fold: TypeAlias = Literal["exact", "lower", "forgiving"]


class Language(NamedTuple):
    """A set of words: those that one of the alternatives spells, token by token.

    A token is a character, or one of the loops above. `fold` says how characters compare (`forgiving` as in
    `places.py`). A set that is about what lies `below` begins to read at the granted folder, and reads a slash more
    than there is, so that the last name ends as every other does.
    """

    alternatives: tuple[tuple[str, ...], ...]
    fold: Fold = "exact"
    below: bool = False


class Shape(NamedTuple):
    """Which words are asked for. Without `is_path` any text but the empty one (the name of a tool).

    `is_marked` asks for the granted folder as well: a place in the path where it ends. `is_inner` says that the path
    must not be the granted folder itself, `below_top` that the folder must not be `/`.
    """

    is_path: bool = True
    is_marked: bool = False
    is_inner: bool = False
    below_top: bool = False


class Word(NamedTuple):
    """A word that was found. `root` is the granted folder where one was asked for."""

    text: str
    root: str | None


class TooHardError(Exception):
    """The search has looked at as many states as it may, and does not know."""


# Sets ---------------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=4096)
def glob_language(pattern: str) -> Language:
    """Return the set of a path pattern (`policy_glob.py`)."""
    return Language((tuple(_glob_tokens(in_form(slashed(pattern), "nfc"))),))


@lru_cache(maxsize=1024)
def text_language(pattern: str) -> Language:
    """Return the set of a pattern over names of tools, in which `*` is any characters."""
    return Language((tuple(ANYTHING if character == "*" else character for character in pattern),))


@lru_cache(maxsize=1024)
def extension_language(extension: str) -> Language:
    """Return the set of the paths whose name ends in an extension, upper or lower case."""
    lowered = extension.lower()
    if not lowered.startswith(".") or "/" in lowered:
        return Language(())
    return Language(((ANYTHING, *lowered),), fold="lower")


HIDDEN: Final = Language(((ANYTHING, "/", ".", ANYTHING),), below=True)


def _listed(entries: Iterable[str]) -> Language:
    return Language(tuple(_listed_tokens(entry) for entry in entries), fold="forgiving", below=True)


def _listed_tokens(entry: str) -> tuple[str, ...]:
    tokens = (ANYTHING, "/", *_entry_tokens(entry.removesuffix(ITSELF)), _TRAILING, "/")
    return tokens if entry.endswith(ITSELF) else (*tokens, ANYTHING)


def _entry_tokens(entry: str) -> list[str]:
    tokens: list[str] = []
    for character in entry:
        if character == "/":
            tokens.append(_TRAILING)
        tokens.append(ANY_NAME if character == "*" else character)
    return tokens


SENSITIVE_NAMES: Final = _listed(SENSITIVE)
EXECUTED_NAMES: Final = _listed(EXECUTED)


def _glob_tokens(pattern: str) -> list[str]:
    tokens: list[str] = []
    at = 0
    while at < len(pattern):
        if pattern.startswith("**", at):
            tokens.append(ANYTHING)
            at += 2
        else:
            tokens.append(ANY_NAME if pattern[at] == "*" else pattern[at])
            at += 1
    return tokens


# The automaton of a question ----------------------------------------------------------------------------------------


@lru_cache(maxsize=1024)
def _folded(character: str, fold: Fold) -> str:
    match fold:
        case "exact":
            return character
        case "lower":
            return character.lower()
        case "forgiving":
            return folded_text(character)


def _look_alike(character: str) -> str:
    """Return the wide form of an ASCII character: lists of names take it for the same, a pattern does not."""
    return chr(ord(character) + 0xFEE0) if "!" <= character <= "~" else character


class _Set(NamedTuple):
    """Where one set's states lie: all of them, those that accept, and those that accept for ever."""

    states: int
    accepting: int
    for_ever: int
    below: bool
    is_list: bool


class _Machine:
    """All sets of a question side by side."""

    def __init__(self, languages: Sequence[Language], *, look_alikes: bool) -> None:
        self.sets: list[_Set] = []
        self.start = self.start_below = 0
        self._anything = self._any_name = self._trailing = 0
        self._literals: dict[Fold, dict[str, int]] = {"exact": {}, "lower": {}, "forgiving": {}}
        self._absorbing = 0
        self._absorbed: dict[int, int] = {}
        offset = 0
        for language in languages:
            offset = self._add(language, offset)
        self._loops = self._anything | self._any_name | self._trailing
        self.fresh, self.alphabet = self._characters(look_alikes=look_alikes)
        self._moves: dict[str, int] = {}
        self._stays: dict[str, int] = {}
        for character in (*self.alphabet, self.fresh):
            self._moves[character] = self._move_of(character)
            self._stays[character] = self._stay_of(character)
        self.special = {c: self._moves[c] | (self._trailing if c in ". " else 0) for c in self.alphabet}

    def _add(self, language: Language, offset: int) -> int:
        states = accepting = for_ever = 0
        first = offset
        for tokens in language.alternatives:
            for number, token in enumerate(tokens, offset):
                bit = 1 << number
                if token == ANYTHING:
                    self._anything |= bit
                    self._absorbed[bit] = bit - (1 << offset)
                elif token == ANY_NAME:
                    self._any_name |= bit
                elif token == _TRAILING:
                    self._trailing |= bit
                else:
                    table = self._literals[language.fold]
                    table[token] = table.get(token, 0) | bit
            end = offset + len(tokens)
            states |= (1 << (end + 1)) - (1 << offset)
            accepting |= 1 << end
            if tokens and tokens[-1] == ANYTHING:
                for_ever |= 1 << (end - 1)
            if language.below:
                self.start_below |= 1 << offset
            else:
                self.start |= 1 << offset
            offset = end + 1
        for number in range(first, offset):
            bit = 1 << number
            if bit & for_ever:
                self._absorbed[bit] = states & ~bit & ~(bit << 1)
        self._absorbing |= sum(bit for bit, others in self._absorbed.items() if others and bit >= 1 << first)
        self.sets.append(_Set(states, accepting, for_ever, language.below, language.fold == "forgiving"))
        return offset

    def _characters(self, *, look_alikes: bool) -> tuple[str, list[str]]:
        """Return a character that no set knows, and one of each other class."""
        known = {"/", "."}
        for fold, table in self._literals.items():
            for literal in table:
                known.add(literal)
                if fold != "exact":
                    known.update(one for one in (literal.upper(), literal.title()) if len(one) == 1)
                if fold == "forgiving" and look_alikes:
                    known.add(_look_alike(literal))
        if self._trailing:
            known.add(" ")
        fresh = next(one for one in _FRESH if one not in known and one.upper() not in known)
        return fresh, sorted(known - {"\0", "\\"}, key=lambda one: (one.isupper(), one))

    def _move_of(self, character: str) -> int:
        move = 0
        for fold, table in self._literals.items():
            if table:
                move |= table.get(_folded(character, fold), 0)
        return move

    def _stay_of(self, character: str) -> int:
        if character == "/":
            return self._anything
        return self._anything | self._any_name | (self._trailing if character in ". " else 0)

    def closed(self, states: int) -> int:
        """Return the states with those that a loop may be left for, and without those that add nothing.

        What is accepted from before a `**` is accepted from it too, for it takes whatever leads there; and where a set
        accepts for ever, nothing else of it matters.
        """
        while True:
            more = ((states & self._loops) << 1) & ~states
            if not more:
                break
            states |= more
        hits = states & self._absorbing
        while hits:
            bit = hits & -hits
            states &= ~self._absorbed[bit]
            hits = (hits ^ bit) & states
        return states

    def step(self, states: int, character: str) -> int:
        """Return the states after one more character."""
        return self.closed(((states & self._moves[character]) << 1) | (states & self._stays[character]))


_FRESH: Final = "xabcdefghijklmnopqrstuvwyz0123456789" + "".join(chr(0x4E00 + number) for number in range(4096))

# The shape of a path: how far its current name has come. 8 is added from where the granted folder ends.
_START, _TOP, _SLASH, _DOT, _DOTS, _NAME, _MARK = range(7)
_MARKED: Final = 8
_DEAD: Final = -1


def _next_form(form: int, character: str) -> int:
    mark, state = form & _MARKED, form & 7
    if state == _START:
        following = _TOP if character == "/" else _DEAD
    elif character == "/":
        following = _SLASH if state in (_NAME, _MARK) else _DEAD
    elif state == _MARK:
        following = _DEAD
    elif character == ".":
        following = {_TOP: _DOT, _SLASH: _DOT, _DOT: _DOTS, _DOTS: _NAME, _NAME: _NAME}[state]
    else:
        following = _NAME
    return following if following == _DEAD else following | mark


_FORMS: Final = {(form, c): _next_form(form, c) for form in range(16) if form & 7 != 7 for c in "/.x"}
_MARK_SYMBOL: Final = ""
STEPS_MAX: Final = 150_000
"""How many steps a search makes before it gives up: a quarter of a second, in the lists of names one."""

_State: TypeAlias = tuple[int, int]


class _Search:
    """One breadth-first search."""

    def __init__(self, machine: _Machine, wanted: Sequence[bool], shape: Shape, *, without_lists: bool = False) -> None:
        self._machine = machine
        self._shape = shape
        sets = [
            (one, wish) for one, wish in zip(machine.sets, wanted, strict=True) if not (without_lists and one.is_list)
        ]
        self._patterns = sum(one.states for one in machine.sets if not one.is_list)
        self._needed = [one for one, is_wanted in sets if is_wanted]
        self._unwanted = [one for one, is_wanted in sets if not is_wanted]
        self._trap = sum(one.for_ever for one in self._unwanted)
        self._known: dict[_State, tuple[_State, str] | None] = {}

    def find_live(self) -> set[_State] | None:
        """Return the states from which the sets that are no lists can all be had, None where there are too many."""
        start = (self._machine.closed(self._machine.start) & self._patterns, _START)
        before: dict[_State, list[_State]] = {start: []}
        level, steps = [start], 0
        while level:
            following: list[_State] = []
            for state in level:
                for _, (states, form) in self._steps(state):
                    steps += 1
                    reached = (states & self._patterns, form)
                    if self._is_lost(reached):
                        continue
                    if reached not in before:
                        before[reached] = []
                        following.append(reached)
                    before[reached].append(state)
            if steps > STEPS_MAX // 2:
                return None
            level = following
        waiting = [state for state in before if self._accepts(state)]
        live = set(waiting)
        while waiting:
            more = {state for state in before[waiting.pop()] if state not in live}
            live |= more
            waiting += more
        return live

    def run(self, live: set[_State] | None) -> Word | None:
        """Return the first word, `live` the states of the patterns beyond which nothing can be found."""
        start = (self._machine.closed(self._machine.start), _START)
        if self._is_lost(start):
            return None
        self._known = {start: None}
        level = [start]
        steps = 0
        while level:
            following: list[_State] = []
            for state in level:
                for symbol, reached in self._steps(state):
                    steps += 1
                    if reached in self._known or self._is_lost(reached):
                        continue
                    if live is not None and (reached[0] & self._patterns, reached[1]) not in live:
                        continue
                    self._known[reached] = (state, symbol)
                    if self._accepts(reached):
                        return self._word(reached)
                    following.append(reached)
                if steps > STEPS_MAX:
                    raise TooHardError
            level = following
        return None

    def _steps(self, state: _State) -> Iterable[tuple[str, _State]]:
        states, form = state
        machine = self._machine
        is_path = self._shape.is_path
        plain = _FORMS[form, "x"] if is_path else _NAME
        if plain != _DEAD:
            yield machine.fresh, (machine.step(states, machine.fresh), plain)
        for character in machine.alphabet:
            # A character that moves no state is like any other.
            if states & machine.special[character] or character in "/.":
                after = plain
                if is_path and character in "/.":
                    after = _FORMS[form, character]
                if after != _DEAD:
                    yield character, (machine.step(states, character), after)
        if self._shape.is_marked and (form == _NAME or (form == _START and not self._shape.below_top)):
            marked = _MARKED | (_START if form == _START else _MARK)
            yield _MARK_SYMBOL, (machine.closed(states | machine.start_below), marked)

    def _is_lost(self, state: _State) -> bool:
        states, form = state
        if states & self._trap:
            return True
        return any(not states & one.states and (form & _MARKED or not one.below) for one in self._needed)

    def _accepts(self, state: _State) -> bool:
        states, form = state
        if self._shape.is_path and not self._is_whole(form):
            return False
        last = self._machine.step(states, "/") if self._shape.is_marked else states
        return all((last if one.below else states) & one.accepting for one in self._needed) and not any(
            (last if one.below else states) & one.accepting for one in self._unwanted
        )

    def _is_whole(self, form: int) -> bool:
        if self._shape.is_marked and not form & _MARKED:
            return False
        return form & 7 == _NAME or (form & 7 in (_TOP, _MARK) and not self._shape.is_inner)

    def _word(self, state: _State) -> Word:
        symbols: list[str] = []
        found = self._known[state]
        while found is not None:
            state, symbol = found
            symbols.append(symbol)
            found = self._known[state]
        symbols.reverse()
        text = "".join(symbols)
        root = "".join(symbols[: symbols.index(_MARK_SYMBOL)]) or "/" if self._shape.is_marked else None
        return Word(text, root)


def find_word(wants: Sequence[tuple[Language, bool]], shape: Shape) -> Word | None:
    """Return the shortest word that lies in every wanted set and in no other of those given, None where there is none.

    Raises `TooHardError` where the search had to stop. Characters that only look alike are tried last.
    """
    word = _find_word(tuple(wants), shape)
    if word is _TOO_HARD:
        raise TooHardError
    return word


_TOO_HARD: Final = Word("", None)


@lru_cache(maxsize=8192)
def _find_word(wants: tuple[tuple[Language, bool], ...], shape: Shape) -> Word | None:
    languages = [language for language, _ in wants]
    wanted = [is_wanted for _, is_wanted in wants]
    look_alikes = any(language.fold == "forgiving" and is_wanted for language, is_wanted in wants)
    try:
        word = _search(_Machine(languages, look_alikes=False), wanted, shape)
        if word is None and look_alikes:
            word = _search(_Machine(languages, look_alikes=True), wanted, shape)
    except TooHardError:
        return _TOO_HARD
    return word


def _search(machine: _Machine, wanted: Sequence[bool], shape: Shape) -> Word | None:
    """Search, where lists of names and patterns meet, only where the patterns alone can still be had.

    The lists are by far the largest sets. Without this, patterns that exclude each other would be followed through the
    beginnings of all listed names.
    """
    whole = _Search(machine, wanted, shape)
    if len({one.is_list for one in machine.sets}) < 2:
        return whole.run(None)
    return whole.run(_Search(machine, wanted, shape, without_lists=True).find_live())


def is_included(inner: str, outer: str) -> bool:
    """Whether every path that one glob matches is matched by the other. Raises `TooHardError`."""
    return find_word([(glob_language(inner), True), (glob_language(outer), False)], Shape()) is None


def is_apart(one: str, other: str) -> bool:
    """Whether no path is matched by both globs. Raises `TooHardError`."""
    return find_word([(glob_language(one), True), (glob_language(other), True)], Shape()) is None
