"""Commands in, events out: load the state, decide, append; again where another command was faster.

The folded state of live streams is kept and moved forward by the events that are appended, so a command never reads
what it has read before. What other processes append is noticed before an answer rests on it, and folded in.
"""

from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence, Set
from contextlib import asynccontextmanager
from typing import Any, Generic, TypeVar

import anyio
import msgspec

from ..domain import (
    approvals,
    confirmation,
    folder_trust,
    grant,
    ownership,
    policy_record,
    retention,
    sandbox,
    session,
    session_memory,
    subagent,
    task,
)
from ..domain.errors import DomainError
from ..domain.event import Event, Origin, Recorded
from ..domain.ids import root_task_id
from ..domain.policy_document import Layer
from . import limits
from .in_hand import TaskBusyError
from .ports import Clock, EventStore, Guard, Ids, StreamWrite, VersionConflict

S = TypeVar("S")
C = TypeVar("C")
E = TypeVar("E", bound=Event)


class Aggregate(msgspec.Struct, Generic[S, C, E], frozen=True):
    """An aggregate's three parts, as its module in the domain defines them."""

    name: str
    initial: S
    decide: Callable[[C, S], Sequence[E]]
    evolve: Callable[[S, E], S]


SESSION = Aggregate("session", session.INITIAL, session.decide, session.evolve)
GRANT = Aggregate("grant", grant.INITIAL, grant.decide, grant.evolve)
TASK = Aggregate("task", task.INITIAL, task.decide, task.evolve)
SUBAGENT = Aggregate("subagent", subagent.INITIAL, subagent.decide, subagent.evolve)
CONFIRMATION = Aggregate("confirmation", confirmation.INITIAL, confirmation.decide, confirmation.evolve)

APPROVALS = Aggregate("approval", approvals.INITIAL, approvals.decide, approvals.evolve)
FOLDER_TRUST = Aggregate("folder_trust", folder_trust.INITIAL, folder_trust.decide, folder_trust.evolve)
POLICY_RECORD = Aggregate("policy", policy_record.INITIAL, policy_record.decide, policy_record.evolve)
OWNERSHIP = Aggregate("ownership", ownership.INITIAL, ownership.decide, ownership.evolve)
SANDBOX = Aggregate("sandbox", sandbox.INITIAL, sandbox.decide, sandbox.evolve)
STORE = Aggregate("store", retention.INITIAL, retention.decide, retention.evolve)
MEMORY = Aggregate("memory", session_memory.INITIAL, session_memory.decide, session_memory.evolve)


class Order(msgspec.Struct, frozen=True, gc=False):
    """A command for one stream. Made by the `order_…` functions, which know the command's type."""

    stream: str
    aggregate: Aggregate[Any, Any, Any]
    command: object


def order_session(session_id: str, command: session.SessionCommand) -> Order:
    """Return the order that gives a session a command."""
    return Order(session_id, SESSION, command)


def order_grant(grant_id: str, command: grant.GrantCommand) -> Order:
    """Return the order that gives a grant a command."""
    return Order(grant_id, GRANT, command)


def order_task(task_id: str, command: task.TaskCommand) -> Order:
    """Return the order that gives a task a command."""
    return Order(task_id, TASK, command)


def order_confirmation(confirmation_id: str, command: confirmation.ConfirmationCommand) -> Order:
    """Return the order that gives a confirmation a command."""
    return Order(confirmation_id, CONFIRMATION, command)


def order_approval(command: approvals.ApprovalCommand) -> Order:
    """Return the order that gives the remembered approvals a command."""
    return Order(approvals.APPROVALS_STREAM, APPROVALS, command)


def order_trust(command: folder_trust.TrustCommand) -> Order:
    """Return the order that gives the trusted folders a command."""
    return Order(folder_trust.TRUST_STREAM, FOLDER_TRUST, command)


def order_document(layer: Layer) -> Order:
    """Return the order that puts a layer's document on record."""
    return Order(
        policy_record.stream_of_document(layer.digest), POLICY_RECORD, policy_record.StoreDocument(layer.source)
    )


def order_subagent(subagent_id: str, command: subagent.SubagentCommand) -> Order:
    """Return the order that gives a subagent a command."""
    return Order(subagent_id, SUBAGENT, command)


def order_ownership(root_task_id: str, command: ownership.OwnershipCommand) -> Order:
    """Return the order that makes a process the owner of a task and of all beneath it."""
    return Order(ownership.stream_of_owner(root_task_id), OWNERSHIP, command)


def order_sandbox(command: sandbox.RecordCheck) -> Order:
    """Return the order that puts a self test of the sandbox on record."""
    return Order(sandbox.SANDBOX_STREAM, SANDBOX, command)


def order_store(command: retention.StoreCommand) -> Order:
    """Return the order that puts on record what the store lets go of."""
    return Order(retention.STORE_STREAM, STORE, command)


