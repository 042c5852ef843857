"""What goes wrong on the way to another machine."""

import os

import httpx

from ...domain.reason import ReasonCode


class NetworkProblem(httpx.TransportError):
    """Why nothing, or nothing whole, came back: a reason code and a sentence. Never raised for an answer with 4xx."""

    def __init__(self, reason_code: ReasonCode, reason: str) -> None:
        super().__init__(reason)
        self.reason_code: ReasonCode = reason_code
        self.reason = reason


def words_of(error: OSError) -> str:
    """Return the operating system's words for an error, in lower case."""
    cause = error.__cause__
    inner = cause if isinstance(cause, OSError) and not error.errno else error
    if inner.errno is not None and inner.errno > 0:
        return os.strerror(inner.errno).lower()
    return (inner.strerror or str(inner) or type(inner).__name__).lower()
