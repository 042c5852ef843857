"""What kind of terminal this is, if it is one."""

import os
import sys
from typing import Final

from .options import Options, Viewing

READING_WIDTH_MAX: Final = 110
"""Text is not set wider than this, however wide the terminal is."""


def can_ask(options: Options) -> bool:
    """Whether somebody is there who sees a question and can press a key."""
    return not options.json and sys.stdin.isatty() and sys.stdout.isatty()


def can_redraw(options: Options, viewing: Viewing) -> bool:
    """Whether parts of the screen may be drawn again, and lines drawn around text."""
    return not (options.json or viewing.plain) and sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"


def has_colour() -> bool:
    """Whether text may be set in colour or bold (https://no-color.org)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM", "dumb") != "dumb"


def columns() -> int:
    """Return how many cells a line may take."""
    return min(READING_WIDTH_MAX, max(20, _size().columns))


def rows() -> int:
    """Return how many lines the screen has."""
    return max(6, _size().lines)


def _size() -> os.terminal_size:
    try:
        size = os.get_terminal_size(sys.stdout.fileno())
    except (OSError, ValueError):
        size = os.terminal_size((80, 24))
    # A pseudo-terminal that nobody has given a size says 0 x 0.
    return os.terminal_size((size.columns or 80, size.lines or 24))
