"""`cowork digest`: what happened while nobody looked, and what waits for an answer, which can be given right there."""

from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import UTC, datetime
from signal import Signals
from typing import TYPE_CHECKING, Annotated, Final

from cyclopts import Parameter

from ...domain.errors import DomainError
from . import output
from .opening import opened, person, store_folder
from .options import DEFAULT_VIEWING, PLAIN_OPTIONS, Options
from .terminal import can_ask, can_redraw

if TYPE_CHECKING:
    from ...engine.application import Application
    from ...projections.digest_report import Digest, DigestLine, DigestQuestion, DigestTask

SINCE_DEFAULT: Final = "24h"


def digest(
    *,
    since: Annotated[
        str, Parameter(help="How long ago (`8h`, `2d`) or since when (`2026-06-14`, `2026-06-14T22:00`).")
    ] = SINCE_DEFAULT,
    report_only: Annotated[bool, Parameter(negative="", help="Only print, and ask nothing.")] = False,
    options: Options = PLAIN_OPTIONS,
) -> None:
    """Say what happened unattended: how tasks ended, what was not done and why, and what waits for an answer.

    In a terminal each question that waits is put to you afterwards, those that expire first at the top; what you leave
    open stays open.

        cowork digest
        cowork digest --since 8h --json
    """
    from ...projections.digest_report import digest_of
    from ...projections.digest_rows import digest_rows
    from .amounts import moment_in

    now = datetime.now(UTC)
    since_at = moment_in(since, now)
    with opened(options, absent_is_empty=True) as engine:
        told = digest_of(digest_rows(engine.rows, since_at=since_at), since_at=since_at, now=now)
        if options.json:
            output.document(told)
            return
        _print(told, now)
        if told.waiting and not report_only and can_ask(options):
            _ask(engine, told.waiting, options)


def _print(told: "Digest", now: datetime) -> None:
    from .layout import clock_time

    since = clock_time(told.since_at or "")
    sections: list[tuple[str, list[tuple[str, ...]]]] = [
        ("ended", [_task_row(one) for one in told.ended if not _goes_without_saying(one)]),
        ("not ended yet", [_task_row(one) for one in told.open]),
        ("nobody knows whether it happened", _line_rows(told.unknown)),
        ("stopped for want of budget", _line_rows(_without_echoes(told.budget_stops))),
        ("paused or interrupted", _line_rows(_without_echoes(told.stopped))),
        ("denied", _line_rows(told.denied)),
        ("failed", _line_rows(told.failed)),
        ("skipped or taken back", _line_rows(told.skipped)),
        ("expired", _line_rows(told.expired)),
        ("waiting for you", [_question_row(one, now) for one in told.waiting]),
    ]
    if not any(rows for _, rows in sections):
        output.line(f"nothing happened since {since} UTC, and nothing waits for you")
        return
    output.line(f"since {since} UTC")
    for title, rows in sections:
        _print_section(title, rows)
    output.flush()


def _goes_without_saying(one: "DigestTask") -> bool:
    """Whether a subagent did what it was started for: then its task says all there is to say."""
    return len(one.chain) > 1 and one.status in ("completed", "completed_with_skips")


def _without_echoes(lines: "Sequence[DigestLine]") -> "list[DigestLine]":
    """Leave out subagents that stopped with the task that a person started."""
    stopped = {one.task_id for one in lines}
    return [one for one in lines if len(one.chain) == 1 or one.chain[0].task_id not in stopped]


def _print_section(title: str, rows: list[tuple[str, ...]]) -> None:
    """Print the rows under a title with their number, each row's last cell, what to do, in a line of its own."""
    from .layout import in_columns

    if not rows:
        return
    output.line()
    output.line(f"{title} ({len(rows)})")
    for line, row in zip(in_columns([row[:-1] for row in rows]), rows, strict=True):
        output.line(f"  {line}")
        if row[-1]:
            output.line(f"      {row[-1]}")


