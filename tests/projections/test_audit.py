"""Who, what, why allowed, and what came of it."""

import msgspec
import pytest

from cowork.domain import grant, ownership, session, subagent, task
from cowork.domain.action import (
    Action,
    CodeRun,
    ConnectorAction,
    Content,
    FileDelete,
    FileMove,
    FileRead,
    FileSearch,
    FileWrite,
    Location,
    NetworkRequest,
    ShellExec,
    SubagentSpawn,
)
from cowork.domain.budget import Budget, Overrun, Usage
from cowork.domain.ids import subagent_id
from cowork.domain.plan import Plan, Step
from cowork.domain.scope import PartVerbs, Scope
from cowork.projections.audit_log import audit_rows
from cowork.projections.scope_words import scope_words
from tests.projections.course import SCOPE
from tests.projections.effects import effects_of
from tests.projections.story import TASK, Story

READ = FileRead(at=Location("grant-1", "a.txt"))
DELETE = FileDelete(at=Location("grant-2", "b.txt"))
WRITE = FileWrite(at=Location("grant-1", "out/c.txt"), content=Content("sha256:new", 1))


def _step(name: str) -> Step:
    return Step(step_id=name, title=name, request=READ)


def _story(*names: str) -> Story:
    story = Story()
    story.begin(*map(_step, names))
    return story


def test_an_action_that_a_person_allowed_tells_who_and_why() -> None:
    story = _story("one")
    (name,) = story.propose_step("one", WRITE, verdict="allow_with_confirm", asked="confirmation-1")
    story.approve("confirmation-1")
    story.start(name, WRITE, "confirmation-1")
    story.tell(task.RecordSuccess(action_id=name, effects=effects_of(WRITE)))
    (row,) = [row for row in story.audit() if row.action_id == name]
    assert (row.session_id, row.task_id, row.step_id, row.actor) == ("session-1", TASK, "one", "agent:plan-file")
    assert (row.kind, row.target) == ("file.write", "out/c.txt")
    assert (row.verdict, row.rule_id, row.layer) == ("allow_with_confirm", "allow_with_confirm-rule", "baseline")
    assert row.reason == "the rules say allow_with_confirm"
    assert row.risk_tags == ("delete",)
    assert (row.confirmation_id, row.answered_by) == ("confirmation-1", "person:ann")
    assert (row.outcome, row.digest_before, row.digest_after) == ("succeeded", "sha256:old", "sha256:new")
    assert row.position == story.position_of(task.ActionProposed)
    assert row.positions == (
        row.position,
        story.position_of(task.ActionConfirmationRequired),
        story.position_of(task.ActionStarted),
        story.position_of(task.ActionSucceeded),
    )


def test_an_action_that_did_not_happen_tells_why() -> None:
    story = _story("denied", "rejected", "failed", "unknown", "waiting", "started")
    story.propose_step("denied", DELETE, verdict="deny", code="policy")
    (name,) = story.propose_step("rejected", DELETE, verdict="allow_with_confirm", asked="confirmation-1")
    story.reject("confirmation-1", "no")
    story.tell(task.DeclineAction(action_id=name, reason_code="rejected", reason="rejected by person:bob"))
    (name,) = story.propose_step("failed", READ)
    story.start(name, READ)
    story.tell(task.RecordFailure(action_id=name, reason_code="io", reason="disk on fire"))
    (name,) = story.propose_step("unknown", READ)
    story.start(name, READ)
    story.tell(task.RecordUnknown(action_id=name, observed="half"))
    story.propose_step("waiting", READ)
    (name,) = story.propose_step("started", READ)
    story.start(name, READ)
    told = [(row.step_id, row.outcome, row.outcome_reason) for row in story.audit() if row.action_id]
    assert told == [
        ("denied", "denied", "the rules say deny"),
        ("rejected", "rejected", "rejected by person:bob"),
        ("failed", "failed", "disk on fire"),
        ("unknown", "unknown", "half"),
        ("waiting", "waiting", ""),
        ("started", "started", ""),
    ]


