"""Random plans: sensible steps, batches and clashes, subagents, and steps that no sensible agent would ask for."""

from random import Random
from typing import Literal

import msgspec

from cowork.domain.action import (
    Action,
    CodeRun,
    Content,
    FileCreate,
    FileDelete,
    FileList,
    FileMove,
    FileRead,
    FileRename,
    FileSearch,
    FileWrite,
    Location,
    NetworkRequest,
    ShellExec,
    SubagentSpawn,
)
from cowork.domain.budget import NO_BUDGET, Budget
from cowork.domain.plan import Batch, BatchKind, OnAsk, Plan, Request, Step
from cowork.domain.policy_document import (
    Conditions,
    Defaults,
    Layer,
    Limit,
    PolicyDocument,
    Rule,
    layer,
    layer_of_rules,
)
from cowork.domain.task import Task
from cowork.engine.application import PlannedTask
from cowork.engine.policy_records import NOTHING_STANDING, RUN
from cowork.engine.ports import StandingLayers
from tests.simulation.outside import HOSTS
from tests.simulation.spawns import Given, random_spawn
from tests.simulation.tree import CLOSED, FOLDERS, NAMES, Tree, digest_of

HOSTILE = (
    "../outside/private.txt",
    "link/private.txt",
    "in/../../outside/private.txt",
    "/etc/passwd",
    "twin.txt",
    "a.txt\x00",
    ".cowork/quarantine/x",
    "x" * 300,
    "evil\u202etxt.md",
    ".",
    "",
    *CLOSED,
)

OPEN = layer_of_rules(
    RUN,
    (
        Rule("all-files", ("file.*",), "allow", Conditions(path_within_grant=True), "for once"),
        Rule("commands", ("shell.exec", "code.run"), "allow", reason="for once"),
        Rule("hosts", ("network.request",), "allow", Conditions(host_in_allowlist=True), "for once"),
        Rule("helpers", ("subagent.spawn",), "allow", reason="for once"),
    ),
)
CAREFUL = layer_of_rules(
    RUN,
    (
        Rule("looks", ("file.read", "file.list"), "allow", Conditions(path_within_grant=True), "only looking"),
        Rule("new-files", ("file.create",), "allow", Conditions(target_exists=False), "a new file"),
        Rule("helpers", ("subagent.spawn",), "allow", Conditions(), "as many as they like"),
    ),
    fallback="allow_with_confirm",
)
BATCHES: tuple[BatchKind, ...] = ("file.read", "file.delete", "file.move", "file.rename")
ON_ASK: tuple[OnAsk, ...] = ("wait", "wait", "wait", "wait", "skip", "fail")
NEW = ("out/new.txt", "out/deep/er/new.txt", "out/report.md")
RENAMED = ("renamed.txt", "out/renamed.txt", "b2.csv", "in/four.csv", "new/y.txt")
MOVED = ("moved/", "out/", "in/", "out/moved/x.txt", "moved/y.txt")
RULES: tuple[tuple[Layer, ...], ...] = ((), (), (OPEN,), (CAREFUL,))

MACHINES: tuple[StandingLayers, ...] = (
    NOTHING_STANDING,
    NOTHING_STANDING,
    StandingLayers(user=layer_of_rules("user", (Rule("no-moves", "file.move", "deny"),), "allow")),
    StandingLayers(
        organisation=layer(
            "organisation",
            PolicyDocument(
                defaults=Defaults("allow"),
                limits=(
                    Limit(id="few", action=("file.delete", "file.write"), max=2, on_exceed="allow_with_confirm"),
                    Limit(id="reads", action="file.read", max=12),
                ),
            ),
        )
    ),
)
"""What this machine's policy files may say, from one day to the next."""


def random_plan(random: Random, tree: Tree, given: Given) -> PlannedTask:
    """Return a plan of a few steps with the bytes that it writes, for a task that has so much to give."""
    contents: list[bytes] = []
    steps: list[Step] = []
    for number in range(random.randint(3, 7)):
        steps.append(_step(random, tree, given, contents, f"s{number}", steps))
    if random.random() < 0.5:
        # Two helpers that are to do the very same, beside each other: who is first has it.
        spawns = [step for step in steps if isinstance(step.request, SubagentSpawn)]
        steps += [msgspec.structs.replace(step, step_id="again", needs=(), after=()) for step in spawns[:1]]
    plan = Plan(
        title="a plan",
        steps=tuple(steps),
        on_ask=random.choice(ON_ASK),
        answer_within_s=random.choice((None, None, None, 1800, 40 * 3600)),
    )
    return PlannedTask(plan, tuple(contents), budget=random_budget(random), priority=random.randint(-2, 2))


def random_budget(random: Random) -> Budget:
    """Return a budget that bounds nothing, or this and that; many are too small."""
    if random.random() < 0.6:
        return NO_BUDGET

    def bound(*choices: int) -> int | None:
        return random.choice(choices) if random.random() < 0.35 else None

    return Budget(
        wall_ms=bound(60_000, 10_000_000),
        actions=bound(0, 1, 3, 5, 8),
        bytes_written=bound(0, 20, 60, 200),
        bytes_sent=bound(0, 100, 300),
        files_deleted=bound(0, 1, 3),
        tokens=bound(10, 1000),
        cost_micros=bound(10, 1000),
    )


