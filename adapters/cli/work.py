"""`cowork queue` and `cowork work`: tasks that wait for a worker, and the workers that carry them on."""

import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import msgspec
from cyclopts import Parameter

from ...domain.errors import DomainError
from . import output
from .exit_status import OF_ERROR, OF_TASK, ExitStatus, worst
from .granting import NOTHING_GRANTED, Granting, kept_if_granted, print_notices, requested
from .opening import opened
from .options import PLAIN_OPTIONS, Options

if TYPE_CHECKING:
    from ...domain.task import Task
    from ...engine.application import Application

TASKS_DEFAULT: Final = 4


def queue(
    plans: Annotated[tuple[Path, ...], Parameter(help="The plans, TOML or JSON files; each becomes a task.")],
    /,
    *,
    priority: Annotated[
        int | None,
        Parameter(help="The task with the highest goes first; by default what the plan says, or 0. Up to 1000."),
    ] = None,
    granting: Granting = NOTHING_GRANTED,
    options: Options = PLAIN_OPTIONS,
) -> None:
    """Queue tasks without running them: `cowork work` does that, here or in another terminal, now or at night.

    Each plan becomes a task in a session of its own, with everything that is granted. All plans are checked before the
    first is queued.

        cowork queue tidy.toml --folder ~/inbox
        cowork queue one.toml two.toml --folder ~/inbox=read --priority 5
    """
    import anyio

    from ..bootstrap import plan_from_file

    if priority is not None and not -1000 <= priority <= 1000:
        raise DomainError("invalid", f"a priority is a number from -1000 to 1000, not {priority}")
    for plan in plans:
        anyio.run(plan_from_file(plan).plan)
    with opened(options, create=True) as app:
        for plan in plans:
            request, session_folder = requested(plan, granting, options)
            if priority is not None:
                planned = msgspec.structs.replace(request.planned, priority=priority)
                request = msgspec.structs.replace(request, planned=planned)
            print_notices(app, request)
            with kept_if_granted(app, session_folder):
                task_id = anyio.run(app.start, request)
            _print_queued(app, task_id, options)


def _print_queued(app: "Application", task_id: str, options: Options) -> None:
    from ...projections.visible_text import quoted
    from .event_json import TaskEnd

    task = app.task(task_id)
    if options.json:
        output.object_line(TaskEnd(task_id=task_id, status=task.status))
    else:
        output.line(f"queued task {task_id} {quoted(task.title)}, priority {task.priority}")
    output.flush()


def work(
    *,
    once: Annotated[
        bool, Parameter(negative="", help="End when there is nothing left to do, instead of waiting for more.")
    ] = False,
    tasks: Annotated[int, Parameter(help="How many tasks to carry on at the same time, at most 4.")] = TASKS_DEFAULT,
    options: Options = PLAIN_OPTIONS,
) -> ExitStatus:
    """Carry queued tasks on, and those that can go on: the highest priority first, then the oldest.

    Several workers may run on one store: a task is carried on by one of them, and together they carry on as many as one
    store and one session may have under way. Questions are left open; when somebody has answered them, the task goes
    on. Tasks that a person paused are left alone. Ctrl-C and SIGTERM end the worker after what is under way, and the
    next one goes on.

        cowork work
        cowork work --once --tasks 2
    """
    import anyio

    with opened(options, create=True) as app:
        worker = Worker(app, options, until_idle=once, at_once=tasks)
        anyio.run(worker.run)
    # A worker that was told to end has done what it was for; how single tasks ended is theirs.
    return worst(worker.statuses) if once and not worker.was_stopped else ExitStatus.DONE


class Worker:
    """Says what the queue does, and heeds signals."""

    def __init__(self, app: "Application", options: Options, *, until_idle: bool, at_once: int) -> None:
        self._app = app
        self._options = options
        self._until_idle = until_idle
        self._at_once = at_once
        self._queue = app.work_queue()
        self._status_of: dict[str, ExitStatus] = {}
        self.was_stopped = False

    @property
    def statuses(self) -> list[ExitStatus]:
        """How the tasks stand that this worker carried on, each as it was last."""
        return list(self._status_of.values())

    async def run(self) -> None:
        """Work until there is nothing left to do, or a signal comes. Raises `DomainError` as `WorkQueue.run`."""
        import anyio

        from .carrying import SIGNALS

        refused: DomainError | None = None
        async with anyio.create_task_group() as group:
            with anyio.open_signal_receiver(*SIGNALS) as signals:
                group.start_soon(self._heed, signals)
                try:
                    await self._queue.run(self, at_once=self._at_once, until_idle=self._until_idle)
                except DomainError as error:
                    refused = error
                group.cancel_scope.cancel()
        if refused is not None:
            raise refused

    async def _heed(self, signals: AsyncIterator[signal.Signals]) -> None:
        """Come to rest at the first signal; leave at the second, and the next worker finds out what became of it."""
        async for _ in signals:
            if self.was_stopped:
                output.note("left at once; the next worker finds out what became of what was under way")
                output.flush()
                os._exit(ExitStatus.WAITING)
            self.was_stopped = True
            output.note("ending after what is under way; once more to leave at once")
            self._queue.stop()

    def begun(self, task: "Task") -> None:
        """Say that a task is carried on."""
        from ...projections.visible_text import quoted

        if not self._options.json:
            output.line(f"task {task.task_id} {quoted(task.title)}: carried on, it was {task.status.replace('_', ' ')}")
            output.flush()

    def rested(self, task: "Task") -> None:
        """Say how a task stands."""
        from .ending import print_ending
        from .event_json import TaskEnd

        self._status_of[task.task_id] = OF_TASK[task.status]
        if self._options.json:
            output.object_line(TaskEnd(task_id=task.task_id, status=task.status))
        else:
            print_ending(self._app, task)
        output.flush()

    def refused(self, task_id: str, error: DomainError) -> None:
        """Say why a task could not be carried on."""
        from ...projections.visible_text import visible_line

        self._status_of[task_id] = OF_ERROR[error.code]
        output.note(f"task {task_id} is set aside: {visible_line(error.message)}")
