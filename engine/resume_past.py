"""What the log says of a task with all its subagents, up to its last event: the one side of the report on a resume."""

from collections.abc import Iterable, Iterator
from datetime import datetime

import msgspec

from ..domain.action import Action, FileAction, Location, locations_of
from ..domain.errors import DomainError
from ..domain.event import Event, Recorded
from ..domain.facts import Confinement, Facts
from ..domain.ownership import TaskClaimed, stream_of_owner
from ..domain.task import (
    ActionAllowed,
    ActionConfirmationRequired,
    ActionProposed,
    ActionStarted,
    ActionSucceeded,
    NoTask,
    Task,
)
from .command_handler import TASK, CommandHandler
from .ports import EventStore
from .resume_changes import note_effects, note_state
from .resume_report import LastRun


class Past(msgspec.Struct, frozen=True, kw_only=True):
    """A task's past. `tasks` are its own and those of its subagents, each after its parent, ended ones included.

    `position` and `at` are those of the last event of any of them. `known` maps places to the digest of what was last
    seen or made there (empty: nothing), `started` actions to when they last began; `confinement` held the last command.
    """

    tasks: tuple[Task, ...]
    position: int
    at: datetime
    known: dict[Location, str]
    started: dict[str, datetime]
    confinement: Confinement | None
    last_run: LastRun | None

    @property
    def root(self) -> Task:
        """The task that a person started."""
        return self.tasks[0]


def past_of(handler: CommandHandler, store: EventStore, root_task_id: str) -> Past:
    """Read a task's past. Raises `DomainError` not_found."""
    tasks = tuple(_tree(handler, root_task_id))
    events = sorted((one for task in tasks for one in store.read_stream(task.task_id)), key=lambda one: one.position)
    reading = _Reading()
    for recorded in events:
        reading.take(recorded)
    return Past(
        tasks=tasks,
        position=events[-1].position,
        at=events[-1].origin.at,
        known=reading.known,
        started=reading.started,
        confinement=reading.confinement,
        last_run=_last_run(store.read_stream(stream_of_owner(root_task_id))),
    )


def _tree(handler: CommandHandler, task_id: str) -> Iterator[Task]:
    state = handler.load(task_id, TASK).state
    if isinstance(state, NoTask):
        raise DomainError("not_found", f"there is no task `{task_id}`", "see `cowork task list`")
    yield state
    for child in state.children:
        # An action that starts a subagent is on record before the subagent's task is.
        if not isinstance(handler.known(child, TASK).state, NoTask):
            yield from _tree(handler, child)


def _last_run(claims: Iterable[Recorded[Event]]) -> LastRun | None:
    last: LastRun | None = None
    for claim in claims:
        if isinstance(claim.event, TaskClaimed):
            last = LastRun(at=claim.origin.at, position=claim.position, engine=claim.event.engine)
    return last


class _Reading:
    """Goes through a task's events, in order, and keeps what a look at the world is held against."""

    def __init__(self) -> None:
        self.known: dict[Location, str] = {}
        self.started: dict[str, datetime] = {}
        self.confinement: Confinement | None = None
        self._actions: dict[str, Action] = {}

    def take(self, recorded: Recorded[Event]) -> None:
        match recorded.event:
            case ActionProposed(action_id=name, action=action):
                self._actions[name] = action
            case ActionAllowed(action_id=name, facts=facts) | ActionConfirmationRequired(action_id=name, facts=facts):
                self._note(name, facts)
            case ActionStarted(action_id=name, facts=facts):
                self.started[name] = recorded.origin.at
                if facts is not None:
                    self._note(name, facts)
            case ActionSucceeded(effects=effects):
                note_effects(self.known, effects)
            case _:
                pass

    def _note(self, name: str, facts: Facts) -> None:
        action = self._actions[name]
        self.confinement = facts.confinement or self.confinement
        if isinstance(action, FileAction):
            for place, state in zip(locations_of(action), (facts.target, facts.destination), strict=False):
                note_state(self.known, place, state)
