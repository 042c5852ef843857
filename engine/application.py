"""Application: the one object that interfaces talk to: it opens sessions, runs tasks, takes answers, shows the log."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from ..domain.budget import Usage
from ..domain.confirmation import ConfirmationRequested, NoConfirmation
from ..domain.errors import DomainError
from ..domain.grant import RevokeGrant
from ..domain.ids import root_task_id
from ..domain.ownership import ClaimTask
from ..domain.policy_document import Layer
from ..domain.policy_remember import Wish
from ..domain.scope import Scope, Verb
from ..domain.session import EndSession, OpenSession, RootAllowance
from ..domain.session_memory import Memory
from ..domain.task import (
    NoTask,
    Started,
    Task,
)
from .answering import Answer, Answering, Asker
from .audit import AuditReport, audit, dumps_of
from .beginning import Paused, paused_in_tree
from .catch_up import CatchUp
from .closing import Closing
from .command_handler import (
    CONFIRMATION,
    GRANT,
    SESSION,
    TASK,
    CommandHandler,
    Listener,
    order_grant,
    order_ownership,
    order_session,
)
from .folder_requests import FolderRequest, narrowing, opened_folders
from .in_hand import TaskBusyError, TasksInHand, being_run
from .inquiry import Inquiry
from .keeping import CollectionReport, Keeping, Retention, StoreStatus, explained
from .performing import Outputs
from .planning_ports import PlannedTask
from .policy_inquiries import PolicyInquiries
from .policy_records import PolicyRecords
from .ports import (
    BlobStore,
    Clock,
    Closable,
    EventStore,
    Executor,
    FolderOpener,
    Guard,
    Ids,
    PlaceReader,
    PolicySource,
    ReadModel,
    TaskLocks,
)
from .remembering import Offer, Remembering
from .replay import Frame, replay
from .running_as_root import RunningAsRoot
from .sandbox_check import SandboxCheck
from .scheduler import Scheduler
from .session_ending import SessionEnding
from .session_memory import Memories, MemoryOfSession
from .starting import RunRequest, Starting
from .stopping import Stopping, Strategy
from .witnessing import OutputListener
from .work_queue import WorkQueue

if TYPE_CHECKING:
    # For annotations of those who ask: what answers is loaded when it is asked.
    from .backtest_report import BacktestReport, Example, Flip
    from .explain import Explanation
    from .explain_at import AtPosition
    from .resume_report import FileChange, QuestionNow, ResumeReport, RightsLost
    from .tighten import Proposal
    from .undo_report import UndoDeed, UndoLine, UndoReport

__all__ = [
    "RESUMABLE",
    "Answer",
    "Application",
    "Asker",
    "AtPosition",
    "AuditReport",
    "BacktestReport",
    "CollectionReport",
    "Example",
    "Explanation",
    "FileChange",
    "Flip",
    "FolderRequest",
    "Frame",
    "Inquiry",
    "Offer",
    "PlannedTask",
    "Proposal",
    "QuestionNow",
    "ResumeReport",
    "Retention",
    "RightsLost",
    "RunRequest",
    "StoreStatus",
    "TaskBusyError",
    "UndoDeed",
    "UndoLine",
    "UndoReport",
]

RESUMABLE = ("ready", "running", "awaiting_confirmation", "paused", "budget_exhausted")
"""The states from which `resume` carries a task on."""


class Application:
    """The engine, put together. One per process; safe to use from concurrent tasks of one event loop."""

    def __init__(
        self,
        *,
        store: EventStore,
        read_model: ReadModel[object],
        catch_up: CatchUp[object],
        made_again: Callable[[], CatchUp[object]],
        blobs: BlobStore,
        opener: FolderOpener,
        executors: Sequence[Executor],
        handler: CommandHandler,
        scheduler: Scheduler,
        answering: Answering,
        closing_tasks: Closing,
        remembering: Remembering,
        locks: TaskLocks,
        policy_source: PolicySource,
        check: SandboxCheck,
        outputs: Outputs,
        keeping: Keeping,
        memories: Memories,
        clock: Clock,
        ids: Ids,
        closing: Sequence[Closable] = (),
        root_allowed_by: RootAllowance | None = None,
        version: str = "",
        reader: Callable[[], PlaceReader] | None = None,
    ) -> None:
        self._reader = reader
        self._version = version
        self._store = store
        self._read_model = read_model
        self._catch_up = catch_up
        self._made_again = made_again
        self._blobs = blobs
        self._opener = opener
        self._executors = executors
        self._handler = handler
        self._handler.listen(catch_up.keep_up)
        self._scheduler = scheduler
        self._answering = answering
        self._stopping = Stopping(handler)
        self._ended = closing_tasks
        self._remembering = remembering
        self._locks = locks
        self._outputs = outputs
        self._clock = clock
        self._ids = ids
        self._closing = tuple(closing)
        self._as_root = RunningAsRoot(root_allowed_by)
        self._memories = memories
        self._ending = SessionEnding(handler, memories)
        self.sandbox = check
        self.keeping = keeping
        self.policies = PolicyRecords(handler, opener, policy_source)
        self._starting = Starting(policies=self.policies, blobs=blobs, opener=opener, ids=ids)
        self._in_hand = TasksInHand(locks)
        self.inquiries = PolicyInquiries(store, self.policies, clock)

    # Tasks

    async def start(self, request: RunRequest, *, to_carry_on: bool = False) -> str:
        """Open a session with its grants and queue a task with its plan, all in one commit; return the task's id.

        With `to_carry_on` the task is this process's from its first event on: no worker takes it before `carry_on`.
        Raises `DomainError` invalid (the plan, a folder, a policy document) or not_found (a folder). Then nothing is
        recorded.
        """
        session_id, task_id = self._ids.new("session"), self._ids.new("task")
        orders = [*self._starting.orders(request, session_id, task_id), *self._as_root.orders(session_id)]
        if to_carry_on:
            self._in_hand.take(task_id)
        await self._handler.execute(*orders, actor=f"person:{request.user}", cause="run")
        return task_id

    def scope_of(self, requests: Sequence[FolderRequest]) -> Scope:
        """Return what a session with these folders could touch; none is opened. Raises `DomainError` as `start`."""
        return Scope(tuple(folder.scope for folder in opened_folders(requests, self._opener, self._ids)))

    async def carry_on(self, task_id: str, asker: Asker | None = None) -> Task:
        """Run a task until it ends or waits; its session ends with it.

        It runs under the machine's policy documents as they are now.

        Of a task that was cancelled while a process that then died had it, what was under way is looked at. Raises
        `DomainError` not_found, conflict (it has ended) or unavailable (another process is running it).
        """
        task_id = root_task_id(task_id)
        with self._in_hand.hold(task_id) as mine:
            if not mine:
                raise being_run(task_id)
            task = self.task(task_id)
            if task.is_final and not isinstance(self._handler.load(task.session_id, SESSION).state, OpenSession):
                raise DomainError("conflict", f"task `{task_id}` has ended: it is {task.status}")
            # What is stopped from here on stays so.
            paused = paused_in_tree(self._handler, task_id)
            try:
                await self._claim(task_id)
                if not task.is_final:
                    task = await self._carried_on(task, asker, paused)
                return await self._close(task) if task.is_final else task
            finally:
                self._handler.unfence(task_id)

    async def _carried_on(self, task: Task, asker: Asker | None, paused: Paused) -> Task:
        await self.policies.renew(task.session_id)
        if as_root := self._as_root.orders(task.session_id):
            await self._handler.execute(*as_root, actor="engine", cause="resume")
        return await self._scheduler.run(task.task_id, asker, paused=paused, agent="agent:plan", closes_session=True)

    async def _claim(self, task_id: str) -> None:
        """Become the owner of a task: what an owner before this one would still record does not count any more."""
        claim = ClaimTask(task_id=task_id, owner=self._ids.new("owner"), engine=self._version)
        (claimed,) = await self._handler.execute(order_ownership(task_id, claim), actor="engine", cause="carry on")
        self._handler.fence(task_id, Guard(claimed.stream, claimed.version))

    async def _close(self, task: Task) -> Task:
        """Find out what became of an attempt that nobody is at any more, and end the session of an ended task."""
        await self._ended.close(task.task_id)
        task = self.task(task.task_id)
        await self._close_session(task)
        return task

    async def _close_session(self, task: Task) -> None:
        """End the session of a task that has ended otherwise than by its last step."""
        session = self._handler.load(task.session_id, SESSION).state
        started = any(isinstance(action.phase, Started) for action in task.open_actions.values())
        if task.is_final and not started and isinstance(session, OpenSession):
            order = order_session(task.session_id, EndSession(f"its task is {task.status}"))
            await self._handler.execute(order, actor="engine", cause="application")

    def task(self, task_id: str) -> Task:
        """Return the task's present state. Raises `DomainError` not_found."""
        state = self._handler.load(task_id, TASK).state
        if isinstance(state, NoTask):
            raise DomainError("not_found", f"there is no task `{task_id}`", "see `cowork task list`")
        return state

    async def pause(self, task_id: str, *, by: str, reason: str = "") -> None:
        """Stop a task after the action at hand, whichever process is running it."""
        await self._stopping.pause(task_id, by=by, reason=reason)

    async def interrupt(self, task_id: str, *, by: str, reason: str = "") -> None:
        """Stop a task now, in the middle of what is under way, whichever process is running it."""
        await self._stopping.interrupt(task_id, by=by, reason=reason)

    def halt(self) -> None:
        """Come to rest after what is under way, and leave the tasks as they are: for where no stop can be recorded."""
        self._scheduler.halt()

    async def steer(self, task_id: str, planned: PlannedTask, *, by: str) -> None:
        """Let a task follow another plan from here on; what was begun stays. See `Stopping.steer`."""
        for content in planned.contents:
            self._blobs.put(content)
        await self._stopping.steer(task_id, planned.plan, by=by)

    async def say(self, task_id: str, text: str, strategy: Strategy, *, by: str) -> None:
        """Say something to the agent of a task. See `Stopping.say`."""
        await self._stopping.say(task_id, text, strategy, by=by)

    async def top_up(self, task_id: str, more: Usage, *, by: str) -> None:
        """Give a task more room in its budget. See `Stopping.top_up`."""
        await self._stopping.top_up(task_id, more, by=by)

    async def cancel(self, task_id: str, *, by: str, reason: str = "") -> None:
        """End a task early and take its open questions back. An action that has started still gets its outcome."""
        await self._stopping.cancel(task_id, by=by, reason=reason)
        root = root_task_id(task_id)
        with self._locks.hold(root) as idle:
            # Where another process is running it, that one records the outcome at hand and ends the session.
            if idle and root == task_id:
                task = self.task(task_id)
                if any(isinstance(action.phase, Started) for action in task.open_actions.values()):
                    await self._claim(task_id)
                try:
                    await self._close(task)
                finally:
                    self._handler.unfence(task_id)

    async def end_session(self, session_id: str, *, by: str, reason: str = "") -> None:
        """End a session: cancel its tasks, take its grants back, destroy its memory. See `SessionEnding.end`."""
        rows = self.rows("tasks", {"session_id": session_id})
        roots = [name for name in (str(row["task_id"]) for row in rows) if root_task_id(name) == name]
        await self._ending.end(session_id, roots, self.cancel, by=by, reason=reason)

    def memory(self, session_id: str) -> MemoryOfSession:
        """Return what the agents of a session noted down: theirs alone, and gone when the session ends."""
        return self._memories.of(session_id)

    def memory_on_record(self, session_id: str) -> Memory:
        """Return what the log says about a session's memory: how much there is or was, and whether it is gone."""
        return self._memories.on_record(session_id)

    async def resume_report(self, task_id: str) -> "ResumeReport":
        """Return what changed while a task was not running: policy, grants, files, versions, questions.

        A look: nothing is changed and nothing is recorded. Raises `DomainError` not_found, conflict (it has ended),
        unavailable (another process is running it), invalid or limit (a policy document that can't be taken whole).
        """
        if self._in_hand.is_elsewhere(root_task_id(task_id)):
            raise being_run(root_task_id(task_id))
        from .resume_looks import Looks
        from .resuming import Resuming

        resuming = Resuming(
            handler=self._handler,
            store=self._store,
            policies=self.policies,
            opener=self._opener,
            looks=Looks(self._executors, self._clock),
            clock=self._clock,
            engine=self._version,
        )
        return await resuming.report(task_id)

    def resumable(self) -> list[str]:
        """Return the ids of the tasks that `carry_on` can go on with, oldest first.

        Cancelled ones are among them where a crash kept them from being closed.
        """
        still_open = {row["session_id"] for row in self.rows("sessions", {"status": "open"})}
        return sorted(
            str(row["task_id"])
            for row in self.rows("tasks")
            if (row["status"] in RESUMABLE or (row["status"] == "cancelled" and row["session_id"] in still_open))
            and root_task_id(str(row["task_id"])) == row["task_id"]
        )

    async def undo(
        self,
        name: str,
        *,
        by: str,
        own: Sequence[Layer] | None = None,
        dry_run: bool = False,
        to_carry_on: bool = False,
    ) -> "UndoReport":
        """Find out what undoing a task or an action comes to and queue the task that does it; `carry_on` runs that.

        It has a session of its own, with the folders of the undone one opened again by `by`, and the rules that that
        had of its own, or `own`. With `dry_run`, and where there is nothing to do, nothing is queued. `to_carry_on` as
        in `start`. Raises `DomainError` not_found, conflict (it has not ended) or unavailable.
        """
        from .undo import Undoing

        if self._reader is None:
            raise DomainError("unavailable", "nothing here can look at files, so nothing can be undone")
        reader = self._reader()
        undoing = Undoing(
            store=self._store,
            handler=self._handler,
            blobs=self._blobs,
            reader=reader,
            opener=self._opener,
            policies=self.policies,
            ids=self._ids,
            undos=lambda: {str(row["task_id"]): str(row["undoes"]) for row in self.rows("tasks") if row["undoes"]},
            as_root=self._as_root.orders,
            take=self._in_hand.take if to_carry_on else None,
        )
        try:
            report = await undoing.undo(name, by=by, own=own, dry_run=dry_run)
            return explained(report, self.keeping.why_gone(name.partition(".")[0]))
        finally:
            reader.close()

    def work_queue(self) -> WorkQueue:
        """Return what carries queued tasks on, and those that can go on; see `WorkQueue.run`. One per process."""
        return WorkQueue(
            rows=self.rows,
            carry_on=self.carry_on,
            halt=self._scheduler.halt,
            handler=self._handler,
            answering=self._answering,
            in_hand=self._in_hand,
            locks=self._locks,
            clock=self._clock,
        )

    # Questions and grants

    def offer(self, confirmation_id: str, wish: Wish) -> Offer:
        """Return what remembering an approval of this question would mean; nothing is kept yet.

        Raises `DomainError` not_found, conflict (it is not open), denied (it can't be remembered) or invalid.
        """
        return self._remembering.offer(confirmation_id, wish)

    def question(self, confirmation_id: str) -> ConfirmationRequested | None:
        """Return a question that waits for an answer; None where there is none, or it waits no more."""
        return self._answering.question(confirmation_id)

    async def answer(self, confirmation_id: str, digest: str, answer: Answer) -> None:
        """Record a person's answer, and what is to be remembered of a yes, in one commit.

        Raises `DomainError` not_found, conflict (digest, answered already) or expired.
        """
        if isinstance(self._handler.load(confirmation_id, CONFIRMATION).state, NoConfirmation):
            raise DomainError(
                "not_found", f"there is no confirmation `{confirmation_id}`", "see `cowork confirmation list`"
            )
        await self._answering.answer(confirmation_id, digest, answer)

    async def revoke(self, grant_id: str, *, by: str, reason: str = "") -> None:
        """Take a grant back: no action starts under it from here on."""
        if self._handler.load(grant_id, GRANT).version == 0:
            raise DomainError("not_found", f"there is no grant `{grant_id}`", "see `cowork grant list`")
        await self._handler.execute(order_grant(grant_id, RevokeGrant(reason)), actor=by, cause="revoke")

    async def narrow(
        self, grant_id: str, *, verbs: Sequence[Verb], output_paths: Sequence[str] | None = None, by: str
    ) -> None:
        """Let a granted folder cover less from here on, for subagents as well. See `narrowing`."""
        order = narrowing(grant_id, self._handler.load(grant_id, GRANT).state, verbs, output_paths)
        await self._handler.execute(order, actor=by, cause="narrow")

    # Looking

    def listen(self, listener: Listener) -> None:
        """Call `listener` with events as they are recorded."""
        self._handler.listen(listener)

    def watch(self, listener: OutputListener) -> None:
        """Show `listener` what commands print, while they run."""
        self._outputs.listen(listener)

    def rows(
        self, table: str, where: Mapping[str, object] | None = None, *, order_by: str = ""
    ) -> list[dict[str, object]]:
        """Return rows of a read model that is up to date with the log."""
        self._catch_up.run()
        return self._read_model.rows(table, where, order_by=order_by)

    def replay(self, task_id: str, *, until: int | None = None) -> Iterator[Frame]:
        """Yield a task's history, event by event, each with the task as it was then. Nothing is run again."""
        return replay(self._store, task_id, until=until)

    def result(self, digest: str, *, of: str = "") -> bytes:
        """Return what an action brought back, or a file as it was, by its digest; `of` is the task or action it is of.

        Raises `DomainError` not_found, which says since when where it is no longer kept, or damaged.
        """
        try:
            return self._blobs.get(digest)
        except DomainError as error:
            why = self.keeping.why_gone(of.partition(".")[0]) if of and error.code == "not_found" else ""
            if not why:
                raise
            raise DomainError("not_found", f"what `{of}` brought back is {why}") from error

    def rebuild_projections(self) -> int:
        """Fold the whole log into the read model again; return the position reached."""
        return self._catch_up.rebuild()

    def audit(self) -> AuditReport:
        """Check the whole log, and the read model against it; return every violation of the engine's invariants.

        Nothing is changed, but the read model is brought up to date. Raises `DomainError` damaged for a log that can't
        be read, unavailable.
        """
        made_again = self._made_again()
        return audit(
            self._store,
            dumps=lambda: dumps_of(self._store, self._catch_up, made_again),
            is_running=self._in_hand.is_elsewhere,
        )

    @property
    def store(self) -> EventStore:
        """The log, for those who only read it (audit)."""
        return self._store

    def close(self) -> None:
        """Let go of files, folders and connections, and of tasks that were started and not carried on."""
        self._in_hand.close()
        for one in self._closing:
            one.close()
        self._read_model.close()
        self._store.close()
