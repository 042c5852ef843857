"""The whole engine in this process: SQLite log, read model, blobs, real files, and a person who answers as told."""

import contextlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from cowork.adapters.blobs.store import FileBlobStore
from cowork.adapters.bootstrap import LOG_FILE, READ_MODEL_FILE, assemble
from cowork.adapters.event_store import open_sqlite_store
from cowork.adapters.files.executor import FileExecutor
from cowork.adapters.files.finder import GlobFinder
from cowork.adapters.files.opener import FileFolderOpener
from cowork.adapters.read_model.sqlite import SqliteReadModel
from cowork.adapters.system.ids import RandomIds
from cowork.adapters.system.task_locks import FileTaskLocks
from cowork.domain.action import Action
from cowork.domain.baseline import BASELINE
from cowork.domain.confirmation import ConfirmationRequested
from cowork.domain.plan import Plan, Step
from cowork.domain.policy_document import Layer
from cowork.engine.application import Answer, Application, FolderRequest, PlannedTask, RunRequest
from cowork.engine.command_handler import CommandHandler
from cowork.engine.policy_records import RUN, NoPolicyFiles
from cowork.engine.ports import EventStore
from cowork.projections.registry import TABLES
from tests.adapters.files.cases.direct import RESOLVERS

YES = Answer(approve=True, answered_by="person:tester")
NO = Answer(approve=False, answered_by="person:tester")


class MovableClock:
    """The machine's time, and as much later as a test says."""

    def __init__(self) -> None:
        self.later = timedelta()

    def now(self) -> datetime:
        """Return the time."""
        return datetime.now(UTC) + self.later


class Person:
    """Answers the first questions as told and leaves the rest open; keeps all that it was asked."""

    def __init__(self, *answers: Answer, then: Callable[[], object] = lambda: None) -> None:
        self._answers = list(answers)
        self._then = then
        self.asked: list[ConfirmationRequested] = []

    async def ask(self, question: ConfirmationRequested) -> Answer | None:
        """Return the next answer. `then` happens between the reading of the question and the answer."""
        self.asked.append(question)
        if not self._answers:
            return None
        self._then()
        return self._answers.pop(0)


class Engine(msgspec.Struct, frozen=True):
    """An application with the parts that tests look at."""

    app: Application
    store: EventStore
    blobs: FileBlobStore
    clock: MovableClock
    handler: CommandHandler
    """A second handler on the same log: somebody who gives commands past the application."""

    async def start(
        self,
        *actions: Action,
        folders: tuple[Path, ...],
        contents: tuple[bytes, ...] = (),
        rules: Layer = BASELINE,
        outputs: tuple[Path, ...] = (),
        description: str = "",
    ) -> str:
        """Queue a task with one step per action, whose paths are text as in a plan file; return its id."""
        steps = tuple(
            Step(step_id=f"s{number}", title=f"step {number}", description=description, request=action)
            for number, action in enumerate(actions, start=1)
        )
        request = RunRequest(
            planned=PlannedTask(Plan(title="case", steps=steps), contents),
            planner="test",
            folders=tuple(
                FolderRequest(path=str(path), output_paths=tuple(str(o) for o in outputs if o.is_relative_to(path)))
                for path in folders
            ),
            own=() if rules is BASELINE else (msgspec.structs.replace(rules, name=RUN),),
            user="tester",
            device="here",
            platform="linux",
        )
        return await self.app.start(request)

    def events(self, task_id: str) -> list[str]:
        """Return the topics of a task's whole history, without versions."""
        return [frame.recorded.event.TOPIC.rpartition(".")[0] for frame in self.app.replay(task_id)]


@contextlib.contextmanager
def opened_engine(
    folder: Path,
    resolver: str = "openat2",
    *,
    clock: MovableClock | None = None,
    around: Callable[[EventStore], EventStore] = lambda store: store,
) -> Iterator[Engine]:
    """Open the engine on a store's folder as `bootstrap.py` does, and close it with the block."""
    folder.mkdir(exist_ok=True)
    store = around(open_sqlite_store(folder / LOG_FILE))
    blobs = FileBlobStore(folder / "blobs")
    executor = FileExecutor(blobs, folder, RESOLVERS[resolver]())
    clock = clock or MovableClock()
    app = assemble(
        store=store,
        read_model=SqliteReadModel(folder / READ_MODEL_FILE, TABLES),
        blobs=blobs,
        executors=(executor,),
        finder=GlobFinder(),
        opener=FileFolderOpener(folder),
        locks=FileTaskLocks(folder / "locks"),
        policy_source=NoPolicyFiles(),
        clock=clock,
        ids=RandomIds(),
    )
    try:
        yield Engine(app, store, blobs, clock, CommandHandler(store, clock, RandomIds()))
    finally:
        app.close()
        executor.close()
