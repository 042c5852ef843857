"""The view for a terminal: what is done scrolls away as ordinary lines, only running and waiting rows move below it."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from ...domain.event import Event, Recorded
from ...domain.task import OutcomeEvent
from ...projections.visible_text import visible
from .branch import Branch, Line, StepNow, Word
from .held_lines import HeldLines
from .layout import plural
from .printed_text import PrintedLine, PrintedText, Stream
from .progress import Progress
from .view import GLYPHS, INDENT

STYLES: Final[dict[Word, str]] = {
    "done": "green",
    "denied": "yellow",
    "rejected": "yellow",
    "expired": "yellow",
    "failed": "red",
    "unknown": "red",
    "skipped": "cyan",
    "withdrawn": "cyan",
    "asked": "bold yellow",
    "paused": "bold yellow",
    "answered": "cyan",
    "note": "",
}
_SPINNER: Final = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_REFRESH_S: Final = 0.1
_QUESTIONS_SHOWN_MAX: Final = 5
_RUNNING_SHOWN_MAX: Final = 12


class LiveView:
    """Draws with rich. Texts are `Text` objects, so that nothing in a file's name is taken for markup.

    The last line that a command printed moves with it; with `verbose`, every line stays.
    """

    def __init__(self, *, verbose: bool = False) -> None:
        self._verbose = verbose
        self._printed = PrintedText()
        self._console = Console(file=sys.stdout, highlight=False, markup=False, emoji=False, soft_wrap=True)
        self._progress: Progress | None = None
        self._live: Live | None = None
        self._lines = HeldLines(self._print)
        self._drawn_at = 0.0
        self._began_at = time.monotonic()

    def follow(self, progress: Progress) -> None:
        """Show this task from here on."""
        self._progress = progress
        self._began_at = time.monotonic()
        self._start()

    def _start(self) -> None:
        self._live = Live(
            console=self._console,
            get_renderable=self._region,
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
            vertical_overflow="ellipsis",
        )
        self._guarded(self._live.start)

    def on_events(self, events: Sequence[Recorded[Event]]) -> None:
        """Print what is done above the region, and draw the region again now and then."""
        if self._progress is None:
            return
        for recorded in events:
            if isinstance(recorded.event, OutcomeEvent):
                self._show_printed(self._printed.end(recorded.event.action_id))
        # An open question is in the moving region, and then on the screen as a card.
        lines = [one for recorded in events for one in self._progress.on(recorded) if one.word != "asked"]
        self._lines.say(lines)
        if lines or time.monotonic() - self._drawn_at > _REFRESH_S:
            self.tick()

    def on_output(self, action_id: str, stream: Stream, chunk: bytes) -> None:
        """Take in what a command prints; its last line is drawn with the next look."""
        self._show_printed(self._printed.take(action_id, stream, chunk))

    def _show_printed(self, lines: Iterable[PrintedLine]) -> None:
        shown = [Line("note", "", line.shown()) for line in lines]
        if self._verbose and self._progress is not None:
            self._lines.say(shown)

    def _print(self, lines: Sequence[Line]) -> None:
        self._guarded(lambda: self._console.print(*map(_text, lines), sep="\n"))

    def tick(self) -> None:
        """Draw the region again."""
        self._drawn_at = time.monotonic()
        if self._live is not None:
            self._guarded(self._live.refresh)

    @contextmanager
    def suspended(self) -> Iterator[None]:
        """Take the region away for the length of the block; lines about other work wait for its end."""
        was_live = self._live is not None
        self.close()
        try:
            with self._lines.held():
                yield
        finally:
            if was_live:
                self._start()

    def close(self) -> None:
        """Take the region away."""
        if self._live is not None:
            live, self._live = self._live, None
            self._guarded(live.stop)

    def _guarded(self, draw: Callable[[], object]) -> None:
        """Draw, unless the terminal is gone: the task goes on without being watched."""
        try:
            draw()
        except OSError:
            self._progress = None
            self._live = None

    def _region(self) -> RenderableType:
        progress = self._progress
        if progress is None:
            return Text("")
        rows: list[Text] = []
        spin = _SPINNER[int((time.monotonic() - self._began_at) * 10) % len(_SPINNER)]
        rows += [_one_line(f"{spin} running   {text}", "blue") for text in running_shown(progress)]
        if progress.is_busy and self._printed.last:
            rows.append(_one_line(f"  | {self._printed.last}", "dim"))
        waiting = list(progress.questions.items())
        for confirmation_id, headline in waiting[:_QUESTIONS_SHOWN_MAX]:
            rows.append(_one_line(f"? waiting   {headline}  {confirmation_id}", "bold yellow"))
        footer = [f"{progress.done} done"]
        if progress.refused:
            footer.append(f"{progress.refused} not done")
        if waiting:
            footer.append(f"{plural(len(waiting), 'question')} for you")
        footer.append(f"position {progress.position}")
        rows.append(_one_line("  " + " · ".join(footer), "dim"))
        return Group(*rows)


def running_shown(progress: Progress) -> list[str]:
    """Return what is under way, a row each, and how much more there is than has room."""
    rows = [row for branch in progress.first() for row in running_rows(branch, progress)]
    more = len(rows) - _RUNNING_SHOWN_MAX
    return rows if more <= 0 else [*rows[:_RUNNING_SHOWN_MAX], f"and {more} more"]


def running_rows(branch: Branch, progress: Progress, depth: int = 0) -> Iterator[str]:
    """Yield what is under way in a task, the rows of a subagent indented beneath that of the action that started it.

    A subagent that is at one thing only has one row.
    """
    indent = INDENT * depth
    for step in branch.large_steps():
        if _moves(step):
            yield f"{indent}{step.title}  {step.ended} of {step.actions}"
    for action_id, words in branch.running.items():
        beneath = progress.beneath(action_id)
        rows = [] if beneath is None else list(running_rows(beneath, progress, depth + 1))
        if beneath is not None and len(rows) == 1:
            yield f"{indent}{visible(beneath.title)} › {rows[0].lstrip()}"
            continue
        if not branch.is_in_large_step(action_id):
            yield f"{indent}{words}"
        yield from rows


def _moves(step: StepNow) -> bool:
    return step.ended + step.waiting < step.actions or 0 < step.ended < step.actions


def _one_line(text: str, style: str) -> Text:
    return Text(text, style=style, no_wrap=True, overflow="ellipsis")


def _text(line: Line) -> Text:
    text = Text(overflow="fold")
    word = "" if line.word == "note" else line.word
    text.append(f"{GLYPHS[line.word]} {word:<10}{INDENT * line.depth}", style=STYLES[line.word])
    text.append(line.text)
    if line.note:
        text.append(f"  {line.note}", style="dim")
    return text
