"""A connection as httpcore wants it, which counts what goes through and ends when its time or its bytes are over."""

import ssl
from collections.abc import Iterable

import anyio
import httpcore
import msgspec
from anyio.abc import ByteStream
from anyio.streams.tls import TLSAttribute, TLSStream

from .problem import NetworkProblem, words_of


class Tally(msgspec.Struct):
    """What went through a connection, in bytes inside TLS, and how far it may go.

    `is_sent` turns true before the first byte of a request leaves. `deadline` is on anyio's clock.
    """

    deadline: float
    received_max: int
    sent: int = 0
    received: int = 0
    is_sent: bool = False

    def seconds(self, wish_s: float | None) -> float:
        """Return how long one read or write may take."""
        left = self.deadline - anyio.current_time()
        if left <= 0:
            raise NetworkProblem("limit", "it took too long in all")
        return left if wish_s is None else min(left, wish_s)


class CountedStream(httpcore.AsyncNetworkStream):
    """One connection over an anyio stream."""

    def __init__(self, stream: ByteStream, tally: Tally) -> None:
        self._stream = stream
        self._tally = tally

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109 - httpcore's name
        """Return what came, empty at the end. Raises `NetworkProblem` or httpcore's errors."""
        try:
            with anyio.fail_after(self._tally.seconds(timeout)):
                data = await self._stream.receive(max_bytes)
        except TimeoutError:
            self._tally.seconds(None)
            raise NetworkProblem("limit", f"the server was silent for {timeout or 0:g} s") from None
        except anyio.EndOfStream:
            return b""
        except (anyio.BrokenResourceError, anyio.ClosedResourceError) as error:
            raise httpcore.ReadError("the server ended the connection") from error
        self._tally.received += len(data)
        if self._tally.received > self._tally.received_max:
            raise NetworkProblem("limit", f"the server sent more than {self._tally.received_max:,} bytes")
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109 - httpcore's name
        """Send all of it. Raises `NetworkProblem` or httpcore's errors."""
        if not buffer:
            return
        self._tally.is_sent = True
        try:
            with anyio.fail_after(self._tally.seconds(timeout)):
                await self._stream.send(buffer)
        except TimeoutError:
            self._tally.seconds(None)
            raise NetworkProblem("limit", f"the server took nothing for {timeout or 0:g} s") from None
        except (anyio.BrokenResourceError, anyio.ClosedResourceError) as error:
            raise httpcore.WriteError("the server ended the connection") from error
        self._tally.sent += len(buffer)

    async def aclose(self) -> None:
        """Close the connection without waiting for the other side: TLS says no goodbye here."""
        await self._stream.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's name
    ) -> "CountedStream":
        """Speak TLS from here on, with a certificate for `server_hostname`. Raises `NetworkProblem`."""
        try:
            with anyio.fail_after(self._tally.seconds(timeout)):
                wrapped = await TLSStream.wrap(
                    self._stream,
                    hostname=server_hostname,
                    ssl_context=ssl_context,
                    standard_compatible=False,
                )
        except TimeoutError:
            raise NetworkProblem("limit", "the server took too long to begin TLS") from None
        except ssl.SSLCertVerificationError as error:
            reason = f"the server's certificate for `{server_hostname}` is not to be believed: {error.verify_message}"
            raise NetworkProblem("io", reason.rstrip(".")) from error
        except OSError as error:
            raise NetworkProblem("io", f"the server does not speak TLS as it should: {words_of(error)}") from error
        except (anyio.BrokenResourceError, anyio.EndOfStream) as error:
            raise NetworkProblem("io", "the server ended the connection before TLS began") from error
        return CountedStream(wrapped, self._tally)

    def get_extra_info(self, info: str) -> object:
        """Return what httpcore asks for: the TLS object, where there is one."""
        if info != "ssl_object" or not isinstance(self._stream, TLSStream):
            return None
        return self._stream.extra(TLSAttribute.ssl_object)  # noqa: S610 - not Django


class OneConnection(httpcore.AsyncNetworkBackend):
    """Gives out one connection that is already made, once, for the host and port that it was made for."""

    def __init__(self, stream: CountedStream, host: str, port: int) -> None:
        self._stream: CountedStream | None = stream
        self._for = (host, port)

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109, ARG002 - httpcore's names
        local_address: str | None = None,  # noqa: ARG002
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,  # noqa: ARG002
    ) -> httpcore.AsyncNetworkStream:
        """Return the connection. Raises `NetworkProblem` for any other host, and the second time."""
        stream, self._stream = self._stream, None
        if stream is None or (host, port) != self._for:
            raise NetworkProblem("net_denied", f"no connection to `{host}` was decided about")
        return stream

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,  # noqa: ASYNC109, ARG002 - httpcore's names
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,  # noqa: ARG002
    ) -> httpcore.AsyncNetworkStream:
        """Refuse: no request goes to a socket of this machine."""
        raise NetworkProblem("net_denied", f"`{path}` is not a host")
