"""The parts of the engine that carry tasks on, put together: the same for every process and the simulation."""

from collections.abc import Sequence

import msgspec

from . import limits
from .action_pipeline import ActionPipeline
from .answering import Answering
from .card_ports import CardRenderer
from .claims import Claims
from .closing import Closing
from .command_handler import CommandHandler
from .cutting_off import Attempts, Halt
from .gathering import Gathering
from .judging import Judging
from .ledger import Ledger
from .performing import Outputs, Performing
from .planning_ports import SpawnReader
from .ports import BlobStore, Clock, EventStore, Executor, FileFinder, Ids
from .recovery import Recovery
from .sandbox_check import SandboxCheck
from .session_view import SessionViews
from .spawning import Spawning
from .task_run import RunParts
from .tree_facts import TreeFacts


class RunPorts(msgspec.Struct, frozen=True, kw_only=True):
    """What carrying tasks on needs of the world. `watch_s` as in `RunParts`."""

    store: EventStore
    blobs: BlobStore
    executors: Sequence[Executor]
    finder: FileFinder
    spawn_reader: SpawnReader
    render_card: CardRenderer
    clock: Clock
    ids: Ids
    watch_s: float | None


def run_parts(
    handler: CommandHandler,
    views: SessionViews,
    check: SandboxCheck,
    outputs: Outputs,
    attempts: Attempts,
    ports: RunPorts,
) -> RunParts:
    """Return the parts of every run, which share one ledger, one index of claims and one count of attempts."""
    ledger, claims = Ledger(handler), Claims(handler, views)
    tree = TreeFacts(handler, claims)
    gathering = Gathering(executors=ports.executors, check=check, clock=ports.clock, spawn_reader=ports.spawn_reader)
    judging = Judging(handler=handler, render_card=ports.render_card, clock=ports.clock, ids=ports.ids)
    performing = Performing(
        handler=handler,
        views=views,
        gathering=gathering,
        judging=judging,
        outputs=outputs,
        tree=tree,
        attempts=attempts,
    )
    pipeline = ActionPipeline(
        handler=handler,
        views=views,
        gathering=gathering,
        judging=judging,
        performing=performing,
        finder=ports.finder,
        ledger=ledger,
        tree=tree,
        clock=ports.clock,
    )
    recovery = Recovery(handler=handler, store=ports.store, pipeline=pipeline)
    spawning = Spawning(
        handler=handler,
        store=ports.store,
        views=views,
        reader=ports.spawn_reader,
        blobs=ports.blobs,
        clock=ports.clock,
    )
    return RunParts(
        handler=handler,
        pipeline=pipeline,
        recovery=recovery,
        spawning=spawning,
        closing=Closing(handler=handler, recovery=recovery, spawning=spawning),
        answering=Answering(handler=handler, clock=ports.clock),
        ledger=ledger,
        claims=claims,
        views=views,
        clock=ports.clock,
        watch_s=ports.watch_s,
        runs={},
        halt=Halt(),
    )


def attempts_of_process() -> Attempts:
    """Return the count of what executors of this process are at, whoever's task it is."""
    return Attempts(limits.ACTIONS_AT_ONCE_MAX)
