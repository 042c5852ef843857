"""The whole engine on a folder, with a clock, ids and locks that a test holds in its hand; and checks for what it left.

`Rig.restart()` is what a crash leaves: the same rows and files, and nothing that was in memory.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from cowork.adapters.blobs.memory import MemoryBlobStore
from cowork.adapters.bootstrap import assemble
from cowork.adapters.event_store.mapper import StoredRow
from cowork.adapters.event_store.memory import MemoryEventStore
from cowork.adapters.files.executor import FileExecutor
from cowork.adapters.files.finder import GlobFinder
from cowork.adapters.files.looking import PlaceLooker
from cowork.adapters.files.opener import FileFolderOpener
from cowork.adapters.memory.volatile import VolatileSessionMemory
from cowork.adapters.read_model.memory import MemoryReadModel
from cowork.domain.action import Action, Content, FileCreate, FileDelete, FileMove, FileRead, FileWrite, Location
from cowork.domain.baseline import BASELINE
from cowork.domain.budget import Budget
from cowork.domain.confirmation import ConfirmationRequested, Finding
from cowork.domain.event import Event, Recorded
from cowork.domain.folder_trust import TrustedFolders
from cowork.domain.ids import format_id
from cowork.domain.plan import OnAsk, Plan, Request, Step
from cowork.domain.policy_document import Layer
from cowork.domain.sandbox import Canary
from cowork.domain.scope import VERBS, Verb
from cowork.domain.session import RootAllowance
from cowork.domain.task import Task
from cowork.engine.application import Answer, Application, Asker, FolderRequest, PlannedTask, RunRequest
from cowork.engine.audit import AuditReport, audit
from cowork.engine.keeping_ports import SessionMemory
from cowork.engine.policy_records import NOTHING_STANDING, RUN
from cowork.engine.ports import EventStore, Executor, StandingLayers
from cowork.projections.registry import TABLES

E = TypeVar("E", bound=Event)
START = datetime(2030, 1, 1, 9, 0, tzinfo=UTC)
PERSON = "person:ann"


HELD = Canary(name="all", path="shell", standing="enforced", detail="everything was held")
"""What a sandbox that keeps its promises says of itself."""


class HandTest:
    """A self test of a sandbox that says what a test wants it to say."""

    def __init__(self) -> None:
        self.canaries: tuple[Canary, ...] = (HELD,)
        self.machine = "one"
        self.runs = 0

    def fingerprint(self) -> str:
        return f"sha256:{self.machine}"

    async def run(self) -> tuple[Canary, ...]:
        self.runs += 1
        return self.canaries


class HandClock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.time = START

    def now(self) -> datetime:
        return self.time

    def move(self, by: timedelta) -> None:
        self.time += by


class CountedIds:
    """Ids in a row, the same in every run."""

    def __init__(self, clock: HandClock) -> None:
        self._clock = clock
        self._count = 0

    def new(self, prefix: str) -> str:
        self._count += 1
        return format_id(prefix, int(self._clock.now().timestamp() * 1000), self._count)


class HandLocks:
    """Locks in a set. What is in it when a process dies is taken out by `Rig.restart`."""

    def __init__(self) -> None:
        self.held: set[str] = set()

    @contextmanager
    def hold(self, task_id: str) -> Iterator[bool]:
        if task_id in self.held:
            yield False
            return
        self.held.add(task_id)
        try:
            yield True
        finally:
            self.held.discard(task_id)


class Rig:
    """One store, one folder `work` that can be granted, and engines on them, one after the other or side by side."""

    def __init__(self, folder: Path, *, files: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self.work = folder / "work"
        self.state = folder / "state"
        self.work.mkdir()
        self.state.mkdir()
        self.clock = HandClock()
        self.ids = CountedIds(self.clock)
        self.locks = HandLocks()
        self.self_test = HandTest()
        self.rows: list[StoredRow] = []
        self.machine = NOTHING_STANDING
        self.root_allowed_by: RootAllowance | None = None
        self.blobs = MemoryBlobStore()
        self.memory: SessionMemory = VolatileSessionMemory()
        for name, text in (files or {}).items():
            self.write(name, text)
        self.store = MemoryEventStore(self.rows)
        self.app = self.engine()

    def engine(self, store: EventStore | None = None, executors: Sequence[Executor] = ()) -> Application:
        """Return another engine on the same store and files, as another process would have one."""
        self.read_model = MemoryReadModel(TABLES)
        return assemble(
            store=store or MemoryEventStore(self.rows),
            read_model=self.read_model,
            blobs=self.blobs,
            executors=tuple(executors) or (FileExecutor(self.blobs, self.state),),
            finder=GlobFinder(),
            opener=FileFolderOpener(self.state),
            locks=self.locks,
            policy_source=self,
            clock=self.clock,
            ids=self.ids,
            self_tests=lambda: (self.self_test,),
            memory=self.memory,
            root_allowed_by=self.root_allowed_by,
            reader=lambda: PlaceLooker(self.blobs, self.state),
        )

    def standing(self, folders: Sequence[str], trusted: TrustedFolders) -> StandingLayers:
        """Return `machine`: what this machine's policy files say, for all engines on it."""
        del folders, trusted
        return self.machine

    def restart(self) -> Application:
        """Throw away all that is in memory and begin again."""
        self.locks.held.clear()
        self.store = MemoryEventStore(self.rows)
        self.app = self.engine(self.store)
        return self.app

    # Files

    def write(self, name: str, text: str) -> None:
        path = self.work / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def files(self) -> dict[str, str]:
        """Return the folder's files with their texts."""
        found = (path for path in self.work.rglob("*") if path.is_file())
        return {str(path.relative_to(self.work)): path.read_text(encoding="utf-8") for path in sorted(found)}

    def content(self, text: str) -> Content:
        return self.blobs.put(text.encode())

    # Tasks

    async def start(
        self,
        *requests: Request | Step,
        rules: Layer = BASELINE,
        on_ask: OnAsk = "wait",
        verbs: tuple[Verb, ...] = VERBS,
        outputs: tuple[str, ...] = (),
        hosts: tuple[str, ...] = (),
        expires_in: timedelta | None = None,
        budget_bytes: int | None = None,
        priority: int = 0,
        to_carry_on: bool = False,
    ) -> str:
        """Queue a task of one step per request (`s1`, `s2`, …); return its id."""
        steps = tuple(
            one if isinstance(one, Step) else Step(step_id=f"s{n}", title=f"step {n}", request=one)
            for n, one in enumerate(requests, 1)
        )
        folder = FolderRequest(
            path=str(self.work),
            verbs=verbs,
            output_paths=tuple(str(self.work / path) for path in outputs),
            expires_at=None if expires_in is None else self.clock.now() + expires_in,
        )
        request = RunRequest(
            planned=PlannedTask(
                Plan(title="a task", steps=steps, on_ask=on_ask),
                budget=Budget(bytes_written=budget_bytes),
                priority=priority,
            ),
            planner="plan file",
            folders=(folder,),
            hosts=hosts,
            own=() if rules is BASELINE else (msgspec.structs.replace(rules, name=RUN),),
            user="ann",
            device="laptop",
            platform="linux",
        )
        return await self.app.start(request, to_carry_on=to_carry_on)

    async def run(self, *requests: Request | Step, asker: Asker | None = None, **how: Any) -> Task:
        """Start a task and carry it on as far as it goes."""
        return await self.app.carry_on(await self.start(*requests, **how), asker)

    def open_question(self) -> ConfirmationRequested:
        """Return the only question that waits."""
        (row,) = self.app.rows("confirmations", {"status": "pending"})
        name = row["confirmation_id"]
        return next(one for one in self.events(ConfirmationRequested) if one.confirmation_id == name)

    async def answer(
        self, *, approve: bool = True, finding: Finding = "try_again", app: Application | None = None
    ) -> None:
        """Answer the only question that waits; a yes to one about an unknown outcome says what the finding is."""
        asked = self.open_question()
        said = finding if approve and asked.purpose == "unknown_outcome" else ""
        answer = Answer(approve=approve, answered_by=PERSON, finding=said)
        await (app or self.app).answer(asked.confirmation_id, asked.digest, answer)

    # The log

    def log(self) -> list[Recorded[Event]]:
        return MemoryEventStore(self.rows).read_log(after=0, limit=len(self.rows) + 1)

    def events(self, kind: type[E]) -> list[E]:
        """Return the events of a class, in order."""
        return [one.event for one in self.log() if isinstance(one.event, kind)]

    def topics(self) -> list[str]:
        return [one.event.TOPIC.rpartition(".")[0] for one in self.log()]

    def assert_clean(self) -> None:
        """Assert that nothing in the log breaks an invariant."""
        assert_clean(self.app.audit())


