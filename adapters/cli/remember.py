"""`--remember`: what would be kept of a yes, shown before it is kept."""

import os
import shlex
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from . import output

if TYPE_CHECKING:
    from ...domain.policy_remember import Wish
    from ...engine.application import Offer
    from .options import Options


@Parameter(name="*")
@dataclass(frozen=True)
class RememberOptions:
    """What of an approval is to be remembered.

    Attributes:
        remember: Where it holds.
        within: By how much more than this file.
        command: By how much more than this command.
        days: For how long.
        uses: How often.
        subagents: Whether for subagents too.
        preview: Whether only to show.
    """

    remember: Annotated[
        Literal["task", "session", "workspace"] | None,
        Parameter(
            help="Remember the yes, so that the same is not asked again: in this task, this session, or in every "
            "session on this folder. What is kept is shown first."
        ),
    ] = None
    within: Annotated[
        str | None, Parameter(help="With --remember: everything in this folder, not only this very file.")
    ] = None
    command: Annotated[
        str | None,
        Parameter(help="With --remember: every command that begins with these words, not only with all of them."),
    ] = None
    days: Annotated[
        int | None, Parameter(help="With --remember: for so many days, 1 to 365 (default 1; for a folder 30).")
    ] = None
    uses: Annotated[
        int | None, Parameter(help="With --remember: for so many actions, 1 to 10000 (default: any number).")
    ] = None
    subagents: Annotated[bool, Parameter(negative="", help="With --remember: for subagents too.")] = False
    preview: Annotated[
        bool, Parameter(negative="", help="With --remember: only show what would be kept; nothing is answered.")
    ] = False


NOTHING_REMEMBERED = RememberOptions()


def wish_of(options: RememberOptions) -> "Wish | None":
    """Return what is to be remembered, None for nothing. Raises `DomainError` invalid."""
    from ...domain.errors import DomainError
    from ...domain.policy_remember import Wish

    if options.remember is None:
        if options != NOTHING_REMEMBERED:
            raise DomainError("invalid", "nothing is to be remembered", "say where it holds: --remember task")
        return None
    return Wish(
        scope=options.remember,
        within="" if options.within is None else os.path.abspath(options.within),
        command=() if options.command is None else _words(options.command),
        days=options.days,
        uses=options.uses,
        subagents=options.subagents,
    )


def _words(command: str) -> tuple[str, ...]:
    from ...domain.errors import DomainError

    try:
        words = tuple(shlex.split(command))
    except ValueError as error:
        raise DomainError("invalid", f"`{command}` has an open quote", "close it") from error
    if not words:
        raise DomainError("invalid", "`--command` has no words", "write those that the commands begin with")
    return words


def print_offer(offer: "Offer", store: str) -> None:
    """Print what would be kept: the rule as a sentence, where, until when, what it would have matched, near misses."""
    from ...projections.visible_text import visible_line as visible

    output.line(visible(offer.sentence))
    output.line(f"  kept in {visible(store)} as {offer.approval.id}; take it back with:")
    output.line(f"    cowork policy approvals revoke {offer.approval.id}")
    output.line(
        f"  it would have answered {offer.would_have_answered} of the {offer.past_questions} questions on record"
    )
    for example in offer.examples:
        output.line(f"    {visible(example)}")
    for also in offer.also_answers:
        output.line(f"  it also answers now: {also.headline}")
    output.line("  it would not answer:")
    for miss in offer.near_misses:
        output.line(f"    {visible(miss)}")


def is_wanted(options: "Options") -> bool:
    """Ask, where somebody is there to answer, whether to keep it; without a terminal the command itself is the yes."""
    import termios

    from .terminal import can_ask

    if not can_ask(options):
        return True
    output.line("Approve this, and keep that? [y/N]")
    output.flush()
    # What was typed before the question was there is no answer to it.
    termios.tcflush(sys.stdin, termios.TCIFLUSH)
    return sys.stdin.readline().strip().lower() in ("y", "yes")
