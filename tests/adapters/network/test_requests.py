"""Requests: one decided host, one look-up, one checked address, and an answer that is data."""

import socket
from pathlib import Path

import anyio
import pytest
from anyio.abc import ByteStream

from cowork.adapters.network.bounds import ReachLimits, RequestLimits
from cowork.domain.action import Content, NetworkRequest, digest_of
from cowork.engine.ports import Done, Failed, NotApplied, Unclear
from tests.adapters.network.requests import NOW, Client, permit_of, result_of, scope_of
from tests.adapters.network.servers import OK, Detour, Handler, Names, dial_nobody, names, read_request, serving

pytestmark = pytest.mark.anyio

CLOSED = [
    "127.0.0.1", "10.0.0.1", "172.16.0.1", "192.168.0.1", "100.64.0.1", "169.254.169.254", "0.0.0.0", "224.0.0.1",
    "168.63.129.16", "100.100.100.200", "255.255.255.255", "198.18.0.1", "192.0.2.1", "::1", "::", "fe80::1",
    "fd00:ec2::254", "fc00::1", "ff02::1", "::ffff:127.0.0.1", "::127.0.0.1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1",
    "2002:7f00:1::", "2001::1", "fe80::1%lo", "not an address",
]  # fmt: skip


async def test_a_granted_host_is_asked_and_its_answer_kept_with_name_address_port_and_bytes() -> None:
    async with serving() as server:
        client = Client(names(good_test="127.0.0.1"))
        url = f"http://good.test:{server.port}/a/b?c=d"
        outcome = await client.get(url, f"127.0.0.1:{server.port}")
        result = result_of(outcome)
        assert client.body_of(outcome) == b"hello"
        assert result.summary == "200, 5 bytes from good.test (127.0.0.1)"
        assert result.response is not None
        (request,) = server.received
        assert (result.response.status, result.response.address, result.response.port) == (
            200,
            "127.0.0.1",
            server.port,
        )
        assert (result.response.bytes_sent, result.response.bytes_received) == (len(request), len(OK))
        assert ("X-Served", "yes") in result.response.headers
        head = request.decode().split("\r\n")
        assert head[:2] == ["GET /a/b?c=d HTTP/1.1", f"Host: good.test:{server.port}"]


@pytest.mark.parametrize("spelling", ["good.test", "GOOD.test", "good.test.", "GoOd.TeSt."])
async def test_the_spellings_of_one_host_lead_to_it(spelling: str) -> None:
    async with serving() as server:
        resolve = names(good_test="127.0.0.1")
        outcome = await Client(resolve).get(f"http://{spelling}:{server.port}/", f"127.0.0.1:{server.port}")
        assert result_of(outcome).summary.startswith("200, ")
        assert resolve.asked == ["good.test"]
        assert f"Host: good.test:{server.port}\r\n".encode() in server.received[0]


@pytest.mark.parametrize(
    "url",
    ["http://good.test@evil.test/", "http://evil.test#good.test", "http://good。test/", "http://evil.test\0.good.test/",
     "http://good.test%00.evil.test/", "http://good.test\r\nX: y/", "http://2852039166/", "http://0x7f.1/",
     "http://0177.1/", "http://127.1/", "http://[::ffff:7f00:1]/", "http://[::1%lo]/", "file:///etc/passwd",
     "gopher://good.test/", "data:text/plain,x", "http://good.test/../x"],
)  # fmt: skip
async def test_what_is_no_plain_url_is_refused_before_anything_is_asked(url: str) -> None:
    resolve = Names({})
    client = Client(resolve, dial=dial_nobody)
    outcome = await client.get(url, "127.0.0.1:*", "[::1]:*")
    assert isinstance(outcome, Failed)
    assert outcome.reason_code == "net_denied"
    (facts,) = await client.executor.observe([NetworkRequest(method="GET", url=url)], scope_of(), NOW, batch=1)
    assert facts.obstacle is not None
    assert facts.obstacle.code == "net_denied"
    assert resolve.asked == []


