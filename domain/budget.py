"""Budgets: how much a task may use up, what it has used, and what an action takes of it.

What an action will take is reserved when it starts and settled when it ends, so that what is under way counts, too.
A budget holds for a task with all its subagents: whoever stands above an action must have room for it.
"""

from typing import Final, Literal, TypeAlias, get_args

import msgspec

from .action import (
    Action,
    CodeRun,
    ConnectorAction,
    ConnectorRead,
    FileCreate,
    FileDelete,
    FileWrite,
    NetworkRequest,
    ShellExec,
)
from .effect import Result
from .facts import Facts

Measure: TypeAlias = Literal[
    "wall_ms", "actions", "bytes_written", "bytes_sent", "files_deleted", "tokens", "cost_micros"
]
MEASURES: Final[tuple[Measure, ...]] = get_args(Measure)

UNITS: Final[dict[Measure, str]] = {
    "wall_ms": "milliseconds of work",
    "actions": "actions",
    "bytes_written": "bytes written",
    "bytes_sent": "bytes sent",
    "files_deleted": "files deleted",
    "tokens": "tokens",
    "cost_micros": "millionths of the currency that the planner reports in",
}
"""What each measure counts, in words."""


class Usage(msgspec.Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True, rename="camel"):
    """What was used up. Times in milliseconds, sizes in bytes, money in millionths of the planner's currency."""

    wall_ms: int = 0
    actions: int = 0
    bytes_written: int = 0
    bytes_sent: int = 0
    files_deleted: int = 0
    tokens: int = 0
    cost_micros: int = 0

    def of(self, measure: Measure) -> int:
        """Return what was used of one measure."""
        return _read(self, measure) or 0


class Budget(msgspec.Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True, rename="camel"):
    """How much may be used up, in the units of `Usage`; None is no bound."""

    wall_ms: int | None = None
    actions: int | None = None
    bytes_written: int | None = None
    bytes_sent: int | None = None
    files_deleted: int | None = None
    tokens: int | None = None
    cost_micros: int | None = None

    def of(self, measure: Measure) -> int | None:
        """Return the bound of one measure, None where there is none."""
        return _read(self, measure)

    @property
    def is_bound(self) -> bool:
        """Whether anything is bounded at all."""
        return self != NO_BUDGET


BUDGET_MAX: Final = 10**15
"""The most that a budget may allow of one measure, in the units of `Usage`: every program that reads JSON holds it."""

NO_USAGE: Final = Usage()
NO_BUDGET: Final = Budget()


def _read(one: Usage | Budget, measure: Measure) -> int | None:
    match measure:
        case "wall_ms":
            return one.wall_ms
        case "actions":
            return one.actions
        case "bytes_written":
            return one.bytes_written
        case "bytes_sent":
            return one.bytes_sent
        case "files_deleted":
            return one.files_deleted
        case "tokens":
            return one.tokens
        case "cost_micros":
            return one.cost_micros


class Overrun(msgspec.Struct, frozen=True, gc=False, kw_only=True, rename="camel"):
    """A bound that would be passed: the measure, the bound, and how much would have been used then."""

    measure: Measure
    bound: int
    needed: int


def plus(one: Usage, other: Usage) -> Usage:
    """Return what both used together."""
    if other is NO_USAGE:
        return one
    if one is NO_USAGE:
        return other
    # Added up several times for each action: written out, because that is ten times as fast as going by the measures.
    return Usage(
        wall_ms=one.wall_ms + other.wall_ms,
        actions=one.actions + other.actions,
        bytes_written=one.bytes_written + other.bytes_written,
        bytes_sent=one.bytes_sent + other.bytes_sent,
        files_deleted=one.files_deleted + other.files_deleted,
        tokens=one.tokens + other.tokens,
        cost_micros=one.cost_micros + other.cost_micros,
    )


