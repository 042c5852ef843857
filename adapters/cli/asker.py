"""Putting questions to a person: in the terminal, by one answer for all of them, or not at all."""

import contextlib
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

import anyio
import anyio.abc
import anyio.from_thread
import anyio.to_thread

from ...domain.confirmation import ConfirmationRequested
from ...domain.policy_remember import Wish
from ...domain.risk import RISK_WORDS
from ...engine.application import Answer, Offer
from ...projections.visible_text import visible
from . import output
from .attempt_finding import ABOUT_OUTCOME, KEYS_OF_OUTCOME, NOTED, OF_KEY, Said, ways_to_answer
from .card_view import KEYS, box_bottom, box_line, box_top, boxed_lines, plain_card, time_left
from .keyboard import Keyboard, Woken
from .layout import wrapped
from .remember_dialog import MakeOffer, RememberDialog
from .terminal import columns, rows
from .view import View

MOVED_POLL_S: Final = 0.5
"""How often a question that is open here is looked at for an answer from elsewhere."""

_A_NO: Final = ", which counts as a no"

FindMove = Callable[[str], str]
"""Says, of a confirmation id, how the question no longer stands; empty while it does."""


class AnswerAll:
    """Answers every question in the person's name, because the command said so.

    A question what became of an attempt is left open: a yes to all that is asked says nothing about what happened.
    """

    def __init__(self, *, approve: bool, person: str, view: View) -> None:
        self._mode = "approve" if approve else "reject"
        self._answer = Answer(approve=approve, answered_by=person, note=f"--answer {self._mode}")
        self._view = view

    async def ask(self, question: ConfirmationRequested) -> Answer | None:
        """Return the one answer, None for a question that it does not fit."""
        if question.purpose != ABOUT_OUTCOME:
            return self._answer
        with self._view.suspended():
            output.flush()
            output.note(
                f"{question.confirmation_id} is left open: `--answer {self._mode}` does not say what became of an"
                f" attempt that was interrupted ({question.card.headline})"
            )
            for text in ways_to_answer(question):
                output.note(text)
        return None


class LeaveOpen:
    """Prints every question and leaves it open, because nobody is there to answer."""

    def __init__(self, *, show: bool) -> None:
        self._show = show

    async def ask(self, question: ConfirmationRequested) -> Answer | None:
        """Print the question with the commands that answer it."""
        if self._show:
            for text in ("", *plain_card(question.card), "", *ways_to_answer(question), ""):
                output.line(text)
            output.flush()
        return None


class TerminalAsker:
    """Draws the question and takes a key. The reading runs in a thread, so that signals are heard meanwhile."""

    def __init__(
        self, *, view: View, person: str, find_move: FindMove, make_offer: MakeOffer, store: str, boxed: bool
    ) -> None:
        self._view = view
        self._make_offer = make_offer
        self._store = store
        self._person = person
        self._find_move = find_move
        self._boxed = boxed
        self._keyboard: Keyboard | None = None
        self._moved = ""
        self.answered_elsewhere = False

    async def ask(self, question: ConfirmationRequested) -> Answer | None:
        """Return the person's answer; None for later, when interrupted, or when the question no longer stands."""
        self._moved = ""
        self._keyboard = Keyboard()
        remember = RememberDialog(self._keyboard, question.confirmation_id, self._offer, self._store)
        dialog = Dialog(self._keyboard, question, self._person, remember, boxed=self._boxed)
        answer: Answer | None = None
        try:
            with self._view.suspended():
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(self._watch, question.confirmation_id)
                    answer = await anyio.to_thread.run_sync(dialog.run)
                    tasks.cancel_scope.cancel()
                if self._moved:
                    output.line(f"  {self._moved}")
                output.flush()
        finally:
            keyboard, self._keyboard = self._keyboard, None
            keyboard.close()
        self.answered_elsewhere = self.answered_elsewhere or bool(self._moved)
        return answer

    def _offer(self, confirmation_id: str, wish: Wish) -> Offer:
        """Have the engine's own thread say what would be remembered: the log is read there and nowhere else."""
        return anyio.from_thread.run_sync(self._make_offer, confirmation_id, wish)

    def interrupt(self) -> None:
        """Close the question without an answer: the task was interrupted."""
        if self._keyboard is not None:
            self._keyboard.wake()

    async def _watch(self, confirmation_id: str) -> None:
        while not self._moved:
            await anyio.sleep(MOVED_POLL_S)
            self._moved = self._find_move(confirmation_id)
        self.interrupt()


