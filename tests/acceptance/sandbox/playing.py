"""A plan through the whole engine in this process, as `bootstrap.py` puts it together, with the oracle around it."""

import contextlib
import os
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import anyio
import msgspec

from cowork.adapters.bootstrap import open_application
from cowork.adapters.network.connect_proxy import ConnectProxy
from cowork.adapters.network.executor import NetworkExecutor
from cowork.adapters.network.reach import Dial, IsOwn, Resolve
from cowork.adapters.sandbox.executor import CommandExecutor
from cowork.adapters.sandbox.performing import Bounds
from cowork.domain.action import Action
from cowork.domain.confirmation import ConfirmationRequested
from cowork.domain.effect import CommandReport, ResponseReport, Result
from cowork.domain.event import Event, Recorded
from cowork.domain.plan import Batch, Plan, Step
from cowork.domain.policy_document import Layer
from cowork.domain.task import (
    ActionConfirmationRequired,
    ActionDeclined,
    ActionDenied,
    ActionEvent,
    ActionFailed,
    ActionProposed,
    ActionStarted,
    ActionSucceeded,
    ConnectionDecided,
    Task,
)
from cowork.engine.application import Answer, Application, FolderRequest, PlannedTask, RunRequest
from cowork.engine.policy_records import RUN
from cowork.projections.registry import TABLES
from tests.acceptance.engine import NO, YES
from tests.acceptance.event_oracle import assert_history_is_sound
from tests.acceptance.sandbox.field import Field
from tests.acceptance.sandbox.oracle import SECONDS_MAX, Watch, require_untold

LAG_S_MAX = 1.0
"""How long the event loop may be kept from its other work, on a machine that is busy with other tests."""

SETTLING_ROUNDS = 150

Answering = Callable[[ConfirmationRequested], "Answer | None"]


class Ways(msgspec.Struct, frozen=True, kw_only=True):
    """The ways to names, addresses and interfaces, where they are not the machine's."""

    resolve: Resolve
    dial: Dial
    is_own: IsOwn = lambda _address: False


class Ran(msgspec.Struct, frozen=True, kw_only=True):
    """One action, with what came of it."""

    action: Action
    staged_by: str
    started: bool
    asked: bool
    end: ActionDenied | ActionDeclined | ActionSucceeded | ActionFailed
    out: str = ""
    err: str = ""

    @property
    def word(self) -> str:
        """`completed`, `failed/exit`, `denied/policy`."""
        match self.end:
            case ActionSucceeded():
                return "completed"
            case ActionFailed(reason_code=code):
                return f"failed/{code}"
            case ActionDeclined(reason_code=code):
                return f"denied/{code}"
            case ActionDenied(decision=decision):
                return f"denied/{decision.reason_code}"

    @property
    def reason(self) -> str:
        """Why it was refused or failed."""
        match self.end:
            case ActionDenied(decision=decision):
                return decision.reason
            case ActionSucceeded():
                return ""
            case ActionFailed(reason=reason) | ActionDeclined(reason=reason):
                return reason

    @property
    def result(self) -> Result:
        """What it brought back."""
        assert isinstance(self.end, ActionSucceeded | ActionFailed), self
        assert self.end.result is not None, self
        return self.end.result

    @property
    def command(self) -> CommandReport:
        """How the command ended."""
        assert self.result.command is not None
        return self.result.command

    @property
    def response(self) -> ResponseReport:
        """What the server answered."""
        assert self.result.response is not None
        return self.result.response


class Played(msgspec.Struct, frozen=True, kw_only=True):
    """A task that has ended, with its actions in the order of their proposal."""

    task: Task
    events: tuple[Event, ...]
    asked: tuple[ConfirmationRequested, ...]
    actions: tuple[Ran, ...]
    lag_s: float = 0.0

    @property
    def only(self) -> Ran:
        """The one action."""
        (ran,) = self.actions
        return ran

    @property
    def first(self) -> Ran:
        """The first action: a command whose changes come after it."""
        return self.actions[0]

    @property
    def changes(self) -> tuple[Ran, ...]:
        """What commands wanted to change."""
        return tuple(ran for ran in self.actions if ran.staged_by)

    @property
    def connections(self) -> list[tuple[str, int, str, str]]:
        """Host, port, address and reason of every connection that was decided about."""
        return [
            (event.host, event.port, event.address, event.reason_code or "")
            for event in self.events
            if isinstance(event, ConnectionDecided)
        ]


