"""What a command changed, as the task records it: announced with its end, and decided each or together."""

from typing import Any

import pytest
from hypothesis import given as for_all
from hypothesis import strategies as st

from cowork.domain import task
from cowork.domain.action import Content, FileDelete, Location, ShellExec, digest_of
from cowork.domain.effect import CommandReport, Output, Result
from cowork.domain.errors import DomainError
from cowork.domain.plan import Plan, Step
from cowork.domain.task import (
    ActionAllowed,
    ActionConfirmationRequired,
    ActionDeclined,
    ActionDenied,
    ActionFailed,
    ActionProposed,
    ActionStarted,
    ActionSucceeded,
    CancelTask,
    ChangesStaged,
    ConnectionDecided,
    DeclineAction,
    FinishTask,
    PauseTask,
    Proposal,
    RecordConnection,
    RecordFailure,
    RecordSuccess,
    StartAction,
    SteerTask,
    Tally,
    TaskSteered,
    siblings_of,
)
from tests.domain.given import Given
from tests.domain.test_task import FIRST, kinds, proposal, propose, running, state

COMMAND = ShellExec(argv=("tidy",), cwd=Location("g", "."), writes="staged")


def change(path: str, verdict: Any = "allow", **changes: Any) -> Proposal:
    action = FileDelete(at=Location("g", path))
    return proposal(
        verdict, "policy" if verdict == "deny" else None, action=action, digest=digest_of(action), **changes
    )


def commanding(*step_ids: str) -> Given[task.TaskState]:
    """Return a task whose first step runs a command."""
    given = running(*step_ids)
    given.when(propose(proposal("allow", action=COMMAND, digest=digest_of(COMMAND)), start=True))
    return given


def ended(*staged: Proposal, together: bool = False) -> RecordSuccess:
    return RecordSuccess(action_id=FIRST, effects=(), staged=staged, proposed_by="agent:t", together=together)


def start(given: Given[task.TaskState], number: int, approval: str = "") -> None:
    action = state(given).open_actions[f"task-1.{number}"]
    given.when(StartAction(action_id=action.action_id, digest=action.digest, approval=approval))


def test_changes_are_announced_before_the_command_is_settled_and_proposed_after() -> None:
    given = commanding()
    events = given.when(ended(change("a"), change("b", "allow_with_confirm"), change("c", "deny")))
    assert kinds(events) == [
        ChangesStaged,
        ActionSucceeded,
        ActionProposed,
        ActionAllowed,
        ActionProposed,
        ActionConfirmationRequired,
        ActionProposed,
        ActionDenied,
    ]
    announced, proposed = events[0], [one for one in events if isinstance(one, ActionProposed)]
    assert (announced.actions, announced.step_actions, announced.step_id) == (3, 4, "a")
    assert [(one.action_id, one.staged_by, one.proposed_by, one.together) for one in proposed] == [
        (f"task-1.{number}", FIRST, "agent:t", False) for number in (2, 3, 4)
    ]


def test_a_command_that_changed_nothing_announces_nothing() -> None:
    assert kinds(commanding().when(ended())) == [ActionSucceeded]


def test_the_tally_of_a_step_grows_and_it_is_not_settled_before_its_changes_are() -> None:
    given = commanding()
    given.when(ended(change("a"), change("b")))
    assert state(given).steps["a"] == Tally(actions=3, succeeded=1)
    given.refused(FinishTask(), "conflict")
    for number in (2, 3):
        start(given, number)
        given.when(RecordSuccess(action_id=f"task-1.{number}", effects=()))
    assert state(given).steps["a"] == Tally(actions=3, succeeded=3)
    assert state(given).steps["a"].is_success
    given.when(FinishTask())
    assert state(given).status == "completed"


def test_at_no_event_of_the_commit_does_the_step_look_finished() -> None:
    given = commanding()
    current: task.TaskState = state(given)
    for event in task.decide(ended(change("a"), change("b")), current):
        current = task.evolve(current, event)
        assert isinstance(current, task.Task)
        assert not current.steps["a"].is_settled


def test_a_denied_change_stays_out_and_the_others_are_made() -> None:
    given = commanding()
    given.when(ended(change("a"), change("b", "deny")))
    start(given, 2)
    given.when(RecordSuccess(action_id="task-1.2", effects=()))
    given.when(FinishTask())
    assert state(given).steps["a"] == Tally(actions=3, succeeded=2, denied=1)
    assert state(given).status == "blocked"


