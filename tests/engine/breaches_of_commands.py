"""Ways of breaking invariant 10: changes that nobody announced, counts that do not fit, connections of nobody's."""

from datetime import timedelta
from typing import Any

import msgspec

from cowork.domain.action import FileRead, Location, digest_of, hosts_of
from cowork.domain.budget import Budget
from cowork.domain.task import (
    ActionProposed,
    ActionStarted,
    ActionSucceeded,
    ChangesStaged,
    ConnectionDecided,
    TaskQueued,
)
from tests.engine.planted import History, added, again, at_time, changed, moved, of, place, planted, without


def _staged(h: History, nth: int = 0) -> int:
    return place(h, ActionProposed, lambda event: bool(event.staged_by), nth)


def _commands_start(h: History) -> int:
    return place(h, ActionStarted, of(h[place(h, ChangesStaged)].event.action_id))  # type: ignore[attr-defined]


@planted(10)
def a_change_that_no_command_announced(h: History) -> History:
    return without(h, place(h, ChangesStaged))


@planted(10)
def a_change_of_a_command_that_never_was(h: History) -> History:
    return changed(h, _staged(h), staged_by="task-0.7")


@planted(10)
def a_change_that_is_nobodys_in_the_middle_of_others(h: History) -> History:
    return changed(h, _staged(h), staged_by="")


@planted(10)
def a_change_in_a_later_commit(h: History) -> History:
    index = _staged(h)
    origin = msgspec.structs.replace(h[index].origin, command_id="command-another")
    return [*h[:index], msgspec.structs.replace(h[index], origin=origin), *h[index + 1 :]]


@planted(10)
def more_changes_announced_than_proposed(h: History) -> History:
    index = place(h, ChangesStaged)
    event: Any = h[index].event
    return changed(h, index, actions=event.actions + 1, step_actions=event.step_actions + 1)


@planted(10)
def fewer_changes_announced_than_proposed(h: History) -> History:
    index = place(h, ChangesStaged)
    event: Any = h[index].event
    return changed(h, index, actions=event.actions - 1, step_actions=event.step_actions - 1)


@planted(10)
def a_step_that_counts_otherwise(h: History) -> History:
    return changed(h, place(h, ChangesStaged), step_actions=9)


@planted(10)
def changes_announced_twice(h: History) -> History:
    return again(h, place(h, ChangesStaged))


@planted(10)
def changes_announced_before_the_command_started(h: History) -> History:
    return moved(h, place(h, ChangesStaged), _commands_start(h))


@planted(10)
def changes_of_a_command_that_did_not_succeed(h: History) -> History:
    staged: Any = h[place(h, ChangesStaged)].event
    return without(h, place(h, ActionSucceeded, of(staged.action_id)))


@planted(10)
def changes_of_a_command_that_may_not_make_any(h: History) -> History:
    staged: Any = h[place(h, ChangesStaged)].event
    index = place(h, ActionProposed, of(staged.action_id))
    event: Any = h[index].event
    only_reads = msgspec.structs.replace(event.action, writes="none")
    return changed(h, index, action=only_reads, digest=digest_of(only_reads))


@planted(10)
def a_staged_action_that_changes_nothing(h: History) -> History:
    index = _staged(h)
    event: Any = h[index].event
    look = FileRead(at=Location(event.action.at.grant_id, "a.txt"))
    return changed(h, index, action=look, digest=digest_of(look))


@planted(10)
def a_change_in_another_step(h: History) -> History:
    return changed(h, _staged(h), step_id="s9")


@planted(10)
def a_change_in_another_agents_name(h: History) -> History:
    return changed(h, _staged(h, 1), proposed_by="agent:somebody")


@planted(10)
def one_change_alone_of_those_that_go_together(h: History) -> History:
    return changed(h, _staged(h, 1), together=True)


@planted(10)
def a_connection_before_its_command_started(h: History) -> History:
    return moved(h, place(h, ConnectionDecided), _commands_start(h))


@planted(10)
def a_connection_after_its_command_ended(h: History) -> History:
    connection: Any = h[place(h, ConnectionDecided)].event
    return added(h, len(h) - 1, connection.task_id, connection)


@planted(10)
def a_connection_of_an_action_that_is_none(h: History) -> History:
    return changed(h, place(h, ConnectionDecided), action_id="task-0.1")


@planted(10)
def a_connection_to_a_host_that_was_not_asked_for(h: History) -> History:
    return changed(h, place(h, ConnectionDecided), host="evil.example")


@planted(10)
def a_connection_to_a_port_that_was_not_asked_for(h: History) -> History:
    return changed(h, place(h, ConnectionDecided), port=22)


@planted(10)
def a_connection_to_an_address_that_is_not_said(h: History) -> History:
    return changed(h, place(h, ConnectionDecided), address="")


@planted(10)
def a_refused_connection_that_was_made(h: History) -> History:
    return changed(h, place(h, ConnectionDecided, nth=1), address="192.0.2.7")


@planted(11)
def a_command_with_hosts_of_a_task_that_may_send_nothing(h: History) -> History:
    proposed: Any = h[place(h, ActionProposed, lambda event: bool(hosts_of(event.action)))].event
    queued = place(h, TaskQueued, lambda event: event.task_id == proposed.task_id)
    return at_time(changed(h, queued, budget=Budget(bytes_sent=0)), queued, -timedelta(hours=1))
