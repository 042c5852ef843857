"""Subagents: tasks of their own beneath the one that started them, with no more than it has."""

import json
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from cowork.adapters.event_store.memory import MemoryEventStore
from cowork.domain.action import FileDelete, Location
from cowork.domain.confirmation import ConfirmationRequested
from cowork.domain.errors import DomainError
from cowork.domain.event import Event, Recorded
from cowork.domain.plan import Step
from cowork.domain.policy_document import Defaults, Limit, PolicyDocument, Rule, layer, layer_of_rules
from cowork.domain.subagent import SubagentReported, SubagentSpawned, SubagentStopped
from cowork.domain.task import (
    ActionConfirmationRequired,
    ActionDenied,
    ActionFailed,
    ActionStarted,
    ActionSucceeded,
    PathsClaimed,
    Started,
    Task,
    TaskBudgetExhausted,
    TaskProgressed,
    TaskQueued,
)
from cowork.engine import limits
from cowork.engine.answering import Answer
from cowork.engine.claims import Claims
from cowork.engine.command_handler import TASK, CommandHandler
from cowork.engine.planning_ports import PlannedTask
from cowork.engine.ports import Outcome, Permit
from cowork.engine.session_view import SessionViews
from cowork.projections.registry import PROJECTIONS
from tests.engine.breaking import Died, Executing, Interrupted, die, with_executor
from tests.engine.commands import Run, with_commands
from tests.engine.planted_trees import nested, spawn, step
from tests.engine.rig import PERSON, Rig, Says, create, delete, read, write

pytestmark = pytest.mark.anyio
ALLOWED = layer_of_rules("all", (Rule("everything", ("*",), "allow"), Rule("spawning", "subagent.spawn", "allow")))


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path, files={"a.txt": "a", "b.txt": "b", "in/one.txt": "1", "in/two.txt": "2"})


def named(name: str, request: Any, *needs: str) -> Step:
    return Step(step_id=name, title=name, request=request, needs=needs)


async def test_a_subagent_carries_out_its_steps_and_its_report_ends_the_step(rig: Rig) -> None:
    helper = spawn("helper", step("x", "file.create", path="x.txt", content="x"), step("y", "file.read", path="a.txt"))
    task = await rig.run(helper, named("after", read("x.txt"), "s1"), rules=ALLOWED)
    assert task.status == "completed"
    assert rig.files()["x.txt"] == "x"
    (spawned,), (reported,) = rig.events(SubagentSpawned), rig.events(SubagentReported)
    assert spawned.parent_task_id == task.task_id
    assert spawned.task_id == f"{task.task_id}-s1"
    assert "completed" in reported.report
    outcome = next(one for one in rig.events(ActionSucceeded) if one.action_id == f"{task.task_id}.1")
    assert outcome.result is not None
    report = json.loads(rig.blobs.get(outcome.result.digest))
    assert report["status"] == "completed"
    assert [change["at"]["path"] for change in report["changes"]] == ["x.txt"]
    rig.assert_clean()


class Waiting(Executing):
    """The real executor, which waits until so many actions are under way at once."""

    def __init__(self, rig: Rig, wanted: int) -> None:
        super().__init__(rig)
        self._wanted = wanted

    async def perform(self, permit: Permit) -> Outcome:
        self.performed.append(permit)
        with anyio.fail_after(30):
            while len(self.performed) < self._wanted:
                await anyio.lowlevel.checkpoint()
        return await super().perform(permit)


async def test_subagents_are_at_work_beside_each_other(rig: Rig) -> None:
    with_executor(rig, Waiting(rig, 5))
    helpers = [spawn(f"helper {n}", step("x", "file.create", path=f"{n}.txt", content="x")) for n in range(5)]
    task = await rig.run(*helpers, rules=ALLOWED)
    assert task.status == "completed"
    rig.assert_clean()


async def test_a_subagent_may_do_no_more_than_it_was_given(rig: Rig) -> None:
    helper = spawn(
        "helper",
        step("inside", "file.read", path="in/one.txt"),
        step("outside", "file.read", path="a.txt"),
        step("around", "file.read", path="in/../a.txt"),
        step("write", "file.write", path="in/two.txt", content="!"),
        folders=["in"],
    )
    task = await rig.run(helper, rules=ALLOWED)
    assert task.status == "blocked"
    assert [one.decision.reason_code for one in rig.events(ActionDenied)] == ["no_grant", "escape", "no_grant"]
    assert rig.files()["in/two.txt"] == "2"
    assert [one.reason_code for one in rig.events(ActionFailed)] == ["blocked"]
    rig.assert_clean()


