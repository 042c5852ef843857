"""Whatever is asked for in whatever spelling: what is dialled is the checked address of the decided host, or nothing.

The oracle reads nothing of the spelling: it knows which addresses each host has, and notes
what is looked up and what is dialled.
"""

import urllib.parse

import anyio
import h11
import pytest
from anyio.abc import SocketStream
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cowork.adapters.network.bounds import ProxyLimits
from cowork.adapters.network.proxy_request import ProxyRequest, read_target
from cowork.adapters.network.reach import Reach
from cowork.domain.network_address import find_address_problem
from cowork.domain.network_url import Url, parse_url
from cowork.domain.policy_host import Host, parse_host
from tests.adapters.network.requests import Client
from tests.adapters.network.servers import Names

ADDRESSES = {
    "good.test": ["93.184.216.34"],
    "a.sub.test": ["2606:4700::1111"],
    "evil.test": ["203.0.113.9"],
    "inside.sub.test": ["93.184.216.34", "10.0.0.1"],
    "mapped.sub.test": ["::ffff:169.254.169.254"],
}

NAMES = ["good.test", "a.sub.test", "evil.test", "inside.sub.test", "mapped.sub.test", "sub.test", "localhost"]
NUMBERS = ["127.0.0.1", "2130706433", "0x7f.1", "0177.0.0.1", "127.1", "169.254.169.254", "10.0.0.1", "[::1]",
           "[::ffff:7f00:1]", "[64:ff9b::a9fe:a9fe]", "[fe80::1%25eth0]", "93.184.216.34",
           "[2606:4700::1111]"]  # fmt: skip
GLUE = ["@", "#", "?", "/", "\\", ".", "..", ":", "://", "%00", "%2e", "%40", "\0", "\r\n", "\t", " ", "。", "．",
        "\u00ad", "\u200b", "\u202e", "xn--", ":80", ":443", ":8443", ":22", ":0", "user", "http:", "&", "%", "ﬀ", "İ",
        "ß", "[", "]", ";", "_", "*."]  # fmt: skip
PART = st.one_of(
    st.sampled_from(NAMES),
    st.sampled_from(NUMBERS),
    st.sampled_from(GLUE),
    st.sampled_from([name.upper() for name in NAMES]),
    st.text(max_size=3),
)
AUTHORITY = st.lists(PART, min_size=1, max_size=6).map("".join)
TAIL = st.sampled_from(["", "/", "/x?y=z", "/../x", "#", "/#@evil.test", "?@good.test", "\\@evil.test/"])
SCHEME = st.sampled_from(
    ["http://", "https://", "HTTP://", "http:/", "http:", "//", "", "ftp://", "http:\\\\", " http://"]
)
URLS = st.one_of(
    st.builds(lambda scheme, authority, tail: f"{scheme}{authority}{tail}", SCHEME, AUTHORITY, TAIL),
    st.builds(
        lambda name, glue, port: f"http://{name}{glue}{port}/x",
        st.sampled_from([*NAMES, *NUMBERS]),
        st.sampled_from(["", ".", "..", "@", "\0", "。"]),
        st.sampled_from(["", ":80", ":8443", ":22", ":+80", ":"]),
    ),
)


class Watched:
    """Notes which names are looked up and which addresses are dialled."""

    def __init__(self) -> None:
        self.names = Names({name: [addresses] for name, addresses in ADDRESSES.items()})
        self.dialled: list[tuple[str, int]] = []

    async def dial(self, address: str, port: int) -> SocketStream:
        self.dialled.append((address, port))
        raise ConnectionRefusedError(111, "Connection refused")


def addresses_open_to(host: Host) -> set[str]:
    """Return the addresses that may be dialled for a host: all that it has, and none where one of them is closed."""
    found = [host.name.strip("[]")] if host.is_address else ADDRESSES.get(host.name, [])
    return set() if any(find_address_problem(address, (), 80) for address in found) else set(found)


