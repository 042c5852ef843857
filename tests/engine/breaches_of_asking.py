"""Ways of breaking invariants 4, 7, 8 and 9: answers, streams, what is left open, and strangers."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import msgspec

from cowork.domain.action import Location
from cowork.domain.confirmation import (
    ConfirmationApproved,
    ConfirmationExpired,
    ConfirmationRejected,
    ConfirmationRequested,
    ConfirmationWithdrawn,
    Item,
)
from cowork.domain.grant import FolderGranted
from cowork.domain.session import GrantAdded, SessionStarted
from cowork.domain.task import (
    ActionDeclined,
    ActionOutcomeUnknown,
    ActionProposed,
    ActionStarted,
    ActionSucceeded,
    TaskBlocked,
    TaskCancelled,
    TaskPaused,
    TaskQueued,
    TaskStarted,
)
from tests.engine.planted import History, action_on, added, again, at_time, changed, moved, of, place, planted, without

DAY = timedelta(days=1)

# 4: answers


@planted(4)
def two_answers(h: History) -> History:
    return again(h, place(h, ConfirmationApproved))


@planted(4)
def approved_after_it_was_rejected(h: History) -> History:
    index = place(h, ConfirmationRejected)
    said: Any = h[index].event
    yes = ConfirmationApproved(confirmation_id=said.confirmation_id, digest=said.digest, answered_by="person:ann")
    return added(h, index, said.confirmation_id, yes)


def _answered_otherwise(h: History, event: Callable[[str], Any]) -> History:
    index = place(h, ConfirmationApproved)
    other = event(h[index].stream)
    return [*h[:index], msgspec.structs.replace(h[index], event=other), *h[index + 1 :]]


@planted(4)
def started_after_a_rejection(h: History) -> History:
    digest: str = h[place(h, ConfirmationApproved)].event.digest  # type: ignore[attr-defined]
    return _answered_otherwise(
        h, lambda asked: ConfirmationRejected(confirmation_id=asked, digest=digest, answered_by="person:ann")
    )


@planted(4)
def started_after_it_was_withdrawn(h: History) -> History:
    return _answered_otherwise(h, lambda asked: ConfirmationWithdrawn(confirmation_id=asked, reason="moved"))


@planted(4)
def started_after_nobody_answered(h: History) -> History:
    return _answered_otherwise(h, lambda asked: ConfirmationExpired(confirmation_id=asked))


@planted(4)
def approved_when_it_was_too_late(h: History) -> History:
    return at_time(h, place(h, ConfirmationApproved), 2 * DAY)


@planted(4)
def expired_before_its_time(h: History) -> History:
    return at_time(h, place(h, ConfirmationExpired), -DAY)


@planted(4)
def an_answer_to_another_digest(h: History) -> History:
    return changed(h, place(h, ConfirmationApproved), digest="sha256:" + "4" * 64)


@planted(4)
def an_answer_to_nothing(h: History) -> History:
    index = place(h, ConfirmationApproved)
    return added(h, index, "confirmation-x", ConfirmationExpired(confirmation_id="confirmation-x"))


@planted(4)
def a_question_about_files_as_they_were_not(h: History) -> History:
    return changed(h, place(h, ConfirmationRequested), digest="sha256:" + "5" * 64)


@planted(4)
def started_after_it_was_declined(h: History) -> History:
    index = place(h, ActionDeclined)
    no: Any = h[index].event
    start = ActionStarted(task_id=no.task_id, action_id=no.action_id, digest=no.digest, attempt=1)
    return added(h, index, no.task_id, start)


# 7: folding (versions and second folds follow below)


@planted(7)
def an_event_in_the_stream_of_another(h: History) -> History:
    index = place(h, TaskPaused) if any(isinstance(one.event, TaskPaused) for one in h) else place(h, TaskStarted)
    other = h[0].stream
    return [*h[:index], msgspec.structs.replace(h[index], stream=other), *h[index + 1 :]]


@planted(7)
def an_event_that_can_not_be_folded(h: History) -> History:
    return again(h, place(h, TaskQueued))


@planted(7)
def an_answer_that_can_not_be_folded(h: History) -> History:
    return again(h, place(h, ConfirmationRejected))


@planted(7)
def an_outcome_in_a_stream_without_its_beginning(h: History) -> History:
    return without(h, place(h, SessionStarted))


# 8: nothing left open


@planted(8)
def a_task_that_ended_with_an_open_attempt(h: History) -> History:
    name = action_on(h, "in/two.csv")
    return without(h, place(h, ActionSucceeded, of(name)))


@planted(8)
def a_cancelled_task_with_an_attempt_that_nobody_looked_at(h: History) -> History:
    index = place(h, ActionStarted)
    task = h[index].stream
    return added(h[: index + 1], index, task, TaskCancelled(task_id=task, reason="enough"))


@planted(8)
def started_while_the_task_was_paused(h: History) -> History:
    before = place(h, ActionStarted, of(action_on(h, "b.txt"))) - 1
    task = h[place(h, TaskQueued)].stream
    return added(h, before, task, TaskPaused(task_id=task, reason="stop"))


@planted(8)
def made_again_though_its_outcome_is_unknown(h: History) -> History:
    index = place(h, ActionStarted)
    start: Any = h[index].event
    unknown = ActionOutcomeUnknown(
        task_id=start.task_id, action_id=start.action_id, digest=start.digest, attempt=1, observed="half"
    )
    retry = msgspec.structs.replace(start, attempt=2)
    return added(added(h[: index + 1], index, start.task_id, unknown), index + 1, start.task_id, retry)


@planted(8)
def ended_twice(h: History) -> History:
    index = place(h, TaskBlocked)
    return again(h, index)


# 9: own things only


@planted(9)
def a_file_in_another_sessions_grant(h: History) -> History:
    other = h[place(h, FolderGranted, nth=1)].stream
    index = place(h, ActionProposed)
    action: Any = h[index].event.action  # type: ignore[attr-defined]
    theirs = msgspec.structs.replace(action, at=Location(other, action.at.path))
    early = moved(h, place(h, FolderGranted, nth=1), index)
    return changed(early, place(early, ActionProposed), action=theirs)


@planted(9)
def a_grant_that_two_sessions_have(h: History) -> History:
    index = place(h, GrantAdded, nth=1)
    return changed(h, index, grant_id=h[place(h, FolderGranted)].stream)


@planted(9)
def a_question_of_another_session(h: History) -> History:
    other = h[place(h, SessionStarted, nth=1)].stream
    return changed(h, place(h, ConfirmationRequested), session_id=other)


@planted(9)
def a_question_about_another_tasks_action(h: History) -> History:
    index = place(h, ConfirmationRequested)
    theirs = Item("task-x.1", "sha256:" + "6" * 64)
    return changed(h, index, items=(theirs,))


@planted(9)
def a_task_in_no_session(h: History) -> History:
    return changed(h, place(h, TaskQueued), session_id="session-x")
