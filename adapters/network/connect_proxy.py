"""The only way out of the sandbox: an HTTP proxy on a listening socket that one command, and nobody else, can reach.

For each connection, in this order: (1) read one request, strictly; (2) decide about its host and port; (3) look the
host up, once; (4) check every address; (5) tell the witness; (6) dial a checked address; (7) hand bytes on. What fails
at a step never gets to the next one: a name that is not listed is not looked up, so that names can't carry data out.
"""

import socket
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Final

import anyio
import h11
from anyio.abc import SocketListener, SocketStream, TaskGroup

from ...domain.errors import DomainError
from ...domain.policy_host import Host, is_listed
from ...domain.reason import ReasonCode
from ...engine.ports import Connection, ListeningSocket, Traffic, Witness
from .bounds import ProxyLimits, ReachLimits
from .problem import NetworkProblem
from .proxy_request import Incoming, Malformed, ProxyRequest
from .reach import Dial, IsOwn, Reach, Resolve, dial_address, is_own_address, resolve_name
from .relay import CountedServer, answer_briefly, forward, tunnel, within

_BROKEN: Final = (OSError, anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.EndOfStream, h11.ProtocolError)
_PAUSE_S: Final = 0.05
_FORBIDDEN: Final[frozenset[ReasonCode]] = frozenset(["net_denied", "net_addr"])


class ConnectProxy:
    """The `Egress` port: `CONNECT host:port`, and plain HTTP with the whole URL as the target. No SOCKS."""

    def __init__(
        self,
        *,
        resolve: Resolve = resolve_name,
        dial: Dial = dial_address,
        is_own: IsOwn = is_own_address,
        limits: ProxyLimits | None = None,
        reach_limits: ReachLimits | None = None,
    ) -> None:
        self._reach = Reach(resolve=resolve, dial=dial, is_own=is_own, limits=reach_limits)
        self._limits = limits or ProxyLimits()

    def serve(
        self, listener: ListeningSocket, hosts: Sequence[str], addresses: Sequence[str], witness: Witness
    ) -> AbstractAsyncContextManager[Traffic]:
        """Take proxy requests for the length of the block; see the port. The listening socket is closed with it."""
        way = _WayOut(self._reach, self._limits, tuple(hosts), tuple(addresses), witness)
        return _Serving(socket.socket(fileno=listener.detach()), way)


class _Serving(AbstractAsyncContextManager[Traffic]):
    """The length of the block. What the block raises goes through as it is, and not wrapped in a group."""

    def __init__(self, listener: socket.socket, way: "_WayOut") -> None:
        self._listener = listener
        self._way = way
        self._tasks = anyio.create_task_group()

    async def __aenter__(self) -> Traffic:
        accepting = await SocketListener.from_socket(self._listener)
        await self._tasks.__aenter__()
        self._tasks.start_soon(self._way.accept_all, accepting, self._tasks)
        return self._way.traffic

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        self._tasks.cancel_scope.cancel()
        if isinstance(error, anyio.get_cancelled_exc_class()):
            # Whose cancellation it is only the group can tell.
            return await self._tasks.__aexit__(kind, error, trace)
        await self._tasks.__aexit__(None, None, None)
        return None


