"""One task being carried on: its steps beside each other, its subagents beneath it, until it ends or has to wait.

A run takes turns. In each it notes what was recorded meanwhile, begins the steps whose turn has come, in the order of
the plan, and hands what may start to workers; then it sleeps until something happens. Steps that touch the same places
are carried out in the order of the plan, as if there were one after the other; those of different agents never at once.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio
import anyio.abc
import anyio.lowlevel
import msgspec

from ..domain.action import SubagentSpawn
from ..domain.budget import Overrun
from ..domain.errors import DomainError
from ..domain.ids import child_task_id, root_task_id, subagent_id
from ..domain.plan import Step
from ..domain.session import EndSession
from ..domain.task import (
    AwaitConfirmation,
    Awaiting,
    ExhaustBudget,
    FinishTask,
    OpenAction,
    PauseTask,
    Ready,
    RecordProgress,
    SkipStep,
    Started,
    Task,
    TaskBudgetExhausted,
    TaskCommand,
    Unknown,
    existing,
    open_questions,
    siblings_of,
)
from . import limits
from .action_pipeline import ActionPipeline, Attempt, PlanChanged, RequestRefused
from .agenda import Agenda
from .answering import Answering, Asker
from .asking import Asking
from .beginning import Paused, begin_run
from .claims import Claims
from .closing import Closing
from .command_handler import TASK, CommandHandler, Order, StaleRead, order_session, order_task
from .cutting_off import Halt
from .ledger import Ledger
from .live_tasks import live_children
from .overlap import Places, places_of
from .ports import Clock
from .recovery import Recovery
from .session_view import SessionViews
from .spawning import Spawning
from .subagent_watch import SubagentWatch

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
    closing: Closing
    answering: Answering
    ledger: Ledger
    claims: Claims
    views: SessionViews
    clock: Clock
    watch_s: float | None
    runs: dict[str, TaskRun]
    halt: Halt


class TaskRun:
    """Carries one task on. The run of the task that a person started also asks for its subagents."""

    def __init__(self, parts: RunParts, task_id: str, *, agent: str, asker: Asker | None, closes_session: bool) -> None:
        self._parts = parts
        self._task_id = task_id
        self._root = root_task_id(task_id)
        self._agent = agent
        self._asking = Asking(parts.answering, asker, self._still_goes_on)
        self._children = SubagentWatch(parts.handler, parts.answering, parts.ledger, parts.clock)
        self._closes_session = closes_session
        self._active: dict[str, Places] = {}
        self._spawns: set[str] = set()
        self._failure: DomainError | None = None
        self._agenda: Agenda | None = None
        self._awake = anyio.Event()
        self._is_held_up = False
        self._since = parts.clock.now()
        self._idle = (0, 0)
        self._paused: Paused = {}

    def wake(self) -> None:
        """Let the run take another turn."""
        self._awake.set()

    def wake_if_held_up(self) -> None:
        """Let the run take another turn where it waits for somebody else to be done with a place."""
        if self._is_held_up:
            self.wake()

    def is_at(self, places: Places) -> bool:
        """Whether a worker of this run, or a step that is just being decided about, touches the same places."""
        return any(places.touches(other) for other in self._active.values())

    async def drive(self, paused: Paused) -> None:
        """Carry the task on until it ends or nothing can go on without a person.

        `paused` are the tasks of its tree that are to be resumed, once. Raises `DomainError` where the store or the
        task can't go on; what was under way has its outcome by then.
        """
        self._parts.runs[self._task_id], self._paused = self, paused
        try:
            await begin_run(self._parts.handler, self._task_id, paused)
            await self._parts.recovery.recover(self._task_id)
            async with anyio.create_task_group() as group:
                while await self._took_turn(group):
                    pass
                self._asking.stop()
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
        self._awake, self._is_held_up = anyio.Event(), False
        if not self._still_goes_on():
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
        # First what was begun, perhaps before a crash: nothing later that touches the same may overtake it.
        self._continue_steps(group)
        is_current = await self._begin_steps(group)
        if not self._goes_on():
            return False
        if not is_current:
            return True
        if self._active or self._spawns or self._is_held_up or self._asking.is_open:
            self._ask_meanwhile(group)
            await self._sleep()
            return True
        return await self._rest()

    def _goes_on(self) -> bool:
        return self._failure is None and not self._parts.halt.is_asked and self._known().status == "running"

    def _still_goes_on(self) -> bool:
        self._parts.handler.notice_others()
        return self._goes_on()

    async def _sleep(self) -> None:
        with anyio.move_on_after(self._parts.watch_s if self._parts.watch_s is not None else float("inf")):
            await self._awake.wait()
        # Between two turns that wait for nothing, whoever stops the run must get through to it.
        await anyio.lowlevel.checkpoint_if_cancelled()

    # Steps

    async def _begin_steps(self, group: anyio.abc.TaskGroup) -> bool:
        """Begin every step whose turn has come, as far as there is room and nothing under way touches the same.

        Returns whether the task still follows the plan that they are of.
        """
        agenda, held = self._current_agenda(), list[tuple[Step, Places]]()
        while self._has_any_room(agenda) and (step := agenda.take()) is not None:
            places = self._places(step)
            # What waits touches what comes after it as well: else a later step would overtake it.
            waits = any(places.touches(other) for _, other in held)
            has_room = self._has_room(spawning=isinstance(step.request, SubagentSpawn))
            if has_room and not waits and self._is_free(places):
                self._active[step.step_id] = places
                before = self._known().actions
                attempt, goes_on = None, False
                try:
                    attempt = await self._begin_step(self._known(), step, agenda.number)
                    goes_on = attempt is None and self._may_start_any(range(before + 1, self._known().actions + 1))
                except PlanChanged:
                    break
                finally:
                    if not goes_on and (attempt is None or isinstance(attempt.action, SubagentSpawn)):
                        self._leave(step)
                if attempt is not None:
                    self._perform(group, step, places, attempt)
                elif goes_on:
                    # The rest of a batch is its step's turn as much as its first action is.
                    self._work(group, step, places, None)
                agenda.refresh(self._known())
                if not self._goes_on() or self._known().plans != agenda.number:
                    break
            else:
                held.append((step, places))
                if len(held) >= _LOOKED_AHEAD_MAX:
                    break
        for step, _ in held:
            agenda.put_back(step)
        return self._known().plans == agenda.number

    def _is_free(self, places: Places) -> bool:
        """Whether nobody of the same tree is at work where the places are; who has to wait is woken afterwards."""
        is_free = not any(run.is_at(places) for run in self._of_tree())
        self._is_held_up = self._is_held_up or not is_free
        return is_free

    def _leave(self, step: Step) -> None:
        """Be done with a step's places for now."""
        del self._active[step.step_id]
        for run in self._of_tree():
            run.wake_if_held_up()

    def _of_tree(self) -> list[TaskRun]:
        return [run for run in self._parts.runs.values() if run._root == self._root]  # noqa: SLF001

    def _has_any_room(self, agenda: Agenda) -> bool:
        return self._has_room() or (agenda.has_subagents and self._has_room(spawning=True))

    def _has_room(self, *, spawning: bool = False) -> bool:
        if spawning:
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

    async def _begin_step(self, task: Task, step: Step, of_plan: int) -> Attempt | None:
        unmet = [need for need in step.needs if not task.steps[need].is_success]
        if unmet:
            reason = f"it needs {', '.join(f'`{need}`' for need in unmet)}, which did not succeed"
            await self._skip(SkipStep(step.step_id, reason, of_plan=of_plan))
            return None
        on_ask = "wait" if task.plan is None else task.plan.on_ask
        try:
            return await self._parts.pipeline.propose(self._task_id, step, on_ask, self._agent, of_plan=of_plan)
        except RequestRefused as refusal:
            await self._skip(SkipStep(step.step_id, refusal.reason, refusal.reason_code, of_plan))
            return None

    async def _skip(self, command: SkipStep) -> None:
        try:
            await self._execute(command, cause=command.step_id)
        except DomainError as error:
            if error.code == "conflict" and self._known().plans != command.of_plan:
                raise PlanChanged from error
            raise

    def _perform(self, group: anyio.abc.TaskGroup, step: Step, places: Places, attempt: Attempt) -> None:
        if isinstance(attempt.action, SubagentSpawn):
            self._start_child(group, attempt.action_id)
        else:
            self._work(group, step, places, attempt)

    def _continue_steps(self, group: anyio.abc.TaskGroup) -> None:
        """Go on with steps that were begun: the rest of a batch, what was approved, subagents that can go on."""
        task = self._known()
        if task.status != "running" or self._failure is not None or not task.open_actions:
            return
        agenda = self._current_agenda()
        for action in _in_order(task):
            if isinstance(action.action, SubagentSpawn) and isinstance(action.phase, Started):
                if action.action_id not in self._spawns and self._children.can_go_on(action.action_id):
                    self._start_child(group, action.action_id)
            elif action.step_id not in self._active and self._may_start(task, action):
                step = agenda.step(action.step_id)
                places = self._places(step)
                if self._has_room() and self._is_free(places):
                    self._work(group, step, places, None)

    def _may_start_any(self, numbers: range) -> bool:
        """Whether one of the task's actions with these numbers may start."""
        task = self._known()
        actions = (task.open_actions.get(f"{self._task_id}.{number}") for number in numbers)
        return any(action is not None and self._may_start(task, action) for action in actions)

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

        def over() -> None:
            self._leave(step)

        group.start_soon(self._guarded, work, over)

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
                if not self._still_goes_on():
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
            self._children.note_rest(action_id)

        group.start_soon(self._guarded, work, over)

    async def _drive_child(self, action_id: str) -> None:
        action = self._known().open_actions.get(action_id)
        if action is None or not await self._parts.spawning.begin(self._known(), action):
            return
        child = child_task_id(action_id)
        state = self._parts.handler.known(child, TASK).state
        if isinstance(state, Task) and not state.is_final:
            agent = f"agent:{subagent_id(child)}"
            await TaskRun(self._parts, child, agent=agent, asker=None, closes_session=False).drive(self._paused)
            state = self._parts.handler.load(child, TASK).state
        if isinstance(state, Task) and state.is_final:
            # One that was cancelled while a process that then died had it: somebody has to look before it is over.
            await self._parts.closing.close(child)
            await self._parts.spawning.settle(self._task_id, action_id)

    # At rest

    async def _rest(self) -> bool:
        """Nothing is under way: end, ask, or wait; return whether the run goes on."""
        task = self._known()
        if not task.open_actions and self._current_agenda().is_done:
            return await self._finish(task)
        asked = self._parts.answering.pending_of_tree(task)
        if await self._asking.ask(asked):
            return True
        if asked:
            own = open_questions(task)
            await self._execute(AwaitConfirmation(tuple(name for name in asked if name not in own)))
            return False
        return await self._wait_for_subagents(task)

    async def _wait_for_subagents(self, task: Task) -> bool:
        children = list(live_children(self._parts.handler, task))
        spent = next((child.exhausted for child in children if child.exhausted is not None), None)
        if spent is not None:
            return await self._exhaust(spent)
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

    async def _exhaust(self, spent: TaskBudgetExhausted) -> bool:
        """Stop at the bound at which a subagent did; return whether the run goes on: there may be another by now."""
        guard = self._parts.ledger.guard_of_bound(spent)
        if guard is None:
            return True
        over = Overrun(measure=spent.measure, bound=spent.bound, needed=spent.needed)
        order = order_task(self._task_id, ExhaustBudget(spent.of_task, over))
        try:
            await self._parts.handler.execute(order, actor="engine", cause="scheduler", guards=(guard,))
        except StaleRead:
            return True
        return False

    async def _finish(self, task: Task) -> bool:
        """End the task; return whether the run goes on: there may be another plan by now, with more to do."""
        orders: list[Order] = []
        if self._milliseconds():
            orders.append(order_task(task.task_id, RecordProgress(self._milliseconds())))
            self._since = self._parts.clock.now()
        orders.append(order_task(task.task_id, FinishTask()))
        if self._closes_session:
            orders.append(order_session(task.session_id, EndSession("its task has ended")))
        try:
            await self._parts.handler.execute(*orders, actor="engine", cause="scheduler")
        except DomainError as error:
            if error.code == "conflict" and self._known().plans != task.plans:
                return True
            raise
        return False

    def _ask_meanwhile(self, group: anyio.abc.TaskGroup) -> None:
        """Put a question to the person who is there while other work goes on."""
        waiting = self._asking.to_ask(self._parts.answering.pending_of_tree(self._known()))
        if not waiting:
            return

        async def work() -> None:
            await self._asking.ask(waiting)

        self._asking.open()
        group.start_soon(self._guarded, work, self._asking.close)

    # State

    def _known(self) -> Task:
        """Return the task as it was when the run last asked what others have recorded: at least once in each turn."""
        return existing(self._parts.handler.known(self._task_id, TASK).state)

    def _milliseconds(self) -> int:
        return max(int((self._parts.clock.now() - self._since).total_seconds() * 1000), 0)

    async def _record_progress(self) -> None:
        running_ms = self._milliseconds()
        if running_ms:
            self._since = self._parts.clock.now()
            await self._execute(RecordProgress(running_ms))

    async def _execute(self, command: TaskCommand, *, cause: str = "scheduler") -> None:
        await self._parts.handler.execute(order_task(self._task_id, command), actor="engine", cause=cause)


def _in_order(task: Task) -> list[OpenAction]:
    return sorted(task.open_actions.values(), key=lambda action: (len(action.action_id), action.action_id))
