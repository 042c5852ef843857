"""What a task's row says at each moment of its life."""

from typing import get_args

import msgspec
import pytest

from cowork.domain import ownership, task
from cowork.domain.action import FileDelete, FileMove, FileRead, Location
from cowork.domain.baseline import BASELINE
from cowork.domain.budget import Budget, Overrun, Usage
from cowork.domain.ids import subagent_id
from cowork.domain.plan import Batch, Listed, Plan, Step
from cowork.domain.policy import digest_of_layers
from tests.projections.story import TASK, Story

READ = FileRead(at=Location("grant-1", "a.txt"))
DELETE = FileDelete(at=Location("grant-1", "a.txt"))


def _step(step_id: str, request: object = READ, needs: tuple[str, ...] = ()) -> Step:
    return Step(step_id=step_id, title=f"Step {step_id}", needs=needs, request=request)  # type: ignore[arg-type]


def test_a_task_waits_for_its_questions_and_goes_on_when_it_is_resumed() -> None:
    story = Story()
    story.begin(_step("one", DELETE))
    assert story.task().status == "running"
    story.propose_step("one", DELETE, verdict="allow_with_confirm", asked="confirmation-1")
    story.tell(task.AwaitConfirmation())
    waiting = story.task()
    assert (waiting.status, waiting.waiting_for) == ("awaiting_confirmation", ("confirmation-1",))
    story.tell(task.ResumeTask())
    assert (story.task().status, story.task().waiting_for) == ("running", ())


def test_a_paused_task_says_why() -> None:
    story = Story()
    story.begin(_step("one"))
    story.tell(task.PauseTask("lunch"))
    assert (story.task().status, story.task().waiting_for) == ("paused", ("lunch",))


def _until(story: Story, status: str) -> None:
    """Drive a task into a status."""
    queue = task.QueueTask(task_id=TASK, session_id="session-1", title="t")
    if status == "queued":
        story.execute(task, TASK, queue)
        return
    if status in ("planning", "ready"):
        story.execute(task, TASK, queue)
        story.tell(task.StartPlanning("p"))
        if status == "ready":
            story.tell(task.AdoptPlan(task_plan()))
        return
    story.begin(_step("one"))
    if status == "awaiting_confirmation":
        story.propose_step("one", READ, verdict="allow_with_confirm", asked="confirmation-1")
        story.tell(task.AwaitConfirmation())
    elif status == "paused":
        story.tell(task.PauseTask("lunch"))
    elif status == "budget_exhausted":
        story.tell(task.ExhaustBudget(TASK, Overrun(measure="actions", bound=3, needed=4)))
    elif status == "cancelled":
        story.tell(task.CancelTask("enough"))
    elif status != "running":
        _finish(story, status)


def _finish(story: Story, status: str) -> None:
    if status == "completed_with_skips":
        story.tell(task.SkipStep("one", "not needed"))
    elif status == "blocked":
        story.propose_step("one", READ, verdict="deny", code="policy")
    else:
        (action_id,) = story.propose_step("one", READ)
        story.start(action_id, READ)
        if status == "completed":
            story.tell(task.RecordSuccess(action_id=action_id, effects=()))
        else:
            story.tell(task.RecordFailure(action_id=action_id, reason_code="io", reason="no"))
    story.tell(task.FinishTask())


def task_plan() -> Plan:
    return Plan(title="p", steps=(_step("one"),))


@pytest.mark.parametrize("status", get_args(task.TaskStatus))
def test_the_row_has_the_status_that_the_aggregate_has(status: str) -> None:
    story = Story()
    _until(story, status)
    state = story.state_of(TASK)
    assert isinstance(state, task.Task)
    assert story.task().status == state.status == status


def test_a_plan_has_the_shape_that_programs_expect() -> None:
    story = Story()
    everything = Batch(of="file.delete", match="**/*.tmp")
    story.begin(_step("one"), _step("two", everything, needs=("one",)))
    plan = msgspec.json.decode(msgspec.json.encode(story.task()))["plan"]
    assert plan == {
        "planId": "plan-1",
        "steps": [
            {
                "stepId": "one",
                "title": "Step one",
                "description": "",
                "requiresConfirmation": False,
                "actions": [{"kind": "file.read", "at": {"grantId": "grant-1", "path": "a.txt"}}],
            },
            {
                "stepId": "two",
                "title": "Step two",
                "description": "",
                "requiresConfirmation": True,
                "actions": [{"kind": "batch", "of": "file.delete", "match": "**/*.tmp"}],
            },
        ],
        "dependencies": [{"stepId": "two", "dependsOn": ["one"], "after": []}],
        "riskTags": ["delete", "batch"],
        "estimatedActions": ["file.read", "file.delete"],
        "onAsk": "wait",
        "answerWithinS": None,
    }


def test_whether_a_step_asks_is_an_estimate_until_it_begins_and_a_fact_from_then_on() -> None:
    story = Story()
    move = FileMove(at=Location("grant-1", "a"), to=Location("grant-1", "b"))
    story.begin(_step("read"), _step("move", move), _step("delete", DELETE))
    story.propose_step("read", READ, verdict="allow_with_confirm", asked="confirmation-1")
    story.propose_step("move", move)
    plan = story.task().plan
    assert plan is not None
    assert [step.requires_confirmation for step in plan.steps] == [True, False, True]