def steered_plan(random: Random, tree: Tree, given: Given, task: Task, number: int) -> PlannedTask:
    """Return what a person makes of a plan: steps are dropped, changed, added; now and then one that was begun."""
    assert task.plan is not None
    contents: list[bytes] = []
    kept: list[Step] = []
    for step in task.plan.steps:
        if random.random() < 0.3:
            continue
        chance, is_begun = random.random(), step.step_id in task.steps
        if chance < 0.03 or (chance < 0.3 and not is_begun):
            request, changes = _request(random, tree, given, contents)
            step = msgspec.structs.replace(step, request=request, changes=changes)  # noqa: PLW2901 - that very step
        kept.append(step)
    names = {step.step_id for step in kept}
    steps = [step if step.step_id in task.steps else _without_needs(step, names) for step in kept]
    for count in range(random.choice((0, 1, 1, 2))):
        steps.append(_step(random, tree, given, contents, f"t{number}-{count}", steps))
    random.shuffle(steps)
    return PlannedTask(msgspec.structs.replace(task.plan, steps=tuple(steps)), tuple(contents))


def _without_needs(step: Step, names: set[str]) -> Step:
    needs = tuple(need for need in step.needs if need in names)
    return msgspec.structs.replace(step, needs=needs, after=tuple(one for one in step.after if one in names))


def _step(random: Random, tree: Tree, given: Given, contents: list[bytes], name: str, before: list[Step]) -> Step:
    request, changes = _request(random, tree, given, contents)
    return Step(
        step_id=name,
        title=f"step {name}",
        needs=tuple(one.step_id for one in before if random.random() < 0.12),
        after=tuple(one.step_id for one in before if random.random() < 0.08),
        request=request,
        changes=changes,
    )


def _request(
    random: Random, tree: Tree, given: Given, contents: list[bytes]
) -> tuple[Request, Literal["each", "together"]]:
    chance = random.random()
    if chance < 0.22:
        return random_spawn(random, given, lambda: plain_request(random, tree), depth=1), "each"
    request, texts = plain_request(random, tree)
    contents.extend(texts)
    together = isinstance(request, ShellExec | CodeRun) and random.random() < 0.6
    return request, "together" if together else "each"


def plain_request(random: Random, tree: Tree) -> tuple[Request, list[bytes]]:
    """Return a request without subagents, and the bytes that it needs."""
    contents: list[bytes] = []
    if random.random() < 0.17:
        of = random.choice(BATCHES)
        match = random.choice(("**/*.csv", "in/*", "*.txt", "**", "nothing/*", "../*"))
        to = random.choice(("out/", "moved/", "in/")) if of in ("file.move", "file.rename") else ""
        return Batch(of=of, match=match, to=to), contents
    return _action(random, tree, contents), contents


def _action(random: Random, tree: Tree, contents: list[bytes]) -> Action:
    there = sorted(path for path in tree.known if not path.startswith("."))

    def place(*more: str, new: bool = False) -> Location:
        chance = random.random()
        pool = HOSTILE if chance < 0.08 else there if chance < 0.6 and there and not new else (*NAMES, *more)
        return Location("", random.choice(pool))

    def content() -> Content:
        data = tree.new_bytes()
        contents.append(data)
        return Content(digest_of(data), len(data))

    match random.randrange(20):
        case 0:
            return FileList(at=Location("", random.choice((".", *FOLDERS))), recursive=random.random() < 0.5)
        case 1:
            return FileSearch(at=Location("", "."), pattern=random.choice(("content", "[")))
        case 2:
            return FileRead(at=place())
        case 3 | 4:
            return FileCreate(at=place(*NEW, new=True), content=content())
        case 5 | 6:
            return FileWrite(at=place("out/new.txt"), content=content())
        case 7:
            return FileRename(
                at=place(*FOLDERS),
                to=place(*RENAMED, new=True),
            )
        case 8 | 9:
            return FileMove(at=place(*FOLDERS), to=place(*MOVED, new=True))
        case 10:
            return FileDelete(at=place(*FOLDERS))
        case 11 | 12:
            method = random.choice(("GET", "POST", "POST"))
            body = content() if method == "POST" and random.random() < 0.5 else None
            return NetworkRequest(method=method, url=random.choice(("https://x.test/", "https://y.test/in")), body=body)
        case _:
            return _command(random)


def _command(random: Random) -> Action:
    hosts = tuple(random.sample(HOSTS, random.choice((0, 0, 0, 1, 2))))
    writes: Literal["none", "staged"] = "none" if random.random() < 0.2 else "staged"
    if random.random() < 0.5:
        return CodeRun(python="tidy()", cwd=Location("", "."), network=hosts, writes=writes)
    return ShellExec(argv=("tidy",), cwd=Location("", "."), network=hosts, writes=writes)
