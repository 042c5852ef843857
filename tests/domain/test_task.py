"""The task aggregate: what each command records, what it refuses, and where it stays quiet."""

from datetime import UTC, datetime
from typing import Any

import pytest

from cowork.domain import task
from cowork.domain.action import FileDelete, FileRead, Location, digest_of
from cowork.domain.facts import Facts
from cowork.domain.plan import Plan, Step
from cowork.domain.policy_decision import Decision
from cowork.domain.policy_document import Verdict
from cowork.domain.task import (
    ActionAllowed,
    ActionConfirmationRequired,
    ActionDeclined,
    ActionDenied,
    ActionProposed,
    ActionStarted,
    ActionSucceeded,
    AdoptPlan,
    AskAgain,
    AwaitConfirmation,
    CancelTask,
    DeclineAction,
    FinishTask,
    PauseTask,
    Proposal,
    ProposeActions,
    QueueTask,
    RecordFailure,
    RecordSuccess,
    RecordUnknown,
    ResumeTask,
    SkipStep,
    StartAction,
    StartPlanning,
    StartTask,
    StepBegun,
    Task,
    TaskAwaitingConfirmation,
    TaskCancelled,
    TaskCompleted,
    TaskPaused,
    TaskResumed,
)
from tests.domain.given import Given

NOW = datetime(2026, 11, 22, tzinfo=UTC)
FACTS = Facts(now=NOW)
READ = FileRead(at=Location("g", "a"))
DIGEST = digest_of(READ)
FIRST = "task-1.1"


def plan(*step_ids: str) -> Plan:
    return Plan(title="t", steps=tuple(Step(step_id=name, title=name, request=READ) for name in step_ids))


def proposal(verdict: Verdict, code: Any = None, **changes: Any) -> Proposal:
    decision = Decision(verdict=verdict, rule_id="r", reason="because", reason_code=code)
    values: dict[str, Any] = {
        "action": READ,
        "digest": DIGEST,
        "decision": decision,
        "facts": FACTS,
        "scope_digest": "sha256:s",
        "confirmation_id": "confirmation-1" if verdict == "allow_with_confirm" else "",
    }
    return Proposal(**(values | changes))


def propose(*proposals: Proposal, step: str = "a", start: bool = False) -> ProposeActions:
    return ProposeActions(step_id=step, proposals=proposals, proposed_by="agent:t", start=start)


def running(*step_ids: str) -> Given[task.TaskState]:
    given = Given(task.INITIAL, task.decide, task.evolve)
    given.when(QueueTask(task_id="task-1", session_id="session-1", title="t"))
    given.when(StartPlanning("test"))
    given.when(AdoptPlan(plan(*(step_ids or ("a",)))))
    given.when(StartTask())
    return given


def state(given: Given[task.TaskState]) -> Task:
    assert isinstance(given.state, Task)
    return given.state


def kinds(events: tuple[Any, ...]) -> list[type]:
    return [type(event) for event in events]


def test_a_single_allowed_action_is_proposed_allowed_and_started_in_one_breath() -> None:
    events = running().when(propose(proposal("allow"), start=True))

    assert kinds(events) == [StepBegun, ActionProposed, ActionAllowed, ActionStarted]
    assert {event.digest for event in events[1:]} == {DIGEST}


def test_a_denied_action_is_settled_and_never_starts() -> None:
    given = running()
    events = given.when(propose(proposal("deny", "sensitive"), start=True))

    assert kinds(events) == [StepBegun, ActionProposed, ActionDenied]
    given.refused(StartAction(action_id=FIRST, digest=DIGEST), "conflict")
    assert state(given).steps["a"].denied == 1


def test_an_action_that_needs_a_person_does_not_start_without_that_very_answer() -> None:
    given = running()
    given.when(propose(proposal("allow_with_confirm")))

    for approval in ("", "confirmation-2"):
        given.refused(StartAction(action_id=FIRST, digest=DIGEST, approval=approval), "denied")
    given.refused(StartAction(action_id=FIRST, digest="sha256:other", approval="confirmation-1"), "denied")
    assert kinds(given.when(StartAction(action_id=FIRST, digest=DIGEST, approval="confirmation-1"))) == [ActionStarted]