async def test_parts_of_one_folder_can_be_given_with_different_verbs(rig: Rig) -> None:
    helper = spawn(
        "helper",
        step("read", "file.read", path="in/one.txt"),
        step("write here", "file.create", path="out/x.txt", content="x"),
        step("write there", "file.create", path="in/x.txt", content="x"),
        step("read there", "file.read", path="a.txt"),
        folders=["in", {"path": "out", "verbs": ["create"]}],
    )
    task = await rig.run(helper, rules=ALLOWED)
    assert task.status == "blocked"
    assert [one.decision.rule_id for one in rig.events(ActionDenied)] == [
        "invariant.grant-verb",
        "invariant.grant-within",
    ]
    assert rig.files()["out/x.txt"] == "x"
    rig.assert_clean()


async def test_what_the_task_has_not_it_can_not_give(rig: Rig) -> None:
    task = await rig.run(spawn("helper", step("x", "file.read", path="a.txt"), hosts=["a.example"]), rules=ALLOWED)
    assert task.status == "blocked"
    assert rig.events(SubagentSpawned) == []
    reading = rig.app
    assert reading.task(task.task_id).is_final
    rig.assert_clean()


async def test_a_grant_that_is_taken_back_closes_it_to_subagents_at_once(rig: Rig) -> None:
    inner = spawn("inner", step("late", "file.delete", path="a.txt"))
    task = await rig.run(
        spawn("outer", nested("in", inner)),
        rules=layer_of_rules(
            "some", (Rule("ask", "file.delete", "allow_with_confirm"), Rule("spawning", "subagent.spawn", "allow"))
        ),
    )
    assert task.status == "awaiting_confirmation"
    (question,) = rig.events(ConfirmationRequested)
    assert question.task_id == f"{task.task_id}-s1-s1"
    await rig.answer()
    (grant,) = rig.app.rows("grants")
    await rig.app.revoke(str(grant["grant_id"]), by=PERSON)
    rig.restart()
    task = await rig.app.carry_on(task.task_id)
    assert task.status == "blocked"
    assert "a.txt" in rig.files()
    rig.assert_clean()


async def test_questions_of_subagents_are_put_to_the_person_who_is_there(rig: Rig) -> None:
    helpers = [spawn(f"helper {n}", step("x", "file.delete", path=f"{n}.txt")) for n in "ab"]
    says = Says(approve=True)
    task = await rig.run(*helpers, asker=says)
    assert task.status == "completed"
    assert len(says.asked) == 2, [one.card.headline for one in says.asked]
    who = [block.lines for one in says.asked for block in one.card.blocks if block.role == "who"]
    assert all("subagent" in "".join(lines) and task.task_id in "".join(lines) for lines in who)
    assert set(rig.files()) == {"in/one.txt", "in/two.txt"}
    rig.assert_clean()


async def test_a_subagent_that_is_rejected_blocks_its_parent(rig: Rig) -> None:
    task = await rig.run(spawn("helper", step("x", "file.delete", path="a.txt")), asker=Says(approve=False))
    assert task.status == "blocked"
    rig.assert_clean()


async def test_questions_of_subagents_survive_a_restart(rig: Rig) -> None:
    task = await rig.run(spawn("helper", step("x", "file.delete", path="a.txt")), read("b.txt"))
    assert task.status == "awaiting_confirmation"
    rig.restart()
    await rig.answer()
    assert (await rig.app.carry_on(task.task_id)).status == "completed"
    assert "a.txt" not in rig.files()
    assert len(rig.events(ConfirmationRequested)) == 1
    rig.assert_clean()


@pytest.mark.parametrize("when", ["before", "after"])
async def test_after_a_crash_subagents_go_on_and_nothing_is_done_twice(rig: Rig, when: str) -> None:
    executing = Executing(rig, before=die) if when == "before" else Executing(rig, after=die)
    with_executor(rig, executing)
    helpers = [spawn(f"helper {n}", step("x", "file.delete", path=f"{n}.txt")) for n in "ab"]
    task_id = await rig.start(*helpers, rules=ALLOWED)
    with pytest.raises((Died, BaseExceptionGroup)):
        await rig.app.carry_on(task_id)
    rig.restart()
    assert (await rig.app.carry_on(task_id)).status == "completed"
    assert set(rig.files()) == {"in/one.txt", "in/two.txt"}
    assert len(rig.events(SubagentSpawned)) == 2
    rig.assert_clean()


