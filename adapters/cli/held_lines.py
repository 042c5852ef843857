"""Lines about other work, kept back while a question is on the screen, and shown when it is over."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from .branch import Line
from .layout import plural

HELD_LINES_MAX: Final = 200
"""How many lines are kept back, the last ones; of those before them it is said how many there were."""


class HeldLines:
    """What a view has to say while it may not."""

    def __init__(self, show: Callable[[Sequence[Line]], None]) -> None:
        self._show = show
        self._questions = 0
        self._lines: deque[Line] = deque(maxlen=HELD_LINES_MAX)
        self._count = 0

    def say(self, lines: Sequence[Line]) -> None:
        """Show the lines now, or when no question is on the screen any more."""
        if not self._questions:
            if lines:
                self._show(lines)
            return
        self._lines.extend(lines)
        self._count += len(lines)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep lines back for the length of the block."""
        self._questions += 1
        try:
            yield
        finally:
            self._questions -= 1
            if not self._questions and self._count:
                self._show(self._kept())
                self._lines.clear()
                self._count = 0

    def _kept(self) -> list[Line]:
        missing = self._count - len(self._lines)
        first = [Line("note", f"{plural(missing, 'line')} before these while the question was open")] if missing else []
        return [*first, *self._lines]
