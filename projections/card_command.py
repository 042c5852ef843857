"""The part of a card that says exactly what will be run, by what it is held, and what becomes of its changes."""

from collections.abc import Iterator, Sequence
from typing import Final

from ..domain.action import CodeRun, CommandAction, ShellExec
from ..domain.facts import Confinement, Facts, Input
from .card_call import body_lines, value_shown
from .card_layout import block, field
from .card_places import CardPlaces, name_shown
from .measure import count_words, size_words
from .shell_segments import READ_HERE, Segment, segments_of, unknown_of
from .visible_text import quoted, visible, visible_line, visible_lines

DIGEST_SHOWN: Final = 12
"""How many hexadecimal digits of a file's digest are shown."""

PADDING_MIN: Final = 4
"""From how many blanks on, around one command of a line, a card says how many there are."""


def command_lines(action: ShellExec, facts: Facts, places: CardPlaces) -> list[str]:
    """Return a command: one argument a line, each in quotes, what a shell makes of it, and all that it is given."""
    lines = block("run", [quoted(argument) for argument in action.argv])
    return [*lines, *_read(action.argv), *_surroundings(action, facts, places)]


def code_lines(action: CodeRun, facts: Facts, places: CardPlaces) -> list[str]:
    """Return Python source line by line, then everything that it is given."""
    source = visible_lines(action.python)
    lines = [field("run", f"Python, {count_words(len(source), 'line')}: it cannot be inspected")]
    lines += (f"  | {line}" for line in source)
    lines += block("arguments", [quoted(argument) for argument in action.args])
    return [*lines, *_surroundings(action, facts, places)]


# What a shell makes of it


def _read(argv: tuple[str, ...]) -> list[str]:
    if not argv:
        return []
    name = argv[0].rpartition("/")[2]
    if name in READ_HERE and len(argv) == 3 and argv[1] == "-c":
        segments = segments_of(argv[2])
        how_many = count_words(len(segments), "command")
        said = f"{name} reads its line as {how_many}" if segments else f"{name} finds no command in its line"
        return [field("which is", said), *_numbered(segments, "")]
    return [field("" if number else "which is", _uninspected(why)) for number, why in enumerate(unknown_of(argv))]


def _numbered(segments: Sequence[Segment], outer: str) -> Iterator[str]:
    """Yield each command of a line under its number, and beneath it what of it cannot be inspected."""
    for number, segment in enumerate(segments, start=1):
        label = f"{outer}{number}"
        yield f"  {label:>5}  {visible(segment.operator):<2}  {visible_line(segment.text.strip(' '))}"
        for why in (*segment.unknown, *_padding(segment.text)):
            yield f"{'':13}{why if why.startswith('padded') else _uninspected(why)}"
        yield from _numbered(segment.inner, f"{label}.")


def _uninspected(why: str) -> str:
    return f"cannot be inspected: {visible(why)}"


def _padding(text: str) -> tuple[str, ...]:
    blanks = len(text) - len(text.strip(" \t\n"))
    return (f"padded with {blanks:,} blanks",) if blanks >= PADDING_MIN else ()


# What it is given, and what holds it


def _surroundings(action: CommandAction, facts: Facts, places: CardPlaces) -> list[str]:
    hosts = ", ".join(map(name_shown, action.network)) or "none"
    limit = "the engine's own" if action.timeout_s is None else f"{action.timeout_s:,} s"
    return [
        field("in", places.shown(action.cwd)),
        field("in full", places.resolved(action.cwd) or "no granted folder covers it"),
        *block("names", [_named(one) for one in facts.inputs]),
        *block("environment", [f"{name_shown(name)}={value_shown(name, value)}" for name, value in action.env]),
        *body_lines("input", action.stdin),
        field("network", hosts),
        field("sees", "that granted folder, less what the rules hide, and the system's programs; nothing else"),
        field("writes", _WRITES[action.writes]),
        field("time limit", limit),
        *([] if facts.confinement is None else [field("sandbox", _held_by(facts.confinement))]),
    ]


_WRITES: Final = {
    "none": "nothing: it cannot change the folder",
    "staged": "a copy: what it changed is shown and decided, one by one or together, before any of it is kept",
}


def _named(given: Input) -> str:
    """Return a file that the arguments name: the command gets these very bytes."""
    links = f", has {count_words(given.links, 'name')}" if given.links > 1 else ""
    return f"{name_shown(given.path)} ({size_words(given.size)}, {_head(given.digest)}{links})"


def _head(digest: str) -> str:
    algorithm, _, value = digest.rpartition(":")
    return visible(f"{algorithm}:{value[:DIGEST_SHOWN]}" if algorithm else value[:DIGEST_SHOWN])


def _held_by(confinement: Confinement) -> str:
    landlock = f"Landlock {confinement.landlock}" if confinement.landlock else "no Landlock"
    network = "none" if confinement.network == "none" else "by its own proxy, to the hosts above"
    return f"{visible(confinement.sandbox)}, {landlock}, network {network}"
