"""What the exit status says: one table from error codes, and one from how a task stands."""

from collections.abc import Iterable, Mapping
from enum import IntEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ...domain.errors import ErrorCode
    from ...domain.task import TaskStatus


class ExitStatus(IntEnum):
    """Every exit status there is. Programs rely on them: they never change their meaning."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    WAITING = 3
    DENIED = 4
    CONFLICT = 5
    DAMAGED = 6
    BUG = 70


OF_ERROR: Final[Mapping["ErrorCode", ExitStatus]] = {
    "invalid": ExitStatus.USAGE,
    "not_found": ExitStatus.USAGE,
    "limit": ExitStatus.USAGE,
    "denied": ExitStatus.DENIED,
    "conflict": ExitStatus.CONFLICT,
    "expired": ExitStatus.CONFLICT,
    "unavailable": ExitStatus.FAILED,
    "damaged": ExitStatus.DAMAGED,
}

OF_TASK: Final[Mapping["TaskStatus", ExitStatus]] = {
    "completed": ExitStatus.DONE,
    "completed_with_skips": ExitStatus.DONE,
    "failed": ExitStatus.FAILED,
    "awaiting_confirmation": ExitStatus.WAITING,
    "paused": ExitStatus.WAITING,
    "budget_exhausted": ExitStatus.WAITING,
    "queued": ExitStatus.WAITING,
    "planning": ExitStatus.WAITING,
    "ready": ExitStatus.WAITING,
    "running": ExitStatus.WAITING,
    "blocked": ExitStatus.DENIED,
    "cancelled": ExitStatus.DENIED,
}

EXPLAINED: Final = (
    "Exit status: 0 done; 1 failed; 2 wrong usage or invalid input; 3 waiting for a person, paused or out of budget; "
    "4 denied, blocked or cancelled; 5 conflict or stale (answered twice, wrong digest, expired); "
    "6 the store is damaged; 70 a bug in cowork."
)
"""Ends the help of every command."""

_WORST_FIRST: Final = (
    ExitStatus.BUG,
    ExitStatus.DAMAGED,
    ExitStatus.FAILED,
    ExitStatus.DENIED,
    ExitStatus.CONFLICT,
    ExitStatus.USAGE,
    ExitStatus.WAITING,
    ExitStatus.DONE,
)


def worst(statuses: Iterable[ExitStatus]) -> ExitStatus:
    """Return the status that says most about several pieces of work; done where there was none."""
    return min(statuses, key=_WORST_FIRST.index, default=ExitStatus.DONE)