@pytest.mark.parametrize("address", CLOSED)
async def test_a_name_that_leads_to_a_closed_address_is_not_dialled(address: str) -> None:
    for answers in ([address], ["93.184.216.34", address], [address, "93.184.216.34"]):
        outcome = await Client(Names({"good.test": [answers]}), dial=dial_nobody).get("http://good.test/")
        assert isinstance(outcome, Failed)
        assert outcome.reason_code == "net_addr"
        assert f"`{address}`" in outcome.reason


@pytest.mark.parametrize("host", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "[::1]", "[fd00:ec2::254]",
                                  "[64:ff9b::7f00:1]", "localhost", "localhost.", "foo.localhost"])  # fmt: skip
async def test_a_closed_address_is_not_dialled_by_its_own_name_either(host: str) -> None:
    resolve = Names({"localhost": [["93.184.216.34"]], "foo.localhost": [["93.184.216.34"]]})
    outcome = await Client(resolve, dial=dial_nobody).get(f"http://{host}/", "good.test")
    assert isinstance(outcome, Failed)
    assert outcome.reason_code == "net_addr"
    assert resolve.asked == []


async def test_a_private_address_is_dialled_where_it_is_granted_with_that_port_and_the_grant_is_in_force() -> None:
    async with serving() as server:
        client = Client(names())
        url = f"http://127.0.0.1:{server.port}/"
        assert isinstance(await client.get(url, f"127.0.0.1:{server.port + 1}"), Failed)
        assert result_of(await client.get(url, f"127.0.0.1:{server.port}")).summary == "200, 5 bytes from 127.0.0.1"
        action = NetworkRequest(method="GET", url=url)
        revoked = scope_of(revoked=(f"127.0.0.1:{server.port}",))
        assert isinstance(await client.executor.perform(permit_of(action, revoked)), Failed)
        assert server.connections == 1


async def test_an_ipv6_address_is_dialled_and_named_in_the_host_header() -> None:
    async with serving(host="::1") as server:
        outcome = await Client(names()).get(f"http://[::1]:{server.port}/", f"[::1]:{server.port}")
        assert result_of(outcome).summary == "200, 5 bytes from [::1]"
        assert f"Host: [::1]:{server.port}\r\n".encode() in server.received[0]


async def test_a_resolver_that_changes_its_answer_changes_nothing() -> None:
    async with serving() as server:
        resolve = Names({"good.test": [["93.184.216.34"], ["127.0.0.1"]]})
        dial = Detour(server.port)
        client = Client(resolve, dial=dial)
        first = await client.get("http://good.test/")
        second = await client.get("http://good.test/")
        assert result_of(first).summary == "200, 5 bytes from good.test (93.184.216.34)"
        assert isinstance(second, Failed)
        assert second.reason_code == "net_addr"
        assert dial.dialled == [("93.184.216.34", 80)]
        assert resolve.asked == ["good.test", "good.test"]


async def test_whoever_answers_from_another_address_gets_nothing() -> None:
    async with serving() as server:
        dial = Detour(server.port, answering="127.0.0.1")
        outcome = await Client(names(good_test="93.184.216.34"), dial=dial).request("POST", "http://good.test/")
        assert isinstance(outcome, Failed)
        assert outcome.reason_code == "net_addr"
        await anyio.wait_all_tasks_blocked()
        assert server.received == []


async def test_an_address_of_this_machine_is_not_dialled() -> None:
    client = Client(names(good_test="93.184.216.34"), dial=dial_nobody, is_own=lambda address: True)
    outcome = await client.get("http://good.test/")
    assert isinstance(outcome, Failed)
    assert outcome.reason == "`good.test` leads to `93.184.216.34`, which is an address of this machine"


async def test_the_next_checked_address_is_tried_where_one_does_not_answer() -> None:
    with socket.create_server(("127.0.0.2", 0)) as closed:
        port = closed.getsockname()[1]
    async with serving(host="127.0.0.3", port=port):
        client = Client(Names({"good.test": [["127.0.0.2", "127.0.0.3"]]}))
        outcome = await client.get(f"http://good.test:{port}/", f"127.0.0.2:{port}", f"127.0.0.3:{port}")
        assert result_of(outcome).summary == "200, 5 bytes from good.test (127.0.0.3)"


