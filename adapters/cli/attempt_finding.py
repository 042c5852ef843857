"""What became of an attempt that nobody else can tell about: the three answers as keys, as options and in words."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final, Literal, TypeAlias

from cyclopts import Parameter

if TYPE_CHECKING:
    from ...domain.confirmation import ConfirmationRequested
    from ...projections.confirmation_inbox import Confirmation

Said: TypeAlias = Literal["happened", "not_happened", "try_again"]
"""What a person may say of such an attempt: `domain/confirmation.Finding` without the empty one."""

ABOUT_OUTCOME: Final = "unknown_outcome"
"""The purpose of a question that wants one of the three."""

KEYS_OF_OUTCOME: Final = "h it happened   x it did not   t try again   q decide later   ? why"
OF_KEY: Final[dict[str, Said]] = {"h": "happened", "x": "not_happened", "t": "try_again"}
OPTIONS: Final[dict[Said, str]] = {
    "happened": "--happened",
    "not_happened": "--did-not-happen",
    "try_again": "--try-again",
}
NOTED: Final[dict[Said, str]] = {
    "happened": "noted: it happened",
    "not_happened": "noted: it did not happen",
    "try_again": "noted: it is to be tried again",
}
_ALL: Final = "`--happened`, `--did-not-happen` or `--try-again`"


@Parameter(name="*")
@dataclass(frozen=True)
class FindingOptions:
    """What became of the attempt that a question is about.

    Attributes:
        happened: It did.
        did_not_happen: It did not.
        try_again: Whatever became of it, it is to be done once more.
    """

    happened: Annotated[
        bool, Parameter(negative="", help="Of an attempt that nobody can tell about: it happened, and counts as done.")
    ] = False
    did_not_happen: Annotated[
        bool, Parameter(negative="", help="Of such an attempt: it did not happen, and counts as failed.")
    ] = False
    try_again: Annotated[
        bool, Parameter(negative="", help="Of such an attempt: do it once more, from what is there now.")
    ] = False


NOTHING_FOUND = FindingOptions()


def said_in(options: FindingOptions) -> Said | None:
    """Return what the options say, None for nothing. Raises `DomainError` invalid for more than one."""
    from ...domain.errors import DomainError

    said: list[Said] = []
    if options.happened:
        said.append("happened")
    if options.did_not_happen:
        said.append("not_happened")
    if options.try_again:
        said.append("try_again")
    if len(said) > 1:
        given = " and ".join(f"`{OPTIONS[one]}`" for one in said)
        raise DomainError("invalid", f"{given} exclude each other", "say one of them")
    return said[0] if said else None


def check_fits(question: "Confirmation", said: Said | None, digest: str) -> None:
    """Raise `DomainError` invalid where a question wants a finding and there is none, or the other way round."""
    from ...domain.errors import DomainError

    name = question.confirmation_id
    if question.purpose == ABOUT_OUTCOME and said is None:
        raise DomainError(
            "invalid",
            f"`{name}` asks what became of an attempt: a plain yes is no answer to that",
            f"look, and say which it is: cowork confirmation approve {name} --digest {digest} with {_ALL}",
        )
    if question.purpose != ABOUT_OUTCOME and said is not None:
        raise DomainError(
            "invalid",
            f"`{OPTIONS[said]}` is no answer to `{name}`: nothing was begun that it asks about",
            f"cowork confirmation approve {name} --digest {digest}",
        )


def ways_to_answer(question: "ConfirmationRequested") -> Sequence[str]:
    """Return the commands that answer a question, as indented lines."""
    short = question.digest.removeprefix("sha256:")[:8]
    named = f"{question.confirmation_id} --digest {short}"
    if question.purpose == ABOUT_OUTCOME:
        approve = f"cowork confirmation approve {named}"
        return (
            f"  it happened:  {approve} {OPTIONS['happened']}",
            f"  it did not:   {approve} {OPTIONS['not_happened']}",
            f"  try again:    {approve} {OPTIONS['try_again']}",
        )
    return (
        f"  approve with: cowork confirmation approve {named}",
        f"  reject with:  cowork confirmation reject {named}",
    )
