"""The facts of a log that every run of one plan has: by task and step, and not by position."""

import re
from collections import defaultdict
from collections.abc import Sequence
from typing import Final

import msgspec

from cowork.domain.confirmation import ConfirmationRequested
from cowork.domain.event import Event, Recorded
from cowork.domain.subagent import SubagentReported, SubagentSpawned, SubagentStopped
from cowork.domain.task import (
    ActionDeclined,
    ActionDenied,
    ActionEvent,
    ActionFailed,
    ActionProposed,
    ActionSucceeded,
    TaskEnded,
    TaskQueued,
)

_ID: Final = re.compile(r"\b(session|grant|task|confirmation|command)-[0-9a-hjkmnp-tv-z]{16}\b")
_PORT: Final = re.compile(r"127\.0\.0\.1:\d+")
_ENDS: Final = ActionSucceeded | ActionFailed | ActionDenied | ActionDeclined


class LogFacts(msgspec.Struct, frozen=True):
    """What was done and how it ended: by the titles of tasks and the ids of steps.

    `ends` has, for each step of each task, its actions with their ends and effects; `tasks` the end of each task, and
    what each subagent reported; `questions` the steps that a person was asked about (but for unknown outcomes).
    """

    ends: dict[str, list[tuple[str, ...]]]
    tasks: dict[str, str]
    questions: list[tuple[str, str]]


def facts_of(log: Sequence[Recorded[Event]]) -> LogFacts:
    """Return the facts, after checking that every action and every task ended exactly once."""
    titles = {r.event.task_id: r.event.title for r in log if isinstance(r.event, TaskQueued)}
    questions = sorted(
        (titles[event.task_id], event.step_id)
        for event in (r.event for r in log)
        if isinstance(event, ConfirmationRequested) and event.purpose != "unknown_outcome"
    )
    return LogFacts(_ends(log, titles), _tasks(log, titles), questions)


def _ends(log: Sequence[Recorded[Event]], titles: dict[str, str]) -> dict[str, list[tuple[str, ...]]]:
    """Return, for each step of each task, what its actions were and how each ended: once."""
    steps: dict[str, tuple[str, str]] = {}
    ended: dict[str, tuple[str, ...]] = {}
    for one in log:
        event = one.event
        if isinstance(event, ActionProposed):
            words = _PORT.sub("HOST", _ID.sub(r"\1", msgspec.json.encode(event.action).decode()))
            steps[event.action_id] = (f"{titles[event.task_id]}/{event.step_id}", words)
        if isinstance(event, ActionEvent) and isinstance(event, _ENDS):
            assert event.action_id not in ended, f"{event.action_id} ended twice"
            effects = event.effects if isinstance(event, ActionSucceeded) else ()
            shown = [f"{one.change} {one.at.path} {one.before} {one.after}" for one in effects]
            ended[event.action_id] = (type(event).__name__, *shown)
    assert steps.keys() == ended.keys(), "an action has no end"
    found: dict[str, list[tuple[str, ...]]] = defaultdict(list)
    for action_id, (step, words) in steps.items():
        found[step].append((words, *ended[action_id]))
    return {step: sorted(ends) for step, ends in sorted(found.items())}


def _tasks(log: Sequence[Recorded[Event]], titles: dict[str, str]) -> dict[str, str]:
    """Return how each task ended, and what each subagent reported."""
    found: dict[str, str] = {}
    spawned: dict[str, str] = {}
    for one in log:
        match one.event:
            case TaskEnded(task_id=task_id) as event:
                assert titles[task_id] not in found, "a task ended twice"
                found[titles[task_id]] = type(event).__name__
            case SubagentSpawned(subagent_id=name, title=title):
                assert title not in spawned.values(), "a subagent was spawned twice"
                spawned[name] = title
            case SubagentReported(subagent_id=name, report=report):
                found[f"{spawned[name]} reported"] = report
            case SubagentStopped(subagent_id=name):
                raise AssertionError(f"{spawned[name]} was stopped")
            case _:
                pass
    return found