def check_request(text: str) -> Watched:
    """Send a request to the text, and compare what was looked up and dialled with the host that policy reads in it."""
    watched = Watched()
    client = Client(watched.names, dial=watched.dial, is_own=lambda address: False)
    anyio.run(client.get, text)
    decided = _decided(text)
    if decided is None:
        assert (watched.names.asked, watched.dialled) == ([], [])
        return watched
    assert set(watched.names.asked) <= {decided.name}
    assert {address for address, _ in watched.dialled} <= addresses_open_to(decided)
    assert {port for _, port in watched.dialled} <= {decided.port or 80, decided.port or 443}
    return watched


def _decided(text: str) -> Host | None:
    """Return the host that policy would decide about."""
    try:
        parts = urllib.parse.urlsplit(text)
    except ValueError:
        return None
    return parse_host(parts.netloc.lower()) if parts.scheme in ("http", "https") else None


def check_reading(text: str) -> None:
    """Read a text in every way in which it could be asked for; whoever reads it must read the same host."""
    url = parse_url(text, length_max=500)
    if isinstance(url, Url):
        assert _decided(text) == url.host
        assert url.authority.isascii()
        assert not set(str(url)) & set("\r\n\0 \t\\#")
        assert "@" not in url.authority
    host = parse_host(text)
    if host is not None:
        again = parse_host(host.name)
        assert again is not None
        assert (again.name, again.is_address) == (host.name, host.is_address)
    for method in ("CONNECT", "GET"):
        asked = _read_by_proxy(method, text)
        if isinstance(asked, ProxyRequest):
            same = host if method == "CONNECT" else url.host if isinstance(url, Url) else None
            assert same is not None
            assert (asked.host.name, asked.host.is_address) == (same.name, same.is_address)
            assert parse_host(f"{asked.host.name}:{asked.port}") == Host(asked.host.name, asked.port, same.is_address)


def _read_by_proxy(method: str, text: str) -> ProxyRequest | None:
    try:
        request = h11.Request(method=method, target=text.encode("utf-8"), headers=[("Host", "x")])
    except (h11.LocalProtocolError, UnicodeEncodeError):
        return None
    read = read_target(request, ProxyLimits())
    return read if isinstance(read, ProxyRequest) else None


def test_the_oracle_sees_what_is_dialled() -> None:
    assert check_request("http://GOOD.test.:8443/x").dialled == [("93.184.216.34", 8443)]
    assert check_request("https://a.sub.test/").dialled == [("2606:4700::1111", 443)]
    assert check_request("http://inside.sub.test/").names.asked == ["inside.sub.test"]


@given(URLS)
@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
def test_a_request_dials_the_checked_address_of_the_decided_host_or_nothing(text: str) -> None:
    check_request(text)


@given(st.one_of(URLS, AUTHORITY))
@settings(max_examples=1000)
def test_every_reader_reads_the_same_host(text: str) -> None:
    check_reading(text)


@given(st.lists(st.ip_addresses().map(str), min_size=1, max_size=4), st.integers(1, 65535))
@settings(max_examples=300)
def test_nothing_is_dialled_unless_every_answer_may_be(answers: list[str], port: int) -> None:
    reach = Reach(resolve=Names({"good.test": [answers]}), is_own=lambda address: False)

    async def find() -> tuple[str, ...]:
        return await reach.find(Host("good.test", port), port, ())

    problems = [find_address_problem(answer, (), port) for answer in answers]
    if any(problems):
        with pytest.raises(Exception, match="leads to"):
            anyio.run(find)
    else:
        assert anyio.run(find) == tuple(answers)


@pytest.mark.fuzz_long
@given(st.one_of(URLS, AUTHORITY, st.text(max_size=60).map(lambda text: f"http://{text}")))
@settings(max_examples=60_000, suppress_health_check=[HealthCheck.too_slow])
def test_every_reader_reads_the_same_host_for_many_spellings(text: str) -> None:
    check_reading(text)


@pytest.mark.fuzz_long
@given(URLS)
@settings(max_examples=20_000, suppress_health_check=[HealthCheck.too_slow])
def test_many_requests_dial_the_checked_address_of_the_decided_host_or_nothing(text: str) -> None:
    check_request(text)
