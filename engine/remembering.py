"""Remembering an approval: what would be kept is worked out and shown before it is kept."""

from collections.abc import Callable, Iterable

import msgspec

from ..domain.approvals import RememberApproval
from ..domain.confirmation import ConfirmationRequested, NoConfirmation, Pending
from ..domain.errors import DomainError
from ..domain.policy_approval import Approval, find_approval, is_about
from ..domain.policy_decision import Decision, judge
from ..domain.policy_remember import Wish, make_approval, near_misses, sentence_of
from ..domain.policy_request import Request
from ..domain.policy_risk import tags_of_request
from ..domain.policy_translation import request_of
from ..domain.task import Awaiting, NoTask, OpenAction
from .command_handler import CONFIRMATION, TASK, CommandHandler, Order, order_approval
from .ports import Clock, Ids
from .session_view import SessionView, SessionViews

EXAMPLES_MAX = 5
NEAR_MISSES_SHOWN = 2


class PastQuestion(msgspec.Struct, frozen=True, kw_only=True):
    """A question of recorded history: which action, what it asked policy, and what policy said."""

    position: int
    action_id: str
    shown: str
    request: Request
    decision: Decision


class Offer(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What would be remembered. `wouldHaveAnswered` of the `pastQuestions` of the log, were they asked in its scope.

    `nearMisses` are requests much like the one at hand that would be asked about all the same.
    """

    approval: Approval
    sentence: str
    would_have_answered: int
    past_questions: int
    examples: tuple[str, ...] = ()
    near_misses: tuple[str, ...] = ()


class Remembering:
    """Works out what an approval of an open question would be, if it were remembered."""

    def __init__(
        self,
        *,
        handler: CommandHandler,
        views: SessionViews,
        past_questions: Callable[[], Iterable[PastQuestion]],
        clock: Clock,
        ids: Ids,
    ) -> None:
        self._handler = handler
        self._views = views
        self._past_questions = past_questions
        self._clock = clock
        self._ids = ids

    def offer(self, confirmation_id: str, wish: Wish) -> Offer:
        """Return what would be remembered. Raises `DomainError` not_found, conflict, denied or invalid."""
        question = self._open_question(confirmation_id)
        actions = self._actions_of(question)
        view = self._views.view(question.session_id)
        names = {"session": question.session_id, "task": question.task_id}
        requests = [request_of(one.action, phase.judgement.facts, view.scope, **names) for one, phase in actions]
        decisions = [phase.judgement.decision for _, phase in actions]
        approval = make_approval(self._ids.new("approval"), requests, decisions, wish, self._clock.now())
        for one, phase in actions:
            facts = phase.judgement.facts
            again = view.policy.decide(one.action, facts, view.scope, approvals=(approval,), **names)
            if again.approval_id != approval.id:
                raise DomainError(
                    "denied", f"what would be remembered does not answer for `{one.action_id}`", "answer it once"
                )
        answered, asked = self._in_history(approval)
        return Offer(
            approval=approval,
            sentence=sentence_of(approval),
            would_have_answered=len(answered),
            past_questions=asked,
            examples=tuple(f"{past.action_id}: {past.shown}" for past in answered[-EXAMPLES_MAX:]),
            near_misses=self._near_misses(approval, requests[0], view),
        )

    def _open_question(self, confirmation_id: str) -> ConfirmationRequested:
        state = self._handler.load(confirmation_id, CONFIRMATION).state
        if isinstance(state, NoConfirmation):
            raise DomainError("not_found", f"there is no confirmation `{confirmation_id}`")
        if not isinstance(state, Pending):
            raise DomainError("conflict", f"confirmation `{confirmation_id}` is not open any more")
        if state.request.purpose != "action":
            raise DomainError("denied", "what to do about an unknown outcome can't be remembered", "answer it once")
        return state.request

    def _actions_of(self, question: ConfirmationRequested) -> list[tuple[OpenAction, Awaiting]]:
        task = self._handler.load(question.task_id, TASK).state
        if isinstance(task, NoTask):
            raise DomainError("not_found", f"there is no task `{question.task_id}`")
        found = (task.open_actions.get(item.action_id) for item in question.items)
        actions = [(one, one.phase) for one in found if one is not None and isinstance(one.phase, Awaiting)]
        if len(actions) != len(question.items):
            raise DomainError("conflict", f"confirmation `{question.confirmation_id}` is not waited for any more")
        return actions

    def _in_history(self, approval: Approval) -> tuple[list[PastQuestion], int]:
        """Return the past questions that the approval would have answered in its scope, and how many there were."""
        answered: list[PastQuestion] = []
        asked = 0
        for past in self._past_questions():
            asked += 1
            if past.decision.rememberable and is_about(
                approval, past.request, past.decision.confirm_rules, past.decision.risk_tags
            ):
                answered.append(past)
        return answered, asked

    def _near_misses(self, approval: Approval, request: Request, view: SessionView) -> tuple[str, ...]:
        """Return what the evaluator confirms to be asked about, or denied, all the same."""
        frame = view.policy.frame(view.scope)
        missed: list[str] = []
        for near, words in near_misses(approval, request):
            judgement = judge((frame,), near)
            tags = (*tags_of_request(near), *judgement.rule_tags)
            if find_approval((approval,), near, judgement, tags) is None:
                missed.append(words)
        return tuple(missed[:NEAR_MISSES_SHOWN])


def order_remembering(offer: Offer, question: str, by: str) -> Order:
    """Return the order that keeps what was offered."""
    return order_approval(
        RememberApproval(approval=offer.approval, sentence=offer.sentence, confirmation_id=question, remembered_by=by)
    )