async def test_a_name_without_address_and_a_resolver_that_hangs_are_failures() -> None:
    async def hang(name: str) -> list[str]:
        await anyio.sleep(60)
        return []

    unknown = await Client(Names({}), dial=dial_nobody).get("http://good.test/")
    none = await Client(Names({"good.test": [[]]}), dial=dial_nobody).get("http://good.test/")
    late = await Client(hang, dial=dial_nobody, reach_limits=ReachLimits(resolve_s=0.05)).get("http://good.test/")
    assert unknown == Failed("io", "`good.test` can't be looked up: name or service not known")
    assert none == Failed("io", "`good.test` has no address")
    assert late == Failed("limit", "looking up `good.test` took longer than 0.05 s")


# Redirects


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize(
    "location",
    ["http://169.254.169.254/latest/meta-data/", "http://denied.test/", "file:///etc/passwd", "gopher://x/", "data:,x",
     "http://good.test/again", "http://[bad", "//evil.test/x"],
)  # fmt: skip
async def test_a_redirect_is_an_answer_and_is_not_followed(status: int, location: str) -> None:
    answer = f"HTTP/1.1 {status} See\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode()
    async with serving(answer) as server:
        client = Client(names(good_test="127.0.0.1"))
        url, granted = f"http://good.test:{server.port}/", f"127.0.0.1:{server.port}"
        outcome = await client.request("POST", url, granted, body=b"secret")
        result = result_of(outcome)
        assert result.response is not None
        expected = "http://evil.test/x" if location.startswith("//") else location
        assert (result.response.status, result.response.location) == (status, expected)
        assert result.summary.endswith("it points elsewhere, which is not followed")
        assert server.connections == 1


async def test_a_chain_of_thirty_hops_needs_thirty_requests() -> None:
    async def hop(stream: ByteStream) -> None:
        number = int((await read_request(stream)).split(b" ")[1].strip(b"/") or b"0") + 1
        await stream.send(b"HTTP/1.1 302 Found\r\nLocation: /%d\r\nContent-Length: 0\r\n\r\n" % number)

    async with serving(hop) as server:
        client = Client(names(good_test="127.0.0.1"))
        url = f"http://good.test:{server.port}/0"
        for made in range(1, 31):
            found = result_of(await client.get(url, f"127.0.0.1:{server.port}")).response
            assert found is not None
            assert server.connections == made
            url = found.location
        assert url == f"http://good.test:{server.port}/30"


# Answers and outcomes


@pytest.mark.parametrize("status", [201, 400, 401, 404, 429, 500, 503])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_whatever_status_an_answer_has_the_request_is_done(status: int, method: str) -> None:
    answer = b"HTTP/1.1 %d Word\r\nContent-Length: 2\r\n\r\nno" % status
    async with serving(answer) as server:
        client = Client(names(good_test="127.0.0.1"))
        outcome = await client.request(method, f"http://good.test:{server.port}/", f"127.0.0.1:{server.port}")
        assert result_of(outcome).summary == f"{status}, 2 bytes from good.test (127.0.0.1)"
        assert client.body_of(outcome) == b"no"


async def test_a_body_is_sent_as_it_is_in_the_store() -> None:
    async with serving() as server:
        client = Client(names(good_test="127.0.0.1"))
        body = bytes(range(256)) * 300
        await client.request("PUT", f"http://good.test:{server.port}/", f"127.0.0.1:{server.port}", body=body)
        head, _, sent = server.received[0].partition(b"\r\n\r\n")
        assert sent == body
        assert f"Content-Length: {len(body)}".encode() in head


async def test_the_body_of_a_request_has_to_be_in_the_store() -> None:
    client = Client(Names({}), dial=dial_nobody)
    action = NetworkRequest(method="POST", url="http://good.test/", body=Content(f"sha256:{'0' * 64}", 3))
    (facts,) = await client.executor.observe([action], scope_of(), NOW, batch=1)
    assert facts.obstacle is not None
    assert facts.obstacle.code == "not_found"
    outcome = await client.executor.perform(permit_of(action, scope_of()))
    assert isinstance(outcome, Failed)
    assert outcome.reason_code == "not_found"


