"""The one way from a proposal to an effect.

    (0) bind      parse the request into actions; canonical bytes; digest
    (1) record    ActionProposed
    (2) gather    facts about the targets, grants and rules in force, from write-side streams, never from a projection
    (3) decide    Policy.decide(action, facts, scope) -> Decision
    (4) record    ActionAllowed | ActionDenied | ActionConfirmationRequired, with the whole evaluated input
    (5) wait      durable: the question is a stream of its own and survives any restart
    (6) recheck   same digest; grants still in force; targets unchanged since they were shown; else a new question
    (7) record    ActionStarted, before any effect, durable
    (8) perform   the executor, with a permit that only step (7) makes
    (9) record    ActionSucceeded | ActionFailed; ActionOutcomeUnknown where nobody can tell

Steps 1 to 4 of a step's actions are one commit, and for a single allowed action step 7 shares it; step 9 is the next.
The commits of steps 4 and 7 hold only while the grants and the session are what they were when they were read.
"""

from collections.abc import Sequence
from typing import assert_never

import msgspec

from ..domain.action import Action, FileWrite, sets_mode
from ..domain.budget import NO_USAGE, reservation, tells_what_it_sent
from ..domain.confirmation import Approved
from ..domain.errors import DomainError, ErrorCode
from ..domain.event import Event, Recorded
from ..domain.facts import ABSENT, Facts
from ..domain.plan import Batch, Listed, OnAsk, Step
from ..domain.policy_decision import Decision
from ..domain.reason import ReasonCode
from ..domain.scope import find_gap
from ..domain.task import (
    ActionStarted,
    Awaiting,
    DeclineAction,
    ExhaustBudget,
    OpenAction,
    ProposeActions,
    Proposed,
    Ready,
    RecordFailure,
    StartAction,
    Started,
    Task,
    TaskCommand,
    Unknown,
    existing,
    running,
)
from . import limits
from .binding import bind, bind_text, expand, name_without_grant
from .command_handler import CONFIRMATION, TASK, CommandHandler, Order, StaleRead, order_task
from .deciding import Decided, decide_again, decide_all
from .gathering import Gathering
from .judging import Judging, needs_answer, recorded
from .ledger import Ledger
from .performing import Performing
from .ports import Clock, FileFinder, Finding, Guard
from .session_view import SessionView, SessionViews
from .shown_state import is_as_shown, knows_writers, what_changed
from .tree_facts import TreeFacts


class RequestRefused(Exception):  # noqa: N818 - an answer, not an error
    """A step's request stands for no actions that could be decided about: its folder is closed, or it is too large."""

    def __init__(self, reason_code: ReasonCode, reason: str) -> None:
        super().__init__(reason)
        self.reason_code: ReasonCode = reason_code
        self.reason = reason


class PlanChanged(Exception):  # noqa: N818 - an answer, not an error
    """The task follows another plan by now, and the step may not be in it as it was."""


