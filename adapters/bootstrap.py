"""The composition root: the one file that knows every adapter and puts the engine together."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from platformdirs import user_config_path, user_data_path, user_documents_path

from ..domain.errors import DomainError
from ..domain.ids import root_task_id
from ..domain.policy_document import Layer
from ..domain.sandbox import Canary
from ..domain.session import ROOT_ALLOWANCES, RootAllowance
from ..engine import limits
from ..engine.application import Application
from ..engine.assembly import RunPorts, attempts_of_process, run_parts
from ..engine.catch_up import CatchUp
from ..engine.command_handler import CommandHandler
from ..engine.keeping import Collectors, Keeping, Retention
from ..engine.keeping_ports import SessionMemory
from ..engine.past_questions import past_questions
from ..engine.performing import Outputs
from ..engine.planning_ports import Planner, SpawnReader
from ..engine.ports import (
    BlobStore,
    Clock,
    Closable,
    EventStore,
    Executor,
    FileFinder,
    FolderOpener,
    Ids,
    PlaceReader,
    PolicySource,
    ReadModel,
    SelfTest,
    TaskLocks,
)
from ..engine.remembering import Remembering
from ..engine.sandbox_check import SandboxCheck, try_out
from ..engine.scheduler import Scheduler
from ..engine.session_memory import Memories
from ..engine.session_view import SessionViews
from ..projections.action_card import render_card
from ..projections.registry import PROJECTIONS, TABLES
from ..projections.visible_text import visible

if TYPE_CHECKING:
    from ..domain.policy_case import CaseFile
    from .policy_files.document import FileFault
    from .settings import Settings

LOG_FILE = "events.db"
READ_MODEL_FILE = "read.db"


def default_store_dir() -> Path:
    """Return the folder that is used where no `--store` is given."""
    settings = _settings()
    return user_data_path("cowork", appauthor=False) if settings is None else settings.store_folder()


def default_config_dir() -> Path:
    """Return the folder of the user's policy documents."""
    settings = _settings()
    return user_config_path("cowork", appauthor=False) if settings is None else settings.config_folder()


def default_workspace_dir() -> Path:
    """Return the folder in which `cowork run --workspace` makes the folders of sessions."""
    settings = _settings()
    return user_documents_path() / "cowork" if settings is None else settings.workspace_folder()


def retention(*, keep_days: int | None = None, max_bytes: str | None = None) -> Retention:
    """Return what is kept how long: as given, or as set, or as by default. Raises `DomainError` invalid for a size.

    A size is a number of bytes, with a unit where it has one: `500MB`, `20GB`, `1.5GiB`.
    """
    settings = _settings()
    days, bytes_max = keep_days, None if max_bytes is None else _size_of(max_bytes)
    if settings is not None:
        days = settings.keep_days if days is None else days
        bytes_max = settings.max_bytes if bytes_max is None else bytes_max
    if days is not None and days < 0:
        raise DomainError("invalid", f"nothing can be kept for `{days}` days", "name 0 days or more")
    if days is not None and days > limits.KEEP_DAYS_MAX:
        most = f"name at most {limits.KEEP_DAYS_MAX} days, which keeps everything"
        raise DomainError("invalid", f"nothing can be kept for `{days}` days", most)
    return Retention(
        limits.KEEP_DAYS_DEFAULT if days is None else days,
        limits.KEPT_BYTES_MAX_DEFAULT if bytes_max is None else int(bytes_max),
    )


def _size_of(text: str) -> int:
    from pydantic import ByteSize, TypeAdapter, ValidationError

    try:
        return int(TypeAdapter(ByteSize).validate_python(text))
    except ValidationError:
        raise DomainError("invalid", f"`{visible(text)}` is not a size", "write `500MB`, `20GB` or `1.5GiB`") from None


def root_allowance(*, by_option: bool = False) -> RootAllowance | None:
    """Return how a person allowed this process, which is root's, to work; None where it is not root's.

    The 0 of a user namespace counts as well: it may do to the person's files whatever the person may, and whether there
    is more to it can't be told from within. Raises `DomainError` denied where nobody allowed it.
    """
    if os.geteuid() != 0:
        return None
    if by_option:
        return "option"
    settings = _settings()
    if settings is not None and settings.unsafe_as_root:
        return "setting"
    raise DomainError(
        "denied",
        "cowork does not work as root, to whom the operating system refuses nothing",
        f"run it as yourself; who wants it all the same writes `{ROOT_ALLOWANCES['option']}` "
        f"or sets `{ROOT_ALLOWANCES['setting']}=1`, which goes on record",
    )


def _settings() -> "Settings | None":
    """Return what is set in the environment, None where nothing is. Raises `DomainError` invalid."""
    if not any(value and name.upper().startswith("COWORK_") for name, value in os.environ.items()):
        # Nothing is set, so there is nothing to check: loading the checker is half of a short command's time.
        return None
    from .settings import settings_in_environment

    return settings_in_environment()


def path_resolution() -> str:
    """Return how paths are resolved on this machine: `openat2` or `walk`."""
    from .files.resolver import choose_resolver

    return choose_resolver().name


