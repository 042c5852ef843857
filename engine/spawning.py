"""Subagents: how one begins with a task of its own, and how its end becomes the outcome of the action that started it.

Ids follow from the action, and the beginning is one commit: after a crash a subagent is there, or it is started again,
and never twice.
"""

from collections.abc import Iterator

import msgspec

from ..domain.action import SubagentSpawn
from ..domain.budget import Budget, narrowest
from ..domain.effect import Effect, Result
from ..domain.errors import DomainError, ErrorCode
from ..domain.event import Event, Recorded
from ..domain.ids import child_task_id, subagent_id
from ..domain.plan import Plan
from ..domain.reason import ReasonCode
from ..domain.subagent import NoSubagent, Report, SpawnSubagent, Stop
from ..domain.task import (
    ActionSucceeded,
    AdoptPlan,
    FinalStatus,
    NoTask,
    OpenAction,
    QueueTask,
    RecordFailure,
    RecordSuccess,
    Started,
    StartPlanning,
    Task,
    TaskEnded,
    TaskStatus,
    existing,
    running,
)
from . import limits
from .command_handler import SUBAGENT, TASK, CommandHandler, Order, StaleRead, order_subagent, order_task
from .planning_ports import SpawnReader
from .ports import BlobStore, Clock, EventStore, Guard
from .session_view import SessionViews


class SubagentReport(msgspec.Struct, frozen=True, gc=False, kw_only=True, rename="camel"):
    """What a subagent did, for its parent: kept in the blob store as JSON, whole or not, however it ended.

    `changes` are those of the actions that succeeded, its subagents' included, in order; `more_changes` counts those
    beyond the bound. `steps` and `actions` are its own.
    """

    task_id: str
    subagent_id: str
    title: str
    status: TaskStatus
    reason: str
    steps: int
    actions: int
    changes: tuple[Effect, ...]
    more_changes: int


