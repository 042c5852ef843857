"""Invariant 4: a question is about what was found, is answered once and in time, and only a yes lets anything start."""

from typing import Literal, TypeAlias

import msgspec

from ..domain.confirmation import (
    ConfirmationApproved,
    ConfirmationEvent,
    ConfirmationExpired,
    ConfirmationRejected,
    ConfirmationRequested,
    ConfirmationWithdrawn,
    Finding,
)
from .audit_finding import Findings, Seen

Answer: TypeAlias = Literal["pending", "approved", "rejected", "expired", "withdrawn"]


class Question(msgspec.Struct):
    """A question as the log leaves it."""

    request: ConfirmationRequested
    answer: Answer = "pending"
    finding: Finding = ""
    answered_by: str = ""

    def covers(self, action_id: str, digest: str) -> bool:
        """Whether one of the question's items is this very action."""
        return any((item.action_id, item.digest) == (action_id, digest) for item in self.request.items)


class Questions:
    """All questions of tasks that are not over, and of each other one that it was answered."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._questions: dict[str, Question] = {}
        self._over: set[str] = set()

    def get(self, confirmation_id: str) -> Question | None:
        """Return the question, None where there is none of that name (or its task is over)."""
        return self._questions.get(confirmation_id)

    def forget(self, task_id: str) -> None:
        """Let go of the answered questions of a task that is over."""
        for name in [name for name, one in self._questions.items() if one.request.task_id == task_id]:
            if self._questions[name].answer != "pending":
                self._over.add(name)
                del self._questions[name]

    def on(self, seen: Seen, event: ConfirmationEvent) -> None:
        """Fold an event of a question."""
        name = event.confirmation_id
        if isinstance(event, ConfirmationRequested):
            self._findings.count("confirmations")
            if name in self._questions or name in self._over:
                self._findings.add(4, seen, f"question `{name}` was asked a second time")
                return
            self._questions[name] = Question(event)
            return
        question = self._questions.get(name)
        if question is None:
            said = "was answered already" if name in self._over else "was never asked"
            self._findings.add(4, seen, f"an answer to question `{name}`, which {said}")
            return
        if question.answer != "pending":
            self._findings.add(4, seen, f"question `{name}` was {question.answer} already")
            return
        question.answer = self._answer(seen, event, question.request)
        if isinstance(event, ConfirmationApproved):
            question.finding, question.answered_by = event.finding, event.answered_by
            if bool(event.finding) is not (question.request.purpose == "unknown_outcome"):
                self._findings.add(4, seen, "a finding belongs to a question about an unknown outcome, and to no other")

    def _answer(
        self,
        seen: Seen,
        event: ConfirmationApproved | ConfirmationRejected | ConfirmationExpired | ConfirmationWithdrawn,
        request: ConfirmationRequested,
    ) -> Answer:
        match event:
            case ConfirmationApproved(digest=digest) | ConfirmationRejected(digest=digest):
                if digest != request.digest:
                    self._findings.add(4, seen, "the answer is to another digest than the one that was shown")
                if seen.origin.at >= request.expires_at:
                    self._findings.add(4, seen, f"an answer after the question expired at {request.expires_at}")
                return "approved" if isinstance(event, ConfirmationApproved) else "rejected"
            case ConfirmationExpired():
                if seen.origin.at < request.expires_at:
                    self._findings.add(4, seen, f"expired before its time, {request.expires_at}")
                return "expired"
            case ConfirmationWithdrawn():
                return "withdrawn"