class Attempt(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """An attempt whose start is on record, to be handed to an executor."""

    action_id: str
    step: Step
    action: Action
    facts: Facts
    started: Recorded[Event]
    view: SessionView


_REASON_OF_ERROR: dict[ErrorCode, ReasonCode] = {
    "denied": "no_grant",
    "limit": "limit",
    "not_found": "not_found",
    "conflict": "conflict",
    "invalid": "name",
}


class ActionPipeline:
    """Takes steps' requests from proposal to outcome. Executors act only for it, through `Performing`."""

    def __init__(
        self,
        *,
        handler: CommandHandler,
        views: SessionViews,
        gathering: Gathering,
        judging: Judging,
        performing: Performing,
        finder: FileFinder,
        ledger: Ledger,
        tree: TreeFacts,
        clock: Clock,
    ) -> None:
        self._ledger = ledger
        self._tree = tree
        self._handler = handler
        self._views = views
        self._gathering = gathering
        self._judging = judging
        self._performing = performing
        self._finder = finder
        self._clock = clock

    # Steps 0 to 4

    async def propose(
        self, task_id: str, step: Step, on_ask: OnAsk, proposed_by: str, *, of_plan: int
    ) -> Attempt | None:
        """Propose a step's actions, decide about each, and start a single action that is allowed at once.

        What was started is to be handed to `perform`. What needs a person is put into one question; what a pattern
        stands for is decided file by file. `of_plan` is the number of the task's plan that the step is of. Raises
        `RequestRefused` for a pattern that can't be followed, `PlanChanged` where there is another plan, `DomainError`
        conflict where the task no longer runs.
        """
        for _ in range(limits.COMMAND_RETRIES_MAX):
            view = self._views.view_of(self._known(task_id))
            actions = await self._requested(step, view)
            facts = await self._gathering.gather(actions, view)
            try:
                async with self._tree.counted(task_id, view):
                    recorded, decided = await self._propose(
                        task_id, step, of_plan, on_ask, proposed_by, view, actions, facts
                    )
            except StaleRead:
                continue
            except DomainError as error:
                if error.code != "conflict" or self._task(task_id).status != "running":
                    raise
                if self._task(task_id).plans != of_plan:
                    raise PlanChanged from error
                continue
            return _attempt(recorded, step, actions[0] if actions else None, decided, view)
        raise DomainError("conflict", "the grants change too often to decide under them", "try again")

    async def _propose(
        self,
        task_id: str,
        step: Step,
        of_plan: int,
        on_ask: OnAsk,
        proposed_by: str,
        view: SessionView,
        actions: list[Action],
        facts: list[Facts],
    ) -> tuple[tuple[Recorded[Event], ...], list[Decided]]:
        """Decide about a step's actions and record that; return what was recorded, and the decisions."""
        # A command's changes may have been proposed meanwhile: these actions are numbered after them.
        task = running(self._known(task_id))
        decided = decide_all(actions, facts, task, view, self._tree)
        proposals, orders = self._judging.judged(task, step, on_ask, view, actions, decided)
        is_one = len(actions) == 1
        wanted = reservation(actions[0], decided[0].facts) if is_one else NO_USAGE
        tells_sent = is_one and tells_what_it_sent(actions[0])
        command = ProposeActions(
            step_id=step.step_id,
            proposals=proposals,
            proposed_by=proposed_by,
            start=is_one and self._ledger.find_spent(task, wanted, tells_sent=tells_sent) is None,
            after=task.actions,
            of_plan=of_plan,
        )
        with self._ledger.holding(task, wanted):
            recorded = await self._handler.execute(
                order_task(task_id, command), *orders, actor=proposed_by, cause=step.step_id, guards=view.guards
            )
        return recorded, decided

    async def perform(self, attempt: Attempt) -> None:
        """Carry out an attempt whose start is on record, and record what came of it."""
        action, facts, started = attempt.action, attempt.facts, attempt.started
        task = self._known(attempt.action_id.rpartition(".")[0])
        await self._performing.perform(task, attempt.step, action, facts, started, attempt.view)

    def _task(self, task_id: str) -> Task:
        self._handler.notice_others()
        return self._known(task_id)

    def _known(self, task_id: str) -> Task:
        """Return the task as last noticed: where that is old, what is recorded on it is refused and decided again."""
        return existing(self._handler.known(task_id, TASK).state)

    async def _requested(self, step: Step, view: SessionView) -> list[Action]:
        request = step.request
        if isinstance(request, Listed):
            return [bind(action, view.scope) for action in request.actions]
        if not isinstance(request, Batch):
            return [bind(request, view.scope)]
        pattern = bind_text(request.match, view.scope)
        # Finding out which names exist is reading, whatever is done with them afterwards.
        gap = find_gap(view.scope.folder(pattern.grant_id), pattern.path, "read", self._clock.now())
        if gap is not None:
            raise RequestRefused(gap.code, gap.message)
        try:
            paths = await self._finder.find(pattern.grant_id, pattern.path, view.scope, limit=limits.BATCH_ACTIONS_MAX)
        except DomainError as error:
            raise RequestRefused(_REASON_OF_ERROR.get(error.code, "io"), error.message) from error
        misnamed = "" if paths else name_without_grant(request.match, view.scope)
        if misnamed:
            # A misspelt name must not pass for a pattern that happened to match nothing.
            raise RequestRefused("no_grant", f"nothing matched, and no granted folder is called `{misnamed}`")
        return expand(request, pattern, paths, view.scope)

    # Steps 6 to 9

    async def carry_out(self, task: Task, step: Step, action: OpenAction) -> None:
        """Recheck an action that was allowed, approved or found not applied after a crash, and carry it out.

        Where the world no longer fits, the action is settled or asked about again instead. Where the budget has no room
        for it, the task stops, and the action is where it was.
        """
        attempt = await self.start(task, step, action)
        if attempt is not None:
            await self.perform(attempt)

    async def start(self, task: Task, step: Step, action: OpenAction) -> Attempt | None:
        """Do what `carry_out` does up to the start, which is on record then."""
        for _ in range(limits.COMMAND_RETRIES_MAX):
            view = self._views.view_of(task)
            (facts,) = await self._gathering.gather([action.action], view)
            facts = msgspec.structs.replace(facts, batch=_batch_of(action))
            try:
                async with self._tree.counted(task.task_id, view):
                    recorded, decided = await self._start(task, step, action, view, facts)
            except StaleRead:
                continue
            return _attempt(recorded, step, action.action, [decided], view)
        raise DomainError("conflict", "the grants change too often to act under them", "try again")

    async def _start(
        self, task: Task, step: Step, action: OpenAction, view: SessionView, facts: Facts
    ) -> tuple[tuple[Recorded[Event], ...], Decided]:
        """Decide again about an action and record its start, or what is recorded instead of one."""
        decided = decide_again(action, facts, task, view, self._tree)
        guards = (*view.guards, *self._guard_of_answer(action))
        wanted = NO_USAGE if isinstance(action.phase, Started) else reservation(action.action, decided.facts)
        tells_sent = tells_what_it_sent(action.action)
        spent = self._ledger.find_spent(self._task(task.task_id), wanted, tells_sent=tells_sent)
        orders = self._after_recheck(task, step, action, view, decided.facts, decided.decision)
        if spent is not None and any(isinstance(order.command, StartAction) for order in orders):
            orders = (order_task(task.task_id, ExhaustBudget(spent.of_task, spent.overrun)),)
            guards = (*guards, spent.guard)
        with self._ledger.holding(task, wanted):
            recorded = await self._handler.execute(*orders, actor="engine", cause=action.action_id, guards=guards)
        return recorded, decided

    def _guard_of_answer(self, action: OpenAction) -> tuple[Guard, ...]:
        if not isinstance(action.phase, Awaiting):
            return ()
        asked = action.phase.confirmation_id
        return (Guard(asked, self._handler.load(asked, CONFIRMATION).version),)

    def _after_recheck(
        self, task: Task, step: Step, action: OpenAction, view: SessionView, facts: Facts, decision: Decision
    ) -> tuple[Order, ...]:
        """Return what to record instead of, or as, the start of an action whose recheck gave this decision."""
        was_unknown = False
        match action.phase:
            case Started():
                return (order_task(task.task_id, _retried(action, facts, decision)),)
            case Ready(judgement=decided):
                if decision.verdict != "deny" and _has_moved_on(action, decided.facts, facts):
                    return _moved_on(task, action, facts)
                if decision.is_leave:
                    return (order_task(task.task_id, _start(action, "", facts)),)
            case Awaiting(judgement=shown, confirmation_id=asked):
                answer = self._handler.load(asked, CONFIRMATION).state
                if not isinstance(answer, Approved):
                    raise DomainError("denied", f"action `{action.action_id}` was not approved")
                was_unknown = answer.request.purpose == "unknown_outcome"
                is_same = is_as_shown(action.action, shown.facts, facts) or was_unknown
                if decision.verdict != "deny" and is_same and knows_writers(shown.facts, facts):
                    return (order_task(task.task_id, _start(action, asked, facts)),)
                if decision.verdict != "deny" and _has_moved_on(action, shown.facts, facts):
                    # Asking again would offer to put an old copy over what somebody did meanwhile.
                    return _moved_on(task, action, facts)
            case Unknown() | Proposed():
                raise DomainError("conflict", f"action `{action.action_id}` can't be carried out now")
            case _:
                assert_never(action.phase)
        if decision.verdict == "deny":
            code: ReasonCode = decision.reason_code or "policy"
            reason = f"no longer allowed: {decision.reason}"
            return (
                order_task(task.task_id, DeclineAction(action_id=action.action_id, reason_code=code, reason=reason)),
            )
        changed = what_changed(action, facts)
        return self._judging.asked_again(
            task, step, action, view, facts, decision, changed, unknown_outcome=was_unknown
        )

    # After a crash

    async def look(
        self, task: Task, action: OpenAction, started: Recorded[Event], *, reached: tuple[str, ...]
    ) -> Finding:
        """Ask the executor what became of an attempt that has no outcome; `reached` as in `Permit`."""
        view = self._views.view_of(task)
        if not isinstance(action.phase, Started):
            raise DomainError("conflict", f"action `{action.action_id}` has not started")
        facts = action.phase.judgement.facts
        permit = self._performing.permit(task.task_id, started, action.action, facts, view)
        permit = msgspec.structs.replace(permit, reached=reached)
        return await self._gathering.executor(action.action).reconcile(permit)

    async def ask_about_unknown(self, task: Task, step: Step, action: OpenAction, observed: str) -> None:
        """Put the question what to do about an action whose outcome nobody can tell."""
        for _ in range(limits.COMMAND_RETRIES_MAX):
            view = self._views.view_of(task)
            (facts,) = await self._gathering.gather([action.action], view)
            found = decide_again(action, facts, task, view, self._tree)
            orders = self._judging.asked_again(
                task, step, action, view, found.facts, found.decision, observed, unknown_outcome=True
            )
            try:
                await self._handler.execute(*orders, actor="engine", cause="recovery", guards=view.guards)
            except StaleRead:
                continue
            return
        raise DomainError("conflict", "the grants change too often to ask under them", "try again")


def _attempt(
    recorded: Sequence[Recorded[Event]],
    step: Step,
    action: Action | None,
    decided: Sequence[Decided],
    view: SessionView,
) -> Attempt | None:
    """Return the attempt whose start was just recorded, None where none was."""
    started = next((one for one in recorded if isinstance(one.event, ActionStarted)), None)
    if started is None or not isinstance(started.event, ActionStarted) or action is None:
        return None
    return Attempt(
        action_id=started.event.action_id, step=step, action=action, facts=decided[0].facts, started=started, view=view
    )


def _start(action: OpenAction, approval: str, facts: Facts) -> StartAction:
    return StartAction(action_id=action.action_id, digest=action.digest, approval=approval, facts=recorded(facts))


def _retried(action: OpenAction, facts: Facts, decision: Decision) -> TaskCommand:
    """Return the second attempt of an action that a crash interrupted before it did anything, or why there is none."""
    if not isinstance(action.phase, Started):
        raise DomainError("conflict", f"action `{action.action_id}` has not started")
    if decision.verdict == "deny":
        return RecordFailure(
            action_id=action.action_id,
            reason_code=decision.reason_code or "policy",
            reason=f"interrupted, and no longer allowed: {decision.reason}",
        )
    # What a person approved is tried again only on what they were shown, even where nobody would be asked any more.
    was_approved, shown = bool(action.phase.confirmation_id), action.phase.judgement.facts
    is_same = is_as_shown(action.action, shown, facts) and knows_writers(shown, facts)
    has_changed = was_approved and not is_same
    if has_changed or _has_moved_on(action, shown, facts) or (needs_answer(decision) and not was_approved):
        since = "it was approved" if was_approved or not action.staged_by else "the command saw it"
        return RecordFailure(
            action_id=action.action_id,
            reason_code="conflict",
            reason=f"interrupted, and {what_changed(action, facts)} since {since}",
        )
    return _start(action, "", facts)


def _has_moved_on(action: OpenAction, seen: Facts, now: Facts) -> bool:
    """Whether a change that a command made to its copy is about to be made to something that the command never saw.

    Policy lets a plan's own step replace whatever is there. What a command made of a file is made of what was in it.
    An undo names the content that it replaces, and gives back a mode only in place of the one that it has seen.
    """
    if action.staged_by:
        return not is_as_shown(action.action, seen, now)
    is_undo = isinstance(action.action, FileWrite) and bool(action.action.base)
    return is_undo and sets_mode(action.action) and (seen.target or ABSENT).mode != (now.target or ABSENT).mode


def _moved_on(task: Task, action: OpenAction, facts: Facts) -> tuple[Order, ...]:
    reason = f"{what_changed(action, facts)} since {'the command saw it' if action.staged_by else 'it was decided on'}"
    conflict = DeclineAction(action_id=action.action_id, reason_code="conflict", reason=reason)
    return (order_task(task.task_id, conflict),)


def _batch_of(action: OpenAction) -> int:
    return 1 if isinstance(action.phase, Proposed) else action.phase.judgement.facts.batch