class _WayOut:
    """The way out of one command."""

    def __init__(
        self, reach: Reach, limits: ProxyLimits, hosts: Sequence[str], addresses: Sequence[str], witness: Witness
    ) -> None:
        self.traffic = Traffic()
        self._reach = reach
        self._limits = limits
        self._hosts = hosts
        self._addresses = addresses
        self._witness = witness
        # One record after the other: they go into one stream of events.
        self._recording = anyio.Lock()
        self._places = anyio.Semaphore(limits.at_once)
        self._refusals = 0
        self._closed = anyio.Event()

    async def accept_all(self, listener: SocketListener, tasks: TaskGroup) -> None:
        """Serve connections until the way out is closed, or too many were asked for."""
        tasks.start_soon(self._close_when_told, listener)
        made = 0
        async with listener:
            while True:
                await self._places.acquire()
                try:
                    client = await listener.accept()
                except anyio.ClosedResourceError:
                    return
                except OSError:
                    # Out of descriptors, or gone before it was taken: neither is a reason to end the way out.
                    self._places.release()
                    await anyio.sleep(_PAUSE_S)
                    continue
                made += 1
                if made > self._limits.connections:
                    await anyio.aclose_forcefully(client)
                    await self._close(f"more than {self._limits.connections} connections")
                    return
                tasks.start_soon(self._serve_one, client)

    async def _close_when_told(self, listener: SocketListener) -> None:
        await self._closed.wait()
        await listener.aclose()

    async def _serve_one(self, client: SocketStream) -> None:
        try:
            await self._handle(client)
        except* _BROKEN:
            # Either side hung up or broke the protocol half way: there is nobody left to tell.
            pass
        finally:
            self._places.release()
            await anyio.aclose_forcefully(client)

    async def _handle(self, client: SocketStream) -> None:
        # (1) One request is read, and nothing is asked of anybody.
        incoming = Incoming(client, self._limits)
        request: ProxyRequest | Malformed | None = Malformed("the request took too long to arrive")
        with anyio.move_on_after(self._limits.head_s):
            request = await incoming.read_request()
        if request is None:
            return
        if isinstance(request, Malformed):
            await self._refuse(incoming, request.host, request.port, "net_denied", request.message)
            return
        host, port = request.host.name, request.port
        # (2) Only what is listed goes on.
        if not is_listed(Host(host, port, request.host.is_address), self._hosts):
            await self._refuse(incoming, host, port, "net_denied", f"`{host}` at port {port} is not granted")
            return
        async with within(self._limits) as moved:
            try:
                # (3) and (4) Looked up once, and every address checked.
                addresses = await self._reach.find(request.host, port, self._addresses)
            except NetworkProblem as problem:
                await self._refuse(incoming, host, port, problem.reason_code, problem.reason)
                return
            server = await self._connect(incoming, host, port, addresses)
            if server is None:
                return
            try:
                # (7) From here on bytes go through.
                await self._relay(incoming, request, CountedServer(server, self.traffic, moved))
            finally:
                await anyio.aclose_forcefully(server)

    async def _connect(self, incoming: Incoming, host: str, port: int, addresses: Sequence[str]) -> SocketStream | None:
        """Connect to the first address that answers, each told before it is dialled; else say so to the command."""
        reason = ""
        for address in addresses:
            # (5) Durable on return.
            if not await self._tell(Connection(host=host, port=port, address=address)):
                await answer_briefly(incoming, 503, "the connection could not be put on record")
                return None
            # (6) The address that was checked and told, and no name.
            try:
                return await self._reach.connect(address, port)
            except NetworkProblem as problem:
                reason = problem.reason
        await answer_briefly(incoming, 502, reason)
        return None

    async def _relay(self, incoming: Incoming, request: ProxyRequest, server: CountedServer) -> None:
        if request.url is not None:
            await forward(incoming, request, server, self._limits)
            return
        # CONNECT has no body: what came after its head is the first of what goes through the tunnel.
        early, _ = incoming.http.trailing_data
        await incoming.stream.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await tunnel(incoming.stream, server, early)

    async def _refuse(self, incoming: Incoming, host: str, port: int, code: ReasonCode, reason: str) -> None:
        """Put a refusal on record and tell the command; after too many of them close the way out."""
        self._refusals += 1
        if self._refusals > self._limits.refusals:
            return
        is_told = await self._tell(Connection(host=host, port=port, reason_code=code, reason=reason))
        if is_told and self._refusals == self._limits.refusals:
            await self._close(f"{self._refusals} connections were refused")
        await answer_briefly(incoming, 403 if code in _FORBIDDEN else 502, reason)

    async def _close(self, why: str) -> None:
        reason = f"{why}: no further ones are taken"
        await self._tell(Connection(host="", port=0, reason_code="limit", reason=reason))
        self._closed.set()

    async def _tell(self, connection: Connection) -> bool:
        """Put a connection on record; whether that could be done. Where it can't, the way out is closed."""
        try:
            async with self._recording:
                await self._witness.connection(connection)
        except DomainError:
            self._closed.set()
            return False
        return True
