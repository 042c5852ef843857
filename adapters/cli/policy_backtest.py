"""`cowork policy backtest`: what another document would have done to the decisions on record."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Final, TypeAlias

from cyclopts import Parameter

from . import output
from .exit_status import ExitStatus
from .opening import opened
from .options import PLAIN_OPTIONS, Options
from .policy_stack import AsOption, DocumentFile, document

if TYPE_CHECKING:
    from ...engine.application import BacktestReport, Example, Flip

SinceOption: TypeAlias = Annotated[
    str,
    Parameter(
        help="Only what was decided since then: a day or time (2026-06-01), so long ago (30d, 12h), or a position."
    ),
]
_AGO: Final = re.compile(r"(\d{1,6})([hdw])")
_HOURS: Final = {"h": 1, "d": 24, "w": 24 * 7}
_STEPS: Final = {"allow": 0, "allow_with_confirm": 1, "deny": 2}


def backtest(
    new: DocumentFile,
    /,
    *,
    since: SinceOption | None = None,
    layer: AsOption = "root",
    options: Options = PLAIN_OPTIONS,
) -> ExitStatus:
    """Decide every recorded action again, as if this document had been in force, and say what would have been others.

    First the recorded rules are asked again, and have to answer as they did. Nothing is run or changed. Ends with 1
    where something would have been more permitted than it was, with 6 where the log does not agree with itself.

        cowork policy backtest rules.toml
        cowork policy backtest narrow.toml --as user --since 30d
    """
    from ...projections.visible_text import visible

    moment = since_of(since)
    layer_of_file = document(new, layer)
    with opened(options, absent_is_empty=True) as engine:
        report = engine.inquiries.backtest(layer_of_file, since=moment)
    if options.json:
        output.document(report)
    else:
        _print(report, visible(str(new)))
    if not report.is_trustworthy:
        return ExitStatus.DAMAGED
    return ExitStatus.FAILED if any(is_milder(flip) for flip in report.flips) else ExitStatus.DONE


def since_of(text: str | None) -> datetime | int | None:
    """Return from when on something counts: a time, a position, or nothing. Raises `DomainError` invalid."""
    from ...domain.errors import DomainError
    from ...projections.visible_text import visible

    if text is None:
        return None
    ago = _AGO.fullmatch(text)
    try:
        if ago is not None:
            return datetime.now(UTC) - timedelta(hours=int(ago[1]) * _HOURS[ago[2]])
        if text.isascii() and text.isdigit():
            return int(text)
        found = datetime.fromisoformat(text)
    except (ValueError, OverflowError) as error:
        hint = "as in 2026-06-01, 2026-06-01T08:00:00Z, 30d, 12h, or a position such as 1200"
        raise DomainError("invalid", f"`{visible(text)}` is no time", hint) from error
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found


def is_milder(flip: "Flip") -> bool:
    """Whether more would have been permitted: without a question where there was one, or at all where it was denied."""
    return _level(flip.after.verdict, flip.after.approval_id) < _level(flip.before.verdict, flip.before.approval_id)


def _level(verdict: str, approval_id: str) -> int:
    return 0 if approval_id else _STEPS[verdict]


def _print(report: "BacktestReport", name: str) -> None:
    from ...projections.visible_text import visible_line
    from .layout import plural

    decisions, looks = plural(report.decisions, "decision"), plural(report.second_looks, "second look")
    for one in report.disagreements:
        output.line(f"position {one.position}: {one.about}: {visible_line(one.sentence)}")
    agrees = "all as recorded" if report.is_trustworthy else "the log does not agree with itself"
    output.line(f"asked again up to position {report.position}: {decisions} and {looks}, {agrees}")
    output.line(f"under {name}, {plural(report.flipped, 'decision')} would have been different")
    milder = [flip for flip in report.flips if is_milder(flip)]
    stricter = [flip for flip in report.flips if not is_milder(flip)]
    for title, flips in (("more permitted:", milder), ("less permitted:", stricter)):
        if flips:
            output.line(title)
            for flip in flips:
                _print_flip(flip)
    _print_prompts(report)
    if report.ran_denied:
        output.line(f"{plural(report.ran_denied, 'action')} ran that would be denied now")
        print_examples(report.ran_denied_examples)
    if report.never_hit and report.decisions:
        output.line(f"rules that matched nothing: {visible_line(', '.join(report.never_hit))}")


def _print_flip(flip: "Flip") -> None:
    from ...projections.policy_words import VERDICT_WORDS
    from ...projections.visible_text import visible
    from .layout import plural

    was, now = (f"{VERDICT_WORDS[one.verdict]} by {visible(one.rule)}" for one in (flip.before, flip.after))
    by_approval = f" and answered by {visible(flip.after.approval_id)}" if flip.after.approval_id else ""
    output.line(f"  {plural(flip.count, 'time')}: {was}, would be {now}{by_approval}")
    print_examples(flip.examples)


def print_examples(examples: "Sequence[Example]") -> None:
    """Print recorded actions: the kind, what it was about, and where it is in the log."""
    from ...projections.visible_text import visible_line

    for one in examples:
        output.line(f"    {one.kind} {visible_line(one.place)} (position {one.position})")


def _print_prompts(report: "BacktestReport") -> None:
    from .layout import plural

    prompts = report.prompts
    asked = plural(prompts.questions_asked, "question was", "questions were")
    output.line(
        f"{asked} asked: {prompts.questions_saved} would not be asked any more, {prompts.questions_added} more would be"
    )
    if prompts.saved_no:
        output.line(f"a person said no to {prompts.saved_no} of the actions that would not be asked about any more")