async def hang_up(stream: ByteStream) -> None:
    """Read a request and end the connection."""
    await read_request(stream)


async def nonsense(stream: ByteStream) -> None:
    await read_request(stream)
    await stream.send(b"\x00\x01 this is no answer\r\n\r\n")


async def silence(stream: ByteStream) -> None:
    await read_request(stream)
    await anyio.sleep(60)


@pytest.mark.parametrize(("server_does", "code"), [(hang_up, "io"), (nonsense, "io"), (silence, "limit")])
async def test_a_request_without_answer_is_unclear_unless_it_changes_nothing(server_does: Handler, code: str) -> None:
    async with serving(server_does) as server:
        client = Client(names(good_test="127.0.0.1"), limits=RequestLimits(idle_s=0.1))
        url, granted = f"http://good.test:{server.port}/", f"127.0.0.1:{server.port}"
        for method in ("GET", "HEAD", "OPTIONS"):
            outcome = await client.request(method, url, granted)
            assert isinstance(outcome, Failed)
            assert outcome.reason_code == code
        for method in ("POST", "PUT", "PATCH", "DELETE", "PURGE"):
            outcome = await client.request(method, url, granted)
            assert isinstance(outcome, Unclear)
            assert outcome.observed.startswith(
                "the request was sent to good.test (127.0.0.1), and no whole answer came"
            )


async def test_a_request_that_never_left_is_a_failure_whatever_its_method() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    outcome = await Client(names(good_test="127.0.0.1")).request(
        "POST", f"http://good.test:{port}/", f"127.0.0.1:{port}"
    )
    assert outcome == Failed("io", f"`127.0.0.1:{port}` can't be connected to: connection refused")


async def test_after_a_crash_only_what_changes_nothing_is_sent_again() -> None:
    client = Client(Names({}), dial=dial_nobody)
    for method, expected in (("GET", NotApplied), ("HEAD", NotApplied), ("OPTIONS", NotApplied), ("POST", Unclear),
                             ("PUT", Unclear), ("DELETE", Unclear), ("get", Unclear)):  # fmt: skip
        action = NetworkRequest(method=method, url="http://good.test/")
        assert isinstance(await client.executor.reconcile(permit_of(action, scope_of())), expected)


# What is not for a request to say


@pytest.mark.parametrize(
    "header",
    [("Host", "evil.test"), ("host", "evil.test"), ("Connection", "Upgrade"), ("Transfer-Encoding", "chunked"),
     ("Content-Length", "5"), ("Proxy-Authorization", "x"), ("Proxy-Connection", "x"), ("TE", "trailers"),
     ("Upgrade", "h2c"), ("Keep-Alive", "x"), ("Trailer", "x"), ("Expect", "100-continue"), ("HTTP2-Settings", "x"),
     ("X", "a\r\nHost: evil.test"), ("X", "a\nb"), ("X", "a\rb"), ("X", "a\0b"), ("X", " a"), ("X", "a "), ("X", "é"),
     ("X\r\nHost", "evil.test"), ("X Y", "a"), ("X:", "a"), ("", "a"), ("É", "a"), (" Host", "evil.test")],
)  # fmt: skip
async def test_a_header_of_the_connection_or_one_that_could_be_two_is_refused(header: tuple[str, str]) -> None:
    client = Client(Names({}), dial=dial_nobody)
    outcome = await client.request("GET", "http://good.test/", headers=(header,))
    assert isinstance(outcome, Failed)
    assert outcome.reason_code == "name"


@pytest.mark.parametrize("method", ["", "GET ", "GET\r\nX: y", "G(T", "get", "Get", "CONNECT", "TRACE", "GÉT"])
async def test_a_method_is_a_token_in_capitals_and_opens_no_tunnel(method: str) -> None:
    outcome = await Client(Names({}), dial=dial_nobody).request(method, "http://good.test/")
    assert isinstance(outcome, Failed)
    assert outcome.reason_code == "name"


