"""A task as its events leave it: states and `evolve`.

The folded state keeps only what a decision needs: actions that are not settled yet and a tally per step. A task's
ten-thousandth action therefore costs what its tenth did.
"""

from __future__ import annotations

from typing import Literal, TypeAlias, assert_never

import msgspec
from rpds import HashTrieMap, HashTrieSet

from .action import ActionKind, Location, SubagentSpawn, kind_of
from .budget import NO_BUDGET, NO_USAGE, Budget, Usage, minus, plus, reservation, settlement
from .effect import Result
from .errors import DomainError
from .ids import child_task_id
from .plan import Plan
from .reason import ReasonCode
from .task_event import (
    ActionAllowed,
    ActionConfirmationRequired,
    ActionDeclined,
    ActionDenied,
    ActionEvent,
    ActionFailed,
    ActionOutcomeUnknown,
    ActionProposed,
    ActionStarted,
    ActionSucceeded,
    ChangesStaged,
    ConnectionDecided,
    LifeEvent,
    PathsClaimed,
    StepBegun,
    StepSkipped,
    TaskAwaitingConfirmation,
    TaskBlocked,
    TaskBudgetExhausted,
    TaskBudgetRaised,
    TaskCancelled,
    TaskCompleted,
    TaskEvent,
    TaskFailed,
    TaskInterrupted,
    TaskMessaged,
    TaskPaused,
    TaskPlanned,
    TaskPlanningStarted,
    TaskProgressed,
    TaskQueued,
    TaskResumed,
    TaskStarted,
    TaskSteered,
    UsageReported,
)
from .task_values import (
    FINAL_STATUSES,
    ActionPhase,
    Awaiting,
    Judgement,
    OpenAction,
    Proposed,
    Ready,
    Repeat,
    Started,
    Tally,
    TaskStatus,
    Unknown,
)


def _no_actions() -> HashTrieMap[str, OpenAction]:
    return HashTrieMap()


def _no_claims() -> HashTrieSet[Location]:
    return HashTrieSet()


def _no_commands() -> HashTrieSet[str]:
    return HashTrieSet()


def _no_counts() -> HashTrieMap[str, int]:
    return HashTrieMap()


def _no_tallies() -> HashTrieMap[str, Tally]:
    return HashTrieMap()


class NoTask(msgspec.Struct, frozen=True, gc=False):
    """Before the first event."""


