"""Ways to break the engine on purpose, so that the simulation can show that it notices."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, TypeAlias

import msgspec
import pytest

from cowork.adapters.files import deleting, moving, writing
from cowork.domain import confirmation, task
from cowork.domain.action import kind_of
from cowork.domain.confirmation import Approved, Expired, Rejected
from cowork.domain.event import Event, Recorded
from cowork.engine import action_pipeline, command_handler
from cowork.engine.action_pipeline import ActionPipeline
from cowork.engine.command_handler import CommandHandler
from cowork.engine.ports import Permit
from cowork.engine.recovery import Recovery
from cowork.engine.scheduler import Scheduler
from cowork.projections.fold import Fold
from cowork.projections.row import RowChange
from tests.adapters.files.cases.bystanders import NoWitness, SilentSight

Break: TypeAlias = Callable[[pytest.MonkeyPatch], None]


def skip_the_second_look(patch: pytest.MonkeyPatch) -> None:
    """An approval counts whatever stands there now."""
    patch.setattr(action_pipeline, "is_as_shown", lambda _shown, _now: True)


def act_before_recording(patch: pytest.MonkeyPatch) -> None:
    """The effect comes first, its record second."""
    recorded_first = ActionPipeline.carry_out

    async def carry_out(self: Any, of: Any, step: Any, action: Any) -> None:
        view = self._views.view(of.session_id)
        (facts,) = await self._gather([action.action], view)
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
        await self._executors[kind_of(action.action)].perform(permit)
        await recorded_first(self, of, step, action)

    patch.setattr(ActionPipeline, "carry_out", carry_out)


def repeat_blindly(patch: pytest.MonkeyPatch) -> None:
    """After a crash, what was under way is made again without a look."""

    async def settle(self: Any, of: Any, step: Any, action: Any, _start: Any) -> None:
        await self._pipeline.carry_out(of, step, action)

    patch.setattr(Recovery, "_settle", settle)


def commit_without_guards(patch: pytest.MonkeyPatch) -> None:
    """A grant that is revoked between the decision and its record does not matter."""
    guarded = CommandHandler.execute

    async def execute(self: Any, *orders: Any, actor: str, cause: str, guards: Any = ()) -> Any:
        return await guarded(self, *orders, actor=actor, cause=cause)

    patch.setattr(CommandHandler, "execute", execute)


def take_a_no_for_a_yes(patch: pytest.MonkeyPatch) -> None:
    """Any answer is leave to act."""
    patch.setattr(action_pipeline, "Approved", (Approved, Rejected, Expired))
    scheduler: Any = Scheduler
    declined = scheduler._decline

    async def decline(self: Any, of: Any, action: Any, code: str, reason: str) -> None:
        if code != "rejected":
            await declined(self, of, action, code, reason)
            return
        step = next(one for one in of.plan.steps if one.step_id == action.step_id)
        await self._pipeline.carry_out(of, step, action)

    patch.setattr(Scheduler, "_decline", decline)


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
    for module in (writing, moving, deleting):
        patch.setattr(module, "require_same", lambda _expected, _now, _shown: None)


def go_on_when_paused(patch: pytest.MonkeyPatch) -> None:
    """A pause or a cancellation does not keep the next action from starting."""
    patch.setattr(task, "_running", lambda one: one)


def project_with_a_memory(patch: pytest.MonkeyPatch) -> None:
    """A projection that depends on how often it was called, not only on the event."""
    pure, calls = Fold.on, [0]

    def on(self: Fold, recorded: Recorded[Event]) -> Sequence[RowChange]:
        calls[0] += 1
        return () if calls[0] % 97 == 0 else pure(self, recorded)

    patch.setattr(Fold, "on", on)


MUTATIONS: tuple[tuple[Break, str], ...] = (
    (skip_the_second_look, "invariant 1"),
    (act_before_recording, "no action that was begun answers for it"),
    (repeat_blindly, "took effect"),
    (commit_without_guards, "invariant 3"),
    (take_a_no_for_a_yes, "invariant 4"),
    (take_answers_at_any_time, "invariant 4"),
    (replace_whatever_is_there, "no action that was begun answers for it"),
    (go_on_when_paused, "invariant 8"),
    (project_with_a_memory, "invariant 6"),
)
