"""A task's timeline: what belongs together, when it began, and how it ended."""

from cowork.domain import ownership, session, subagent, task
from cowork.domain.action import FileDelete, FileMove, FileRead, Location
from cowork.domain.budget import Overrun, Usage
from cowork.domain.effect import Result
from cowork.domain.ids import subagent_id
from cowork.domain.plan import Plan, Step
from tests.projections.history import History
from tests.projections.story import TASK, Story

READ = FileRead(at=Location("grant-1", "a.txt"))
DELETE = FileDelete(at=Location("grant-2", "b.txt"))
MOVE = FileMove(at=Location("grant-1", "a.txt"), to=Location("grant-1", "c d.txt"))


def _story(*names: str) -> Story:
    story = Story()
    story.begin(*(Step(step_id=name, title=name, request=READ) for name in names))
    return story


def _last(story: History) -> str:
    return story.events[-1].origin.at.isoformat(timespec="microseconds").replace("+00:00", "Z")


def test_the_events_of_an_action_are_one_group() -> None:
    story = _story("one")
    (name,) = story.propose_step("one", READ)
    story.start(name, READ)
    story.tell(task.RecordSuccess(action_id=name, effects=(), result=Result(summary="3 lines")))
    (group,) = [group for group in story.timeline() if group.group == name]
    assert (group.kind, group.label, group.step_id, group.outcome) == ("file.read", "a.txt", "one", "succeeded")
    assert [(event.event, event.outcome, event.details) for event in group.events] == [
        ("task.action_proposed", "waiting", ""),
        ("task.action_allowed", "waiting", "allow-rule"),
        ("task.action_started", "started", ""),
        ("task.action_succeeded", "succeeded", "3 lines"),
    ]
    assert group.started_at == group.events[0].at
    assert group.ended_at == _last(story)
    assert group.events[0].actor == "agent:plan-file"


def test_a_question_about_one_action_stands_in_its_group_with_the_answer() -> None:
    story = _story("one")
    (name,) = story.propose_step("one", DELETE, verdict="allow_with_confirm", asked="confirmation-1")
    story.approve("confirmation-1", "go on")
    (group,) = [group for group in story.timeline() if group.group == name]
    assert [event.event for event in group.events] == [
        "task.action_proposed",
        "task.action_confirmation_required",
        "confirmation.requested",
        "confirmation.approved",
    ]
    assert group.events[-1].details == "by person:ann: go on"
    assert (group.label, group.outcome, group.ended_at) == ("photos:b.txt", "approved", None)


def test_a_question_about_several_actions_stands_with_their_step() -> None:
    story = _story("one")
    names = story.propose_step("one", DELETE, MOVE, verdict="allow_with_confirm", asked="confirmation-1")
    story.reject("confirmation-1")
    groups = {group.group: group for group in story.timeline()}
    assert [event.event for event in groups["step:one"].events] == [
        "task.step_begun",
        "confirmation.requested",
        "confirmation.rejected",
    ]
    assert groups[names[1]].label == "a.txt to c d.txt"
    assert groups[names[1]].outcome == "waiting"


def test_what_happens_to_an_action_again_is_all_there() -> None:
    story = _story("one")
    (name,) = story.propose_step("one", DELETE)
    story.start(name, DELETE)
    story.tell(task.RecordUnknown(action_id=name, observed="half"))
    story.ask_again(name, "one", "confirmation-1", "it changed")
    story.approve("confirmation-1", finding="try_again")
    story.start(name, DELETE, "confirmation-1")
    story.tell(task.RecordFailure(action_id=name, reason_code="io", reason="no luck"))
    (group,) = [group for group in story.timeline() if group.group == name]
    assert [(event.event, event.details) for event in group.events] == [
        ("task.action_proposed", ""),
        ("task.action_allowed", "allow-rule"),
        ("task.action_started", ""),
        ("task.action_outcome_unknown", "half"),
        ("task.action_confirmation_required", "it changed"),
        ("confirmation.requested", "Delete a.csv"),
        ("confirmation.approved", "by person:ann, try again"),
        ("task.action_started", "attempt 2"),
        ("task.action_failed", "no luck"),
    ]
    assert group.outcome == "failed"