def approve_all(_question: ConfirmationRequested) -> Answer:
    """Say yes to everything."""
    return YES


def in_turn(*answers: bool, then: Callable[[], object] = lambda: None) -> Answering:
    """Answer one question after the other; `then` happens after each was read and before it is answered."""
    left = list(answers)

    def answer(_question: ConfirmationRequested) -> Answer | None:
        then()
        return (YES if left.pop(0) else NO) if left else None

    return answer


class Asked:
    """Somebody who is asked, and remembers."""

    def __init__(
        self, answering: Answering, before: "Callable[[ConfirmationRequested], Awaitable[None]] | None"
    ) -> None:
        self._answering = answering
        self._before = before
        self.questions: list[ConfirmationRequested] = []

    async def ask(self, question: ConfirmationRequested) -> Answer | None:
        """See the port `Asker`."""
        self.questions.append(question)
        if self._before is not None:
            await self._before(question)
        return self._answering(question)


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """What a plan is carried out with.

    `during` goes on beside the task, `before_answer` happens between the reading of a question and its answer. With
    `in_order` each step needs the one before it.
    """

    hosts: tuple[str, ...] = ()
    folders: tuple[Path, ...] = ()
    outputs: tuple[str, ...] = ()
    contents: tuple[bytes, ...] = ()
    rules: Layer | None = None
    ways: Ways | None = None
    bounds: Bounds | None = None
    answering: Answering = approve_all
    during: Callable[[Application, str], Coroutine[Any, Any, None]] | None = None
    before_answer: Callable[[ConfirmationRequested], Awaitable[None]] | None = None
    together: bool = False
    in_order: bool = False
    seconds_max: float = SECONDS_MAX
    links_may_drop: bool = False


async def play(field: Field, *requests: Action | Batch, setting: Setting | None = None) -> Played:
    """Carry out a step for each request and hold the whole against the oracle."""
    setting = setting or Setting()
    watch = Watch(field, seconds_max=setting.seconds_max, links_may_drop=setting.links_may_drop)
    with opened(field, setting) as app:
        asked = Asked(setting.answering, setting.before_answer)
        lag = Lag()
        printed: list[bytes] = []
        app.watch(lambda _action, _stream, chunk: printed.append(chunk))
        task_id = await app.start(_request_of(field, requests, setting))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lag.measure)
            if setting.during is not None:
                tasks.start_soon(setting.during, app, task_id)
            await app.carry_on(task_id, asked)
            tasks.cancel_scope.cancel()
        watch.stop()
        played = read(app, task_id, tuple(asked.questions), lag.most_s)
        require_told_nothing(app, played, printed)
        assert field.leaks() == [], "a secret got into the open store"
    for _ in range(SETTLING_ROUNDS):
        # What others hold open (a server's end of a connection) goes a moment later.
        if watch.descriptors_left():
            await anyio.sleep(0.02)
    watch.require_clean()
    assert lag.most_s < LAG_S_MAX, f"the event loop was kept busy for {lag.most_s:.2f} s"
    return played


def require_told_nothing(app: Application, played: Played, printed: Sequence[bytes] = ()) -> None:
    """Hold the history against the oracle of histories, the audit, and what may be told."""
    assert_history_is_sound(app, played.task.task_id)
    assert app.audit().violations == ()
    rows = (repr(app.rows(table.name)).encode() for tables in TABLES.values() for table in tables)
    outputs = ((ran.out + ran.err).encode() for ran in played.actions)
    require_untold((*played.events, *played.asked), (*printed, *rows, *outputs))


