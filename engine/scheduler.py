"""Which step of a task runs next, and when the task has to stop and wait for a person.

A task's own steps run one after the other, in the order of the plan and of their needs; tasks run beside each other.
"""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from ..domain.confirmation import (
    Approve,
    Approved,
    ConfirmationRequested,
    Expire,
    Expired,
    NoConfirmation,
    Pending,
    Reject,
    Rejected,
    Withdrawn,
)
from ..domain.errors import DomainError
from ..domain.plan import Plan, Step
from ..domain.reason import ReasonCode
from ..domain.session import EndSession
from ..domain.task import (
    AwaitConfirmation,
    Awaiting,
    DeclineAction,
    FinishTask,
    NoTask,
    OpenAction,
    Ready,
    ResumeTask,
    SkipStep,
    StartTask,
    Task,
    Unknown,
    open_questions,
    siblings_of,
)
from .action_pipeline import ActionPipeline, RequestRefused
from .command_handler import CONFIRMATION, TASK, CommandHandler, Order, order_confirmation, order_session, order_task
from .ports import Clock
from .recovery import Recovery
from .remembering import Offer, orders_of


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What a person said to a question, who it was (`person:<name>`), and what is to be remembered of a yes."""

    approve: bool
    answered_by: str
    note: str = ""
    remember: Offer | None = None


class Asker(Protocol):
    """Puts a question to a person who is there."""

    async def ask(self, question: ConfirmationRequested) -> Answer | None:
        """Return the answer, or None to leave the question open for later."""
        ...


class Scheduler:
    """Runs one task until it ends or nothing can go on without a person."""

    def __init__(self, *, handler: CommandHandler, pipeline: ActionPipeline, recovery: Recovery, clock: Clock) -> None:
        self._handler = handler
        self._pipeline = pipeline
        self._recovery = recovery
        self._clock = clock

    async def run(self, task_id: str, asker: Asker | None = None, *, agent: str, closes_session: bool) -> Task:
        """Carry the task on as far as it goes and return it as it is then.

        A paused or waiting task is resumed. It ends, or is left `awaiting_confirmation`, or `paused` by somebody.
        With `closes_session`, the session ends in the same commit as the task.
        """
        try:
            await self._run(task_id, asker, agent, closes_session)
        except DomainError as error:
            # Somebody paused or cancelled it between two commands: that is an answer, not a failure.
            if error.code != "conflict" or self._task(task_id).status == "running":
                raise
        return self._task(task_id)

    async def _run(self, task_id: str, asker: Asker | None, agent: str, closes_session: bool) -> None:
        await self._begin(task_id)
        await self._recovery.recover(task_id)
        left_open: set[str] = set()
        while (task := self._task(task_id)).status == "running":
            await self._settle_answers(task)
            await self._carry_out_ready(task_id)
            await self._recovery.ask_about_unknown(task_id)
            if await self._take_steps(task_id, agent):
                continue
            task = self._task(task_id)
            if task.status != "running":
                break
            asked = open_questions(task)
            if not asked:
                await self._finish(task, closes_session)
            elif not await self._ask(self._without_held_up(task, asked), asker, left_open):
                await self._execute(task_id, AwaitConfirmation())

    async def _finish(self, task: Task, closes_session: bool) -> None:
        orders = [order_task(task.task_id, FinishTask())]
        if closes_session:
            orders.append(order_session(task.session_id, EndSession("its task has ended")))
        await self._handler.execute(*orders, actor="engine", cause="scheduler")

    async def _begin(self, task_id: str) -> None:
        task = self._task(task_id)
        if task.status == "ready":
            await self._execute(task_id, StartTask())
        elif task.status in ("paused", "awaiting_confirmation"):
            await self._execute(task_id, ResumeTask())

    def _task(self, task_id: str) -> Task:
        self._handler.notice_others()
        return self._known(task_id)

    def _known(self, task_id: str) -> Task:
        """Return the task without asking whether another process has paused it since the last command."""
        state = self._handler.known(task_id, TASK).state
        if isinstance(state, NoTask):
            raise DomainError("not_found", f"there is no task `{task_id}`", "see `cowork task list`")
        return state

    async def _execute(self, task_id: str, command: StartTask | ResumeTask | AwaitConfirmation) -> None:
        await self._handler.execute(order_task(task_id, command), actor="engine", cause="scheduler")

    # Steps

    async def _take_steps(self, task_id: str, agent: str) -> bool:
        """Begin every step whose turn has come; return whether there was one."""
        task = self._known(task_id)
        plan, begun = self._plan(task), task.steps
        any_taken = False
        waiting = [step for step in plan.steps if step.step_id not in begun]
        while waiting:
            held: list[Step] = []
            for step in waiting:
                # Others are noticed by the pipeline, at the next look at the session.
                task = self._known(task_id)
                if task.status != "running":
                    return any_taken
                if not all(need in task.steps and task.steps[need].is_settled for need in step.needs):
                    held.append(step)
                    continue
                await self._take_step(task, plan, step, agent)
                any_taken = True
            if len(held) == len(waiting):
                break
            waiting = held
        return any_taken

    async def _take_step(self, task: Task, plan: Plan, step: Step, agent: str) -> None:
        unmet = [need for need in step.needs if not task.steps[need].is_success]
        if unmet:
            reason = f"it needs {', '.join(f'`{need}`' for need in unmet)}, which did not succeed"
            await self._handler.execute(
                order_task(task.task_id, SkipStep(step.step_id, reason)), actor="engine", cause="scheduler"
            )
            return
        try:
            await self._pipeline.propose(task, step, plan.on_ask, agent)
        except RequestRefused as refusal:
            skip = SkipStep(step.step_id, refusal.reason, refusal.reason_code)
            await self._handler.execute(order_task(task.task_id, skip), actor="engine", cause=step.step_id)
            return
        await self._carry_out_ready(task.task_id)

    def _plan(self, task: Task) -> Plan:
        if task.plan is None:
            raise DomainError("conflict", f"task `{task.task_id}` has no plan")
        return task.plan

    async def _carry_out_ready(self, task_id: str) -> None:
        """Carry out what policy allowed and nothing started yet: the rest of a batch, or what a crash left."""
        task = self._known(task_id)
        ready = [a for a in task.open_actions.values() if isinstance(a.phase, Ready)]
        # A plan may be long: what is asked after every action must not cost more the longer it is.
        steps = {step.step_id: step for step in self._plan(task).steps} if ready else {}
        for action in sorted(ready, key=_in_order):
            task = self._task(task_id)
            if task.status != "running":
                return
            current = task.open_actions.get(action.action_id)
            # Of changes that go together, one may have been refused meanwhile, or still waits for an answer.
            if current is not None and not any(
                isinstance(one.phase, Awaiting | Unknown) for one in siblings_of(task, current)
            ):
                await self._pipeline.carry_out(task, steps[action.step_id], current)

    # Questions

    async def _ask(self, asked: Sequence[str], asker: Asker | None, left_open: set[str]) -> bool:
        """Put open questions to the person who is there; return whether one was answered, here or elsewhere."""
        for confirmation_id in asked:
            state = self._handler.load(confirmation_id, CONFIRMATION).state
            if not isinstance(state, Pending):
                return True
            if asker is None or confirmation_id in left_open:
                continue
            answer = await asker.ask(state.request)
            if answer is None:
                left_open.add(confirmation_id)
                continue
            try:
                await self.answer(state.request.confirmation_id, state.request.digest, answer)
            except DomainError as error:
                # Somebody else was faster, or the time ran out while it was open: the answer on record counts.
                if error.code not in ("conflict", "expired"):
                    raise
            return True
        return False

    async def answer(self, confirmation_id: str, digest: str, answer: Answer) -> None:
        """Record a person's answer, and what is to be remembered of a yes, in one commit.

        Raises `DomainError` not_found, conflict or expired.
        """
        now, by = self._clock.now(), answer.answered_by
        kind = Approve if answer.approve else Reject
        command = kind(digest=digest, answered_by=by, now=now, note=answer.note)
        also: tuple[Order, ...] = ()
        if answer.remember is not None and answer.approve:
            also = orders_of(answer.remember, confirmation_id, by, now)
        await self._handler.execute(order_confirmation(confirmation_id, command), *also, actor=by, cause="answer")

    async def _settle_answers(self, task: Task) -> None:
        """Act on every question that has been answered, or that nobody answered in time."""
        steps = {step.step_id: step for step in self._plan(task).steps}
        waiting = [a for a in task.open_actions.values() if isinstance(a.phase, Awaiting)]
        for action in sorted(waiting, key=_in_order):
            current = self._task(task.task_id)
            if current.status != "running":
                return
            still_open = current.open_actions.get(action.action_id)
            if still_open is not None and isinstance(still_open.phase, Awaiting):
                await self._settle_answer(current, steps[action.step_id], still_open, still_open.phase.confirmation_id)

    async def _settle_answer(self, task: Task, step: Step, action: OpenAction, confirmation_id: str) -> None:
        state = self._handler.load(confirmation_id, CONFIRMATION).state
        if isinstance(state, Pending) and self._clock.now() >= state.request.expires_at:
            expire = order_confirmation(confirmation_id, Expire(self._clock.now()))
            await self._handler.execute(expire, actor="engine", cause="scheduler")
            state = self._handler.load(confirmation_id, CONFIRMATION).state
        match state:
            case Approved():
                if not self._waits_for_siblings(task, action):
                    await self._pipeline.carry_out(task, step, action)
            case Rejected(request=request, answered_by=by, note=note):
                unknown = request.purpose == "unknown_outcome"
                code: ReasonCode = "unknown" if unknown else "rejected"
                await self._decline(task, action, code, f"rejected by {by}{f': {note}' if note else ''}")
            case Expired():
                await self._decline(task, action, "expired", "nobody answered in time")
            case Withdrawn(reason=reason):
                await self._decline(task, action, "withdrawn", reason)
            case Pending() | NoConfirmation():
                return

    def _without_held_up(self, task: Task, asked: Sequence[str]) -> list[str]:
        """Return the questions without those that were answered and whose actions wait for another answer."""
        waiting = [a for a in task.open_actions.values() if a.together and isinstance(a.phase, Awaiting)]
        held_up = {
            action.phase.confirmation_id
            for action in waiting
            if isinstance(action.phase, Awaiting) and self._waits_for_siblings(task, action)
        }
        return [
            name
            for name in asked
            if name not in held_up or not isinstance(self._handler.load(name, CONFIRMATION).state, Approved)
        ]

    def _waits_for_siblings(self, task: Task, action: OpenAction) -> bool:
        """Whether something that it goes together with was asked about again, or nobody knows what became of it."""
        phases = [one.phase for one in siblings_of(task, action)]
        if any(isinstance(phase, Unknown) for phase in phases):
            return True
        asked = {phase.confirmation_id for phase in phases if isinstance(phase, Awaiting)}
        return any(isinstance(self._handler.load(name, CONFIRMATION).state, Pending) for name in asked)

    async def _decline(self, task: Task, action: OpenAction, code: ReasonCode, reason: str) -> None:
        command = DeclineAction(action_id=action.action_id, reason_code=code, reason=reason)
        await self._handler.execute(order_task(task.task_id, command), actor="engine", cause="answer")


def _in_order(action: OpenAction) -> tuple[int, str]:
    return len(action.action_id), action.action_id
