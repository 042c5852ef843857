"""`cowork task steer`: another plan for a task from here on."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
from cyclopts import Parameter

from . import output
from .opening import opened, person
from .options import PLAIN_OPTIONS, Options, TaskId

if TYPE_CHECKING:
    from ...domain.event import Event, Recorded
    from ...domain.plan import Plan
    from ...domain.task import Task
    from ...engine.application import PlannedTask


class TaskSteering(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What another plan changed, by step ids; questions by the ids of the confirmations that were taken back.

    `kept` are the steps that go on as they are: those that the new plan has unchanged, and those that were begun and
    that it leaves out. Nothing is there but `kept` where the plan is the one that the task follows already.
    """

    task_id: str
    kept: tuple[str, ...]
    added: tuple[str, ...]
    changed: tuple[str, ...]
    dropped: tuple[str, ...]
    withdrawn: tuple[str, ...]


def steer_task(
    task_id: TaskId,
    plan: Annotated[Path, Parameter(help="The plan as it should be from here on, a TOML or JSON file.")],
    /,
    *,
    options: Options = PLAIN_OPTIONS,
) -> None:
    """Let a task follow another plan from here on, whichever process is running it.

    Steps that were begun stay as they are, and the new plan may leave them out. Steps that only wait for an answer and
    are not in it are dropped, and their questions with them. The plan is checked as for a new task.

    cowork task steer task-06bq2wr0t0x5k9qz tidy-without-2023.toml
    """
    import anyio

    from ..bootstrap import plan_from_file

    planned = anyio.run(plan_from_file(plan).plan)
    recorded: list[Recorded[Event]] = []
    with opened(options) as engine:
        before = engine.task(task_id)
        engine.listen(recorded.extend)
        anyio.run(lambda: engine.steer(task_id, planned, by=person()))
    steering = _steering(before.plan, planned.plan, task_id, recorded)
    if options.json:
        output.document(steering)
        return
    for sentence in _not_taken_over(before, planned, task_id):
        output.note(sentence)
    _print(steering)


def _steering(before: "Plan | None", wished: "Plan", task_id: str, recorded: "list[Recorded[Event]]") -> TaskSteering:
    from ...domain.confirmation import ConfirmationWithdrawn
    from ...domain.task import TaskSteered

    events = [one.event for one in recorded]
    steered = next((one for one in events if isinstance(one, TaskSteered) and one.task_id == task_id), None)
    names = [step.step_id for step in (wished.steps if before is None else before.steps)]
    gone = () if steered is None else (*steered.changed, *steered.dropped)
    return TaskSteering(
        task_id=task_id,
        kept=tuple(name for name in names if name not in gone),
        added=() if steered is None else steered.added,
        changed=() if steered is None else steered.changed,
        dropped=() if steered is None else steered.dropped,
        withdrawn=tuple(one.confirmation_id for one in events if isinstance(one, ConfirmationWithdrawn)),
    )


def _not_taken_over(before: "Task", planned: "PlannedTask", task_id: str) -> list[str]:
    """Return sentences about what a plan file can say and steering does not change."""
    said: list[str] = []
    if planned.budget.is_bound and planned.budget != before.budget:
        said.append(f"the task's budget stays as it is: it is raised with cowork task budget {task_id}")
    if planned.priority not in (0, before.priority):
        said.append(f"the task's priority stays {before.priority}")
    return said


def _print(steering: TaskSteering) -> None:
    from ...projections.visible_text import visible
    from .layout import in_columns

    if not (steering.added or steering.changed or steering.dropped):
        output.line(f"task {steering.task_id} follows this plan already")
        return
    output.line(f"task {steering.task_id} follows another plan from here on")
    listed = {
        "kept": steering.kept,
        "added": steering.added,
        "changed": steering.changed,
        "dropped": steering.dropped,
        "taken back": steering.withdrawn,
    }
    rows = [(f"  {word}", ", ".join(map(visible, names))) for word, names in listed.items() if names]
    for line in in_columns(rows):
        output.line(line)