async def test_two_agents_write_at_one_place_only_when_a_person_says_so(rig: Rig) -> None:
    ask = step("ask", "file.delete", "x", path="in/two.txt")
    helpers = [spawn(f"helper {n}", step("x", "file.write", path="in/one.txt", content=n), ask) for n in "ab"]
    rules = layer_of_rules(
        "some",
        (
            Rule("ask", "file.delete", "allow_with_confirm"),
            Rule("write", "file.write", "allow"),
            Rule("spawning", "subagent.spawn", "allow"),
        ),
    )
    task = await rig.run(*helpers, rules=rules)
    assert task.status == "awaiting_confirmation"
    (claimed,) = [one for one in rig.events(ConfirmationRequested) if one.rule_id == "invariant.claimed-path"]
    first = rig.files()["in/one.txt"]
    assert claimed.task_id == f"{task.task_id}-s{2 if first == 'a' else 1}"
    await rig.app.answer(claimed.confirmation_id, claimed.digest, Answer(approve=True, answered_by=PERSON))
    rig.restart()
    assert (await rig.app.carry_on(task.task_id)).status == "awaiting_confirmation"
    assert rig.files()["in/one.txt"] == ("b" if first == "a" else "a")
    assert len(rig.events(PathsClaimed)) == 2
    rig.assert_clean()


async def test_an_answer_given_before_another_agent_wrote_there_is_asked_for_again(rig: Rig) -> None:
    first = spawn("first", step("x", "file.delete", path="in/one.txt"))
    second = spawn(
        "second",
        step("wait", "file.rename", path="a.txt", to="c.txt"),
        step("write", "file.write", "wait", path="in/one.txt", content="!"),
        step("stay", "file.rename", "write", path="b.txt", to="d.txt"),
    )
    rules = layer_of_rules(
        "some",
        (
            Rule("ask", ("file.rename", "file.delete"), "allow_with_confirm"),
            Rule("write", "file.write", "allow"),
            Rule("spawning", "subagent.spawn", "allow"),
        ),
    )
    task = await rig.run(first, second, rules=rules)
    asked = {one.items[0].action_id: one for one in rig.events(ConfirmationRequested)}
    rig.restart()
    before: set[str] = set()
    for name in (f"{task.task_id}-s2.1", f"{task.task_id}-s1.1"):
        one, before = asked[name], {other.confirmation_id for other in rig.events(ConfirmationRequested)}
        await rig.app.answer(one.confirmation_id, one.digest, Answer(approve=True, answered_by=PERSON))
        assert (await rig.app.carry_on(task.task_id)).status == "awaiting_confirmation"
    assert rig.files()["in/one.txt"] == "!"
    (again,) = [one for one in rig.events(ConfirmationRequested) if one.confirmation_id not in before]
    assert again.items[0].action_id == f"{task.task_id}-s1.1"
    rig.assert_clean()


async def test_a_folder_and_what_lies_in_it_are_one_place(rig: Rig) -> None:
    first = spawn(
        "first",
        step("x", "file.write", path="in/one.txt", content="!"),
        step("ask", "file.rename", path="a.txt", to="c.txt"),
    )
    second = spawn("second", step("wait", "file.read", path="b.txt"), step("x", "file.delete", "wait", path="in"))
    rules = layer_of_rules(
        "some",
        (
            Rule("ask", "file.rename", "allow_with_confirm"),
            Rule("rest", ("file.write", "file.delete", "file.read"), "allow"),
            Rule("spawning", "subagent.spawn", "allow"),
        ),
    )
    task = await rig.run(first, second, rules=rules)
    assert task.status == "awaiting_confirmation"
    claimed = [
        one for one in rig.events(ActionConfirmationRequired) if one.decision.rule_id == "invariant.claimed-path"
    ]
    assert len(claimed) == 1
    assert claimed[0].facts.claimed_by in (f"{task.task_id}-s1", f"{task.task_id}-s2")
    rig.assert_clean()


async def test_a_cancelled_task_takes_its_subagents_with_it(rig: Rig) -> None:
    task = await rig.run(spawn("helper", step("x", "file.delete", path="a.txt")))
    await rig.app.cancel(task.task_id, by=PERSON)
    assert rig.app.task(f"{task.task_id}-s1").status == "cancelled"
    assert rig.app.task(task.task_id).status == "cancelled"
    assert len(rig.events(SubagentStopped)) == 1
    assert rig.app.resumable() == []
    rig.assert_clean()