def eventful() -> tuple[Story, str]:
    """Return a story with every kind of event that is not an action's, and the id of its subagent's task."""
    story = Story()
    story.begin(*map(_step, ("one", "two", "three", "four")), budget=Budget(actions=3))
    story.propose_step("one")
    story.propose_step("two", DELETE, verdict="allow_with_confirm", asked="confirmation-1")
    story.reject("confirmation-1", "no")
    story.tell(task.SkipStep("three", "no need"))
    child = story.spawn("four", "Helper", Step(step_id="its", title="its", request=DELETE), budget=Budget(actions=5))
    story.tell(task.SkipStep("its", "no need"), task_id=child)
    story.tell(task.FinishTask(), task_id=child)
    story.execute(subagent, subagent_id(child), subagent.Report("done"))
    story.execute(ownership, f"ownership-{TASK}", ownership.ClaimTask(TASK, "process-7", "1.0"))
    story.tell(task.InterruptTask("stop"))
    story.tell(task.SendMessage(text="mind the gap", strategy="steer", said_by="ann"))
    plan = Plan(title="other", steps=tuple(_step(name) for name in ("one", "two", "three", "four", "five")))
    story.tell(task.SteerTask(plan=plan, said_by="ann"))
    story.tell(task.RecordProgress(1500))
    story.tell(task.ReportUsage(tokens=12, reported_by="planner"))
    story.tell(task.ResumeTask())
    story.tell(task.ExhaustBudget(TASK, Overrun(measure="actions", bound=3, needed=4)))
    story.tell(task.RaiseBudget(Usage(actions=2)))
    story.tell(task.CancelTask("enough"), "person:ann")
    story.execute(grant, "grant-1", grant.RevokeGrant("enough"), "person:ann")
    story.execute(session, "session-1", session.AllowRoot("setting"), "person:ann")
    story.execute(session, "session-1", session.EndSession("done"), "person:ann")
    return story, child


def test_every_event_that_is_not_an_actions_has_a_line_of_its_own_with_its_session() -> None:
    story, child = eventful()
    rows = [row for row in story.audit() if not row.action_id]
    assert [row.kind for row in rows] == [
        "session.started",
        "session.policy_adopted",
        "grant.given",
        "session.grant_added",
        "grant.given",
        "session.grant_added",
        "task.queued",
        "task.planning_started",
        "task.planned",
        "task.started",
        "task.step_begun",
        "confirmation.requested",
        "confirmation.rejected",
        "task.step_skipped",
        "subagent.spawned",
        "task.queued",
        "task.planning_started",
        "task.planned",
        "task.started",
        "task.step_skipped",
        "task.completed",
        "subagent.reported",
        "ownership.claimed",
        "task.interrupted",
        "task.messaged",
        "task.steered",
        "task.progressed",
        "task.usage_reported",
        "task.resumed",
        "task.budget_exhausted",
        "task.budget_raised",
        "task.cancelled",
        "grant.revoked",
        "session.root_allowed",
        "session.ended",
    ]
    assert {row.session_id for row in rows} == {"session-1"}
    of_task = [row for row in rows if row.task_id]
    assert {row.task_id for row in of_task} == {TASK, child}
    assert len([row for row in of_task if row.task_id == child]) == 6
    assert len([row for row in of_task if row.task_id == TASK]) == 20


def test_such_a_line_says_who_did_it_to_what_and_why() -> None:
    story, child = eventful()
    by_kind = {row.kind: row for row in story.audit() if not row.action_id}
    assert by_kind["confirmation.rejected"].answered_by == "person:bob"
    assert by_kind["confirmation.rejected"].reason == "no"
    assert by_kind["session.root_allowed"].reason == "by COWORK_UNSAFE_AS_ROOT"
    assert by_kind["confirmation.requested"].answered_by == ""
    assert by_kind["confirmation.rejected"].target == by_kind["confirmation.requested"].target == "Delete a.csv"
    assert by_kind["grant.given"].target == "/home/ann/photos"
    assert by_kind["grant.revoked"].target == "/home/ann/reports"
    assert by_kind["grant.revoked"].actor == "person:ann"
    assert by_kind["subagent.spawned"].reason == (
        f"by {TASK}.2, its task is {child}, depth 1, folders f (read, create, write, move, delete), no granted host; "
        "budget 5 actions"
    )
    assert (by_kind["subagent.reported"].outcome, by_kind["subagent.reported"].target) == ("", "Helper")
    assert (by_kind["task.messaged"].target, by_kind["task.messaged"].reason) == ("steer", "ann: mind the gap")
    assert by_kind["task.steered"].reason == "added five, by ann"
    assert by_kind["task.budget_raised"].reason == "2 actions more; now 5 actions"
    assert (by_kind["ownership.claimed"].target, by_kind["ownership.claimed"].task_id) == ("process-7", TASK)