def test_a_task_tells_times_position_and_policy() -> None:
    story = Story()
    story.begin(_step("one"))
    (action_id,) = story.propose_step("one", READ)
    story.start(action_id, READ)
    told = story.task()
    assert told.created_at.endswith("Z")
    assert told.created_at < told.updated_at
    assert told.position == story.events[-1].position
    assert told.policy_digest == "sha256:policy"
    assert story.model().rows("sessions")[0]["policy_digest"] == digest_of_layers((BASELINE,))


def test_a_task_that_ended_says_why_and_what_it_left_out() -> None:
    story = Story()
    _until(story, "completed_with_skips")
    assert story.task().skipped == ("one",)
    story = Story()
    _until(story, "failed")
    assert story.task().reason == "did not succeed: one"
    assert msgspec.json.decode(msgspec.json.encode(story.task()))["parentTaskId"] is None


def test_a_task_that_was_cut_off_is_told_apart_from_one_that_was_paused() -> None:
    story = Story()
    story.begin(_step("one"))
    story.tell(task.InterruptTask("stop"))
    assert (story.task().status, story.task().interrupted, story.task().waiting_for) == ("paused", True, ("stop",))
    story.tell(task.ResumeTask())
    story.tell(task.PauseTask("lunch"))
    assert (story.task().status, story.task().interrupted) == ("paused", False)


def test_a_task_whose_budget_is_used_up_says_which_and_what_to_do() -> None:
    story = Story()
    story.begin(_step("one"), budget=Budget(wall_ms=60_000))
    story.tell(task.ExhaustBudget(TASK, Overrun(measure="wall_ms", bound=60_000, needed=61_500)))
    told = msgspec.json.decode(msgspec.json.encode(story.task()))
    assert told["exhausted"] == {
        "ofTask": TASK,
        "measure": "wall_ms",
        "bound": 60_000,
        "needed": 61_500,
        "reason": f"the budget of {TASK} allows 1 min of work; going on takes 1 min 1 s of work in all",
        "toDo": f"cowork task budget {TASK} --add-wall 60s",
    }
    assert told["waitingFor"] == [told["exhausted"]["reason"]]
    assert told["budget"] == {"wallMs": 60_000}
    story.tell(task.RaiseBudget(Usage(wall_ms=90_000)))
    assert (story.task().status, story.task().budget) == ("budget_exhausted", Budget(wall_ms=150_000))
    story.tell(task.ResumeTask())
    assert (story.task().exhausted, story.task().waiting_for) == (None, ())


def test_a_subagents_task_says_whose_it_is_and_how_deep() -> None:
    story = Story()
    story.begin(_step("one"))
    child = story.spawn("one", "Helper", _step("its"), _step("deeper"), budget=Budget(tokens=5))
    deeper = story.spawn("deeper", "Deeper", _step("more"), parent=child)
    told = story.task(deeper)
    assert (told.parent_task_id, told.root_task_id, told.depth) == (child, TASK, 2)
    assert (told.subagent_id, story.task(child).budget) == (subagent_id(deeper), Budget(tokens=5))
    assert (story.task().depth, story.task().subagent_id) == (0, None)


def test_the_questions_of_subagents_are_among_what_a_task_waits_for() -> None:
    story = Story()
    story.begin(_step("one"))
    child = story.spawn("one", "Helper", _step("its", DELETE))
    story.propose_step("its", DELETE, verdict="allow_with_confirm", asked="confirmation-1", task_id=child)
    story.tell(task.AwaitConfirmation(("confirmation-1",)))
    assert story.task().waiting_for == ("confirmation-1",)


def test_a_task_says_how_far_it_is_and_who_carries_it_on() -> None:
    story = Story()
    story.begin(_step("one"), _step("two"))
    (name,) = story.propose_step("one", READ)
    story.start(name, READ)
    story.tell(task.RecordSuccess(action_id=name, effects=()))
    story.tell(task.RecordProgress(2000))
    story.execute(ownership, f"ownership-{TASK}", ownership.ClaimTask(TASK, "process-7", "1.0"))
    progress = story.task().progress
    assert progress is not None
    assert (progress.actions, progress.settled, progress.steps_settled, progress.steps) == (1, 1, 1, 2)
    assert story.task().owner == "process-7"


def test_a_task_that_took_another_course_has_its_new_plan() -> None:
    story = Story()
    story.begin(_step("one"), _step("two"))
    story.tell(task.SteerTask(plan=Plan(title="p", steps=(_step("three"),)), said_by="ann"))
    plan = story.task().plan
    assert plan is not None
    assert [step.step_id for step in plan.steps] == ["three"]
    assert story.task().status == "running"


def test_a_step_with_several_actions_has_the_kinds_and_the_risks_of_all() -> None:
    story = Story()
    move = FileMove(at=Location("grant-1", "a"), to=Location("grant-1", "b"))
    story.begin(_step("undo", Listed(actions=(DELETE, move))))
    plan = story.task().plan
    assert plan is not None
    assert (plan.estimated_actions, plan.risk_tags) == (("file.delete", "file.move"), ("delete", "batch"))
    assert [action["kind"] for action in msgspec.to_builtins(plan.steps[0].actions)] == ["file.delete", "file.move"]
    assert plan.steps[0].requires_confirmation