def test_together_one_that_is_denied_lets_go_of_the_others_in_the_same_breath() -> None:
    given = commanding()
    events = given.when(ended(change("a"), change("b", "deny"), change("c", "allow_with_confirm"), together=True))
    declined = {one.action_id: one.reason_code for one in events if isinstance(one, ActionDeclined)}
    assert declined == {"task-1.2": "withdrawn", "task-1.4": "withdrawn"}
    assert not list(state(given).open_actions)
    assert state(given).steps["a"] == Tally(actions=4, succeeded=1, denied=1, skipped=2)


def test_together_one_that_nobody_may_be_asked_about_lets_go_of_the_others() -> None:
    given = commanding()
    unasked = change("b", "allow_with_confirm", confirmation_id="", unasked="skipped")
    events = given.when(ended(change("a"), unasked, together=True))
    declined = {one.action_id: one.reason_code for one in events if isinstance(one, ActionDeclined)}
    assert declined == {"task-1.2": "withdrawn", "task-1.3": "skipped"}


def test_one_that_would_be_asked_about_is_let_go_unasked_where_another_is_denied() -> None:
    given = commanding()
    unasked = change("a", "allow_with_confirm", confirmation_id="", unasked="withdrawn")
    events = given.when(ended(unasked, change("b", "deny"), together=True))
    declined = {one.action_id: one.reason_code for one in events if isinstance(one, ActionDeclined)}
    assert declined == {"task-1.2": "withdrawn"}


@pytest.mark.parametrize("together", [True, False])
def test_a_no_to_one_lets_go_of_the_others_only_where_they_go_together(together: bool) -> None:
    given = commanding()
    given.when(ended(change("a"), change("b", "allow_with_confirm"), change("c"), together=together))
    siblings = siblings_of(state(given), state(given).open_actions["task-1.3"])
    assert [one.action_id for one in siblings] == (["task-1.2", "task-1.4"] if together else [])
    events = given.when(DeclineAction(action_id="task-1.3", reason_code="rejected", reason="no"))
    declined = {one.action_id: one.reason_code for one in events}
    assert declined == {"task-1.3": "rejected"} | (
        {"task-1.2": "withdrawn", "task-1.4": "withdrawn"} if together else {}
    )


@pytest.mark.parametrize("together", [True, False])
def test_a_change_that_fails_lets_go_of_what_goes_together_with_it_and_was_not_started(together: bool) -> None:
    given = commanding()
    given.when(ended(change("a"), change("b"), change("c"), together=together))
    start(given, 2)
    start(given, 3)
    events = given.when(RecordFailure(action_id="task-1.2", reason_code="conflict", reason="moved"))
    assert kinds(events) == ([ActionFailed, ActionDeclined] if together else [ActionFailed])
    assert [one.action_id for one in events] == ["task-1.2", "task-1.4"][: len(events)]


@pytest.mark.parametrize("begun", [True, False])
def test_steering_lets_go_of_what_goes_together_only_where_none_of_it_was_begun(begun: bool) -> None:
    given = commanding("a", "b")
    given.when(ended(change("a"), change("b"), change("c"), together=True))
    if begun:
        start(given, 2)
        given.when(RecordSuccess(action_id="task-1.2", effects=()))
    other = Plan(title="other", steps=(Step(step_id="b", title="b", request=COMMAND),))
    events = given.when(SteerTask(plan=other, said_by="person:ann"))
    declined = [one.action_id for one in events if isinstance(one, ActionDeclined)]
    assert declined == ([] if begun else ["task-1.2", "task-1.3", "task-1.4"])
    (steered,) = (one for one in events if isinstance(one, TaskSteered))
    assert steered.dropped == (() if begun else ("a",))


def test_changes_of_two_commands_do_not_go_together() -> None:
    given = commanding("a", "b")
    given.when(ended(change("x"), together=True))
    other = proposal("allow", action=COMMAND, digest=digest_of(COMMAND))
    given.when(propose(other, step="b", start=True))
    given.when(
        RecordSuccess(action_id="task-1.3", effects=(), staged=(change("y"),), proposed_by="agent:t", together=True)
    )
    assert siblings_of(state(given), state(given).open_actions["task-1.2"]) == []


