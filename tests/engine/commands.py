"""Commands without a sandbox: what a program would do is a function, which the engine's executor port runs.

What it changes is staged against the real folder, as a sandbox would stage it, and committed by the real file executor.
"""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import TypeAlias

from cowork.adapters.files.executor import FileExecutor
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
    ShellExec,
)
from cowork.domain.effect import CommandReport, Output, Result
from cowork.domain.errors import DomainError
from cowork.domain.facts import ABSENT, Confinement, Facts, FileState, Input, Obstacle
from cowork.domain.plan import Step
from cowork.domain.policy_document import Conditions, Layer, Rule, layer_of_rules
from cowork.domain.reason import ReasonCode
from cowork.domain.scope import Scope
from cowork.domain.task import ActionDeclined, ActionDenied, ActionFailed, ActionProposed, ActionSucceeded
from cowork.engine.application import Application
from cowork.engine.ports import Connection, Done, Failed, Finding, NotApplied, Outcome, Permit, StagedChange
from tests.engine.rig import Rig, at

Program: TypeAlias = Callable[["Run"], Awaitable[None]]
HELD_BY = Confinement(sandbox="bubblewrap 0.8.0", seccomp="sha256:filter", landlock=7)


def command(name: str, *, hosts: tuple[str, ...] = (), writes: bool = True, cwd: str = ".") -> ShellExec:
    """Return a command whose program is called `name`."""
    return ShellExec(argv=(name,), cwd=at(cwd), network=hosts, writes="staged" if writes else "none")


class Run:
    """One run of a program: it says what it does, in order."""

    def __init__(self, rig: Rig, permit: Permit) -> None:
        self.permit = permit
        self.failed: tuple[ReasonCode, str, int] | None = None
        self.changes: list[StagedChange] = []
        self.sent = 0
        self._rig = rig
        self._files = FileExecutor(rig.blobs, rig.state)
        self._stdout = b""

    async def connect(self, host: str, port: int = 443, *, address: str = "192.0.2.7", refused: str = "") -> None:
        """Ask for a connection, and get it where nothing says why it is `refused`."""
        code: ReasonCode | None = "net_denied" if refused else None
        connection = Connection(
            host=host, port=port, address="" if refused else address, reason_code=code, reason=refused
        )
        await self.permit.witness.connection(connection)

    def say(self, text: str) -> None:
        """Print something."""
        self._stdout += text.encode()
        self.permit.witness.output("stdout", text.encode())

    async def create(self, path: str, text: str, *, mode: int | None = None) -> None:
        """Make a new file in the copy of the folder."""
        await self._stage(FileCreate(at=self.place(path), content=self._rig.content(text), mode=mode))

    async def write(self, path: str, text: str, *, mode: int | None = None) -> None:
        """Replace a file in the copy of the folder."""
        await self._stage(FileWrite(at=self.place(path), content=self._rig.content(text), mode=mode))

    async def delete(self, path: str) -> None:
        """Delete a file of the copy."""
        await self._stage(FileDelete(at=self.place(path)))

    async def move(self, path: str, to: str) -> None:
        """Move a file of the copy."""
        await self._stage(FileMove(at=self.place(path), to=self.place(to)))

    async def conflict(self, path: str, text: str) -> None:
        """Replace a file of which the sandbox itself saw that somebody else changed it meanwhile."""
        change = FileWrite(at=self.place(path), content=self._rig.content(text))
        await self._stage(change, Obstacle("conflict", f"`{path}` changed while the command ran"))

    def fail(self, code: ReasonCode, reason: str, exit_code: int = 1) -> None:
        """End with an error."""
        self.failed = (code, reason, exit_code)

    def hides(self, path: str) -> bool:
        """Whether policy keeps a file from the command."""
        return self.permit.sight.hides(self._grant_id, path, FileState("file", size=1))

    @property
    def _grant_id(self) -> str:
        assert isinstance(self.permit.action, ShellExec | CodeRun)
        return self.permit.action.cwd.grant_id

    def place(self, path: str) -> Location:
        """Return a place in the folder that the command runs in."""
        return Location(self._grant_id, path)

    async def _stage(self, change: FileAction, obstacle: Obstacle | None = None) -> None:
        """Note a change against what stands there now: what changes later is not what the command saw."""
        (facts,) = await self._files.observe([change], self.permit.scope, self.permit.facts.now, batch=1)
        self.changes.append(StagedChange(action=change, base=facts.target or ABSENT, obstacle=obstacle))

    def result(self, exit_code: int) -> Result:
        """Return what the command brought back."""
        kept, nothing = self._rig.blobs.put(self._stdout), self._rig.blobs.put(b"")
        report = CommandReport(
            exit_code=exit_code, stdout=Output(content=kept), stderr=Output(content=nothing), bytes_sent=self.sent
        )
        return Result(summary=f"exit {exit_code}", digest=kept.digest, size=kept.size, command=report)


