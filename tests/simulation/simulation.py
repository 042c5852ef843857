"""One seed, one life of a store: plans, a person, the clock, crashes at every wait, and the checks after every step.

The engine, its file executor and the projections are the real ones. What is in memory dies with each crash; rows, files
and blobs stay.
"""

from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import anyio
import msgspec

from cowork.adapters.blobs.memory import MemoryBlobStore
from cowork.adapters.bootstrap import assemble
from cowork.adapters.event_store.mapper import StoredRow
from cowork.adapters.event_store.memory import MemoryEventStore
from cowork.adapters.files.executor import FileExecutor
from cowork.adapters.files.finder import GlobFinder
from cowork.adapters.files.opener import FileFolderOpener
from cowork.adapters.read_model.memory import MemoryReadModel
from cowork.domain.confirmation import ConfirmationRequested
from cowork.domain.errors import DomainError
from cowork.domain.event import Event, Recorded
from cowork.domain.folder_trust import TrustedFolders
from cowork.domain.policy_remember import REMEMBER_SCOPES, Wish
from cowork.domain.sandbox import Standing
from cowork.domain.scope import VERBS
from cowork.domain.task import ActionFailed, ActionOutcomeUnknown, TaskQueued
from cowork.engine.application import Answer, Application, FolderRequest, RunRequest
from cowork.engine.policy_records import NOTHING_STANDING
from cowork.engine.ports import StandingLayers
from cowork.engine.remembering import Offer
from cowork.projections.registry import TABLES
from tests.engine.rig import HELD, CountedIds, HandClock, HandLocks, HandTest
from tests.simulation.account import still_open, unexplained
from tests.simulation.account_outside import unanswered
from tests.simulation.faults import Crash, FaultyExecutor, FaultyStore, FileFaults, Odds, as_if_killed, without_threads
from tests.simulation.outside import HOSTS, Ledger, SimulatedCommands, SimulatedRequests, World
from tests.simulation.plans import MACHINES, RULES, random_plan
from tests.simulation.tree import Tree

ROUNDS = 10
SETTLING_ROUNDS_MAX = 40
PERSON = "person:ann"
_DEEDS = (
    *("edit",) * 5,
    *("answer",) * 5,
    *("wrong", "pause", "revoke", "cancel", "wait", "forget", "forget", "rule", "sandbox"),
)


class Found(AssertionError):  # noqa: N818 - what a simulation is for, and not an error of its own
    """A check failed. The message says which, and the seed that shows it."""


