"""Host names and addresses, brought to one form before they are compared, and lists of hosts.

A host is `name`, `a.b.c.d` or `[v6]`, with or without `:port`. Names are lower case A-labels without a trailing dot
(IDNA 2008 with the UTS 46 mapping, RFC 5891); IPv4 is four decimal numbers and nothing else; IPv6 is written as in
RFC 5952, and is none that maps an IPv4 address. An entry of a list without a port means no port, 80 or 443;
`name:8443` that port, `name:*` any; `*.name` the names below `name`, not `name` itself, and never an address.
"""

import ipaddress
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

import idna
import msgspec

HOST_LENGTH_MAX: Final = 253
PORT_MAX: Final = 65535
_DEFAULT_PORTS: Final = (None, 80, 443)
_NAME: Final = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)(?:\.(?!-)[a-z0-9-]{1,63}(?<!-))*")
_NUMBER: Final = re.compile(r"[0-9]+|0x[0-9a-f]*")
_PORT: Final = re.compile(r"[0-9]{1,5}")


class Host(msgspec.Struct, frozen=True, gc=False):
    """A host in its one form. `port` is None where none was given."""

    name: str
    port: int | None
    is_address: bool = False


@lru_cache(maxsize=4096)
def parse_host(text: str) -> Host | None:
    """Return the host, or None where the text is not one (a path, a user name, an odd form of an address)."""
    name, port_text = _split_port(text)
    if port_text is None:
        port = None
    elif _PORT.fullmatch(port_text) and 0 < int(port_text) <= PORT_MAX:
        port = int(port_text)
    else:
        return None
    if name.startswith("["):
        address = _ipv6(name)
        return None if address is None else Host(address, port, is_address=True)
    plain = _plain_name(name)
    if plain is None:
        return None
    last = plain.rpartition(".")[2]
    if _NUMBER.fullmatch(last):
        # Whatever ends in a number is an address for some resolver (WHATWG URL, 3.5): only the plain form is one here.
        return Host(plain, port, is_address=True) if _is_ipv4(plain) else None
    return Host(plain, port)


def _split_port(text: str) -> tuple[str, str | None]:
    if text.startswith("["):
        end = text.find("]")
        rest = text[end + 1 :]
        if end < 0 or (rest and not rest.startswith(":")):
            return "", ""
        return text[: end + 1], rest[1:] if rest else None
    name, colon, port = text.partition(":")
    return name, port if colon else None


def _plain_name(name: str) -> str | None:
    lowered = name.lower()
    lowered = lowered[:-1] if lowered.endswith(".") else lowered
    if lowered.isascii() and "xn--" not in lowered:
        return lowered if len(lowered) <= HOST_LENGTH_MAX and _NAME.fullmatch(lowered) else None
    try:
        encoded = idna.encode(lowered, uts46=True, std3_rules=True, transitional=False).decode()
    except (idna.IDNAError, UnicodeError):
        return None
    encoded = encoded[:-1] if encoded.endswith(".") else encoded
    return encoded if len(encoded) <= HOST_LENGTH_MAX and _NAME.fullmatch(encoded) else None


def _ipv6(text: str) -> str | None:
    try:
        address = ipaddress.IPv6Address(text[1:-1])
    except ValueError:
        return None
    # An IPv4 address in the clothes of IPv6 reaches the same machine, and no entry for that would match it.
    return None if "%" in text or address.ipv4_mapped is not None else f"[{address.compressed}]"


def _is_ipv4(text: str) -> bool:
    try:
        return str(ipaddress.IPv4Address(text)) == text
    except ValueError:
        return False


class HostEntry(msgspec.Struct, frozen=True, gc=False):
    """One entry of a list of hosts. `ports` None means any."""

    name: str
    below: bool
    ports: tuple[int | None, ...] | None

    def matches(self, host: Host) -> bool:
        """Whether the entry is about the host."""
        if self.ports is not None and host.port not in self.ports:
            return False
        if self.below:
            return not host.is_address and host.name.endswith(f".{self.name}")
        return host.name == self.name


@lru_cache(maxsize=4096)
def parse_entry(text: str) -> HostEntry | None:
    """Return the entry of a list of hosts, or None where the text is none."""
    below = text.startswith("*.")
    rest = text[2:] if below else text
    any_port = rest.endswith(":*")
    host = parse_host(rest[:-2] if any_port else rest)
    if host is None or (any_port and host.port is not None) or (below and host.is_address):
        return None
    ports = None if any_port else _DEFAULT_PORTS if host.port is None else (host.port,)
    return HostEntry(host.name, below, ports)


@lru_cache(maxsize=4096)
def entry_of_both(one: str, other: str) -> str | None:
    """Return the entry that is about the hosts which both entries are about; None where there are none.

    One of the two as it is written, where it is about nothing that the other is not; `one` where they are about the
    same.
    """
    first, second = parse_entry(one), parse_entry(other)
    if first is None or second is None:
        return None
    if _is_inner(first, second):
        inner = first
    elif _is_inner(second, first):
        inner = second
    else:
        return None
    ports = _ports_of_both(first.ports, second.ports)
    for text, entry in ((one, first), (other, second)):
        if (entry.name, entry.below, entry.ports) == (inner.name, inner.below, ports):
            return text
    if ports is not None and not ports:
        return None
    end = ":*" if ports is None else "" if ports == _DEFAULT_PORTS else f":{ports[0]}"
    return f"{'*.' if inner.below else ''}{inner.name}{end}"


def _is_inner(inner: HostEntry, outer: HostEntry) -> bool:
    """Whether the names of the one are names of the other, whatever the ports."""
    if (inner.name, inner.below) == (outer.name, outer.below):
        return True
    host = parse_host(inner.name)
    is_below = inner.name.endswith(f".{outer.name}") and host is not None and not host.is_address
    return outer.below and is_below


def _ports_of_both(
    one: tuple[int | None, ...] | None, other: tuple[int | None, ...] | None
) -> tuple[int | None, ...] | None:
    if one is None or other is None:
        return other if one is None else one
    return tuple(port for port in one if port in other)


class HostSet:
    """Entries with a bit mask each; `hits` returns the union of the masks of those that are about a host."""

    def __init__(self, entries: Iterable[tuple[str, int]]) -> None:
        self._named: dict[str, list[tuple[HostEntry, int]]] = {}
        self._below: dict[str, list[tuple[HostEntry, int]]] = {}
        for text, mask in entries:
            entry = parse_entry(text)
            if entry is not None:
                table = self._below if entry.below else self._named
                table.setdefault(entry.name, []).append((entry, mask))

    def hits(self, host: Host) -> int:
        """Return the union of the masks of the entries that are about the host."""
        found = 0
        for entry, mask in self._named.get(host.name, ()):
            if entry.matches(host):
                found |= mask
        if self._below and not host.is_address:
            at = host.name.find(".")
            while at >= 0:
                for entry, mask in self._below.get(host.name[at + 1 :], ()):
                    if entry.matches(host):
                        found |= mask
                at = host.name.find(".", at + 1)
        return found


def is_listed(host: Host, entries: Iterable[str]) -> bool:
    """Whether one of the entries is about the host."""
    parsed = (parse_entry(entry) for entry in entries)
    return any(entry.matches(host) for entry in parsed if entry is not None)
