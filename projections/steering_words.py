"""What a person changed of a task's course, in words: another plan, a message, more room."""

from collections.abc import Sequence

from ..domain.task import TaskBudgetRaised, TaskMessaged, TaskSteered
from .budget_words import budget_words, usage_words


def steered_words(event: TaskSteered) -> str:
    """Return which steps came, changed and went, by their ids as recorded; ids are the plan's author's."""
    parts = [
        f"{word} {', '.join(steps)}"
        for word, steps in (("added", event.added), ("changed", event.changed), ("dropped", event.dropped))
        if steps
    ]
    return f"{'; '.join(parts) or 'another order'}, by {event.said_by}"


def messaged_words(event: TaskMessaged) -> str:
    """Return who said what, and what becomes of it; the text as recorded."""
    when = "from here on" if event.strategy == "steer" else "for after the plan"
    return f"{event.said_by}, {when}: {event.text}"


def raised_words(event: TaskBudgetRaised) -> str:
    """Return how much room the task got, and what holds now."""
    return f"{_listed(usage_words(event.by))} more; now {_listed(budget_words(event.budget))}"


def _listed(words: Sequence[str]) -> str:
    return ", ".join(words) or "nothing"
