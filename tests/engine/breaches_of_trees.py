"""Ways of breaking invariants 5, 9 and 14: rights that widen on their way down, and ends that do not fit together."""

from datetime import timedelta
from typing import Any

import msgspec

from cowork.domain.action import Location
from cowork.domain.budget import Budget
from cowork.domain.effect import Effect
from cowork.domain.grant import FolderGranted, GrantNarrowed
from cowork.domain.scope import FolderIdentity, FolderScope, Scope
from cowork.domain.subagent import SubagentReported, SubagentSpawned, SubagentStopped
from cowork.domain.task import (
    ActionAllowed,
    ActionFailed,
    ActionProposed,
    ActionStarted,
    ActionSucceeded,
    TaskCancelled,
    TaskCompleted,
    TaskQueued,
    TaskResumed,
)
from tests.engine.planted import History, added, changed, moved, place, without
from tests.engine.planted_trees import Breach, planted_in_tree

HOUR = timedelta(hours=1)


def spawned(h: History, title: str) -> int:
    """Return where the subagent of that title begins."""
    return place(h, SubagentSpawned, lambda event: event.title == title)


def task_of(h: History, title: str) -> str:
    """Return the id of that subagent's task."""
    event: Any = h[spawned(h, title)].event
    return str(event.task_id)


def parent_of(h: History, title: str) -> str:
    """Return the id of the task that started that subagent."""
    event: Any = h[spawned(h, title)].event
    return str(event.parent_task_id)


def of_task(h: History, kind: Any, task_id: str, nth: int = 0) -> int:
    """Return the index of a task's nth event of a class."""
    return place(h, kind, lambda event: event.task_id == task_id, nth)


def outcome_of(h: History, title: str) -> int:
    """Return where the action that started a subagent succeeds."""
    event: Any = h[spawned(h, title)].event
    return place(h, ActionSucceeded, lambda one: one.action_id == event.action_id)


def _given(h: History, title: str, **fields: Any) -> Breach:
    index = spawned(h, title)
    return changed(h, index, **fields), index


def _first_folder(h: History, title: str, **fields: Any) -> Scope:
    scope: Scope = h[spawned(h, title)].event.scope  # type: ignore[attr-defined]
    folder = msgspec.structs.replace(scope.folders[0], **fields)
    return msgspec.structs.replace(scope, folders=(folder, *scope.folders[1:]))


# 5: rights


@planted_in_tree(5)
def a_subagent_with_a_folder_of_its_own(h: History) -> Breach:
    own = FolderScope(grant_id="grant-x", name="x", root_path="/", verbs=("read",), identity=FolderIdentity(1, 2))
    return _given(h, "outer", scope=Scope((own,)))


@planted_in_tree(5)
def a_subagent_with_a_wider_root(h: History) -> Breach:
    return _given(h, "outer", scope=_first_folder(h, "outer", root_path="/"))


@planted_in_tree(5)
def a_subagent_of_a_subagent_with_more_rights(h: History) -> Breach:
    return _given(h, "inner", scope=_first_folder(h, "inner", output_roots=("in",)))


@planted_in_tree(5)
def a_subagent_with_a_wider_part(h: History) -> Breach:
    index = spawned(h, "outer")
    narrow = changed(h, index, scope=_first_folder(h, "outer", within=("a.txt", "b.txt")))
    # Its own decisions were made under all that it really had.
    for decided in range(index, spawned(h, "inner")):
        event = narrow[decided].event
        if isinstance(event, ActionAllowed) and event.task_id == task_of(h, "outer"):
            return narrow, decided
    raise AssertionError("nothing was decided")


@planted_in_tree(5)
def a_subagent_with_more_to_use_up(h: History) -> Breach:
    return _given(h, "outer", budget=Budget(bytes_written=1000))


@planted_in_tree(5)
def a_subagent_that_says_it_is_less_deep(h: History) -> Breach:
    return _given(h, "inner", depth=1)


@planted_in_tree(5)
def a_subagent_of_an_action_that_was_not_started(h: History) -> Breach:
    index = spawned(h, "second")
    event: Any = h[index].event
    start = place(h, ActionStarted, lambda one: one.action_id == event.action_id)
    return without(h, start), index - 1


@planted_in_tree(5)
def a_subagent_of_an_action_that_starts_none(h: History) -> Breach:
    reading: Any = h[of_task(h, ActionProposed, task_of(h, "second"))].event
    return _given(h, "second", action_id=reading.action_id)


@planted_in_tree(5)
def a_subagent_under_another_name(h: History) -> Breach:
    return _given(h, "second", subagent_id="subagent-x")


@planted_in_tree(5)
def a_subagents_task_without_a_subagent(h: History) -> Breach:
    index = spawned(h, "second")
    return without(h, index), index


@planted_in_tree(5)
def decided_with_its_parents_rights(h: History) -> Breach:
    index = of_task(h, ActionAllowed, task_of(h, "inner"))
    parents: Any = h[of_task(h, ActionAllowed, parent_of(h, "inner"))].event
    return changed(h, index, scope_digest=parents.scope_digest), index


