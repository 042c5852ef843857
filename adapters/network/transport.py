"""The httpx transport of one decided request: it reaches that host and port and nothing else, at a checked address."""

import ssl
from collections.abc import AsyncIterable, AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import anyio
import httpcore
import httpx
from anyio.abc import SocketStream

from ...domain.network_url import DEFAULT_PORTS, Url
from .bounds import RequestLimits
from .problem import NetworkProblem
from .reach import Reach
from .stream import CountedStream, OneConnection, Tally

READ_BYTES: Final = 64 * 1024
"""How much httpcore reads at a time."""


class GuardedTransport(httpx.AsyncBaseTransport):
    """Carries one request to the host and port of `url`.

    The host is looked up once, all its addresses are checked, and the one that is dialled is in `address` from then
    on; the `Host` header, SNI and the certificate are the name's. Neither proxies nor environment variables nor
    cookies exist here, and a redirect is an answer like any other. Raises `NetworkProblem`.
    """

    def __init__(
        self,
        url: Url,
        *,
        reach: Reach,
        granted: Sequence[str],
        tls: ssl.SSLContext | None,
        limits: RequestLimits,
    ) -> None:
        self._url = url
        self._reach = reach
        self._granted = granted
        self._tls = tls
        self._limits = limits
        self._pool: httpcore.AsyncConnectionPool | None = None
        self.address = ""
        self._stream: CountedStream | None = None
        # Until the head is whole nothing may come but heads, of which a server can send any number.
        self.tally = Tally(anyio.current_time() + limits.total_s, limits.answer_head_bytes + READ_BYTES)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request and return the answer, whose body is yet to be read."""
        url = self._url
        asked = (request.url.scheme, request.url.host, request.url.port or DEFAULT_PORTS[url.scheme])
        if asked != (url.scheme, url.address, url.port) or request.url.raw_path != url.target.encode("ascii"):
            raise NetworkProblem("net_denied", f"`{request.url.host}` was not decided about")
        if self._pool is not None:
            raise NetworkProblem("net_denied", "each request is decided about and connected anew")
        self._stream = CountedStream(await self._connect(), self.tally)
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=self._tls,
            max_connections=1,
            max_keepalive_connections=0,
            network_backend=OneConnection(self._stream, url.address, url.port),
        )
        assert isinstance(request.stream, httpx.AsyncByteStream)
        idle_s = self._limits.idle_s
        with _problems():
            response = await self._pool.handle_async_request(
                httpcore.Request(
                    method=request.method.encode("ascii"),
                    url=httpcore.URL(
                        scheme=url.scheme.encode("ascii"),
                        host=url.address.encode("ascii"),
                        port=url.port,
                        target=url.target.encode("ascii"),
                    ),
                    headers=request.headers.raw,
                    content=request.stream,
                    extensions={"timeout": {"connect": idle_s, "read": idle_s, "write": idle_s, "pool": idle_s}},
                )
            )
        assert isinstance(response.stream, AsyncIterable)
        self._check_head(response)
        # What is unpacked is counted where it is unpacked; here its packed form, with what holds its parts together.
        self.tally.received_max += self._limits.answer_bytes + self._limits.answer_head_bytes
        return httpx.Response(status_code=response.status, headers=response.headers, stream=_Body(response.stream))

    async def _connect(self) -> SocketStream:
        """Connect to the first address that answers."""
        with anyio.move_on_at(self.tally.deadline):
            addresses = await self._reach.find(self._url.host, self._url.port, self._granted)
            for number, address in enumerate(addresses, 1):
                self.address = address
                try:
                    return await self._reach.connect(address, self._url.port)
                except NetworkProblem:
                    if number == len(addresses):
                        raise
        raise NetworkProblem("limit", "it took too long in all")

    def _check_head(self, response: httpcore.Response) -> None:
        size = sum(len(name) + len(value) + 4 for name, value in response.headers)
        if len(response.headers) > self._limits.answer_headers or size > self._limits.answer_head_bytes:
            raise NetworkProblem("limit", f"the answer has {len(response.headers)} headers of {size:,} bytes")

    async def aclose(self) -> None:
        """End the connection."""
        if self._pool is not None:
            await self._pool.aclose()
        if self._stream is not None:
            await self._stream.aclose()


class _Body(httpx.AsyncByteStream):
    """The body of an answer as it came."""

    def __init__(self, stream: AsyncIterable[bytes]) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _problems():
            async for chunk in self._stream:
                yield chunk


@contextmanager
def _problems() -> Iterator[None]:
    """Turn httpcore's errors into `NetworkProblem`."""
    try:
        yield
    except httpcore.TimeoutException as error:
        raise NetworkProblem("limit", "the server took too long") from error
    except (httpcore.NetworkError, httpcore.ProtocolError) as error:
        words = str(error).rstrip(".") or type(error).__name__
        raise NetworkProblem("io", f"the connection failed: {words[:1].lower()}{words[1:]}") from error