class Commands:
    """An executor of commands. `programs` are functions by name; `ran` are the permits of those that ran."""

    kinds: frozenset[ActionKind] = frozenset(["shell.exec", "code.run"])

    def __init__(self, rig: Rig, **programs: Program) -> None:
        self.programs = programs
        self.ran: list[Permit] = []
        self.confinement = HELD_BY
        self.inputs: tuple[Input, ...] = ()
        self._rig = rig

    async def observe(self, actions: Sequence[Action], scope: Scope, now: datetime, *, batch: int) -> list[Facts]:
        return [Facts(now=now, batch=batch, confinement=self.confinement, inputs=self.inputs) for _ in actions]

    async def perform(self, permit: Permit) -> Outcome:
        self.ran.append(permit)
        run = Run(self._rig, permit)
        action = permit.action
        if not isinstance(action, ShellExec):
            raise DomainError("invalid", "only commands have a name here")
        await self.programs[action.argv[0]](run)
        if run.failed is not None:
            code, reason, exit_code = run.failed
            return Failed(code, reason, run.result(exit_code))
        return Done((), run.result(0), tuple(run.changes))

    async def reconcile(self, permit: Permit) -> Finding:
        return NotApplied()


def with_commands(rig: Rig, **programs: Program) -> Commands:
    """Let the rig's engine carry out these programs, too; return their executor."""
    commands = Commands(rig, **programs)
    with_executors(rig, commands)
    return commands


def with_executors(rig: Rig, commands: Commands) -> Application:
    """Put a new engine on the rig's store, as after a restart, with an executor of commands."""
    rig.locks.held.clear()
    rig.app = rig.engine(rig.store, (FileExecutor(rig.blobs, rig.state), commands))
    return rig.app


# Programs and rules that tests share

FREELY = Rule("commands", ("shell.exec", "code.run"), "allow")


def rules(*more: Rule) -> Layer:
    return layer_of_rules("run", (FREELY, *more))


ASKS_ABOUT_DELETING = rules(
    Rule("all", ("file.*",), "allow"), Rule("deletes", "file.delete", "allow_with_confirm", reason="deleting")
)
NOT_THE_SECOND = rules(
    Rule("all", ("file.*",), "allow"), Rule("not-b", "file.*", "deny", Conditions(matches_pattern=("**/b.txt",)))
)


async def change_all(run: Run) -> None:
    await run.create("out/new.txt", "new")
    await run.write("a.txt", "changed")
    await run.delete("b.txt")
    await run.move("c.txt", "moved.txt")


async def write_both(run: Run) -> None:
    await run.write("a.txt", "changed a")
    await run.write("b.txt", "changed b")


def together(name: str = "tidy") -> Step:
    return Step(step_id="s1", title="tidy up", request=command(name), changes="together")


def outcomes(rig: Rig) -> list[str]:
    """Return what became of each change of a command, in order of the log."""
    staged = {one.action_id: one.action.at.path for one in rig.events(ActionProposed) if one.staged_by}  # type: ignore[union-attr]
    words: list[str] = []
    for recorded in rig.log():
        match recorded.event:
            case ActionSucceeded(action_id=name) if name in staged:
                words.append(f"{staged[name]}: done")
            case ActionFailed(action_id=name, reason_code=code) if name in staged:
                words.append(f"{staged[name]}: {code}")
            case ActionDeclined(action_id=name, reason_code=code) if name in staged:
                words.append(f"{staged[name]}: {code}")
            case ActionDenied(action_id=name, decision=decision) if name in staged:
                words.append(f"{staged[name]}: {decision.reason_code}")
            case _:
                pass
    return words
