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
from datetime import timedelta
from typing import Literal, assert_never

import anyio
import msgspec

from ..domain.action import Action, ActionKind, Location, digest_of, kind_of, locations_of
from ..domain.confirmation import (
    Approved,
    Item,
    RequestConfirmation,
    digest_of_question,
)
from ..domain.errors import DomainError, ErrorCode
from ..domain.event import Event, Recorded
from ..domain.facts import Facts, Obstacle
from ..domain.plan import Batch, OnAsk, Step
from ..domain.policy_decision import Decision
from ..domain.reason import ReasonCode
from ..domain.scope import find_gap
from ..domain.task import (
    ActionStarted,
    AskAgain,
    Awaiting,
    DeclineAction,
    OpenAction,
    Proposal,
    ProposeActions,
    Proposed,
    Ready,
    RecordFailure,
    RecordSuccess,
    RecordUnknown,
    StartAction,
    Started,
    Task,
    TaskCommand,
    Unknown,
)
from . import limits
from .binding import bind, bind_text, expand, name_without_grant
from .command_handler import CONFIRMATION, CommandHandler, Order, StaleRead, order_confirmation, order_task
from .deciding import Decided, decide_again, decide_all, uses_of
from .ports import (
    CardItem,
    CardRenderer,
    CardRequest,
    Clock,
    Done,
    Executor,
    Failed,
    FileFinder,
    Finding,
    Guard,
    Ids,
    Outcome,
    Permit,
)
from .session_view import SessionView, SessionViews
from .shown_state import is_as_shown, what_changed


class RequestRefused(Exception):  # noqa: N818 - an answer, not an error
    """A step's request stands for no actions that could be decided about: its folder is closed, or it is too large."""

    def __init__(self, reason_code: ReasonCode, reason: str) -> None:
        super().__init__(reason)
        self.reason_code: ReasonCode = reason_code
        self.reason = reason


_REASON_OF_ERROR: dict[ErrorCode, ReasonCode] = {
    "denied": "no_grant",
    "limit": "limit",
    "not_found": "not_found",
    "conflict": "conflict",
    "invalid": "name",
}


