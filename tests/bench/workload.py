"""The engine at work: tasks of many small steps, each step one file to be created, run through the whole pipeline."""

import time
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Literal

import anyio

from cowork.adapters.blobs.store import FileBlobStore
from cowork.adapters.bootstrap import assemble
from cowork.adapters.event_store import open_sqlite_store
from cowork.adapters.files.executor import FileExecutor
from cowork.adapters.files.finder import GlobFinder
from cowork.adapters.files.opener import FileFolderOpener
from cowork.adapters.read_model.sqlite import SqliteReadModel
from cowork.adapters.system.clock import SystemClock
from cowork.adapters.system.ids import RandomIds
from cowork.adapters.system.task_locks import FileTaskLocks
from cowork.domain.action import Action, ActionKind, Content, FileCreate, Location, locations_of
from cowork.domain.effect import Effect
from cowork.domain.facts import ABSENT, Facts
from cowork.domain.plan import Plan, Step
from cowork.domain.scope import Scope
from cowork.engine.application import Application, FolderRequest, RunRequest
from cowork.engine.planning_ports import PlannedTask
from cowork.engine.policy_records import NoPolicyFiles
from cowork.engine.ports import BlobStore, Done, Executor, Finding, NotApplied, Outcome, Permit
from cowork.projections.registry import TABLES

CONTENT = b"one line of a report that an agent has written\n" * 87 + b"the end"
LOG_FILE = "events.db"

Acting = Literal["nothing", "files"]


class IdleExecutor:
    """Says of every file that it is absent, and of every action that it is done."""

    kinds: frozenset[ActionKind] = frozenset(["file.create"])

    async def observe(self, actions: Sequence[Action], scope: Scope, now: datetime, *, batch: int) -> list[Facts]:
        return [Facts(now=now, target=ABSENT, batch=batch) for _ in actions]

    async def perform(self, permit: Permit) -> Outcome:
        action = permit.action
        assert isinstance(action, FileCreate)
        return Done((Effect(change="create", at=action.at, after=action.content.digest),))

    async def reconcile(self, permit: Permit) -> Finding:
        return NotApplied()


class TimedExecutor:
    """Notes for each task when each of its actions is looked at: from one to the next is an action's whole way."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self.kinds = executor.kinds
        self.times: dict[str, list[float]] = defaultdict(list)

    async def observe(self, actions: Sequence[Action], scope: Scope, now: datetime, *, batch: int) -> list[Facts]:
        self.times[locations_of(actions[0])[0].path.partition("/")[0]].append(time.perf_counter())
        return await self._executor.observe(actions, scope, now, batch=batch)

    async def perform(self, permit: Permit) -> Outcome:
        return await self._executor.perform(permit)

    async def reconcile(self, permit: Permit) -> Finding:
        return await self._executor.reconcile(permit)

    def latencies_s(self) -> list[float]:
        """Return the seconds from each action to the next of its task."""
        return [after - before for times in self.times.values() for before, after in pairwise(times)]


class Engine:
    """The engine on a store of its own, new or not, below a folder that stays on disk until the caller removes it."""

    def __init__(self, folder: Path, acting: Acting) -> None:
        self._output = folder / "granted"
        self._output.mkdir(parents=True, exist_ok=True)
        self.log = folder / "store" / LOG_FILE
        self.log.parent.mkdir(exist_ok=True)
        blobs = FileBlobStore(self.log.parent / "blobs")
        self.content = blobs.put(CONTENT)
        self.store = open_sqlite_store(self.log)
        self.timed = TimedExecutor(_executor(acting, blobs, self.log.parent))
        self.app: Application = assemble(
            store=self.store,
            read_model=SqliteReadModel(self.log.parent / "read.db", TABLES),
            blobs=blobs,
            executors=(self.timed,),
            finder=GlobFinder(),
            opener=FileFolderOpener(self.log.parent),
            locks=FileTaskLocks(self.log.parent / "locks"),
            policy_source=NoPolicyFiles(),
            clock=SystemClock(),
            ids=RandomIds(),
        )
        self._tasks = 0

    def run(self, *, tasks: int, actions: int) -> float:
        """Run so many tasks at once, each with so many actions; return the seconds from first to last action."""
        return anyio.run(self._run, tasks, actions)

    async def _run(self, tasks: int, actions: int) -> float:
        self.timed.times.clear()
        task_ids = [await self._start(actions) for _ in range(tasks)]
        began = time.perf_counter()
        async with anyio.create_task_group() as group:
            for task_id in task_ids:
                group.start_soon(self._carry_on, task_id)
        return time.perf_counter() - began

    async def _start(self, actions: int) -> str:
        self._tasks += 1
        name = f"task-{self._tasks}"
        # Its folder is there, so that a create is a create and not also the making of a folder.
        (self._output / name).mkdir()
        folder = FolderRequest(path=str(self._output), output_paths=(str(self._output),))
        return await self.app.start(
            RunRequest(
                planned=PlannedTask(plan_of(name, actions, self.content)),
                planner="bench",
                folders=(folder,),
                user="ada",
                device="bench",
                platform="linux",
            )
        )

    async def _carry_on(self, task_id: str) -> None:
        task = await self.app.carry_on(task_id)
        if task.status != "completed":
            raise RuntimeError(f"the measured task ended as {task.status}")

    def close(self) -> None:
        self.app.close()


def _executor(acting: Acting, blobs: BlobStore, state_dir: Path) -> Executor:
    return IdleExecutor() if acting == "nothing" else FileExecutor(blobs, state_dir)


def plan_of(name: str, actions: int, content: Content) -> Plan:
    """Return a plan that creates so many files in the folder `name`."""
    steps = [
        Step(
            step_id=f"write-{number}",
            title=f"Write part {number} of the report",
            request=FileCreate(at=Location("", f"{name}/part-{number:05}.md"), content=content),
        )
        for number in range(1, actions + 1)
    ]
    return Plan(title="Write a report in parts", steps=tuple(steps))
