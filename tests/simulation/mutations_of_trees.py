"""Ways to break what trees of tasks, steering, interrupts, budgets and undo rest on, each of which is noticed."""

from typing import Any

import msgspec
import pytest

from cowork.domain import subagent, task, task_action, task_steering
from cowork.domain.budget import NO_USAGE, Usage, plus
from cowork.domain.scope import Scope
from cowork.domain.task import Awaiting, OpenAction, Ready, Task
from cowork.engine import action_pipeline, audit_budget, beginning, performing, session_view, undo, undo_made
from cowork.engine.claims import Claims
from cowork.engine.command_handler import TASK, CommandHandler
from cowork.engine.ledger import Ledger
from cowork.engine.ports import Failed
from cowork.engine.session_view import SessionView, SessionViews
from cowork.engine.stopping import Stopping
from tests.simulation.mutation import Mutation


def give_everything(patch: pytest.MonkeyPatch) -> None:
    """A subagent gets all that its parent has, whatever it was given."""

    def attenuate(parent: Scope, _wished: Scope) -> Scope:
        return msgspec.structs.replace(parent, above=(*parent.above, parent.alone))

    for module in (subagent, session_view):
        patch.setattr(module, "attenuate", attenuate)


def keep_what_was_given(patch: pytest.MonkeyPatch) -> None:
    """A subagent keeps what it had at first, whatever is taken from its parent and its session later."""
    as_of_now, at_first = SessionViews.view_of, dict[tuple[int, str], SessionView]()

    def view_of(self: SessionViews, of: Task) -> SessionView:
        now = as_of_now(self, of)
        if not of.subagent_id:
            return now
        first = at_first.setdefault((id(self), of.task_id), now)
        return msgspec.structs.replace(first, guards=now.guards)

    patch.setattr(SessionViews, "view_of", view_of)


def claim_nothing(patch: pytest.MonkeyPatch) -> None:
    """Nobody looks who else of the tree writes at a place."""
    patch.setattr(Claims, "claim", lambda _self, _task, _action, _facts: frozenset())


def reserve_nothing(patch: pytest.MonkeyPatch) -> None:
    """Only what has ended counts against a budget: what is under way does not."""

    def used(self: Any, of: Task) -> Usage:
        total = plus(of.spent, Usage(wall_ms=self._running.get(of.task_id, 0)))
        for child in of.children:
            state = self._handler.known(child, TASK).state
            if isinstance(state, Task):
                total = plus(total, msgspec.structs.replace(used(self, state), wall_ms=0))
        return total

    patch.setattr(Ledger, "used", used)


def let_subagents_spend(patch: pytest.MonkeyPatch) -> None:
    """What a subagent uses up counts for itself alone, and not for those above it."""

    def used(self: Any, of: Task) -> Usage:
        own = plus(plus(of.spent, of.reserved), self._held.get(of.task_id, NO_USAGE))
        return plus(own, Usage(wall_ms=self._running.get(of.task_id, 0)))

    patch.setattr(Ledger, "used", used)


def send_without_end(patch: pytest.MonkeyPatch) -> None:
    """What commands and requests without a body sent counts against nothing that tells it only afterwards."""
    for module in (action_pipeline, audit_budget):
        patch.setattr(module, "tells_what_it_sent", lambda _action: False)


def begin_steps_of_any_plan(patch: pytest.MonkeyPatch) -> None:
    """A step begins as it was in the plan before, although the task was steered meanwhile."""
    of_this_plan = task_action.not_begun
    for module in (task, task_action):
        patch.setattr(module, "not_begun", lambda of, step_id, _of_plan=None: of_this_plan(of, step_id))


def own_nothing(patch: pytest.MonkeyPatch) -> None:
    """A process that has lost its task to another still records what it does."""
    patch.setattr(CommandHandler, "fence", lambda _self, _root, _guard: None)


def steer_half_away(patch: pytest.MonkeyPatch) -> None:
    """Another plan lets go what is not made yet of changes that go together, and some were made."""

    def is_untouched(_task: Task, action: OpenAction) -> bool:
        return isinstance(action.phase, Awaiting | Ready) and not action.attempts

    patch.setattr(task_steering, "_is_untouched", is_untouched)


def take_what_is_cut_off_for_undone(patch: pytest.MonkeyPatch) -> None:
    """What an interrupt cuts off counts as not having happened."""
    nothing = Failed("interrupted", "it was cut off before it had changed anything")
    patch.setattr(performing, "_cut_off", lambda _finding: nothing)


def resume_what_was_stopped(patch: pytest.MonkeyPatch) -> None:
    """A pause that comes while a task is just being taken up is lost."""
    whole: Any = beginning
    as_wanted = whole._beginning
    patch.setattr(beginning, "_beginning", lambda of, _was: as_wanted(of, of.is_interrupted))


def cancel_without_subagents(patch: pytest.MonkeyPatch) -> None:
    """A task that is cancelled, or stopped otherwise, leaves its subagents as they are."""
    patch.setattr(Stopping, "_tree", lambda self, task_id: iter([self._task(task_id)]))


def undo_over_what_was_changed(patch: pytest.MonkeyPatch) -> None:
    """An undo gives a file back what it held, whatever a person made of it since."""
    whole: Any = undo
    patch.setattr(whole._Contents, "merge", lambda _self, _base, one, _other: one)
    patch.setattr(undo_made.MadeThings, "_is_as_left", lambda _self, _node: True)


MUTATIONS_OF_TREES: tuple[Mutation, ...] = (
    Mutation(give_everything, "was not given"),
    Mutation(keep_what_was_given, "and nobody granted", often=("narrow",)),
    Mutation(claim_nothing, "was at the same place as"),
    Mutation(reserve_nothing, "actions, and took "),
    Mutation(let_subagents_spend, "actions, and took "),
    Mutation(send_without_end, "had no bytes left to send", commands=True),
    Mutation(begin_steps_of_any_plan, "is not what its step says", often=("steer",)),
    Mutation(own_nothing, ", which process "),
    Mutation(steer_half_away, "was let go by another plan", often=("steer",), commands=True),
    Mutation(take_what_is_cut_off_for_undone, "the log says that it was cut off before", often=("interrupt",)),
    Mutation(resume_what_was_stopped, "was resumed, and nobody wanted that since it was stopped", often=("pause",)),
    Mutation(cancel_without_subagents, "beneath it is ", often=("cancel",)),
    Mutation(undo_over_what_was_changed, "what the person wrote is gone with an undo", often=("edit",)),
)