def test_a_command_of_a_cancelled_task_ends_and_changes_nothing() -> None:
    given = commanding()
    given.when(CancelTask("enough"))
    given.refused(ended(change("a")), "conflict")
    assert kinds(given.when(ended())) == [ActionSucceeded]


def test_a_paused_task_takes_the_changes_of_the_command_that_was_at_work() -> None:
    given = commanding()
    given.when(PauseTask("lunch"))
    assert ChangesStaged in kinds(given.when(ended(change("a"))))
    assert state(given).status == "paused"
    given.refused(StartAction(action_id="task-1.2", digest=change("a").digest), "conflict")


def test_cancelling_takes_back_changes_that_were_not_started() -> None:
    given = commanding()
    given.when(ended(change("a"), change("b"), together=True))
    start(given, 2)
    events = given.when(CancelTask("enough"))
    assert [one.action_id for one in events if isinstance(one, ActionDeclined)] == ["task-1.3"]


def test_a_command_that_failed_keeps_what_it_printed() -> None:
    output = Output(content=Content("sha256:out", 3), cut=9)
    result = Result(summary="exit 2", command=CommandReport(exit_code=2, stdout=output, stderr=output))
    failure = RecordFailure(action_id=FIRST, reason_code="exit", reason="it ended with status 2", result=result)
    (failed,) = commanding().when(failure)
    assert failed.result == result


# Connections


def test_a_connection_is_recorded_of_a_command_that_runs_and_of_no_other() -> None:
    given = commanding()
    asked = RecordConnection(action_id=FIRST, host="api.example", port=443, address="192.0.2.7")
    before = given.state
    (event,) = given.when(asked)
    assert isinstance(event, ConnectionDecided)
    assert (event.host, event.port, event.address, event.reason_code) == ("api.example", 443, "192.0.2.7", None)
    assert given.state == before
    given.when(ended())
    given.refused(asked, "conflict")


def test_a_connection_of_a_command_whose_task_was_cancelled_is_still_recorded() -> None:
    given = commanding()
    given.when(CancelTask("enough"))
    asked = RecordConnection(action_id=FIRST, host="evil.example", port=1, reason_code="net_denied", reason="no")
    assert kinds(given.when(asked)) == [ConnectionDecided]


# Whatever comes

_verdicts = st.sampled_from(["allow", "allow_with_confirm", "deny"])
_commands = st.lists(st.tuples(st.sampled_from(["start", "succeed", "fail", "decline", "cancel"]), st.integers(2, 6)))


@for_all(st.lists(_verdicts, min_size=1, max_size=5), st.booleans(), _commands)
def test_the_tally_counts_every_change_once_and_together_none_is_started_after_one_is_refused(
    verdicts: list[str], together: bool, commands: list[tuple[str, int]]
) -> None:
    given = commanding()
    given.when(ended(*(change(f"f{n}", verdict) for n, verdict in enumerate(verdicts)), together=together))
    for what, number in commands:
        name = f"task-1.{number}"
        refused = state(given).steps["a"].denied + state(given).steps["a"].failed
        try:
            match what:
                case "start":
                    start(given, number, "confirmation-1")
                    assert not (together and refused), "one of those that go together was refused before"
                case "succeed":
                    given.when(RecordSuccess(action_id=name, effects=()))
                case "fail":
                    given.when(RecordFailure(action_id=name, reason_code="io", reason="r"))
                case "decline":
                    given.when(DeclineAction(action_id=name, reason_code="rejected", reason="r"))
                case _:
                    given.when(CancelTask("r"))
        except (DomainError, KeyError):
            continue
    current = state(given)
    tally = current.steps["a"]
    assert tally.actions == 1 + len(verdicts)
    settled = tally.succeeded + tally.failed + tally.denied + tally.skipped
    assert settled + len(list(current.open_actions)) == tally.actions
    assert current.actions == tally.actions


def test_a_start_says_which_attempt_it_is() -> None:
    given = commanding()
    given.when(ended(change("a")))
    action = state(given).open_actions["task-1.2"]
    (event,) = given.when(StartAction(action_id=action.action_id, digest=action.digest))
    assert isinstance(event, ActionStarted)
    assert event.attempt == 1
