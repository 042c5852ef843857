"""Before a task goes on, what changed while it did not run is told, and telling it changes nothing."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import cowork
from cowork.adapters.event_store.memory import MemoryEventStore
from cowork.domain.action import SubagentSpawn
from cowork.domain.confirmation import Withdraw
from cowork.domain.errors import DomainError
from cowork.domain.grant import FolderGranted, HostGranted, NarrowGrant
from cowork.domain.plan import Batch, Request, Step
from cowork.domain.policy_document import Layer, Rule, layer_of_rules
from cowork.domain.scope import VERBS, FolderIdentity, FolderScope, Scope, Verb
from cowork.domain.task import ActionStarted, TaskQueued
from cowork.engine import limits
from cowork.engine.application import Answer
from cowork.engine.command_handler import CommandHandler, Order, order_confirmation, order_grant
from cowork.engine.ports import StandingLayers
from cowork.engine.resume_changes import rights_lost
from cowork.engine.resume_report import ResumeReport, RightsLost
from tests.engine.breaking import Died, Executing, die, with_executor
from tests.engine.commands import HELD_BY, command, with_commands
from tests.engine.rig import PERSON, START, Rig, create, delete, move, read, write

pytestmark = pytest.mark.anyio

ASKS = (Rule("deletes", "file.delete", "allow_with_confirm", reason="deleting"), Rule("rest", ("*",), "allow"))
RULES = layer_of_rules("run", ASKS)


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path, files={"a.txt": "a", "b.txt": "b", "c.txt": "c"})


def after(name: str, request: Request, *needs: str) -> Step:
    return Step(step_id=name, title=name, request=request, needs=needs)


async def waiting(rig: Rig, *requests: Request | Step, rules: Layer = RULES, **how: Any) -> str:
    """Start a task and let it run until it waits for an answer; an hour passes, and another process comes."""
    task = await rig.run(*requests, rules=rules, **how)
    assert task.status == "awaiting_confirmation"
    rig.clock.move(timedelta(hours=1))
    rig.restart()
    return task.task_id


async def by_hand(rig: Rig, *orders: Order) -> None:
    """Give commands past the application, as another process would."""
    await CommandHandler(MemoryEventStore(rig.rows), rig.clock, rig.ids).execute(*orders, actor=PERSON, cause="test")


async def narrow(rig: Rig, *verbs: Verb) -> None:
    (granted,) = rig.events(FolderGranted)
    await by_hand(rig, order_grant(granted.grant_id, NarrowGrant(verbs=verbs, output_roots=())))


def moves(report: ResumeReport) -> list[tuple[str, str, str, str]]:
    return [(one.step_id, one.action_id.rpartition(".")[2], one.place.path, one.change) for one in report.files]


# Nothing


async def test_where_nothing_changed_the_report_is_quiet_and_lists_what_waits(rig: Rig) -> None:
    task_id = await waiting(rig, read("a.txt"), delete("b.txt"))
    report = await rig.app.resume_report(task_id)
    assert report.is_quiet
    (question,) = report.questions
    asked = rig.open_question()
    assert (question.confirmation_id, question.digest, question.standing) == (
        asked.confirmation_id,
        asked.digest,
        "waits",
    )
    assert report.away_since == rig.log()[-1].origin.at
    assert report.last_run is not None
    assert report.last_run.engine == cowork.__version__
    assert report.scope_then == report.scope_now
    assert (report.looked_at, report.not_looked_at) == (1, 0)


async def test_making_the_report_changes_nothing(rig: Rig) -> None:
    commands = with_commands(rig)
    rules = layer_of_rules("run", (Rule("all", ("*",), "allow_with_confirm"),))
    task = await rig.run(command("fetch"), delete("b.txt"), rules=rules)
    runs, log, files = rig.self_test.runs, len(rig.log()), rig.files()
    rig.self_test.machine = "another"
    rig.machine = StandingLayers(user=layer_of_rules("user", (Rule("no", "file.delete", "deny"),)))
    first = await rig.app.resume_report(task.task_id)
    assert first == await rig.app.resume_report(task.task_id)
    assert (rig.self_test.runs, len(rig.log()), rig.files(), commands.ran) == (runs, log, files, [])


async def test_there_is_no_report_of_a_task_that_has_ended_or_never_was(rig: Rig) -> None:
    task = await rig.run(read("a.txt"), rules=RULES)
    with pytest.raises(DomainError, match="has ended: it is completed"):
        await rig.app.resume_report(task.task_id)
    with pytest.raises(DomainError, match="there is no task") as absent:
        await rig.app.resume_report("task-0000000000000000")
    assert absent.value.code == "not_found"


# Policy


async def test_a_changed_policy_document_is_named_with_both_digests(rig: Rig) -> None:
    before = layer_of_rules("user", (Rule("one", "file.delete", "allow_with_confirm"),))
    now = layer_of_rules("user", (Rule("two", "file.delete", "deny"),))
    rig.machine = StandingLayers(user=before)
    task_id = await waiting(rig, delete("b.txt"))
    rig.machine = StandingLayers(user=now)
    report = await rig.app.resume_report(task_id)
    assert report.policy is not None
    assert [(one.layer, one.then, one.now) for one in report.policy.layers] == [("user", before.digest, now.digest)]
    assert report.policy.then != report.policy.now
    await rig.app.carry_on(task_id)
    assert (await rig.app.resume_report(task_id)).policy is None


async def test_a_document_that_came_or_went_is_named(rig: Rig) -> None:
    task_id = await waiting(rig, delete("b.txt"))
    came = layer_of_rules("organisation", (Rule("all", ("*",), "allow_with_confirm"),))
    rig.machine = StandingLayers(organisation=came)
    report = await rig.app.resume_report(task_id)
    assert report.policy is not None
    assert [(one.layer, one.then, one.now) for one in report.policy.layers] == [("organisation", "", came.digest)]


# Grants and rights


async def test_a_revoked_grant_is_told_with_all_that_is_lost(rig: Rig) -> None:
    task_id = await waiting(rig, delete("b.txt"))
    (granted,) = rig.events(FolderGranted)
    await rig.app.revoke(granted.grant_id, by=PERSON)
    report = await rig.app.resume_report(task_id)
    (change,) = report.grants
    assert (change.grant_id, change.name, change.change) == (granted.grant_id, "work", "revoked")
    assert change.at == rig.log()[-1].origin.at
    assert report.rights == (RightsLost(task_id=task_id, grant_id=granted.grant_id, name="work", verbs=VERBS),)
    assert report.files == ()
    assert report.scope_then != report.scope_now


async def test_a_narrowed_grant_is_told_with_the_verbs_that_are_left(rig: Rig) -> None:
    task_id = await waiting(rig, delete("b.txt"), outputs=("out",))
    await narrow(rig, "read", "move")
    report = await rig.app.resume_report(task_id)
    assert [(one.change, one.detail) for one in report.grants] == [("narrowed", "it covers read, move now")]
    (lost,) = report.rights
    assert (lost.verbs, lost.left, lost.output_roots) == (("create", "write", "delete"), ("read", "move"), ("out",))


async def test_a_grant_whose_time_ran_out_is_told_without_any_event(rig: Rig) -> None:
    task_id = await waiting(rig, delete("b.txt"), expires_in=timedelta(minutes=30))
    report = await rig.app.resume_report(task_id)
    assert [(one.change, one.at) for one in report.grants] == [("expired", None)]
    assert [one.verbs for one in report.rights] == [VERBS]


async def test_what_was_lost_before_the_last_run_is_no_news(rig: Rig) -> None:
    task = await rig.run(delete("b.txt"), delete("c.txt"), rules=RULES)
    await narrow(rig, "read", "delete")
    await rig.app.carry_on(task.task_id)
    report = await rig.app.resume_report(task.task_id)
    assert (report.grants, report.rights) == ((), ())


@pytest.mark.parametrize(("put", "change"), [(True, "replaced"), (False, "missing")])
async def test_another_folder_at_the_path_of_a_grant_is_told_and_not_looked_into(
    rig: Rig, put: bool, change: str
) -> None:
    task_id = await waiting(rig, delete("b.txt"))
    rig.work.rename(rig.folder / "elsewhere")
    if put:
        rig.work.mkdir()
        rig.write("b.txt", "another b")
    report = await rig.app.resume_report(task_id)
    assert [one.change for one in report.grants] == [change]
    assert [one.verbs for one in report.rights] == [VERBS]
    assert (report.files, report.looked_at) == ((), 0)


async def test_a_revoked_host_is_told(rig: Rig) -> None:
    task_id = await waiting(rig, delete("b.txt"), hosts=("api.example", "other.example"))
    granted = next(one for one in rig.events(HostGranted) if one.host == "api.example")
    await rig.app.revoke(granted.grant_id, by=PERSON)
    report = await rig.app.resume_report(task_id)
    assert [(one.name, one.change) for one in report.grants] == [("api.example", "revoked")]
    assert report.rights == (RightsLost(task_id=task_id, grant_id=granted.grant_id, name="api.example"),)


FOLDERS = st.builds(
    FolderScope,
    grant_id=st.sampled_from(["g1", "g2"]),
    name=st.just("f"),
    root_path=st.just("/f"),
    verbs=st.lists(st.sampled_from(VERBS), unique=True).map(tuple),
    output_roots=st.lists(st.sampled_from(["out", "out/a", "."]), unique=True).map(tuple),
    identity=st.just(FolderIdentity(1, 1)),
    expires_at=st.sampled_from([None, START, START + timedelta(hours=1)]),
    revoked=st.booleans(),
)
SCOPES = st.lists(FOLDERS, max_size=2, unique_by=lambda one: one.grant_id).map(lambda found: Scope(tuple(found)))


@given(then=SCOPES, now=SCOPES, gone=st.sampled_from([(), ("g1",)]))
def test_what_is_left_of_a_grant_is_never_more_than_there_was(then: Scope, now: Scope, gone: tuple[str, ...]) -> None:
    at = START + timedelta(minutes=30)
    for lost in rights_lost("task-1", then, START - timedelta(hours=1), now, at, gone):
        before, after = then.folder(lost.grant_id), now.folder(lost.grant_id)
        assert before is not None
        assert set(lost.left) <= set(before.verbs)
        assert set(lost.left) | set(lost.verbs) == set(before.verbs)
        over = after is None or after.revoked or (after.expires_at is not None and after.expires_at <= at)
        assert not lost.left or not (over or lost.grant_id in gone)


# Files


async def test_what_a_question_showed_and_is_not_so_any_more_voids_the_question(rig: Rig) -> None:
    task_id = await waiting(rig, delete("a.txt"), delete("b.txt"), delete("c.txt"))
    rig.write("a.txt", "edited")
    (rig.work / "b.txt").unlink()
    report = await rig.app.resume_report(task_id)
    assert moves(report) == [("s1", "1", "a.txt", "changed"), ("s2", "2", "b.txt", "missing")]
    assert all(one.then.startswith("sha256:") for one in report.files)
    assert [one.now.startswith("sha256:") for one in report.files] == [True, False]
    assert [(one.standing, one.reason) for one in report.questions] == [
        ("outdated", "`a.txt` is not as it was shown: changed"),
        ("outdated", "`b.txt` is not as it was shown: missing"),
        ("waits", ""),
    ]
    assert not report.is_quiet


async def test_a_place_that_was_free_and_is_not_any_more_is_told(rig: Rig) -> None:
    rules = layer_of_rules("run", (Rule("all", ("*",), "allow_with_confirm"),))
    task_id = await waiting(rig, create("new.txt", rig.content("n")), move("a.txt", "to.txt"), rules=rules)
    rig.write("new.txt", "somebody's")
    rig.write("to.txt", "somebody's")
    report = await rig.app.resume_report(task_id)
    assert moves(report) == [("s1", "1", "new.txt", "new"), ("s2", "2", "to.txt", "new")]


async def test_what_is_left_of_the_plan_is_held_against_what_the_task_saw_and_made(rig: Rig) -> None:
    task_id = await waiting(
        rig,
        read("a.txt"),
        create("made.txt", rig.content("made")),
        move("c.txt", "moved.txt"),
        delete("b.txt"),
        after("rest", write("a.txt", rig.content("new")), "s4"),
        after("all", Batch(of="file.read", match="m*.txt"), "s4"),
        after("back", move("moved.txt", "c.txt"), "s4"),
    )
    assert (await rig.app.resume_report(task_id)).files == ()
    rig.write("a.txt", "edited")
    rig.write("made.txt", "edited")
    rig.write("c.txt", "somebody's")
    (rig.work / "moved.txt").unlink()
    report = await rig.app.resume_report(task_id)
    assert sorted(moves(report)) == [
        ("all", "", "made.txt", "changed"),
        ("all", "", "moved.txt", "missing"),
        ("back", "", "c.txt", "new"),
        ("back", "", "moved.txt", "missing"),
        ("rest", "", "a.txt", "changed"),
    ]
    assert [one.standing for one in report.questions] == ["waits"]


async def test_only_so_many_places_are_looked_at_and_the_rest_is_counted(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    task_id = await waiting(rig, delete("a.txt"), delete("b.txt"), delete("c.txt"))
    monkeypatch.setattr(limits, "RESUME_LOOKS_MAX", 2)
    report = await rig.app.resume_report(task_id)
    assert (report.looked_at, report.not_looked_at) == (2, 1)


# Versions


async def test_another_version_of_the_engine_is_told(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    task_id = await waiting(rig, delete("b.txt"))
    then = cowork.__version__
    monkeypatch.setattr(cowork, "__version__", "99.0")
    rig.restart()
    (version,) = (await rig.app.resume_report(task_id)).versions
    assert (version.part, version.then, version.now) == ("engine", then, "99.0")


async def test_another_sandbox_is_told_and_voids_the_question_about_a_command(rig: Rig) -> None:
    with_commands(rig)
    rules = layer_of_rules("run", (Rule("all", ("*",), "allow_with_confirm"),))
    task = await rig.run(command("fetch"), rules=rules)
    commands = with_commands(rig)
    commands.confinement = msgspec.structs.replace(HELD_BY, sandbox="bubblewrap 9.9", landlock=8)
    report = await rig.app.resume_report(task.task_id)
    assert [(one.part, one.then, one.now) for one in report.versions] == [
        ("sandbox", "bubblewrap 0.8.0", "bubblewrap 9.9"),
        ("landlock", "7", "8"),
    ]


# Questions


async def test_questions_that_were_answered_or_ran_out_are_told_with_the_reason(rig: Rig) -> None:
    rig.write("d.txt", "d")
    task_id = await waiting(rig, *(delete(name) for name in ("a.txt", "b.txt", "c.txt", "d.txt")))
    report = await rig.app.resume_report(task_id)
    yes, no, taken_back, _ = report.questions
    await rig.app.answer(yes.confirmation_id, yes.digest, Answer(approve=True, answered_by=PERSON))
    await rig.app.answer(no.confirmation_id, no.digest, Answer(approve=False, answered_by=PERSON, note="keep it"))
    await by_hand(rig, order_confirmation(taken_back.confirmation_id, Withdraw("not needed any more")))
    rig.clock.move(timedelta(seconds=limits.CONFIRMATION_TTL_S))
    report = await rig.app.resume_report(task_id)
    assert [(one.standing, one.reason) for one in report.questions] == [
        ("approved", f"by {PERSON}"),
        ("rejected", f"by {PERSON}: keep it"),
        ("withdrawn", "not needed any more"),
        ("expired", "nobody answered in time"),
    ]


# What was under way


async def test_what_a_crash_left_open_is_told_before_and_after_it_was_looked_at(rig: Rig) -> None:
    with_executor(rig, Executing(rig, after=die))
    task_id = await rig.start(delete("a.txt"), rules=layer_of_rules("run", (Rule("all", ("*",), "allow"),)))
    with pytest.raises((Died, BaseExceptionGroup)):
        await rig.app.carry_on(task_id)
    rig.restart()
    (attempt,) = (await rig.app.resume_report(task_id)).under_way
    (start,) = [one for one in rig.log() if isinstance(one.event, ActionStarted)]
    assert (attempt.action_id, attempt.kind, attempt.attempt) == (f"{task_id}.1", "file.delete", 1)
    assert (attempt.started_at, attempt.found) == (start.origin.at, "")
    for kept in (rig.state / "quarantine").iterdir():
        kept.unlink()
    assert (await rig.app.carry_on(task_id)).status == "awaiting_confirmation"
    report = await rig.app.resume_report(task_id)
    (question,) = report.questions
    assert question.headline.startswith("Did this happen? Delete a.txt")
    assert report.files == ()


# Subagents


async def test_a_whole_tree_is_told_of_and_a_subagent_loses_what_its_parent_loses(rig: Rig) -> None:
    steps = [{"id": "x", "needs": [], "action": {"kind": "file.delete", "path": "a.txt"}}]
    wished = {"folders": [{"path": ".", "verbs": ["read", "delete"]}]}
    helper = SubagentSpawn(title="helper", scope=json.dumps(wished), steps=json.dumps(steps))
    rules = layer_of_rules("run", (*ASKS[:1], Rule("spawning", "subagent.spawn", "allow"), *ASKS[1:]))
    task_id = await waiting(rig, helper, rules=rules)
    child = next(one.task_id for one in rig.events(TaskQueued) if one.parent_task_id == task_id)
    rig.write("a.txt", "edited")
    await narrow(rig, "read", "create")
    for asked in (task_id, child):
        report = await rig.app.resume_report(asked)
        assert report.task_id == task_id
        assert [(one.task_id, one.verbs, one.left) for one in report.rights] == [
            (task_id, ("write", "move", "delete"), ("read", "create")),
            (child, ("delete",), ("read",)),
        ]
        assert [(one.task_id, one.place.path) for one in report.files] == [(child, "a.txt")]
        assert [(one.task_id, one.standing) for one in report.questions] == [(child, "outdated")]
        assert report.under_way == ()
