"""A request as it will be sent: read once, strictly, and refused where anything in it is open to two readings."""

import re
from typing import Final

import msgspec

from ...domain.action import NetworkRequest
from ...domain.facts import Obstacle
from ...domain.http_method import is_safe
from ...domain.network_url import Url, UrlFault, parse_url
from .bounds import RequestLimits

_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE: Final = re.compile(r"(?:[\x21-\x7e](?:[\t\x20-\x7e]*[\x21-\x7e])?)?")

_NEVER_SENT: Final = frozenset(["CONNECT", "TRACE", "TRACK"])

# They belong to the connection and not to the request (RFC 9110, 7.6.1), or are worked out from the URL and the body.
_OWN_HEADERS: Final = frozenset(
    [
        "connection",
        "content-length",
        "expect",
        "host",
        "http2-settings",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    ]
)
_ADDED: Final = (("Accept", "*/*"), ("Accept-Encoding", "gzip"), ("User-Agent", "cowork"))


class Prepared(msgspec.Struct, frozen=True, gc=False):
    """A request that can be sent. `headers` are those of the plan, and the key by which a repetition can be told."""

    method: str
    url: Url
    headers: tuple[tuple[str, str], ...]

    @property
    def is_safe(self) -> bool:
        """Whether it may be sent again."""
        return is_safe(self.method)

    def all_headers(self) -> list[tuple[str, str]]:
        """Return the headers with those that every request has."""
        given = {name.lower() for name, _ in self.headers}
        added = [header for header in _ADDED if header[0].lower() not in given]
        return [("Host", self.url.authority), *self.headers, *added, ("Connection", "close")]


def prepare(action: NetworkRequest, limits: RequestLimits) -> Prepared | Obstacle:
    """Return the request as it will be sent, or why it can't be."""
    if _TOKEN.fullmatch(action.method) is None:
        return Obstacle("name", "the method is not the name of one")
    if action.method != action.method.upper():
        return Obstacle("name", f"the method `{action.method}` has to be in capital letters")
    if action.method in _NEVER_SENT:
        return Obstacle("name", f"the method `{action.method}` is not sent")
    url = parse_url(action.url, length_max=limits.url_length)
    if isinstance(url, UrlFault):
        return Obstacle(url.code, url.message)
    if action.body is not None and action.body.size > limits.body_bytes:
        return Obstacle("limit", f"the body has {action.body.size:,} bytes, more than {limits.body_bytes:,}")
    return _find_fault_of_headers(action, limits) or Prepared(action.method, url, action.headers)


def _find_fault_of_headers(action: NetworkRequest, limits: RequestLimits) -> Obstacle | None:
    """Return what is wrong with the headers. Their values may be secret, and are never repeated."""
    if len(action.headers) > limits.headers:
        return Obstacle("limit", f"the request has {len(action.headers):,} headers, more than {limits.headers:,}")
    size = sum(len(name) + len(value) + 4 for name, value in action.headers)
    if size > limits.head_bytes:
        return Obstacle("limit", f"the headers have {size:,} bytes, more than {limits.head_bytes:,}")
    for number, (name, value) in enumerate(action.headers, 1):
        if _TOKEN.fullmatch(name) is None:
            return Obstacle("name", f"header {number} has a name with characters that a header's name can't have")
        lowered = name.lower()
        if lowered in _OWN_HEADERS or lowered.startswith("proxy-"):
            return Obstacle("name", f"the header `{name}` is not for a request to set")
        if _VALUE.fullmatch(value) is None:
            return Obstacle("name", f"the header `{name}` has a value with characters that it can't have")
    return None
