"""Carrying a task on for a command: its view, its questions, and what Ctrl-C, SIGTERM and SIGHUP do to it.

The first signal pauses the task: what is under way gets its outcome, then the command ends with status 3. A second one
interrupts it: what is under way is cut off, and what became of it is looked at. A third leaves at once, and the next
`cowork resume` finds that out. Where the reader of the output goes away, the task goes on (`output.py`).
"""

import os
import signal
from collections.abc import AsyncIterator, Awaitable, Sequence
from typing import TYPE_CHECKING, Final, Protocol

import anyio

from ...domain.errors import DomainError
from ...domain.ids import task_chain
from ...engine.application import TaskBusyError
from ...projections.place_names import PlaceNames, names_in_rows
from . import output
from .asker import AnswerAll, LeaveOpen, TerminalAsker
from .ending import print_ending
from .event_json import TaskEnd
from .exit_status import OF_TASK, ExitStatus
from .opening import person, store_folder
from .options import AnswerMode, Options, Viewing
from .progress import Progress
from .resume_view import report_lines
from .terminal import can_ask, can_redraw
from .view import View, view_for

if TYPE_CHECKING:
    from ...domain.task import Task
    from ...engine.application import Application, Asker, RunRequest

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_NAMES: Final = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM", signal.SIGHUP: "the closed terminal"}
_TICK_S: Final = 0.15
_SAID: Final = (
    "the task is paused after what is under way; once more to cut that off",
    "what is under way is cut off, and what became of it is looked at; once more to leave at once",
    "left at once; the next `cowork resume` finds out what became of what was under way",
)
"""What each signal does, and what the next one would do."""


class Stop(Protocol):
    """Stops a task and all beneath it: `Application.pause` or `Application.interrupt`."""

    def __call__(self, task_id: str, *, by: str, reason: str) -> Awaitable[None]:
        """Raises `DomainError` conflict where it has ended."""
        ...


