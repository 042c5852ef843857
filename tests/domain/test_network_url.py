"""One strict reading of a URL."""

import urllib.parse

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cowork.domain.network_url import Url, UrlFault, parse_url
from cowork.domain.policy_host import parse_host


def parsed(text: str) -> Url:
    url = parse_url(text, length_max=200)
    assert isinstance(url, Url), url
    return url


@pytest.mark.parametrize(
    ("text", "whole", "port", "authority"),
    [
        ("http://good.test", "http://good.test/", 80, "good.test"),
        ("https://good.test/a/b?c=d&e", "https://good.test/a/b?c=d&e", 443, "good.test"),
        ("HTTP://GOOD.Test.:80/x", "http://good.test/x", 80, "good.test"),
        ("http://good.test:443/", "http://good.test:443/", 443, "good.test:443"),
        ("https://good.test:443/", "https://good.test/", 443, "good.test"),
        ("http://127.0.0.1:8080/x", "http://127.0.0.1:8080/x", 8080, "127.0.0.1:8080"),
        ("http://[::1]:8080?q", "http://[::1]:8080/?q", 8080, "[::1]:8080"),
        ("http://xn--bcher-kva.test/", "http://xn--bcher-kva.test/", 80, "xn--bcher-kva.test"),
        ("http://good.test/a%20b/%C3%A9?x=%00", "http://good.test/a%20b/%C3%A9?x=%00", 80, "good.test"),
        ("http://good.test/.../..a/b.", "http://good.test/.../..a/b.", 80, "good.test"),
    ],
)
def test_a_url_has_one_form(text: str, whole: str, port: int, authority: str) -> None:
    url = parsed(text)
    assert (str(url), url.port, url.authority) == (whole, port, authority)


@pytest.mark.parametrize(
    "text",
    ["", "good.test", "//good.test/", "/x", "http:good.test", "http:/good.test", "http:///x", "http://",
     "ftp://good.test/", "file:///etc/passwd", "gopher://good.test/", "data:text/plain,x", "javascript:alert(1)",
     "http://user@good.test/", "http://good.test@evil.test/", "http://good.test:80@evil.test/", "http://@good.test/",
     "http://evil.test#good.test", "http://good.test/#x", "http://good.test#", "http://good。test/", "http://gооd.test/",
     "http://2852039166/", "http://0x7f.1/", "http://0177.1/", "http://127.1/", "http://[::ffff:7f00:1]/",
     "http://[fe80::1%25eth0]/", "http://[::1/", "http://::1/", "http://good.test:0/", "http://good.test:65536/",
     "http://good.test:/", "http://good.test:+80/", "http://good.test:８０/", "http://good.test:80:80/",
     "http://good.test\\@evil.test/", "http://good.test\\evil.test/", "http://good.test%2f@evil.test/",
     "http://good%2etest/", "http://good.test%00.evil.test/", "http://evil.test\0.good.test/",
     "http://good.test\r\nHost: evil.test/", "http://good.test/\r\nX: y", "http://good.test/a b", "http://good.test/\t",
     " http://good.test/", "http://good.test/ ", "\thttp://good.test/", "http://good .test/", "http://good..test/",
     "http://.good.test/", "http://-good.test/", "http://good_.test/", "http://*.good.test/", "http://good.test/é",
     "http://good.test/..", "http://good.test/a/../b", "http://good.test/./a", "http://good.test/%2e%2E/a",
     "http://good.test/.%2e", "http://good.test/%", "http://good.test/%zz", "http://good.test/a[b]", "http://[]/"],
)  # fmt: skip
def test_what_can_be_read_in_two_ways_is_no_url(text: str) -> None:
    fault = parse_url(text, length_max=200)
    assert isinstance(fault, UrlFault)
    assert fault.code == "net_denied"


def test_a_url_has_a_greatest_length() -> None:
    fault = parse_url("http://good.test/" + "a" * 200, length_max=200)
    assert isinstance(fault, UrlFault)
    assert fault.code == "limit"


PIECES = ["good.test", "evil.test", "127.0.0.1", "[::1]", ":80", ":8443", "@", "#", "?", "/", "\\", ".", "..", "%2e",
          "%00", "\0", "\r\n", "\t", " ", "。", "é", "xn--", "http", "https", "://", ":", "//", "a", "0x7f", "=", "&",
          "GOOD", "[", "]", "%", "；", "\u202e", "\u00ad", "ﬀ"]  # fmt: skip
SPELLINGS = st.one_of(
    st.lists(st.sampled_from(PIECES), max_size=9).map("".join),
    st.lists(st.sampled_from(PIECES), max_size=6).map(lambda parts: "http://good.test" + "".join(parts)),
    st.lists(st.sampled_from(PIECES), max_size=6).map(lambda parts: "https://" + "".join(parts)),
    st.text(max_size=40).map(lambda text: f"http://{text}"),
)


@given(SPELLINGS)
def test_every_reader_of_an_accepted_url_sees_the_same_host_port_and_target(text: str) -> None:
    url = parse_url(text, length_max=500)
    if isinstance(url, UrlFault):
        return
    # What policy decides about, from the text as it was approved.
    decided = parse_host(urllib.parse.urlsplit(text).netloc.lower())
    assert decided == url.host
    # What the HTTP library makes of what it is given.
    sent = httpx.URL(str(url))
    assert (sent.scheme, sent.host, sent.raw_path) == (url.scheme, url.address, url.target.encode())
    assert (sent.port or {"http": 80, "https": 443}[sent.scheme]) == url.port
    # Its one form is a fixed point.
    again = parse_url(str(url), length_max=500)
    assert isinstance(again, Url)
    assert (again.host.name, again.port, again.target, str(again)) == (url.host.name, url.port, url.target, str(url))
