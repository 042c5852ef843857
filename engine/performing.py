"""Steps (8) and (9) of the pipeline: the executor acts, and what came of it goes on record.

What a command changed in its own copy of a folder comes back as actions. They are decided like any other, and proposed
in the same commit that says how the command ended: a crash finds both on record, or neither.
"""

from collections.abc import Sequence
from typing import Literal, assert_never

import anyio
import msgspec

from ..domain.action import Action, digest_of, sets_mode
from ..domain.errors import DomainError
from ..domain.event import Event, Recorded
from ..domain.facts import ABSENT, Facts, FileState, Obstacle, is_same_target
from ..domain.plan import Step
from ..domain.task import (
    ActionStarted,
    NoTask,
    RecordFailure,
    RecordSuccess,
    RecordUnknown,
    Task,
    TaskCommand,
    existing,
    open_action,
)
from . import limits
from .card_ports import CommandsChanges
from .command_handler import TASK, CommandHandler, Order, StaleRead, order_task
from .cutting_off import Attempts
from .deciding import decide_all
from .gathering import Gathering
from .judging import Judging
from .ports import Done, Failed, Finding, NotApplied, Outcome, Permit, StagedChange, Unclear
from .session_view import SessionView, SessionViews
from .tree_facts import TreeFacts
from .witnessing import OutputListener, Witnessing


class Outputs:
    """Whoever is looking at what commands print."""

    def __init__(self) -> None:
        self._listeners: list[OutputListener] = []

    def listen(self, listener: OutputListener) -> None:
        """Show the listener everything that is printed from here on."""
        self._listeners.append(listener)

    def show(self, action_id: str, stream: Literal["stdout", "stderr"], chunk: bytes) -> None:
        """Pass on what was printed."""
        for listener in self._listeners:
            listener(action_id, stream, chunk)


class Performing:
    """Hands permits to executors. Only the pipeline calls it, with a start that is on record."""

    def __init__(
        self,
        *,
        handler: CommandHandler,
        views: SessionViews,
        gathering: Gathering,
        judging: Judging,
        outputs: Outputs,
        tree: TreeFacts,
        attempts: Attempts,
    ) -> None:
        self._tree = tree
        self._attempts = attempts
        self._handler = handler
        self._views = views
        self._gathering = gathering
        self._judging = judging
        self._outputs = outputs

    async def perform(
        self, task: Task, step: Step, action: Action, facts: Facts, started: Recorded[Event], view: SessionView
    ) -> None:
        """Carry out a recorded start and record its outcome.

        A pause or Ctrl-C takes effect when the outcome is on record. Only an interrupt or a cancellation of the task
        cuts the executor off; then a look says what became of the attempt.
        """
        permit = self.permit(task.task_id, started, action, facts, view)
        witness = Witnessing(self._handler, self._views, view, task.task_id, permit.action_id, self._outputs.show)
        permit = msgspec.structs.replace(permit, witness=witness)
        with anyio.CancelScope(shield=True):
            outcome, broken = await self._performed(task.task_id, permit, witness)
            if isinstance(outcome, Done) and outcome.staged:
                await self._record_staged(step, permit, outcome)
            else:
                await self._record(task.task_id, permit.action_id, _outcome_command(permit.action_id, outcome, broken))

    async def _performed(self, task_id: str, permit: Permit, witness: Witnessing) -> tuple[Outcome | None, str]:
        """Return what the executor says, or None and what broke."""
        executor = self._gathering.executor(permit.action)
        outcome: Outcome | None = None
        try:
            with self._attempts.under_way(task_id) as scope:
                if self._is_cut_off(task_id):
                    # It was stopped between the recorded start and here: nobody else ends this attempt.
                    scope.cancel()
                async with self._attempts.room:
                    outcome = await executor.perform(permit)
            if scope.cancelled_caught:
                permit = msgspec.structs.replace(permit, reached=tuple(dict.fromkeys(witness.reached)))
                return _cut_off(await executor.reconcile(permit)), ""
        except Exception as error:  # the executor boundary: a bug must not leave an attempt without an outcome
            return None, f"the executor broke: {type(error).__name__}: {error}"
        return outcome, ""

    def _is_cut_off(self, task_id: str) -> bool:
        task = self._handler.known(task_id, TASK).state
        return isinstance(task, Task) and (task.is_interrupted or task.status == "cancelled")

    def permit(self, task_id: str, started: Recorded[Event], action: Action, facts: Facts, view: SessionView) -> Permit:
        """Return the permit of a recorded start. Raises `DomainError` denied for anything else."""
        event = started.event
        if not isinstance(event, ActionStarted) or event.digest != digest_of(action):
            raise DomainError("denied", "only a recorded start of this very action gives leave to perform it")
        return Permit(
            position=started.position,
            action_id=event.action_id,
            attempt=event.attempt,
            action=action,
            digest=event.digest,
            facts=facts,
            scope=view.scope,
            sight=self._gathering.sights.of(view, facts.now),
            witness=Witnessing(self._handler, self._views, view, task_id, event.action_id, self._outputs.show),
        )

    async def _record(self, task_id: str, cause: str, command: TaskCommand) -> None:
        await self._handler.execute(order_task(task_id, command), actor="engine", cause=cause)

    async def _record_staged(self, step: Step, permit: Permit, done: Done) -> None:
        """Decide about each change of a command, and record the command's end and its changes together."""
        task_id = permit.action_id.rpartition(".")[0]
        for _ in range(limits.COMMAND_RETRIES_MAX):
            current = self._handler.load(task_id, TASK).state
            if isinstance(current, NoTask) or current.is_final:
                done = _without_changes(done, "its task had ended")
                await self._record(task_id, permit.action_id, _outcome_command(permit.action_id, done, ""))
                return
            view = self._views.view_of(current)
            actions = [change.action for change in done.staged]
            found = await self._gathering.gather(actions, view)
            try:
                async with self._tree.counted(task_id, view):
                    # Others may have proposed actions of this task meanwhile: these are numbered after theirs.
                    current = existing(self._handler.load(task_id, TASK).state)
                    command, orders = self._decided(current, step, permit, done, view, found)
                    of_task = order_task(task_id, command)
                    await self._handler.execute(
                        of_task, *orders, actor="engine", cause=permit.action_id, guards=view.guards
                    )
            except StaleRead:
                continue
            except DomainError as error:
                # Other actions were numbered while this waited, or the task has ended: decided again, as it is now.
                if error.code != "conflict":
                    raise
                continue
            return
        raise DomainError("conflict", "the grants change too often to decide under them", "try again")

    def _decided(
        self, task: Task, step: Step, permit: Permit, done: Done, view: SessionView, found: Sequence[Facts]
    ) -> tuple[RecordSuccess, tuple[Order, ...]]:
        changes = done.staged
        actions = [change.action for change in changes]
        facts = [_held_against(change, fact) for change, fact in zip(changes, found, strict=True)]
        decided = decide_all(actions, facts, task, view, self._tree)
        on_ask = "wait" if task.plan is None else task.plan.on_ask
        asked_by = f"action {permit.action_id} of task {task.task_id}: what its command changed"
        together = step.changes == "together"
        staged = CommandsChanges(command=permit.action, changes=len(changes), together=together)
        proposals, orders = self._judging.judged(
            task, step, on_ask, view, actions, decided, asked_by=asked_by, staged=staged
        )
        command = RecordSuccess(
            action_id=permit.action_id,
            effects=done.effects,
            result=done.result,
            staged=proposals,
            proposed_by=open_action(task, permit.action_id).proposed_by,
            together=together,
            after=task.actions,
        )
        return command, orders


