"""How an action stands or ended, in one word, for every screen."""

from typing import Final, Literal, TypeAlias, get_args

from ..domain.reason import ReasonCode
from ..domain.task import FAILURE_CODES

Outcome: TypeAlias = Literal[
    "waiting",  # proposed, not started: for its turn or for a person
    "started",  # no outcome yet
    "succeeded",
    "failed",  # tried, nothing was changed; or the world is not as the plan expected
    "unknown",  # a crash left it open whether it happened
    "denied",  # by policy
    "rejected",  # by a person
    "expired",  # nobody answered in time
    "skipped",  # the plan says to go on instead of asking
    "withdrawn",  # the question was taken back, or a subagent was stopped
]
OUTCOMES: Final[tuple[Outcome, ...]] = get_args(Outcome)


def outcome_of_refusal(code: ReasonCode) -> Outcome:
    """Return how an action ended that was declined for this reason; what is no person's answer is a denial.

    One of which nobody knows whether it happened stays `unknown`, whatever a person said to trying it again.
    """
    match code:
        case "rejected" | "expired" | "skipped" | "withdrawn" | "unknown":
            return code
        case _:
            return "denied"


def outcome_of_failure(code: ReasonCode) -> Outcome:
    """Return how an action ended that did not succeed; of a subagent, as its task did: blocked is no failure."""
    match code:
        case "blocked":
            return "denied"
        case "withdrawn":
            return "withdrawn"
        case _:
            return "failed"


def outcome_of_step_left_out(code: ReasonCode | None) -> Outcome:
    """Return how a step ended that was not begun: with a code its request could not be met, as the task counts it."""
    if code is None:
        return "skipped"
    return "failed" if code in FAILURE_CODES else "denied"