def test_parts_of_a_folder_are_named_with_the_verbs_of_each() -> None:
    parts = (PartVerbs("in", ("read",)), PartVerbs("out", ("read", "create")))
    folder = msgspec.structs.replace(SCOPE.folders[0], within=("in", "out"), by_part=(parts,))
    assert scope_words(Scope((folder,), kinds=("file.read",), only_hosts=True)) == (
        "folders f within in (read), out (read, create), no granted host, only file.read"
    )


def test_a_claim_names_its_places_and_the_action_that_wants_them() -> None:
    story = _story("one", "two")
    story.spawn("one", "Helper", _step("its"))
    (name,) = story.propose_step("two", DELETE)
    story.start(name, DELETE)
    (row,) = [row for row in story.audit() if row.kind == "task.paths_claimed"]
    assert (row.target, row.reason, row.task_id) == ("grant-2:b.txt", f"for {name}", TASK)


def test_an_attempt_that_a_person_tells_about_names_the_person() -> None:
    story = _story("one")
    (name,) = story.propose_step("one", DELETE)
    story.start(name, DELETE)
    story.tell(task.RecordUnknown(action_id=name, observed="half"))
    story.tell(task.SettleUnknown(action_id=name, happened=False, said_by="person:ann"))
    (row,) = [row for row in story.audit() if row.action_id]
    assert (row.outcome, row.said_by) == ("failed", "person:ann")
    assert row.outcome_reason == "it was interrupted, and person:ann says that it did not happen"


def test_an_attempt_about_which_a_question_is_open_is_still_unknown() -> None:
    story = _story("one")
    (name,) = story.propose_step("one", DELETE)
    story.start(name, DELETE)
    story.tell(task.RecordUnknown(action_id=name, observed="half"))
    story.ask_again(name, "one", "confirmation-1", "half")
    assert [row.outcome for row in story.audit() if row.action_id] == ["unknown"]
    story.tell(task.DeclineAction(action_id=name, reason_code="unknown", reason="nobody answered in time"))
    assert [row.outcome for row in story.audit() if row.action_id] == ["unknown"]


def test_places_go_by_their_folders_names_where_these_are_known() -> None:
    story = _story("one")
    story.propose_step("one", DELETE)
    assert [row.target for row in story.audit() if row.action_id] == ["photos:b.txt"]
    model = story.model()
    bare = audit_rows(model.rows("actions"), [], model.rows("audit_subjects"))
    assert [row.target for row in bare] == ["grant-2:b.txt"]


def test_lines_are_in_the_order_of_the_log() -> None:
    story = _story("one")
    story.propose_step("one", *[READ] * 12)
    rows = story.audit()
    assert [row.position for row in rows] == sorted(row.position for row in rows)
    assert [row.action_id for row in rows if row.action_id] == [f"{TASK}.{n}" for n in range(1, 13)]


def test_a_line_has_the_names_that_programs_expect() -> None:
    story = _story("one")
    story.propose_step("one", DELETE)
    line = msgspec.json.decode(msgspec.json.encode(story.audit()[-1]))
    expected = (
        "position at sessionId taskId actionId kind target verdict ruleId reason riskTags actor outcome "
        "digestBefore digestAfter"
    )
    assert set(expected.split()) <= set(line)


@pytest.mark.parametrize(
    ("action", "target", "destination"),
    [
        (FileMove(at=READ.at, to=Location("grant-2", "b\u202e.txt")), "a.txt", "photos:b\u202e.txt"),
        (FileSearch(at=Location("grant-2", "."), pattern="x"), "photos:.", ""),
        (ShellExec(argv=("rm", "a b\x1b"), cwd=READ.at), '"rm" "a b\\x1b"', ""),
        (CodeRun(python="a\nb", cwd=READ.at), "Python, 2 lines", ""),
        (NetworkRequest(method="GET", url="https://x/\u200b"), "GET https://x/\\u200b", ""),
        (ConnectorAction(connector="github", tool="issue"), "github: issue", ""),
        (SubagentSpawn(title="my \x07 helper"), '"my \\x07 helper"', ""),
        (FileRead(at=Location("", "/etc/passwd")), "/etc/passwd", ""),
    ],
)
def test_what_an_action_is_about_is_told_for_every_kind(action: Action, target: str, destination: str) -> None:
    story = _story("one")
    story.propose_step("one", action)
    (row,) = [row for row in story.audit() if row.action_id]
    assert (row.target, row.destination) == (target, destination)
