"""What a command asks the proxy for: one strict reading of one request, decided about before anything is looked up."""

import re
from typing import Final

import h11
import msgspec
from anyio import EndOfStream
from anyio.abc import ByteStream

from ...domain.network_url import Url, UrlFault, parse_url
from ...domain.policy_host import Host, parse_host
from .bounds import ProxyLimits

HOP_BY_HOP: Final = frozenset(
    [
        b"connection",
        b"http2-settings",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    ]
)
"""Headers of one connection (RFC 9110, 7.6.1), which are not handed on."""

_ODD_LINES: Final = re.compile(rb"(?<!\r)\n|\r(?!\n)|\n[ \t]|\x00")
_READ_BYTES: Final = 16 * 1024
_HOST_SHOWN_MAX: Final = 300

Headers = list[tuple[bytes, bytes]]


class ProxyRequest(msgspec.Struct, frozen=True):
    """A request that can be decided about. `url` is None for CONNECT, which opens a tunnel to `host` at `port`."""

    method: str
    host: Host
    port: int
    url: Url | None
    headers: Headers


class Malformed(msgspec.Struct, frozen=True):
    """Not a request that can be decided about: what could be read of its host and port, and why, in a sentence."""

    message: str
    host: str = ""
    port: int = 0


class Incoming:
    """The command's side of one connection, read with h11."""

    def __init__(self, stream: ByteStream, limits: ProxyLimits) -> None:
        self.stream = stream
        self.http = h11.Connection(h11.SERVER, max_incomplete_event_size=limits.head_bytes)
        self._limits = limits

    async def read_request(self) -> ProxyRequest | Malformed | None:
        """Return the request at the head of the connection, None where the connection ended before anything came.

        Raises what the stream raises.
        """
        raw = bytearray()
        try:
            while (event := self.http.next_event()) is h11.NEED_DATA:
                try:
                    data = await self.stream.receive(_READ_BYTES)
                except EndOfStream:
                    return Malformed("the connection ended in the middle of a request") if raw else None
                raw += data
                self.http.receive_data(data)
        except h11.RemoteProtocolError:
            return Malformed("this is not a request in HTTP/1.1 that can be read in one way only", _shown(raw))
        if not isinstance(event, h11.Request):
            return Malformed("this is not a request")
        head, end, _ = raw.partition(b"\r\n\r\n")
        if not end or _ODD_LINES.search(head) is not None:
            return Malformed("the request's lines are folded, or do not all end alike", _shown(event.target))
        if event.http_version not in (b"1.0", b"1.1"):
            return Malformed("this is not HTTP/1.1", _shown(event.target))
        if len(event.headers) > self._limits.headers or len(head) > self._limits.head_bytes:
            return Malformed("the request has too many headers, or too long ones", _shown(event.target))
        return read_target(event, self._limits)

    async def next_body_event(self) -> h11.Data | h11.EndOfMessage:
        """Return the next part of the request's body. Raises `h11.RemoteProtocolError` and what the stream raises."""
        while (event := self.http.next_event()) is h11.NEED_DATA:
            try:
                self.http.receive_data(await self.stream.receive(_READ_BYTES))
            except EndOfStream:
                self.http.receive_data(b"")
        if isinstance(event, h11.Data | h11.EndOfMessage):
            return event
        raise h11.RemoteProtocolError("the request's body is not whole")


def read_target(request: h11.Request, limits: ProxyLimits) -> ProxyRequest | Malformed:
    """Return what a request asks for: `CONNECT host:port`, or another method with an `http://` URL."""
    names = [name for name, _ in request.headers]
    if b"content-length" in names and b"transfer-encoding" in names:
        return Malformed("the request says in two ways how long its body is", _shown(request.target))
    method = request.method.decode("ascii")
    target = request.target.decode("ascii")
    headers = list(request.headers)
    if method == "CONNECT":
        host = parse_host(target)
        if host is None or host.port is None:
            return Malformed("CONNECT needs a host in its plain form, with a port", _shown(request.target))
        if b"content-length" in names or b"transfer-encoding" in names:
            return Malformed("CONNECT has no body", host.name, host.port)
        return ProxyRequest(method, host, host.port, None, headers)
    url = parse_url(target, length_max=limits.url_length)
    if isinstance(url, UrlFault):
        return Malformed(f"the request's target is not a URL for a proxy: {url.message}", _shown(request.target))
    if url.scheme != "http":
        return Malformed("a proxy is asked for `https` with CONNECT", url.host.name, url.port)
    return ProxyRequest(method, url.host, url.port, url, headers)


def headers_to_send(request: ProxyRequest, authority: str) -> Headers:
    """Return the headers for the server: `Host` from the target, none of the connection, which ends after this."""
    kept = end_to_end(request.headers, without={b"host"})
    if any(name == b"transfer-encoding" for name, _ in request.headers):
        kept.append((b"transfer-encoding", b"chunked"))
    return [(b"host", authority.encode("ascii")), *kept, (b"connection", b"close")]


def end_to_end(headers: Headers, *, without: frozenset[bytes] | set[bytes] = frozenset()) -> Headers:
    """Return the headers less those of one connection, those that `Connection` names, and those in `without`."""
    named = {name.strip().lower() for key, value in headers if key == b"connection" for name in value.split(b",")} - {
        b"content-length"
    }
    dropped = HOP_BY_HOP | named | without
    return [(name, value) for name, value in headers if name not in dropped]


def _shown(raw: bytes | bytearray) -> str:
    """Return what can be said of a host that could not be read: the text as it came, with nothing hidden in it."""
    return bytes(raw[:_HOST_SHOWN_MAX]).decode("latin-1").encode("unicode_escape").decode("ascii")
