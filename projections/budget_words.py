"""Budgets and what was used of them, in words: amounts with their units, why nothing more starts, and what to do."""

from typing import Final, assert_never

from ..domain.budget import MEASURES, Budget, Measure, Usage
from .measure import count_words, milliseconds_words, size_words

ADD_OPTIONS: Final[dict[Measure, str]] = {
    "wall_ms": "--add-wall",
    "actions": "--add-actions",
    "bytes_written": "--add-bytes-written",
    "bytes_sent": "--add-bytes-sent",
    "files_deleted": "--add-files-deleted",
    "tokens": "--add-tokens",
    "cost_micros": "--add-cost",
}
"""The options of `cowork task budget` that give a task more room."""

_MILLION: Final = 1_000_000


def amount_words(measure: Measure, amount: int) -> str:
    """Return an amount with its unit: `2 h 30 min of work`, `12 actions`, `3.4 MB written`, `1.25 of money`."""
    match measure:
        case "wall_ms":
            return f"{milliseconds_words(amount)} of work"
        case "actions":
            return count_words(amount, "action")
        case "bytes_written":
            return f"{size_words(amount)} written"
        case "bytes_sent":
            return f"{size_words(amount)} sent"
        case "files_deleted":
            return f"{count_words(amount, 'file')} deleted"
        case "tokens":
            return count_words(amount, "token")
        case "cost_micros":
            return f"{_decimal(amount)} of money"
        case _:
            assert_never(measure)


def _decimal(micros: int) -> str:
    """Return millionths as a decimal number with at least two places, nothing lost."""
    whole, rest = divmod(micros, _MILLION)
    return f"{whole}.{f'{rest:06}'.rstrip('0'):0<2}"


def used_words(used: Usage, budget: Budget, measure: Measure) -> str:
    """Return how much was used of one measure, and of how much: `12 actions of 20`, or `12 actions` without a bound."""
    amount, bound = amount_words(measure, used.of(measure)), budget.of(measure)
    return amount if bound is None else f"{amount}, of {amount_words(measure, bound)} at most"


def budget_words(budget: Budget) -> list[str]:
    """Return each bound of a budget in words; nothing where nothing is bounded."""
    return [amount_words(measure, budget.of(measure) or 0) for measure in MEASURES if budget.of(measure) is not None]


def usage_words(usage: Usage) -> list[str]:
    """Return what was used, one text for each measure of which anything was."""
    return [amount_words(measure, usage.of(measure)) for measure in MEASURES if usage.of(measure)]


def exhausted_words(of_task: str, measure: Measure, bound: int, needed: int) -> str:
    """Return why nothing more starts."""
    allowed, wanted = amount_words(measure, bound), amount_words(measure, needed)
    return f"the budget of {of_task} allows {allowed}; going on takes {wanted} in all"


def top_up_command(of_task: str, measure: Measure, bound: int, needed: int) -> str:
    """Return the command that gives the task room for at least its next action."""
    missing = max(needed - bound, 1)
    match measure:
        case "wall_ms":
            # A moment more is no room: there is a minute at least.
            amount = f"{max(-(-missing // 1000), 60)}s"
        case "cost_micros":
            amount = _decimal(missing)
        case _:
            amount = str(missing)
    return f"cowork task budget {of_task} {ADD_OPTIONS[measure]} {amount}"
