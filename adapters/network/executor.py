"""The executor of `network.request`: one request to one decided host, at a checked address; redirects are answers."""

import ssl
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from datetime import datetime
from typing import Final
from urllib.parse import urljoin

import anyio
import anyio.to_thread
import httpx
import msgspec

from ...domain.action import Action, ActionKind, Content, NetworkRequest
from ...domain.effect import ResponseReport, Result
from ...domain.errors import DomainError
from ...domain.facts import Facts, Obstacle
from ...domain.http_method import IDEMPOTENCY_KEY, idempotency_key, is_idempotent, is_safe, wants_key
from ...domain.scope import Scope
from ...engine.ports import BlobStore, Done, Failed, Finding, NotApplied, Outcome, Permit, Unclear
from .body import counted, keep, unpacked
from .bounds import ReachLimits, RequestLimits
from .masking import masked, masked_headers, secrets_of
from .prepared import Prepared, prepare
from .problem import NetworkProblem
from .reach import Dial, IsOwn, Reach, Resolve, dial_address, is_own_address, resolve_name
from .transport import GuardedTransport
from .trust_store import Trust, trust_system

_KINDS: Final[frozenset[ActionKind]] = frozenset(["network.request"])
_GZIP: Final = frozenset(["gzip", "x-gzip"])


class NetworkExecutor:
    """Carries out `network.request`; see the `Executor` port.

    Only what is in force in `permit.scope.hosts` and is an address opens private addresses. Of a request that may have
    changed something and has no answer the outcome is `Unclear`; one that has an answer is done, whatever its status.
    Where a repetition would be another request, a key goes with it by which the server can tell one.

    What a probe can tell: `GET`, `HEAD` and `OPTIONS` change nothing, so they did not happen. Of any other method this
    process knows how far it came, if it was the one that was cut off: not happened where no byte had left, happened
    where the head of the answer had come. Else, and after a crash always, it can't be told: only the server knows.
    `resolve`, `dial` and `is_own` are the ways to names, addresses and interfaces; `trust` gives the certificates.
    """

    kinds: frozenset[ActionKind] = _KINDS

    def __init__(
        self,
        blobs: BlobStore,
        *,
        resolve: Resolve = resolve_name,
        dial: Dial = dial_address,
        is_own: IsOwn = is_own_address,
        trust: Trust = trust_system,
        limits: RequestLimits | None = None,
        reach_limits: ReachLimits | None = None,
    ) -> None:
        self._blobs = blobs
        self._reach = Reach(resolve=resolve, dial=dial, is_own=is_own, limits=reach_limits)
        self._trust = trust
        self._tls: ssl.SSLContext | None = None
        self._limits = limits or RequestLimits()
        # What is known of the attempts that were cut off here: a probe by another process knows nothing of them.
        self._cut_off: dict[tuple[str, int], Finding] = {}

    async def observe(self, actions: Sequence[Action], scope: Scope, now: datetime, *, batch: int) -> list[Facts]:  # noqa: ARG002 - the port's
        """Say what stands in the way of each request. Nothing is looked up: a name that is asked for is a message."""
        return [Facts(now=now, batch=batch, obstacle=await self._find_obstacle(action)) for action in actions]

    async def _find_obstacle(self, action: Action) -> Obstacle | None:
        if not isinstance(action, NetworkRequest):
            return Obstacle("unavailable", "this is no request to a server")
        prepared = prepare(action, self._limits)
        if isinstance(prepared, Obstacle):
            return prepared
        if action.body is not None and not await anyio.to_thread.run_sync(self._blobs.has, action.body.digest):
            return Obstacle("not_found", "the body of the request is not in the store")
        return None

    async def perform(self, permit: Permit) -> Outcome:
        """Send the request of the permit, once. `Failed` says that nothing was changed, `Unclear` that it may have.

        A cancellation ends the connection at once; a probe tells then how far it had come.
        """
        action = permit.action
        if not isinstance(action, NetworkRequest):
            return Failed("unavailable", "this is no request to a server")
        prepared = prepare(action, self._limits)
        if isinstance(prepared, Obstacle):
            return Failed(prepared.code, prepared.message)
        try:
            body = b"" if action.body is None else await anyio.to_thread.run_sync(self._body_of, action.body)
        except DomainError as error:
            return Failed("not_found" if error.code == "not_found" else "io", error.message)
        if prepared.url.scheme == "https" and self._tls is None:
            try:
                self._tls = await anyio.to_thread.run_sync(self._trust)
            except OSError as error:
                return Failed("unavailable", f"no certificates can be checked here: {error}")
        transport = GuardedTransport(
            prepared.url, reach=self._reach, granted=permit.scope.open_hosts, tls=self._tls, limits=self._limits
        )
        if wants_key(action):
            key = (IDEMPOTENCY_KEY, idempotency_key(permit.action_id, permit.digest))
            prepared = msgspec.structs.replace(prepared, headers=(*prepared.headers, key))
        exchange = Exchange(prepared, transport, self._blobs, self._limits)
        attempt = (permit.action_id, permit.attempt)
        outcome: Outcome | None = None
        try:
            outcome = await exchange.run(body)
            return _unclear(outcome.observed, action) if isinstance(outcome, Unclear) else outcome
        finally:
            if outcome is None:
                self._cut_off[attempt] = exchange.cut_off()
            with anyio.CancelScope(shield=True):
                await transport.aclose()

    def _body_of(self, content: Content) -> bytes:
        data = self._blobs.get(content.digest)
        if len(data) != content.size:
            raise DomainError("damaged", f"the body has {len(data):,} bytes and not {content.size:,} as approved")
        return data

    async def reconcile(self, permit: Permit) -> Finding:
        """Say what is known of an attempt without an outcome; see this class. Nothing is sent and nobody is asked."""
        action = permit.action
        if not isinstance(action, NetworkRequest) or is_safe(action.method):
            return NotApplied()
        found = self._cut_off.get((permit.action_id, permit.attempt))
        if found is None:
            return _unclear("the request may have been sent, and its answer was not received", action)
        return _unclear(found.observed, action) if isinstance(found, Unclear) else found


