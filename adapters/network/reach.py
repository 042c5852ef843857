"""From a decided host to a connection: looked up once, every address checked, and only a checked one is dialled."""

import ipaddress
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

import anyio
import anyio.to_thread
from anyio.abc import SocketAttribute, SocketStream

from ...domain.network_address import embedded_ipv4, find_address_problem, parse_address
from ...domain.policy_host import Host
from .bounds import ReachLimits
from .problem import NetworkProblem, words_of

Resolve: TypeAlias = Callable[[str], Awaitable[Sequence[str]]]
"""Looks up a name, in lower-case A-labels without a trailing dot; raises `OSError` where it has no address."""

Dial: TypeAlias = Callable[[str, int], Awaitable[SocketStream]]
"""Connects to an address and port; raises `OSError`."""

IsOwn: TypeAlias = Callable[[str], bool]
"""Whether an address is one of this machine's interfaces."""


async def resolve_name(name: str) -> tuple[str, ...]:
    """Look up a name with the system's resolver, in the order in which it would try the addresses."""
    # Bytes, because of a text Python would make its own reading of an internationalised name.
    rows = await anyio.to_thread.run_sync(
        lambda: socket.getaddrinfo(name.encode("ascii"), None, type=socket.SOCK_STREAM),
        abandon_on_cancel=True,
        # A look-up that hangs must not take away a thread from the engine's other work.
        limiter=anyio.CapacityLimiter(1),
    )
    return tuple(dict.fromkeys(str(row[4][0]) for row in rows))


async def dial_address(address: str, port: int) -> SocketStream:
    """Connect to an address. It is not a name: nothing is looked up."""
    return await anyio.connect_tcp(address, port)


def is_own_address(address: str) -> bool:
    """Whether an address is one of this machine's: the kernel would send from it to itself. No packet leaves."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((address, 9))
            own = probe.getsockname()[0]
    except OSError:
        return False
    return str(own).partition("%")[0] == address


class Reach:
    """Finds and dials the addresses of hosts that were decided about. Decides nothing about hosts itself."""

    def __init__(
        self,
        *,
        resolve: Resolve = resolve_name,
        dial: Dial = dial_address,
        is_own: IsOwn = is_own_address,
        limits: ReachLimits | None = None,
    ) -> None:
        self._resolve = resolve
        self._dial = dial
        self._is_own = is_own
        self._limits = limits or ReachLimits()

    async def find(self, host: Host, port: int, granted: Sequence[str]) -> tuple[str, ...]:
        """Look a host up once and return the addresses to dial, in order, each of them checked.

        Where one of them may not be dialled, none is: a name that leads to a public and to a private address is a trap.
        Raises `NetworkProblem` net_addr, io or limit.
        """
        addresses = await self._addresses_of(host)
        if len(addresses) > self._limits.addresses:
            raise NetworkProblem("limit", f"`{host.name}` has {len(addresses)} addresses")
        for address in addresses:
            problem = self._problem_of(address, granted, port)
            if problem is not None:
                named = f"`{address}`" if host.is_address else f"`{host.name}` leads to `{address}`, which"
                raise NetworkProblem("net_addr", f"{named} {problem}")
        return addresses[: self._limits.dials]

    def _problem_of(self, address: str, granted: Sequence[str], port: int) -> str | None:
        problem = find_address_problem(address, (), port)
        parsed = parse_address(address)
        if problem is not None or parsed is None:
            return find_address_problem(address, granted, port)
        # Open to everybody, unless it is this machine's own: then it is as closed as loopback.
        reached = str(embedded_ipv4(parsed) or parsed)
        return find_address_problem(address, granted, port, (reached,)) if self._is_own(reached) else None

    async def _addresses_of(self, host: Host) -> tuple[str, ...]:
        if host.is_address:
            return (host.name.strip("[]"),)
        if host.name == "localhost" or host.name.endswith(".localhost"):
            # RFC 6761, 6.3: these names mean this machine whatever a resolver says.
            return ("127.0.0.1",)
        try:
            with anyio.fail_after(self._limits.resolve_s):
                addresses = tuple(await self._resolve(host.name))
        except TimeoutError:
            raise NetworkProblem(
                "limit", f"looking up `{host.name}` took longer than {self._limits.resolve_s:g} s"
            ) from None
        except OSError as error:
            raise NetworkProblem("io", f"`{host.name}` can't be looked up: {words_of(error)}") from error
        if not addresses:
            raise NetworkProblem("io", f"`{host.name}` has no address")
        return addresses

    async def connect(self, address: str, port: int) -> SocketStream:
        """Connect to a checked address, and make sure that it is the one that answers.

        Raises `NetworkProblem` net_addr, io or limit.
        """
        shown = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
        try:
            with anyio.fail_after(self._limits.dial_s):
                stream = await self._dial(address, port)
        except TimeoutError:
            raise NetworkProblem(
                "limit", f"connecting to `{shown}` took longer than {self._limits.dial_s:g} s"
            ) from None
        except OSError as error:
            raise NetworkProblem("io", f"`{shown}` can't be connected to: {words_of(error)}") from error
        try:
            peer = stream.extra(SocketAttribute.remote_address)  # noqa: S610 - not Django
            is_peer = ipaddress.ip_address(peer[0]) == ipaddress.ip_address(address) and peer[1] == port
        except (OSError, ValueError) as error:
            await stream.aclose()
            raise NetworkProblem("io", f"`{shown}` ended the connection at once") from error
        if not is_peer:
            await stream.aclose()
            raise NetworkProblem("net_addr", f"another address than `{shown}` answered")
        return stream