def minus(one: Usage, other: Usage) -> Usage:
    """Return what is left of a usage when the other is taken out of it, never less than nothing."""
    if other is NO_USAGE:
        return one
    if one == other:
        return NO_USAGE
    return Usage(**{measure: max(one.of(measure) - other.of(measure), 0) for measure in MEASURES})


def find_overrun(budget: Budget, used: Usage, wanted: Usage, *, tells_sent: bool = False) -> Overrun | None:
    """Return the first bound that is passed already, or that `wanted` would pass on top of what was used.

    `tells_sent` is about an action that tells afterwards how much it sent, see `tells_what_it_sent`.
    """
    afterwards: tuple[Measure, ...] = (*TOLD_AFTERWARDS, "bytes_sent") if tells_sent else TOLD_AFTERWARDS
    for measure in MEASURES:
        bound = budget.of(measure)
        if bound is None:
            continue
        needed = used.of(measure) + wanted.of(measure)
        # Of what is told afterwards the bound is reached when nothing is left.
        is_over = needed > bound if wanted.of(measure) else used.of(measure) >= bound and measure in afterwards
        if is_over:
            return Overrun(measure=measure, bound=bound, needed=needed)
    return None


TOLD_AFTERWARDS: Final[tuple[Measure, ...]] = ("wall_ms", "tokens", "cost_micros")
"""What no action reserves anything of: it is known only when it was used."""


def narrowest(one: Budget, other: Budget) -> Budget:
    """Return the bounds that hold where both do."""
    return Budget(**{measure: _smaller(one.of(measure), other.of(measure)) for measure in MEASURES})


def raised(budget: Budget, by: Usage) -> Budget:
    """Return the budget with more room, where it is bounded at all."""
    return Budget(**{measure: _more(budget.of(measure), by.of(measure)) for measure in MEASURES})


def _more(bound: int | None, by: int) -> int | None:
    return None if bound is None else bound + by


def _smaller(one: int | None, other: int | None) -> int | None:
    if one is None or other is None:
        return other if one is None else one
    return min(one, other)


def reservation(action: Action, facts: Facts) -> Usage:
    """Return what an action will take at least, as far as can be told before it runs."""
    match action:
        case FileWrite(content=content) | FileCreate(content=content):
            return Usage(actions=1, bytes_written=content.size)
        case FileDelete():
            target = facts.target
            is_folder = target is not None and target.kind == "folder"
            return Usage(actions=1, files_deleted=target.entries if target is not None and is_folder else 1)
        case NetworkRequest(body=body):
            return Usage(actions=1, bytes_sent=0 if body is None else body.size)
        case ConnectorRead(arguments=text) | ConnectorAction(arguments=text):
            return Usage(actions=1, bytes_sent=len(text.encode()))
        case _:
            return Usage(actions=1)


def tells_what_it_sent(action: Action) -> bool:
    """Whether an action may send something of which nothing is reserved: a request without a body, a command."""
    match action:
        case ShellExec(network=hosts) | CodeRun(network=hosts):
            return bool(hosts)
        case NetworkRequest(body=body):
            return body is None or not body.size
        case _:
            return False


def settlement(reserved: Usage, result: Result | None, *, succeeded: bool) -> Usage:
    """Return what an action that ended took: what was reserved where it succeeded, and what it sent in any case."""
    return settled(reserved, bytes_sent(result), succeeded=succeeded)


def settled(reserved: Usage, sent: int, *, succeeded: bool) -> Usage:
    """Return what an action took that sent so many bytes, as `settlement`."""
    if not succeeded:
        return Usage(actions=1, bytes_sent=sent)
    return msgspec.structs.replace(reserved, bytes_sent=max(reserved.bytes_sent, sent))


def bytes_sent(result: Result | None) -> int:
    """Return how many bytes left the machine, as an action's result tells; what it tells nothing of is none."""
    if result is None:
        return 0
    if result.command is not None:
        return result.command.bytes_sent
    return 0 if result.response is None else result.response.bytes_sent
