"""The one error type that the domain and the engine raise on purpose, and its closed set of codes."""

from typing import Literal, get_args

ErrorCode = Literal["invalid", "not_found", "conflict", "denied", "expired", "limit", "unavailable", "damaged"]
"""Why something was refused. Interfaces map each code to an exit status and an HTTP status, in one table each."""

ERROR_CODES: tuple[ErrorCode, ...] = get_args(ErrorCode)


class DomainError(Exception):
    """A refusal that a person can act on.

    `message` is one lower-case sentence without a final period, with the offending value in backticks;
    `hint` is what to do next, often a command. Anything that escapes and is not a `DomainError` is a bug.
    """

    def __init__(self, code: ErrorCode, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.code: ErrorCode = code
        self.message = message
        self.hint = hint

    def __repr__(self) -> str:
        return f"DomainError({self.code!r}, {self.message!r}, {self.hint!r})"
