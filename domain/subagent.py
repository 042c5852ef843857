"""Subagent: a helper spawned with narrower rights than its parent's; it reports, or is stopped."""

from typing import ClassVar, TypeAlias, assert_never

import msgspec

from .errors import DomainError
from .event import Event
from .scope import Scope, attenuate

DEPTH_MAX = 8

# Events


class SubagentSpawned(Event, frozen=True, kw_only=True):
    """A subagent exists; `scope` is what its parent has and it wished for, never more."""

    TOPIC: ClassVar[str] = "subagent.spawned.v1"
    subagent_id: str
    parent_id: str
    task_id: str
    title: str
    scope: Scope
    depth: int


class SubagentReported(Event, frozen=True, kw_only=True):
    """The subagent finished and said what it did."""

    TOPIC: ClassVar[str] = "subagent.reported.v1"
    subagent_id: str
    report: str


class SubagentStopped(Event, frozen=True, kw_only=True):
    """The subagent ended without a report."""

    TOPIC: ClassVar[str] = "subagent.stopped.v1"
    subagent_id: str
    reason: str


SubagentEvent: TypeAlias = SubagentSpawned | SubagentReported | SubagentStopped

# Commands


class SpawnSubagent(msgspec.Struct, frozen=True, kw_only=True):
    """Start a subagent beneath a parent whose rights and depth are given as facts."""

    subagent_id: str
    parent_id: str
    task_id: str
    title: str
    parent_scope: Scope
    wished_scope: Scope
    parent_depth: int


class Report(msgspec.Struct, frozen=True):
    """Finish with a report."""

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

    subagent_id: str
    scope: Scope
    depth: int


class Ended(msgspec.Struct, frozen=True):
    """Reported or stopped."""

    subagent_id: str
    report: str = ""


SubagentState: TypeAlias = NoSubagent | Working | Ended
INITIAL: SubagentState = NoSubagent()


def decide(command: SubagentCommand, state: SubagentState) -> tuple[SubagentEvent, ...]:
    """Return the events of a command; raises `DomainError` (conflict, limit, not_found)."""
    match command:
        case SpawnSubagent():
            if not isinstance(state, NoSubagent):
                raise DomainError("conflict", f"subagent `{command.subagent_id}` was spawned already")
            if command.parent_depth + 1 > DEPTH_MAX:
                raise DomainError("limit", f"subagents may be nested at most {DEPTH_MAX} deep")
            return (
                SubagentSpawned(
                    subagent_id=command.subagent_id,
                    parent_id=command.parent_id,
                    task_id=command.task_id,
                    title=command.title,
                    scope=attenuate(command.parent_scope, command.wished_scope),
                    depth=command.parent_depth + 1,
                ),
            )
        case Report(report=report):
            return (SubagentReported(subagent_id=_working(state).subagent_id, report=report),)
        case Stop(reason=reason):
            if isinstance(state, Ended):
                return ()
            return (SubagentStopped(subagent_id=_working(state).subagent_id, reason=reason),)
        case _:
            assert_never(command)


def _working(state: SubagentState) -> Working:
    match state:
        case Working():
            return state
        case Ended(subagent_id=subagent_id):
            raise DomainError("conflict", f"subagent `{subagent_id}` has ended")
        case NoSubagent():
            raise DomainError("not_found", "no such subagent")
        case _:
            assert_never(state)


def evolve(state: SubagentState, event: SubagentEvent) -> SubagentState:
    """Return the state after an event."""
    match event:
        case SubagentSpawned():
            return Working(event.subagent_id, event.scope, event.depth)
        case SubagentReported():
            return Ended(_working(state).subagent_id, event.report)
        case SubagentStopped():
            return Ended(_working(state).subagent_id)
        case _:
            assert_never(event)
