"""What a command's report says besides how it ended, in a few words for a line on a screen. All of it visible text."""

from ..domain.effect import CommandReport, Result
from .measure import count_words, size_words
from .visible_text import visible


def report_notes(report: CommandReport) -> tuple[str, ...]:
    """Return what a person may want to know of a command that has ended: errors, what was hidden, what was left out."""
    notes: list[str] = []
    if report.stderr.content.size:
        notes.append(f"{size_words(report.stderr.content.size)} of errors")
    cut = report.stdout.cut + report.stderr.cut
    if cut:
        notes.append(f"{size_words(cut)} more than is kept")
    if report.hidden:
        notes.append(f"{count_words(report.hidden, 'file')} hidden by policy")
    if len(report.left_out) == 1:
        notes.append(f"left out: {visible(report.left_out[0])}")
    elif report.left_out:
        notes.append(f"{count_words(len(report.left_out), 'change')} left out")
    if report.bytes_sent or report.bytes_received:
        notes.append(f"{size_words(report.bytes_sent)} sent, {size_words(report.bytes_received)} received")
    return tuple(notes)


def result_words(result: Result) -> str:
    """Return what came back: the executor's sentence, and of a command what else there is to know."""
    notes = () if result.command is None else report_notes(result.command)
    return ", ".join((visible(result.summary), *notes))


def besides_words(result: Result) -> str:
    """Return what there is to know of a result whose end was told already: `0.92 s, 21 bytes of output`."""
    report = result.command
    if report is None:
        return visible(result.summary)
    took = f"{report.milliseconds / 1000:.2f} s"
    return ", ".join((took, f"{size_words(report.stdout.content.size)} of output", *report_notes(report)))
