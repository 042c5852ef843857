"""What a person who was away is told: what ended or stopped, what was not done, and what waits for an answer."""

from datetime import timedelta

import msgspec

from cowork.domain import confirmation, task
from cowork.domain.action import FileDelete, FileRead, Location
from cowork.domain.budget import NO_BUDGET, Budget, Overrun, Usage
from cowork.domain.plan import Step
from cowork.projections.digest_report import Digest, digest_of
from cowork.projections.digest_rows import digest_rows
from tests.projections.history import START
from tests.projections.story import TASK, Story

READ = FileRead(at=Location("grant-1", "a.txt"))
DELETE = FileDelete(at=Location("grant-2", "b.txt"))


def _story(*names: str, budget: Budget = NO_BUDGET) -> Story:
    story = Story()
    story.begin(*(Step(step_id=name, title=name, request=READ) for name in names), budget=budget)
    return story


def _digest(story: Story, since: int = 0, after: timedelta = timedelta(hours=1)) -> Digest:
    return digest_of(digest_rows(story.model().rows, since=since), since=since, now=START + after)


def test_a_question_that_waits_can_be_answered_from_where_it_is_listed() -> None:
    story = _story("one")
    child = story.spawn("one", "Helper", Step(step_id="its", title="its", request=DELETE))
    story.propose_step("its", DELETE, verdict="allow_with_confirm", asked="confirmation-1", task_id=child)
    (question,) = _digest(story).waiting
    assert (question.headline, question.digest, question.is_new) == ("Delete a.csv", "cdcdcdcd", True)
    assert [(one.task_id, one.title) for one in question.chain] == [(TASK, "Tidy up"), (child, "Helper")]
    assert question.to_show == "cowork confirmation show confirmation-1"
    assert question.to_answer == (
        "cowork confirmation approve confirmation-1 --digest cdcdcdcd",
        "cowork confirmation reject confirmation-1 --digest cdcdcdcd",
    )
    (again,) = _digest(story, since=story.events[-1].position).waiting
    assert not again.is_new


def test_an_attempt_that_nobody_knows_of_has_three_answers_and_is_told_until_it_is_cleared_up() -> None:
    story = _story("one")
    (name,) = story.propose_step("one", DELETE)
    story.start(name, DELETE)
    story.tell(task.RecordUnknown(action_id=name, observed="half"))
    story.ask_again(name, "one", "confirmation-1", "half")
    told = _digest(story)
    assert [line.text for line in told.unknown] == ["perhaps deleted photos:b.txt: half"]
    assert [answer.rpartition(" ")[2] for answer in told.waiting[0].to_answer] == [
        "--happened",
        "--did-not-happen",
        "--try-again",
    ]
    story.approve("confirmation-1", finding="not_happened")
    story.tell(task.SettleUnknown(action_id=name, happened=False, said_by="person:ann"))
    told = _digest(story)
    assert (told.unknown, told.waiting) == ((), ())
    assert [line.action_id for line in told.failed] == [name]


def test_a_question_whose_time_is_over_is_told_whether_or_not_that_was_recorded() -> None:
    story = _story("one")
    story.propose_step("one", DELETE, verdict="allow_with_confirm", asked="confirmation-1")
    late = _digest(story, after=timedelta(hours=25))
    assert (late.waiting, [line.confirmation_id for line in late.expired]) == ((), ["confirmation-1"])
    story.execute(confirmation, "confirmation-1", confirmation.Expire(START + timedelta(hours=25)))
    (line,) = _digest(story, after=timedelta(hours=25)).expired
    assert line.text == "nobody answered in time: Delete a.csv"
    assert _digest(story, since=story.events[-1].position, after=timedelta(hours=25)).expired == ()


