"""Ways to break the engine on purpose, so that the simulation can show that it notices."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from cowork.adapters.files import deleting, moving, restoring, writing
from cowork.domain import confirmation, task, task_action
from cowork.domain.action import kind_of
from cowork.domain.confirmation import Approved, Rejected
from cowork.domain.event import Event, Recorded
from cowork.domain.task import Awaiting, OpenAction, Task
from cowork.engine import action_pipeline, answering, command_handler, performing, task_run
from cowork.engine.action_pipeline import ActionPipeline
from cowork.engine.answering import Answering
from cowork.engine.command_handler import CommandHandler
from cowork.engine.deciding import Decided, decide_all
from cowork.engine.performing import Performing
from cowork.engine.ports import NotApplied, Permit, Unclear
from cowork.engine.recovery import Recovery
from cowork.engine.sandbox_check import SandboxCheck
from cowork.engine.task_run import TaskRun
from cowork.engine.witnessing import Witnessing
from cowork.projections.fold import Fold
from cowork.projections.row import RowChange
from tests.adapters.files.cases.bystanders import NoWitness, SilentSight
from tests.simulation.mutation import Mutation


def skip_the_second_look(patch: pytest.MonkeyPatch) -> None:
    """An approval counts whatever stands there now."""
    patch.setattr(action_pipeline, "is_as_shown", lambda _action, _shown, _now: True)


def act_before_recording(patch: pytest.MonkeyPatch) -> None:
    """The effect comes first, its record second."""
    recorded_first: Any = ActionPipeline.start

    async def start(self: Any, task: Task, step: Any, action: OpenAction) -> Any:
        if kind_of(action.action).startswith("file."):
            view = self._views.view_of(task)
            (facts,) = await self._gathering.gather([action.action], view)
            permit = Permit(
                position=0,
                action_id=action.action_id,
                attempt=action.attempts + 1,
                action=action.action,
                digest=action.digest,
                facts=facts,
                scope=view.scope,
                sight=SilentSight(),
                witness=NoWitness(),
            )
            await self._gathering.executor(action.action).perform(permit)
        return await recorded_first(self, task, step, action)

    patch.setattr(ActionPipeline, "start", start)


def repeat_blindly(patch: pytest.MonkeyPatch) -> None:
    """After a crash, what was under way is made again without a look."""

    async def settle(self: Any, of: Any, step: Any, action: Any, _start: Any) -> None:
        await self._pipeline.carry_out(of, step, action)

    patch.setattr(Recovery, "_settle", settle)


def commit_without_guards(patch: pytest.MonkeyPatch) -> None:
    """A grant that is revoked between the decision and its record does not matter."""
    guarded = CommandHandler.execute

    async def execute(
        self: Any, *orders: Any, actor: str, cause: str, guards: Any = (), held: Any = frozenset()
    ) -> Any:
        return await guarded(self, *orders, actor=actor, cause=cause, held=held)

    patch.setattr(CommandHandler, "execute", execute)


def take_a_no_for_a_yes(patch: pytest.MonkeyPatch) -> None:
    """A rejection is leave to act, as an approval is."""
    patch.setattr(action_pipeline, "Approved", (Approved, Rejected))
    whole: Any = Answering
    approved, declined = whole.is_approved, whole._decline

    def is_approved(self: Any, task: Task, action: OpenAction) -> bool:
        asked = action.phase.confirmation_id if isinstance(action.phase, Awaiting) else ""
        rejected = isinstance(self._handler.known(asked, command_handler.CONFIRMATION).state, Rejected)
        return rejected or bool(approved(self, task, action))

    async def decline(self: Answering, task: Task, action: OpenAction, code: Any, reason: str) -> None:
        if code != "rejected":
            await declined(self, task, action, code, reason)

    patch.setattr(Answering, "is_approved", is_approved)
    patch.setattr(Answering, "_decline", decline)


def take_answers_at_any_time(patch: pytest.MonkeyPatch) -> None:
    """A question never expires for those who answer it."""

    def decide(command: Any, state: Any) -> Any:
        if isinstance(command, confirmation.Approve | confirmation.Reject):
            command = msgspec.structs.replace(command, now=datetime(2000, 1, 1, tzinfo=UTC))
        return confirmation.decide(command, state)

    lenient = msgspec.structs.replace(command_handler.CONFIRMATION, decide=decide)
    patch.setattr(command_handler, "CONFIRMATION", lenient)


def replace_whatever_is_there(patch: pytest.MonkeyPatch) -> None:
    """The executor does not compare what it takes away with what was decided on."""
    for module in (writing, moving, deleting, restoring):
        patch.setattr(module, "require_same", lambda _expected, _now, _shown: None)


def go_on_when_paused(patch: pytest.MonkeyPatch) -> None:
    """A pause or a cancellation does not keep the next action from starting."""
    for module in (task, task_action, action_pipeline):
        patch.setattr(module, "running", lambda one: one)
    patch.setattr(TaskRun, "_goes_on", lambda self: self._failure is None and not self._parts.halt.is_asked)


def project_with_a_memory(patch: pytest.MonkeyPatch) -> None:
    """A projection that depends on how often it was called, not only on the event."""
    pure, calls = Fold.on, [0]

    def on(self: Fold, recorded: Recorded[Event]) -> Sequence[RowChange]:
        calls[0] += 1
        return () if calls[0] % 97 == 0 else pure(self, recorded)

    patch.setattr(Fold, "on", on)


def let_changes_through(patch: pytest.MonkeyPatch) -> None:
    """What a command changed is made without asking policy about it."""

    def decide(*about: Any) -> list[Decided]:
        allowed = [msgspec.structs.replace(one.decision, verdict="allow") for one in decide_all(*about)]
        return [Decided(facts, decision) for facts, decision in zip(about[1], allowed, strict=True)]

    patch.setattr(performing, "decide_all", decide)


def forget_who_goes_together(patch: pytest.MonkeyPatch) -> None:
    """Changes that go together are made one by one."""
    for module in (task_run, task_action, answering):
        patch.setattr(module, "siblings_of", lambda _task, _action: [])


def compare_with_nothing(patch: pytest.MonkeyPatch) -> None:
    """What somebody did while a command ran is not looked for."""
    patch.setattr(performing, "_is_what_was_seen", lambda _base, _now: True)


def forget_what_was_seen(patch: pytest.MonkeyPatch) -> None:
    """What somebody did between the end of a command and the making of its changes is not looked for."""
    patch.setattr(action_pipeline, "_has_moved_on", lambda _action, _seen, _now: False)


def take_changes_of_the_dead(patch: pytest.MonkeyPatch) -> None:
    """A command's changes are proposed although its task was cancelled meanwhile."""
    whole: tuple[Any, Any] = Performing, task_action
    of_the_living, succeeded = whole[0]._record_staged, whole[1]._succeeded

    def alive(of: Any) -> Any:
        return msgspec.structs.replace(of, status="running")

    async def record_staged(self: Any, step: Any, permit: Permit, done: Any) -> None:
        task_id = permit.action_id.rpartition(".")[0]
        if not self._handler.load(task_id, command_handler.TASK).state.is_final:
            await of_the_living(self, step, permit, done)
            return
        view = self._views.view_of(self._handler.load(task_id, command_handler.TASK).state)
        found = await self._gathering.gather([change.action for change in done.staged], view)
        now = self._handler.load(task_id, command_handler.TASK).state
        command, orders = self._decided(alive(now), step, permit, done, view, found)
        order = command_handler.order_task(task_id, command)
        await self._handler.execute(order, *orders, actor="engine", cause=permit.action_id)

    patch.setattr(Performing, "_record_staged", record_staged)
    patch.setattr(task_action, "_succeeded", lambda command, of, action: succeeded(command, alive(of), action))


