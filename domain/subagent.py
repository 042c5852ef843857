"""Subagent: a helper spawned by an action of a task, with narrower rights; it has a task of its own, and it ends.

Which steps it has, what it did and how that ended is in its task. Here is what it may do, and whose it is.
"""

from typing import ClassVar, Final, TypeAlias, assert_never

import msgspec

from .budget import NO_BUDGET, Budget, narrowest
from .errors import DomainError
from .event import Event
from .scope import Scope, attenuate

DEPTH_MAX: Final = 8
"""How many subagents may stand above one another."""

# Events


class SubagentSpawned(Event, frozen=True, kw_only=True):
    """A subagent exists; `scope` and `budget` are what its parent has and it wished for, never more.

    `task_id` is its own task, `parent_task_id` the one whose action `action_id` started it, `depth` counts from 1.
    """

    TOPIC: ClassVar[str] = "subagent.spawned.v1"
    subagent_id: str
    session_id: str
    task_id: str
    parent_task_id: str
    action_id: str
    title: str
    scope: Scope
    budget: Budget = NO_BUDGET
    depth: int


class SubagentReported(Event, frozen=True, kw_only=True):
    """The subagent's task ended by itself; `report` says how, in a sentence."""

    TOPIC: ClassVar[str] = "subagent.reported.v1"
    subagent_id: str
    report: str


class SubagentStopped(Event, frozen=True, kw_only=True):
    """The subagent was stopped before its task had ended."""

    TOPIC: ClassVar[str] = "subagent.stopped.v1"
    subagent_id: str
    reason: str


SubagentEvent: TypeAlias = SubagentSpawned | SubagentReported | SubagentStopped

# Commands


class SpawnSubagent(msgspec.Struct, frozen=True, kw_only=True):
    """Start a subagent beneath a parent whose rights, budget and depth are given as facts."""

    subagent_id: str
    session_id: str
    task_id: str
    parent_task_id: str
    action_id: str
    title: str
    parent_scope: Scope
    wished_scope: Scope
    parent_budget: Budget
    wished_budget: Budget
    parent_depth: int


class Report(msgspec.Struct, frozen=True):
    """Note that it finished, with a report."""

    report: str


class Stop(msgspec.Struct, frozen=True):
    """End it."""

    reason: str


SubagentCommand: TypeAlias = SpawnSubagent | Report | Stop

# States


class NoSubagent(msgspec.Struct, frozen=True):
    """Before the first event."""


class Working(msgspec.Struct, frozen=True):
    """At work within its scope."""

    spawned: SubagentSpawned


class Ended(msgspec.Struct, frozen=True):
    """Reported or stopped. What it was given stays known: its task may still be looked at."""

    spawned: SubagentSpawned
    report: str = ""


SubagentState: TypeAlias = NoSubagent | Working | Ended
INITIAL: SubagentState = NoSubagent()


def decide(command: SubagentCommand, state: SubagentState) -> tuple[SubagentEvent, ...]:
    """Return the events of a command; raises `DomainError` (conflict, limit, not_found)."""
    match command:
        case SpawnSubagent():
            return (_spawn(command, state),)
        case Report(report=report):
            if isinstance(state, Ended):
                return ()
            return (SubagentReported(subagent_id=spawned(state).subagent_id, report=report),)
        case Stop(reason=reason):
            if isinstance(state, Ended):
                return ()
            return (SubagentStopped(subagent_id=spawned(state).subagent_id, reason=reason),)
        case _:
            assert_never(command)


def _spawn(command: SpawnSubagent, state: SubagentState) -> SubagentSpawned:
    if not isinstance(state, NoSubagent):
        raise DomainError("conflict", f"subagent `{command.subagent_id}` was spawned already")
    if command.parent_depth + 1 > DEPTH_MAX:
        raise DomainError("limit", f"subagents may be nested at most {DEPTH_MAX} deep")
    return SubagentSpawned(
        subagent_id=command.subagent_id,
        session_id=command.session_id,
        task_id=command.task_id,
        parent_task_id=command.parent_task_id,
        action_id=command.action_id,
        title=command.title,
        scope=attenuate(command.parent_scope, command.wished_scope).alone,
        budget=narrowest(command.parent_budget, command.wished_budget),
        depth=command.parent_depth + 1,
    )


def spawned(state: SubagentState) -> SubagentSpawned:
    """Return how the subagent began, at work or not. Raises `DomainError` not_found."""
    match state:
        case Working(spawned=event) | Ended(spawned=event):
            return event
        case NoSubagent():
            raise DomainError("not_found", "no such subagent")
        case _:
            assert_never(state)


def evolve(state: SubagentState, event: SubagentEvent) -> SubagentState:
    """Return the state after an event."""
    match event:
        case SubagentSpawned():
            return Working(event)
        case SubagentReported():
            return Ended(spawned(state), event.report)
        case SubagentStopped():
            return Ended(spawned(state))
        case _:
            assert_never(event)
