"""Hosts: one form for each, what is refused, and what an entry of a list means."""

import pytest

from cowork.domain.policy_host import Host, HostSet, is_listed, parse_entry, parse_host
from tests.domain.policy.naive_condition import host_listed, host_of

FORMS: list[tuple[str, Host]] = [
    ("example.com", Host("example.com", None)),
    ("EXAMPLE.Com", Host("example.com", None)),
    ("example.com.", Host("example.com", None)),
    ("example.com.:80", Host("example.com", 80)),
    ("example.com:1", Host("example.com", 1)),
    ("example.com:65535", Host("example.com", 65535)),
    ("example.com:00443", Host("example.com", 443)),
    ("localhost", Host("localhost", None)),
    ("a-b.c", Host("a-b.c", None)),
    ("1a.com", Host("1a.com", None)),
    ("b\u00fccher.example", Host("xn--bcher-kva.example", None)),
    ("B\u00dcCHER.example", Host("xn--bcher-kva.example", None)),
    ("bu\u0308cher.example", Host("xn--bcher-kva.example", None)),
    ("xn--bcher-kva.example", Host("xn--bcher-kva.example", None)),
    ("XN--BCHER-KVA.example", Host("xn--bcher-kva.example", None)),
    ("fa\u00df.de", Host("xn--fa-hia.de", None)),
    ("example\uff0ecom", Host("example.com", None)),
    ("example\u3002com", Host("example.com", None)),
    ("a\u200bb\u00ad.com", Host("ab.com", None)),
    ("\uff45xample.com", Host("example.com", None)),
    ("127.0.0.1", Host("127.0.0.1", None, is_address=True)),
    ("127.0.0.1.", Host("127.0.0.1", None, is_address=True)),
    ("127.0.0.1:8080", Host("127.0.0.1", 8080, is_address=True)),
    ("\uff11.2.3.4", Host("1.2.3.4", None, is_address=True)),
    ("[::1]", Host("[::1]", None, is_address=True)),
    ("[0:0:0:0:0:0:0:1]", Host("[::1]", None, is_address=True)),
    ("[2001:DB8::0:1]:443", Host("[2001:db8::1]", 443, is_address=True)),
]

REFUSED = [
    *("[::ffff:127.0.0.1]", "[::ffff:7f00:1]:80"),
    *("", " ", ".", ":", ":80", "example..com", ".example.com", "-a.com", "a-.com", "a_b.com", "a b.com"),
    *("example.com/x", "http://example.com", "user@example.com", "example.com@evil.org", "example.com#x", "a?b"),
    *("example.com:", "example.com:0", "example.com:65536", "example.com:-1", "example.com:+80", "example.com: 80"),
    *("example.com:8o", "example.com:100000", "example.com:80:80", "example.com:\u0661"),
    *("127.1", "127.0.1", "2130706433", "0x7f.0.0.1", "0x7f000001", "0177.0.0.1", "127.0.0.01", "127.0.0.0x1"),
    *("127.0.0.256", "1.2.3.4.5", "1.2.3.4..", "a.1", "a.0x", "example.123"),
    *("::1", "[::1", "::1]", "[::1]x", "[]", "[::g]", "[fe80::1%eth0]", "[1.2.3.4]", "[::1]:", "[::1]:0"),
    *("a" * 64 + ".com", ".".join(["a" * 60] * 5), "xn--a.com", "xn--.com", "\u2024com", "\u00ad"),
    *("*.example.com", "*", "exa\nmple.com", "example.com\n", "exa\x00mple.com", "%65xample.com"),
]


@pytest.mark.parametrize(("text", "host"), FORMS)
def test_a_host_has_one_form(text: str, host: Host) -> None:
    assert parse_host(text) == host
    assert parse_host(f"{host.name}") == Host(host.name, None, is_address=host.is_address)


@pytest.mark.parametrize("text", REFUSED)
def test_what_is_no_host_is_refused(text: str) -> None:
    assert parse_host(text) is None


