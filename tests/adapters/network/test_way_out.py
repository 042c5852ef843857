"""The way out of the sandbox: decided before anything is looked up, told before anything is dialled."""

import socket
import subprocess
import sys

import anyio
import anyio.to_thread
import httpx
import pytest
from anyio.abc import ByteStream, SocketStream

from cowork.adapters.network.bounds import ProxyLimits
from cowork.adapters.network.connect_proxy import ConnectProxy
from cowork.adapters.network.trust_store import trust_file
from cowork.engine.ports import Connection
from tests.adapters.network.certificates import make_authority, serve_as
from tests.adapters.network.requests import Log
from tests.adapters.network.servers import OK, Detour, Names, dial_nobody, names, read_request, serving
from tests.adapters.network.test_requests import CLOSED
from tests.adapters.network.ways_out import WayOut, status_of, way_out

pytestmark = pytest.mark.anyio


async def echo(stream: ByteStream) -> None:
    """Send back whatever comes."""
    while True:
        await stream.send(await stream.receive())


async def test_a_tunnel_to_a_listed_host_is_told_dialled_and_counted() -> None:
    async with serving(echo) as server:
        granted = [f"127.0.0.1:{server.port}"]
        async with way_out([f"good.test:{server.port}"], names(good_test="127.0.0.1"), addresses=granted) as way:
            head = f"CONNECT good.test:{server.port} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
            heard = await way.say(head + b"early bytes", ends=True)
            assert heard == b"HTTP/1.1 200 Connection established\r\n\r\nearly bytes"
            assert way.told == [Connection(host="good.test", port=server.port, address="127.0.0.1")]
            assert (way.traffic.sent, way.traffic.received) == (11, 11)


async def test_a_plain_request_is_written_anew_for_the_server() -> None:
    async with serving() as server:
        granted = [f"127.0.0.1:{server.port}"]
        async with way_out([f"good.test:{server.port}"], names(good_test="127.0.0.1"), addresses=granted) as way:
            heard = await way.get(
                f"http://GOOD.test:{server.port}/a?b=c",
                "Proxy-Authorization: Basic eA==",
                "Proxy-Connection: keep-alive",
                "Connection: keep-alive, X-Hop, Content-Length",
                "X-Hop: 1",
                "X-Kept: 2",
                "TE: trailers",
                "Upgrade: h2c",
            )
        assert status_of(heard) == 200
        assert heard.endswith(b"\r\n\r\nhello")
        assert b"connection: close" in heard.lower()
        head = f"GET /a?b=c HTTP/1.1\r\nhost: good.test:{server.port}\r\nx-kept: 2\r\nconnection: close\r\n\r\n"
        assert server.received == [head.encode()]
        assert (way.traffic.sent, way.traffic.received) == (len(head), len(OK))


async def test_a_body_is_handed_on_in_either_framing() -> None:
    async with serving() as server:
        granted = [f"127.0.0.1:{server.port}"]
        async with way_out([f"good.test:{server.port}"], names(good_test="127.0.0.1"), addresses=granted) as way:
            head = f"POST http://good.test:{server.port}/ HTTP/1.1\r\nHost: x\r\n".encode()
            assert status_of(await way.say(head + b"Content-Length: 5\r\n\r\nabcde")) == 200
            assert status_of(await way.say(head + b"Transfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n")) == 200
        assert server.received[0].endswith(b"content-length: 5\r\nconnection: close\r\n\r\nabcde")
        assert server.received[1].endswith(b"\r\n\r\n5\r\nabcde\r\n0\r\n\r\n")


# Decided before it is looked up


@pytest.mark.parametrize(
    "target",
    ["evil.test:443", "good.test.evil.test:443", "evilgood.test:443", "good.test:22", "sub.good.test:443",
     "ons2gk4tfqqhg33nmuqgizlmnrxq.evil.test:443", "10.0.0.1:443", "93.184.216.34:443", "[::1]:443",
     "169.254.169.254:80", "localhost:443"],
)  # fmt: skip
async def test_a_host_that_is_not_listed_is_refused_and_never_looked_up(target: str) -> None:
    resolve = Names({"evil.test": [["93.184.216.34"]]})
    async with way_out(["good.test"], resolve, dial=dial_nobody) as way:
        heard = await way.connect(target)
        assert status_of(heard) == 403
        (told,) = way.told
        assert (told.is_allowed, told.reason_code, told.address) == (False, "net_denied", "")
        assert f"{told.host}:{told.port}" == target
        assert status_of(await way.get(f"http://{target}/")) == 403
        assert resolve.asked == []
        assert (way.traffic.sent, way.traffic.received) == (0, 0)