def record_connections_afterwards(patch: pytest.MonkeyPatch) -> None:
    """A connection goes on record when the next one is made."""
    at_once = Witnessing.connection
    before: dict[Any, Any] = {}

    async def connection(self: Witnessing, told: Any) -> None:
        late, before[self] = before.get(self), told
        if late is not None:
            await at_once(self, late)

    patch.setattr(Witnessing, "connection", connection)


def repeat_what_is_unclear(patch: pytest.MonkeyPatch) -> None:
    """What may have happened counts as not having happened."""
    looked = ActionPipeline.look

    async def look(self: ActionPipeline, *about: Any, reached: tuple[str, ...]) -> Any:
        finding = await looked(self, *about, reached=reached)
        return NotApplied() if isinstance(finding, Unclear) else finding

    patch.setattr(ActionPipeline, "look", look)


def trust_any_sandbox(patch: pytest.MonkeyPatch) -> None:
    """Whether the sandbox holds is found out, and means nothing."""
    found_out = SandboxCheck.find_missing

    async def find_missing(self: SandboxCheck, *, network: bool) -> str | None:
        await found_out(self, network=network)
        return None

    patch.setattr(SandboxCheck, "find_missing", find_missing)


MUTATIONS: tuple[Mutation, ...] = (
    Mutation(skip_the_second_look, "invariant 1"),
    Mutation(act_before_recording, "was carried out, and its start is not on record"),
    Mutation(repeat_blindly, "took effect", crash=0.03),
    Mutation(commit_without_guards, "invariant 3"),
    Mutation(take_a_no_for_a_yes, "invariant 4"),
    Mutation(take_answers_at_any_time, "invariant 4"),
    Mutation(replace_whatever_is_there, "no action that was begun answers for it"),
    Mutation(go_on_when_paused, "started, and its task was "),
    Mutation(project_with_a_memory, "invariant 6"),
    Mutation(let_changes_through, "invariant 3"),
    Mutation(forget_who_goes_together, "with which it goes together"),
    Mutation(compare_with_nothing, "was let through on something that its command never saw"),
    Mutation(forget_what_was_seen, "was begun unasked on something that its command never saw"),
    Mutation(take_changes_of_the_dead, "were proposed, and its task was cancelled", often=("cancel",)),
    Mutation(record_connections_afterwards, "that is not on record"),
    Mutation(repeat_what_is_unclear, "reached out 2 times"),
    Mutation(trust_any_sandbox, "without a sandbox that holds"),
)
