"""A backtest: how fast recorded decisions are made again under other rules, with and without reading the log.

The log is one that the engine has written: tasks of many kinds of file actions, of which about half need a person, who
says yes. The new rules are the baseline and a hundred more. Times are of the processor, on one core.
"""

import time
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from random import Random
from statistics import median

import anyio
import msgspec

from cowork.adapters.blobs.memory import MemoryBlobStore
from cowork.adapters.bootstrap import LOG_FILE, assemble
from cowork.adapters.event_store import SqliteEventStore, open_sqlite_store
from cowork.adapters.files.finder import GlobFinder
from cowork.adapters.files.opener import FileFolderOpener
from cowork.adapters.read_model.memory import MemoryReadModel
from cowork.adapters.system.clock import SystemClock
from cowork.adapters.system.ids import RandomIds
from cowork.adapters.system.task_locks import FileTaskLocks
from cowork.domain.action import (
    Action,
    ActionKind,
    Content,
    FileCreate,
    FileDelete,
    FileList,
    FileMove,
    FileRead,
    FileWrite,
    Location,
)
from cowork.domain.baseline import BASELINE
from cowork.domain.confirmation import ConfirmationRequested
from cowork.domain.facts import ABSENT, Facts, FileState
from cowork.domain.plan import Plan, Step
from cowork.domain.policy_document import Layer, PolicyDocument, layer
from cowork.domain.policy_request import Request
from cowork.domain.scope import Scope
from cowork.engine.application import Answer, FolderRequest, RunRequest
from cowork.engine.backtest import Backtesting, BacktestReport, backtest, instead_of_first
from cowork.engine.planning_ports import PlannedTask
from cowork.engine.policy_history import Decided, PolicyHistory
from cowork.engine.policy_records import NoPolicyFiles
from cowork.engine.ports import Done, Finding, NotApplied, Outcome, Permit
from cowork.projections.registry import TABLES
from tests.bench.figure import Figure
from tests.bench.policy_workload import WORK, document_of, requests_of

TASKS = 64
ACTIONS = 50
RULES = 100
_FILE = FileState("file", device=66_304, inode=77, size=4096, mtime_ns=1, mode=0o644, digest=f"sha256:{'0' * 64}")


def measure_backtest(folder: Path, rounds: int) -> list[Figure]:
    """Decisions made again per second: of recorded ones in memory, and from the file to the report."""
    granted = folder / "granted"
    granted.mkdir()
    store = open_sqlite_store(folder / "store" / LOG_FILE)
    _live(store, folder, granted)
    change = instead_of_first(_other_rules(str(granted)))
    moments = list(PolicyHistory().read(store))
    decided = sum(isinstance(moment, Decided) for moment in moments)

    def in_memory() -> BacktestReport:
        run, history = Backtesting(change, None, 3), PolicyHistory()
        for moment in moments:
            run.see(moment)
        return run.report(history)

    ways: tuple[tuple[str, str, float | None, Callable[[], BacktestReport]], ...] = (
        ("backtest", "backtest: decisions made again, twice each", 50_000, in_memory),
        ("backtest-log", "  the same, from the log to the report", None, lambda: backtest(store, change)),
    )
    figures = []
    for key, title, aim, run in ways:
        rates = [_made_per_s(run) for _ in range(rounds)]
        figures.append(
            Figure(
                key=key,
                title=title,
                unit="a second",
                rounds=tuple(rates),
                aim=aim,
                absolute=f"{decided:,} recorded, {median(rates) / 2:,.0f} of them a second, {RULES} more rules",
            )
        )
    store.close()
    return figures


def _made_per_s(run: Callable[[], BacktestReport]) -> float:
    """Return the rate: each recorded decision and each look before a start is decided as it was, and anew."""
    began = time.process_time()
    report = run()
    spent = time.process_time() - began
    if report.disagreements or not report.flips:
        raise RuntimeError("the measured history does not agree with itself, or nothing in it would change")
    return 2 * (report.decisions + report.second_looks) / spent


