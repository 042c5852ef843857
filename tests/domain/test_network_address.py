"""Which addresses may be dialled."""

import ipaddress
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cowork.domain.network_address import embedded_ipv4, find_address_problem

V4 = ipaddress.IPv4Address
V6 = ipaddress.IPv6Address

# The IANA registry of special-purpose IPv4 addresses, with multicast, and what clouds answer their machines under.
CLOSED_V4 = [
    "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
    "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16", "192.175.48.0/24",
    "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4", "255.255.255.255/32",
    "168.63.129.16/32",
]  # fmt: skip
CLOSED_V6 = [
    "::/127", "::/96", "::ffff:0:0:0/96", "64:ff9b:1::/48", "100::/64", "100:0:0:1::/64", "2001::/23", "2001:db8::/32",
    "3fff::/20", "5f00::/16", "fc00::/7", "fd00:ec2::/32", "fe80::/10", "fec0::/10", "ff00::/8", "2620:4f:8000::/48",
]  # fmt: skip
NEVER_OPEN = [
    "0.0.0.0", "0.1.2.3", "169.254.169.254", "169.254.170.2", "169.254.1.1", "168.63.129.16", "100.100.100.200",
    "192.0.0.192", "192.0.2.1", "198.18.0.1", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255",
    "::", "fe80::1", "fe80::a9fe:a9fe", "fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254", "fd00:42::42", "ff02::1",
    "fec0::1", "2001:db8::1", "2001::1", "64:ff9b:1::7f00:1", "100::1",
]  # fmt: skip
GRANTABLE = ["127.0.0.1", "127.1.2.3", "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1", "::1",
             "fd12:3456::1", "fc00::1"]  # fmt: skip
PUBLIC = ["93.184.216.34", "1.1.1.1", "8.8.8.8", "172.15.255.255", "172.32.0.0", "100.63.255.255", "100.128.0.0",
          "169.253.255.255", "223.255.255.255", "11.0.0.0", "198.17.255.255", "198.20.0.0", "2606:4700::1111",
          "2001:4860:4860::8888", "2a00:1450::1", "2001:200::1", "3ffe::1"]  # fmt: skip


def ends_of(network: str) -> list[str]:
    found = ipaddress.ip_network(network)
    return [str(found.network_address), str(found.broadcast_address)]


def entry_of(address: str, port: str) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


@pytest.mark.parametrize("network", [*CLOSED_V4, *CLOSED_V6])
def test_a_special_range_is_closed_from_its_first_address_to_its_last(network: str) -> None:
    assert all(find_address_problem(address, (), 443) is not None for address in ends_of(network))


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_open(address: str) -> None:
    assert find_address_problem(address, (), 443) is None


@given(st.ip_addresses(v=4))
def test_what_python_takes_for_special_is_closed(address: V4) -> None:
    if not address.is_global or address.is_multicast:
        assert find_address_problem(str(address), (), 443) is not None


@given(st.ip_addresses(v=6))
def test_what_python_takes_for_special_is_closed_in_ipv6_too(address: V6) -> None:
    if embedded_ipv4(address) is None and (not address.is_global or address.is_multicast):
        assert find_address_problem(str(address), (), 443) is not None


@pytest.mark.parametrize("address", GRANTABLE)
def test_an_address_of_the_own_network_is_open_where_it_is_granted_with_that_port(address: str) -> None:
    assert find_address_problem(address, (), 8080) is not None
    assert find_address_problem(address, (entry_of(address, "8080"),), 8080) is None
    assert find_address_problem(address, (entry_of(address, "*"),), 8080) is None
    assert find_address_problem(address, (entry_of(address, "8081"),), 8080) is not None
    assert find_address_problem(address, ("good.test:8080", "*.test:*"), 8080) is not None


