"""How a running task is shown: as JSON lines, as plain lines, or with a moving region at the bottom of a terminal."""

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Final, Protocol

from ...domain.event import Event, Recorded
from ...domain.task import OutcomeEvent
from . import output
from .branch import Line, StepNow, Word
from .event_json import event_object
from .held_lines import HeldLines
from .options import Options, Viewing
from .printed_text import PrintedLine, PrintedText, Stream
from .progress import Progress
from .terminal import can_redraw

GLYPHS: Final[dict[Word, str]] = {
    "done": "✓",
    "denied": "⊘",
    "rejected": "⊘",
    "expired": "⊘",
    "failed": "✗",
    "unknown": "‽",
    "skipped": "–",
    "withdrawn": "–",
    "asked": "?",
    "paused": "‖",
    "answered": "›",
    "note": " ",
}
"""Each state has a word, a sign and a colour; the word alone is enough."""

INDENT: Final = "  "
"""How far a subagent's lines stand to the right of its parent's."""

_WORD_WIDTH: Final = max(map(len, GLYPHS))


class View(Protocol):
    """Shows a task while it runs."""

    def follow(self, progress: Progress) -> None:
        """Show this task from here on."""
        ...

    def on_events(self, events: Sequence[Recorded[Event]]) -> None:
        """Show what was recorded. Never raises: a task does not depend on its view."""
        ...

    def on_output(self, action_id: str, stream: Stream, chunk: bytes) -> None:
        """Show what a command prints while it runs, or not. Never raises."""
        ...

    def tick(self) -> None:
        """Draw again what moves, a few times a second."""
        ...

    def suspended(self) -> AbstractContextManager[None]:
        """Return a context in which nothing moves on the screen, for a question."""
        ...

    def close(self) -> None:
        """Take away what moves."""
        ...


class JsonView:
    """One JSON object a line for each event."""

    def follow(self, progress: Progress) -> None:
        """Nothing to prepare: every event is shown as it is."""

    def on_events(self, events: Sequence[Recorded[Event]]) -> None:
        """Print the events."""
        for recorded in events:
            output.object_line(event_object(recorded))
        output.flush()

    def on_output(self, action_id: str, stream: Stream, chunk: bytes) -> None:
        """Nothing: the lines are events, and what was printed is kept with the action's result."""

    def tick(self) -> None:
        """Nothing moves."""

    def suspended(self) -> AbstractContextManager[None]:
        """Return a context that changes nothing."""
        return nullcontext()

    def close(self) -> None:
        """Nothing moves."""


class PlainView:
    """One line after the other, no redrawing; a large batch says how far it is each tenth of the way.

    With `verbose`, what commands print is shown line by line.
    """

    def __init__(self, *, verbose: bool = False) -> None:
        self._verbose = verbose
        self._printed = PrintedText()
        self._progress: Progress | None = None
        self._tenths: dict[str, int] = {}
        self._lines = HeldLines(_print_lines)

    def follow(self, progress: Progress) -> None:
        """Show this task from here on."""
        self._progress = progress

    def on_events(self, events: Sequence[Recorded[Event]]) -> None:
        """Print the lines that the events give."""
        if self._progress is None:
            return
        for recorded in events:
            if isinstance(recorded.event, OutcomeEvent):
                self._print(self._printed.end(recorded.event.action_id))
            self._lines.say(list(self._progress.on(recorded)))
        for title, step in self._progress.large_steps():
            self._print_tenth(title, step)

    def on_output(self, action_id: str, stream: Stream, chunk: bytes) -> None:
        """Print the lines that a command has printed, where that was asked for."""
        if self._verbose:
            self._print(self._printed.take(action_id, stream, chunk))

    def _print(self, lines: Iterable[PrintedLine]) -> None:
        self._lines.say([Line("note", line.shown()) for line in lines])

    def _print_tenth(self, title: str, step: StepNow) -> None:
        if step.ended == step.actions:
            return
        tenth = step.ended * 10 // step.actions
        if tenth > self._tenths.get(title, 0):
            self._tenths[title] = tenth
            self._lines.say([Line("note", f"{title}: {step.ended} of {step.actions}")])

    def tick(self) -> None:
        """Nothing moves."""

    def suspended(self) -> AbstractContextManager[None]:
        """Return a context in which lines about other work wait."""
        return self._lines.held()

    def close(self) -> None:
        """Nothing moves."""


def _print_lines(lines: Sequence[Line]) -> None:
    for line in lines:
        output.line(plain_line(line))
    output.flush()


def plain_line(line: Line) -> str:
    """Return the line as text: word, what, and why after a dash; a subagent's indented."""
    word = "" if line.word == "note" else line.word
    return f"{word:<{_WORD_WIDTH}}  {INDENT * line.depth}{line.text}{f'  -  {line.note}' if line.note else ''}".rstrip()


def view_for(options: Options, viewing: Viewing) -> View:
    """Return the view that suits the options and the terminal."""
    if options.json:
        return JsonView()
    if can_redraw(options, viewing):
        from .live_view import LiveView

        return LiveView(verbose=viewing.verbose)
    return PlainView(verbose=viewing.verbose)
