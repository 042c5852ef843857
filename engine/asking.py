"""Putting questions to the person who is there: one at a time, while other work goes on or when nothing else can."""

from collections.abc import Callable

import anyio

from ..domain.errors import DomainError
from .answering import Answering, Asker


class Asking:
    """Asks for one run, as long as it `goes_on`. A question that the person left open is not put a second time."""

    def __init__(self, answering: Answering, asker: Asker | None, goes_on: Callable[[], bool]) -> None:
        self._answering = answering
        self._asker = asker
        self._goes_on = goes_on
        self._left_open: set[str] = set()
        self._scope: anyio.CancelScope | None = None

    @property
    def is_open(self) -> bool:
        """Whether a question is being put while other work goes on."""
        return self._scope is not None

    def open(self) -> None:
        """Note that a question is about to be put while other work goes on."""
        self._scope = anyio.CancelScope()

    def close(self) -> None:
        """Note that it is over."""
        self._scope = None

    def stop(self) -> None:
        """Take back what is being asked: the run is over."""
        if self._scope is not None:
            self._scope.cancel()

    def to_ask(self, pending: list[str]) -> list[str]:
        """Return which of the questions may be put right now."""
        if self._asker is None or self._scope is not None:
            return []
        return [name for name in pending if name not in self._left_open]

    async def ask(self, pending: list[str]) -> bool:
        """Put the questions in turn that were not left open before, until one is answered, here or elsewhere.

        Returns whether the run has to look again: one was answered, or the run was stopped meanwhile.
        """
        if self._asker is None:
            return False
        with self._scope or anyio.CancelScope():
            return await self._ask(self._asker, pending)
        return False

    async def _ask(self, asker: Asker, pending: list[str]) -> bool:
        for confirmation_id in pending:
            if confirmation_id in self._left_open:
                continue
            # Who stopped the task while a question was open has not asked for the next one.
            if not self._goes_on():
                return True
            question = self._answering.question(confirmation_id)
            if question is None:
                return True
            answer = await asker.ask(question)
            if answer is None:
                self._left_open.add(confirmation_id)
                continue
            try:
                await self._answering.answer(confirmation_id, question.digest, answer)
            except DomainError as error:
                # Somebody else was faster, or the time ran out while it was open: the answer on record counts.
                if error.code not in ("conflict", "expired"):
                    raise
            return True
        return not self._goes_on()
