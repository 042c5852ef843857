"""The transport beneath httpx: one request, to the host and port that were decided about, and nowhere else."""

import httpx
import pytest

from cowork.adapters.network.bounds import RequestLimits
from cowork.adapters.network.problem import NetworkProblem
from cowork.adapters.network.reach import Reach
from cowork.adapters.network.transport import GuardedTransport
from cowork.domain.network_url import Url, parse_url
from tests.adapters.network.servers import OK, names, serving

pytestmark = pytest.mark.anyio


def transport_to(url: str, port: int) -> GuardedTransport:
    parsed = parse_url(url, length_max=200)
    assert isinstance(parsed, Url)
    reach = Reach(resolve=names(good_test="127.0.0.1", evil_test="127.0.0.1"))
    return GuardedTransport(parsed, reach=reach, granted=(f"127.0.0.1:{port}",), tls=None, limits=RequestLimits())


@pytest.mark.parametrize(
    "asked", ["http://evil.test:{}/a", "http://good.test:{}/b", "http://good.test:1/a", "https://good.test:{}/a",
              "http://127.0.0.1:{}/a"],
)  # fmt: skip
async def test_a_client_can_not_use_it_for_anything_else(asked: str) -> None:
    async with serving() as server:
        transport = transport_to(f"http://good.test:{server.port}/a", server.port)
        async with httpx.AsyncClient(transport=transport, trust_env=False) as client:
            with pytest.raises(NetworkProblem, match="was not decided about"):
                await client.get(asked.format(server.port))
        assert server.connections == 0


async def test_a_client_that_follows_redirects_gets_no_further_than_the_first_answer() -> None:
    async with serving() as inside:
        answer = f"HTTP/1.1 302 Found\r\nLocation: http://evil.test:{inside.port}/\r\nContent-Length: 0\r\n\r\n"
        async with serving(answer.encode()) as server:
            transport = transport_to(f"http://good.test:{server.port}/a", server.port)
            async with httpx.AsyncClient(transport=transport, follow_redirects=True, trust_env=False) as client:
                with pytest.raises(NetworkProblem, match="was not decided about"):
                    await client.get(f"http://good.test:{server.port}/a")
            assert (server.connections, inside.connections) == (1, 0)


async def test_a_second_request_needs_a_transport_of_its_own() -> None:
    async with serving(OK) as server:
        url = f"http://good.test:{server.port}/a"
        async with httpx.AsyncClient(transport=transport_to(url, server.port), trust_env=False) as client:
            assert (await client.get(url)).text == "hello"
            with pytest.raises(NetworkProblem, match="connected anew"):
                await client.get(url)
        assert server.connections == 1


async def test_it_says_where_it_went_and_how_much_went_through() -> None:
    async with serving(OK) as server:
        url = f"http://good.test:{server.port}/a"
        transport = transport_to(url, server.port)
        async with httpx.AsyncClient(transport=transport, trust_env=False) as client:
            await client.get(url)
        assert transport.address == "127.0.0.1"
        assert (transport.tally.sent, transport.tally.received) == (len(server.received[0]), len(OK))