def test_what_was_not_done_is_told_by_why() -> None:
    story = _story("denied", "skipped", "failed", "left", "gone", "done")
    story.propose_step("denied", DELETE, verdict="deny", code="policy")
    story.propose_step("skipped", DELETE, verdict="allow_with_confirm", unasked="skipped")
    (name,) = story.propose_step("failed", READ)
    story.start(name, READ)
    story.tell(task.RecordFailure(action_id=name, reason_code="io", reason="disk on fire"))
    story.tell(task.SkipStep("left", "`failed` did not succeed"))
    story.tell(task.SkipStep("gone", "no such folder", "not_found"))
    (name,) = story.propose_step("done", READ)
    story.start(name, READ)
    story.tell(task.RecordSuccess(action_id=name, effects=()))
    told = _digest(story)
    assert [(line.step_id, line.text, line.to_do) for line in told.denied] == [
        (
            "denied",
            "not deleted photos:b.txt, denied: the rules say deny",
            "change the rule if it should be allowed, then run the task again",
        )
    ]
    assert [line.step_id for line in told.skipped] == ["skipped", "left"]
    assert [line.step_id for line in told.failed] == ["failed", "gone"]
    assert told.failed[1].to_do == "check the path, then run the task again"


def test_a_task_that_ended_is_told_once_and_one_that_did_not_says_what_it_waits_for() -> None:
    story = _story("one")
    child = story.spawn("one", "Helper", Step(step_id="its", title="its", request=DELETE))
    story.tell(task.SkipStep("its", "no need"), task_id=child)
    story.tell(task.FinishTask(), task_id=child)
    story.tell(task.PauseTask("lunch"))
    told = _digest(story)
    assert [(one.task_id, one.status, one.chain[0].task_id) for one in told.ended] == [
        (child, "completed_with_skips", TASK)
    ]
    assert [(one.task_id, one.status, one.reason, one.waits_for_it) for one in told.open] == [
        (TASK, "paused", "lunch", True)
    ]
    assert [(line.text, line.to_do) for line in told.stopped] == [("paused: lunch", f"cowork resume {TASK}")]
    since = story.events[-1].position
    story.tell(task.CancelTask("enough"))
    told = _digest(story, since)
    assert [(one.task_id, one.status, one.reason) for one in told.ended] == [(TASK, "cancelled", "enough")]
    assert told.open == ()
    assert {one.file_changes for one in told.ended} == {0}
    assert [line.to_do for line in _digest(story).stopped] == ["nothing: it is cancelled now"]


def test_a_budget_stop_says_how_to_go_on_for_as_long_as_it_lasts() -> None:
    story = _story("one", budget=Budget(actions=1))
    story.tell(task.ExhaustBudget(TASK, Overrun(measure="actions", bound=1, needed=2)))
    (line,) = _digest(story).budget_stops
    assert line.to_do == f"cowork task budget {TASK} --add-actions 1"
    assert _digest(story).open[0].to_do == line.to_do
    story.tell(task.RaiseBudget(Usage(actions=1)))
    story.tell(task.ResumeTask())
    assert _digest(story).budget_stops[0].to_do == "nothing: it is running now"


def test_only_what_happened_since_is_told() -> None:
    story = _story("one", "two")
    story.propose_step("one", DELETE, verdict="deny", code="policy")
    position, at = story.events[-1].position, story.events[-1].origin.at
    story.propose_step("two", DELETE, verdict="deny", code="policy")
    assert [line.step_id for line in _digest(story, position).denied] == ["two"]
    assert story.events[-1].origin.at > at
    since_at = story.events[-1].origin.at
    rows = digest_rows(story.model().rows, since_at=since_at)
    told = digest_of(rows, since_at=since_at, now=START + timedelta(hours=1))
    assert [line.step_id for line in told.denied] == ["two"]


def test_a_quiet_night_is_told_as_that() -> None:
    told = msgspec.json.decode(msgspec.json.encode(_digest(Story())))
    assert told == {
        "since": 0,
        "sinceAt": None,
        "at": "2026-06-01T10:00:00.000000Z",
        **{
            name: []
            for name in [
                "ended",
                "open",
                "waiting",
                "expired",
                "unknown",
                "denied",
                "skipped",
                "failed",
                "budgetStops",
                "stopped",
            ]
        },
    }