class Carrier:
    """Carries tasks on, one after the other, under one view and one way of answering."""

    def __init__(self, app: "Application", options: Options, viewing: Viewing, answer: AnswerMode) -> None:
        self._app = app
        self._options = options
        self._viewing = viewing
        self.view: View = view_for(options, viewing)
        self._terminal_asker: TerminalAsker | None = None
        self._asker = self._choose_asker(options, viewing, answer)
        self._task_id = ""
        self.interrupted_by = ""
        self._unrecorded: DomainError | None = None
        app.listen(self.view.on_events)
        app.watch(self.view.on_output)

    def _choose_asker(self, options: Options, viewing: Viewing, answer: AnswerMode) -> "Asker | None":
        match answer:
            case "approve" | "reject":
                return AnswerAll(approve=answer == "approve", person=person(), view=self.view)
            case "wait":
                return None
            case "ask" if can_ask(options):
                boxed = can_redraw(options, viewing)
                self._terminal_asker = TerminalAsker(
                    view=self.view,
                    person=person(),
                    find_move=self._find_move,
                    make_offer=self._app.offer,
                    store=str(store_folder(options)),
                    boxed=boxed,
                )
                return self._terminal_asker
            case "ask":
                return LeaveOpen(show=not options.json)

    async def work(
        self, request: "RunRequest | None", task_ids: Sequence[str], *, leave_busy: bool
    ) -> list[ExitStatus]:
        """Start what is requested, carry it or the named tasks on in turn, and return how each ended.

        With `leave_busy`, a task that another process is running is named and left alone. Raises `DomainError`.
        """
        refused: DomainError | None = None
        statuses: list[ExitStatus] = []
        async with anyio.create_task_group() as tasks:
            with anyio.open_signal_receiver(*SIGNALS) as signals:
                tasks.start_soon(self._heed, signals)
                tasks.start_soon(self._tick)
                try:
                    if request is not None:
                        self.view.follow(Progress(verbose=self._viewing.verbose))
                        task_id = await self._app.start(request, to_carry_on=True)
                        statuses.append(self._shown(await self._carry_on(task_id)))
                    for task_id in task_ids:
                        if not self.interrupted_by:
                            statuses += await self._resume(task_id, leave_busy=leave_busy)
                except DomainError as error:
                    refused = error
                tasks.cancel_scope.cancel()
        self.view.close()
        output.flush()
        refused = refused or self._unrecorded
        if refused is not None:
            raise refused
        return statuses

    async def _resume(self, task_id: str, *, leave_busy: bool) -> list[ExitStatus]:
        task = self._app.task(task_id)
        names = names_in_rows(self._app.rows("grants", {"session_id": task.session_id}))
        progress = Progress(verbose=self._viewing.verbose)
        progress.know(task, names)
        for row in self._app.rows("tasks", {"root_task_id": task_id}, order_by="created_position"):
            if row["parent_task_id"]:
                progress.know(self._app.task(str(row["task_id"])), names)
        try:
            if not task.is_final and not self._options.json:
                await self._report(task_id, names)
            self.view.follow(progress)
            return [self._shown(await self._carry_on(task_id))]
        except TaskBusyError as error:
            if not leave_busy:
                raise
            self.view.close()
            output.note(f"{error.message}: left alone")
            return []

    async def _report(self, task_id: str, names: PlaceNames) -> None:
        """Say what changed while the task was not running. Of one that never ran there is nothing to say."""
        report = await self._app.resume_report(task_id)
        if report.last_run is not None:
            for text in report_lines(report, names):
                output.line(text)
            output.flush()

    def _shown(self, task: "Task") -> ExitStatus:
        self.view.close()
        if self._options.json:
            output.object_line(TaskEnd(task_id=task.task_id, status=task.status))
        else:
            print_ending(self._app, task)
        output.flush()
        return OF_TASK[task.status]

    async def _heed(self, signals: AsyncIterator[signal.Signals]) -> None:
        """Pause the task at the first signal, cut it off at the second, leave at the third."""
        count = 0
        async for number in signals:
            count += 1
            name = _NAMES.get(number, str(number))
            self._say(f"{name}: {_SAID[min(count, len(_SAID)) - 1]}")
            if count == 1:
                self.interrupted_by = name
                await self._pause()
            elif count == 2:
                await self._interrupt()
            else:
                self.view.close()
                output.flush()
                os._exit(ExitStatus.WAITING)

    def _say(self, sentence: str) -> None:
        with self.view.suspended():
            output.flush()
            output.note(sentence)

    async def _tick(self) -> None:
        """Draw again what moves, until cancelled."""
        while True:
            await anyio.sleep(_TICK_S)
            self.view.tick()

    async def _pause(self) -> None:
        await self._stop(self._app.pause, f"paused by {self.interrupted_by}")

    async def _interrupt(self) -> None:
        await self._stop(self._app.interrupt, f"interrupted by {self.interrupted_by}")

    async def _stop(self, stop: Stop, reason: str) -> None:
        if not self._task_id:
            return
        try:
            await stop(self._task_id, by=person(), reason=reason)
        except DomainError as error:
            # It has ended in the meantime: then there is nothing to stop.
            if error.code != "conflict":
                self._unrecorded = self._unrecorded or error
                self._say("that can't be recorded: the task comes to rest after what is under way, and stays as it is")
                self._app.halt()
        finally:
            if self._terminal_asker is not None:
                self._terminal_asker.interrupt()

    async def _carry_on(self, task_id: str) -> "Task":
        """Carry the task on as far as it goes. Raises `DomainError` as `Application.carry_on`."""
        self._task_id = task_id
        try:
            if self.interrupted_by:
                await self._pause()
                return self._app.task(task_id)
            while True:
                task = await self._app.carry_on(task_id, self._asker)
                if task.status != "awaiting_confirmation" or not self._was_answered_elsewhere():
                    return task
        finally:
            self._task_id = ""

    def _was_answered_elsewhere(self) -> bool:
        asker = self._terminal_asker
        if asker is None or self.interrupted_by:
            return False
        answered, asker.answered_elsewhere = asker.answered_elsewhere, False
        return answered

    def _find_move(self, confirmation_id: str) -> str:
        """Say how a question no longer stands: answered, withdrawn, or its task stopped by somebody else."""
        (row,) = self._app.rows("confirmations", {"confirmation_id": confirmation_id})
        if row["status"] != "pending":
            by = f" by {row['answered_by']}" if row["answered_by"] else ""
            return f"this was {row['status']}{by} elsewhere"
        for task_id in reversed(task_chain(str(row["task_id"]))):
            task = self._app.task(task_id)
            if (task.is_final or task.status == "paused") and not self.interrupted_by:
                return f"the task is {task.status} now"
        return ""