@pytest.mark.parametrize("address", NEVER_OPEN)
def test_no_grant_opens_a_metadata_multicast_unspecified_or_special_address(address: str) -> None:
    assert find_address_problem(address, (entry_of(address, "*"), entry_of(address, "80")), 80) is not None


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:4700::1111"])
def test_an_address_of_this_machine_is_closed_in_whatever_range_it_lies(address: str) -> None:
    assert find_address_problem(address, (), 80, {address}) == "is an address of this machine"
    assert find_address_problem(address, (entry_of(address, "80"),), 80, {address}) is None


def test_an_address_of_this_machine_is_closed_in_its_embedded_forms() -> None:
    assert find_address_problem("::ffff:93.184.216.34", (), 80, {"93.184.216.34"}) is not None
    assert find_address_problem("64:ff9b::93.184.216.34", ("93.184.216.34:80",), 80, {"93.184.216.34"}) is not None


@pytest.mark.parametrize(
    "text",
    ["", "localhost", "127.1", "0x7f.0.0.1", "2130706433", "1.2.3", "1.2.3.4.5", "fe80::1%eth0", "::1%lo", "[::1]",
     "93.184.216.34%25", " 1.1.1.1", "1.1.1.1 ", "01.1.1.1", "1.1.1.1\0", "١.1.1.1", "1.1.1.1/32"],
)  # fmt: skip
def test_what_is_no_plain_address_is_not_dialled(text: str) -> None:
    assert find_address_problem(text, (), 80) == "is not an address that can be judged"


FORMS: dict[str, Callable[[int], int]] = {
    "mapped": lambda number: int(V6("::ffff:0:0")) | number,
    "compatible": lambda number: number,
    "translated": lambda number: int(V6("::ffff:0:0:0")) | number,
    "NAT64": lambda number: int(V6("64:ff9b::")) | number,
    "6to4": lambda number: int(V6("2002::")) | number << 80,
    "6to4 with a host part": lambda number: int(V6("2002::1234:5678")) | number << 80,
    "ISATAP": lambda number: int(V6("2606:4700::5efe:0:0")) | number,
    "ISATAP of a global address": lambda number: int(V6("2606:4700::200:5efe:0:0")) | number,
    "Teredo server": lambda number: int(V6("2001::")) | number << 64,
    "Teredo client": lambda number: int(V6("2001:0:5db8:d822::")) | (number ^ 0xFFFFFFFF),
    "local NAT64": lambda number: int(V6("64:ff9b:1::")) | number,
}


@st.composite
def closed_addresses(draw: st.DrawFn) -> V4:
    network = ipaddress.IPv4Network(draw(st.sampled_from(CLOSED_V4)))
    return V4(int(draw(st.ip_addresses(v=4, network=network))))


@given(closed_addresses(), st.sampled_from(list(FORMS)), st.booleans())
def test_a_closed_address_is_closed_in_every_form_that_carries_it(inner: V4, form: str, is_granted: bool) -> None:
    address = V6(FORMS[form](int(inner)))
    # The form of `::1` and `::` is those addresses themselves, of which the first may be granted.
    granted = (entry_of(str(inner), "*"), entry_of(str(address), "*")) if is_granted and int(address) != 1 else ()
    for spelling in (str(address), address.exploded, str(address).upper()):
        assert find_address_problem(spelling, granted, 80) is not None, (form, spelling)


@given(st.ip_addresses(v=4), st.sampled_from(["mapped", "NAT64", "6to4"]))
def test_a_form_that_carries_an_address_is_judged_by_that_address(inner: V4, form: str) -> None:
    address = V6(FORMS[form](int(inner)))
    is_closed = find_address_problem(str(inner), (), 80) is not None
    assert (find_address_problem(str(address), (), 80) is not None) == is_closed


def test_the_reason_says_what_the_address_is_for() -> None:
    assert find_address_problem("10.0.0.1", (), 80) == "is a private address"
    assert find_address_problem("64:ff9b::7f00:1", (), 80) == "carries `127.0.0.1`, which is a loopback address"
    assert "metadata" in (find_address_problem("169.254.169.254", (), 80) or "")
