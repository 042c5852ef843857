"""URLs of requests: one strict reading, so that what is decided about, dialled and sent is one and the same.

A URL is `http://host[:port]/path[?query]` or `https://…`, in the characters of RFC 3986 and no others. Refused instead
of repaired: user names, fragments, spaces, control characters, backslashes, characters beyond ASCII, `%`
without two hexadecimal digits, and `.` or `..` as a part of the path in any spelling, because servers resolve them.
"""

import re
from typing import Final, Literal, TypeAlias

import msgspec

from .policy_host import Host, parse_host
from .reason import ReasonCode

Scheme: TypeAlias = Literal["http", "https"]
DEFAULT_PORTS: Final[dict[Scheme, int]] = {"http": 80, "https": 443}

_SCHEMES: Final[dict[str, Scheme]] = {"http": "http", "https": "https"}
_URL: Final = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<authority>[^/?#]*)(?P<target>[^#]*)(?P<fragment>#?)"
)
_TARGET: Final = re.compile(r"(?:/[A-Za-z0-9._~!$&'()*+,;=:@%/-]*)?(?:\?[A-Za-z0-9._~!$&'()*+,;=:@%/?-]*)?")
_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_DOTS: Final = re.compile(r"(?:\.|%2[eE]){1,2}")


class Url(msgspec.Struct, frozen=True, gc=False):
    """A URL in its one form. `host` has its port only where one is written; `target` is path and query."""

    scheme: Scheme
    host: Host
    target: str

    @property
    def port(self) -> int:
        """The port to dial."""
        return DEFAULT_PORTS[self.scheme] if self.host.port is None else self.host.port

    @property
    def address(self) -> str:
        """The host without brackets, as resolvers and certificates have it."""
        return self.host.name.strip("[]")

    @property
    def authority(self) -> str:
        """What the `Host` header says: the port only where it is not the scheme's own."""
        return self.host.name if self.port == DEFAULT_PORTS[self.scheme] else f"{self.host.name}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}{self.target}"


class UrlFault(msgspec.Struct, frozen=True, gc=False):
    """Why a text is no URL that could be asked for: a code and a sentence. The URL itself is not repeated in it."""

    code: ReasonCode
    message: str


def parse_url(text: str, *, length_max: int) -> Url | UrlFault:
    """Return the URL, or what is wrong with it."""
    if len(text) > length_max:
        return UrlFault("limit", f"the URL has {len(text):,} characters, more than {length_max:,}")
    match = _URL.fullmatch(text)
    if match is None:
        return UrlFault("net_denied", "it is not a URL with a scheme and a host")
    scheme = _SCHEMES.get(match["scheme"].lower())
    if scheme is None:
        return UrlFault("net_denied", f"`{match['scheme']}` is not `http` or `https`")
    if "@" in match["authority"]:
        return UrlFault("net_denied", "the URL has a user name before its host")
    if not match["authority"].isascii():
        return UrlFault("net_denied", "the URL's host has characters beyond ASCII: write it as `xn--…`")
    host = parse_host(match["authority"])
    if host is None:
        return UrlFault("net_denied", "the URL's host is neither a name nor an address in its plain form")
    if match["fragment"]:
        return UrlFault("net_denied", "the URL has a fragment (`#…`), which is never sent")
    fault = _fault_of_target(match["target"])
    if fault is not None:
        return UrlFault("net_denied", fault)
    target = match["target"]
    return Url(scheme, host, target if target.startswith("/") else f"/{target}")


def _fault_of_target(target: str) -> str | None:
    if _TARGET.fullmatch(target) is None or _ESCAPE.search(target) is not None:
        return "the URL has characters after its host that a URL can't have"
    if any(_DOTS.fullmatch(part) for part in target.partition("?")[0].split("/")):
        return "the URL has `.` or `..` as a part of its path"
    return None