class ActionPipeline:
    """Takes steps' requests from proposal to outcome. Executors are called from here and from nowhere else."""

    def __init__(
        self,
        *,
        handler: CommandHandler,
        views: SessionViews,
        executors: Sequence[Executor],
        finder: FileFinder,
        render_card: CardRenderer,
        clock: Clock,
        ids: Ids,
    ) -> None:
        self._handler = handler
        self._views = views
        self._executors: dict[ActionKind, Executor] = {kind: one for one in executors for kind in one.kinds}
        self._finder = finder
        self._render_card = render_card
        self._clock = clock
        self._ids = ids

    # Steps 0 to 4

    async def propose(self, task: Task, step: Step, on_ask: OnAsk, proposed_by: str) -> None:
        """Propose a step's actions, decide about each, and carry out a single action that is allowed at once.

        What needs a person is put into one question; what a pattern stands for is decided file by file. Raises
        `RequestRefused` for a pattern that can't be followed.
        """
        for _ in range(limits.COMMAND_RETRIES_MAX):
            view = self._views.view(task.session_id)
            actions = await self._requested(step, view)
            facts = await self._gather(actions, view)
            decided = decide_all(actions, facts, task, view)
            proposals, orders = self._judged(task, step, on_ask, view, actions, decided)
            single = len(actions) == 1
            order = order_task(
                task.task_id,
                ProposeActions(step_id=step.step_id, proposals=proposals, proposed_by=proposed_by, start=single),
            )
            try:
                recorded = await self._handler.execute(
                    order, *orders, actor=proposed_by, cause=step.step_id, guards=view.guards
                )
            except StaleRead:
                continue
            started = next((r for r in recorded if isinstance(r.event, ActionStarted)), None)
            if started is not None:
                await self._perform(task.task_id, actions[0], decided[0].facts, started, view)
            return
        raise DomainError("conflict", "the grants change too often to decide under them", "try again")

    async def _requested(self, step: Step, view: SessionView) -> list[Action]:
        request = step.request
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

    async def _gather(self, actions: Sequence[Action], view: SessionView) -> list[Facts]:
        now = self._clock.now()
        if not actions:
            return []
        executor = self._executors.get(kind_of(actions[0]))
        if executor is None:
            return [Facts(now=now, batch=len(actions), available=False) for _ in actions]
        facts = await executor.observe(actions, view.scope, now, batch=len(actions))
        return facts if len(actions) == 1 else _with_clashes(actions, facts)

    def _judged(
        self,
        task: Task,
        step: Step,
        on_ask: OnAsk,
        view: SessionView,
        actions: Sequence[Action],
        decided: Sequence[Decided],
    ) -> tuple[tuple[Proposal, ...], tuple[Order, ...]]:
        names = [f"{task.task_id}.{task.actions + number}" for number in range(1, len(actions) + 1)]
        uses = uses_of(decided, names)
        asks = on_ask == "wait" and any(_needs_answer(one.decision) for one in decided)
        confirmation_id = self._ids.new("confirmation") if asks else ""
        unasked: Literal["", "skipped", "no_approval"] = "skipped" if on_ask == "skip" else "no_approval"
        proposals = tuple(
            Proposal(
                action=action,
                digest=digest_of(action),
                decision=one.decision,
                facts=_recorded(one.facts),
                scope_digest=view.scope_digest,
                confirmation_id=confirmation_id if _needs_answer(one.decision) else "",
                unasked="" if asks else unasked,
            )
            for action, one in zip(actions, decided, strict=True)
        )
        if not asks:
            return proposals, uses
        items = tuple(
            CardItem(name, p.action, p.digest, p.decision, one.facts)
            for name, p, one in zip(names, proposals, decided, strict=True)
            if p.confirmation_id
        )
        return proposals, (self._question(task, step, view, confirmation_id, items), *uses)

    def _question(
        self,
        task: Task,
        step: Step,
        view: SessionView,
        confirmation_id: str,
        items: tuple[CardItem, ...],
        *,
        changed: str = "",
        unknown_outcome: bool = False,
    ) -> Order:
        now = self._clock.now()
        expires_at = now + timedelta(seconds=limits.CONFIRMATION_TTL_S)
        digest = digest_of_question([(item.digest, item.facts) for item in items])
        card = self._render_card(
            CardRequest(
                confirmation_id=confirmation_id,
                task_id=task.task_id,
                task_title=task.title,
                step_title=step.title,
                step_description=step.description,
                asked_by=f"task {task.task_id}",
                items=items,
                scope=view.scope,
                digest=digest,
                now=now,
                expires_at=expires_at,
                changed=changed,
                unknown_outcome=unknown_outcome,
            )
        )
        first = items[0].decision
        tags = dict.fromkeys(tag for item in items for tag in item.decision.risk_tags)
        command = RequestConfirmation(
            confirmation_id=confirmation_id,
            session_id=task.session_id,
            task_id=task.task_id,
            step_id=step.step_id,
            purpose="unknown_outcome" if unknown_outcome else "action",
            items=tuple(Item(item.action_id, item.digest) for item in items),
            digest=digest,
            card=card,
            risk_tags=tuple(tags),
            reason=first.reason,
            rule_id=first.rule_id,
            layer=first.layer,
            expires_at=expires_at,
        )
        return order_confirmation(confirmation_id, command)

    # Steps 6 to 9

    async def carry_out(self, task: Task, step: Step, action: OpenAction) -> None:
        """Recheck an action that was allowed, approved or found not applied after a crash, and carry it out.

        Where the world no longer fits, the action is settled or asked about again instead.
        """
        for _ in range(limits.COMMAND_RETRIES_MAX):
            view = self._views.view(task.session_id)
            (facts,) = await self._gather([action.action], view)
            facts = msgspec.structs.replace(facts, batch=_batch_of(action))
            decided = decide_again(action, facts, task, view)
            facts, decision = decided.facts, decided.decision
            guards = (*view.guards, *self._guard_of_answer(action))
            try:
                orders = self._after_recheck(task, step, action, view, facts, decision)
                recorded = await self._handler.execute(*orders, actor="engine", cause=action.action_id, guards=guards)
            except StaleRead:
                continue
            started = next((r for r in recorded if isinstance(r.event, ActionStarted)), None)
            if started is not None:
                await self._perform(task.task_id, action.action, facts, started, view)
            return
        raise DomainError("conflict", "the grants change too often to act under them", "try again")

    def _guard_of_answer(self, action: OpenAction) -> tuple[Guard, ...]:
        if not isinstance(action.phase, Awaiting):
            return ()
        asked = action.phase.confirmation_id
        return (Guard(asked, self._handler.load(asked, CONFIRMATION).version),)

    def _after_recheck(
        self, task: Task, step: Step, action: OpenAction, view: SessionView, facts: Facts, decision: Decision
    ) -> tuple[Order, ...]:
        """Return what to record instead of, or as, the start of an action whose recheck gave this decision."""
        match action.phase:
            case Started():
                return (order_task(task.task_id, _retried(action, facts, decision)),)
            case Ready():
                if decision.is_leave:
                    return (order_task(task.task_id, _start(action, "", facts)),)
            case Awaiting(judgement=shown, confirmation_id=asked):
                answer = self._handler.load(asked, CONFIRMATION).state
                if not isinstance(answer, Approved):
                    raise DomainError("denied", f"action `{action.action_id}` was not approved")
                same = is_as_shown(shown.facts, facts) or answer.request.purpose == "unknown_outcome"
                if decision.verdict != "deny" and same:
                    return (order_task(task.task_id, _start(action, asked, facts)),)
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
        return self._asked_again(task, step, action, view, facts, decision, changed, unknown_outcome=False)

    def _asked_again(
        self,
        task: Task,
        step: Step,
        action: OpenAction,
        view: SessionView,
        facts: Facts,
        decision: Decision,
        changed: str,
        *,
        unknown_outcome: bool,
    ) -> tuple[Order, ...]:
        confirmation_id = self._ids.new("confirmation")
        ask = AskAgain(
            action_id=action.action_id,
            confirmation_id=confirmation_id,
            decision=decision,
            facts=_recorded(facts),
            scope_digest=view.scope_digest,
            changed=changed,
        )
        item = CardItem(action.action_id, action.action, action.digest, decision, facts)
        question = self._question(
            task, step, view, confirmation_id, (item,), changed=changed, unknown_outcome=unknown_outcome
        )
        return (order_task(task.task_id, ask), question)

    async def _perform(
        self, task_id: str, action: Action, facts: Facts, started: Recorded[Event], view: SessionView
    ) -> None:
        permit = _permit(started, action, facts, view)
        executor = self._executors[kind_of(action)]
        # Once it has begun it is not interrupted: a pause or Ctrl-C takes effect when its outcome is on record.
        with anyio.CancelScope(shield=True):
            try:
                outcome: Outcome | None = await executor.perform(permit)
                broken = ""
            except Exception as error:  # the executor boundary: a bug must not leave an attempt without an outcome
                outcome, broken = None, f"the executor broke: {type(error).__name__}: {error}"
            command = _outcome_command(permit.action_id, outcome, broken)
            await self._handler.execute(order_task(task_id, command), actor="engine", cause=permit.action_id)

    # After a crash

    async def look(self, action: OpenAction, started: Recorded[Event], session_id: str) -> Finding:
        """Ask the executor what became of an attempt that has no outcome."""
        view = self._views.view(session_id)
        if not isinstance(action.phase, Started):
            raise DomainError("conflict", f"action `{action.action_id}` has not started")
        permit = _permit(started, action.action, action.phase.judgement.facts, view)
        return await self._executors[kind_of(action.action)].reconcile(permit)

    async def ask_about_unknown(self, task: Task, step: Step, action: OpenAction, observed: str) -> None:
        """Put the question what to do about an action whose outcome nobody can tell."""
        changed = f"a crash left it open: {observed}"
        for _ in range(limits.COMMAND_RETRIES_MAX):
            view = self._views.view(task.session_id)
            (facts,) = await self._gather([action.action], view)
            found = decide_again(action, facts, task, view)
            orders = self._asked_again(
                task, step, action, view, found.facts, found.decision, changed, unknown_outcome=True
            )
            try:
                await self._handler.execute(*orders, actor="engine", cause="recovery", guards=view.guards)
            except StaleRead:
                continue
            return
        raise DomainError("conflict", "the grants change too often to ask under them", "try again")