@planted_in_tree(5)
def given_less_than_it_was_decided_with(h: History) -> Breach:
    less = changed(h, spawned(h, "inner"), scope=_first_folder(h, "inner", verbs=("create",)))
    return less, of_task(h, ActionAllowed, task_of(h, "inner"))


@planted_in_tree(5)
def over_for_the_subagent_alone(h: History) -> Breach:
    index = spawned(h, "inner")
    scope: Scope = h[index].event.scope  # type: ignore[attr-defined]
    over = changed(h, index, scope=msgspec.structs.replace(scope, until=h[index].origin.at - HOUR))
    return over, of_task(h, ActionAllowed, task_of(h, "inner"))


@planted_in_tree(5)
def narrowed_above_and_gone_on_below(h: History) -> Breach:
    grant = h[place(h, FolderGranted)].stream
    start = of_task(h, ActionStarted, task_of(h, "inner"), nth=1)
    # Between its decision, which the same commit brought, and its start.
    return added(h, start - 2, grant, GrantNarrowed(grant_id=grant, verbs=("read",))), start + 1


@planted_in_tree(5)
def decided_as_if_it_were_the_sessions_own(h: History) -> Breach:
    index = of_task(h, ActionAllowed, task_of(h, "inner"))
    facts = msgspec.structs.replace(h[index].event.facts, depth=0)  # type: ignore[attr-defined]
    return changed(h, index, facts=facts), index


@planted_in_tree(5)
def asked_for_by_another(h: History) -> Breach:
    index = of_task(h, ActionProposed, task_of(h, "inner"))
    return changed(h, index, proposed_by="agent:plan"), index


# 9: strangers


@planted_in_tree(9)
def a_subagent_of_no_task(h: History) -> Breach:
    return _given(h, "outer", parent_task_id="task-x")


@planted_in_tree(9)
def a_subagent_in_another_session(h: History) -> Breach:
    return _given(h, "outer", session_id="session-x")


# 14: beginnings and ends


@planted_in_tree(14)
def a_subagent_without_a_task(h: History) -> Breach:
    return without(h, of_task(h, TaskQueued, task_of(h, "second"))), spawned(h, "second")


@planted_in_tree(14)
def a_task_that_names_another_parent(h: History) -> Breach:
    index = of_task(h, TaskQueued, task_of(h, "inner"))
    return changed(h, index, parent_task_id=parent_of(h, "outer")), index


@planted_in_tree(14)
def a_second_subagent_of_the_same_action(h: History) -> Breach:
    index = spawned(h, "second")
    again = h[index]
    after = of_task(h, TaskCompleted, task_of(h, "second"))
    return [*h[: after + 1], again, *h[after + 1 :]], after + 1


@planted_in_tree(14)
def a_parent_that_says_otherwise(h: History) -> Breach:
    index = outcome_of(h, "outer")
    said: Any = h[index].event
    failed = ActionFailed(
        task_id=said.task_id,
        action_id=said.action_id,
        digest=said.digest,
        attempt=said.attempt,
        reason_code="subagent",
        reason="no",
    )
    return [*h[:index], msgspec.structs.replace(h[index], event=failed), *h[index + 1 :]], index


@planted_in_tree(14)
def settled_before_its_subagent_had_ended(h: History) -> Breach:
    end = of_task(h, TaskCompleted, task_of(h, "inner"))
    return moved(h, outcome_of(h, "inner"), end), end


@planted_in_tree(14)
def with_effects_that_are_its_subagents(h: History) -> Breach:
    index = outcome_of(h, "outer")
    grant = h[place(h, FolderGranted)].stream
    return changed(h, index, effects=(Effect(change="update", at=Location(grant, "a.txt")),)), index


@planted_in_tree(14)
def a_subagent_that_outlives_its_task(h: History) -> Breach:
    ended = of_task(h, TaskCancelled, parent_of(h, "cancelled"))
    return without(h, of_task(h, TaskCancelled, task_of(h, "cancelled"))), ended


@planted_in_tree(14)
def started_after_what_is_above_it_had_ended(h: History) -> Breach:
    child, root = task_of(h, "spender"), parent_of(h, "spender")
    start = of_task(h, ActionStarted, child)
    ended = added(h, of_task(h, TaskQueued, child), root, TaskCancelled(task_id=root, reason="enough"))
    return ended, start + 1


@planted_in_tree(14)
def spawned_by_a_task_that_had_ended(h: History) -> Breach:
    index, root = spawned(h, "spender"), parent_of(h, "spender")
    return added(h, index - 1, root, TaskCancelled(task_id=root, reason="enough")), index + 1


@planted_in_tree(14)
def stopped_though_it_had_ended_by_itself(h: History) -> Breach:
    index = place(h, SubagentReported)
    name = h[index].stream
    stopped = SubagentStopped(subagent_id=name, reason="no")
    return [*h[:index], msgspec.structs.replace(h[index], event=stopped), *h[index + 1 :]], index


@planted_in_tree(14)
def a_report_of_nobody(h: History) -> Breach:
    index = of_task(h, TaskResumed, parent_of(h, "outer"))
    return added(h, index, "subagent-x", SubagentReported(subagent_id="subagent-x", report="done")), index + 1
