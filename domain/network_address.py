"""Which network addresses may be dialled: no private, special or metadata address, in whatever form it is written.

Of IPv4 everything is open but the IANA special-purpose registry (RFC 6890 and its successors) and the addresses under
which clouds answer their machines. Of IPv6 everything is closed but the global unicast space 2000::/3, less the same;
an address that carries an IPv4 address is judged by that one. A granted entry that is an address may open loopback,
private and shared addresses and those of this machine; nothing opens link-local, metadata, multicast or unspecified.
"""

import ipaddress
from collections.abc import Collection, Sequence
from typing import Final, TypeAlias

import msgspec

from .policy_host import Host, is_listed

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address


class _Range(msgspec.Struct, frozen=True):
    """Addresses with one purpose: `first` to `last` as numbers, and whether a grant may open them."""

    first: int
    last: int
    purpose: str
    may_open: bool = False


def _ranges_of(*rows: tuple[str, str, bool]) -> tuple[_Range, ...]:
    networks = ((ipaddress.ip_network(text), purpose, may_open) for text, purpose, may_open in rows)
    return tuple(
        _Range(int(network.network_address), int(network.broadcast_address), purpose, may_open)
        for network, purpose, may_open in networks
    )


_METADATA: Final = "a metadata address, under which clouds answer their machines"

# The first row that holds an address counts: exceptions stand before the range that they lie in.
_IPV4: Final = _ranges_of(
    ("169.254.169.254/32", _METADATA, False),
    ("168.63.129.16/32", _METADATA, False),  # Azure
    ("100.100.100.200/32", _METADATA, False),  # Alibaba Cloud
    ("100.100.2.136/31", _METADATA, False),  # Alibaba Cloud, name servers
    ("100.100.2.138/32", _METADATA, False),
    ("192.0.0.192/32", _METADATA, False),  # Oracle Cloud
    ("0.0.0.0/8", "an unspecified address", False),
    ("127.0.0.0/8", "a loopback address", True),
    ("10.0.0.0/8", "a private address", True),
    ("172.16.0.0/12", "a private address", True),
    ("192.168.0.0/16", "a private address", True),
    ("100.64.0.0/10", "a shared address of a provider's own network", True),
    ("169.254.0.0/16", "a link-local address", False),
    ("192.0.0.0/24", "a special-purpose address", False),
    ("192.0.2.0/24", "an address for documentation", False),
    ("198.51.100.0/24", "an address for documentation", False),
    ("203.0.113.0/24", "an address for documentation", False),
    ("192.31.196.0/24", "a special-purpose address", False),  # AS112
    ("192.52.193.0/24", "a special-purpose address", False),  # AMT
    ("192.88.99.0/24", "a special-purpose address", False),  # 6to4 relays, given up
    ("192.175.48.0/24", "a special-purpose address", False),  # AS112
    ("198.18.0.0/15", "an address for benchmarks", False),
    ("224.0.0.0/4", "a multicast address", False),
    ("255.255.255.255/32", "the broadcast address", False),
    ("240.0.0.0/4", "a reserved address", False),
)

_IPV6: Final = _ranges_of(
    ("fd00:ec2::/32", _METADATA, False),  # Amazon
    ("fd20:ce::/32", _METADATA, False),  # Google
    ("fd00:42::42/128", _METADATA, False),  # Scaleway
    ("fd00:c1::/32", _METADATA, False),  # Oracle Cloud
    ("::/128", "the unspecified address", False),
    ("::1/128", "the loopback address", True),
    ("fc00::/7", "a private address", True),
    ("fe80::/10", "a link-local address", False),
    ("fec0::/10", "a site-local address", False),
    ("ff00::/8", "a multicast address", False),
    ("64:ff9b:1::/48", "an address that a local translator turns into another one", False),
    ("2001::/32", "a Teredo address, which carries another one", False),
    ("2001::/23", "a special-purpose address", False),
    ("2001:db8::/32", "an address for documentation", False),
    ("3fff::/20", "an address for documentation", False),
    ("2620:4f:8000::/48", "a special-purpose address", False),  # AS112
    ("2000::/3", "", False),
    ("::/0", "not a public address", False),
)

_MAPPED: Final = int(ipaddress.IPv6Address("::ffff:0:0")) >> 32
_TRANSLATED: Final = int(ipaddress.IPv6Address("::ffff:0:0:0")) >> 32
_COMPATIBLE: Final = 0
_NAT64: Final = int(ipaddress.IPv6Address("64:ff9b::")) >> 32
_6TO4: Final = 0x2002
_ISATAP: Final = frozenset([0x00005EFE, 0x02005EFE])
_LOW_32: Final = 0xFFFFFFFF


def find_address_problem(address: str, granted: Sequence[str], port: int, own: Collection[str] = ()) -> str | None:
    """Return why an address must not be dialled at a port, such as `is a private address`, or None where it may be.

    `address` is one that a resolver gave, or the host of a URL without brackets. `granted` are entries of a list of
    hosts as `domain/policy_host.py` describes them: those that are addresses may open it. `own` are addresses of this
    machine's interfaces, closed like loopback whatever range they lie in.
    """
    parsed = parse_address(address)
    if parsed is None:
        return "is not an address that can be judged"
    inner = embedded_ipv4(parsed)
    if inner is not None:
        # No entry opens it: an entry names the inner address itself, and that form of it can be dialled.
        problem = find_address_problem(str(inner), (), port, own)
        if problem is not None:
            return f"carries `{inner}`, which {problem}"
    is_own = str(parsed) in own
    closed = None if inner is not None else _find_closed_range(parsed)
    if closed is None and not is_own:
        return None
    if closed is None or closed.may_open:
        name = str(parsed) if parsed.version == 4 else f"[{parsed.compressed}]"
        if is_listed(Host(name, port, is_address=True), granted):
            return None
    return f"is {'an address of this machine' if closed is None else closed.purpose}"


def parse_address(text: str) -> Address | None:
    """Return the address, or None where the text is none or names an interface (`%eth0`)."""
    if "%" in text:
        return None
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def embedded_ipv4(address: Address) -> ipaddress.IPv4Address | None:
    """Return the IPv4 address that an IPv6 address carries, or None.

    Known are mapped, compatible and translated addresses, 6to4 (RFC 3056), ISATAP (RFC 5214) and NAT64 with its
    well-known prefix (RFC 6052).
    """
    if address.version == 4:
        return None
    number = int(address)
    if number >> 32 in (_MAPPED, _TRANSLATED, _NAT64):
        return ipaddress.IPv4Address(number & _LOW_32)
    if number >> 32 == _COMPATIBLE and number > 1:
        return ipaddress.IPv4Address(number & _LOW_32)
    if number >> 112 == _6TO4:
        return ipaddress.IPv4Address(number >> 80 & _LOW_32)
    if number >> 32 & _LOW_32 in _ISATAP and _find_closed_range(address) is None:
        return ipaddress.IPv4Address(number & _LOW_32)
    return None


def _find_closed_range(address: Address) -> _Range | None:
    number = int(address)
    for one in _IPV4 if address.version == 4 else _IPV6:
        if one.first <= number <= one.last:
            return one if one.purpose else None
    return None
