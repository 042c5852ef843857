"""Remembering an approval: what would be kept is worked out and shown before it is kept."""

from collections.abc import Callable, Iterable
from datetime import datetime

import msgspec

from ..domain.approvals import RememberApproval
from ..domain.confirmation import Approve, ConfirmationRequested, NoConfirmation, Pending
from ..domain.errors import DomainError
from ..domain.ids import root_task_id
from ..domain.policy_approval import Approval, find_approval, is_about
from ..domain.policy_decision import Decision, judge
from ..domain.policy_remember import Wish, make_approval, near_misses, sentence_of
from ..domain.policy_request import Request
from ..domain.policy_risk import tags_of_request
from ..domain.policy_translation import request_of
from ..domain.task import Awaiting, NoTask, OpenAction, Task, open_questions
from .command_handler import CONFIRMATION, TASK, CommandHandler, Order, order_approval, order_confirmation
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


class AlsoAnswered(msgspec.Struct, frozen=True, rename="camel"):
    """Another open question of the task that the approval answers, too: it is approved with it."""

    confirmation_id: str
    digest: str
    headline: str


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
    also_answers: tuple[AlsoAnswered, ...] = ()


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
        view = self._views.view_of(self._task(question))
        names = {"session": question.session_id, "task": root_task_id(question.task_id)}
        requests = [request_of(one.action, phase.judgement.facts, view.scope, **names) for one, phase in actions]
        decisions = [phase.judgement.decision for _, phase in actions]
        approval = make_approval(self._ids.new("approval"), requests, decisions, wish, self._clock.now())
        if not self._answers(approval, question, view):
            raise DomainError("denied", "what would be remembered does not answer this very question", "answer it once")
        answered, asked = self._in_history(approval)
        return Offer(
            approval=approval,
            sentence=sentence_of(approval),
            would_have_answered=len(answered),
            past_questions=asked,
            examples=tuple(f"{past.action_id}: {past.shown}" for past in answered[-EXAMPLES_MAX:]),
            near_misses=self._near_misses(approval, requests[0], view),
            also_answers=self._also_answered(approval, question, view),
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

    def _task(self, question: ConfirmationRequested) -> Task:
        task = self._handler.load(question.task_id, TASK).state
        if isinstance(task, NoTask):
            raise DomainError("not_found", f"there is no task `{question.task_id}`")
        return task

    def _answers(self, approval: Approval, question: ConfirmationRequested, view: SessionView) -> bool:
        """Whether the approval answers for every action of a question."""
        names = {"session": question.session_id, "task": root_task_id(question.task_id)}
        return all(
            view.policy.decide(
                one.action, phase.judgement.facts, view.scope, approvals=(approval,), **names
            ).approval_id
            == approval.id
            for one, phase in self._actions_of(question)
        )

    def _also_answered(
        self, approval: Approval, question: ConfirmationRequested, view: SessionView
    ) -> tuple[AlsoAnswered, ...]:
        """Return the task's other open questions that it answers; one with a number of uses is kept for later ones."""
        others = set(open_questions(self._task(question))) - {question.confirmation_id}
        if approval.uses_left is not None:
            return ()
        states = (self._handler.load(name, CONFIRMATION).state for name in sorted(others))
        return tuple(
            AlsoAnswered(state.request.confirmation_id, state.request.digest, state.request.card.headline)
            for state in states
            if isinstance(state, Pending)
            and state.request.purpose == "action"
            and self._answers(approval, state.request, view)
        )

    def _actions_of(self, question: ConfirmationRequested) -> list[tuple[OpenAction, Awaiting]]:
        task = self._task(question)
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
        frames = view.policy.frames(view.scope)
        missed: list[str] = []
        for near, words in near_misses(approval, request):
            judgement = judge(frames, near)
            tags = (*tags_of_request(near), *judgement.rule_tags)
            if find_approval((approval,), near, judgement, tags) is None:
                missed.append(words)
        return tuple(missed[:NEAR_MISSES_SHOWN])


def orders_of(offer: Offer, question: str, by: str, now: datetime) -> tuple[Order, ...]:
    """Return the orders that keep what was offered, and answer what it answers already."""
    remember = RememberApproval(
        approval=offer.approval, sentence=offer.sentence, confirmation_id=question, remembered_by=by
    )
    note = f"remembered as {offer.approval.id}"
    answers = (
        order_confirmation(one.confirmation_id, Approve(digest=one.digest, answered_by=by, now=now, note=note))
        for one in offer.also_answers
    )
    return (order_approval(remember), *answers)
