"""A true history of trees: subagents beneath subagents, claims, budgets, steering, interrupts, and a person's word.

Its breaches say where they are: the event that shows each is the first at which the audit finds anything.
"""

import json
from collections.abc import Callable
from typing import Any, TypeAlias

import msgspec

from cowork.domain.action import SubagentSpawn
from cowork.domain.budget import Usage
from cowork.domain.confirmation import ConfirmationRequested, Finding
from cowork.domain.plan import Step
from cowork.domain.policy import CLAIMED
from cowork.domain.policy_document import Rule, layer_of_rules
from cowork.domain.task import Task
from cowork.engine.application import Answer
from cowork.engine.planning_ports import PlannedTask
from tests.engine.breaking import Executing, fall_over, with_executor
from tests.engine.planted import History
from tests.engine.rig import PERSON, Rig, create, delete, read

RULES = layer_of_rules(
    "trees",
    (
        Rule("ask", ("file.delete", "file.rename"), "allow_with_confirm"),
        Rule("rest", ("file.write", "file.create", "file.read"), "allow"),
        Rule("spawning", "subagent.spawn", "allow"),
    ),
)
ALL = {"path": ".", "verbs": ["read", "create", "write", "move", "delete"]}


def step(name: str, kind: str, *needs: str, **fields: Any) -> dict[str, Any]:
    """Return a step as the plan of a subagent has it."""
    return {"id": name, "needs": list(needs), "action": {"kind": kind, **fields}}


def spawn(title: str, *steps: dict[str, Any], **scope: Any) -> SubagentSpawn:
    """Return the action that starts a subagent with these steps, which has all of the folder where nothing is said."""
    wished = {"folders": [ALL], **scope}
    return SubagentSpawn(title=title, scope=json.dumps(wished), steps=json.dumps(list(steps)))


def nested(name: str, inner: SubagentSpawn, *needs: str) -> dict[str, Any]:
    """Return the step of a subagent that starts another one."""
    fields = {"title": inner.title, "scope": json.loads(inner.scope), "step": json.loads(inner.steps)}
    return step(name, "subagent.spawn", *needs, **fields)


async def tree_history(rig: Rig) -> History:
    """Live through a tree three deep, a budget, another plan, an interrupt, unknown outcomes and a cancellation."""
    for name in ("a.txt", "b.txt", "c.txt", "in/one.txt"):
        rig.write(name, f"this is {name}")
    await _three_deep(rig)
    await _out_of_room(rig)
    await _steered(rig)
    await _interrupted(rig)
    for finding in ("happened", "not_happened", "try_again"):
        await _unknown(rig, finding)
    cancelled = await rig.run(spawn("cancelled", step("ask", "file.delete", path="c.txt")), rules=RULES)
    await rig.app.cancel(cancelled.task_id, by=PERSON)
    return rig.log()


async def _three_deep(rig: Rig) -> None:
    reads_and_creates = {"path": "in", "verbs": ["read", "create"]}
    inner = spawn(
        "inner",
        step("look", "file.read", path="in/one.txt"),
        step("make", "file.create", "look", path="in/x.txt", content="x"),
        folders=[reads_and_creates],
    )
    outer = spawn(
        "outer",
        step("write", "file.write", path="a.txt", content="outer"),
        nested("inner", inner, "write"),
        step("ask", "file.delete", "inner", path="b.txt"),
        budget={"bytes_written": 50},
    )
    second = spawn(
        "second",
        step("wait", "file.read", path="c.txt"),
        step("too", "file.write", "wait", path="a.txt", content="second"),
    )
    task = await rig.run(outer, Step(step_id="s2", title="second", request=second), rules=RULES, budget_bytes=100)
    assert task.status == "awaiting_confirmation"
    # Whoever writes second does so while the first is still at work: its own question is answered later.
    task = await _answered(rig, task, only=CLAIMED)
    assert (await _all_answered(rig, task)).status == "completed"


async def _all_answered(rig: Rig, task: Task, finding: Finding = "") -> Task:
    while task.status == "awaiting_confirmation":
        task = await _answered(rig, task, finding)
    return task


async def _answered(rig: Rig, task: Task, finding: Finding = "", only: str = "") -> Task:
    open_questions = {str(row["confirmation_id"]) for row in rig.app.rows("confirmations", {"status": "pending"})}
    for asked in rig.events(ConfirmationRequested):
        if asked.confirmation_id in open_questions and only in ("", asked.rule_id):
            answer = Answer(approve=True, answered_by=PERSON, finding=finding)
            await rig.app.answer(asked.confirmation_id, asked.digest, answer)
    rig.restart()
    return await rig.app.carry_on(task.task_id)


async def _out_of_room(rig: Rig) -> None:
    steps = [step(f"y{n}", "file.create", path=f"y{n}.txt", content="12345") for n in range(4)]
    task_id = await rig.start(spawn("spender", *steps), rules=RULES, budget_bytes=10)
    assert (await rig.app.carry_on(task_id)).status == "budget_exhausted"
    await rig.app.top_up(task_id, Usage(bytes_written=10), by=PERSON)
    rig.restart()
    assert (await rig.app.carry_on(task_id)).status == "completed"


async def _steered(rig: Rig) -> None:
    task = await rig.run(read("c.txt"), delete("c.txt"), delete("a.txt"), rules=RULES)
    assert task.plan is not None
    new = Step(step_id="new", title="new", request=create("new.txt", rig.content("new")))
    plan = msgspec.structs.replace(task.plan, steps=(task.plan.steps[0], task.plan.steps[2], new))
    await rig.app.steer(task.task_id, PlannedTask(plan), by=PERSON)
    rig.restart()
    assert (await _all_answered(rig, await rig.app.carry_on(task.task_id))).status == "completed_with_skips"


async def _interrupted(rig: Rig) -> None:
    task = await rig.run(spawn("stopped", step("ask", "file.rename", path="new.txt", to="old.txt")), rules=RULES)
    await rig.app.interrupt(task.task_id, by=PERSON)
    assert (await _all_answered(rig, await rig.app.carry_on(task.task_id))).status == "completed"


async def _unknown(rig: Rig, finding: Finding) -> None:
    with_executor(rig, Executing(rig, before=fall_over))
    task = await rig.run(create(f"{finding}.txt", rig.content("?")), rules=RULES)
    assert task.status == "awaiting_confirmation"
    rig.restart()
    task = await _all_answered(rig, task, finding)
    assert task.status == ("failed" if finding == "not_happened" else "completed")


Breach: TypeAlias = tuple[History, int]
"""A history and the index of the event at which the audit is to find the first breach."""

PLANTED_IN_TREES: list[tuple[int, str, Callable[[History], Breach]]] = []


def planted_in_tree(invariant: int) -> Callable[[Callable[[History], Breach]], Callable[[History], Breach]]:
    """Note a way to break an invariant; its name says what was done."""

    def note(tamper: Callable[[History], Breach]) -> Callable[[History], Breach]:
        PLANTED_IN_TREES.append((invariant, tamper.__name__, tamper))
        return tamper

    return note