async def test_a_paused_tree_goes_on_as_a_whole(rig: Rig) -> None:
    task = await rig.run(spawn("helper", step("x", "file.delete", path="a.txt")))
    await rig.app.pause(task.task_id, by=PERSON)
    assert rig.app.task(f"{task.task_id}-s1").status == "paused"
    await rig.answer()
    assert (await rig.app.carry_on(f"{task.task_id}-s1")).status == "completed"
    rig.assert_clean()


async def test_subagents_can_not_be_nested_without_end(rig: Rig) -> None:
    innermost = spawn("level 12", step("x", "file.read", path="a.txt"))
    for level in range(11, 0, -1):
        innermost = spawn(f"level {level}", nested("x", innermost))
    task = await rig.run(innermost, rules=ALLOWED)
    assert task.status in ("blocked", "failed")
    assert len(rig.events(SubagentSpawned)) == 8
    rig.assert_clean()


async def test_a_child_can_not_outspend_its_parent(rig: Rig) -> None:
    steps = [step(f"x{n}", "file.create", path=f"x{n}.txt", content="12345") for n in range(6)]
    helpers = [spawn("one", *steps[:3], budget={"bytes_written": 1000}), spawn("two", *steps[3:])]
    plan = await rig.start(*helpers, rules=ALLOWED, budget_bytes=20)
    task = await rig.app.carry_on(plan)
    assert task.status == "budget_exhausted"
    written = sum(len(text) for name, text in rig.files().items() if name.startswith("x"))
    assert written == 20
    assert {one.of_task for one in rig.events(TaskBudgetExhausted)} == {plan}
    rig.assert_clean()


async def send(run: Run) -> None:
    await run.connect("api.example")
    run.sent = 60


async def write_both_files(run: Run) -> None:
    await run.write("a.txt", "changed")
    await run.write("b.txt", "changed")


async def test_once_all_was_sent_that_may_be_nothing_begins_that_may_send_and_files_are_still_changed(rig: Rig) -> None:
    with_commands(rig, send=send, stay=write_both_files)
    sending = {"argv": ["send"], "network": ["api.example"]}
    steps = (
        step("one", "shell.exec", **sending),
        step("two", "shell.exec", "one", **sending),
        step("stays", "shell.exec", "two", argv=["stay"], writes="staged"),
        step("file", "file.create", "stays", path="c.txt", content="c"),
        step("three", "shell.exec", "file", **sending),
    )
    helper = spawn("helper", *steps, hosts=["api.example"], budget={"bytes_sent": 100})
    task = await rig.run(helper, rules=ALLOWED, hosts=("api.example",))
    assert task.status == "budget_exhausted"
    (stopped,) = {(one.measure, one.bound, one.needed) for one in rig.events(TaskBudgetExhausted)}
    assert stopped == ("bytes_sent", 100, 120)
    assert {name: text for name, text in rig.files().items() if "/" not in name} == {
        "a.txt": "changed",
        "b.txt": "changed",
        "c.txt": "c",
    }
    rig.assert_clean()


async def test_more_room_lets_a_tree_go_on_where_it_stopped(rig: Rig) -> None:
    from cowork.domain.budget import Usage

    steps = [step(f"x{n}", "file.create", path=f"x{n}.txt", content="12345") for n in range(4)]
    task_id = await rig.start(spawn("one", *steps), rules=ALLOWED, budget_bytes=10)
    assert (await rig.app.carry_on(task_id)).status == "budget_exhausted"
    await rig.app.top_up(task_id, Usage(bytes_written=10), by=PERSON)
    rig.restart()
    assert (await rig.app.carry_on(task_id)).status == "completed"
    assert len([one for one in rig.events(ActionStarted) if one.attempt > 1]) == 0
    rig.assert_clean()


async def test_steering_keeps_what_was_begun_and_takes_questions_back(rig: Rig) -> None:
    task = await rig.run(read("b.txt"), delete("a.txt"), named("later", delete("b.txt"), "s2"))
    assert task.status == "awaiting_confirmation"
    assert task.plan is not None
    begun = task.plan.steps[0]
    import msgspec

    plan = msgspec.structs.replace(task.plan, steps=(begun, named("new", create("n.txt", rig.content("n")))))
    await rig.app.steer(task.task_id, PlannedTask(plan), by=PERSON)
    rig.restart()
    says = Says(approve=True)
    task = await rig.app.carry_on(task.task_id, says)
    assert task.status == "completed_with_skips"
    assert "a.txt" in rig.files()
    assert rig.files()["n.txt"] == "n"
    assert len(says.asked) == 1
    rig.assert_clean()