@contextlib.contextmanager
def opened(field: Field, setting: Setting) -> Iterator[Application]:
    """Open the engine as `cowork` does, with other ways out and smaller bounds where the setting says so."""
    with contextlib.ExitStack() as stack:
        if setting.ways is not None:
            ways = setting.ways
            proxy = partial(ConnectProxy, resolve=ways.resolve, dial=ways.dial, is_own=ways.is_own)
            requests = partial(NetworkExecutor, resolve=ways.resolve, dial=ways.dial, is_own=ways.is_own)
            stack.enter_context(_made_by("network.connect_proxy.ConnectProxy", proxy))
            stack.enter_context(_made_by("network.executor.NetworkExecutor", requests))
        if setting.bounds is not None:
            stack.enter_context(
                _made_by("sandbox.executor.CommandExecutor", partial(CommandExecutor, bounds=setting.bounds))
            )
        app = open_application(field.state, unsafe_as_root=os.geteuid() == 0)
        stack.callback(app.close)
        yield app


def _made_by(name: str, make: Callable[..., object]) -> contextlib.AbstractContextManager[object]:
    return mock.patch(f"cowork.adapters.{name}", make)


def _request_of(field: Field, requests: Sequence[Action | Batch], setting: Setting) -> RunRequest:
    steps = tuple(
        Step(
            step_id=f"s{number}",
            title=f"step {number}",
            needs=(f"s{number - 1}",) if setting.in_order and number > 1 else (),
            request=request,
            changes="together" if setting.together else "each",
        )
        for number, request in enumerate(requests, start=1)
    )
    own = () if setting.rules is None else (msgspec.structs.replace(setting.rules, name=RUN),)
    folders = setting.folders or (field.grant, field.grant2)
    return RunRequest(
        planned=PlannedTask(Plan(title="case", steps=steps), setting.contents),
        planner="test",
        folders=tuple(
            FolderRequest(
                path=str(path), output_paths=tuple(f"{path}/{one}" for one in setting.outputs if path == field.grant)
            )
            for path in folders
        ),
        hosts=setting.hosts,
        own=own,
        user="tester",
        device="here",
        platform="linux",
    )


async def recorded(app: Application, kind: type[Event], *, count: int = 1) -> None:
    """Wait until so many events of that kind have been recorded from here on."""
    seen = anyio.Event()
    left = count

    def listen(batch: Sequence[Recorded[Event]]) -> None:
        nonlocal left
        left -= sum(isinstance(one.event, kind) for one in batch)
        if left <= 0:
            seen.set()

    app.listen(listen)
    await seen.wait()


class Lag:
    """Measures for how long the event loop was kept from its other work."""

    def __init__(self) -> None:
        self.most_s = 0.0

    async def measure(self) -> None:
        """Sleep a moment, again and again, and see how long it took."""
        while True:
            began = anyio.current_time()
            await anyio.sleep(0.01)
            self.most_s = max(self.most_s, anyio.current_time() - began - 0.01)


def read(app: Application, task_id: str, asked: tuple[ConfirmationRequested, ...], lag_s: float) -> Played:
    """Return an ended task from its history."""
    events = tuple(frame.recorded.event for frame in app.replay(task_id))
    ids = [event.action_id for event in events if isinstance(event, ActionProposed)]
    return Played(
        task=app.task(task_id),
        events=events,
        asked=asked,
        actions=tuple(_ran(app, events, one) for one in ids),
        lag_s=lag_s,
    )


def _ran(app: Application, events: Sequence[Event], action_id: str) -> Ran:
    own = [event for event in events if isinstance(event, ActionEvent) and event.action_id == action_id]
    proposed, end = own[0], own[-1]
    assert isinstance(proposed, ActionProposed)
    assert isinstance(end, ActionDenied | ActionDeclined | ActionSucceeded | ActionFailed), end
    result = end.result if isinstance(end, ActionSucceeded | ActionFailed) else None
    out, err = "", ""
    if result is not None and result.command is not None:
        stdout, stderr = result.command.stdout.content, result.command.stderr.content
        out, err = (app.result(one.digest).decode("utf-8", "surrogateescape") for one in (stdout, stderr))
    elif result is not None and result.digest:
        out = app.result(result.digest).decode("utf-8", "surrogateescape")
    return Ran(
        action=proposed.action,
        staged_by=proposed.staged_by,
        started=any(isinstance(event, ActionStarted) for event in own),
        asked=any(isinstance(event, ActionConfirmationRequired) for event in own),
        end=end,
        out=out,
        err=err,
    )
