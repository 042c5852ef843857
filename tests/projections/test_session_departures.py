"""What left a session: files that stand at the end, who allowed them, and what was sent where."""

from collections.abc import Iterator
from datetime import UTC, datetime

from cowork.domain.action import Action, CodeRun, Content, FileWrite, Location, NetworkRequest, ShellExec
from cowork.domain.confirmation import ConfirmationApproved
from cowork.domain.effect import CommandReport, Effect, Output, ResponseReport, Result
from cowork.domain.event import Event, Origin, Recorded
from cowork.domain.facts import Facts
from cowork.domain.policy_decision import Decision
from cowork.domain.scope import VERBS, FolderIdentity, FolderScope
from cowork.domain.task import (
    ActionAllowed,
    ActionFailed,
    ActionProposed,
    ActionStarted,
    ActionSucceeded,
    ConnectionDecided,
)
from cowork.projections.session_departures import FileExported, FileLeft, HostTraffic, departures_of

AT = datetime(2030, 1, 1, tzinfo=UTC)

RULE = "free"
FOLDER = FolderScope(
    grant_id="grant-1",
    name="work",
    root_path="/home/ann/work",
    verbs=VERBS,
    output_roots=("out",),
    identity=FolderIdentity(1, 2),
)
EMPTY = Output(content=Content("sha256:0", 0))


def place(path: str) -> Location:
    return Location("grant-1", path)


class Log:
    """Events of one task, with their positions."""

    def __init__(self) -> None:
        self.events: list[Recorded[Event]] = []
        self._actions = 0

    def add(self, event: Event) -> None:
        position = len(self.events) + 1
        origin = Origin(actor="engine", cause="test", command_id="command-1", at=AT)
        self.events.append(Recorded(position=position, stream="task-1", version=position, origin=origin, event=event))

    def act(
        self, action: Action, *effects: Effect, result: Result | None = None, asked: str = "", ok: bool = True
    ) -> str:
        self._actions += 1
        name = f"task-1.{self._actions}"
        self.add(
            ActionProposed(task_id="task-1", action_id=name, step_id="s", action=action, digest="", proposed_by="agent")
        )
        if not asked:
            decision = Decision(verdict="allow", rule_id=RULE, reason="")
            self.add(
                ActionAllowed(
                    task_id="task-1",
                    action_id=name,
                    digest="",
                    decision=decision,
                    facts=Facts(now=AT),
                    scope_digest="",
                )
            )
        self.add(ActionStarted(task_id="task-1", action_id=name, digest="", attempt=1, confirmation_id=asked))
        if isinstance(action, (ShellExec, CodeRun)):
            for host, refused in (("a.example", False), ("b.example", False), ("evil.example", True)):
                self.add(
                    ConnectionDecided(
                        task_id="task-1",
                        action_id=name,
                        host=host,
                        port=443,
                        reason_code="net_denied" if refused else None,
                    )
                )
        if ok:
            done = ActionSucceeded(
                task_id="task-1", action_id=name, digest="", attempt=1, result=result, effects=effects
            )
            self.add(done)
        else:
            failed = ActionFailed(
                task_id="task-1",
                action_id=name,
                digest="",
                attempt=1,
                result=result,
                reason_code="exit",
                reason="it failed",
            )
            self.add(failed)
        return name

    def write(self, path: str, digest: str, asked: str = "") -> str:
        action = FileWrite(at=place(path), content=Content(digest, 1))
        return self.act(action, Effect(change="update", at=place(path), after=digest), asked=asked)

    def change(self, change: str, path: str, previous: str = "") -> str:
        effect = Effect(change=change, at=place(path), previous=place(previous) if previous else None)  # type: ignore[arg-type]
        return self.act(FileWrite(at=place(path), content=Content("", 0)), effect)

    def approve(self, name: str, person: str) -> None:
        self.add(ConfirmationApproved(confirmation_id=name, digest="", answered_by=person))

    def __iter__(self) -> Iterator[Recorded[Event]]:
        return iter(self.events)


def left(log: Log) -> tuple[tuple[FileLeft, ...], tuple[FileExported, ...], tuple[HostTraffic, ...]]:
    found = departures_of(log, {"grant-1": FOLDER})
    return found.outputs, found.exports, found.network


def test_files_in_output_roots_are_told_from_files_elsewhere_and_who_allowed_these() -> None:
    log = Log()
    log.approve("confirmation-1", "person:ann")
    first = log.write("out/report.md", "sha256:aa")
    second = log.write("notes.txt", "sha256:bb", asked="confirmation-1")
    third = log.write("other.txt", "sha256:cc")
    outputs, exports, network = left(log)
    assert outputs == (FileLeft(path="/home/ann/work/out/report.md", digest="sha256:aa", action_id=first),)
    assert exports == (
        FileExported(path="/home/ann/work/notes.txt", digest="sha256:bb", action_id=second, allowed_by="person:ann"),
        FileExported(path="/home/ann/work/other.txt", digest="sha256:cc", action_id=third, allowed_by=RULE),
    )
    assert network == ()


def test_what_does_not_stand_at_the_end_did_not_leave_and_what_was_moved_is_where_it_is() -> None:
    log = Log()
    log.write("out/draft.md", "sha256:aa")
    log.write("out/draft.md", "sha256:ab")
    moved = log.change("move", "final.md", previous="out/draft.md")
    log.write("out/gone.md", "sha256:bb")
    log.change("delete", "out/gone.md")
    log.write("in/kept.md", "sha256:cc")
    whole = log.change("rename", "out/folder", previous="in")
    outputs, exports, _ = left(log)
    assert [(one.path, one.digest, one.action_id) for one in outputs] == [
        ("/home/ann/work/out/folder/kept.md", "sha256:cc", whole)
    ]
    assert [(one.path, one.digest, one.action_id) for one in exports] == [
        ("/home/ann/work/final.md", "sha256:ab", moved)
    ]


def test_what_was_sent_is_counted_by_host_also_by_what_failed() -> None:
    log = Log()
    for url, sent in (("https://api.example/a", 100), ("https://api.example/b", 20), ("http://other.example:8080/", 5)):
        response = ResponseReport(status=200, address="192.0.2.1", port=443, bytes_sent=sent)
        action = NetworkRequest(method="POST", url=url)
        log.act(action, result=Result(summary="", response=response), ok=sent != 20)
    command = CommandReport(exit_code=1, stdout=EMPTY, stderr=EMPTY, bytes_sent=300)
    shell = ShellExec(argv=("curl",), cwd=place("."), network=("a.example",))
    log.act(shell, result=Result(summary="", command=command), ok=False)
    _, _, network = left(log)
    assert network == (
        HostTraffic(host="a.example:443, b.example:443", connections=2, sent_bytes=300),
        HostTraffic(host="api.example", requests=2, sent_bytes=120),
        HostTraffic(host="other.example:8080", requests=1, sent_bytes=5),
    )


def test_a_command_that_reached_nobody_sent_nothing() -> None:
    log = Log()
    command = CommandReport(exit_code=0, stdout=EMPTY, stderr=EMPTY)
    log.add(
        ActionProposed(
            task_id="task-1",
            action_id="task-1.1",
            step_id="s",
            action=ShellExec(argv=("ls",), cwd=place(".")),
            digest="",
            proposed_by="agent",
        )
    )
    log.add(
        ActionSucceeded(
            task_id="task-1", action_id="task-1.1", digest="", attempt=1, result=Result(summary="", command=command)
        )
    )
    assert left(log) == ((), (), ())