async def test_an_empty_list_lets_nothing_through() -> None:
    resolve = names(good_test="93.184.216.34")
    async with way_out([], resolve, dial=dial_nobody) as way:
        assert status_of(await way.connect("good.test:443")) == 403
        assert resolve.asked == []


@pytest.mark.parametrize(
    "target",
    ["evil.test\0.good.test:443", "good.test\0:443", "good.test%00.evil.test:443", "good.test%3a443:443",
     "good.test@evil.test:443", "user:pw@good.test:443", "good.test:443@evil.test:443", "good.test", "good.test:",
     "good.test:0", "good.test:65536", "good.test:4 43", "good.test:443:443", "good.test:+443", "/good.test:443",
     "http://good.test:443", "https://good.test/", "127.1:443", "0x7f.0.0.1:443", "2130706433:443", "0177.0.0.1:443",
     "[::ffff:127.0.0.1]:443", "[fe80::1%25eth0]:443", "[fe80::1%eth0]:443", "[::1:443", "::1:443", "good..test:443",
     ".good.test:443", "good_.test:443", "*.good.test:443", "g\xf6\xf6d.test:443", "\xe3\x80\x82good.test:443", "*"],
)  # fmt: skip
async def test_an_odd_spelling_is_refused_and_never_looked_up(target: str) -> None:
    resolve = Names({})
    async with way_out(
        ["good.test:*", "*.good.test:*", "evil.test:*", "127.0.0.1:*"], resolve, dial=dial_nobody
    ) as way:
        assert status_of(await way.connect(target)) == 403
        (told,) = way.told
        assert told.reason_code == "net_denied"
        assert told.host.isascii()
        assert told.host.isprintable()
        assert resolve.asked == []


@pytest.mark.parametrize("spelling", ["good.test", "GOOD.test", "good.test.", "Good.Test."])
async def test_the_spellings_of_a_listed_host_are_that_host(spelling: str) -> None:
    async with serving(echo) as server:
        resolve = names(good_test="127.0.0.1")
        listed = [f"good.test:{server.port}"]
        async with way_out(listed, resolve, addresses=[f"127.0.0.1:{server.port}"]) as way:
            head = f"CONNECT {spelling}:{server.port} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
            assert status_of(await way.say(head, ends=True)) == 200
            assert way.told == [Connection(host="good.test", port=server.port, address="127.0.0.1")]
            assert resolve.asked == ["good.test"]


@pytest.mark.parametrize(
    "request_bytes",
    [b"GET /relative HTTP/1.1\r\nHost: good.test\r\n\r\n", b"GET http://good.test/ HTTP/1.1\r\n\r\n",
     b"GET http://good.test/ HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
     b"GET http://good.test/ HTTP/2.0\r\nHost: a\r\n\r\n",
     b"GET http://good.test/ HTTP/1.1\r\nHost: a\r\nX: b\r\n c\r\n\r\n",
     b"GET http://good.test/ HTTP/1.1\nHost: a\n\n", b"GET http://good.test/ HTTP/1.1\r\nHost: a\nX: b\r\n\r\n",
     b"GET http://good.test/ HTTP/1.1\r\nHost: a\r\nX: b\0c\r\n\r\n",
     b"GET http://good.test/ HTTP/1.1\r\nHost: a\r\nX : b\r\n\r\n", b"GET http://good.test/\r\n\r\n",
     b"GET http://good.test/ http/1.1\r\nHost: a\r\n\r\n", b"GET  http://good.test/ HTTP/1.1\r\nHost: a\r\n\r\n",
     b"POST http://good.test/ HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
     b"POST http://good.test/ HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\nx",
     b"POST http://good.test/ HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
     b"POST http://good.test/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
     b"CONNECT good.test:443 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
     b"GET https://good.test/ HTTP/1.1\r\nHost: a\r\n\r\n", b"GET ftp://good.test/ HTTP/1.1\r\nHost: a\r\n\r\n",
     b"GET http://good.test/../x HTTP/1.1\r\nHost: a\r\n\r\n", b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
     b"\r\n\r\nGET http://good.test/ HTTP/1.1\r\nHost: a\r\n\r\n", b"\x05\x01\x00",
     b"\x05\x01\x00\x03\x09good.test\x01\xbb",
     b"\x04\x01\x01\xbb\x00\x00\x00\x01x\x00good.test\x00", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
     b"GET http://good.test/ HTTP/1.1\r\nHost: a\r\n" + b"".join(b"X-%d: y\r\n" % n for n in range(120)) + b"\r\n",
     b"GET http://good.test/ HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 40_000 + b"\r\n\r\n",
     b"GET http://good.test/" + b"a" * 9000 + b" HTTP/1.1\r\nHost: a\r\n\r\n"],
)  # fmt: skip
async def test_a_request_that_can_be_read_in_two_ways_goes_nowhere(request_bytes: bytes) -> None:
    resolve = names(good_test="93.184.216.34")
    async with way_out(["good.test:*"], resolve, dial=dial_nobody) as way:
        heard = await way.say(request_bytes, ends=True)
        assert heard == b"" or status_of(heard) == 403
        assert [told.reason_code for told in way.told] == ["net_denied"]
        assert resolve.asked == []


