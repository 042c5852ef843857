"""Random plans: sensible steps, batches and clashes, and steps that no sensible agent would ask for."""

from random import Random
from typing import Literal

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
)
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
from cowork.engine.application import PlannedTask
from cowork.engine.policy_records import NOTHING_STANDING, RUN
from cowork.engine.ports import StandingLayers
from tests.simulation.outside import HOSTS
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
    ),
)
CAREFUL = layer_of_rules(
    RUN,
    (
        Rule("looks", ("file.read", "file.list"), "allow", Conditions(path_within_grant=True), "only looking"),
        Rule("new-files", ("file.create",), "allow", Conditions(target_exists=False), "a new file"),
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


def random_plan(random: Random, tree: Tree) -> PlannedTask:
    """Return a plan of a few steps with the bytes that it writes."""
    contents: list[bytes] = []
    steps: list[Step] = []
    for number in range(random.randint(2, 6)):
        needs = tuple(one.step_id for one in steps if random.random() < 0.15)
        request = _request(random, tree, contents)
        together = isinstance(request, ShellExec | CodeRun) and random.random() < 0.4
        steps.append(
            Step(
                step_id=f"s{number}",
                title=f"step {number}",
                needs=needs,
                request=request,
                changes="together" if together else "each",
            )
        )
    on_ask = random.choice(ON_ASK)
    return PlannedTask(Plan(title="a plan", steps=tuple(steps), on_ask=on_ask), tuple(contents))


def _request(random: Random, tree: Tree, contents: list[bytes]) -> Request:
    if random.random() < 0.2:
        of = random.choice(BATCHES)
        match = random.choice(("**/*.csv", "in/*", "*.txt", "**", "nothing/*", "../*"))
        return Batch(of=of, match=match, to=random.choice(("out/", "moved/", "in")) if of[5:] != "read" else "")
    return _action(random, tree, contents)


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

    match random.randrange(15):
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
        case 11:
            method = random.choice(("GET", "POST", "POST"))
            return NetworkRequest(method=method, url=random.choice(("https://x.test/", "https://y.test/in")))
        case _:
            return _command(random)


def _command(random: Random) -> Action:
    hosts = tuple(random.sample(HOSTS, random.choice((0, 0, 0, 1, 2))))
    writes: Literal["none", "staged"] = "none" if random.random() < 0.2 else "staged"
    if random.random() < 0.5:
        return CodeRun(python="tidy()", cwd=Location("", "."), network=hosts, writes=writes)
    return ShellExec(argv=("tidy",), cwd=Location("", "."), network=hosts, writes=writes)