def _unclear(observed: str, action: NetworkRequest) -> Unclear:
    """Return what was observed with what sending it again comes to, for the person who says what is to be done."""
    if is_idempotent(action.method):
        again = f"a {action.method} comes to the same, unless somebody else changed it in between"
    else:
        whose = "the same" if wants_key(action) else "the plan's own"
        again = f"it bears {whose} `{IDEMPOTENCY_KEY}`, by which a server that heeds it does it only once"
    return Unclear(f"{observed}; sent again, {again}")


class Exchange:
    """One request and its answer, with how far it came."""

    def __init__(
        self, prepared: Prepared, transport: GuardedTransport, blobs: BlobStore, limits: RequestLimits
    ) -> None:
        self._prepared = prepared
        self._transport = transport
        self._blobs = blobs
        self._limits = limits
        self._secrets = secrets_of(prepared.headers)
        self._answer: httpx.Response | None = None

    async def run(self, body: bytes) -> Outcome:
        """Send it, and say what came of it."""
        prepared = self._prepared
        request = httpx.Request(
            prepared.method, str(prepared.url), headers=prepared.all_headers(), content=body or None
        )
        try:
            self._answer = answer = await self._transport.handle_async_request(request)
            async with aclosing(self._body_of(answer)) as chunks:
                content = await keep(chunks, self._blobs)
        except NetworkProblem as problem:
            return self._broken_off(problem)
        except DomainError as error:
            return self._broken_off(NetworkProblem("io", error.message))
        return Done(result=self._result(answer, content, ""))

    def cut_off(self) -> Finding:
        """Say what is known of an exchange that was broken off from outside, at the point that it had reached."""
        if self._prepared.is_safe or not self._transport.tally.is_sent:
            return NotApplied()
        outcome = self._broken_off(NetworkProblem("interrupted", "it was interrupted"))
        return outcome if isinstance(outcome, Done | Unclear) else NotApplied()

    async def _body_of(self, answer: httpx.Response) -> AsyncGenerator[bytes, None]:
        """Yield the body, unpacked where it is packed once with gzip; other forms stay as they came."""
        packed = _is_packed(answer)
        async with aclosing(counted(answer.aiter_raw(), self._limits.answer_bytes)) as chunks:
            if not packed:
                async for chunk in chunks:
                    yield chunk
                return
            async with aclosing(unpacked(chunks, self._limits.answer_bytes)) as pieces:
                async for piece in pieces:
                    yield piece

    def _broken_off(self, problem: NetworkProblem) -> Outcome:
        reason = masked(problem.reason, self._secrets)
        if self._answer is not None:
            result = self._result(self._answer, None, f": its body is not kept, because {reason}")
            # The server has answered: what it did is done, and only of a safe request is the body all that matters.
            return Failed(problem.reason_code, reason, result) if self._prepared.is_safe else Done(result=result)
        if self._transport.tally.is_sent and not self._prepared.is_safe:
            return Unclear(f"the request was sent to {self._place()}, and no whole answer came: {reason}")
        return Failed(problem.reason_code, reason)

    def _result(self, answer: httpx.Response, content: Content | None, remark: str) -> Result:
        report = self._report(answer, is_unpacked=content is not None and _is_packed(answer))
        size = 0 if content is None else content.size
        if report.location and not remark:
            remark = ": it points elsewhere, which is not followed"
        return Result(
            summary=f"{report.status}, {size:,} {'byte' if size == 1 else 'bytes'} from {self._place()}{remark}",
            digest="" if content is None else content.digest,
            size=size,
            response=report,
        )

    def _report(self, answer: httpx.Response, *, is_unpacked: bool) -> ResponseReport:
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in answer.headers.raw]
        if is_unpacked:
            # They are about the packed form, which is not what was kept.
            headers = [one for one in headers if one[0].lower() not in ("content-encoding", "content-length")]
        location = next((value for name, value in headers if name.lower() == "location"), "")
        tally = self._transport.tally
        return ResponseReport(
            status=answer.status_code,
            headers=masked_headers(headers, self._secrets),
            location=masked(self._absolute(location), self._secrets) if 300 <= answer.status_code < 400 else "",
            address=self._transport.address,
            port=self._prepared.url.port,
            bytes_sent=tally.sent,
            bytes_received=tally.received,
        )

    def _absolute(self, location: str) -> str:
        """Return where an answer points as a whole URL; as it was written where that can't be worked out."""
        try:
            return urljoin(str(self._prepared.url), location) if location else ""
        except ValueError:
            return location

    def _place(self) -> str:
        """Return the host with the address that was dialled."""
        host, address = self._prepared.url.host.name, self._transport.address
        return host if host.strip("[]") == address else f"{host} ({address})"


def _is_packed(answer: httpx.Response) -> bool:
    return answer.headers.get("content-encoding", "").strip().lower() in _GZIP