# Checked before it is dialled


@pytest.mark.parametrize("address", CLOSED)
async def test_a_listed_name_that_leads_to_a_closed_address_is_not_dialled(address: str) -> None:
    resolve = Names({"good.test": [["93.184.216.34", address]]})
    async with way_out(["good.test"], resolve, dial=dial_nobody) as way:
        assert status_of(await way.connect("good.test:443")) == 403
        (told,) = way.told
        assert (told.reason_code, told.address) == ("net_addr", "")


async def test_a_listed_private_address_needs_to_be_granted_with_its_port() -> None:
    async with serving(echo) as server:
        listed = [f"127.0.0.1:{server.port}"]
        head = f"CONNECT 127.0.0.1:{server.port} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
        async with way_out(listed, Names({})) as way:
            assert status_of(await way.say(head, ends=True)) == 403
            assert way.told[0].reason_code == "net_addr"
        async with way_out(listed, Names({}), addresses=[f"127.0.0.1:{server.port + 1}"]) as way:
            assert status_of(await way.say(head, ends=True)) == 403
        async with way_out(listed, Names({}), addresses=listed) as way:
            assert status_of(await way.say(head, ends=True)) == 200
        assert server.connections == 1


async def test_each_connection_is_looked_up_once_and_the_checked_address_is_the_dialled_one() -> None:
    async with serving(echo) as server:
        resolve = Names({"good.test": [["93.184.216.34"], ["127.0.0.1"]]})
        dial = Detour(server.port)
        async with way_out(["good.test"], resolve, dial=dial) as way:
            head = b"CONNECT good.test:443 HTTP/1.1\r\nHost: x\r\n\r\n"
            assert status_of(await way.say(head, ends=True)) == 200
            assert status_of(await way.say(head, ends=True)) == 403
            assert [told.reason_code for told in way.told] == [None, "net_addr"]
        assert dial.dialled == [("93.184.216.34", 443)]
        assert resolve.asked == ["good.test", "good.test"]


async def test_a_connection_is_on_record_before_it_is_made() -> None:
    async with serving(echo) as server:
        detour = Detour(server.port)
        told_when_dialled: list[int] = []

        async def dial(address: str, port: int) -> SocketStream:
            told_when_dialled.append(len(way.told))
            return await detour(address, port)

        async with way_out(["good.test"], names(good_test="93.184.216.34"), dial=dial) as way:
            await way.say(b"CONNECT good.test:443 HTTP/1.1\r\nHost: x\r\n\r\n", ends=True)
        assert told_when_dialled == [1]


async def test_what_can_not_be_put_on_record_is_not_made_and_closes_the_way_out() -> None:
    async with way_out(["good.test"], names(good_test="93.184.216.34"), dial=dial_nobody) as way:
        way.log.broken = True
        assert status_of(await way.connect("good.test:443")) == 503
        with pytest.raises(OSError, match="onnect"):
            await way.connect("good.test:443")


# One host to a connection


async def test_a_second_request_on_a_connection_reaches_nobody() -> None:
    async with serving() as server:
        resolve = names(good_test="127.0.0.1", evil_test="127.0.0.1")
        listed = [f"good.test:{server.port}", f"evil.test:{server.port}"]
        async with way_out(listed, resolve, addresses=[f"127.0.0.1:{server.port}"]) as way:
            first = f"GET http://good.test:{server.port}/1 HTTP/1.1\r\nHost: x\r\nConnection: keep-alive\r\n\r\n"
            second = f"GET http://evil.test:{server.port}/2 HTTP/1.1\r\nHost: x\r\n\r\n"
            heard = await way.say(f"{first}{second}".encode())
            assert heard.count(b"HTTP/1.1 200") == 1
            assert [told.host for told in way.told] == ["good.test"]
        assert server.connections == 1
        assert b"evil.test" not in server.received[0]
        assert resolve.asked == ["good.test"]