def _other_rules(granted: str) -> Layer:
    """Return the baseline with a hundred rules more, about the granted folder."""
    text = msgspec.json.encode(document_of(RULES)).decode().replace(WORK, granted)
    more = msgspec.json.decode(text, type=PolicyDocument)
    rules = (*BASELINE.document.rules, *(rule for rule in more.rules if rule.decision != "allow"))
    return layer("more", msgspec.structs.replace(BASELINE.document, rules=rules))


# The history ----------------------------------------------------------------------------------------------------------


class _Idle:
    """Finds what the path's number says, and says of every action that it is done."""

    kinds: frozenset[ActionKind] = frozenset(
        ["file.read", "file.list", "file.create", "file.write", "file.move", "file.delete"]
    )

    async def observe(self, actions: Sequence[Action], scope: Scope, now: datetime, *, batch: int) -> list[Facts]:
        return [_facts(action, now, batch) for action in actions]

    async def perform(self, permit: Permit) -> Outcome:
        return Done()

    async def reconcile(self, permit: Permit) -> Finding:
        return NotApplied()


def _facts(action: Action, now: datetime, batch: int) -> Facts:
    match action:
        case FileCreate():
            return Facts(now=now, target=ABSENT, batch=batch)
        case FileList():
            return Facts(now=now, target=FileState("folder"), batch=batch)
        case FileMove():
            return Facts(now=now, target=_FILE, destination=ABSENT, batch=batch)
        case _:
            return Facts(now=now, target=_FILE, batch=batch)


class _Yes:
    async def ask(self, question: ConfirmationRequested) -> Answer:
        return Answer(approve=True, answered_by="person:ada")


def _live(store: SqliteEventStore, folder: Path, granted: Path) -> None:
    blobs = MemoryBlobStore()
    content = blobs.put(b"one line of a report")
    state = folder / "state"
    app = assemble(
        store=store,
        read_model=MemoryReadModel(TABLES),
        blobs=blobs,
        executors=(_Idle(),),
        finder=GlobFinder(),
        opener=FileFolderOpener(state),
        locks=FileTaskLocks(folder / "locks"),
        policy_source=NoPolicyFiles(),
        clock=SystemClock(),
        ids=RandomIds(),
    )
    random = Random(7)
    requests = [one for one in requests_of(3 * TASKS * ACTIONS) if one.action in _Idle.kinds]
    outputs = tuple(str(granted / f"project-{number:02}") for number in range(0, 40, 2))

    async def work(number: int) -> None:
        chosen = requests[number * ACTIONS : (number + 1) * ACTIONS]
        steps = tuple(
            Step(step_id=f"s{n}", title="a step", request=_action(request, content, random))
            for n, request in enumerate(chosen)
        )
        planned = PlannedTask(Plan(title="mixed work", steps=steps))
        folders = (FolderRequest(path=str(granted), output_paths=outputs),)
        task_id = await app.start(
            RunRequest(planned=planned, planner="bench", folders=folders, user="ada", device="bench", platform="linux")
        )
        await app.carry_on(task_id, _Yes())

    async def all_of_it() -> None:
        async with anyio.create_task_group() as group:
            for number in range(TASKS):
                group.start_soon(work, number)

    anyio.run(all_of_it)


def _action(request: Request, content: Content, random: Random) -> Action:
    at = Location("", str(request.path).removeprefix(f"{WORK}/"))
    match request.action:
        case "file.read":
            return FileRead(at=at)
        case "file.list":
            return FileList(at=at)
        case "file.create":
            return FileCreate(at=at, content=content)
        case "file.write":
            return FileWrite(at=at, content=content)
        case "file.delete":
            return FileDelete(at=at)
        case _:
            return FileMove(at=at, to=Location("", f"moved/{random.randrange(1_000_000)}/{at.path}"))
