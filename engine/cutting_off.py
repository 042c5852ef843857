"""Attempts that are under way, and how they are cut off in the middle when a person interrupts their task."""

from collections.abc import Iterator
from contextlib import contextmanager

import anyio


class Halt:
    """Whether this process comes to rest: nothing new begins, and what is under way gets its outcome."""

    def __init__(self) -> None:
        self.is_asked = False


class Attempts:
    """What executors are at right now, by task. One per process."""

    def __init__(self, at_once: int) -> None:
        self._scopes: dict[str, list[anyio.CancelScope]] = {}
        self._at_once = at_once
        self._limiter: anyio.Semaphore | None = None

    @property
    def room(self) -> anyio.Semaphore:
        """Let only so many executors act at the same time, whoever's task it is."""
        if self._limiter is None:
            # Made when it is needed first: there is an event loop then.
            self._limiter = anyio.Semaphore(self._at_once)
        return self._limiter

    @contextmanager
    def under_way(self, task_id: str) -> Iterator[anyio.CancelScope]:
        """Give the scope in which an executor acts: cutting the task off ends it early."""
        with anyio.CancelScope() as scope:
            scopes = self._scopes.setdefault(task_id, [])
            scopes.append(scope)
            try:
                yield scope
            finally:
                scopes.remove(scope)
                if not scopes:
                    self._scopes.pop(task_id, None)

    def cut_off(self, task_id: str) -> None:
        """End what executors are at for the task. What became of it is looked at before anything else."""
        for scope in self._scopes.get(task_id, ()):
            scope.cancel()