def _task_row(one: "DigestTask") -> tuple[str, ...]:
    from ...projections.measure import count_words
    from ...projections.visible_text import quoted, visible

    status = "stopped at once" if one.interrupted else one.status.replace("_", " ")
    changes = count_words(one.file_changes, "change") + " to files" if one.file_changes else ""
    about = [part for part in (changes, visible(one.reason)) if part]
    whose = f", subagent of {quoted(one.chain[0].title)}" if len(one.chain) > 1 else ""
    return status, f"{quoted(one.title)}{whose}{': ' if about else ''}{', '.join(about)}", one.to_do


def _line_rows(lines: "Sequence[DigestLine]") -> list[tuple[str, ...]]:
    from ...projections.visible_text import quoted
    from .layout import clock_time

    return [
        (clock_time(one.at)[:16], f"{one.text} (task {quoted(one.chain[0].title)})", _to_do_words(one.to_do))
        for one in lines
    ]


def _to_do_words(to_do: str) -> str:
    return f"to do: {to_do}" if to_do else ""


def _question_row(one: "DigestQuestion", now: datetime) -> tuple[str, ...]:
    from ...domain.risk import RISK_WORDS
    from .card_view import time_left

    words = {str(tag): word for tag, word in RISK_WORDS.items()}
    risks = ", ".join(words.get(tag, tag) for tag in one.risk_tags) or "-"
    left = time_left(datetime.fromisoformat(one.expires_at), now)
    return ("new" if one.is_new else "", left, risks, one.headline, one.to_show)


# Answering in place


def _ask(app: "Application", waiting: "Iterable[DigestQuestion]", options: Options) -> None:
    import anyio

    answered = anyio.run(Questions(app, options).put, [one.confirmation_id for one in waiting])
    _print_next(app, answered)


def _print_next(app: "Application", answered: list[str]) -> None:
    """Say how the tasks go on whose questions were answered."""
    from ...domain.ids import root_task_id

    output.line()
    for task_id in dict.fromkeys(root_task_id(one) for one in answered):
        if app.task(task_id).status == "awaiting_confirmation":
            output.line(f"go on with: cowork resume {task_id}")
    if not answered:
        output.line("nothing was answered")
    output.flush()


class Questions:
    """Puts questions to the person at the terminal, one after the other, whoever runs their tasks."""

    def __init__(self, app: "Application", options: Options) -> None:
        from .asker import TerminalAsker
        from .view import PlainView

        self._app = app
        self._was_interrupted = False
        self._asker = TerminalAsker(
            view=PlainView(),
            person=person(),
            find_move=self._find_move,
            make_offer=app.offer,
            store=str(store_folder(options)),
            boxed=can_redraw(options, DEFAULT_VIEWING),
        )

    async def put(self, confirmation_ids: Sequence[str]) -> list[str]:
        """Put the questions until they are over or Ctrl-C; return the tasks of those that were answered."""
        import anyio

        from .carrying import SIGNALS

        answered: list[str] = []
        refused: DomainError | None = None
        async with anyio.create_task_group() as group:
            with anyio.open_signal_receiver(*SIGNALS) as signals:
                group.start_soon(self._heed, signals)
                try:
                    for number, name in enumerate(confirmation_ids, start=1):
                        if not self._was_interrupted:
                            answered += await self._put(name, f"question {number} of {len(confirmation_ids)}")
                except DomainError as error:
                    refused = error
                group.cancel_scope.cancel()
        if refused is not None:
            raise refused
        return answered

    async def _put(self, confirmation_id: str, which: str) -> list[str]:
        question = self._app.question(confirmation_id)
        if question is None:
            return []
        output.line()
        output.line(which)
        output.flush()
        answer = await self._asker.ask(question)
        if answer is None:
            return []
        try:
            await self._app.answer(confirmation_id, question.digest, answer)
        except DomainError as error:
            if error.code not in ("conflict", "expired"):
                raise
            output.note(error.message)
            return []
        return [question.task_id]

    async def _heed(self, signals: AsyncIterator[Signals]) -> None:
        async for _ in signals:
            self._was_interrupted = True
            self._asker.interrupt()

    def _find_move(self, confirmation_id: str) -> str:
        (row,) = self._app.rows("confirmations", {"confirmation_id": confirmation_id})
        by = f" by {row['answered_by']}" if row["answered_by"] else ""
        return "" if row["status"] == "pending" else f"this was {row['status']}{by} elsewhere"
