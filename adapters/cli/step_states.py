"""How each step of a task's plan stands, in words."""

from ...domain.task import Awaiting, OpenAction, Started, Tally, Task, Unknown


def step_states(task: Task) -> dict[str, str]:
    """Return a few words for each step of the plan, by step id."""
    open_actions: dict[str, list[OpenAction]] = {}
    for action in task.open_actions.values():
        open_actions.setdefault(action.step_id, []).append(action)
    steps = () if task.plan is None else task.plan.steps
    return {
        step.step_id: _words(task.steps.get(step.step_id), open_actions.get(step.step_id, []), is_final=task.is_final)
        for step in steps
    }


def _words(tally: Tally | None, still_open: list[OpenAction], *, is_final: bool) -> str:
    if tally is None:
        return "not done" if is_final else "not begun"
    if tally.left_out:
        return "left out"
    if tally.is_success:
        return "done"
    ended = {
        "done": tally.succeeded,
        "denied": tally.denied,
        "failed": tally.failed,
        "skipped": tally.skipped,
        "under way": sum(isinstance(one.phase, Started) for one in still_open),
        "waiting for an answer": sum(isinstance(one.phase, Awaiting) for one in still_open),
        "not known": sum(isinstance(one.phase, Unknown) for one in still_open),
    }
    counts = {word: count for word, count in ended.items() if count}
    if not counts:
        return "begun"
    if tally.actions == 1:
        return next(iter(counts))
    return ", ".join(f"{count} {word}" for word, count in counts.items()) + f" of {tally.actions}"