async def test_too_many_headers_and_too_long_urls_are_refused() -> None:
    client = Client(Names({}), dial=dial_nobody)
    many = await client.request("GET", "http://good.test/", headers=tuple((f"X-{n}", "y") for n in range(101)))
    long = await client.request("GET", "http://good.test/", headers=(("X", "y" * 40_000),))
    url = await client.get(f"http://good.test/{'a' * 9000}")
    codes = [outcome.reason_code for outcome in (many, long, url) if isinstance(outcome, Failed)]
    assert codes == ["limit", "limit", "limit"]


async def test_a_request_changed_in_any_part_is_another_action() -> None:
    """What was approved is bound by its digest; the executor sends what the permit's action says and nothing else."""
    first = NetworkRequest(method="GET", url="http://good.test/a", headers=(("X-Key", "1"),))
    others = [
        NetworkRequest(method="POST", url="http://good.test/a", headers=(("X-Key", "1"),)),
        NetworkRequest(method="GET", url="http://good.test/b", headers=(("X-Key", "1"),)),
        NetworkRequest(method="GET", url="http://good.test:81/a", headers=(("X-Key", "1"),)),
        NetworkRequest(method="GET", url="https://good.test/a", headers=(("X-Key", "1"),)),
        NetworkRequest(method="GET", url="http://good.test/a", headers=(("X-Key", "2"),)),
        NetworkRequest(method="GET", url="http://good.test/a", headers=(("X-Key", "1"), ("Host", "evil.test"))),
        NetworkRequest(method="GET", url="http://good.test/a", headers=(("X-Key", "1"), ("Authorization", "x"))),
        NetworkRequest(method="GET", url="http://good.test/a", headers=(("X-Key", "1"),), body=Content("sha256:0", 0)),
    ]
    assert len({digest_of(one) for one in (first, *others)}) == len(others) + 1


# Secrets and the environment


async def test_secrets_of_a_request_and_its_answer_are_not_in_what_is_recorded() -> None:
    answer = (
        b"HTTP/1.1 302 Found\r\nSet-Cookie: sid=CANARY-1\r\nX-Api-Key: CANARY-2\r\nX-Echo: got CANARY-3!\r\n"
        b"Location: /next?token=CANARY-4\r\nWWW-Authenticate: Basic realm=x\r\nContent-Length: 0\r\n\r\n"
    )
    headers = (
        ("Authorization", "Bearer CANARY-3"),
        ("Cookie", "a=CANARY-4; b=CANARY-5"),
        ("X-Api-Key", "CANARY-6"),
    )
    async with serving(answer) as server:
        client = Client(names(good_test="127.0.0.1"))
        url = f"http://good.test:{server.port}/"
        outcome = await client.request("GET", url, f"127.0.0.1:{server.port}", headers=headers)
        assert b"Bearer CANARY-3" in server.received[0]
        assert "CANARY" not in repr(outcome)
        response = result_of(outcome).response
        assert response is not None
        assert ("WWW-Authenticate", "Basic realm=x") in response.headers
        assert ("X-Echo", "got (not shown)!") in response.headers


async def test_the_environment_and_files_of_the_home_folder_change_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async with serving() as trap, serving() as server:
        proxy = f"http://127.0.0.1:{trap.port}"
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "HTTPS_PROXY", "https_proxy"):
            monkeypatch.setenv(name, proxy)
        netrc = tmp_path / ".netrc"
        netrc.write_text("machine good.test login ada password CANARY\ndefault login ada password CANARY\n")
        netrc.chmod(0o600)
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("NETRC", str(netrc))
        client = Client(names(good_test="127.0.0.1"))
        outcome = await client.get(f"http://good.test:{server.port}/", f"127.0.0.1:{server.port}")
        assert isinstance(outcome, Done)
        assert trap.connections == 0
        assert b"uthorization" not in server.received[0]


async def test_cookies_of_one_answer_are_not_sent_with_the_next_request() -> None:
    answer = b"HTTP/1.1 200 OK\r\nSet-Cookie: sid=1; Path=/\r\nContent-Length: 0\r\n\r\n"
    async with serving(answer) as server:
        client = Client(names(good_test="127.0.0.1"))
        for _ in range(2):
            await client.get(f"http://good.test:{server.port}/", f"127.0.0.1:{server.port}")
        assert len(server.received) == 2
        assert all(b"ookie" not in request for request in server.received)
