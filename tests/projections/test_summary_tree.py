"""A summary with subagents: what they did is rolled up, and what changed a task's course is told."""

import msgspec

from cowork.domain import subagent, task
from cowork.domain.action import Content, FileCreate, FileDelete, FileMove, FileWrite, Location, SubagentSpawn
from cowork.domain.budget import Budget, Overrun, Usage
from cowork.domain.effect import Result
from cowork.domain.ids import subagent_id
from cowork.domain.plan import Plan, Step
from tests.projections.effects import effects_of
from tests.projections.story import TASK, Story

CONTENT = Content("sha256:new", 12)
CREATE = FileCreate(at=Location("grant-1", "out/sum.csv"), content=CONTENT)
MOVE = FileMove(at=CREATE.at, to=Location("grant-1", "done/sum.csv"))
WRITE = FileWrite(at=Location("grant-2", "note.md"), content=CONTENT)
DELETE = FileDelete(at=Location("grant-1", "old.txt"))


def _step(name: str) -> Step:
    return Step(step_id=name, title=f"Step {name}", request=DELETE)


def _done(story: Story, step: str, action: FileCreate | FileMove | FileWrite, task_id: str = TASK) -> str:
    (name,) = story.propose_step(step, action, task_id=task_id)
    story.start(name, action)
    story.tell(task.RecordSuccess(action_id=name, effects=effects_of(action)), task_id=task_id)
    return name


def _told() -> tuple[Story, str, str]:
    """A task that makes a file, a subagent that moves it, and that one's own subagent, which writes another."""
    story = Story()
    story.begin(_step("make"), _step("sort"), _step("rest"))
    _done(story, "make", CREATE)
    sorter = story.spawn("sort", "Sorter", _step("move"), _step("help"), _step("ask"))
    _done(story, "move", MOVE, sorter)
    helper = story.spawn("help", "Helper", _step("write"), _step("denied"), parent=sorter)
    _done(story, "write", WRITE, helper)
    return story, sorter, helper


def test_what_subagents_changed_is_in_their_parents_summary_with_their_names() -> None:
    story, sorter, helper = _told()
    summary = story.summary()
    assert [(one.change, one.path, one.subagent_id) for one in summary.file_changes] == [
        ("create", "out/sum.csv", None),
        ("move", "done/sum.csv", subagent_id(sorter)),
        ("update", "photos:note.md", subagent_id(helper)),
    ]
    assert [(one.path, one.subagent_id, len(one.positions)) for one in summary.outputs] == [
        ("done/sum.csv", subagent_id(sorter), 2),
        ("photos:note.md", subagent_id(helper), 1),
    ]
    assert [line.action for line in summary.action_log] == ["file.create", "subagent.spawn"]


def test_a_subagents_own_summary_has_what_is_beneath_it_and_nothing_from_above() -> None:
    story, sorter, helper = _told()
    assert [(one.change, one.subagent_id) for one in story.summary(sorter).file_changes] == [
        ("move", None),
        ("update", subagent_id(helper)),
    ]
    assert [one.subagent_id for one in story.summary(sorter).subagents] == [subagent_id(helper)]
    assert story.summary(helper).subagents == ()


def test_subagents_are_told_with_how_they_ended_and_what_they_say() -> None:
    story, sorter, helper = _told()
    story.propose_step("denied", DELETE, verdict="deny", code="policy", task_id=helper)
    story.tell(task.FinishTask(), task_id=helper)
    story.execute(subagent, subagent_id(helper), subagent.Report("I wrote it"))
    told = [
        (one.subagent_id, one.task_id, one.depth, one.status, one.reason, one.report, one.file_changes)
        for one in story.summary().subagents
    ]
    assert told == [
        (subagent_id(sorter), sorter, 1, "running", "", None, 1),
        (subagent_id(helper), helper, 2, "blocked", "denied: denied", "I wrote it", 1),
    ]
    story.tell(task.CancelTask("enough"), task_id=sorter)
    story.execute(subagent, subagent_id(sorter), subagent.Stop("enough"))
    first = story.summary().subagents[0]
    assert (first.status, first.stopped, first.action_id) == ("cancelled", "enough", f"{TASK}.2")
    (spawned,) = (r.position for r in story.events if r.stream == subagent_id(sorter) and r.version == 1)
    assert first.positions == (
        spawned,
        story.position_of(task.TaskCancelled),
        story.position_of(subagent.SubagentStopped),
    )