def test_a_denial_and_a_refusal_end_a_group_in_their_own_words() -> None:
    story = _story("one", "two")
    (denied,) = story.propose_step("one", DELETE, verdict="deny", code="policy")
    (refused,) = story.propose_step("two", DELETE)
    story.tell(task.DeclineAction(action_id=refused, reason_code="policy", reason="no longer allowed"))
    groups = {group.group: group for group in story.timeline()}
    assert [(e.event, e.details) for e in groups[denied].events][1:] == [
        ("task.action_denied", "deny-rule: the rules say deny")
    ]
    assert [(e.event, e.details) for e in groups[refused].events][1:] == [
        ("task.action_allowed", "allow-rule"),
        ("task.action_declined", "no longer allowed"),
    ]
    assert {groups[denied].outcome, groups[refused].outcome} == {"denied"}
    assert groups[denied].ended_at


def test_the_tasks_own_events_and_those_of_its_steps_have_groups() -> None:
    story = _story("one", "two")
    story.propose_step("one")
    story.tell(task.SkipStep("two", "no need"))
    story.tell(task.PauseTask("lunch"))
    story.tell(task.ResumeTask())
    story.tell(task.FinishTask())
    groups = {group.group: group for group in story.timeline()}
    assert list(groups) == ["task", "step:one", "step:two"]
    assert [event.event.removeprefix("task.") for event in groups["task"].events] == [
        "queued",
        "planning_started",
        "planned",
        "started",
        "paused",
        "resumed",
        "completed",
    ]
    assert (groups["task"].label, groups["task"].outcome) == ("Tidy up", "succeeded")
    assert groups["step:one"].events[0].details == "nothing matched"
    assert (groups["step:two"].outcome, groups["step:two"].step_id) == ("skipped", "two")


def test_that_root_was_allowed_stands_with_the_tasks_own_events() -> None:
    story = _story("one")
    story.execute(session, "session-1", session.AllowRoot("option"), "person:ann")
    (group,) = [group for group in story.timeline() if group.group == "task"]
    said = [(event.event, event.actor, event.details) for event in group.events]
    assert said[-1] == ("session.root_allowed", "person:ann", "by --unsafe-as-root")
    assert [name for name, _, _ in said].count("session.root_allowed") == 1
    assert group.label == "Tidy up"


def test_a_subagent_is_a_group_with_what_happened_to_its_task_as_a_whole() -> None:
    story = _story("one")
    child = story.spawn("one", "Helper", Step(step_id="its", title="its", request=DELETE))
    story.propose_step("its", DELETE, verdict="allow_with_confirm", asked="confirmation-1", task_id=child)
    story.tell(task.AwaitConfirmation(), task_id=child)
    (group,) = [group for group in story.timeline() if group.group == subagent_id(child)]
    assert (group.kind, group.label, group.outcome, group.ended_at) == ("subagent", "Helper", "waiting", None)
    assert [event.event for event in group.events] == [
        "subagent.spawned",
        "task.queued",
        "task.planning_started",
        "task.planned",
        "task.started",
        "task.awaiting_confirmation",
    ]
    story.tell(task.CancelTask("not needed"), task_id=child)
    story.execute(subagent, subagent_id(child), subagent.Stop("not needed"))
    (group,) = [group for group in story.timeline() if group.group == subagent_id(child)]
    assert [event.event for event in group.events][-2:] == ["task.cancelled", "subagent.stopped"]
    assert (group.outcome, group.ended_at) == ("cancelled", _last(story))


def test_a_subagent_that_says_it_is_done_ended_as_its_task_did() -> None:
    story = _story("one")
    child = story.spawn("one", "Helper", Step(step_id="its", title="its", request=DELETE))
    story.propose_step("its", DELETE, verdict="deny", code="policy", task_id=child)
    story.tell(task.FinishTask(), task_id=child)
    story.execute(subagent, subagent_id(child), subagent.Report("all went well"))
    (group,) = [group for group in story.timeline() if group.group == subagent_id(child)]
    assert (group.outcome, group.events[-1].details) == ("blocked", "all went well")


