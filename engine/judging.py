"""Steps (4) and (5) of the pipeline: what was decided becomes proposals, and what needs a person one question."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Literal

import msgspec

from ..domain.action import Action, digest_of
from ..domain.confirmation import Item, RequestConfirmation, digest_of_question
from ..domain.facts import Facts
from ..domain.plan import OnAsk, Step
from ..domain.policy_decision import Decision
from ..domain.task import AskAgain, OpenAction, Proposal, Task, existing
from . import limits
from .card_ports import CardItem, CardRenderer, CardRequest, CommandsChanges
from .command_handler import TASK, CommandHandler, Order, order_confirmation, order_task
from .deciding import Decided, uses_of
from .ports import Clock, Ids
from .session_view import SessionView

_UNASKED: dict[OnAsk, Literal["skipped", "no_approval"]] = {
    "wait": "no_approval",
    "skip": "skipped",
    "fail": "no_approval",
}


class Judging:
    """Turns decisions into what is recorded of them, and puts the questions."""

    def __init__(self, *, handler: CommandHandler, render_card: CardRenderer, clock: Clock, ids: Ids) -> None:
        self._handler = handler
        self._render_card = render_card
        self._clock = clock
        self._ids = ids

    def judged(
        self,
        task: Task,
        step: Step,
        on_ask: OnAsk,
        view: SessionView,
        actions: Sequence[Action],
        decided: Sequence[Decided],
        *,
        asked_by: str = "",
        staged: CommandsChanges | None = None,
    ) -> tuple[tuple[Proposal, ...], tuple[Order, ...]]:
        """Return the proposals of a step's next actions, and the orders that go with them: a question, uses.

        Of the changes of a command that go together, nobody is asked about any where one is denied.
        """
        names = [f"{task.task_id}.{task.actions + number}" for number in range(1, len(actions) + 1)]
        uses = uses_of(decided, names)
        together = staged is not None and staged.together
        dropped = on_ask == "wait" and together and any(one.decision.verdict == "deny" for one in decided)
        asks = on_ask == "wait" and not dropped and any(needs_answer(one.decision) for one in decided)
        confirmation_id = self._ids.new("confirmation") if asks else ""
        unasked = "withdrawn" if dropped else _UNASKED[on_ask]
        proposals = tuple(
            Proposal(
                action=action,
                digest=digest_of(action),
                decision=one.decision,
                facts=recorded(one.facts),
                scope_digest=view.scope_digest,
                confirmation_id=confirmation_id if needs_answer(one.decision) else "",
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
        question = self._question(task, step, view, confirmation_id, items, asked_by=asked_by, staged=staged)
        return proposals, (question, *uses)

    def _question(
        self,
        task: Task,
        step: Step,
        view: SessionView,
        confirmation_id: str,
        items: tuple[CardItem, ...],
        *,
        asked_by: str = "",
        changed: str = "",
        unknown_outcome: bool = False,
        staged: CommandsChanges | None = None,
    ) -> Order:
        now = self._clock.now()
        patience = None if task.plan is None else task.plan.answer_within_s
        expires_at = now + timedelta(seconds=min(patience or limits.CONFIRMATION_TTL_S, limits.CONFIRMATION_TTL_MAX_S))
        digest = digest_of_question([(item.digest, item.facts) for item in items])
        card = self._render_card(
            CardRequest(
                confirmation_id=confirmation_id,
                task_id=task.task_id,
                task_title=task.title,
                step_title=step.title,
                step_description=step.description,
                asked_by=asked_by or self._chain(task),
                items=items,
                scope=view.scope,
                digest=digest,
                now=now,
                expires_at=expires_at,
                changed=changed,
                unknown_outcome=unknown_outcome,
                staged=staged,
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

    def _chain(self, task: Task) -> str:
        """Return who asks: the task, or the subagents from the task that a person started down to the one that asks."""
        names = [f"subagent {task.subagent_id}" if task.subagent_id else f"task {task.task_id}"]
        while task.parent_task_id:
            task = existing(self._handler.known(task.parent_task_id, TASK).state)
            names.append(f"subagent {task.subagent_id}" if task.subagent_id else f"task {task.task_id}")
        return " › ".join(reversed(names))

    def asked_again(
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
        """Return the orders that ask about an action once more, saying what is no longer as it was shown."""
        confirmation_id = self._ids.new("confirmation")
        ask = AskAgain(
            action_id=action.action_id,
            confirmation_id=confirmation_id,
            decision=decision,
            facts=recorded(facts),
            scope_digest=view.scope_digest,
            changed=changed,
        )
        item = CardItem(action.action_id, action.action, action.digest, decision, facts)
        question = self._question(
            task, step, view, confirmation_id, (item,), changed=changed, unknown_outcome=unknown_outcome
        )
        return (order_task(task.task_id, ask), question)


def needs_answer(decision: Decision) -> bool:
    """Whether a person has to answer, and no remembered approval does."""
    return decision.verdict == "allow_with_confirm" and not decision.is_leave


def recorded(facts: Facts) -> Facts:
    """Return the facts as events keep them: the preview is the card's, and the card is kept with the question."""
    return msgspec.structs.replace(facts, preview="") if facts.preview else facts