def test_a_question_needs_a_confirmation_or_a_reason_why_there_is_none() -> None:
    running().refused(propose(proposal("allow_with_confirm", confirmation_id="")), "invalid")


@pytest.mark.parametrize(("unasked", "status"), [("skipped", "completed_with_skips"), ("no_approval", "failed")])
def test_what_is_not_asked_is_declined_and_the_task_says_how_it_ended(unasked: str, status: str) -> None:
    given = running()
    events = given.when(propose(proposal("allow_with_confirm", confirmation_id="", unasked=unasked)))
    given.when(FinishTask())

    assert kinds(events) == [StepBegun, ActionProposed, ActionConfirmationRequired, ActionDeclined]
    assert state(given).status == status


def test_an_outcome_needs_a_start_and_there_is_only_one() -> None:
    given = running()
    given.when(propose(proposal("allow")))
    given.refused(RecordSuccess(action_id=FIRST, effects=()), "conflict")
    given.when(StartAction(action_id=FIRST, digest=DIGEST))
    given.when(RecordSuccess(action_id=FIRST, effects=()))

    given.refused(RecordSuccess(action_id=FIRST, effects=()), "conflict")
    given.refused(RecordFailure(action_id=FIRST, reason_code="io", reason="x"), "conflict")
    given.refused(StartAction(action_id=FIRST, digest=DIGEST), "conflict")


def test_an_interrupted_attempt_can_be_made_again_under_the_next_number() -> None:
    given = running()
    given.when(propose(proposal("allow"), start=True))
    (again,) = given.when(StartAction(action_id=FIRST, digest=DIGEST))

    assert again.attempt == 2


def test_an_unknown_outcome_is_not_made_again_unless_a_person_says_so() -> None:
    given = running()
    given.when(propose(proposal("allow"), start=True))
    given.when(RecordUnknown(action_id=FIRST, observed="neither"))
    given.refused(StartAction(action_id=FIRST, digest=DIGEST), "denied")
    given.refused(FinishTask(), "conflict")
    decision = proposal("allow_with_confirm").decision
    given.when(
        AskAgain(
            action_id=FIRST, confirmation_id="c-2", decision=decision, facts=FACTS, scope_digest="s", changed="crash"
        )
    )

    assert kinds(given.when(StartAction(action_id=FIRST, digest=DIGEST, approval="c-2"))) == [ActionStarted]


def test_an_action_that_has_started_is_neither_declined_nor_asked_about() -> None:
    given = running()
    given.when(propose(proposal("allow"), start=True))

    given.refused(DeclineAction(action_id=FIRST, reason_code="withdrawn", reason="x"), "conflict")


def test_a_step_is_begun_once() -> None:
    given = running()
    given.when(propose(proposal("allow")))

    given.refused(propose(proposal("allow")), "conflict")
    given.refused(SkipStep("a", "x"), "conflict")
    given.refused(propose(proposal("allow"), step="z"), "not_found")


def test_a_pause_stops_new_actions_but_not_the_outcome_of_the_one_at_hand() -> None:
    given = running("a", "b")
    given.when(propose(proposal("allow"), start=True))
    assert kinds(given.when(PauseTask("lunch"))) == [TaskPaused]
    assert given.when(PauseTask("lunch")) == ()

    given.refused(propose(proposal("allow"), step="b"), "conflict")
    assert kinds(given.when(RecordSuccess(action_id=FIRST, effects=()))) == [ActionSucceeded]
    assert kinds(given.when(ResumeTask())) == [TaskResumed]
    assert given.when(ResumeTask()) == ()