async def test_the_host_header_of_a_request_has_no_say() -> None:
    async with serving() as server:
        listed = [f"good.test:{server.port}"]
        async with way_out(listed, names(good_test="127.0.0.1"), addresses=[f"127.0.0.1:{server.port}"]) as way:
            head = f"GET http://good.test:{server.port}/ HTTP/1.1\r\nHost: evil.test\r\n\r\n"
            assert status_of(await way.say(head.encode())) == 200
        assert b"evil.test" not in server.received[0]
        assert f"host: good.test:{server.port}".encode() in server.received[0]


# Bounds


async def test_refusals_without_end_are_recorded_up_to_a_number_and_then_the_way_out_is_closed() -> None:
    async with way_out(["good.test"], Names({}), dial=dial_nobody, limits=ProxyLimits(refusals=5)) as way:
        answers = []
        for number in range(40):
            try:
                answers.append(await way.connect(f"evil{number}.test:443"))
            except OSError:
                break
        assert len(answers) <= 7
        assert [told.reason_code for told in way.told] == ["net_denied"] * 5 + ["limit"]
        assert way.told[-1] == Connection(
            host="", port=0, reason_code="limit", reason="5 connections were refused: no further ones are taken"
        )


async def test_refusals_at_the_same_time_are_not_recorded_beyond_the_number_either() -> None:
    async with way_out(["good.test"], Names({}), dial=dial_nobody, limits=ProxyLimits(refusals=5)) as way:

        async def ask(number: int) -> None:
            try:
                await way.connect(f"evil{number}.test:443")
            except OSError:
                return

        async with anyio.create_task_group() as tasks:
            for number in range(60):
                tasks.start_soon(ask, number)
        assert len(way.told) == 6


async def test_more_connections_than_a_number_close_the_way_out_and_that_is_said() -> None:
    async with serving() as server:
        listed = [f"good.test:{server.port}"]
        granted = [f"127.0.0.1:{server.port}"]
        limits = ProxyLimits(connections=4)
        async with way_out(listed, names(good_test="127.0.0.1"), addresses=granted, limits=limits) as way:
            for _ in range(4):
                assert status_of(await way.get(f"http://good.test:{server.port}/")) == 200
            assert await way.get(f"http://good.test:{server.port}/") == b""
            with pytest.raises(OSError, match="onnect"):
                await way.get(f"http://good.test:{server.port}/")
            assert [told.reason_code for told in way.told] == [None] * 4 + ["limit"]
            assert way.told[-1].reason == "more than 4 connections: no further ones are taken"


async def test_only_so_many_connections_are_served_at_once() -> None:
    most = 0
    now = 0

    async def count(stream: ByteStream) -> None:
        nonlocal most, now
        now += 1
        most = max(most, now)
        await read_request(stream)
        await anyio.sleep(0.02)
        now -= 1
        await stream.send(OK)

    async with serving(count) as server:
        listed = [f"good.test:{server.port}"]
        granted = [f"127.0.0.1:{server.port}"]
        limits = ProxyLimits(at_once=3)
        async with way_out(listed, names(good_test="127.0.0.1"), addresses=granted, limits=limits) as way:
            answers: list[bytes] = []

            async def ask() -> None:
                answers.append(await way.get(f"http://good.test:{server.port}/"))

            async with anyio.create_task_group() as tasks:
                for _ in range(12):
                    tasks.start_soon(ask)
        assert [status_of(answer) for answer in answers] == [200] * 12
        assert most == 3


async def test_a_client_that_says_nothing_and_a_tunnel_in_which_nothing_moves_are_ended() -> None:
    limits = ProxyLimits(head_s=0.2, idle_s=0.2)
    async with serving(echo) as server:
        listed = [f"good.test:{server.port}"]
        granted = [f"127.0.0.1:{server.port}"]
        async with way_out(listed, names(good_test="127.0.0.1"), addresses=granted, limits=limits) as way:
            assert status_of(await way.say(b"CONN")) == 403
            heard = await way.connect(f"good.test:{server.port}")
            assert heard == b"HTTP/1.1 200 Connection established\r\n\r\n"


async def test_a_tunnel_in_which_bytes_move_lives_on_until_its_whole_time_is_over() -> None:
    async def tick(stream: ByteStream) -> None:
        while True:
            await stream.send(b".")
            await anyio.sleep(0.05)

    async with serving(tick) as server:
        listed = [f"good.test:{server.port}"]
        granted = [f"127.0.0.1:{server.port}"]
        limits = ProxyLimits(idle_s=0.25, total_s=0.8)
        async with way_out(listed, names(good_test="127.0.0.1"), addresses=granted, limits=limits) as way:
            began = anyio.current_time()
            heard = await way.connect(f"good.test:{server.port}")
            assert heard.count(b".") > 6
            assert 0.6 < anyio.current_time() - began < 3


