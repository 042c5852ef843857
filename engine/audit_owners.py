"""Invariant 15: nothing of a task starts or ends before a process has claimed it.

Which process recorded an event is not in it: a stale owner's commits are refused by the store. What the log shows is
that somebody had claimed the task at all.
"""

from collections.abc import Iterator

from ..domain.ids import root_task_id
from ..domain.ownership import TaskClaimed
from .audit_finding import Findings, Seen


class Owners:
    """The tasks that somebody carries on, and those that went on though nobody did."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._has_claims = False
        self._claimed: set[str] = set()
        self._unclaimed: dict[str, Seen] = {}

    def on_claimed(self, seen: Seen, event: TaskClaimed, *, is_known: bool) -> None:
        """Fold a claim; `is_known` says that there is such a task."""
        self._has_claims = True
        if not is_known or root_task_id(event.task_id) != event.task_id:
            self._findings.add(15, seen, f"`{event.task_id}` was claimed, and is no task that a person started")
        if not event.owner:
            self._findings.add(15, seen, f"`{event.task_id}` was claimed by nobody")
        self._claimed.add(event.task_id)

    def on_act(self, seen: Seen, task_id: str) -> None:
        """Note that something of a task starts or ends."""
        root = root_task_id(task_id)
        if root not in self._claimed:
            self._unclaimed.setdefault(root, seen)

    def release(self, task_ids: list[str]) -> None:
        """Let go of tasks whose tree is over."""
        self._claimed.difference_update(task_ids)

    def finish(self) -> Iterator[tuple[Seen, str]]:
        """Yield the first event of each task that was carried on by nobody, in a log in which tasks are claimed."""
        if self._has_claims:
            for root, seen in self._unclaimed.items():
                yield seen, f"task `{root}` was carried on before any process had claimed it"