def test_waiting_names_the_open_questions_and_stays_quiet_without_any() -> None:
    given = running("a", "b")
    assert given.when(AwaitConfirmation()) == ()
    given.when(propose(proposal("allow_with_confirm")))
    (waiting,) = given.when(AwaitConfirmation())

    assert waiting == TaskAwaitingConfirmation(task_id="task-1", confirmation_ids=("confirmation-1",))


def test_cancelling_takes_back_what_has_not_started_and_leaves_what_has() -> None:
    given = running("a", "b")
    given.when(propose(proposal("allow"), start=True))
    given.when(propose(proposal("allow_with_confirm"), step="b"))
    events = given.when(CancelTask("enough"))

    assert kinds(events) == [ActionDeclined, TaskCancelled]
    assert given.when(CancelTask("enough")) == ()
    given.when(RecordSuccess(action_id=FIRST, effects=()))
    given.refused(PauseTask("x"), "conflict")
    given.refused(FinishTask(), "conflict")


ENDS = [
    ("completed", [("allow", None)]),
    ("blocked", [("allow", None), ("deny", "policy")]),
    ("failed", [("deny", "policy"), ("deny", "not_found")]),
    ("failed", [("deny", "conflict")]),
]


@pytest.mark.parametrize(("status", "answers"), ENDS)
def test_how_a_task_ended_follows_from_its_steps(status: str, answers: list[tuple[Verdict, Any]]) -> None:
    names = [f"s{number}" for number in range(len(answers))]
    given = running(*names)
    for number, (name, (verdict, code)) in enumerate(zip(names, answers, strict=True), start=1):
        given.when(propose(proposal(verdict, code), step=name, start=True))
        if verdict == "allow":
            given.when(RecordSuccess(action_id=f"task-1.{number}", effects=()))
    given.when(FinishTask())

    assert state(given).status == status


def test_a_rejection_blocks_and_never_counts_as_done() -> None:
    given = running()
    given.when(propose(proposal("allow_with_confirm")))
    given.when(DeclineAction(action_id=FIRST, reason_code="rejected", reason="no"))
    given.when(FinishTask())

    assert state(given).status == "blocked"


def test_a_task_does_not_finish_while_a_step_was_not_begun() -> None:
    given = running("a", "b")
    given.when(SkipStep("a", "its need failed"))
    given.refused(FinishTask(), "conflict")
    given.when(propose(step="b"))
    (ended,) = given.when(FinishTask())

    assert ended == TaskCompleted(task_id="task-1", skipped=("a",))


def test_a_step_whose_request_is_refused_blocks_or_fails_the_task() -> None:
    given = running()
    given.when(SkipStep("a", "no grant", "no_grant"))
    given.when(FinishTask())

    assert state(given).status == "blocked"


def test_settled_actions_leave_the_state_so_that_a_long_task_stays_light() -> None:
    given = running(*(f"s{n}" for n in range(200)))
    for number in range(200):
        given.when(propose(proposal("allow"), step=f"s{number}", start=True))
        given.when(RecordSuccess(action_id=f"task-1.{number + 1}", effects=()))

    assert len(state(given).open_actions) == 0
    assert state(given).actions == 200


def test_an_action_is_not_the_one_that_was_decided_on_when_its_digest_differs() -> None:
    given = running()
    given.when(propose(proposal("allow")))
    other = digest_of(FileDelete(at=Location("g", "a")))

    given.refused(StartAction(action_id=FIRST, digest=other), "denied")


def test_the_life_of_a_task_has_one_order() -> None:
    given = Given(task.INITIAL, task.decide, task.evolve)
    given.refused(StartTask(), "not_found")
    given.when(QueueTask(task_id="task-1", session_id="session-1", title="t"))
    given.refused(QueueTask(task_id="task-1", session_id="session-1", title="t"), "conflict")
    given.refused(StartTask(), "conflict")
    given.when(StartPlanning("test"))
    given.refused(AdoptPlan(plan()), "invalid")
    given.when(AdoptPlan(plan("a")))
    given.refused(propose(proposal("allow")), "conflict")
