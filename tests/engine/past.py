"""Histories that were really lived through, in real SQLite stores, for those who read the log afterwards."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from random import Random

from cowork.adapters.event_store import SqliteEventStore, open_sqlite_store
from cowork.adapters.event_store.memory import MemoryEventStore
from cowork.adapters.files.executor import FileExecutor
from cowork.domain.action import (
    Action,
    ActionKind,
    CodeRun,
    FileCreate,
    FileDelete,
    FileMove,
    FileRead,
    FileRename,
    FileWrite,
    NetworkRequest,
    ShellExec,
)
from cowork.domain.confirmation import ConfirmationRequested
from cowork.domain.event import Event, Recorded
from cowork.domain.facts import Facts
from cowork.domain.grant import FolderGranted
from cowork.domain.plan import Batch
from cowork.domain.policy_document import Conditions, Defaults, Layer, Limit, PolicyDocument, Rule, layer
from cowork.domain.policy_remember import Wish
from cowork.domain.scope import Scope
from cowork.engine.application import Answer, Application
from cowork.engine.ports import Done, EventStore, Executor, Finding, NotApplied, Outcome, Permit, StandingLayers
from tests.engine.breaking import Died, Executing, die
from tests.engine.rig import PERSON, Rig, Says, at, create, delete, move, read, write

FILES = {
    **{f"in/{name}.csv": name for name in ("one", "two", "three")},
    **{f"notes/{name}.md": name for name in ("jan", "feb", "mar", "apr")},
    "a.txt": "a",
    "b.txt": "b",
    "c.txt": "c",
}


class Pretending:
    """Says of commands and requests that they are done; nothing is run. No version carries them out yet."""

    kinds: frozenset[ActionKind] = frozenset(["shell.exec", "code.run", "network.request"])

    async def observe(self, actions: Sequence[Action], scope: Scope, now: datetime, *, batch: int) -> list[Facts]:
        return [Facts(now=now, batch=batch) for _ in actions]

    async def perform(self, permit: Permit) -> Outcome:
        return Done()

    async def reconcile(self, permit: Permit) -> Finding:
        return NotApplied()


class StoredRig(Rig):
    """A rig whose log is a SQLite file, and which can also do as if it ran commands."""

    def __init__(self, folder: Path) -> None:
        self._opened: list[SqliteEventStore] = []
        self._file = folder / "log" / "events.db"
        super().__init__(folder, files=FILES)

    def engine(self, store: EventStore | None = None, executors: Sequence[Executor] = ()) -> Application:
        files = executors or (FileExecutor(self.blobs, self.state),)
        # What the rig makes for itself is in memory; here everything is in the one file.
        given = store if store is not None and not isinstance(store, MemoryEventStore) else self.opened()
        return super().engine(given, (*files, Pretending()))

    def opened(self) -> SqliteEventStore:
        self._opened.append(open_sqlite_store(self._file))
        return self._opened[-1]

    def log(self) -> list[Recorded[Event]]:
        store = self._opened[-1]
        return store.read_log(after=0, limit=store.head() + 1)

    def close(self) -> None:
        for store in self._opened:
            store.close()

    def last_grant(self) -> str:
        return self.events(FolderGranted)[-1].grant_id

    async def remember(self, wish: Wish) -> None:
        """Approve the only open question and keep the answer."""
        asked = self.open_question()
        offer = self.app.offer(asked.confirmation_id, wish)
        yes = Answer(approve=True, answered_by=PERSON, remember=offer)
        await self.app.answer(asked.confirmation_id, asked.digest, yes)


@contextmanager
def stored_rig(folder: Path) -> Iterator[StoredRig]:
    """Yield a rig on an empty folder, and close its stores."""
    rig = StoredRig(folder)
    try:
        yield rig
    finally:
        rig.close()


ALL = Rule("all", "*", "allow")


def document(*rules: Rule, fallback: str = "deny", limits: tuple[Limit, ...] = (), name: str = "run") -> Layer:
    """Return a layer of version 1.1."""
    defaults = Defaults(fallback)  # type: ignore[arg-type]
    return layer(name, PolicyDocument(defaults=defaults, rules=rules, limits=limits))


def ask(rule_id: str, *kinds: str, **when: object) -> Rule:
    return Rule(rule_id, kinds, "allow_with_confirm", Conditions(**when))  # type: ignore[arg-type]


class Mixed:
    """A person who is there and says yes and no by turns."""

    def __init__(self) -> None:
        self.asked: list[ConfirmationRequested] = []

    async def ask(self, question: ConfirmationRequested) -> Answer:
        self.asked.append(question)
        return Answer(approve=len(self.asked) % 2 == 1, answered_by=PERSON)


# Lives ----------------------------------------------------------------------------------------------------------------


async def live_ordinarily(rig: StoredRig) -> None:
    """One session under the baseline: allowed, approved, rejected, denied, a batch."""
    await rig.run(
        read("a.txt"),
        create("out/new.txt", rig.content("new")),
        write("a.txt", rig.content("changed")),
        move("b.txt", "moved/b.txt"),
        Batch(of="file.delete", match="in/*.csv"),
        read(".env"),
        read("nowhere.txt"),
        outputs=("out",),
        asker=Mixed(),
    )


async def live_with_expiry(rig: StoredRig) -> None:
    """A question that nobody answers in time, one that is withdrawn, and a plan that may not ask."""
    waiting = await rig.run(delete("c.txt"), create("later.txt", rig.content("later")))
    rig.clock.move(timedelta(hours=25))
    await rig.app.carry_on(waiting.task_id)
    cancelled = await rig.run(delete("c.txt"))
    await rig.app.cancel(cancelled.task_id, by=PERSON)
    await rig.run(delete("c.txt"), read("c.txt"), on_ask="skip")


async def live_with_memory(rig: StoredRig) -> None:
    """Approvals that are remembered, used up one use after the other and in one batch, and revoked."""
    task = await rig.run(write("notes/jan.md", rig.content("1")))
    within = str(rig.work / "notes")
    await rig.remember(Wish(scope="workspace", within=within, uses=2))
    await rig.app.carry_on(task.task_id)
    await rig.run(write("notes/feb.md", rig.content("2")), asker=Says(approve=True))
    rules = document(ALL, ask("moves", "file.move"))
    task = await rig.run(move("notes/mar.md", "notes/march.md"), rules=rules)
    await rig.remember(Wish(scope="workspace", within=within, uses=3))
    await rig.app.carry_on(task.task_id)
    await rig.run(Batch(of="file.move", match="notes/*.md", to="notes/old/"), rules=rules, asker=Says(approve=True))
    for one in rig.app.policies.approvals():
        await rig.app.policies.revoke_approval(one.approval.id, by=PERSON)
    await rig.run(move("notes/old/jan.md", "notes/january.md"), rules=rules, asker=Says(approve=False))


async def live_through_crashes(rig: StoredRig) -> None:
    """A crash before an effect, one after it, and one that nobody can tell; and a file that changes meanwhile."""
    for executing, spoils in (
        (Executing(rig, before=die), False),
        (Executing(rig, after=die), False),
        (Executing(rig, after=die), True),
    ):
        rig.write("doomed.txt", "doomed")
        rig.app = rig.engine(executors=(executing,))
        task_id = await rig.start(delete("doomed.txt"))
        await rig.app.carry_on(task_id)
        await rig.answer()
        try:
            await rig.app.carry_on(task_id)
        except Died:
            rig.locks.held.clear()
        if spoils:
            for kept in (rig.state / "quarantine").iterdir():
                kept.unlink()
        rig.app = rig.engine()
        await rig.app.carry_on(task_id, Says(approve=True))
    task = await rig.run(delete("a.txt"))
    rig.write("a.txt", "not what was shown")
    await rig.answer()
    await rig.app.carry_on(task.task_id)
    await rig.answer()
    await rig.app.carry_on(task.task_id)


async def live_with_revoked_grants(rig: StoredRig) -> None:
    """A grant is taken back while an action waits, one expires, and one is taken back after its session."""
    task = await rig.run(delete("b.txt"))
    await rig.answer()
    await rig.app.revoke(rig.last_grant(), by=PERSON)
    await rig.app.carry_on(task.task_id)
    task = await rig.run(delete("c.txt"), read("b.txt"), expires_in=timedelta(hours=1))
    rig.clock.move(timedelta(hours=2))
    await rig.answer()
    await rig.app.carry_on(task.task_id)
    await rig.app.revoke(rig.last_grant(), by=PERSON, reason="its session is over")


async def live_under_changing_policies(rig: StoredRig) -> None:
    """Sessions under different documents, and one whose documents change while it is under way."""
    bounded = document(ALL, limits=(Limit(id="few", action="file.create", max=2, on_exceed="allow_with_confirm"),))
    names = [create(f"many/{n}.txt", rig.content(str(n))) for n in range(4)]
    await rig.run(*names, rules=bounded, asker=Says(approve=True))
    task = await rig.run(
        delete("c.txt"), create("x.txt", rig.content("x")), rules=document(ALL, ask("d", "file.delete"))
    )
    user = document(Rule("no-creates", "file.create", "deny"), fallback="allow", name="user")
    rig.machine = StandingLayers(user=user)
    rig.clock.move(timedelta(minutes=5))
    await rig.answer()
    await rig.app.carry_on(task.task_id)
    await rig.run(read("a.txt"), create("y.txt", rig.content("y")))
    rig.machine = StandingLayers()


async def live_with_commands(rig: StoredRig) -> None:
    """Commands and requests, as far as policy goes."""
    rules = document(
        ALL,
        ask("pushes", "shell.exec", command_prefix=(("git", "push"),)),
        Rule("no-ads", "network.request", "deny", Conditions(host_matches=("*.ads.example",))),
    )
    await rig.run(
        ShellExec(argv=("git", "status"), cwd=at(".")),
        ShellExec(argv=("git", "diff", "--stat"), cwd=at(".")),
        ShellExec(argv=("git", "push", "origin"), cwd=at(".")),
        ShellExec(argv=("sh", "-c", "ls | wc -l"), cwd=at("notes")),
        CodeRun(python="print(1)", cwd=at("in")),
        NetworkRequest(method="GET", url="https://api.example/v1/items"),
        NetworkRequest(method="POST", url="https://api.example:8443/v1/items"),
        NetworkRequest(method="GET", url="https://a.ads.example/x"),
        rules=rules,
        asker=Says(approve=True),
    )


LIVES = (
    live_ordinarily,
    live_with_expiry,
    live_with_memory,
    live_through_crashes,
    live_with_revoked_grants,
    live_under_changing_policies,
    live_with_commands,
)


# Random lives ---------------------------------------------------------------------------------------------------------

_NAMES = (
    "a.txt",
    "b.txt",
    "in/one.csv",
    "notes/jan.md",
    "notes/feb.md",
    "out/x.txt",
    "deep/er/y.txt",
    ".env",
    "run.sh",
)
_RULES: tuple[Rule, ...] = (
    ALL,
    Rule("reads", ("file.read", "file.list"), "allow"),
    ask("asks-changes", "file.write", "file.delete", "file.move"),
    ask("asks-csv", "file.*", matches_pattern=("**/*.csv",)),
    ask("asks-existing", "file.write", target_exists=True),
    Rule("no-notes", "file.delete", "deny", Conditions(matches_pattern=("**/notes/**",))),
    Rule("no-hidden", "*", "deny", Conditions(hidden=True)),
    Rule("evenings", "file.create", "deny", Conditions(batch_count_greater_than=3)),
    Rule("outputs", "file.create", "allow", Conditions(path_within_output_root=True)),
)


def random_document(random: Random, name: str = "run") -> Layer:
    """Return a document with some rules out of a few, and perhaps a limit."""
    rules = tuple(random.sample(_RULES, random.randint(1, len(_RULES))))
    limits = (Limit(id="some", action=random.choice(("*", "file.create")), max=random.randint(0, 4)),)
    fallback = random.choice(("deny", "deny", "allow_with_confirm", "allow"))
    return document(*rules, fallback=fallback, limits=limits if random.random() < 0.4 else (), name=name)


def _random_action(random: Random, rig: StoredRig) -> Action | Batch:
    name, other = random.choice(_NAMES), random.choice(_NAMES)
    content = rig.content(str(random.random()))
    match random.randint(0, 7):
        case 0 | 1:
            return FileRead(at=at(name))
        case 2:
            return FileCreate(at=at(name), content=content)
        case 3:
            return FileWrite(at=at(name), content=content)
        case 4:
            return FileMove(at=at(name), to=at(other))
        case 5:
            return FileRename(at=at(name), to=at(f"{name}.old"))
        case 6:
            return FileDelete(at=at(name))
        case _:
            return Batch(of="file.delete", match=random.choice(("in/*.csv", "notes/*.md", "**/*.txt")))


async def live_at_random(rig: StoredRig, seed: int, tasks: int = 4) -> None:
    """Run tasks of random actions under random documents, with answers, memory, changes and revocations at random."""
    random = Random(seed)
    for _ in range(tasks):
        for name in random.sample(_NAMES[:5], 3):
            rig.write(name, str(random.random()))
        actions = [_random_action(random, rig) for _ in range(random.randint(1, 5))]
        rules = {"rules": random_document(random)} if random.random() < 0.7 else {}
        task_id = await rig.start(*actions, outputs=("out",), on_ask=random.choice(("wait", "wait", "skip")), **rules)  # type: ignore[arg-type]
        for _ in range(4):
            if (await rig.app.carry_on(task_id)).is_final:
                break
            await _something_happens(random, rig)
        task = rig.app.task(task_id)
        if not task.is_final:
            await rig.app.cancel(task_id, by=PERSON)


async def _something_happens(random: Random, rig: StoredRig) -> None:
    if random.random() < 0.3:
        rig.machine = StandingLayers(user=random_document(random, "user") if random.random() < 0.5 else None)
    if random.random() < 0.2:
        rig.write(random.choice(_NAMES[:5]), str(random.random()))
    if random.random() < 0.1:
        await rig.app.revoke(rig.last_grant(), by=PERSON)
    for row in rig.app.rows("confirmations", {"status": "pending"}):
        answer = Answer(approve=random.random() < 0.7, answered_by=PERSON)
        await rig.app.answer(str(row["confirmation_id"]), str(row["digest"]), answer)