def plan_from_file(path: Path) -> Planner:
    """Return the planner that reads a plan file."""
    from .planners.plan_file import PlanFile

    return PlanFile(path)


def root_document(path: Path) -> Layer:
    """Return the root document of a run. Raises `DomainError` not_found, invalid or limit."""
    from ..engine.policy_records import RUN

    return document_in_file(path, RUN)


def layers_of_machine() -> tuple[Layer, ...]:
    """Return the layers that hold for every session on this machine. Raises `DomainError` as `standing_layers`."""
    from ..domain.folder_trust import TrustedFolders
    from ..engine.policy_records import in_force

    return in_force(policy_source().standing((), TrustedFolders()))


def policy_source() -> PolicySource:
    """Return what reads this machine's policy documents."""
    from .policy_files.source import FilePolicySource

    return FilePolicySource(default_config_dir())


def policy_files_of_machine(folders: Sequence[Path] = ()) -> list[tuple[str, Path]]:
    """Return the policy files that are there for this machine and in the folders, each with the layer that it is."""
    from .policy_files.whereabouts import policy_files

    return list(policy_files(default_config_dir(), folders))


def document_in_file(path: Path, name: str) -> Layer:
    """Return the policy document in a file under a layer's name. Raises `DomainError` as `load_layer`."""
    from .policy_files.document import load_layer

    return load_layer(path, name)


def faults_in_file(path: Path) -> "list[FileFault]":
    """Return every mistake of the policy document in a file. Raises `DomainError` where it can't be read as text."""
    from .policy_files.document import faults_in

    return faults_in(path)


def document_of_value(value: object, name: str) -> Layer:
    """Return a policy document that is a value already as a layer. Raises `DomainError` invalid."""
    from .policy_files.document import layer_of

    return layer_of(value, name)


def faults_of_value(value: object) -> list[str]:
    """Return the codes of a policy document's mistakes, each once."""
    from .policy_files.finding import error_codes

    return error_codes(value)


def cases_in_file(path: Path) -> "CaseFile | None":
    """Return the cases in a file, None where it has none. Raises `DomainError` where it can't be read."""
    from .policy_files.case_file import read_case_file

    return read_case_file(path)


def open_application(store_dir: Path, *, create: bool = True, unsafe_as_root: bool = False) -> Application:
    """Open the store and return the engine on it.

    Raises `DomainError` denied (as `root_allowance`), not_found (no store there, and not `create`), invalid (another
    program's files, a newer version), unavailable (locked, read-only, full) or damaged.
    """
    from .blobs.store import FileBlobStore
    from .event_store import open_sqlite_store
    from .files.executor import FileExecutor
    from .files.finder import GlobFinder
    from .files.opener import FileFolderOpener
    from .memory.files import FileSessionMemory
    from .on_demand import OnDemand
    from .policy_files.layers import ORGANISATION_FOLDER
    from .read_model.sqlite import SqliteReadModel
    from .system.clock import SystemClock
    from .system.ids import RandomIds
    from .system.lost_log import check_log
    from .system.task_locks import FileTaskLocks

    root_allowed_by = root_allowance(by_option=unsafe_as_root)
    check_log(store_dir / LOG_FILE, store_dir / READ_MODEL_FILE)
    if not create and not (store_dir / LOG_FILE).exists():
        raise DomainError("not_found", f"there is no store in `{store_dir}`", "start a task with `cowork run`")
    store = open_sqlite_store(store_dir / LOG_FILE)
    store_dir = store_dir.resolve()
    blobs = FileBlobStore(store_dir / "blobs")
    files, finder = FileExecutor(blobs, store_dir), GlobFinder()
    locks = FileTaskLocks(store_dir / "locks")

    def reader() -> PlaceReader:
        from .files.looking import PlaceLooker

        return PlaceLooker(blobs, store_dir)

    commands = OnDemand(frozenset(["shell.exec", "code.run"]), lambda: _command_executor(blobs, store_dir, locks))
    requests = OnDemand(frozenset(["network.request"]), lambda: _network_executor(blobs))
    return assemble(
        store=store,
        read_model=SqliteReadModel(store_dir / READ_MODEL_FILE, TABLES),
        blobs=blobs,
        executors=(files, commands, requests),
        finder=finder,
        opener=FileFolderOpener(store_dir, policy_dirs=(default_config_dir(), ORGANISATION_FOLDER)),
        locks=locks,
        policy_source=policy_source(),
        clock=SystemClock(),
        ids=RandomIds(),
        self_tests=lambda: self_tests_of(blobs, store_dir),
        closing=(files, finder, commands, requests),
        root_allowed_by=root_allowed_by,
        reader=reader,
        collectors=lambda: _collectors(store_dir),
        memory=FileSessionMemory(store_dir / "memory"),
    )