def test_what_changes_a_tasks_course_is_told_and_is_no_outcome() -> None:
    story = _story("one", "two")
    story.tell(task.SendMessage(text="mind the gap", strategy="queue", said_by="ann"))
    plan = Plan(title="other", steps=(Step(step_id="one", title="one", request=READ),))
    story.tell(task.SteerTask(plan=plan, said_by="ann"))
    story.tell(task.RecordProgress(1500))
    story.tell(task.ReportUsage(tokens=12, cost_micros=1_250_000, reported_by="planner"))
    story.tell(task.RaiseBudget(Usage(actions=3)))
    story.execute(ownership, f"ownership-{TASK}", ownership.ClaimTask(TASK, "process-7", "1.0"))
    group = story.timeline()[0]
    assert [(event.event.removeprefix("task."), event.details) for event in group.events[4:]] == [
        ("messaged", "ann, for after the plan: mind the gap"),
        ("steered", "dropped two, by ann"),
        ("progressed", "0 of 0 actions ended, 1 s more at work"),
        ("usage_reported", "12 tokens, 1.25 of money, says planner"),
        ("ownership.claimed", "carried on by process-7, cowork 1.0"),
    ]
    assert (group.outcome, group.ended_at) == ("started", None)


def test_a_stop_says_which_kind_it_is_and_a_budget_says_what_it_lacks() -> None:
    story = _story("one")
    story.tell(task.InterruptTask("stop"))
    story.tell(task.ResumeTask())
    story.tell(task.ExhaustBudget(TASK, Overrun(measure="bytes_written", bound=1000, needed=2500)))
    group = story.timeline()[0]
    assert [(e.event.removeprefix("task."), e.outcome, e.details) for e in group.events[4:]] == [
        ("interrupted", "waiting", "stop"),
        ("resumed", "started", ""),
        (
            "budget_exhausted",
            "waiting",
            "the budget of task-1 allows 1.0 KB written; going on takes 2.5 KB written in all",
        ),
    ]


def test_what_a_task_claims_stands_with_the_action_that_wants_it() -> None:
    story = _story("one", "two")
    story.spawn("one", "Helper", Step(step_id="its", title="its", request=DELETE))
    (name,) = story.propose_step("two", MOVE)
    story.start(name, MOVE)
    (group,) = [group for group in story.timeline() if group.group == name]
    claimed = [event.details for event in group.events if event.event == "task.paths_claimed"]
    assert claimed == ["a.txt, c d.txt"]


def test_a_persons_word_about_an_attempt_is_called_so() -> None:
    story = _story("one")
    (name,) = story.propose_step("one", DELETE)
    story.start(name, DELETE)
    story.tell(task.RecordUnknown(action_id=name, observed="half"))
    story.tell(task.SettleUnknown(action_id=name, happened=True, said_by="person:ann"))
    (group,) = [group for group in story.timeline() if group.group == name]
    assert (group.events[-1].event, group.events[-1].details) == (
        "task.action_succeeded",
        "person:ann says that it happened",
    )


def test_every_event_of_a_task_is_in_its_timeline_once() -> None:
    story = _story("one", "two", "three")
    story.propose_step("one", DELETE, MOVE, verdict="allow_with_confirm", asked="confirmation-1")
    story.approve("confirmation-1")
    story.start(f"{TASK}.1", DELETE, "confirmation-1")
    story.tell(task.RecordSuccess(action_id=f"{TASK}.1", effects=(), recovered=True))
    story.tell(task.CancelTask("enough"))
    story.execute(ownership, f"ownership-{TASK}", ownership.ClaimTask(TASK, "process-7", "1.0"))
    told = [event.position for group in story.timeline() for event in group.events]
    about_it = [r.position for r in story.events if r.stream in (TASK, "confirmation-1", f"ownership-{TASK}")]
    assert sorted(told) == about_it
