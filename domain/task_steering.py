"""Task, the part about changing course: another plan for what is left, and words to the agent."""

from collections.abc import Iterator

import msgspec

from .errors import DomainError
from .plan import Plan, Step, check_plan
from .task_action import declined
from .task_command import SendMessage, SteerTask
from .task_event import ActionDeclined, TaskEvent, TaskMessaged, TaskSteered
from .task_state import Task
from .task_values import Awaiting, Ready


def message(command: SendMessage, task: Task) -> tuple[TaskEvent, ...]:
    """Return that something was said. Raises `DomainError` invalid for nothing."""
    if not command.text.strip():
        raise DomainError("invalid", "the message is empty", "say what the agent should know")
    said = TaskMessaged(task_id=task.task_id, text=command.text, strategy=command.strategy, said_by=command.said_by)
    return (said,)


def steer(command: SteerTask, task: Task) -> tuple[TaskEvent, ...]:
    """Return the events of another plan for what is left.

    Steps that were begun stay; one that only waits for an answer and is not in the new plan is let go, and its question
    with it. Raises `DomainError` invalid (the plan) or conflict (a step that was begun is another one in it).
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
    withdrawn = tuple(event for step_id in left_out for event in _withdrawn(task, step_id))
    steered = TaskSteered(
        task_id=task.task_id,
        plan=plan,
        added=tuple(step_id for step_id in wished if step_id not in before),
        changed=tuple(step_id for step_id, step in wished.items() if step_id in before and step != before[step_id]),
        dropped=tuple(step_id for step_id in before if step_id not in wished and _is_dropped(task, step_id)),
        said_by=command.said_by,
    )
    return (*withdrawn, steered)


def _with_begun(plan: Plan, begun: list[Step]) -> Plan:
    """Return the plan with the steps that were begun and are not in it before all others."""
    kept = tuple(msgspec.structs.replace(step, needs=(), after=()) for step in begun)
    return msgspec.structs.replace(plan, steps=(*kept, *plan.steps))


def _is_dropped(task: Task, step_id: str) -> bool:
    return step_id not in task.steps or any(True for _ in _withdrawn(task, step_id))


def _withdrawn(task: Task, step_id: str) -> Iterator[ActionDeclined]:
    """Yield that the actions of a step are let go that nobody has started; there is no going back on the others."""
    for action in sorted(task.open_actions.values(), key=lambda one: (len(one.action_id), one.action_id)):
        untouched = isinstance(action.phase, Awaiting | Ready) and not action.attempts
        if action.step_id == step_id and untouched:
            yield declined(task, action, "withdrawn", "the plan was changed, and has no such step any more")
