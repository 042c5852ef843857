"""Commands run only in a sandbox that was tried out: the self test of this machine, put on record and asked about."""

import hashlib
from collections.abc import Callable, Sequence

from ..domain.sandbox import SANDBOX_STREAM, Canary, RecordCheck
from .command_handler import SANDBOX, CommandHandler, order_sandbox
from .ports import SelfTest


async def try_out(self_tests: Sequence[SelfTest]) -> tuple[Canary, ...]:
    """Run every self test and return all that was found."""
    return tuple([canary for one in self_tests for canary in await one.run()])


class SandboxCheck:
    """Makes the self test when it has not been made of this machine as it is now. One per process."""

    def __init__(self, handler: CommandHandler, make_self_tests: Callable[[], Sequence[SelfTest]]) -> None:
        self._handler = handler
        self._make = make_self_tests
        self._made: Sequence[SelfTest] | None = None

    async def run(self) -> tuple[Canary, ...]:
        """Try everything out, put the result on record where it is a new one, and return it."""
        fingerprint = self.fingerprint()
        canaries = await try_out(self._self_tests())
        order = order_sandbox(RecordCheck(fingerprint, canaries))
        await self._handler.execute(order, actor="engine", cause="self-test")
        return canaries

    async def find_missing(self, *, network: bool) -> str | None:
        """Return why commands can't run here and what to do about it, None where they can.

        The test is made first where there is none of this very machine on record.
        """
        if not self._self_tests():
            return "nothing here can carry out commands"
        fingerprint = self.fingerprint()
        known = self._handler.load(SANDBOX_STREAM, SANDBOX).state
        if known.fingerprint != fingerprint:
            await self.run()
            known = self._handler.load(SANDBOX_STREAM, SANDBOX).state
        missing = known.missing(fingerprint, network=network)
        if not missing:
            return None
        first = missing[0]
        more = f" (and {len(missing) - 1} more: see `cowork doctor`)" if len(missing) > 1 else ""
        return f"the sandbox does not hold: {first.detail}{f'; {first.hint}' if first.hint else ''}{more}"

    def fingerprint(self) -> str:
        """Return `sha256:<hex>` of all that the results depend on."""
        each = "\n".join(one.fingerprint() for one in self._self_tests())
        return f"sha256:{hashlib.sha256(each.encode()).hexdigest()}"

    def _self_tests(self) -> Sequence[SelfTest]:
        if self._made is None:
            # Most runs of the program carry out no command: what tries the sandbox out is loaded when it is needed.
            self._made = self._make()
        return self._made