async def test_leaving_the_block_ends_every_connection_and_the_listener() -> None:
    async with serving(echo) as server:
        listed = [f"good.test:{server.port}"]
        listener = socket.create_server(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        proxy = ConnectProxy(resolve=names(good_test="127.0.0.1"))
        async with proxy.serve(listener, listed, [f"127.0.0.1:{server.port}"], Log()):
            client = await anyio.connect_tcp("127.0.0.1", port)
            await client.send(f"CONNECT good.test:{server.port} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            assert status_of(await client.receive()) == 200
        with anyio.fail_after(2), pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
            await client.receive()
        await client.aclose()
        assert listener.fileno() == -1
        with pytest.raises(OSError, match="onnect"):
            await anyio.connect_tcp("127.0.0.1", port)


async def test_without_a_listening_socket_no_way_out_is_opened() -> None:
    proxy = ConnectProxy(resolve=Names({}), dial=dial_nobody)
    with socket.socket() as unbound, pytest.raises(ValueError, match="bound"):
        async with proxy.serve(unbound, ["good.test"], [], Log()):
            raise AssertionError("the command would be started here")


async def test_what_the_block_raises_comes_out_as_it_is() -> None:
    with pytest.raises(ValueError, match="of the block"):
        async with way_out([], Names({})):
            raise ValueError("of the block")
    with anyio.move_on_after(0.05) as scope:
        async with way_out([], Names({})):
            await anyio.sleep(5)
    assert scope.cancelled_caught


async def test_an_unreadable_answer_and_a_server_that_is_not_there_are_said() -> None:
    async def nonsense(stream: ByteStream) -> None:
        await read_request(stream)
        await stream.send(b"this is no answer\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as closed:
        nobody = closed.getsockname()[1]
    async with serving(nonsense) as server:
        listed = [f"good.test:{server.port}", f"good.test:{nobody}"]
        granted = ["127.0.0.1:*"]
        async with way_out(listed, names(good_test="127.0.0.1"), addresses=granted) as way:
            assert status_of(await way.get(f"http://good.test:{server.port}/")) == 502
            assert status_of(await way.connect(f"good.test:{nobody}")) == 502


# Clients as people use them


CLIENT = """
import sys, urllib.request
for url in sys.argv[1:]:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            print(answer.status, answer.read().decode())
    except OSError as error:
        print(error)
"""


async def test_a_command_with_proxy_variables_reaches_the_listed_host_and_no_other() -> None:
    async with serving() as server:
        resolve = names(good_test="127.0.0.1", evil_test="127.0.0.1")
        listed, granted = [f"good.test:{server.port}"], [f"127.0.0.1:{server.port}"]
        async with way_out(listed, resolve, addresses=granted) as way:
            urls = [f"http://good.test:{server.port}/", f"http://evil.test:{server.port}/", "http://good.test:1/"]
            urls += [f"https://evil.test:{server.port}/"]
            printed = (await anyio.to_thread.run_sync(_run_client, way, urls)).splitlines()
            assert printed[0] == "200 hello"
            assert all("403" in line for line in printed[1:])
            assert len(printed) == 4
            assert [told.is_allowed for told in way.told] == [True, False, False, False]
            assert resolve.asked == ["good.test"]
        assert server.connections == 1


def _run_client(way: WayOut, urls: list[str]) -> str:
    proxy = f"http://127.0.0.1:{way.port}"
    environment = {"http_proxy": proxy, "https_proxy": proxy, "PATH": "/usr/bin"}
    command = [sys.executable, "-I", "-c", CLIENT, *urls]
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True, timeout=20).stdout


async def test_tls_goes_through_a_tunnel_from_end_to_end(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("tunnel")
    authority = make_authority(folder)
    async with serving(tls=serve_as(folder, "good.test")) as server:
        listed, granted = [f"good.test:{server.port}"], [f"127.0.0.1:{server.port}"]
        async with way_out(listed, names(good_test="127.0.0.1"), addresses=granted) as way:
            proxy = f"http://127.0.0.1:{way.port}"
            believed = trust_file(str(authority))
            async with httpx.AsyncClient(proxy=proxy, verify=believed, trust_env=False) as client:
                answer = await client.get(f"https://good.test:{server.port}/")
            assert answer.text == "hello"
            assert way.traffic.sent > 0
            assert way.traffic.received > 0