def _cut_off(finding: Finding) -> Outcome:
    """Return what became of an attempt that was cut off, as a look at it says."""
    match finding:
        case NotApplied():
            return Failed("interrupted", "it was cut off before it had changed anything")
        case Done() | Unclear():
            return finding
        case _:
            assert_never(finding)


def _held_against(change: StagedChange, facts: Facts) -> Facts:
    """Return the facts of a staged change, with an obstacle where the world is not what the command saw."""
    if facts.obstacle is not None:
        return facts
    if change.obstacle is not None:
        return msgspec.structs.replace(facts, obstacle=change.obstacle)
    if _is_what_was_seen(change, facts.target or ABSENT):
        return facts
    place = change.action.at.path
    return msgspec.structs.replace(facts, obstacle=Obstacle("conflict", f"`{place}` changed while the command ran"))


def _is_what_was_seen(change: StagedChange, now: FileState) -> bool:
    base = change.base
    if base.kind == "folder" and now.kind == "folder":
        return (base.device, base.inode, base.entries) == (now.device, now.inode, now.entries)
    return is_same_target(base, now, with_mode=sets_mode(change.action))


def _without_changes(done: Done, why: str) -> Done:
    """Return the outcome of a command whose changes are dropped, which it says."""
    result = done.result
    if result is not None and result.command is not None:
        said = (*result.command.left_out, f"{len(done.staged)} changes were dropped: {why}")
        command = msgspec.structs.replace(result.command, left_out=said)
        result = msgspec.structs.replace(result, command=command)
    return Done(done.effects, result)


def _outcome_command(action_id: str, outcome: Outcome | None, broken: str) -> TaskCommand:
    match outcome:
        case Done(effects=effects, result=result):
            return RecordSuccess(action_id=action_id, effects=effects, result=result)
        case Failed(reason_code=code, reason=reason, result=result):
            return RecordFailure(action_id=action_id, reason_code=code, reason=reason, result=result)
        case Unclear(observed=observed):
            return RecordUnknown(action_id=action_id, observed=observed)
        case None:
            return RecordUnknown(action_id=action_id, observed=broken)
