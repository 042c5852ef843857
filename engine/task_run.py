"""One task being carried on: its steps beside each other, its subagents beneath it, until it ends or has to wait.

A run takes turns. In each it notes what was recorded meanwhile, begins the steps whose turn has come, in the order of
the plan, and hands what may start to workers; then it sleeps until something happens. Steps that touch the same places
are carried out in the order of the plan, as if there were one after the other.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime

import anyio
import anyio.abc
import msgspec

from ..domain.action import SubagentSpawn
from ..domain.budget import Budget, Overrun
from ..domain.errors import DomainError
from ..domain.ids import child_task_id, subagent_id
from ..domain.plan import Step
from ..domain.session import EndSession
from ..domain.task import (
    AwaitConfirmation,
    Awaiting,
    ExhaustBudget,
    FinishTask,
    NoTask,
    OpenAction,
    PauseTask,
    Ready,
    RecordProgress,
    ResumeTask,
    SkipStep,
    Started,
    StartTask,
    Task,
    TaskCommand,
    Unknown,
    existing,
    open_questions,
    siblings_of,
)
from . import limits
from .action_pipeline import ActionPipeline, Attempt, RequestRefused
from .agenda import Agenda
from .answering import Answering, Asker
from .claims import Claims
from .command_handler import TASK, CommandHandler, Order, order_session, order_task
from .ledger import Ledger
from .overlap import Places, places_of
from .ports import Clock
from .recovery import Recovery
from .session_view import SessionViews
from .spawning import Spawning

_IDLE_TURNS_MAX = 3
"""After how many turns without anything recorded a task that should go on, and does not, is paused."""


_LOOKED_AHEAD_MAX = 16
"""How many steps that have to wait for others are looked past for one that need not."""


class RunParts(msgspec.Struct, frozen=True, kw_only=True):
    """What every run needs. `watch_s` is how long it sleeps at most while others might record something, in seconds."""

    handler: CommandHandler
    pipeline: ActionPipeline
    recovery: Recovery
    spawning: Spawning
    answering: Answering
    ledger: Ledger
    claims: Claims
    views: SessionViews
    clock: Clock
    watch_s: float | None
    runs: dict[str, TaskRun]


class TaskRun:
    """Carries one task on. The run of the task that a person started also asks for its subagents."""

    def __init__(self, parts: RunParts, task_id: str, *, agent: str, asker: Asker | None, closes_session: bool) -> None:
        self._parts = parts
        self._task_id = task_id
        self._agent = agent
        self._asker = asker
        self._closes_session = closes_session
        self._active: dict[str, Places] = {}
        self._spawns: set[str] = set()
        self._rested: dict[str, tuple[Budget, ...]] = {}
        self._left_open: set[str] = set()
        self._asking: anyio.CancelScope | None = None
        self._failure: DomainError | None = None
        self._agenda: Agenda | None = None
        self._awake = anyio.Event()
        self._since = parts.clock.now()
        self._idle = (0, 0)

    def wake(self) -> None:
        """Let the run take another turn."""
        self._awake.set()

    async def drive(self) -> None:
        """Carry the task on until it ends or nothing can go on without a person.

        Raises `DomainError` where the store or the task can't go on; what was under way has its outcome by then.
        """
        self._parts.runs[self._task_id] = self
        try:
            await self._begin()
            await self._parts.recovery.recover(self._task_id)
            async with anyio.create_task_group() as group:
                while await self._took_turn(group):
                    pass
                if self._asking is not None:
                    self._asking.cancel()
            await self._record_progress()
            if self._failure is not None:
                raise self._failure
        finally:
            del self._parts.runs[self._task_id]
            self._parts.ledger.note_running(self._task_id, 0)
            if self._known().is_final:
                self._parts.claims.release(self._task_id)

    # Turns

    async def _took_turn(self, group: anyio.abc.TaskGroup) -> bool:
        try:
            return await self._turn(group)
        except DomainError as error:
            self._fail(error)
            return False

    def _fail(self, error: DomainError) -> None:
        """Stop the run when everything under way has its outcome."""
        # Somebody paused or cancelled the task between two commands: that is an answer, not a failure.
        if error.code != "conflict" or self._known().status == "running":
            self._failure = self._failure or error

    async def _turn(self, group: anyio.abc.TaskGroup) -> bool:
        """Do what can be done; return whether the run goes on."""
        self._awake = anyio.Event()
        if not self._goes_on():
            return False
        self._parts.ledger.note_running(self._task_id, self._milliseconds())
        if self._milliseconds() >= limits.PROGRESS_INTERVAL_S * 1000:
            await self._record_progress()
        await self._parts.answering.settle(self._task_id)
        await self._parts.recovery.ask_about_unknown(self._task_id)
        if self._known().repeat.count >= limits.STUCK_REPEATS_MAX:
            times = f"the same action brought the same result {limits.STUCK_REPEATS_MAX} times in a row"
            await self._execute(PauseTask(f"it seems to be stuck: {times}"))
            return False
        await self._begin_steps(group)
        self._continue_steps(group)
        if not self._goes_on():
            return False
        if self._active or self._spawns:
            self._ask_meanwhile(group)
            await self._sleep()
            return True
        return await self._rest()

    def _goes_on(self) -> bool:
        return self._failure is None and self._task().status == "running"

    async def _sleep(self) -> None:
        with anyio.move_on_after(self._parts.watch_s if self._parts.watch_s is not None else float("inf")):
            await self._awake.wait()

    async def _begin(self) -> None:
        task = self._task()
        if task.status == "ready":
            await self._execute(StartTask())
        elif task.status in ("paused", "awaiting_confirmation", "budget_exhausted"):
            await self._execute(ResumeTask())

    # Steps

    async def _begin_steps(self, group: anyio.abc.TaskGroup) -> None:
        """Begin every step whose turn has come, as far as there is room and nothing under way touches the same."""
        agenda, held = self._current_agenda(), list[tuple[Step, Places]]()
        for step in agenda.take():
            places = self._places(step)
            # What waits touches what comes after it as well: else a later step would overtake it.
            others = (*self._active.values(), *(theirs for _, theirs in held))
            if self._has_room(step) and not any(places.touches(other) for other in others):
                await self._begin_step(group, self._known(), step, places)
                agenda.refresh(self._known())
            else:
                held.append((step, places))
            if len(held) >= _LOOKED_AHEAD_MAX or not self._goes_on():
                break
        for step, _ in held:
            agenda.put_back(step)

    def _has_room(self, step: Step) -> bool:
        if isinstance(step.request, SubagentSpawn):
            return len(self._spawns) < limits.SUBAGENTS_AT_ONCE_MAX
        return len(self._active) < limits.STEPS_AT_ONCE_MAX

    def _places(self, step: Step) -> Places:
        return places_of(step, self._parts.views.view_of(self._known()).scope)

    def _current_agenda(self) -> Agenda:
        task = self._known()
        if task.plan is None:
            raise DomainError("conflict", f"task `{self._task_id}` has no plan")
        if self._agenda is None or self._agenda.plan is not task.plan:
            self._agenda = Agenda(task.plan, task)
        self._agenda.refresh(task)
        return self._agenda

    async def _begin_step(self, group: anyio.abc.TaskGroup, task: Task, step: Step, places: Places) -> None:
        unmet = [need for need in step.needs if not task.steps[need].is_success]
        if unmet:
            reason = f"it needs {', '.join(f'`{need}`' for need in unmet)}, which did not succeed"
            await self._execute(SkipStep(step.step_id, reason))
            return
        on_ask = "wait" if task.plan is None else task.plan.on_ask
        try:
            attempt = await self._parts.pipeline.propose(self._task_id, step, on_ask, self._agent)
        except RequestRefused as refusal:
            await self._execute(SkipStep(step.step_id, refusal.reason, refusal.reason_code), cause=step.step_id)
            return
        if attempt is not None and isinstance(attempt.action, SubagentSpawn):
            self._start_child(group, attempt.action_id)
        elif attempt is not None:
            self._work(group, step, places, attempt)

    def _continue_steps(self, group: anyio.abc.TaskGroup) -> None:
        """Go on with steps that were begun: the rest of a batch, what was approved, subagents that can go on."""
        task = self._known()
        if task.status != "running" or self._failure is not None or not task.open_actions:
            return
        agenda = self._current_agenda()
        for action in _in_order(task):
            if isinstance(action.action, SubagentSpawn) and isinstance(action.phase, Started):
                if action.action_id not in self._spawns and self._can_go_on(action.action_id):
                    self._start_child(group, action.action_id)
            elif action.step_id not in self._active and self._may_start(task, action):
                step = agenda.step(action.step_id)
                places = self._places(step)
                is_free = not any(places.touches(other) for other in self._active.values())
                if is_free and len(self._active) < limits.STEPS_AT_ONCE_MAX:
                    self._work(group, step, places, None)

    def _may_start(self, task: Task, action: OpenAction) -> bool:
        if isinstance(action.phase, Ready):
            # Of changes that go together, one may have been refused meanwhile, or still waits for an answer.
            return not any(isinstance(one.phase, Awaiting | Unknown) for one in siblings_of(task, action))
        return self._parts.answering.is_approved(task, action)

    # Workers

    def _work(self, group: anyio.abc.TaskGroup, step: Step, places: Places, attempt: Attempt | None) -> None:
        self._active[step.step_id] = places

        async def work() -> None:
            await self._carry_out(group, step, attempt)

        group.start_soon(self._guarded, work, lambda: self._active.pop(step.step_id, None))

    async def _carry_out(self, group: anyio.abc.TaskGroup, step: Step, attempt: Attempt | None) -> None:
        """Carry out what may start of a step, one action after the other."""
        if attempt is not None:
            await self._parts.pipeline.perform(attempt)
        tried: set[str] = set()
        while True:
            task = self._known()
            names = [one.action_id for one in _in_order(task) if one.step_id == step.step_id]
            names = [name for name in names if name not in tried and self._may_start(task, task.open_actions[name])]
            if not names:
                return
            for name in names:
                tried.add(name)
                if not self._goes_on():
                    return
                task = self._known()
                action = task.open_actions.get(name)
                if action is None or not self._may_start(task, action):
                    continue
                started = await self._parts.pipeline.start(task, step, action)
                if started is not None and isinstance(started.action, SubagentSpawn):
                    self._start_child(group, name)
                elif started is not None:
                    await self._parts.pipeline.perform(started)

    async def _guarded(self, work: Callable[[], Awaitable[None]], over: Callable[[], object]) -> None:
        """Let a worker do its work. What stops it stops the run, when everything under way has its outcome."""
        try:
            await work()
        except DomainError as error:
            self._fail(error)
        finally:
            over()
            self.wake()

    # Subagents

    def _start_child(self, group: anyio.abc.TaskGroup, action_id: str) -> None:
        self._spawns.add(action_id)

        async def work() -> None:
            await self._drive_child(action_id)

        def over() -> None:
            self._spawns.discard(action_id)
            self._rested[action_id] = self._parts.ledger.budgets(self._known())

        group.start_soon(self._guarded, work, over)

    async def _drive_child(self, action_id: str) -> None:
        action = self._known().open_actions.get(action_id)
        if action is None or not await self._parts.spawning.begin(self._known(), action):
            return
        child = child_task_id(action_id)
        state = self._parts.handler.known(child, TASK).state
        if isinstance(state, Task) and not state.is_final:
            agent = f"agent:{subagent_id(child)}"
            await TaskRun(self._parts, child, agent=agent, asker=None, closes_session=False).drive()
        await self._parts.spawning.settle(self._task_id, action_id)

    def _can_go_on(self, action_id: str) -> bool:
        """Whether there is something to do for a subagent: always at first, later when something has changed."""
        state = self._parts.handler.known(child_task_id(action_id), TASK).state
        if isinstance(state, NoTask) or state.is_final:
            return True
        match state.status:
            case "awaiting_confirmation":
                return self._has_answers(state)
            case "paused":
                return action_id not in self._rested
            case "budget_exhausted":
                return self._rested.get(action_id) != self._parts.ledger.budgets(self._known())
            case _:
                return True

    def _has_answers(self, task: Task) -> bool:
        """Whether a question of the task or of those beneath it was answered, or is too late to answer."""
        pending = self._parts.answering.pending(task)
        if len(pending) < len(open_questions(task)) or any(self._is_late(name) for name in pending):
            return True
        children = (self._parts.handler.known(child, TASK).state for child in task.children)
        return any(
            isinstance(child, Task)
            and (child.status in ("ready", "running") or (not child.is_final and self._has_answers(child)))
            for child in children
        )

    def _is_late(self, confirmation_id: str) -> bool:
        question = self._parts.answering.question(confirmation_id)
        return question is None or self._parts.clock.now() >= question.expires_at

    # At rest

    async def _rest(self) -> bool:
        """Nothing is under way: end, ask, or wait; return whether the run goes on."""
        task = self._known()
        if not task.open_actions and self._current_agenda().is_done:
            await self._finish(task)
            return False
        asked = self._parts.answering.pending_of_tree(task)
        if await self._ask_one(asked):
            return True
        if asked:
            own = open_questions(task)
            await self._execute(AwaitConfirmation(tuple(name for name in asked if name not in own)))
            return False
        return await self._wait_for_subagents(task)

    async def _wait_for_subagents(self, task: Task) -> bool:
        states = (self._parts.handler.known(child, TASK).state for child in task.children)
        children = [child for child in states if isinstance(child, Task) and not child.is_final]
        spent = next((child.exhausted for child in children if child.exhausted is not None), None)
        if spent is not None:
            over = Overrun(measure=spent.measure, bound=spent.bound, needed=spent.needed)
            await self._execute(ExhaustBudget(spent.of_task, over))
            return False
        paused = next((child for child in children if child.status == "paused"), None)
        if paused is not None:
            await self._execute(PauseTask(f"its subagent “{paused.title}” ({paused.task_id}) is paused"))
            return False
        version = self._parts.handler.known(self._task_id, TASK).version
        self._idle = (version, self._idle[1] + 1 if self._idle[0] == version else 1)
        if self._idle[1] > _IDLE_TURNS_MAX:
            await self._execute(PauseTask("nothing of it can go on, and nobody was asked: this is a defect"))
            return False
        return True

    async def _finish(self, task: Task) -> None:
        orders: list[Order] = []
        if self._milliseconds():
            orders.append(order_task(task.task_id, RecordProgress(self._milliseconds())))
            self._since = self._parts.clock.now()
        orders.append(order_task(task.task_id, FinishTask()))
        if self._closes_session:
            orders.append(order_session(task.session_id, EndSession("its task has ended")))
        await self._parts.handler.execute(*orders, actor="engine", cause="scheduler")

    # Questions

    def _ask_meanwhile(self, group: anyio.abc.TaskGroup) -> None:
        """Put a question to the person who is there while other work goes on."""
        if self._asker is None or self._asking is not None:
            return
        waiting = [n for n in self._parts.answering.pending_of_tree(self._known()) if n not in self._left_open]
        if not waiting:
            return
        self._asking = scope = anyio.CancelScope()

        async def work() -> None:
            with scope:
                await self._ask_one(waiting)

        group.start_soon(self._guarded, work, self._asked)

    def _asked(self) -> None:
        self._asking = None

    async def _ask_one(self, asked: list[str]) -> bool:
        """Put the first open question that was not left open before; return whether it was answered, here or not."""
        for confirmation_id in asked:
            if self._asker is None or confirmation_id in self._left_open:
                continue
            question = self._parts.answering.question(confirmation_id)
            if question is None:
                return True
            answer = await self._asker.ask(question)
            if answer is None:
                self._left_open.add(confirmation_id)
                continue
            try:
                await self._parts.answering.answer(confirmation_id, question.digest, answer)
            except DomainError as error:
                # Somebody else was faster, or the time ran out while it was open: the answer on record counts.
                if error.code not in ("conflict", "expired"):
                    raise
            return True
        return False

    # State

    def _task(self) -> Task:
        self._parts.handler.notice_others()
        return self._known()

    def _known(self) -> Task:
        """Return the task without asking whether another process has changed it since the last command."""
        return existing(self._parts.handler.known(self._task_id, TASK).state)

    def _milliseconds(self) -> int:
        return _milliseconds(self._since, self._parts.clock.now())

    async def _record_progress(self) -> None:
        running_ms = self._milliseconds()
        if running_ms:
            self._since = self._parts.clock.now()
            await self._execute(RecordProgress(running_ms))

    async def _execute(self, command: TaskCommand, *, cause: str = "scheduler") -> None:
        await self._parts.handler.execute(order_task(self._task_id, command), actor="engine", cause=cause)


def _in_order(task: Task) -> list[OpenAction]:
    return sorted(task.open_actions.values(), key=lambda action: (len(action.action_id), action.action_id))


def _milliseconds(since: datetime, now: datetime) -> int:
    return max(int((now - since).total_seconds() * 1000), 0)