async def test_a_step_that_was_begun_can_not_be_changed(rig: Rig) -> None:
    task = await rig.run(read("b.txt"), delete("a.txt"))
    import msgspec

    assert task.plan is not None
    plan = msgspec.structs.replace(task.plan, steps=(named("s1", write("b.txt", rig.content("!"))),))
    with pytest.raises(DomainError, match="was begun"):
        await rig.app.steer(task.task_id, PlannedTask(plan), by=PERSON)


async def test_a_stale_owner_records_nothing_any_more(rig: Rig) -> None:
    other = rig.engine()
    task_id = await rig.start(delete("a.txt"), named("s2", read("b.txt"), "s1"), rules=ALLOWED)

    def overtaken() -> None:
        rig.locks.held.clear()

    class Slow(Executing):
        async def perform(self, permit: Any) -> Any:
            outcome = await super().perform(permit)
            overtaken()
            assert (await other.carry_on(task_id)).status == "completed"
            return outcome

    with_executor(rig, Slow(rig))
    with pytest.raises(DomainError, match="another process"):
        await rig.app.carry_on(task_id)
    assert len([one for one in rig.events(ActionSucceeded) if one.action_id == f"{task_id}.1"]) == 1
    assert len(rig.events(TaskQueued)) == 1


async def test_what_a_task_began_to_write_before_it_had_subagents_is_its_own_until_it_is_done(rig: Rig) -> None:
    seen: list[set[str]] = []

    async def meanwhile() -> None:
        while not rig.events(SubagentSpawned):
            await anyio.lowlevel.checkpoint()
        handler = CommandHandler(MemoryEventStore(rig.rows), rig.clock, rig.ids)
        child = handler.load(f"{task_id}-s2", TASK).state
        parent = handler.load(task_id, TASK).state
        assert isinstance(child, Task)
        assert isinstance(parent, Task)
        (under_way,) = (one for one in parent.open_actions.values() if isinstance(one.action, FileDelete))
        assert isinstance(under_way.phase, Started)
        claims = Claims(handler, SessionViews(handler))
        assert isinstance(under_way.action, FileDelete)
        grant_id = under_way.action.at.grant_id
        for path in ("in/one.txt", "a.txt", "in"):
            wanted = FileDelete(at=Location(grant_id, path))
            seen.append(set(claims.claim(child, wanted, under_way.phase.judgement.facts)))

    with_executor(rig, Interrupted(rig, meanwhile))
    helper = spawn("helper", step("x", "file.delete", path="in"))
    task_id = await rig.start(delete("in/one.txt"), helper, rules=ALLOWED)
    with pytest.raises((Died, BaseExceptionGroup)):
        await rig.app.carry_on(task_id)
    assert not rig.events(PathsClaimed)
    assert seen == [{task_id}, set(), {task_id}]


async def test_whoever_looks_at_a_task_at_work_is_never_far_behind(rig: Rig) -> None:
    with_executor(rig, Executing(rig, before=lambda: rig.clock.move(timedelta(seconds=40))))
    behind: list[int] = []

    def look(recorded: Sequence[Recorded[Event]]) -> None:
        if any(isinstance(one.event, TaskProgressed) for one in recorded):
            told = min(rig.read_model.position(one.name, one.code_version) for one in PROJECTIONS)
            behind.append(recorded[-1].position - told)

    rig.app.listen(look)
    await rig.run(*(read(name) for _ in range(300) for name in ("a.txt", "b.txt")))
    assert max(behind) < limits.CATCH_UP_BEHIND_EVENTS
    assert sum(behind) > 0, "it is not worth a commit for each event"


@pytest.mark.parametrize("depth", [1, 2])
async def test_what_a_rule_limits_counts_for_the_task_with_all_its_subagents(rig: Rig, depth: int) -> None:
    few = Limit(id="few", action="file.create", max=3)
    rules = layer("some", PolicyDocument(defaults=Defaults("allow"), limits=(few,)))
    writer = [
        spawn(
            f"helper {n}",
            step("x", "file.create", path=f"{n}-x.txt", content="x"),
            step("y", "file.create", path=f"{n}-y.txt", content="y"),
        )
        for n in range(4)
    ]
    if depth == 2:
        writer = [spawn(f"above {n}", nested("below", one)) for n, one in enumerate(writer)]
    task = await rig.run(*writer, rules=rules)
    assert task.status == "blocked"
    made = set(rig.files()) - {"a.txt", "b.txt", "in/one.txt", "in/two.txt"}
    assert len(made) == 3
    denied = rig.events(ActionDenied)
    assert {one.decision.rule_id for one in denied} == {"few"}
    assert len(denied) == 5
    rig.assert_clean()
