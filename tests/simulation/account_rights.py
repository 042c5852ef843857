"""Whether every action stayed within the words of those who gave leave: the person's grant, and each spawning step.

The words are read here once more: nothing of how the engine makes one scope of another is used.
"""

import json
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec

from cowork.domain.action import (
    Action,
    FileCreate,
    FileWrite,
    NetworkRequest,
    SubagentSpawn,
    hosts_of,
    kind_of,
)
from cowork.domain.action_invariant import required_verbs
from cowork.domain.event import Event, Recorded
from cowork.domain.facts import Facts
from cowork.domain.grant import FolderGranted, GrantNarrowed, GrantRevoked
from cowork.domain.path import is_beneath
from cowork.domain.plan import Batch, Listed, Plan
from cowork.domain.subagent import SubagentSpawned
from cowork.domain.task import (
    ActionAllowed,
    ActionConfirmationRequired,
    ActionProposed,
    ActionStarted,
    TaskPlanned,
    TaskSteered,
)


class Wish(msgspec.Struct, frozen=True):
    """What a step gave to the subagent that it started, in its own words, and when that began."""

    above: str
    words: dict[str, Any]
    begun_at: datetime


class RightsAccount:
    """Folds the log as it grows."""

    def __init__(self) -> None:
        self._folded = 0
        self._said: list[str] = []
        self._verbs: dict[str, tuple[str, ...]] = {}
        self._actions: dict[str, Action] = {}
        self._facts: dict[str, Facts] = {}
        self._plans: dict[str, Plan] = {}
        self._wishes: dict[str, Wish] = {}

    def run(self, log: Sequence[Recorded[Event]]) -> list[str]:
        """Return what went beyond anybody's words since the last time."""
        self._said = []
        for one in log[self._folded :]:
            self._fold(one)
        self._folded = len(log)
        return self._said

    def _fold(self, one: Recorded[Event]) -> None:
        match one.event:
            case FolderGranted(grant_id=grant_id, verbs=verbs) | GrantNarrowed(grant_id=grant_id, verbs=verbs):
                self._verbs[grant_id] = verbs
            case GrantRevoked(grant_id=grant_id):
                self._verbs[grant_id] = ()
            case TaskPlanned(task_id=task_id, plan=plan) | TaskSteered(task_id=task_id, plan=plan):
                self._plans[task_id] = plan
            case SubagentSpawned(task_id=task_id, parent_task_id=above, action_id=name):
                spawn = self._actions[name]
                words = json.loads(spawn.scope) if isinstance(spawn, SubagentSpawn) else {}
                self._wishes[task_id] = Wish(above, words, one.origin.at)
            case ActionProposed():
                self._propose(one.event)
            case ActionAllowed(action_id=name, facts=facts) | ActionConfirmationRequired(action_id=name, facts=facts):
                self._facts[name] = facts
            case ActionStarted(task_id=task_id, action_id=name, facts=again):
                facts = again or self._facts[name]
                self._said += [f"{name} {how}" for how in self._beyond(task_id, self._actions[name], facts)]
            case _:
                pass

    def _propose(self, event: ActionProposed) -> None:
        """What is asked for is what the plan says, as it is at that moment, or what a command of it changed."""
        self._actions[event.action_id] = event.action
        if event.staged_by:
            return
        step = next((one for one in self._plans[event.task_id].steps if one.step_id == event.step_id), None)
        if step is None:
            self._said.append(f"{event.action_id} is of a step that is not in the plan")
        elif not any(_is_asked_for(event.action, wish) for wish in _requests(step.request)):
            self._said.append(f"{event.action_id} is not what its step says")

    def _beyond(self, task_id: str, action: Action, facts: Facts) -> Iterator[str]:
        places = required_verbs(action, facts)
        for at, verb in places:
            if verb not in self._verbs.get(at.grant_id, ()):
                yield f"started, and nobody granted {verb} at `{at.path}`"
        while wish := self._wishes.get(task_id):
            words = wish.words
            for at, verb in places:
                given = (one for one in words.get("folders", ()) if is_beneath(at.path, one["path"]))
                if not any(verb in one["verbs"] for one in given):
                    yield f"started, and {task_id} was not given {verb} at `{at.path}`"
            if "kinds" in words and kind_of(action) not in words["kinds"]:
                yield f"started, and {task_id} was not given {kind_of(action)}"
            if "deadline_s" in words and facts.now > wish.begun_at + timedelta(seconds=words["deadline_s"]):
                yield f"started, and the time of {task_id} was over"
            for host in _hosts(action):
                if host not in words.get("hosts", ()):
                    yield f"started, and {task_id} was not given `{host}`"
            task_id = wish.above


def _requests(request: Any) -> Sequence[Any]:
    return request.actions if isinstance(request, Listed) else (request,)


def _is_asked_for(action: Action, wish: Any) -> bool:
    if isinstance(wish, Batch):
        return kind_of(action) == wish.of
    if isinstance(action, FileWrite | FileCreate) and isinstance(wish, FileWrite | FileCreate):
        return kind_of(action) == kind_of(wish) and action.content == wish.content
    return kind_of(action) == kind_of(wish)


def _hosts(action: Action) -> tuple[str, ...]:
    if isinstance(action, NetworkRequest):
        return (action.url.split("/")[2] + ":443",)
    return hosts_of(action)
