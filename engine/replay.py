"""State at any position, step by step: the recorded events are folded again. Nothing is ever run again."""

from collections.abc import Iterator

import msgspec

from ..domain import task as task_aggregate
from ..domain.action import SubagentSpawn
from ..domain.errors import DomainError
from ..domain.event import Event, Recorded
from ..domain.ids import child_task_id, subagent_id
from ..domain.ownership import stream_of_owner
from ..domain.policy_record import stream_of_document
from ..domain.session import GrantAdded, PolicyAdopted
from ..domain.task import NoTask, Task, TaskQueued, TaskState
from .ports import EventStore


class Frame(msgspec.Struct, frozen=True):
    """One recorded event, and the task as it was just after it (None before it was queued)."""

    recorded: Recorded[Event]
    task: Task | None


def replay(store: EventStore, task_id: str, *, until: int | None = None) -> Iterator[Frame]:
    """Yield a task's history in the order of the log, up to and including position `until`.

    It has the task's own events and those of its session, its policy documents, grants and questions, of who carried it
    on, and of its subagents: what these did is in the histories of their own tasks. Raises `DomainError` not_found.
    """
    own = store.read_stream(task_id)
    if not own or not isinstance(own[0].event, TaskQueued):
        raise DomainError("not_found", f"there is no task `{task_id}`", "see `cowork task list`")
    session = store.read_stream(own[0].event.session_id)
    streams = {one.event.grant_id for one in session if isinstance(one.event, GrantAdded)}
    streams |= _questions_of(own) | _documents_of(session) | _subagents_of(own) | {stream_of_owner(task_id)}
    history = [*own, *session, *(one for stream in streams for one in store.read_stream(stream))]
    state: TaskState = task_aggregate.INITIAL
    for recorded in sorted(history, key=lambda one: one.position):
        if until is not None and recorded.position > until:
            return
        if recorded.stream == task_id:
            state = task_aggregate.evolve(state, recorded.event)  # type: ignore[arg-type]
        yield Frame(recorded, None if isinstance(state, NoTask) else state)


def _documents_of(session: list[Recorded[Event]]) -> set[str]:
    adopted = (one.event for one in session if isinstance(one.event, PolicyAdopted))
    return {stream_of_document(layer.digest) for event in adopted for layer in event.layers}


def _questions_of(events: list[Recorded[Event]]) -> set[str]:
    asked = (one.event for one in events if isinstance(one.event, task_aggregate.ActionConfirmationRequired))
    return {event.confirmation_id for event in asked if event.confirmation_id}


def _subagents_of(events: list[Recorded[Event]]) -> set[str]:
    """Return the subagents that the task started, and the one that it is of."""
    begun = (one.event for one in events if isinstance(one.event, task_aggregate.ActionProposed))
    started = {subagent_id(child_task_id(one.action_id)) for one in begun if isinstance(one.action, SubagentSpawn)}
    own = {one.event.subagent_id for one in events if isinstance(one.event, TaskQueued) and one.event.subagent_id}
    return started | own