class Spawning:
    """Begins subagents and records what became of them. Their tasks are driven by the scheduler."""

    def __init__(
        self,
        *,
        handler: CommandHandler,
        store: EventStore,
        views: SessionViews,
        reader: SpawnReader,
        blobs: BlobStore,
        clock: Clock,
    ) -> None:
        self._handler = handler
        self._store = store
        self._views = views
        self._reader = reader
        self._blobs = blobs
        self._clock = clock

    async def begin(self, task: Task, action: OpenAction) -> bool:
        """Make sure that the subagent of a started action is there; return whether it is.

        Where it can't be, that is the outcome of the action, and on record.
        """
        child = child_task_id(action.action_id)
        if not isinstance(self._handler.load(child, TASK).state, NoTask):
            return True
        try:
            await self._begin(task, action, child)
        except DomainError as error:
            if error.code not in _NO_BEGINNING:
                raise
            words = f"{error.message}: {error.hint}" if error.hint else error.message
            failed = RecordFailure(action_id=action.action_id, reason_code=_NO_BEGINNING[error.code], reason=words)
            await self._handler.execute(order_task(task.task_id, failed), actor="engine", cause=action.action_id)
            return False
        return True

    async def _begin(self, task: Task, action: OpenAction, child: str) -> None:
        spawn, name = action.action, subagent_id(child)
        if not isinstance(spawn, SubagentSpawn):
            raise DomainError("conflict", f"action `{action.action_id}` starts no subagent")
        if len(task.children) > limits.SUBAGENTS_MAX:
            raise DomainError("limit", f"a task may start at most {limits.SUBAGENTS_MAX} subagents")
        # Whoever stops the task stops what is beneath it: what is not there yet must not begin afterwards. Others of
        # this process wait, instead of moving the task on for as long as many subagents begin beside each other.
        async with self._handler.turn({task.task_id, child, name}):
            await self._begin_beneath(task.task_id, action, spawn, child, name)

    async def _begin_beneath(
        self, parent: str, action: OpenAction, spawn: SubagentSpawn, child: str, name: str
    ) -> None:
        held = {parent, child, name}
        for _ in range(limits.COMMAND_RETRIES_MAX):
            known = self._handler.load(parent, TASK)
            task = running(existing(known.state))
            view = self._views.view_of(task)
            wished = self._reader.read(spawn, view.scope, self._clock.now())
            for content in wished.planned.contents:
                self._blobs.put(content)
            orders: list[Order] = [
                order_subagent(
                    name,
                    SpawnSubagent(
                        subagent_id=name,
                        session_id=task.session_id,
                        task_id=child,
                        parent_task_id=task.task_id,
                        action_id=action.action_id,
                        title=spawn.title,
                        parent_scope=view.scope,
                        wished_scope=wished.scope,
                        parent_budget=self._budget_of(task),
                        wished_budget=wished.budget,
                        parent_depth=view.depth,
                    ),
                ),
                order_task(
                    child,
                    QueueTask(
                        task_id=child,
                        session_id=task.session_id,
                        title=spawn.title,
                        parent_task_id=task.task_id,
                        subagent_id=name,
                        priority=task.priority,
                        budget=wished.budget,
                    ),
                ),
                order_task(child, StartPlanning(f"agent:{task.subagent_id}" if task.subagent_id else "agent:plan")),
                order_task(child, AdoptPlan(_as_patient(wished.planned.plan, task))),
            ]
            guards = (*view.guards, Guard(task.task_id, known.version))
            try:
                await self._handler.execute(*orders, actor="engine", cause=action.action_id, guards=guards, held=held)
            except StaleRead:
                continue
            return
        raise DomainError("conflict", f"task `{parent}` changes too often to start a subagent", "try again")

    def _budget_of(self, task: Task) -> Budget:
        """Return what a task may use up: its own bounds, and those of every task above it."""
        budget = task.budget
        while task.parent_task_id:
            task = existing(self._handler.known(task.parent_task_id, TASK).state)
            budget = narrowest(budget, task.budget)
        return budget

    async def give_up(self, task_id: str, action_id: str) -> None:
        """Record that an action's subagent never began, and never will: its task has ended."""
        reason = "its subagent had not begun when the task ended"
        failed = RecordFailure(action_id=action_id, reason_code="withdrawn", reason=reason)
        await self._handler.execute(order_task(task_id, failed), actor="engine", cause=action_id)

    async def settle(self, task_id: str, action_id: str) -> bool:
        """Record the outcome of an action whose subagent's task has ended; return whether it has."""
        child = self._handler.load(child_task_id(action_id), TASK).state
        if isinstance(child, NoTask) or not child.is_final:
            return False
        parent = existing(self._handler.known(task_id, TASK).state)
        action = parent.open_actions.get(action_id)
        if action is None or not isinstance(action.phase, Started):
            return True
        report = self.report(child)
        content = self._blobs.put(msgspec.json.encode(report))
        result = Result(summary=_sentence(report), digest=content.digest, size=content.size)
        outcome = _outcome(action_id, report, result)
        orders = [order_task(task_id, outcome)]
        if not isinstance(self._handler.load(child.subagent_id, SUBAGENT).state, NoSubagent):
            is_over = child.status == "cancelled"
            orders.append(order_subagent(child.subagent_id, Stop(report.reason) if is_over else Report(result.summary)))
        await self._handler.execute(*orders, actor="engine", cause=action_id)
        self._views.forget(child.task_id)
        return True

    def report(self, child: Task) -> SubagentReport:
        """Return what a subagent did so far, from its own events and those of all beneath it."""
        log = sorted(self._of_tree(child), key=lambda one: one.position)
        done = (one.event for one in log)
        changes = [effect for event in done if isinstance(event, ActionSucceeded) for effect in event.effects]
        own = (one.event for one in log if one.stream == child.task_id)
        reasons = [event.reason for event in own if isinstance(event, TaskEnded)]
        return SubagentReport(
            task_id=child.task_id,
            subagent_id=child.subagent_id,
            title=child.title,
            status=child.status,
            reason=reasons[-1] if reasons else "",
            steps=0 if child.plan is None else len(child.plan.steps),
            actions=child.actions,
            changes=tuple(changes[: limits.REPORTED_CHANGES_MAX]),
            more_changes=max(len(changes) - limits.REPORTED_CHANGES_MAX, 0),
        )

    def _of_tree(self, task: Task) -> Iterator[Recorded[Event]]:
        yield from self._store.read_stream(task.task_id)
        for name in task.children:
            state = self._handler.load(name, TASK).state
            if isinstance(state, Task):
                yield from self._of_tree(state)


def _as_patient(plan: Plan, parent: Task) -> Plan:
    """Return the plan with what its parent's says about questions."""
    if parent.plan is None:
        return plan
    return msgspec.structs.replace(plan, on_ask=parent.plan.on_ask, answer_within_s=parent.plan.answer_within_s)


_NO_BEGINNING: dict[ErrorCode, ReasonCode] = {"invalid": "policy", "denied": "no_grant", "limit": "limit"}
"""Why a subagent that was allowed can't be there after all: its parent has less by now."""


def _sentence(report: SubagentReport) -> str:
    changes = len(report.changes) + report.more_changes
    files = "no file changed" if not changes else f"{changes} change{'s' if changes > 1 else ''} to files"
    why = f" ({report.reason})" if report.reason else ""
    acts = f"{report.actions} action{'' if report.actions == 1 else 's'}"
    return f"subagent “{report.title}”: {report.status.replace('_', ' ')}{why}, {acts}, {files}"


def _outcome(action_id: str, report: SubagentReport, result: Result) -> RecordSuccess | RecordFailure:
    status = report.status
    if status in ("completed", "completed_with_skips"):
        return RecordSuccess(action_id=action_id, effects=(), result=result)
    code = _FAILED[status] if status in ("failed", "blocked", "cancelled") else "subagent"
    return RecordFailure(action_id=action_id, reason_code=code, reason=result.summary, result=result)


_FAILED: dict[FinalStatus, ReasonCode] = {"failed": "subagent", "blocked": "blocked", "cancelled": "withdrawn"}