class Says:
    """A person who is there, and gives the same answer to every question."""

    def __init__(self, *, approve: bool) -> None:
        self._approve = approve
        self.asked: list[ConfirmationRequested] = []

    async def ask(self, question: ConfirmationRequested) -> Answer:
        self.asked.append(question)
        is_about_outcome = self._approve and question.purpose == "unknown_outcome"
        return Answer(approve=self._approve, answered_by=PERSON, finding="try_again" if is_about_outcome else "")


def assert_clean(report: AuditReport) -> None:
    """Assert that an audit found nothing: `assert_clean(application.audit())` on any store that a test leaves."""
    lines = [f"position {v.position}: invariant {v.invariant}, {v.stream}: {v.sentence}" for v in report.violations]
    assert not lines, "\n".join(lines)


def assert_log_is_clean(store: EventStore) -> None:
    """Assert the same of a log alone, without its projections."""
    assert_clean(audit(store))


def at(path: str) -> Location:
    """Return a place as a plan writes it."""
    return Location("", path)


def create(path: str, content: Content) -> Action:
    return FileCreate(at=at(path), content=content)


def write(path: str, content: Content) -> Action:
    return FileWrite(at=at(path), content=content)


def read(path: str) -> Action:
    return FileRead(at=at(path))


def move(path: str, to: str) -> Action:
    return FileMove(at=at(path), to=at(to))


def delete(path: str) -> Action:
    return FileDelete(at=at(path))