def test_what_a_subagent_left_open_is_left_open_by_its_parent() -> None:
    story, sorter, helper = _told()
    story.propose_step("denied", DELETE, verdict="deny", code="policy", task_id=helper)
    story.propose_step("ask", DELETE, verdict="allow_with_confirm", asked="confirmation-1", task_id=sorter)
    followups = [(one.subagent_id, one.step_id) for one in story.summary().followups]
    assert followups == [(subagent_id(sorter), "ask"), (subagent_id(helper), "denied")]
    assert [(one.confirmation_id, one.subagent_id) for one in story.summary().questions] == [
        ("confirmation-1", subagent_id(sorter))
    ]
    assert [(one.confirmation_id, one.subagent_id) for one in story.summary(sorter).questions] == [
        ("confirmation-1", None)
    ]


def test_an_action_that_started_a_subagent_says_how_that_ended_and_where_to_look() -> None:
    ends = {
        "did its task": task.RecordSuccess(action_id=f"{TASK}.1", effects=(), result=Result(summary="3 files")),
        "did not succeed": task.RecordFailure(action_id=f"{TASK}.1", reason_code="subagent", reason="it failed"),
        "was denied what it needed": task.RecordFailure(
            action_id=f"{TASK}.1", reason_code="blocked", reason="it failed"
        ),
        "was stopped": task.RecordFailure(action_id=f"{TASK}.1", reason_code="withdrawn", reason="it failed"),
    }
    outcomes = {}
    for words, end in ends.items():
        story = Story()
        story.begin(_step("sort"))
        child = story.spawn("sort", "Sorter", _step("move"))
        assert story.summary().action_log[0].details == 'subagent "Sorter" is at work'
        story.tell(end)
        summary = story.summary()
        (line,) = summary.action_log
        outcomes[words] = line.outcome
        why = "3 files" if words == "did its task" else "it failed"
        assert line.details == f'subagent "Sorter" {words}: {why}'
        to_do = f"To do: cowork task summary {child} says what it did and left undone"
        assert all(one.text == f"{line.details}. {to_do}" for one in summary.followups)
        assert bool(summary.followups) == (words != "did its task")
        (group,) = [group for group in story.timeline() if group.group == f"{TASK}.1"]
        ended = "task.action_succeeded" if words == "did its task" else "task.action_failed"
        assert (group.outcome, group.events[-1].event) == (line.outcome, ended)
        assert group.ended_at is not None
    assert list(outcomes.values()) == ["succeeded", "failed", "denied", "withdrawn"]


def test_what_started_no_subagent_after_all_sends_nobody_to_its_summary() -> None:
    story = Story()
    story.begin(_step("sort"))
    spawn = SubagentSpawn(title="Sorter")
    (name,) = story.propose_step("sort", spawn)
    story.start(name, spawn)
    why = "`b` can't be given: the task itself has no such folder"
    story.tell(task.RecordFailure(action_id=name, reason_code="no_grant", reason=why))
    (one,) = story.summary().followups
    assert "cowork task summary" not in one.text
    assert one.text.endswith(f"{why}. To do: grant the folder to the session, then run the task again")


def test_steps_that_a_person_took_out_and_put_in_are_told() -> None:
    story = Story()
    story.begin(_step("one"), _step("two"))
    changed = Step(step_id="one", title="Other one", description="better so", request=DELETE)
    story.tell(task.SendMessage(text="leave two alone", strategy="steer", said_by="ann"))
    plan = Plan(title="other", steps=(_step("three"), changed))
    story.tell(task.SteerTask(plan=plan, said_by="ann"))
    story.tell(task.RaiseBudget(Usage(actions=1)))
    summary = story.summary()
    said, steered = summary.steering
    assert (said.kind, said.by, said.text) == ("message", "ann", "leave two alone")
    assert (steered.kind, steered.added, steered.changed, steered.dropped) == (
        "steered",
        ("three",),
        ("one",),
        ("two",),
    )
    assert [(claim.about, claim.text) for claim in summary.claims] == [("one", "better so")]
    assert summary.claims[0].positions == steered.positions
    rows = {row["step_id"]: row for row in story.model().rows("summary_steps")}
    assert [rows[name]["number"] for name in ("three", "one")] == [1, 2]
    assert [bool(rows[name]["dropped_position"]) for name in ("one", "two", "three")] == [False, True, False]


