"""Task, the part about changing course: another plan for what is left, and words to the agent."""

from collections.abc import Collection

import msgspec

from .errors import DomainError
from .plan import Plan, Step, check_plan
from .task_action import declined
from .task_command import SendMessage, SteerTask
from .task_event import TaskEvent, TaskMessaged, TaskSteered
from .task_state import Task
from .task_values import Awaiting, OpenAction, Ready


def message(command: SendMessage, task: Task) -> tuple[TaskEvent, ...]:
    """Return that something was said. Raises `DomainError` invalid for nothing."""
    if not command.text.strip():
        raise DomainError("invalid", "the message is empty", "say what the agent should know")
    said = TaskMessaged(task_id=task.task_id, text=command.text, strategy=command.strategy, said_by=command.said_by)
    return (said,)


def steer(command: SteerTask, task: Task) -> tuple[TaskEvent, ...]:
    """Return the events of another plan for what is left.

    Steps that were begun stay; one that only waits for an answer and is not in the new plan is let go, and its question
    with it. Of changes that go together all are made once one was started. Raises `DomainError` invalid (the plan) or
    conflict (a step that was begun is another one in it).
    """
    if task.plan is None:
        raise DomainError("conflict", f"task `{task.task_id}` has no plan yet")
    before = {step.step_id: step for step in task.plan.steps}
    wished = {step.step_id: step for step in command.plan.steps}
    for step_id, step in wished.items():
        if step_id in task.steps and step != before[step_id]:
            raise DomainError(
                "conflict",
                f"step `{step_id}` was begun, and is another one in the new plan",
                "give the changed step an id of its own",
            )
    left_out = [step_id for step_id in before if step_id not in wished and step_id in task.steps]
    plan = _with_begun(command.plan, [before[step_id] for step_id in left_out])
    check_plan(plan)
    if plan == task.plan:
        return ()
    gone = "the plan was changed, and has no such step any more"
    left = let_go(task, frozenset(left_out))
    withdrawn = (declined(task, action, "withdrawn", gone) for action in left)
    steered = TaskSteered(
        task_id=task.task_id,
        plan=plan,
        added=tuple(step_id for step_id in wished if step_id not in before),
        changed=tuple(step_id for step_id, step in wished.items() if step_id in before and step != before[step_id]),
        dropped=tuple(
            step_id
            for step_id in before
            if step_id not in wished and (step_id not in task.steps or any(one.step_id == step_id for one in left))
        ),
        said_by=command.said_by,
    )
    return (*withdrawn, steered)


def _with_begun(plan: Plan, begun: list[Step]) -> Plan:
    """Return the plan with the steps that were begun and are not in it before all others."""
    kept = tuple(msgspec.structs.replace(step, needs=(), after=()) for step in begun)
    return msgspec.structs.replace(plan, steps=(*kept, *plan.steps))


def let_go(task: Task, left_out: Collection[str]) -> list[OpenAction]:
    """Return the actions of steps that are not begun any more when a new plan leaves these steps out, in order."""
    open_actions = sorted(task.open_actions.values(), key=lambda one: (len(one.action_id), one.action_id))
    return [action for action in open_actions if action.step_id in left_out and _is_untouched(task, action)]


def _is_untouched(task: Task, action: OpenAction) -> bool:
    is_half_made = action.together and action.staged_by in task.half_made
    return isinstance(action.phase, Awaiting | Ready) and not action.attempts and not is_half_made