class Simulation:
    """A world made from a seed. `run()` lives through it; `story` says what happened, in order."""

    def __init__(self, seed: int, folder: Path) -> None:
        self.seed = seed
        self.story: list[str] = []
        self._random = Random(seed)
        self._rows: list[StoredRow] = []
        self._blobs = MemoryBlobStore()
        self._tree = Tree(folder, self._random, self._blobs)
        self._clock = HandClock()
        self._ids = CountedIds(self._clock)
        self._locks = HandLocks()
        self._read_model = MemoryReadModel(TABLES)
        self._quiet = False
        self._interfering = False
        self._performed: list[tuple[str, int]] = []
        self._edited = 0
        self._disturbed: set[str] = set()
        self._checked_to = 0
        self._open_before: set[str] = set()
        self._looked_at = (-1, 0)
        self._closing: list[Any] = []
        self._machine = NOTHING_STANDING
        self._ledger = Ledger(self.log)
        self._self_test = HandTest()
        self._person = self._application(faulty=False)
        self._engine = self._application(faulty=True)

    # Processes

    def _application(self, *, faulty: bool) -> Application:
        """Return an engine in a process of its own: the one that runs tasks is faulty, the person's is not."""
        self.file_faults = FileFaults(self._random, self._edit, self._disturb, self._is_quiet)
        finder = GlobFinder()
        if faulty:
            store: Any = FaultyStore(MemoryEventStore(self._rows), self._random, self._moment, self._is_quiet)
            files = FileExecutor(self._blobs, self._tree.state, checkpoint=self.file_faults)
            executor: Any = FaultyExecutor(files, self._random, self._moment, self._is_quiet)
            executor.done = self._performed
            executor.now = self._edits
            self._at_work = executor
            executors: tuple[Any, ...] = (executor, *self._outside(files))
        else:
            store = MemoryEventStore(self._rows)
            files = FileExecutor(self._blobs, self._tree.state)
            executors = (files,)
        self._closing += [files, finder]
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
        )

    def _outside(self, files: FileExecutor) -> list[FaultyExecutor]:
        """Return the executors of commands and requests of the process that runs tasks."""
        world = World(self._random, self._tree, self._blobs, files, self._ledger, self._moment, self._note_at_stake)
        parts = (SimulatedCommands(world), SimulatedRequests(world))
        return [FaultyExecutor(one, self._random, self._moment, self._is_quiet) for one in parts]

    def _note_at_stake(self, paths: list[str]) -> None:
        self._at_work.looking_at = paths

    def close(self) -> None:
        """Let go of the folders that executors hold open."""
        for one in self._closing:
            one.close()

    def _restart(self) -> None:
        self._engine = self._application(faulty=True)

    def _edits(self) -> int:
        return self._edited

    def _is_quiet(self) -> bool:
        return self._quiet or self._interfering

    async def _moment(self, point: str) -> None:
        """Somewhere the engine waits: time passes, the person does something, the process dies."""
        await anyio.lowlevel.checkpoint()
        if self._is_quiet():
            return
        self._clock.move(timedelta(seconds=self._random.choice((0, 0, 1, 2, 30, 4000))))
        if self._random.random() < Odds.interfere:
            self._interfering = True
            try:
                await self._act(point)
            finally:
                self._interfering = False
        if self._random.random() < Odds.crash:
            raise Crash(point)

    # The person

    def standing(self, folders: Sequence[str], trusted: TrustedFolders) -> StandingLayers:
        """Return what this machine's policy files say: the person changes them now and then."""
        del folders, trusted
        return self._machine

    def _edit(self) -> None:
        self._edited += 1
        self._tell(f"edit: {self._tree.edit(self._at_work.looking_at)}")

    def _disturb(self) -> None:
        """Note which action's work on files is about to be disturbed or cut off."""
        self._disturbed.add(self._at_work.at_work_on)

    async def _act(self, when: str = "") -> None:
        """Let the person do one thing, from a process of their own."""
        kind = self._random.choice(_DEEDS)
        try:
            match kind:
                case "edit":
                    self._edit()
                case "answer" | "wrong":
                    await self._answer(wrong=kind == "wrong")
                case "forget":
                    known = [one.approval.id for one in self._person.policies.approvals()]
                    for name in self._random.sample(known, min(1, len(known))):
                        await self._person.policies.revoke_approval(name, by=PERSON)
                case "rule":
                    self._machine = self._random.choice(MACHINES)
                case "sandbox":
                    self._change_sandbox()
                case "wait":
                    self._clock.move(timedelta(hours=self._random.choice((1, 25))))
                case "pause" | "cancel" if self._random.random() < 0.5:
                    for task_id in self._random.sample(self._tasks(), min(1, len(self._tasks()))):
                        end = self._person.pause if kind == "pause" else self._person.cancel
                        await end(task_id, by=PERSON)
                case "revoke" if self._random.random() < 0.3:
                    grants = [*self._person.rows("grants"), *self._person.rows("host_grants")]
                    if grants:
                        await self._person.revoke(str(self._random.choice(grants)["grant_id"]), by=PERSON)
                case _:
                    return
            if kind != "edit":
                self._tell(f"person: {kind} {when}")
        except DomainError as error:
            self._tell(f"person: {kind} {when} refused: {error.message}")

    def _change_sandbox(self) -> None:
        """Install something on this machine: what is there to hold commands is another, and may not hold."""
        holds = self._random.random() < 0.6
        self._self_test.machine = f"machine {self._random.randint(1, 10**6)}"
        standing: Standing = "enforced" if holds else "absent"
        self._self_test.canaries = (msgspec.structs.replace(HELD, standing=standing),)

    async def _answer(self, *, wrong: bool = False, everything: bool = False) -> None:
        rows = self._person.rows("confirmations", {"status": "pending"})
        for row in rows if everything else self._random.sample(rows, min(1, len(rows))):
            digest = "sha256:" + "0" * 64 if wrong else str(row["digest"])
            answer = Answer(approve=self._random.random() < 0.7, answered_by=PERSON)
            try:
                offer = self._offer(str(row["confirmation_id"])) if answer.approve and not wrong else None
                kept = Answer(approve=answer.approve, answered_by=PERSON, remember=offer)
                await self._person.answer(str(row["confirmation_id"]), digest, kept)
            except DomainError as error:
                if error.code not in ("expired", "conflict"):
                    raise
            else:
                if wrong:
                    raise Found(f"seed {self.seed}: an answer to another digest was taken")

    def _offer(self, confirmation_id: str) -> Offer | None:
        """Return what the person wants to be remembered of a yes, now and then, where it can be."""
        if self._random.random() < 0.2:
            return None
        wish = Wish(
            scope=self._random.choice((*REMEMBER_SCOPES, "workspace", "workspace")),
            within="" if self._random.random() < 0.2 else str(self._tree.work),
            uses=self._random.choice((0, 0, 1, 2)),
        )
        try:
            return self._person.offer(confirmation_id, wish)
        except DomainError as error:
            self._tell(f"person: nothing remembered: {error.message}")
            return None

    async def ask(self, question: ConfirmationRequested) -> Answer | None:
        """Be the person at the terminal: yes, no, later, or after a long while."""
        await self._moment("while asking")
        if self._random.random() < 0.25:
            self._edit()
        if self._random.random() < 0.25:
            return None
        return Answer(approve=self._random.random() < 0.75, answered_by=PERSON)

    # Living

    async def run(self) -> None:
        """Live through the rounds, then let everything come to its end in peace."""
        try:
            for _ in range(ROUNDS):
                await self._round()
                self.check()
            self._quiet = True
            await self._settle()
            self.check(at_rest=True)
        finally:
            self.close()

    async def _round(self) -> None:
        tasks = self._unfinished()
        choice = self._random.random()
        if choice < 0.2:
            await self._act()
        elif not tasks or (choice < 0.3 and len(self._tasks()) < 3):
            await self._survive(partial(self._start))
        else:
            asker = self if self._random.random() < 0.6 else None
            await self._survive(partial(self._engine.carry_on, self._random.choice(tasks), asker))

    async def _survive(self, work: Any) -> None:
        """Do something that may end in an error, or in the end of the process."""
        try:
            await work()
        except DomainError as error:
            self._tell(f"refused: {error.code} {error.message}")
            if self._random.random() < 0.5:
                self._restart()
        except Crash as crash:
            self._tell(f"CRASH {crash}")
            self._restart()

    async def _start(self) -> None:
        ends = timedelta(hours=self._random.choice((1, 2, 1000)))
        verbs = VERBS if self._random.random() < 0.8 else tuple(self._random.sample(VERBS, 3))
        folder = FolderRequest(
            path=str(self._tree.work),
            verbs=verbs,
            output_paths=(f"{self._tree.work}/out",) if self._random.random() < 0.5 else (),
            expires_at=self._clock.now() + ends if self._random.random() < 0.3 else None,
        )
        request = RunRequest(
            planned=random_plan(self._random, self._tree),
            planner="chance",
            folders=(folder,),
            hosts=tuple(self._random.sample(HOSTS, self._random.choice((0, 1, 1, 2)))),
            own=self._random.choice(RULES),
            user="ann",
            device="laptop",
            platform="linux",
        )
        await self._engine.start(request)

    async def _settle(self) -> None:
        """Answer every question and carry on every task until all have ended."""
        self._restart()
        for _ in range(SETTLING_ROUNDS_MAX):
            waiting = self._person.resumable()
            if not waiting:
                return
            for task_id in waiting:
                await self._engine.carry_on(task_id)
            await self._answer(everything=True)
        raise Found(f"seed {self.seed}: after {SETTLING_ROUNDS_MAX} rounds in peace, some tasks have not ended")

    def _tasks(self) -> list[str]:
        return [one.event.task_id for one in self.log() if isinstance(one.event, TaskQueued)]

    def _unfinished(self) -> list[str]:
        return [task_id for task_id in self._tasks() if not self._person.task(task_id).is_final]

    def log(self) -> list[Recorded[Event]]:
        """Return everything that was recorded."""
        return MemoryEventStore(self._rows).read_log(after=0, limit=len(self._rows) + 1)

    def _tell(self, what: str) -> None:
        self.story.append(f"[{len(self._rows)}] {what}")

    # Checks

    def _is_done_again_for_nothing(self, name: str) -> bool:
        """Whether an action took effect twice, and between the two neither a person nor another task did anything."""
        task = name.rpartition(".")[0]
        at = [number for number, (done, _) in enumerate(self._performed) if done == name]
        return any(
            self._performed[first][1] == self._performed[second][1]
            and all(done.rpartition(".")[0] == task for done, _ in self._performed[first:second])
            for first, second in pairwise(at)
        )

    def check(self, *, at_rest: bool = False) -> None:
        """Check every invariant and the account of the files. Raises `Found`."""
        log = self.log()
        moved = (len(log), self._edited)
        if moved == self._looked_at and not at_rest:
            return
        self._looked_at = moved
        complaints = [
            f"invariant {one.invariant} at {one.position}, {one.stream}: {one.sentence}"
            for one in self._engine.audit().violations
            # A crash may leave an attempt of a cancelled task open; somebody has to look at it before there is peace.
            if at_rest or not (one.invariant == 8 and "nobody will find out" in one.sentence)
        ]
        complaints += unexplained(self._tree, log, self._checked_to, self._open_before, self._disturbed)
        complaints += [f"the bytes {digest} were lost" for digest in self._tree.lost()]
        if not self._tree.is_outside_untouched():
            complaints.append("something outside the granted folder was touched")
        # Where the person or another task has had their hands in the files in between, the same may have had to be done
        # again; where nobody could tell whether it was done, a person may have said that it be done again.
        excused = {one.event.action_id for one in log if isinstance(one.event, ActionOutcomeUnknown)}
        twice = {name for name, _ in self._performed if self._is_done_again_for_nothing(name)}
        complaints += [f"action {name} took effect twice" for name in sorted(twice - excused)]
        failed = {one.event.action_id for one in log if isinstance(one.event, ActionFailed)}
        took_effect = {name for name, edits in self._performed if edits == self._edited}
        complaints += [
            f"action {name} took effect, and the log says it failed" for name in sorted(failed & took_effect)
        ]
        complaints += unanswered(log, self._ledger)
        if at_rest:
            complaints += [f"`{name}` was left behind" for name in self._tree.leftovers()]
            complaints += [f"task {name} has not ended" for name in self._unfinished()]
        if complaints:
            raise Found("\n".join([f"seed {self.seed}:", *complaints, "story:", *self.story]))
        self._checked_to = len(log)
        self._open_before = still_open(log)
        self._tree.take_over()


def simulate(seed: int, folder: Path) -> Simulation:
    """Live through one seed in a new folder. Raises `Found` where a check fails."""
    living: list[Simulation] = []

    async def live() -> None:
        simulation = Simulation(seed, folder)
        living.append(simulation)
        await simulation.run()

    with without_threads(), as_if_killed(lambda: living[0].file_faults):
        anyio.run(live, backend="trio" if seed % 2 else "asyncio")
    return living[0]
