"""What holds for the recorded history of every task, whatever was asked and whatever went wrong."""

from collections import defaultdict

from cowork.domain.confirmation import ConfirmationApproved
from cowork.domain.event import Event, Recorded
from cowork.domain.reason import REASON_CODES
from cowork.domain.task import (
    ActionAllowed,
    ActionConfirmationRequired,
    ActionDeclined,
    ActionDenied,
    ActionEvent,
    ActionFailed,
    ActionOutcomeUnknown,
    ActionProposed,
    ActionStarted,
    ActionSucceeded,
)
from cowork.engine.application import Application

TERMINAL = ActionDenied | ActionDeclined | ActionSucceeded | ActionFailed


def assert_history_is_sound(application: Application, task_id: str) -> None:
    """Every action: proposed once, decided, approved at most once, started only with leave, ended exactly once."""
    history = [frame.recorded for frame in application.replay(task_id)]
    approvals = [r for r in history if isinstance(r.event, ConfirmationApproved)]
    assert len({r.stream for r in approvals}) == len(approvals)
    of_action: dict[str, list[Recorded[Event]]] = defaultdict(list)
    for recorded in history:
        event = recorded.event
        if isinstance(event, ActionEvent):
            of_action[event.action_id].append(recorded)
    approved = {r.stream: r.position for r in approvals}
    for action_id, events in of_action.items():
        assert_action_is_sound(action_id, events, approved)


def assert_action_is_sound(action_id: str, events: list[Recorded[Event]], approved: dict[str, int]) -> None:
    """See `assert_history_is_sound`; `approved` has the position of each question's approval."""
    names = [type(recorded.event).__name__ for recorded in events]
    assert names.count("ActionProposed") == 1, (action_id, names)
    assert isinstance(events[0].event, ActionProposed)
    assert isinstance(events[1].event, ActionAllowed | ActionDenied | ActionConfirmationRequired)
    ends = [recorded for recorded in events if isinstance(recorded.event, TERMINAL)]
    assert len(ends) == 1, (action_id, names)
    assert ends[0] is events[-1], (action_id, names)
    end = ends[0].event
    if isinstance(end, ActionDenied):
        assert end.decision.reason_code in REASON_CODES
        assert names == ["ActionProposed", "ActionDenied"]
    elif isinstance(end, ActionDeclined | ActionFailed):
        assert end.reason_code in REASON_CODES
        assert end.reason
    starts = [recorded for recorded in events if isinstance(recorded.event, ActionStarted)]
    assert [r.event.attempt for r in starts if isinstance(r.event, ActionStarted)] == list(range(1, len(starts) + 1))
    assert bool(starts) is isinstance(end, ActionSucceeded | ActionFailed), (action_id, names)
    asked = [r.event.confirmation_id for r in events if isinstance(r.event, ActionConfirmationRequired)]
    for start in starts:
        assert isinstance(start.event, ActionStarted)
        if isinstance(events[1].event, ActionAllowed) and not asked:
            continue
        assert start.event.confirmation_id in asked, (action_id, names)
        assert approved[start.event.confirmation_id] < start.position, (action_id, names)
    assert not any(isinstance(r.event, ActionOutcomeUnknown) for r in events), (action_id, names)
