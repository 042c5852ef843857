"""Tries the way out of the sandbox out: hosts that must not be reached are asked for. No packet leaves."""

import hashlib
import platform
import socket
from collections.abc import Sequence

import anyio
import anyio.abc

from ...domain.sandbox import Canary
from ...engine.ports import Connection
from .connect_proxy import ConnectProxy

_WAIT_S = 5.0
_LISTED = "canary.example:443"
_TRIES: tuple[tuple[str, str, str, str], ...] = (
    ("unlisted-host", "other.example:443", "93.184.216.34", "a host that is not on the list is refused"),
    ("private-address", _LISTED, "10.0.0.1", "a listed name that leads to a private address is refused"),
    ("this-machine", _LISTED, "127.0.0.1", "a listed name that leads to this machine is refused"),
    ("metadata-address", _LISTED, "169.254.169.254", "a listed name that leads to a metadata address is refused"),
)


class NetworkSelfTest:
    """The `SelfTest` port for the network. Names are answered by the test itself, and nothing is dialled."""

    def fingerprint(self) -> str:
        """See the port `SelfTest`: the kernel and the interpreter."""
        parts = f"network {platform.release()} {platform.python_version()}"
        return f"sha256:{hashlib.sha256(parts.encode()).hexdigest()}"

    async def run(self) -> tuple[Canary, ...]:
        """See the port `SelfTest`."""
        return tuple([await _tried(*one) for one in _TRIES])


class _Trial:
    """Stands in for the world: answers one address for every name, and counts what is asked of it."""

    def __init__(self, address: str) -> None:
        self._address = address
        self.looked_up: list[str] = []
        self.dialled: list[str] = []
        self.told: list[Connection] = []

    async def resolve(self, name: str) -> Sequence[str]:
        self.looked_up.append(name)
        return (self._address,)

    async def dial(self, address: str, port: int) -> anyio.abc.SocketStream:
        self.dialled.append(f"{address}:{port}")
        raise OSError("the canary dials nothing")

    async def connection(self, connection: Connection) -> None:
        self.told.append(connection)

    def output(self, stream: str, chunk: bytes) -> None:
        """Hear nothing: no command runs."""


async def _tried(name: str, host: str, address: str, detail: str) -> Canary:
    trial = _Trial(address)
    try:
        answer = await _ask(trial, host)
    except (OSError, TimeoutError) as error:
        return Canary(name=name, path="network", standing="absent", detail=f"{detail}: it could not be tried: {error}")
    refused = (
        answer.startswith(b"HTTP/1.1 403") and not trial.dialled and [one.is_allowed for one in trial.told] == [False]
    )
    if host != _LISTED:
        # A name that is looked up has left the machine already.
        refused = refused and not trial.looked_up
    otherwise = "" if refused else ": it was not"
    return Canary(
        name=name, path="network", standing="enforced" if refused else "absent", detail=f"{detail}{otherwise}"
    )


async def _ask(trial: _Trial, host: str) -> bytes:
    """Ask a proxy of its own for a tunnel to the host; return its answer."""
    proxy = ConnectProxy(resolve=trial.resolve, dial=trial.dial, is_own=lambda _address: False)
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    with anyio.fail_after(_WAIT_S):
        async with proxy.serve(listener, (_LISTED,), (), trial), await anyio.connect_tcp("127.0.0.1", port) as client:
            await client.send(f"CONNECT {host} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
            return await client.receive()
