"""What limits count: how many actions of each kind a task and its subagents have started, at each past moment."""

from collections.abc import Mapping

from ..domain.action import kind_of
from ..domain.ids import root_task_id
from .history_moment import Began, Decided, PastAction


class UseCounts:
    """How many actions of each kind a task with its subagents has started, as `deciding.py` counts them."""

    def __init__(self) -> None:
        self._started: dict[str, dict[str, int]] = {}
        self._command = ""
        self._in_command: dict[str, int] = {}

    def decide(self, moment: Decided) -> Mapping[str, int]:
        """Return the counts for a decision. Those before it in the same step count as if they were carried out."""
        started = self._started.get(root_task_id(moment.past.task_id), {})
        if moment.command_id != self._command:
            self._command, self._in_command = moment.command_id, {}
        kind = kind_of(moment.past.action)
        counts = {name: started.get(name, 0) + self._in_command.get(name, 0) for name in {*started, *self._in_command}}
        self._in_command[kind] = self._in_command.get(kind, 0) + 1
        return counts

    def look_again(self, moment: Began) -> Mapping[str, int]:
        """Return the counts for the look before a start. An attempt of its own that came before does not count."""
        counts = dict(self._started.get(root_task_id(moment.past.task_id), {}))
        if moment.attempt > 1:
            kind = kind_of(moment.past.action)
            counts[kind] = counts.get(kind, 0) - 1
        return counts

    def begin(self, past: PastAction) -> None:
        """Count an action's first start."""
        started = self._started.setdefault(root_task_id(past.task_id), {})
        kind = kind_of(past.action)
        started[kind] = started.get(kind, 0) + 1