def test_the_longest_names_and_labels_are_hosts_and_longer_ones_are_not() -> None:
    label = "a" * 63
    assert parse_host(f"{label}.com") is not None
    longest = ".".join([label] * 3 + ["a" * 61])
    assert len(longest) == 253
    assert parse_host(longest) == parse_host(f"{longest}.") == Host(longest, None)
    assert parse_host(f"{longest}a") is None
    assert parse_host(f"{longest}a.") is None
    unicode_label = "\u00fc" * 50
    assert parse_host(f"{unicode_label}.com") is not None
    assert parse_host(".".join([unicode_label] * 5)) is None


@pytest.mark.parametrize(
    ("entry", "host", "listed"),
    [
        ("example.com", "example.com", True),
        ("example.com", "example.com:80", True),
        ("example.com", "example.com:443", True),
        ("example.com", "example.com:8080", False),
        ("example.com", "a.example.com", False),
        ("example.com", "example.com.evil.org", False),
        ("example.com", "notexample.com", False),
        ("EXAMPLE.com.", "example.COM", True),
        ("example.com:8443", "example.com:8443", True),
        ("example.com:8443", "example.com", False),
        ("example.com:8443", "example.com:443", False),
        ("example.com:*", "example.com:9", True),
        ("example.com:*", "example.com", True),
        ("*.example.com", "a.example.com", True),
        ("*.example.com", "a.b.example.com:443", True),
        ("*.example.com", "a.example.com:81", False),
        ("*.example.com:*", "a.example.com:81", True),
        ("*.example.com:81", "a.example.com:81", True),
        ("*.example.com", "example.com", False),
        ("*.example.com", "evilexample.com", False),
        ("*.com", "example.com", True),
        ("*.0.0.1", "127.0.0.1", False),
        ("*.127.0.0.1", "127.0.0.1", False),
        ("127.0.0.1", "127.0.0.1", True),
        ("127.0.0.1:*", "127.0.0.1:9", True),
        ("[::1]", "[0::1]", True),
        ("[::1]", "[::1]:8443", False),
        ("b\u00fccher.example", "xn--bcher-kva.example", True),
        ("*.b\u00fccher.example", "a.xn--bcher-kva.example", True),
        ("fass.de", "fa\u00df.de", False),
    ],
)
def test_an_entry_of_a_list_means_a_host_or_those_below_it(entry: str, host: str, listed: bool) -> None:
    parsed = parse_host(host)
    assert parsed is not None
    assert is_listed(parsed, [entry]) is listed
    assert is_listed(parsed, ["x.org", entry]) is listed
    assert bool(HostSet([("x.org", 1), (entry, 2)]).hits(parsed)) is listed
    assert host_listed([entry], host) is listed


@pytest.mark.parametrize(
    "entry",
    ["", "*", "*.", "**.example.com", "*.*.com", "a.*.com", "example.com:80:*", "*.127.0.0.1", "*.[::1]", "a b"],
)
def test_an_entry_that_is_none_lists_nothing(entry: str) -> None:
    assert parse_entry(entry) is None
    assert HostSet([(entry, 1)]).hits(Host("example.com", None)) == 0


def test_a_set_of_entries_says_which_of_them_are_about_a_host() -> None:
    entries = ["a.example.com", "*.example.com", "*.com", "a.example.com:*", "a.example.com:81", "b.example.com"]
    hosts = HostSet((entry, 1 << at) for at, entry in enumerate(entries))
    assert hosts.hits(Host("a.example.com", None)) == 0b001111
    assert hosts.hits(Host("a.example.com", 81)) == 0b011000
    assert hosts.hits(Host("x.b.example.com", 80)) == 0b000110
    assert hosts.hits(Host("com", 80)) == 0


@pytest.mark.parametrize("text", [*(text for text, _ in FORMS), *REFUSED])
def test_the_naive_evaluator_reads_hosts_alike(text: str) -> None:
    host = parse_host(text)
    assert host_of(text) == (None if host is None else (host.name, host.port, host.is_address))