def _collectors(store_dir: Path) -> Collectors:
    from .blobs.collecting import BlobCollector
    from .files.collecting import FileQuarantineCollector
    from .sandbox.collecting import AreaCollector
    from .system.store_sizes import FolderSizes

    return Collectors(
        blobs=BlobCollector(store_dir / "blobs"),
        quarantine=FileQuarantineCollector(store_dir),
        areas=AreaCollector(store_dir),
        sizes=FolderSizes(store_dir),
    )


def _command_executor(blobs: BlobStore, store_dir: Path, locks: TaskLocks) -> tuple[Executor, Sequence[Closable]]:
    from .files.holding import GrantedFolders
    from .network.connect_proxy import ConnectProxy
    from .sandbox.executor import CommandExecutor

    _clear_areas(store_dir, locks)
    holder = GrantedFolders()
    executor = CommandExecutor(
        blobs=blobs, state_dir=store_dir, holder=holder, egress=ConnectProxy(), environment=dict(os.environ)
    )
    return executor, (holder,)


def _clear_areas(store_dir: Path, locks: TaskLocks) -> None:
    """Remove what commands left whose task nobody is running: they were killed, and the task was not resumed."""
    from .sandbox.area import area_names, clear

    for name in area_names(store_dir):
        task_id = name.partition(".")[0]
        if not task_id.startswith("task-"):
            # A self test's, perhaps of another process, and no task's lock says whether it is still running.
            continue
        # Whoever runs a task runs its subagents' with it, under the one lock of the task that a person started.
        with locks.hold(root_task_id(task_id)) as idle:
            if idle:
                clear(store_dir, name)


def _network_executor(blobs: BlobStore) -> tuple[Executor, Sequence[Closable]]:
    from .network.executor import NetworkExecutor

    return NetworkExecutor(blobs), ()


def self_tests_of(blobs: BlobStore, store_dir: Path | None = None) -> Sequence[SelfTest]:
    """Return what tries out on this machine that nothing gets past the file tools, the sandbox and the network.

    With a store the sandbox is tried where commands will have their areas.
    """
    from .files.canaries import FileSelfTest
    from .network.canaries import NetworkSelfTest
    from .sandbox.canaries import SandboxSelfTest

    return (FileSelfTest(blobs), SandboxSelfTest(store_dir), NetworkSelfTest())


async def try_sandbox() -> tuple[Canary, ...]:
    """Try everything out where there is no store to put the result on record."""
    from .blobs.memory import MemoryBlobStore

    return await try_out(self_tests_of(MemoryBlobStore()))


def _read_spawns() -> SpawnReader:
    from .planners.spawn import PlannedSpawns

    return PlannedSpawns()


def assemble(
    *,
    store: EventStore,
    read_model: ReadModel[Any],
    blobs: BlobStore,
    executors: tuple[Executor, ...],
    finder: FileFinder,
    opener: FolderOpener,
    locks: TaskLocks,
    policy_source: PolicySource,
    clock: Clock,
    ids: Ids,
    self_tests: Callable[[], Sequence[SelfTest]] = tuple,
    closing: Sequence[Closable] = (),
    root_allowed_by: RootAllowance | None = None,
    watch_s: float | None = limits.WATCH_INTERVAL_S,
    collectors: Callable[[], Collectors] | None = None,
    memory: SessionMemory | None = None,
    reader: Callable[[], PlaceReader] | None = None,
) -> Application:
    """Put the engine together from its parts: the same way for a person's machine, the tests and the simulation."""
    from .. import __version__  # pyright: ignore[reportMissingImports] - it sees the folders apart from their package
    from .memory.volatile import VolatileSessionMemory
    from .on_demand import SpawnsOnDemand
    from .read_model.memory import MemoryReadModel

    handler = CommandHandler(store, clock, ids)
    views = SessionViews(handler)
    check, outputs = SandboxCheck(handler, self_tests), Outputs()
    attempts, memories = attempts_of_process(), Memories(handler, memory or VolatileSessionMemory())
    ports = RunPorts(
        store=store,
        blobs=blobs,
        executors=executors,
        finder=finder,
        spawn_reader=SpawnsOnDemand(_read_spawns),
        render_card=render_card,
        clock=clock,
        ids=ids,
        watch_s=watch_s,
    )
    parts = run_parts(handler, views, check, outputs, attempts, ports)
    remembering = Remembering(
        handler=handler, views=views, past_questions=lambda: past_questions(store), clock=clock, ids=ids
    )
    return Application(
        store=store,
        read_model=read_model,
        catch_up=CatchUp(store, read_model, PROJECTIONS),
        made_again=lambda: CatchUp[Any](store, MemoryReadModel(TABLES), PROJECTIONS),
        blobs=blobs,
        opener=opener,
        executors=executors,
        handler=handler,
        scheduler=Scheduler(parts, attempts),
        answering=parts.answering,
        closing_tasks=parts.closing,
        remembering=remembering,
        locks=locks,
        policy_source=policy_source,
        check=check,
        outputs=outputs,
        keeping=Keeping(store=store, handler=handler, locks=locks, clock=clock, collectors=collectors),
        memories=memories,
        clock=clock,
        ids=ids,
        closing=closing,
        root_allowed_by=root_allowed_by,
        version=__version__,
        reader=reader,
    )