class Dialog:
    """One question on the screen, in the thread that reads the keys."""

    def __init__(
        self,
        keyboard: Keyboard,
        question: ConfirmationRequested,
        person: str,
        remember: RememberDialog,
        *,
        boxed: bool,
    ) -> None:
        self._keyboard = keyboard
        self._remember = remember
        self._question = question
        self._person = person
        self._boxed = boxed
        self._width = columns()
        self._is_about_outcome = question.purpose == ABOUT_OUTCOME

    def run(self) -> Answer | None:
        """Show the question and return the answer, or None for none."""
        with contextlib.suppress(Woken), self._keyboard.keys():
            return self._ask()
        output.line()
        return None

    def _ask(self) -> Answer | None:
        self._keyboard.forget()
        if not self._show():
            return None
        self._keyboard.settle()
        while True:
            key = self._keyboard.key(self._seconds_left())
            match key:
                case None:
                    output.line(f"  expired: nobody answered in time{'' if self._is_about_outcome else _A_NO}")
                    return None
                case "" | "q" | "d" | "\x04":
                    output.line("  left open")
                    return None
                case "?":
                    self._explain()
                    self._print_keys()
                    self._keyboard.settle()
                case _ if self._is_about_outcome:
                    if key in OF_KEY:
                        return self._said(OF_KEY[key])
                case "a":
                    return self._answered(approve=True)
                case "r":
                    return self._answered(approve=False)
                case "n":
                    note = self._read_note()
                    if note is not None:
                        return self._answered(approve=False, note=note)
                    self._print_keys()
                    self._keyboard.settle()
                case "m":
                    offer = self._remember.run(self._seconds_left())
                    if offer is not None:
                        return self._answered(approve=True, remember=offer)
                    self._print_keys()
                    self._keyboard.settle()
                case _:
                    pass

    def _answered(self, *, approve: bool, note: str = "", remember: Offer | None = None) -> Answer:
        output.line(f"  {'approved' if approve else 'rejected'}{f': {visible(note)}' if note else ''}")
        output.flush()
        return Answer(approve=approve, answered_by=self._person, note=note, remember=remember)

    def _said(self, finding: Said) -> Answer:
        output.line(f"  {NOTED[finding]}")
        output.flush()
        return Answer(approve=True, answered_by=self._person, finding=finding)

    def _seconds_left(self) -> float:
        return max(0.0, (self._question.expires_at - datetime.now(UTC)).total_seconds())

    # Drawing

    def _show(self) -> bool:
        """Print the card page by page; return whether its end was reached."""
        card, width = self._question.card, self._width
        right = f"{self._question.confirmation_id} · {time_left(self._question.expires_at, datetime.now(UTC))}"
        lines = boxed_lines(card, right, width) if self._boxed else self._plain_lines()
        if self._boxed:
            output.line(box_top(card, right, width))
        page = max(4, rows() - 5)
        shown = 0
        while shown < len(lines):
            for line in lines[shown : shown + page]:
                output.line(box_line(line, width) if self._boxed else line)
            shown = min(len(lines), shown + page)
            if shown < len(lines) and not self._next_page(shown, len(lines)):
                return False
        self._print_keys()
        return True

    def _plain_lines(self) -> list[str]:
        return [part for line in plain_card(self._question.card) for part in wrapped(line, self._width, indent="    ")]

    def _next_page(self, shown: int, total: int) -> bool:
        """Wait for the key that turns the page; False for `later`. There is no answer before the end of the card."""
        self._print_edge(f"1-{shown} of {total} lines   Space for more   q decide later")
        while True:
            match self._keyboard.key(self._seconds_left()):
                case " " | "f" | "j":
                    return True
                case None | "" | "q" | "d" | "\x04":
                    output.line("  left open")
                    return False
                case _:
                    pass

    def _print_keys(self) -> None:
        self._print_edge(KEYS_OF_OUTCOME if self._is_about_outcome else KEYS)

    def _print_edge(self, text: str) -> None:
        for line in box_bottom(text, self._width) if self._boxed else (f"  [{text}]",):
            output.line(line)
        output.flush()

    def _explain(self) -> None:
        question = self._question
        layer = f" ({visible(question.layer)})" if question.layer else ""
        output.line(f"  rule      {visible(question.rule_id)}{layer}: {visible(question.reason)}")
        words = {str(tag): word for tag, word in RISK_WORDS.items()}
        risks = ", ".join(words.get(tag, visible(tag)) for tag in question.risk_tags)
        output.line(f"  risks     {risks or 'none known'}")
        output.line(f"  actions   {len(question.items)}: one answer is about all of them and about nothing else")
        output.line(f"  digest    {question.digest.removeprefix('sha256:')}")
        output.line("            of every byte of the actions and of what they would touch; after any change of it")
        output.line("            you are asked again")
        output.line(f"  details   cowork confirmation show {question.confirmation_id}")

    # A note

    def _read_note(self) -> str | None:
        """Read a line with what to tell the agent; Escape, or nothing typed, goes back to the question."""
        output.line("  why not? Enter rejects, Escape goes back")
        note = ""
        self._echo("  > ")
        while True:
            typed = self._keyboard.typed(self._seconds_left())
            if not typed or typed[0] in "\x1b\x04":
                output.line()
                return None
            for character in typed:
                if character in "\r\n":
                    output.line()
                    return note.strip() or None
                if character in "\x7f\b":
                    note = note[:-1]
                elif character.isprintable():
                    note += character
            self._echo(f"\r  > {note}\x1b[K" if self._boxed else typed if typed.isprintable() else "")

    def _echo(self, text: str) -> None:
        with contextlib.suppress(OSError):
            sys.stdout.write(text)
            sys.stdout.flush()