def test_a_budget_that_is_used_up_says_what_to_do_until_there_is_more() -> None:
    story = Story()
    story.begin(_step("one"), budget=Budget(actions=1))
    story.tell(task.ExhaustBudget(TASK, Overrun(measure="actions", bound=1, needed=2)))
    (followup,) = story.summary().followups
    assert followup.text == (
        f"nothing more is started: the budget of {TASK} allows 1 action; going on takes 2 actions in all. "
        f"To do: cowork task budget {TASK} --add-actions 1, then cowork resume {TASK}"
    )
    assert followup.positions == (story.position_of(task.TaskBudgetExhausted),)
    story.tell(task.RaiseBudget(Usage(actions=1)))
    story.tell(task.ResumeTask())
    assert story.summary().followups == ()
    assert [line.kind for line in story.summary().steering] == ["budget_exhausted", "budget_raised"]


def test_a_stopped_task_says_how_to_go_on() -> None:
    story = Story()
    story.begin(_step("one"))
    story.tell(task.InterruptTask("wrong folder?"))
    (followup,) = story.summary().followups
    assert followup.text == f"paused: wrong folder?. To do: cowork resume {TASK}"
    assert [(line.kind, line.text) for line in story.summary().steering] == [("interrupted", "wrong folder?")]


def test_an_attempt_on_a_persons_word_is_told_as_that() -> None:
    story = Story()
    story.begin(_step("one"))
    (name,) = story.propose_step("one", DELETE)
    story.start(name, DELETE)
    story.tell(task.RecordUnknown(action_id=name, observed="half"))
    story.ask_again(name, "one", "confirmation-1", "half")
    (asked,) = (one.text for one in story.summary().followups if one.action_id)
    assert asked == (
        "perhaps deleted old.txt: half. To do: say whether it happened, or that it is to be tried again: "
        "cowork confirmation show confirmation-1"
    )
    story.approve("confirmation-1", finding="happened")
    story.tell(task.SettleUnknown(action_id=name, happened=True, said_by="person:ann"))
    summary = story.summary()
    assert [line.details for line in summary.action_log] == ["deleted old.txt, says person:ann"]
    assert [(one.answer, one.finding) for one in summary.questions] == [("approved", "happened")]
    assert summary.followups == ()


def test_every_line_of_a_tree_rests_on_events() -> None:
    story, sorter, helper = _told()
    story.propose_step("denied", DELETE, verdict="deny", code="policy", task_id=helper)
    story.tell(task.FinishTask(), task_id=helper)
    story.execute(subagent, subagent_id(helper), subagent.Report("I wrote it"))
    story.tell(task.SendMessage(text="go on", strategy="queue", said_by="ann"))
    known = {record.position for record in story.events}
    summary = story.summary()
    rests_on = [
        *(line.positions for line in summary.outputs),
        *(line.positions for line in summary.file_changes),
        *(line.positions for line in summary.subagents),
        *(line.positions for line in summary.steering),
        *(line.positions for line in summary.followups),
    ]
    assert len(rests_on) == 9
    assert all(positions and set(positions) <= known for positions in rests_on)
    assert msgspec.json.decode(msgspec.json.encode(summary))["subagents"][0]["taskId"] == sorter


def test_one_budget_that_stopped_a_whole_tree_is_told_once() -> None:
    story, sorter, helper = _told()
    over = Overrun(measure="actions", bound=1, needed=2)
    for name in (helper, sorter, TASK):
        story.tell(task.ExhaustBudget(TASK, over), task_id=name)
    assert [one.subagent_id for one in story.summary().followups] == [None]
    assert len(story.summary(helper).followups) == 1


def test_what_a_subagent_was_not_given_is_for_its_scope_to_give() -> None:
    story, _, helper = _told()
    story.propose_step("denied", DELETE, verdict="deny", code="no_grant", task_id=helper)
    (followup,) = story.summary().followups
    assert followup.text.endswith(
        "To do: give it to the subagent in its scope (its parent needs it, too), then run the task again"
    )
