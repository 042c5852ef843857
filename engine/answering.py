"""Questions and their answers: what is recorded of an answer, and what an answer means for the actions it is about."""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from ..domain.confirmation import (
    Approve,
    Approved,
    ConfirmationRequested,
    Expire,
    Expired,
    Finding,
    NoConfirmation,
    Pending,
    Reject,
    Rejected,
    Withdrawn,
)
from ..domain.reason import ReasonCode
from ..domain.task import (
    Awaiting,
    DeclineAction,
    OpenAction,
    SettleUnknown,
    Task,
    TaskCommand,
    Unknown,
    existing,
    open_questions,
    siblings_of,
)
from .command_handler import CONFIRMATION, TASK, CommandHandler, Order, order_confirmation, order_task
from .live_tasks import live_below
from .ports import Clock
from .remembering import Offer, orders_of


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What a person said to a question, who it was (`person:<name>`), and what is to be remembered of a yes.

    `finding` is what they say became of an attempt that nobody else can tell about; no other question takes one.
    """

    approve: bool
    answered_by: str
    note: str = ""
    remember: Offer | None = None
    finding: Finding = ""


class Asker(Protocol):
    """Puts a question to a person who is there."""

    async def ask(self, question: ConfirmationRequested) -> Answer | None:
        """Return the answer, or None to leave the question open for later."""
        ...


class Answering:
    """Records answers, and acts on those that need no executor."""

    def __init__(self, *, handler: CommandHandler, clock: Clock) -> None:
        self._handler = handler
        self._clock = clock

    async def answer(self, confirmation_id: str, digest: str, answer: Answer) -> None:
        """Record a person's answer, and what is to be remembered of a yes, in one commit.

        Raises `DomainError` not_found, conflict, expired or invalid (a finding that is missing, or out of place).
        """
        now, by = self._clock.now(), answer.answered_by
        also: tuple[Order, ...] = ()
        command: Approve | Reject
        if answer.approve:
            command = Approve(digest=digest, answered_by=by, now=now, note=answer.note, finding=answer.finding)
            if answer.remember is not None:
                also = orders_of(answer.remember, confirmation_id, by, now)
        else:
            command = Reject(digest=digest, answered_by=by, now=now, note=answer.note)
        await self._handler.execute(order_confirmation(confirmation_id, command), *also, actor=by, cause="answer")

    async def settle(self, task_id: str) -> None:
        """Settle what was rejected, taken back or not answered in time, and what a person gave their word for."""
        for action in _waiting(existing(self._handler.known(task_id, TASK).state)):
            current = self._task(task_id)
            if current.status != "running":
                return
            still_open = current.open_actions.get(action.action_id)
            if still_open is not None and isinstance(still_open.phase, Awaiting):
                await self._settle(current, still_open, still_open.phase.confirmation_id)

    async def _settle(self, task: Task, action: OpenAction, confirmation_id: str) -> None:
        state = self._handler.load(confirmation_id, CONFIRMATION).state
        if isinstance(state, Pending) and self._clock.now() >= state.request.expires_at:
            expire = order_confirmation(confirmation_id, Expire(self._clock.now()))
            await self._handler.execute(expire, actor="engine", cause="scheduler")
            state = self._handler.load(confirmation_id, CONFIRMATION).state
        match state:
            case Approved(answered_by=by, finding="happened" | "not_happened" as finding):
                happened = finding == "happened"
                await self._execute(task, SettleUnknown(action_id=action.action_id, happened=happened, said_by=by))
            case Rejected(request=request, answered_by=by, note=note):
                code: ReasonCode = "unknown" if request.purpose == "unknown_outcome" else "rejected"
                await self._decline(task, action, code, f"rejected by {by}{f': {note}' if note else ''}")
            case Expired():
                await self._decline(task, action, "expired", "nobody answered in time")
            case Withdrawn(reason=reason):
                await self._decline(task, action, "withdrawn", reason)
            case Approved() | Pending() | NoConfirmation():
                return

    def is_approved(self, task: Task, action: OpenAction) -> bool:
        """Whether a person said that the action may be carried out, and nothing that it goes together with is open."""
        if not isinstance(action.phase, Awaiting):
            return False
        state = self._handler.known(action.phase.confirmation_id, CONFIRMATION).state
        said_yes = isinstance(state, Approved) and state.finding in ("", "try_again")
        return said_yes and not self.waits_for_siblings(task, action)

    def waits_for_siblings(self, task: Task, action: OpenAction) -> bool:
        """Whether something that it goes together with was asked about again, or nobody knows what became of it."""
        phases = [one.phase for one in siblings_of(task, action)]
        if any(isinstance(phase, Unknown) for phase in phases):
            return True
        asked = {phase.confirmation_id for phase in phases if isinstance(phase, Awaiting)}
        return any(isinstance(self._handler.known(name, CONFIRMATION).state, Pending) for name in asked)

    def pending(self, task: Task) -> list[str]:
        """Return the questions of a task that wait for an answer, oldest first."""
        return [name for name in open_questions(task) if self._is_pending(name)]

    def pending_of_tree(self, task: Task) -> list[str]:
        """Return the questions of a task and of all its subagents that wait for an answer."""
        return [*self.pending(task), *(name for one in live_below(self._handler, task) for name in self.pending(one))]

    def question(self, confirmation_id: str) -> ConfirmationRequested | None:
        """Return a question that waits, None where it does not any more."""
        state = self._handler.load(confirmation_id, CONFIRMATION).state
        return state.request if isinstance(state, Pending) else None

    def _is_pending(self, confirmation_id: str) -> bool:
        return isinstance(self._handler.known(confirmation_id, CONFIRMATION).state, Pending)

    async def _decline(self, task: Task, action: OpenAction, code: ReasonCode, reason: str) -> None:
        await self._execute(task, DeclineAction(action_id=action.action_id, reason_code=code, reason=reason))

    async def _execute(self, task: Task, command: TaskCommand) -> None:
        await self._handler.execute(order_task(task.task_id, command), actor="engine", cause="answer")

    def _task(self, task_id: str) -> Task:
        return existing(self._handler.load(task_id, TASK).state)


def _waiting(task: Task) -> Sequence[OpenAction]:
    waiting = (action for action in task.open_actions.values() if isinstance(action.phase, Awaiting))
    return sorted(waiting, key=lambda action: (len(action.action_id), action.action_id))
