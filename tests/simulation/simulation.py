"""One seed, one life of a store: plans, a person, the clock, crashes at every wait, and the checks after every step.

The engine, its file executor and the projections are the real ones. What is in memory dies with each crash; rows, files
and blobs stay. Several processes may be at work at once, and one may have lost its task to another without noticing.
"""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import anyio
import anyio.abc
import msgspec

from cowork.adapters.blobs.memory import MemoryBlobStore
from cowork.adapters.bootstrap import assemble
from cowork.adapters.event_store.mapper import StoredRow
from cowork.adapters.event_store.memory import MemoryEventStore
from cowork.adapters.files.executor import FileExecutor
from cowork.adapters.files.finder import GlobFinder
from cowork.adapters.files.looking import PlaceLooker
from cowork.adapters.files.opener import FileFolderOpener
from cowork.adapters.read_model.memory import MemoryReadModel
from cowork.domain.confirmation import ConfirmationRequested
from cowork.domain.errors import DomainError
from cowork.domain.event import Event, Recorded
from cowork.domain.folder_trust import TrustedFolders
from cowork.domain.ids import root_task_id
from cowork.domain.sandbox import Standing
from cowork.domain.scope import VERBS
from cowork.domain.task import TaskQueued
from cowork.engine.application import Answer, Application, FolderRequest, RunRequest
from cowork.engine.command_handler import CommandHandler
from cowork.engine.policy_records import NOTHING_STANDING
from cowork.engine.ports import StandingLayers
from cowork.projections.registry import TABLES
from tests.engine.rig import HELD, CountedIds, HandClock, HandTest
from tests.simulation.checks import Checks, Found
from tests.simulation.faults import FaultyExecutor, FaultyStore, FileFaults, as_if_killed, in_order, without_threads
from tests.simulation.outside import HOSTS, Ledger, SimulatedCommands, SimulatedRequests, World
from tests.simulation.person import DEEDS, Person
from tests.simulation.plans import MACHINES, RULES, random_plan
from tests.simulation.process import HERE, MOMENTS_MAX, Calm, Process, as_deed, crash_of, others_in
from tests.simulation.spawns import Given
from tests.simulation.tree import Tree
from tests.simulation.truth import Truth
from tests.simulation.undone import Undone

ROUNDS = 15
SETTLING_ROUNDS_MAX = 60
PROCESSES_MAX = 2
ROUND_S_MAX = 60.0

__all__ = ["Found", "Simulation", "simulate"]


class Locks:
    """Which process has which task. A process may lose what it has, and not notice."""

    def __init__(self) -> None:
        self._held: dict[str, tuple[object, Process | None]] = {}

    @contextmanager
    def hold(self, task_id: str) -> Iterator[bool]:
        """See the port `TaskLocks`."""
        if task_id in self._held:
            yield False
            return
        mine = self._held[task_id] = object(), HERE.get()
        try:
            yield True
        finally:
            if self._held.get(task_id) is mine:
                del self._held[task_id]

    def held(self) -> list[str]:
        """Return the tasks that somebody has."""
        return sorted(self._held)

    def lose(self, task_id: str) -> None:
        """Let the task be free, although somebody carries it on."""
        _, holder = self._held.pop(task_id)
        if holder is not None:
            holder.is_stale = True


class Engine(msgspec.Struct, frozen=True):
    """The engine of a process that runs tasks."""

    process: Process
    app: Application


