"""What goes between a command and a server once it was decided that it may: a tunnel, or one request and its answer."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Final, TypeAlias

import anyio
import h11
from anyio.abc import ByteStream, SocketStream

from ...engine.ports import Traffic
from .bounds import ProxyLimits
from .proxy_request import Incoming, ProxyRequest, end_to_end, headers_to_send

_READ_BYTES: Final = 64 * 1024
_PARTING_S: Final = 1.0
_PARTING_READS: Final = 64

Moved: TypeAlias = Callable[[], None]
"""Told after each piece that went through."""


class CountedServer:
    """The server's side of one connection, with its bytes counted."""

    def __init__(self, stream: SocketStream, traffic: Traffic, moved: Moved) -> None:
        self._stream = stream
        self._traffic = traffic
        self._moved = moved

    async def send(self, data: bytes) -> None:
        """Send all of it."""
        # Counted before, so that nothing leaves uncounted.
        self._traffic.sent += len(data)
        await self._stream.send(data)
        self._moved()

    async def receive(self) -> bytes:
        """Return what came. Raises `anyio.EndOfStream`."""
        data = await self._stream.receive(_READ_BYTES)
        self._traffic.received += len(data)
        self._moved()
        return data

    async def send_eof(self) -> None:
        """Say that nothing more will be sent."""
        await self._stream.send_eof()


async def answer_briefly(incoming: Incoming, status: int, sentence: str) -> None:
    """Answer a request that goes nowhere, in one sentence, and end the connection."""
    body = f"{sentence}\n".encode()
    lines = (
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
        "Content-Type: text/plain; charset=utf-8",
        f"Content-Length: {len(body)}",
        "Connection: close",
    )
    # By hand, because h11 does not answer what it could not read.
    await incoming.stream.send("".join(f"{line}\r\n" for line in lines).encode() + b"\r\n" + body)
    await incoming.stream.send_eof()
    # What the command still sends is taken off its hands for a moment, or it would see a reset and not the answer.
    with anyio.move_on_after(_PARTING_S):
        for _ in range(_PARTING_READS):
            await incoming.stream.receive(_READ_BYTES)


@asynccontextmanager
async def within(limits: ProxyLimits) -> AsyncIterator[Moved]:
    """End the block when nothing moved for too long, or when it has lasted too long."""
    with anyio.move_on_after(limits.total_s), anyio.move_on_after(limits.idle_s) as idle:

        def moved() -> None:
            idle.deadline = anyio.current_time() + limits.idle_s

        yield moved


async def tunnel(client: ByteStream, server: CountedServer, early: bytes) -> None:
    """Hand bytes to and fro until both sides have ended. `early` came from the command together with its request."""
    if early:
        await server.send(early)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_upwards, client, server, tasks.cancel_scope)
        tasks.start_soon(_downwards, client, server, tasks.cancel_scope)


async def _upwards(client: ByteStream, server: CountedServer, scope: anyio.CancelScope) -> None:
    try:
        while True:
            await server.send(await client.receive(_READ_BYTES))
    except anyio.EndOfStream:
        await _end(server, scope)
    except (anyio.BrokenResourceError, anyio.ClosedResourceError):
        scope.cancel()


async def _downwards(client: ByteStream, server: CountedServer, scope: anyio.CancelScope) -> None:
    try:
        while True:
            await client.send(await server.receive())
    except anyio.EndOfStream:
        await _end(client, scope)
    except (anyio.BrokenResourceError, anyio.ClosedResourceError):
        scope.cancel()


async def _end(side: ByteStream | CountedServer, scope: anyio.CancelScope) -> None:
    try:
        await side.send_eof()
    except (OSError, anyio.BrokenResourceError, anyio.ClosedResourceError):
        scope.cancel()


async def forward(incoming: Incoming, request: ProxyRequest, server: CountedServer, limits: ProxyLimits) -> None:
    """Send one request on and its answer back, both written anew. What the command sends after it goes nowhere.

    Raises `h11.ProtocolError` where either side breaks the protocol, and what the streams raise.
    """
    assert request.url is not None
    http = h11.Connection(h11.CLIENT, max_incomplete_event_size=limits.answer_head_bytes)
    head = h11.Request(
        method=request.method,
        target=request.url.target,
        headers=headers_to_send(request, request.url.authority),
    )
    await _send(server, http, head)
    is_readable = False
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_send_body, incoming, server, http)
        is_readable = await _hand_back(incoming, server, http)
        # The answer is whole: the rest of a body that the server did not wait for is nobody's business.
        tasks.cancel_scope.cancel()
    if not is_readable:
        await answer_briefly(incoming, 502, "the server's answer can't be read")


async def _send_body(incoming: Incoming, server: CountedServer, http: h11.Connection) -> None:
    try:
        while True:
            event = await incoming.next_body_event()
            await _send(server, http, event)
            if isinstance(event, h11.EndOfMessage):
                return
    except (anyio.BrokenResourceError, anyio.ClosedResourceError):
        # A server may answer and hang up before it has read everything: its answer counts.
        return


async def _send(server: CountedServer, http: h11.Connection, event: h11.Event) -> None:
    data = http.send(event)
    if data:
        await server.send(data)


async def _hand_back(incoming: Incoming, server: CountedServer, http: h11.Connection) -> bool:
    """Hand an answer back; False where it could not be read, and nothing of it was handed back."""
    while True:
        try:
            event = await _next_of_answer(server, http)
        except h11.RemoteProtocolError:
            if incoming.http.our_state is not h11.SEND_RESPONSE:
                raise
            return False
        data = incoming.http.send(event)
        if data:
            await incoming.stream.send(data)
        if isinstance(event, h11.EndOfMessage):
            return True


async def _next_of_answer(server: CountedServer, http: h11.Connection) -> h11.Event:
    """Return the next part of the answer as the command gets it. Raises `h11.RemoteProtocolError`."""
    while (event := http.next_event()) is h11.NEED_DATA:
        try:
            http.receive_data(await server.receive())
        except anyio.EndOfStream:
            http.receive_data(b"")
    match event:
        case h11.InformationalResponse() | h11.Response():
            return _rewritten(event)
        case h11.Data():
            return event
        case h11.EndOfMessage():
            # Trailers are not for a client that did not ask for them.
            return h11.EndOfMessage()
        case _:
            raise h11.RemoteProtocolError("the answer is not whole")


def _rewritten(event: h11.InformationalResponse | h11.Response) -> h11.InformationalResponse | h11.Response:
    headers = end_to_end(list(event.headers))
    if isinstance(event, h11.InformationalResponse):
        return h11.InformationalResponse(status_code=event.status_code, headers=headers, reason=event.reason)
    return h11.Response(
        status_code=event.status_code, headers=[*headers, (b"connection", b"close")], reason=event.reason
    )
