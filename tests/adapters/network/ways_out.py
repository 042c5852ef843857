"""A way out with a client on it that says exactly what a test wants."""

import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import anyio

from cowork.adapters.network.bounds import ProxyLimits
from cowork.adapters.network.connect_proxy import ConnectProxy
from cowork.adapters.network.reach import Dial, IsOwn, Resolve, dial_address, is_own_address
from cowork.engine.ports import Connection, Traffic
from tests.adapters.network.requests import Log


class WayOut:
    """One open way out: its log, its traffic, and what a client says and hears."""

    def __init__(self, port: int, log: Log, traffic: Traffic) -> None:
        self.port = port
        self.log = log
        self.traffic = traffic

    @property
    def told(self) -> list[Connection]:
        return self.log.connections

    async def say(self, data: bytes, *, ends: bool = False) -> bytes:
        """Send bytes on a new connection and return all that is answered; with `ends`, nothing more is sent."""
        heard = b""
        with anyio.fail_after(10):
            async with await anyio.connect_tcp("127.0.0.1", self.port) as stream:
                await stream.send(data)
                if ends:
                    await stream.send_eof()
                try:
                    while True:
                        heard += await stream.receive()
                except (anyio.EndOfStream, anyio.BrokenResourceError):
                    return heard

    async def connect(self, target: str) -> bytes:
        return await self.say(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode("latin-1"))

    async def get(self, url: str, *lines: str) -> bytes:
        head = "".join(f"{line}\r\n" for line in (f"GET {url} HTTP/1.1", "Host: whatever.test", *lines))
        return await self.say(f"{head}\r\n".encode("latin-1"))


@asynccontextmanager
async def way_out(
    hosts: Sequence[str],
    resolve: Resolve,
    *,
    addresses: Sequence[str] = (),
    dial: Dial = dial_address,
    is_own: IsOwn = is_own_address,
    limits: ProxyLimits | None = None,
) -> AsyncIterator[WayOut]:
    """Open a way out for the length of the block."""
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    log = Log()
    proxy = ConnectProxy(resolve=resolve, dial=dial, is_own=is_own, limits=limits)
    async with proxy.serve(listener, hosts, addresses, log) as traffic:
        yield WayOut(port, log, traffic)


def status_of(answer: bytes) -> int:
    """Return the status of an answer of the proxy or of the server behind it."""
    return int(answer.split(b" ", 2)[1])