class Task(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A task. `open_actions` maps action ids to what is not settled; `steps` maps step ids to tallies.

    `plans` counts the plans that it has followed, `step_ids` are those of the last one; `started_kinds` counts the
    actions that were started, by their kind. `spent` is what its own actions took, `reserved` what those under way will
    take at least; `children` are the tasks of its subagents. `claims` are the places that it writes. `half_made` are
    the commands of whose changes that go together one was started. `queued_messages` are for after the plan as it
    stands.
    """

    task_id: str
    session_id: str
    title: str
    status: TaskStatus
    plan: Plan | None = None
    plans: int = 0
    step_ids: frozenset[str] = frozenset()
    open_actions: HashTrieMap[str, OpenAction] = msgspec.field(default_factory=_no_actions)
    steps: HashTrieMap[str, Tally] = msgspec.field(default_factory=_no_tallies)
    actions: int = 0
    pause_reason: str = ""
    parent_task_id: str = ""
    subagent_id: str = ""
    priority: int = 0
    undoes: str = ""
    budget: Budget = NO_BUDGET
    spent: Usage = NO_USAGE
    reserved: Usage = NO_USAGE
    children: tuple[str, ...] = ()
    claims: HashTrieSet[Location] = msgspec.field(default_factory=_no_claims)
    half_made: HashTrieSet[str] = msgspec.field(default_factory=_no_commands)
    queued_messages: tuple[TaskMessaged, ...] = ()
    repeat: Repeat = Repeat()
    is_interrupted: bool = False
    exhausted: TaskBudgetExhausted | None = None
    started_kinds: HashTrieMap[str, int] = msgspec.field(default_factory=_no_counts)

    @property
    def is_final(self) -> bool:
        """Whether the task has ended for good."""
        return self.status in FINAL_STATUSES

    @property
    def is_in_tree(self) -> bool:
        """Whether others write beside it: it is a subagent's, or has subagents."""
        return bool(self.subagent_id or self.children)


TaskState: TypeAlias = NoTask | Task
INITIAL: TaskState = NoTask()


def existing(state: TaskState) -> Task:
    """Return the task, or raise `DomainError` not_found where there is none yet."""
    if isinstance(state, NoTask):
        raise DomainError("not_found", "no such task", "see `cowork task list`")
    return state


def open_action(task: Task, name: str) -> OpenAction:
    """Return the action that is not settled, or raise `DomainError` conflict."""
    action = task.open_actions.get(name)
    if action is None:
        raise DomainError("conflict", f"action `{name}` of task `{task.task_id}` is not open")
    return action


def siblings_of(task: Task, action: OpenAction) -> list[OpenAction]:
    """Return the other open actions that are carried out only together with this one, in order."""
    if not action.together:
        return []
    others = (
        one
        for one in task.open_actions.values()
        if one.together and one.staged_by == action.staged_by and one.action_id != action.action_id
    )
    return sorted(others, key=lambda one: (len(one.action_id), one.action_id))


def open_questions(task: Task) -> tuple[str, ...]:
    """Return the ids of the confirmations that the task waits for, oldest first."""
    phases = (action.phase for action in task.open_actions.values())
    return tuple(sorted({phase.confirmation_id for phase in phases if isinstance(phase, Awaiting)}))


def evolve(state: TaskState, event: TaskEvent) -> TaskState:
    """Return the state after an event."""
    match event:
        case TaskQueued() if isinstance(state, NoTask):
            return Task(
                task_id=event.task_id,
                session_id=event.session_id,
                title=event.title,
                status="queued",
                parent_task_id=event.parent_task_id,
                subagent_id=event.subagent_id,
                priority=event.priority,
                undoes=event.undoes,
                budget=event.budget,
            )
        case (
            ActionProposed()
            | ActionAllowed()
            | ActionDenied()
            | ActionConfirmationRequired()
            | ActionDeclined()
            | ActionStarted()
            | ActionSucceeded()
            | ActionFailed()
            | ActionOutcomeUnknown()
            | ConnectionDecided()
        ):
            return _evolve_action(existing(state), event)
        case _:
            return _evolve_life(existing(state), event)


def _evolve_life(task: Task, event: LifeEvent) -> Task:
    match event:
        case TaskPlanningStarted():
            return _with(task, status="planning")
        case TaskPlanned(plan=plan):
            return _with(_following(task, plan), status="ready")
        case TaskStarted() | TaskResumed():
            return _with(task, status="running", pause_reason="", repeat=Repeat(), is_interrupted=False, exhausted=None)
        case TaskAwaitingConfirmation():
            return _with(task, status="awaiting_confirmation")
        case TaskPaused(reason=reason) | TaskInterrupted(reason=reason):
            # One that had stopped at a bound waits for a person from now on, not for room.
            by_force = isinstance(event, TaskInterrupted)
            return _with(task, status="paused", pause_reason=reason, is_interrupted=by_force, exhausted=None)
        case (
            TaskMessaged()
            | TaskSteered()
            | TaskProgressed()
            | UsageReported()
            | TaskBudgetExhausted()
            | TaskBudgetRaised()
            | PathsClaimed()
        ):
            return _evolve_course(task, event)
        case TaskCompleted(skipped=skipped):
            return _with(task, status="completed_with_skips" if skipped else "completed")
        case TaskFailed():
            return _with(task, status="failed")
        case TaskBlocked():
            return _with(task, status="blocked")
        case TaskCancelled():
            return _with(task, status="cancelled")
        case StepBegun(step_id=step_id, actions=actions):
            return _with(task, steps=task.steps.insert(step_id, Tally(actions=actions)))
        case ChangesStaged(step_id=step_id, step_actions=actions):
            return _with(task, steps=task.steps.insert(step_id, _with(task.steps[step_id], actions=actions)))
        case StepSkipped(step_id=step_id, reason_code=code):
            return _with(task, steps=task.steps.insert(step_id, _left_out(code)))
        case TaskQueued():
            raise DomainError("damaged", f"task `{task.task_id}` was queued twice")
        case _:
            assert_never(event)


_with = msgspec.structs.replace


def _following(task: Task, plan: Plan) -> Task:
    return _with(task, plan=plan, plans=task.plans + 1, step_ids=frozenset(step.step_id for step in plan.steps))


CourseEvent: TypeAlias = (
    TaskMessaged | TaskSteered | TaskProgressed | UsageReported | TaskBudgetExhausted | TaskBudgetRaised | PathsClaimed
)
"""What happens along the way: words, other plans, what was used up and what is claimed."""


def _evolve_course(task: Task, event: CourseEvent) -> Task:
    match event:
        case TaskMessaged(strategy="queue"):
            return _with(task, queued_messages=(*task.queued_messages, event))
        case TaskMessaged():
            return task
        case TaskSteered(plan=plan):
            return _with(_following(task, plan), queued_messages=())
        case TaskProgressed(running_ms=running_ms):
            return _with(task, spent=plus(task.spent, Usage(wall_ms=running_ms)))
        case UsageReported(tokens=tokens, cost_micros=cost):
            return _with(task, spent=plus(task.spent, Usage(tokens=tokens, cost_micros=cost)))
        case TaskBudgetExhausted():
            return _with(task, status="budget_exhausted", exhausted=event)
        case TaskBudgetRaised(budget=budget):
            return _with(task, budget=budget)
        case PathsClaimed(places=places):
            return _with(task, claims=task.claims.update(places))
        case _:
            assert_never(event)


def _left_out(code: ReasonCode | None) -> Tally:
    if code is None:
        return Tally(left_out=True)
    return Tally(actions=1, failed=1) if code in FAILURE_CODES else Tally(actions=1, denied=1)


def _evolve_action(task: Task, event: ActionEvent) -> Task:
    match event:
        case ConnectionDecided():
            return task
        case ActionProposed():
            proposed = OpenAction(
                event.action_id,
                event.step_id,
                event.action,
                event.digest,
                Proposed(),
                proposed_by=event.proposed_by,
                staged_by=event.staged_by,
                together=event.together,
            )
            opened = task.open_actions.insert(event.action_id, proposed)
            return _with(task, actions=task.actions + 1, open_actions=opened)
        case ActionAllowed():
            return _put(task, event.action_id, Ready(_judgement(event)))
        case ActionConfirmationRequired():
            return _put(task, event.action_id, Awaiting(_judgement(event), event.confirmation_id))
        case ActionStarted():
            return _begin(task, open_action(task, event.action_id), event)
        case ActionOutcomeUnknown():
            return _put(
                task, event.action_id, Unknown(_last_judgement(open_action(task, event.action_id)), event.observed)
            )
        case ActionDenied():
            failed = event.decision.reason_code in FAILURE_CODES
            return _settle(task, event.action_id, "failed" if failed else "denied")
        case ActionDeclined():
            spent = _write_off(task, open_action(task, event.action_id))
            return _settle(spent, event.action_id, _HOW_DECLINED.get(event.reason_code, "denied"))
        case ActionSucceeded(result=result):
            spent = _spend(task, event.action_id, result, succeeded=True)
            outcome = "" if event.effects else _digest_of(result)
            return _settle(_repeated(spent, event.digest, outcome), event.action_id, "succeeded")
        case ActionFailed(reason_code=code, reason=reason, result=result):
            spent = _spend(task, event.action_id, result, succeeded=False)
            how = _HOW_FAILED.get(code, "failed")
            return _settle(_repeated(spent, event.digest, f"{code}: {reason}"), event.action_id, how)
        case _:
            assert_never(event)


Settled: TypeAlias = Literal["succeeded", "failed", "denied", "skipped"]
_HOW_DECLINED: dict[ReasonCode, Settled] = {
    "skipped": "skipped",
    "withdrawn": "skipped",
    "no_approval": "failed",
    "conflict": "failed",
    "not_found": "failed",
    "unknown": "failed",
}

_HOW_FAILED: dict[ReasonCode, Settled] = {"blocked": "denied", "withdrawn": "skipped"}
"""How a subagent's task ended is how its parent's step did: one that was denied something is no failure."""

FAILURE_CODES: tuple[ReasonCode, ...] = ("not_found", "conflict", "io")
"""A denial for one of these says that the world is not as the plan expected: the step failed, nobody forbade it."""


def _begin(task: Task, action: OpenAction, event: ActionStarted) -> Task:
    started = _started(action, event)
    wanted = reservation(action.action, started.judgement.facts)
    # What an earlier attempt held is let go: the facts may have changed since, and with them how much it was.
    held = plus(minus(task.reserved, action.reserved), wanted)
    begun = _with(action, phase=started, attempts=event.attempt, reserved=wanted)
    task = _with(task, reserved=held, open_actions=task.open_actions.insert(event.action_id, begun))
    if event.attempt > 1:
        return task
    if action.together:
        task = _with(task, half_made=task.half_made.insert(action.staged_by))
    if isinstance(action.action, SubagentSpawn):
        task = _with(task, children=(*task.children, child_task_id(action.action_id)))
    return _counted(task, kind_of(action.action))


def _spend(task: Task, name: str, result: Result | None, *, succeeded: bool) -> Task:
    action = open_action(task, name)
    if not action.attempts:
        return task
    took = settlement(action.reserved, result, succeeded=succeeded)
    return _with(task, reserved=minus(task.reserved, action.reserved), spent=plus(task.spent, took))


def _write_off(task: Task, action: OpenAction) -> Task:
    """Count what an attempt held of which nobody knows whether it happened, and which nobody will make again."""
    if not action.attempts:
        return task
    return _with(task, reserved=minus(task.reserved, action.reserved), spent=plus(task.spent, action.reserved))


def _digest_of(result: Result | None) -> str:
    return "done" if result is None else result.digest or result.summary


def _repeated(task: Task, digest: str, outcome: str) -> Task:
    same = outcome and (task.repeat.digest, task.repeat.outcome) == (digest, outcome)
    return _with(task, repeat=Repeat(digest, outcome, task.repeat.count + 1 if same else 1))


def _judgement(event: ActionAllowed | ActionConfirmationRequired) -> Judgement:
    return Judgement(event.decision, event.facts, event.scope_digest)


def _last_judgement(action: OpenAction) -> Judgement:
    if isinstance(action.phase, Proposed):
        raise DomainError("damaged", f"nothing was decided about action `{action.action_id}`")
    return action.phase.judgement


def _counted(task: Task, kind: ActionKind) -> Task:
    counts = task.started_kinds.insert(kind, task.started_kinds.get(kind, 0) + 1)
    return msgspec.structs.replace(task, started_kinds=counts)


def _started(action: OpenAction, event: ActionStarted) -> Started:
    judgement = _last_judgement(action)
    if event.facts is not None:
        judgement = Judgement(judgement.decision, event.facts, judgement.scope_digest)
    return Started(judgement, event.confirmation_id)


def _put(task: Task, name: str, phase: ActionPhase) -> Task:
    changed = msgspec.structs.replace(open_action(task, name), phase=phase)
    return _with(task, open_actions=task.open_actions.insert(name, changed))


def _settle(task: Task, name: str, how: Settled) -> Task:
    action = open_action(task, name)
    tally = task.steps[action.step_id]
    counted: Tally
    match how:
        case "succeeded":
            counted = _with(tally, succeeded=tally.succeeded + 1)
        case "failed":
            counted = _with(tally, failed=tally.failed + 1)
        case "denied":
            counted = _with(tally, denied=tally.denied + 1)
        case "skipped":
            counted = _with(tally, skipped=tally.skipped + 1)
        case _:
            assert_never(how)
    return _with(task, open_actions=task.open_actions.remove(name), steps=task.steps.insert(action.step_id, counted))
