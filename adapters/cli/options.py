"""Options that commands share."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from cyclopts import Parameter

AnswerMode: TypeAlias = Literal["ask", "approve", "reject", "wait"]

AsRootOption: TypeAlias = Annotated[
    bool,
    Parameter(
        name="--unsafe-as-root",
        negative="",
        help="Work although this is root, whom the operating system refuses nothing; it goes on record.",
    ),
]


@Parameter(name="*")
@dataclass(frozen=True)
class Options:
    """Where the store is, and in which form to print.

    Attributes:
        store: The folder that holds the log, the read model and the contents.
        json: Print JSON.
        unsafe_as_root: Work although this is root.
    """

    store: Annotated[
        Path | None,
        Parameter(
            name="--store",
            env_var="COWORK_STORE",
            help="Folder of the store; by default the data folder of your account.",
        ),
    ] = None
    json: Annotated[
        bool, Parameter(name="--json", negative="", help="Print JSON, with the field names of the reference.")
    ] = False
    unsafe_as_root: AsRootOption = False


PLAIN_OPTIONS = Options()


@Parameter(name="*")
@dataclass(frozen=True)
class Viewing:
    """How a running task is shown.

    Attributes:
        plain: No redrawing, no boxes.
        verbose: Every event, and what commands print.
    """

    plain: Annotated[
        bool, Parameter(name="--plain", negative="", help="One line after the other, no redrawing, no boxes.")
    ] = False
    verbose: Annotated[
        bool,
        Parameter(
            name=["--verbose", "-v"],
            negative="",
            help="Show every event, also of large batches, and what commands print.",
        ),
    ] = False


DEFAULT_VIEWING = Viewing()

AnswerOption: TypeAlias = Annotated[
    AnswerMode,
    Parameter(
        name="--answer",
        help="What to do about questions: ask in the terminal (without one: leave them open), approve or reject all of "
        "them in your name, or wait (leave them open).",
    ),
]


def can_be_id(_: object, value: object) -> None:
    """Refuse bytes that are no text where an id is named. Raises `DomainError` invalid."""
    try:
        str(value).encode()
    except UnicodeEncodeError as error:
        from ...domain.errors import DomainError
        from ...projections.visible_text import visible

        said = f"`{visible(str(value))}` is no id: it is not text in UTF-8"
        raise DomainError("invalid", said, "ids are as `cowork` prints them") from error


Id: TypeAlias = Annotated[str, Parameter(validator=can_be_id)]
"""What names something on record. Every command takes its ids as one."""

TaskId: TypeAlias = Annotated[Id, Parameter(help="The task's id, as `cowork task list` prints it.")]
ConfirmationId: TypeAlias = Annotated[Id, Parameter(help="The question's id, as `cowork confirmation list` prints it.")]
GrantId: TypeAlias = Annotated[Id, Parameter(help="The grant's id, as `cowork grant list` prints it.")]
