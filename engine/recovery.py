"""What a restart does with an action that was started and has no outcome: it looks, and never repeats blindly."""

from collections.abc import Sequence
from typing import assert_never

from ..domain.action import SubagentSpawn
from ..domain.errors import DomainError
from ..domain.event import Event, Recorded
from ..domain.plan import Step
from ..domain.task import (
    ActionStarted,
    NoTask,
    OpenAction,
    RecordFailure,
    RecordSuccess,
    RecordUnknown,
    Started,
    Task,
    Unknown,
)
from .action_pipeline import ActionPipeline
from .command_handler import TASK, CommandHandler, order_task
from .overtaken import find_taken_away
from .ports import Done, EventStore, Finding, NotApplied, Unclear
from .reached import reached_since


class Recovery:
    """Settles what a crash left open in a task that is about to go on."""

    def __init__(self, *, handler: CommandHandler, store: EventStore, pipeline: ActionPipeline) -> None:
        self._handler = handler
        self._store = store
        self._pipeline = pipeline

    async def recover(self, task_id: str) -> None:
        """Find out what became of every open attempt of a running task: done, made again, or asked about."""
        task = self._running(task_id)
        if task is None or task.plan is None:
            return
        steps = {step.step_id: step for step in task.plan.steps}
        started = _under_way(task)
        stream = self._store.read_stream(task_id) if started else []
        for action in started:
            await self._settle(task, steps[action.step_id], action, stream)

    async def ask_about_unknown(self, task_id: str) -> None:
        """Put a question about every action of a running task whose outcome nobody can tell."""
        task = self._running(task_id)
        if task is None or task.plan is None:
            return
        unknown = [(action, action.phase) for action in _in_order(task) if isinstance(action.phase, Unknown)]
        # Asked in every turn of a run, and mostly of none: a plan may have ten thousand steps.
        steps = {step.step_id: step for step in task.plan.steps} if unknown else {}
        for action, phase in unknown:
            await self._pipeline.ask_about_unknown(task, steps[action.step_id], action, phase.observed)

    async def close(self, task: Task) -> None:
        """Settle what a crash left open in a task that was cancelled afterwards: it is looked at, never made again."""
        started = _under_way(task)
        stream = self._store.read_stream(task.task_id) if started else []
        for action in started:
            finding = await self._look(task, action, stream)
            await self._handler.execute(
                order_task(task.task_id, _closing(action.action_id, finding)), actor="engine", cause="recovery"
            )

    async def _look(self, task: Task, action: OpenAction, stream: Sequence[Recorded[Event]]) -> Finding:
        """Return what became of the attempt that is open; `stream` are the events of its task."""
        start = next(one for one in reversed(stream) if _is_start_of(one.event, action.action_id))
        finding = await self._pipeline.look(task, action, start, reached=reached_since(start, stream))
        if isinstance(finding, Done) or not isinstance(action.phase, Started):
            return finding
        told = find_taken_away(self._handler, self._store, start, action.action, action.phase.judgement.facts)
        return told or finding

    async def _settle(self, task: Task, step: Step, action: OpenAction, stream: Sequence[Recorded[Event]]) -> None:
        finding = await self._look(task, action, stream)
        match finding:
            case Done(effects=effects, result=result):
                done = RecordSuccess(action_id=action.action_id, effects=effects, result=result, recovered=True)
                await self._handler.execute(order_task(task.task_id, done), actor="engine", cause="recovery")
            case NotApplied():
                await self._pipeline.carry_out(task, step, action)
            case Unclear(observed=observed):
                unknown = RecordUnknown(action_id=action.action_id, observed=observed)
                await self._handler.execute(order_task(task.task_id, unknown), actor="engine", cause="recovery")
            case _:
                assert_never(finding)

    def _running(self, task_id: str) -> Task | None:
        state = self._handler.load(task_id, TASK).state
        if isinstance(state, NoTask):
            raise DomainError("not_found", f"there is no task `{task_id}`", "see `cowork task list`")
        return state if state.status == "running" else None


def _is_start_of(event: Event, action_id: str) -> bool:
    return isinstance(event, ActionStarted) and event.action_id == action_id


def _under_way(task: Task) -> list[OpenAction]:
    """Return the attempts without an outcome. A subagent's is its own task's to find out: it goes on, or has ended."""
    started = (action for action in _in_order(task) if isinstance(action.phase, Started))
    return [action for action in started if not isinstance(action.action, SubagentSpawn)]


def _in_order(task: Task) -> list[OpenAction]:
    # A map's own order differs from process to process; a person is asked in the order of the plan.
    return sorted(task.open_actions.values(), key=lambda action: (len(action.action_id), action.action_id))


def _closing(action_id: str, finding: Finding) -> RecordSuccess | RecordFailure | RecordUnknown:
    match finding:
        case Done(effects=effects, result=result):
            return RecordSuccess(action_id=action_id, effects=effects, result=result, recovered=True)
        case NotApplied():
            reason = "it was interrupted before it did anything, and its task was cancelled"
            return RecordFailure(action_id=action_id, reason_code="withdrawn", reason=reason)
        case Unclear(observed=observed):
            return RecordUnknown(action_id=action_id, observed=observed)
        case _:
            assert_never(finding)