def order_memory(session_id: str, command: session_memory.MemoryCommand) -> Order:
    """Return the order that puts on record that a session's memory was written to, or destroyed."""
    return Order(session_memory.stream_of_memory(session_id), MEMORY, command)


class Live(msgspec.Struct, Generic[S], frozen=True, gc=False):
    """A stream's folded state and its version."""

    state: S
    version: int


class StaleRead(Exception):  # noqa: N818 - an answer, not an error
    """A stream that the command depended on has moved: gather the facts again and decide again."""


class _Ticket:
    """A place in a queue. Most are served at once, so what waits for one is made when somebody has to wait."""

    def __init__(self) -> None:
        self._left: anyio.Event | None = None

    async def served(self) -> None:
        if self._left is None:
            self._left = anyio.Event()
        await self._left.wait()

    def leave(self) -> None:
        if self._left is not None:
            self._left.set()


Listener = Callable[[Sequence[Recorded[Event]]], None]
Follower = Callable[[Sequence[Recorded[Event]]], Awaitable[None]]


class CommandHandler:
    """Executes commands against the log. One per store and process; safe to share between concurrent tasks."""

    def __init__(self, store: EventStore, clock: Clock, ids: Ids) -> None:
        self._store = store
        self._clock = clock
        self._ids = ids
        self._live: OrderedDict[str, tuple[Aggregate[Any, Any, Any], Live[Any]]] = OrderedDict()
        self._seen = store.head()
        self._ahead: dict[int, int] = {}
        self._listeners: list[Listener] = []
        self._followers: list[Follower] = []
        self._fences: dict[str, Guard] = {}
        self._queues: dict[str, deque[_Ticket]] = {}

    def fence(self, root: str, guard: Guard) -> None:
        """Record for the task, and for all beneath it, only while the guard holds: this process owns it."""
        self._fences[root] = guard

    def unfence(self, root: str) -> None:
        """Let go of a task that this process does not carry on any more."""
        self._fences.pop(root, None)

    def listen(self, listener: Listener) -> None:
        """Call `listener` with every event recorded from here on in streams that this process has loaded."""
        self._listeners.append(listener)

    def follow(self, follower: Follower) -> None:
        """Await `follower` after each commit of this process, before the command is done: it may give commands."""
        self._followers.append(follower)

    def load(self, stream: str, aggregate: Aggregate[S, C, E]) -> Live[S]:
        """Return the stream's present state; the initial one at version 0 for a stream that does not exist."""
        self.notice_others()
        return self.known(stream, aggregate)

    async def execute(
        self,
        *orders: Order,
        actor: str,
        cause: str,
        guards: Sequence[Guard] = (),
        held: Set[str] = frozenset(),
    ) -> tuple[Recorded[Event], ...]:
        """Decide every order and record all their events in one commit; return them.

        `held` are streams of which the caller has the turn. Raises `DomainError` as the aggregates do, and `StaleRead`
        where a guard no longer holds. Where only the order's own stream moved, and no guard is on it, the command is
        decided again on its new state.
        """
        fences = () if actor.startswith("person:") else self._fences_of(orders)
        async with self.turn({order.stream for order in orders} - held):
            self._check(guards)
            recorded = await self._recorded(orders, actor, cause, guards, fences)
        for follower in self._followers if recorded else ():
            await follower(recorded)
        return recorded

    @asynccontextmanager
    async def turn(self, streams: Set[str]) -> AsyncIterator[None]:
        """Wait for the turn at the streams, and keep the others of this process away from them until the block ends.

        Many that write to one stream, or have it guarded, would only be in each other's way; in turn, they are served
        in the order in which they came. `execute` takes its turn by itself, but for what it is told is held. Whoever
        has a turn takes no other: two of them could wait for each other.
        """
        ticket = _Ticket()
        queues = [self._queues.setdefault(stream, deque()) for stream in sorted(streams)]
        for queue in queues:
            queue.append(ticket)
        try:
            for queue in queues:
                while queue[0] is not ticket:
                    await queue[0].served()
            yield
        finally:
            for stream, queue in zip(sorted(streams), queues, strict=True):
                queue.remove(ticket)
                if not queue:
                    del self._queues[stream]
            ticket.leave()

    def _check(self, guards: Sequence[Guard]) -> None:
        """Raise `StaleRead` where a guard was overtaken while its command waited for its turn."""
        for guard in guards:
            known = self._live.get(guard.stream)
            if known is not None and known[1].version > guard.version:
                raise StaleRead

    async def _recorded(
        self, orders: Sequence[Order], actor: str, cause: str, guards: Sequence[Guard], fences: Sequence[Guard]
    ) -> tuple[Recorded[Event], ...]:
        for _ in range(limits.COMMAND_RETRIES_MAX):
            writes, states = self._decided(orders)
            if not writes:
                return ()
            origin = Origin(actor=actor, cause=cause, command_id=self._ids.new("command"), at=self._clock.now())
            try:
                recorded = await self._store.append(writes, origin, (*guards, *fences))
            except VersionConflict as conflict:
                self._move_on(conflict.stream)
                if conflict.stream in {fence.stream for fence in fences}:
                    raise TaskBusyError(
                        "another process carries this task on by now", "leave it to that one"
                    ) from conflict
                if conflict.stream in {guard.stream for guard in guards}:
                    raise StaleRead from conflict
                continue
            self._advance(orders, states, recorded)
            return recorded
        raise DomainError("conflict", f"`{orders[0].stream}` is changed too often by others", "try again")

    def _fences_of(self, orders: Sequence[Order]) -> tuple[Guard, ...]:
        if not self._fences:
            return ()
        roots = {root_task_id(order.stream) for order in orders if order.aggregate is TASK}
        return tuple(self._fences[root] for root in roots if root in self._fences)

    def _decided(self, orders: Sequence[Order]) -> tuple[list[StreamWrite], dict[str, Live[Any]]]:
        """Decide on what is known. What is recorded is checked by the log; for the rest, others are asked about first.

        Where the state is old, its append is refused and the command decided again. A refusal, or that there is nothing
        to do, nobody checks: it counts only when no other process has appended meanwhile.
        """
        try:
            writes, states = self._decide(orders)
        except DomainError:
            if not self.notice_others():
                raise
        else:
            if writes or not self.notice_others():
                return writes, states
        return self._decide(orders)

    def _decide(self, orders: Sequence[Order]) -> tuple[list[StreamWrite], dict[str, Live[Any]]]:
        writes: list[StreamWrite] = []
        states: dict[str, Live[Any]] = {}
        for order in orders:
            aggregate = order.aggregate
            live = states.get(order.stream) or self.known(order.stream, aggregate)
            events = tuple(aggregate.decide(order.command, live.state))
            if not events:
                continue
            state = live.state
            for event in events:
                state = aggregate.evolve(state, event)
            states[order.stream] = Live(state, live.version + len(events))
            writes.append(StreamWrite(order.stream, live.version, events))
        return writes, states

    def _advance(
        self,
        orders: Sequence[Order],
        states: dict[str, Live[Any]],
        recorded: Sequence[Recorded[Event]],
    ) -> None:
        for order in orders:
            state = states.get(order.stream)
            known = self._live.get(order.stream)
            # Somebody else's events may have been folded in while this append waited: never step back.
            if state is not None and (known is None or known[1].version < state.version):
                self._keep(order.stream, order.aggregate, state)
        for listener in self._listeners:
            listener(recorded)
        if recorded:
            self._ahead[recorded[0].position] = recorded[-1].position
            while (end := self._ahead.pop(self._seen + 1, None)) is not None:
                self._seen = end

    def known(self, stream: str, aggregate: Aggregate[S, C, E]) -> Live[S]:
        """Return the stream's state as of when others were last noticed: for who has just asked, or soon finds out."""
        known = self._live.get(stream)
        if known is not None:
            self._live.move_to_end(stream)
            return known[1]
        recorded = self._store.read_stream(stream)
        live: Live[S] = Live(aggregate.initial, 0)
        # That a stream does not exist is worth knowing, too: the first event of another process is noticed like any.
        return self._fold(stream, aggregate, live, recorded) if recorded else self._keep(stream, aggregate, live)

    def _fold(
        self, stream: str, aggregate: Aggregate[S, C, E], live: Live[S], recorded: Sequence[Recorded[Any]]
    ) -> Live[S]:
        if not recorded:
            return live
        state = live.state
        for one in recorded:
            state = aggregate.evolve(state, one.event)
        return self._keep(stream, aggregate, Live(state, recorded[-1].version))

    def _keep(self, stream: str, aggregate: Aggregate[S, C, E], live: Live[S]) -> Live[S]:
        self._live[stream] = (aggregate, live)
        self._live.move_to_end(stream)
        if len(self._live) > limits.LIVE_STREAMS_MAX:
            self._live.popitem(last=False)
        return live

    def _move_on(self, stream: str) -> None:
        """Bring a stream that turned out to be old up to date; listeners hear of what others did to it."""
        known = self._live.get(stream)
        self.notice_others()
        if self._live.get(stream) is known:
            self._live.pop(stream, None)

    def notice_others(self) -> bool:
        """Fold in what other processes appended, in the streams that are kept; return whether they did."""
        if not self._store.others_appended():
            return False
        while page := self._store.read_log(after=self._seen, limit=limits.LOG_PAGE_EVENTS):
            for recorded in page:
                kept = self._live.get(recorded.stream)
                if kept is not None and recorded.version == kept[1].version + 1:
                    self._fold(recorded.stream, kept[0], kept[1], (recorded,))
                    for listener in self._listeners:
                        listener((recorded,))
            self._seen = page[-1].position
        self._ahead = {start: end for start, end in self._ahead.items() if start > self._seen}
        return True