def _permit(started: Recorded[Event], action: Action, facts: Facts, view: SessionView) -> Permit:
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
    )


def _needs_answer(decision: Decision) -> bool:
    return decision.verdict == "allow_with_confirm" and not decision.is_leave


def _outcome_command(action_id: str, outcome: Outcome | None, broken: str) -> TaskCommand:
    match outcome:
        case Done(effects=effects, result=result):
            return RecordSuccess(action_id=action_id, effects=effects, result=result)
        case Failed(reason_code=code, reason=reason):
            return RecordFailure(action_id=action_id, reason_code=code, reason=reason)
        case None:
            return RecordUnknown(action_id=action_id, observed=broken)


def _start(action: OpenAction, approval: str, facts: Facts) -> StartAction:
    return StartAction(action_id=action.action_id, digest=action.digest, approval=approval, facts=_recorded(facts))


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
    was_approved = bool(action.phase.confirmation_id)
    if (was_approved and not is_as_shown(action.phase.judgement.facts, facts)) or (
        _needs_answer(decision) and not was_approved
    ):
        return RecordFailure(
            action_id=action.action_id,
            reason_code="conflict",
            reason=f"interrupted, and {what_changed(action, facts)} since it was approved",
        )
    return _start(action, "", facts)


def _recorded(facts: Facts) -> Facts:
    """Return the facts as events keep them: the preview is the card's, and the card is kept with the question."""
    return msgspec.structs.replace(facts, preview="") if facts.preview else facts


def _batch_of(action: OpenAction) -> int:
    return 1 if isinstance(action.phase, Proposed) else action.phase.judgement.facts.batch


def _with_clashes(actions: Sequence[Action], facts: Sequence[Facts]) -> list[Facts]:
    """Mark every action but the first that would give its file the same name as another of the batch."""
    taken: set[Location] = set()
    marked: list[Facts] = []
    for action, fact in zip(actions, facts, strict=True):
        places = locations_of(action)
        if len(places) == 2 and fact.obstacle is None:
            if places[1] in taken:
                clash = Obstacle("conflict", f"two files of this step would be named `{places[1].path}`")
                marked.append(msgspec.structs.replace(fact, obstacle=clash))
                continue
            taken.add(places[1])
        marked.append(fact)
    return marked
