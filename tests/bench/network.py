"""What the network guard costs: a request as an action against the same request with plain httpx, on loopback."""

import time
from collections.abc import Awaitable, Callable
from statistics import median

import anyio
import anyio.to_thread
import httpx
from anyio.abc import SocketAttribute, SocketStream

from cowork.adapters.blobs.memory import MemoryBlobStore
from cowork.adapters.network.executor import NetworkExecutor
from cowork.domain.action import NetworkRequest, digest_of
from cowork.domain.facts import Facts
from cowork.domain.scope import GrantedHost, Scope
from cowork.engine.ports import Done, Permit
from tests.bench.figure import Figure
from tests.bench.single import NOW

REQUESTS = 300
BODY = b"one line of an answer\n" * 190
ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n" % len(BODY) + BODY
)


class _Alone:
    """Neither files nor connections: a request asks for none of it."""

    def hides(self, grant_id: str, path: str, state: object) -> bool:
        return False

    async def connection(self, connection: object) -> None:
        raise AssertionError("a request is not a command")

    def output(self, stream: str, chunk: bytes) -> None:
        raise AssertionError("a request prints nothing")


def measure_network(rounds: int) -> list[Figure]:
    """Return how long a request takes in all, against plain httpx that opens a connection for each, as we do."""
    return anyio.run(_measure, rounds)


async def _measure(rounds: int) -> list[Figure]:
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.listeners[0].extra(SocketAttribute.local_port)
    ratios: list[float] = []
    times_us: list[float] = []
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, _answer)
        ratios, times_us = await _rounds(f"http://127.0.0.1:{port}/a", f"127.0.0.1:{port}", rounds)
        tasks.cancel_scope.cancel()
    return [
        Figure(
            key="network-request",
            title="a request, guarded and reported",
            unit="x plain httpx",
            rounds=tuple(ratios),
            aim=1.05,
            better="less",
            absolute=f"{median(times_us):,.0f} us with a connection of its own",
        )
    ]


async def _answer(stream: SocketStream) -> None:
    async with stream:
        await stream.receive()
        await stream.send(ANSWER)


async def _rounds(url: str, granted: str, rounds: int) -> tuple[list[float], list[float]]:
    blobs = MemoryBlobStore()
    executor = NetworkExecutor(blobs)
    action = NetworkRequest(method="GET", url=url)
    permit = Permit(
        position=1,
        action_id="task-1.1",
        attempt=1,
        action=action,
        digest=digest_of(action),
        facts=Facts(now=NOW),
        scope=Scope(hosts=(GrantedHost(grant_id="grant-1", host=granted),)),
        sight=_Alone(),
        witness=_Alone(),
    )

    async def guarded() -> None:
        outcome = await executor.perform(permit)
        assert isinstance(outcome, Done)

    # The same work without the guard: a connection for each request, the body read whole and kept, no certificates.
    limits = httpx.Limits(max_keepalive_connections=0)
    async with httpx.AsyncClient(trust_env=False, verify=False, limits=limits) as client:

        async def plain() -> None:
            answer = await client.get(url)
            kept = await anyio.to_thread.run_sync(blobs.put, answer.content)
            assert kept.size == len(BODY)

        ratios, times_us = [], []
        for _ in range(rounds):
            plain_s, guarded_s = [], []
            # In turns, because the machine's own speed drifts within a round.
            for _ in range(REQUESTS):
                plain_s.append(await _seconds(plain))
                guarded_s.append(await _seconds(guarded))
            ratios.append(median(guarded_s) / median(plain_s))
            times_us.append(1e6 * median(guarded_s))
    return ratios, times_us


async def _seconds(request: Callable[[], Awaitable[None]]) -> float:
    began = time.perf_counter()
    await request()
    return time.perf_counter() - began
