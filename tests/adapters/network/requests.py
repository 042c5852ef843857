"""Permits for requests, as the pipeline would make them."""

from datetime import UTC, datetime
from typing import Literal

from cowork.adapters.blobs.memory import MemoryBlobStore
from cowork.adapters.network.bounds import ReachLimits, RequestLimits
from cowork.adapters.network.executor import NetworkExecutor
from cowork.adapters.network.reach import Dial, IsOwn, Resolve, dial_address, is_own_address
from cowork.adapters.network.trust_store import Trust, trust_system
from cowork.domain.action import Content, NetworkRequest, digest_of
from cowork.domain.effect import Result
from cowork.domain.errors import DomainError
from cowork.domain.facts import Facts, FileState
from cowork.domain.scope import GrantedHost, Scope
from cowork.engine.ports import Connection, Done, Outcome, Permit

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


class Blind:
    """Nothing is hidden from a request: it sees no files."""

    def hides(self, grant_id: str, path: str, state: FileState) -> bool:
        return False


class Log:
    """A witness that keeps what it is told; with `broken`, a store that can't take it."""

    def __init__(self) -> None:
        self.connections: list[Connection] = []
        self.broken = False

    async def connection(self, connection: Connection) -> None:
        if self.broken:
            raise DomainError("unavailable", "the store is full")
        self.connections.append(connection)

    def output(self, stream: Literal["stdout", "stderr"], chunk: bytes) -> None:
        raise AssertionError("a connection prints nothing")


def scope_of(*hosts: str, revoked: tuple[str, ...] = ()) -> Scope:
    granted = [GrantedHost(grant_id=f"grant-{host}", host=host, revoked=host in revoked) for host in (*hosts, *revoked)]
    return Scope(hosts=tuple(granted))


def permit_of(action: NetworkRequest, scope: Scope) -> Permit:
    return Permit(
        position=1,
        action_id="task-1.1",
        attempt=1,
        action=action,
        digest=digest_of(action),
        facts=Facts(now=NOW),
        scope=scope,
        sight=Blind(),
        witness=Log(),
    )


class Client:
    """An executor with its blobs."""

    def __init__(
        self,
        resolve: Resolve,
        *,
        dial: Dial = dial_address,
        is_own: IsOwn = is_own_address,
        trust: Trust = trust_system,
        limits: RequestLimits | None = None,
        reach_limits: ReachLimits | None = None,
    ) -> None:
        self.blobs = MemoryBlobStore()
        self.executor = NetworkExecutor(
            self.blobs,
            resolve=resolve,
            dial=dial,
            is_own=is_own,
            trust=trust,
            limits=limits,
            reach_limits=reach_limits,
        )

    async def request(
        self,
        method: str,
        url: str,
        *granted: str,
        headers: tuple[tuple[str, str], ...] = (),
        body: bytes | None = None,
    ) -> Outcome:
        content: Content | None = None if body is None else self.blobs.put(body)
        action = NetworkRequest(method=method, url=url, headers=headers, body=content)
        return await self.executor.perform(permit_of(action, scope_of(*granted)))

    async def get(self, url: str, *granted: str) -> Outcome:
        return await self.request("GET", url, *granted)

    def body_of(self, outcome: Outcome) -> bytes:
        found = result_of(outcome)
        return self.blobs.get(found.digest) if found.digest else b""


def result_of(outcome: Outcome) -> Result:
    assert isinstance(outcome, Done), outcome
    assert outcome.result is not None
    assert outcome.result.response is not None
    return outcome.result
