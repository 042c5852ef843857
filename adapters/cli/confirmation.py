"""`cowork confirmation …`: questions to a person, and their answers."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from . import output
from .attempt_finding import NOTED, NOTHING_FOUND, FindingOptions, Said, check_fits, said_in
from .exit_status import ExitStatus
from .opening import on_record, opened, person, store_folder
from .options import PLAIN_OPTIONS, ConfirmationId, Options
from .remember import NOTHING_REMEMBERED, RememberOptions, is_wanted, print_offer, wish_of

if TYPE_CHECKING:
    from ...engine.application import Application
    from ...projections.confirmation_inbox import Confirmation

app = App(name="confirmation", help="List, show, approve and reject what waits for a person.")

DigestOption = Annotated[
    str, Parameter(help="The digest that the question shows: at least its first 8 digits. The answer is bound to it.")
]
NoteOption = Annotated[str, Parameter(help="A sentence for the record, and for the agent.")]


@app.command(name="list")
def list_confirmations(
    *,
    all_of_them: Annotated[
        bool, Parameter(name="--all", negative="", help="Also those that are answered, expired or withdrawn.")
    ] = False,
    options: Options = PLAIN_OPTIONS,
) -> None:
    """List the questions that wait for an answer, those that expire first at the top.

    cowork confirmation list
    """
    from ...projections.confirmation_inbox import confirmation_of, titles_above

    now = datetime.now(UTC)
    with opened(options, absent_is_empty=True) as engine:
        rows = engine.rows("confirmations", None if all_of_them else {"status": "pending"})
        titles = titles_above(engine.rows, rows)
    told = (confirmation_of(row, now, titles) for row in rows)
    questions = sorted(told, key=lambda one: (one.expires_at, one.positions))
    if options.json:
        output.document(questions)
        return
    if not questions:
        output.line("nothing is waiting for you" if not all_of_them else "no questions")
        return
    _print_list(questions, now)


def _print_list(questions: list["Confirmation"], now: datetime) -> None:
    from ...domain.risk import RISK_WORDS
    from .card_view import time_left
    from .layout import in_columns

    words = {str(tag): word for tag, word in RISK_WORDS.items()}
    rows = [
        (
            one.confirmation_id,
            _short(one.digest),
            time_left(datetime.fromisoformat(one.expires_at), now) if one.status == "pending" else one.status,
            ", ".join(words.get(tag, tag) for tag in one.risk_tags) or "-",
            f"{one.card.headline}{_asked_by(one)}",
        )
        for one in questions
    ]
    for line in in_columns(rows, ("question", "digest", "status", "risks", "what")):
        output.line(line)


def _asked_by(question: "Confirmation") -> str:
    """Return which subagent asks, with those above it; nothing where the task itself does."""
    from ...projections.confirmation_inbox import chain_words

    return f", asked by {chain_words(question.chain)}" if len(question.chain) > 1 else ""


def _short(digest: str) -> str:
    return digest.removeprefix("sha256:")[:8]


@app.command(name="show")
def show_confirmation(confirmation_id: ConfirmationId, /, *, options: Options = PLAIN_OPTIONS) -> None:
    """Show a question exactly as every approver sees it, and its answer if it has one.

    cowork confirmation show confirmation-06bq2wr0t0x5k9qz
    """
    with opened(options) as engine:
        question = _question(engine, confirmation_id)
    if options.json:
        output.document(question)
        return
    _print_card(question, options)


def _question(engine: "Application", confirmation_id: str) -> "Confirmation":
    from ...domain.errors import DomainError
    from ...projections.confirmation_inbox import confirmation_of, titles_above
    from ...projections.visible_text import visible

    rows = engine.rows("confirmations", {"confirmation_id": confirmation_id})
    if not rows:
        raise DomainError(
            "not_found", f"there is no confirmation `{visible(confirmation_id)}`", "see `cowork confirmation list`"
        )
    return confirmation_of(rows[0], datetime.now(UTC), titles_above(engine.rows, rows))


def _print_card(question: "Confirmation", options: Options) -> None:
    from ...projections.visible_text import visible
    from .card_view import drawn_card, plain_card, time_left
    from .options import DEFAULT_VIEWING
    from .terminal import can_redraw, columns

    left = time_left(datetime.fromisoformat(question.expires_at), datetime.now(UTC))
    state = left if question.status == "pending" else question.status
    if can_redraw(options, DEFAULT_VIEWING):
        lines = list(drawn_card(question.card, f"{question.confirmation_id} · {state}", columns()))
    else:
        lines = [*plain_card(question.card), "", f"  {question.confirmation_id} · {state}"]
    for line in lines:
        output.line(line)
    if question.status != "pending":
        by = f" by {visible(question.answered_by)}" if question.answered_by else ""
        note = f": {visible(question.note)}" if question.note else ""
        output.line(f"  {question.status}{by}{note}")


@app.command(name="approve")
def approve_confirmation(
    confirmation_id: ConfirmationId,
    /,
    *,
    digest: DigestOption = "",
    note: NoteOption = "",
    finding: FindingOptions = NOTHING_FOUND,
    remember: RememberOptions = NOTHING_REMEMBERED,
    options: Options = PLAIN_OPTIONS,
) -> ExitStatus:
    """Say yes to exactly what a question shows. Without `--digest` the question is printed and nothing is answered.

    Where it asks what became of an attempt, say which it is: it happened, it did not happen, or try again.

    cowork confirmation approve confirmation-06bq2wr0t0x5k9qz --digest 9c417e02

    cowork confirmation approve confirmation-06bq2wr0t0x5k9qz --digest 9c417e02 --remember task --within ~/invoices/out

    cowork confirmation approve confirmation-06bq2wr0t0x5k9qz --digest 9c417e02 --did-not-happen
    """
    answering = Answering(approve=True, note=note, remember=remember, said=said_in(finding))
    return _answer(confirmation_id, digest, answering, options)


@app.command(name="reject")
def reject_confirmation(
    confirmation_id: ConfirmationId,
    /,
    *,
    digest: DigestOption = "",
    note: NoteOption = "",
    options: Options = PLAIN_OPTIONS,
) -> ExitStatus:
    """Say no to what a question shows. Without `--digest` the question is printed and nothing is answered.

    cowork confirmation reject confirmation-06bq2wr0t0x5k9qz --digest 9c417e02 --note "keep the 2023 folder"
    """
    return _answer(confirmation_id, digest, Answering(approve=False, note=note), options)


@dataclass(frozen=True)
class Answering:
    """An answer as the command line gives it."""

    approve: bool
    note: str
    remember: RememberOptions = NOTHING_REMEMBERED
    said: Said | None = None


def _refuse_short(digest: str) -> None:
    """Raise `DomainError` invalid for too few digits: they are no answer to another question."""
    from ...domain.confirmation import DIGEST_PREFIX_MIN
    from ...domain.errors import DomainError
    from ...projections.visible_text import visible

    plain = digest.strip().lower().removeprefix("sha256:").replace(" ", "")
    if len(plain) < DIGEST_PREFIX_MIN:
        sentence = f"`{visible(digest)}` is too short for a digest"
        raise DomainError("invalid", sentence, f"give at least {DIGEST_PREFIX_MIN} digits, as the question shows them")


def _answer(confirmation_id: str, digest: str, answering: Answering, options: Options) -> ExitStatus:
    import anyio

    from ...domain.errors import DomainError
    from ...domain.ids import root_task_id
    from ...engine.application import Answer
    from .answer_json import RememberedAnswer

    wish = wish_of(answering.remember)
    verb = "approve" if answering.approve else "reject"
    with opened(options) as engine:
        question = _question(engine, confirmation_id)
        if not digest:
            if not options.json:
                _print_card(question, options)
                output.flush()
            raise DomainError(
                "invalid",
                "an answer needs the digest of what it is about",
                f"cowork confirmation {verb} {question.confirmation_id} --digest {_short(question.digest)}",
            )
        _refuse_short(digest)
        if answering.approve:
            check_fits(question, answering.said, _short(question.digest))
        offer = None if wish is None else engine.offer(confirmation_id, wish)
        if offer is not None and not options.json:
            print_offer(offer, str(store_folder(options)))
        if offer is not None and answering.remember.preview:
            if options.json:
                output.document(offer)
            return ExitStatus.DONE
        if offer is not None and not is_wanted(options):
            output.line("nothing was answered, and nothing is kept")
            return ExitStatus.WAITING
        answer = Answer(
            approve=answering.approve,
            answered_by=person(),
            note=answering.note,
            remember=offer,
            finding=answering.said or "",
        )
        anyio.run(lambda: engine.answer(confirmation_id, digest, answer))
        with on_record():
            answered = _question(engine, confirmation_id)
    if options.json:
        output.document(answered if offer is None else RememberedAnswer(confirmation=answered, remembered=offer))
    else:
        how = answered.status if answering.said is None else NOTED[answering.said]
        output.line(f"{how}: {answered.card.headline}")
        output.line(f"  the task goes on with: cowork resume {root_task_id(answered.task_id)}")
    return ExitStatus.DONE
