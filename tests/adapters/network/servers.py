"""Real servers on loopback, a resolver that answers what a test says, and a dial that notes whom it is asked for."""

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import anyio
from anyio.abc import ByteStream, SocketAttribute, SocketStream
from anyio.streams.tls import TLSStream

Handler = Callable[[ByteStream], Awaitable[None]]

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Served: yes\r\n\r\nhello"


class Server:
    """A server that notes each connection and the bytes that came over it."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.connections = 0
        self.received: list[bytes] = []
        self.names: list[str | None] = []


async def read_request(stream: ByteStream) -> bytes:
    """Return one whole request: head and, where it says how long it is, body."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += await stream.receive()
    head, _, body = data.partition(b"\r\n\r\n")
    lengths = [int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")]
    wanted = lengths[0] if lengths else 0
    chunked = b"transfer-encoding: chunked" in head.lower()
    while len(body) < wanted or (chunked and not body.endswith(b"0\r\n\r\n")):
        body += await stream.receive()
    return head + b"\r\n\r\n" + body


@asynccontextmanager
async def serving(
    answer: bytes | Handler = OK, *, host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Server]:
    """Serve for the length of the block: bytes are the answer to one request, a handler has the connection."""
    listener = await anyio.create_tcp_listener(local_host=host, local_port=port)
    (one,) = listener.listeners
    server = Server(one.extra(SocketAttribute.local_port))

    async def handle(plain: SocketStream) -> None:
        server.connections += 1
        stream: ByteStream = plain
        try:
            async with plain:
                if tls is not None:
                    stream = await TLSStream.wrap(plain, server_side=True, ssl_context=tls, standard_compatible=False)
                if isinstance(answer, bytes):
                    server.received.append(await read_request(stream))
                    await stream.send(answer)
                    await stream.send_eof() if tls is None else None
                else:
                    await answer(stream)
        except (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError, ssl.SSLError):
            pass

    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, handle)
        try:
            yield server
        finally:
            tasks.cancel_scope.cancel()


class Names:
    """A resolver: each name's answers, one after the other; the last one stays. It notes what it is asked for."""

    def __init__(self, answers: Mapping[str, Sequence[Sequence[str]]]) -> None:
        self._answers = {name: list(rounds) for name, rounds in answers.items()}
        self.asked: list[str] = []

    async def __call__(self, name: str) -> Sequence[str]:
        self.asked.append(name)
        rounds = self._answers.get(name)
        if rounds is None:
            raise OSError(-2, "Name or service not known")
        return rounds.pop(0) if len(rounds) > 1 else rounds[0]


def names(**answers: str) -> Names:
    """Return a resolver for `name_test="address"` with one answer each."""
    return Names({name.replace("_", "."): [[address]] for name, address in answers.items()})


class Elsewhere(SocketStream):
    """A connection to loopback that says that it leads to the address that was dialled."""

    def __init__(self, stream: SocketStream, peer: tuple[str, int]) -> None:
        self._stream = stream
        self._peer = peer

    @property
    def _raw_socket(self) -> Any:
        raise NotImplementedError

    @property
    def extra_attributes(self) -> Mapping[Any, Callable[[], Any]]:
        return {**self._stream.extra_attributes, SocketAttribute.remote_address: lambda: self._peer}

    async def receive(self, max_bytes: int = 65536) -> bytes:
        return await self._stream.receive(max_bytes)

    async def send(self, item: bytes) -> None:
        await self._stream.send(item)

    async def send_eof(self) -> None:
        await self._stream.send_eof()

    async def aclose(self) -> None:
        await self._stream.aclose()


class Detour:
    """Dials loopback instead of the address that it is asked for, which it notes."""

    def __init__(self, port: int, answering: str = "") -> None:
        self._port = port
        self._answering = answering
        self.dialled: list[tuple[str, int]] = []

    async def __call__(self, address: str, port: int) -> SocketStream:
        self.dialled.append((address, port))
        stream = await anyio.connect_tcp("127.0.0.1", self._port)
        return Elsewhere(stream, (self._answering or address, port))


async def dial_nobody(address: str, port: int) -> SocketStream:
    """Fail, for tests in which nothing may be dialled."""
    raise AssertionError(f"{address}:{port} was dialled")
