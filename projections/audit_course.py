"""The audit log's lines about a task's course: messages, other plans, budgets, usage, progress and claims."""

from typing import TypeAlias, assert_never

from ..domain.budget import Usage
from ..domain.event import Recorded
from ..domain.task import (
    PathsClaimed,
    TaskBudgetExhausted,
    TaskBudgetRaised,
    TaskMessaged,
    TaskProgressed,
    TaskSteered,
    UsageReported,
)
from .audit_row import life_row
from .budget_words import exhausted_words, usage_words
from .fold import OnEvent, when
from .measure import count_words, milliseconds_words
from .row import Changes
from .steering_words import raised_words, steered_words

CourseEvent: TypeAlias = (
    TaskMessaged | TaskSteered | TaskProgressed | UsageReported | TaskBudgetExhausted | TaskBudgetRaised | PathsClaimed
)


def _messaged(recorded: Recorded[TaskMessaged]) -> Changes:
    event = recorded.event
    return (life_row(recorded, "task.messaged", target=event.strategy, reason=f"{event.said_by}: {event.text}"),)


def _steered(recorded: Recorded[TaskSteered]) -> Changes:
    event = recorded.event
    return (life_row(recorded, "task.steered", target=event.plan.title, reason=steered_words(event)),)


def _progressed(recorded: Recorded[TaskProgressed]) -> Changes:
    event = recorded.event
    settled = f"{event.settled} of {count_words(event.actions, 'action')} ended"
    return (
        life_row(recorded, "task.progressed", reason=f"{settled}, {milliseconds_words(event.running_ms)} more at work"),
    )


def _usage_reported(recorded: Recorded[UsageReported]) -> Changes:
    event = recorded.event
    used = ", ".join(usage_words(Usage(tokens=event.tokens, cost_micros=event.cost_micros)))
    return (life_row(recorded, "task.usage_reported", reason=f"{used}, says {event.reported_by}"),)


def _exhausted(recorded: Recorded[TaskBudgetExhausted]) -> Changes:
    event = recorded.event
    why = exhausted_words(event.of_task, event.measure, event.bound, event.needed)
    return (life_row(recorded, "task.budget_exhausted", target=event.of_task, reason=why, outcome="waiting"),)


def _raised(recorded: Recorded[TaskBudgetRaised]) -> Changes:
    return (life_row(recorded, "task.budget_raised", reason=raised_words(recorded.event)),)


def _claimed(recorded: Recorded[PathsClaimed]) -> Changes:
    event = recorded.event
    places = ", ".join(f"{place.grant_id}:{place.path}" for place in event.places)
    return (life_row(recorded, "task.paths_claimed", target=places, reason=f"for {event.action_id}"),)


def choose_course(event: type[CourseEvent]) -> OnEvent:
    """Return what to do about an event of a task's course."""
    if issubclass(event, TaskMessaged):
        return when(event, _messaged)
    if issubclass(event, TaskSteered):
        return when(event, _steered)
    if issubclass(event, TaskProgressed):
        return when(event, _progressed)
    if issubclass(event, UsageReported):
        return when(event, _usage_reported)
    if issubclass(event, TaskBudgetExhausted):
        return when(event, _exhausted)
    if issubclass(event, TaskBudgetRaised):
        return when(event, _raised)
    if issubclass(event, PathsClaimed):
        return when(event, _claimed)
    assert_never(event)
