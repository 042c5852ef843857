"""Commands without a sandbox and requests without a network: chance decides what they do, and how they end.

What they would change and whom they reach is kept beside the log, so that the log can be held against it.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime
from random import Random

import msgspec

from cowork.domain.action import (
    Action,
    ActionKind,
    CodeRun,
    FileAction,
    FileCreate,
    FileDelete,
    FileMove,
    FileWrite,
    Location,
    NetworkRequest,
    ShellExec,
    hosts_of,
)
from cowork.domain.effect import CommandReport, Output, Result
from cowork.domain.errors import DomainError
from cowork.domain.event import Event, Recorded
from cowork.domain.facts import ABSENT, Confinement, Facts, FileState, Obstacle
from cowork.domain.policy_host import parse_host
from cowork.domain.scope import Scope
from cowork.domain.task import ConnectionDecided
from cowork.engine.ports import (
    BlobStore,
    Connection,
    Done,
    Executor,
    Failed,
    Finding,
    NotApplied,
    Outcome,
    Permit,
    StagedChange,
    Unclear,
)
from tests.simulation.process import Process
from tests.simulation.tree import CLOSED, NAMES, Tree

HELD_BY = Confinement(sandbox="simulated", seccomp="sha256:filter", landlock=7)
SAFE = ("GET", "HEAD")
HOSTS = ("x.test:443", "y.test:443")
NEW = ("out/made.txt", "out/report.md", "in/made.csv", "made/by/command.txt", *CLOSED[:1])


class Ledger:
    """What commands and requests really did. Outlives every crash.

    `staged` has what each command's last run wanted to change; `left` in how many attempts something left the machine
    that may have changed something elsewhere, and `attempts` which ones; `complaints` what was done behind the log's
    back.
    """

    def __init__(self, log: Callable[[], Sequence[Recorded[Event]]]) -> None:
        self.staged: dict[str, tuple[StagedChange, ...]] = {}
        self.left: Counter[str] = Counter()
        self.complaints: list[str] = []
        self._connected: Counter[str] = Counter()
        self.attempts: set[tuple[str, int]] = set()
        self._log = log

    def connected(self, action_id: str, host: str) -> None:
        """Note that bytes leave for a host now: by now it must be on record."""
        self._connected[action_id] += 1
        recorded = [one.event for one in self._log() if isinstance(one.event, ConnectionDecided)]
        allowed = sum(1 for one in recorded if one.action_id == action_id and one.reason_code is None)
        if allowed < self._connected[action_id]:
            self.complaints.append(f"bytes of `{action_id}` left for {host}, and that is not on record")

    def reached_out(self, permit: Permit) -> None:
        """Note that something leaves in this attempt; once is enough."""
        if (permit.action_id, permit.attempt) not in self.attempts:
            self.attempts.add((permit.action_id, permit.attempt))
            self.left[permit.action_id] += 1


class World(msgspec.Struct, frozen=True):
    """What commands and requests take place in. `files` looks at the tree as the engine does."""

    random: Random
    tree: Tree
    blobs: BlobStore
    files: Executor
    ledger: Ledger
    process: Process


class SimulatedCommands:
    """Runs commands in a copy that exists only as a list of changes."""

    kinds: frozenset[ActionKind] = frozenset(["shell.exec", "code.run"])

    def __init__(self, world: World) -> None:
        self._world = world
        self._random = world.random

    async def observe(self, actions: Sequence[Action], scope: Scope, now: datetime, *, batch: int) -> list[Facts]:
        return [Facts(now=now, batch=batch, confinement=HELD_BY) for _ in actions]

    async def perform(self, permit: Permit) -> Outcome:
        action = permit.action
        if not isinstance(action, ShellExec | CodeRun):
            raise DomainError("invalid", "this is no command")
        changes = await self._changes(permit, action.cwd.grant_id) if action.writes == "staged" else ()
        talked = [await self._talk(permit, host) for host in hosts_of(action)]
        for _ in range(self._random.randint(0, 2)):
            await self._world.process.moment("while a command runs")
        chance = self._random.random()
        if chance < 0.08:
            return Failed("exit", "the command ended with exit code 1", self._result(1, sum(talked)))
        if chance < 0.12:
            return Failed("limit", "the command took too long", self._result(None, sum(talked)))
        self._world.ledger.staged[permit.action_id] = changes
        return Done((), self._result(0, sum(talked)), changes)

    async def reconcile(self, permit: Permit) -> Finding:
        # A command's changes are in a copy: only what left the machine can't be taken back.
        if not permit.reached:
            return NotApplied()
        return Unclear(f"the command was running, and had reached {permit.reached[0]}")

    async def _changes(self, permit: Permit, grant_id: str) -> tuple[StagedChange, ...]:
        """Return changes of which no two are about the same file, each with what the command saw there."""
        world, random = self._world, self._random
        there = [path for path in world.tree.present_files() if not self._hides(permit, grant_id, path)]
        chosen = random.sample(there, min(len(there), random.randint(0, 3)))
        chosen += [path for path in random.sample((*NAMES, *NEW), 2) if path not in chosen]
        world.process.at_stake = chosen
        free = [path for path in NEW if path not in chosen]
        found: list[StagedChange] = []
        for path in chosen:
            change = self._change(Location(grant_id, path), path in there, free)
            (facts,) = await world.files.observe([change], permit.scope, permit.facts.now, batch=1)
            obstacle = Obstacle("special", f"`{path}` is no ordinary file now") if random.random() < 0.05 else None
            hidden = self._hides(permit, grant_id, path)
            base = ABSENT if hidden or facts.target is None else facts.target
            found.append(StagedChange(action=change, base=base, obstacle=obstacle))
        return tuple(found)

    def _change(self, at: Location, is_there: bool, free: list[str]) -> FileAction:
        kind = self._random.choice(("write", "write", "delete", "move")) if is_there else "create"
        if kind == "delete":
            return FileDelete(at=at)
        if kind == "move" and free:
            return FileMove(at=at, to=Location(at.grant_id, free.pop()))
        content = self._world.blobs.put(self._world.tree.new_bytes())
        return FileWrite(at=at, content=content) if is_there else FileCreate(at=at, content=content)

    @staticmethod
    def _hides(permit: Permit, grant_id: str, path: str) -> bool:
        return permit.sight.hides(grant_id, path, FileState("file"))

    async def _talk(self, permit: Permit, entry: str) -> int:
        """Ask for a few connections, some of them to a host that was never asked for; return how many bytes left."""
        host, sent = parse_host(entry), 0
        assert host is not None
        for _ in range(self._random.randint(0, 2)):
            refused = self._random.random() < 0.3
            connection = (
                Connection(host="evil.test", port=443, reason_code="net_denied", reason="it is not granted")
                if refused
                else Connection(host=host.name, port=host.port or 443, address="192.0.2.7")
            )
            try:
                await permit.witness.connection(connection)
            except DomainError:
                # It could not be put on record, so that it is not made.
                continue
            if not refused:
                self._world.ledger.connected(permit.action_id, entry)
                self._world.ledger.reached_out(permit)
                sent += self._random.randint(1, 200)
            await self._world.process.moment("while a command talks")
        return sent

    def _result(self, exit_code: int | None, sent: int) -> Result:
        nothing = Output(content=self._world.blobs.put(b""))
        report = CommandReport(exit_code=exit_code, stdout=nothing, stderr=nothing, bytes_sent=sent)
        return Result(summary=f"exit {exit_code}", command=report)


class SimulatedRequests:
    """Sends requests to servers that answer, hang up or never answer."""

    kinds: frozenset[ActionKind] = frozenset(["network.request"])

    def __init__(self, world: World) -> None:
        self._world = world

    async def observe(self, actions: Sequence[Action], scope: Scope, now: datetime, *, batch: int) -> list[Facts]:
        return [Facts(now=now, batch=batch) for _ in actions]

    async def perform(self, permit: Permit) -> Outcome:
        action, world = permit.action, self._world
        if not isinstance(action, NetworkRequest):
            raise DomainError("invalid", "this is no request")
        if world.random.random() < 0.1:
            return Failed("io", "nobody listens there")
        if action.method not in SAFE:
            world.ledger.reached_out(permit)
        for _ in range(3):
            await world.process.moment("while a request is answered")
        if world.random.random() < 0.2:
            reason = "no answer came"
            return Failed("io", reason) if action.method in SAFE else Unclear(f"it was sent, and {reason}")
        return Done(result=Result(summary="200"))

    async def reconcile(self, permit: Permit) -> Finding:
        action = permit.action
        if isinstance(action, NetworkRequest) and action.method in SAFE:
            return NotApplied()
        return Unclear("the request may have been sent")
