"""Ownership: which process carries a task (with all its subagents) on.

The stream's version is the fencing token: whoever carries the task on guards each of its commits with the version at
which it claimed the task. Once another process has claimed it, what a stale owner would record does not count.
Source of the idea: Burrows, *The Chubby lock service* (OSDI 2006), sequencers.
"""

from typing import ClassVar, TypeAlias, assert_never

import msgspec

from .event import Event


def stream_of_owner(root_task_id: str) -> str:
    """Return the stream in which the owners of a task are recorded, given the task that a person started."""
    return f"ownership-{root_task_id}"


class TaskClaimed(Event, frozen=True, kw_only=True):
    """From here on `owner` carries the task on, and nobody who claimed it earlier. `engine` is the engine's version."""

    TOPIC: ClassVar[str] = "ownership.claimed.v1"
    task_id: str
    owner: str
    engine: str


OwnershipEvent: TypeAlias = TaskClaimed


class ClaimTask(msgspec.Struct, frozen=True, gc=False):
    """Carry a task on from here on, whoever did so before."""

    task_id: str
    owner: str
    engine: str


OwnershipCommand: TypeAlias = ClaimTask


class NoOwner(msgspec.Struct, frozen=True, gc=False):
    """Before the first event."""


class Owned(msgspec.Struct, frozen=True, gc=False):
    """A task that somebody carries on, or did last."""

    task_id: str
    owner: str
    engine: str


OwnershipState: TypeAlias = NoOwner | Owned
INITIAL: OwnershipState = NoOwner()


def decide(command: OwnershipCommand, state: OwnershipState) -> tuple[OwnershipEvent, ...]:
    """Return the events of a command: whoever has the lock on the task may claim it."""
    del state
    match command:
        case ClaimTask(task_id=task_id, owner=owner, engine=engine):
            return (TaskClaimed(task_id=task_id, owner=owner, engine=engine),)
        case _:
            assert_never(command)


def evolve(state: OwnershipState, event: OwnershipEvent) -> OwnershipState:
    """Return the state after an event."""
    del state
    return Owned(event.task_id, event.owner, event.engine)