class Simulation:
    """A world made from a seed. `run()` lives through it; `story` says what happened, in order."""

    def __init__(self, seed: int, folder: Path) -> None:
        self.seed = seed
        self.story: list[str] = []
        self.random = Random(seed)
        self.moments = 0
        self.rows: list[StoredRow] = []
        self._reader = MemoryEventStore(self.rows)
        self._log: list[Recorded[Event]] = []
        self._blobs = MemoryBlobStore()
        self._tree = Tree(folder, self.random, self._blobs)
        self._clock = HandClock()
        self._ids = CountedIds(self._clock)
        self._locks = Locks()
        self._read_model = MemoryReadModel(TABLES)
        self._quiet = False
        self._requests: list[RunRequest] = []
        self._processes = 0
        self._closing: list[Any] = []
        self._machine = NOTHING_STANDING
        self._self_test = HandTest()
        self._group: anyio.abc.TaskGroup | None = None
        ledger = Ledger(self.events)
        self._ledger = ledger
        self._truth = Truth(lambda: self._person.edits)
        handler = CommandHandler(MemoryEventStore(self.rows), self._clock, self._ids)
        self._person = Person(self, self._persons_application(), handler, self._tree, ledger)
        self._checks = Checks(self.random, self._tree, ledger, self._truth, self._person)
        self._engines = [self._engine()]

    # Processes

    def _persons_application(self) -> Application:
        """Return an engine whose process never dies, and that carries no task on."""
        files = FileExecutor(self._blobs, self._tree.state)
        self._closing.append(files)
        world = World(self.random, self._tree, self._blobs, files, self._ledger, Calm(0, self))
        executors = (files, SimulatedCommands(world), SimulatedRequests(world))
        return self._application(MemoryEventStore(self.rows), executors, watch_s=None)

    def _engine(self) -> Engine:
        """Return an engine in a process of its own, in which anything may go wrong."""
        self._processes += 1
        process = Process(self._processes, self)
        parts = (self.random, process)
        store: Any = FaultyStore(MemoryEventStore(self.rows), *parts, lambda: self.is_quiet, self._checks.written_by)
        faults = FileFaults(*parts, self._edit_in_between, self._checks.disturbed.add, lambda: self.is_quiet)
        files = FileExecutor(self._blobs, self._tree.state, checkpoint=faults)
        self._closing.append(files)
        world = World(self.random, self._tree, self._blobs, files, self._ledger, process)
        executors: tuple[Any, ...] = tuple(
            FaultyExecutor(one, *parts, lambda: self.is_quiet, self._truth, self._snatch)
            for one in (files, SimulatedCommands(world), SimulatedRequests(world))
        )
        # Some look at the log whenever they get a turn, some only when something of their own wakes them.
        return Engine(process, self._application(store, executors, watch_s=self.random.choice((None, None, 0))))

    def _application(self, store: Any, executors: tuple[Any, ...], *, watch_s: float | None) -> Application:
        finder = GlobFinder()
        self._closing.append(finder)
        return assemble(
            store=store,
            read_model=self._read_model,
            blobs=self._blobs,
            executors=executors,
            finder=finder,
            opener=FileFolderOpener(self._tree.state),
            locks=self._locks,
            policy_source=self,
            clock=self._clock,
            ids=self._ids,
            self_tests=lambda: (self._self_test,),
            reader=lambda: PlaceLooker(self._blobs, self._tree.state),
            watch_s=watch_s,
        )

    def close(self) -> None:
        """Let go of the folders that executors hold open."""
        for one in self._closing:
            one.close()

    def _some_engine(self) -> Engine:
        """Return a process that is alive: one that there is, or a new one."""
        self._engines = [one for one in self._engines if not one.process.is_dead and not one.process.is_stale]
        if not self._engines or (len(self._engines) < PROCESSES_MAX and self.random.random() < 0.15):
            self._engines.append(self._engine())
        return self.random.choice(self._engines)

    # What others see

    @property
    def is_quiet(self) -> bool:
        return self._quiet

    def pass_time(self, by: timedelta) -> None:
        self._clock.move(by)

    def tell(self, what: str) -> None:
        """Note what happens."""
        self.story.append(f"[{len(self.rows)}] {what}")

    def complain(self, what: str) -> None:
        """Note that something happened that must not."""
        self._checks.complaints.append(what)

    def standing(self, folders: Sequence[str], trusted: TrustedFolders) -> StandingLayers:
        """Return what this machine's policy files say: the person changes them now and then."""
        del folders, trusted
        return self._machine

    def events(self) -> list[Recorded[Event]]:
        """Return everything that was recorded."""
        while page := self._reader.read_log(after=len(self._log), limit=1000):
            self._log += page
        return self._log

    # Interfering

    def _edit_in_between(self, process: Process) -> None:
        self._person.edit(process.at_stake)

    def _snatch(self, process: Process) -> None:
        """Let the person do something to the very files that are about to be touched."""
        self._person.edit(process.at_stake, odds=1)

    async def interfere(self, point: str, process: Process) -> None:
        """Let somebody do something while a process is in the middle of its work."""
        kind = self.random.choice(DEEDS)
        match kind:
            case "overtake":
                self._overtake()
            case "carry on":
                self._carry_on_beside()
            case "wait" | "rule" | "sandbox":
                self._change_surroundings(kind)
            case _:
                mine = next((one for one in self._engines if one.process is process), None)
                if mine is None or self._group is None or self.random.random() < 0.7:
                    await self._person.act(kind, point, process)
                else:
                    # In the process that runs the tasks, as with a key at the terminal: beside its other work.
                    self._group.start_soon(
                        self._survive, mine, partial(self._person.act, kind, point, process, mine.app)
                    )

    def _overtake(self) -> None:
        """Let another process carry on what somebody has and will not notice to have lost."""
        held = self._locks.held()
        if not held or self._group is None or self.random.random() < 0.5:
            return
        task_id = self.random.choice(held)
        self._locks.lose(task_id)
        self._checks.overtaken.setdefault(task_id, len(self.rows))
        engine = self._engine()
        self._engines.append(engine)
        self.tell(f"process {engine.process.number} takes {task_id} over")
        self._group.start_soon(self._survive, engine, partial(engine.app.carry_on, task_id, self._asker(engine)))

    def _carry_on_beside(self) -> None:
        """Let a process that is alive carry on another task beside what is under way."""
        tasks = [name for name in self._unfinished() if name not in self._locks.held()]
        if not tasks or self._group is None:
            return
        engine, task_id = self._some_engine(), self.random.choice(tasks)
        self.tell(f"process {engine.process.number} carries {task_id} on beside")
        self._group.start_soon(self._survive, engine, partial(engine.app.carry_on, task_id, self._asker(engine)))

    def _change_surroundings(self, kind: str) -> None:
        match kind:
            case "wait":
                self._clock.move(timedelta(hours=self.random.choice((1, 25))))
            case "rule":
                self._machine = self.random.choice(MACHINES)
            case _:
                # Something is installed on this machine: what is there to hold commands is another, and may not hold.
                standing: Standing = "enforced" if self.random.random() < 0.6 else "absent"
                self._self_test.machine = f"machine {self.random.randint(1, 10**6)}"
                self._self_test.canaries = (msgspec.structs.replace(HELD, standing=standing),)
        self.tell(f"surroundings: {kind}")

    # Living

    async def run(self) -> None:
        """Live through the rounds, then let everything come to its end in peace."""
        try:
            for _ in range(ROUNDS):
                await self._guarded(self._round)
                self._check()
            self._quiet = True
            await self._guarded(self._settle)
            self._check(at_rest=True)
            if self.seed % 3 == 0:
                await self._guarded(self._start_again)
                await self._guarded(self._settle)
                self._check(at_rest=True)
            if self.seed % 4 < 2:
                await self._guarded(self._undo_everything)
            self._check(at_end=True)
        finally:
            self.close()

    async def _guarded(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do something that has to come to its end, with all that it starts."""
        try:
            with anyio.fail_after(ROUND_S_MAX):
                async with anyio.create_task_group() as self._group:
                    await work()
        except TimeoutError:
            self.complain(f"nothing moved for {ROUND_S_MAX} s")
        except Exception as error:
            error.add_note("\n".join([f"seed {self.seed}, story:", *self.story]))
            raise
        finally:
            self._group = None
        if self.moments > MOMENTS_MAX:
            self.complain(f"it did not come to its end in {MOMENTS_MAX} moments")

    async def _round(self) -> None:
        tasks = self._unfinished()
        choice = self.random.random()
        engine = self._some_engine()
        if choice < 0.2:
            await as_deed(partial(self.interfere, "meanwhile", engine.process))
        elif not tasks or (choice < 0.35 and len(self._roots()) < 4):
            await self._survive(engine, partial(self._start, engine))
        else:
            await self._survive(engine, partial(engine.app.carry_on, self.random.choice(tasks), self._asker(engine)))

    async def _survive(self, engine: Engine, work: Callable[[], Awaitable[object]]) -> None:
        """Do something that may end in an error, or in the end of the process."""
        number = engine.process.number
        try:
            with engine.process.at_work():
                await work()
        except DomainError as error:
            self.tell(f"refused {number}: {error.code} {error.message}")
            if self.random.random() < 0.3:
                engine.process.is_dead = True
        except BaseException as error:
            crash = crash_of(error)
            if crash is None:
                raise
            self.tell(f"CRASH {number} {crash}")
            for other in others_in(error):
                self.complain(f"beside the crash: {type(other).__name__}: {other}")

    async def _start(self, engine: Engine) -> None:
        """Start a task: a new one, or one that there was before, of which some was to be remembered."""
        if not self._requests or self.random.random() < 0.7:
            self._requests.append(self._request())
        await engine.app.start(self.random.choice(self._requests[-2:]))

    async def _start_again(self) -> None:
        """Start what was started before, on another day: what a person said to it then may be remembered."""
        engine = self._engine()
        for request in self.random.sample(self._requests, min(2, len(self._requests))):
            await self._survive(engine, partial(engine.app.start, request))

    def _request(self) -> RunRequest:
        ends = timedelta(hours=self.random.choice((1, 2, 1000)))
        verbs = VERBS if self.random.random() < 0.8 else tuple(self.random.sample(VERBS, 3))
        hosts = tuple(self.random.sample(HOSTS, self.random.choice((0, 1, 1, 2))))
        folder = FolderRequest(
            path=str(self._tree.work),
            verbs=verbs,
            output_paths=(f"{self._tree.work}/out",) if self.random.random() < 0.5 else (),
            expires_at=self._clock.now() + ends if self.random.random() < 0.3 else None,
        )
        return RunRequest(
            planned=random_plan(self.random, self._tree, Given(verbs=verbs, hosts=hosts)),
            planner="chance",
            folders=(folder,),
            hosts=hosts,
            own=self.random.choice(RULES),
            user="ann",
            device="laptop",
            platform="linux",
        )

    def _asker(self, engine: Engine) -> "Terminal | None":
        return Terminal(self._person, engine, self.random) if self.random.random() < 0.6 else None

    async def _settle(self) -> None:
        """Answer every question, make room in every budget, and carry on every task until all have ended."""
        engine = self._engine()
        waiting: list[str] = []
        with engine.process.at_work():
            for _ in range(SETTLING_ROUNDS_MAX):
                waiting = self._person.app.resumable()
                if not waiting:
                    return
                for task_id in waiting:
                    task = await engine.app.carry_on(task_id)
                    if task.status == "budget_exhausted":
                        await self._person.make_room(task_id)
                await self._person.answer_all()
        left = {name: self._person.app.task(name).status for name in waiting}
        self.complain(f"after {SETTLING_ROUNDS_MAX} rounds in peace, some tasks have not ended: {left}")

    async def _undo_everything(self) -> None:
        """Take back all that was ever done, the last first: what is left is what the person made of it."""
        self._machine = NOTHING_STANDING
        self._person.says_yes = True
        undone = Undone(self._tree, self._person, has_left=not self._checks.is_all_on_record(self.events()))
        engine = self._engine()
        with engine.process.at_work():
            for task_id in reversed(self._roots()):
                if not self._person.app.task(task_id).undoes:
                    await undone.undo(task_id, engine.app)
        self.tell(f"all undone, as it was: {undone.is_as_it_was}")
        for complaint in undone.complaints():
            self.complain(complaint)

    def _roots(self) -> list[str]:
        queued = [one.event.task_id for one in self.events() if isinstance(one.event, TaskQueued)]
        return [name for name in queued if root_task_id(name) == name]

    def _unfinished(self) -> list[str]:
        """Return the tasks that can be carried on: also those of which a crash has left something to be closed."""
        return [name for name in self._roots() if name in self._person.app.resumable()]

    def _check(self, *, at_rest: bool = False, at_end: bool = False) -> None:
        complaints = self._checks.run(self.events(), self._person.app, at_rest=at_rest or at_end, at_end=at_end)
        if complaints:
            raise Found("\n".join([f"seed {self.seed}:", *complaints, "story:", *self.story]))


class Terminal:
    """The person at the terminal of a process: yes, no, later, or after a long while."""

    def __init__(self, person: Person, engine: Engine, random: Random) -> None:
        self._person = person
        self._engine = engine
        self._random = random

    async def ask(self, question: ConfirmationRequested) -> Answer | None:
        """See the port `Asker`."""
        process = self._engine.process
        await process.moment("while asking")
        if self._random.random() < 0.25:
            self._person.edit(process.at_stake)
        if self._random.random() < 0.25:
            return None
        return self._person.answer_to(question, digest=question.digest, offers=self._engine.app)


def simulate(seed: int, folder: Path) -> Simulation:
    """Live through one seed in a new folder. Raises `Found` where a check fails."""
    living: list[Simulation] = []

    async def live() -> None:
        living.append(Simulation(seed, folder))
        await living[0].run()

    with without_threads(), as_if_killed(), in_order(seed):
        anyio.run(live, backend="trio" if seed % 2 else "asyncio")
    return living[0]
