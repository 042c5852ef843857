"""NET-01 to 14: one request, to the granted host and the checked address, decided anew wherever it leads."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import anyio
import msgspec
import pytest
from anyio.abc import ByteStream

from cowork.domain.action import NetworkRequest
from cowork.domain.grant import HostGranted
from cowork.domain.policy_document import Conditions, Rule, layer_of_rules
from tests.acceptance.sandbox.field import Field
from tests.acceptance.sandbox.playing import Played, Setting, Ways, in_turn, play
from tests.adapters.network.servers import OK, Detour, Handler, Names, Server, dial_nobody, names, read_request, serving
from tests.adapters.network.test_requests import CLOSED

pytestmark = pytest.mark.anyio

PUBLIC = "93.184.216.34"


def get(url: str, method: str = "GET", headers: tuple[tuple[str, str], ...] = ()) -> NetworkRequest:
    return NetworkRequest(method=method, url=url, headers=headers)


class Web:
    """A server that stands for every public address, the names that are known, and who was dialled."""

    def __init__(self, server: Server, resolve: Names) -> None:
        self.server = server
        self.resolve = resolve
        self.detour = Detour(server.port)

    def setting(self, *hosts: str, seconds_max: float = 10.0) -> Setting:
        """Return a setting in which these hosts are granted."""
        return Setting(hosts=hosts, ways=Ways(resolve=self.resolve, dial=self.detour), seconds_max=seconds_max)


@asynccontextmanager
async def web(answer: bytes | Handler = OK, resolve: Names | None = None) -> AsyncIterator[Web]:
    async with serving(answer) as server:
        yield Web(server, resolve or names(good_test=PUBLIC, evil_test="203.0.113.9"))


def words(played: Played) -> set[str]:
    """Return what the requests came to."""
    return {ran.word for ran in played.actions}


async def test_a_granted_host_is_asked_and_name_address_port_and_bytes_are_on_record(field: Field) -> None:
    async with web() as there:
        played = await play(field, get("http://good.test:8080/a?b=c"), setting=there.setting("good.test:8080"))
    assert (played.only.word, played.only.asked, played.only.out) == ("completed", True, "hello")
    response = played.only.response
    assert (response.address, response.port, response.status) == (PUBLIC, 8080, 200)
    assert response.bytes_sent == len(there.server.received[0])
    assert response.bytes_received == len(OK)
    assert "good.test" in played.only.result.summary
    assert there.detour.dialled == [(PUBLIC, 8080)]
    assert any(isinstance(event, HostGranted) for event in played.events) or played.task.status == "completed"


URLS = (
    *("http://good.test/", "https://good.test/", "http://evil.test/", "http://127.0.0.1/", "http://good.test:22/"),
    *("http://93.184.216.34/", "http://[::1]/", "http://localhost/", "http://169.254.169.254/latest/meta-data/"),
)


async def test_an_empty_list_means_none(field: Field) -> None:
    resolve = names(good_test=PUBLIC)
    setting = Setting(ways=Ways(resolve=resolve, dial=dial_nobody))
    played = await play(field, *map(get, URLS), setting=setting)
    assert words(played) == {"denied/net_denied"}
    assert resolve.asked == []


LIKE_IT = (
    *("good.test.evil.test", "evilgood.test", "good.test@evil.test", "evil.test#good.test", "evil.test?good.test"),
    *("good.test%40evil.test", "evil.test\\@good.test", "good.test:80@evil.test", "good.testx", "xgood.test"),
    *("sub.good.test", "good.test-evil.test", "good-test", "good.test\u200b.evil.test", "good.tes", "ood.test", "test"),
    *(
        "goоd.test",
        "good.test/@evil.test",
        "evil.test/good.test",
        "good。test.evil.test",
        "[good.test]",
        "good.test:443:80",
    ),
)


async def test_what_only_looks_like_a_granted_host_is_another_one(field: Field) -> None:
    async with web() as there:
        requests = [get(f"http://{authority}/") for authority in LIKE_IT]
        played = await play(field, *requests, setting=there.setting("good.test"))
    reached = [ran for ran in played.actions if ran.word == "completed"]
    # The one that has its odd part in its path is about the granted host itself.
    assert [ran.action for ran in reached] == [get("http://good.test/@evil.test/")]
    assert {ran.word for ran in played.actions if ran not in reached} <= {"denied/net_denied", "denied/name"}
    assert set(there.resolve.asked) == {"good.test"}
    assert {address for address, _ in there.detour.dialled} == {PUBLIC}


async def test_case_and_a_trailing_dot_make_no_other_host(field: Field) -> None:
    async with web() as there:
        spelled = [get(f"http://{host}/") for host in ("good.test.", "GOOD.test", "Good.Test.", "good.test")]
        odd = [
            get(f"http://{host}/")
            for host in ("good。test", "ｇood.test", "good.test..", "good.test%2e", "good%2etest")
        ]
        played = await play(field, *spelled, *odd, setting=there.setting("good.test"))
    assert [ran.word for ran in played.actions[:4]] == ["completed"] * 4
    assert not any(ran.started for ran in played.actions[4:])
    assert set(there.resolve.asked) == {"good.test"}


HOSTS_THAT_ARE_NONE = (
    *(
        "evil.test\0.good.test",
        "good.test\0",
        "good.test%00",
        "good.test%00.evil.test",
        "good.test\r\nX: y",
        "good.test\n",
    ),
    *(
        "good.test\t",
        "good test",
        " good.test",
        "good.test\x7f",
        "good.test\x1b[2J",
        "göod.test",
        "good.test\u202e",
        "*",
    ),
    *(
        "",
        ".",
        "..",
        "-good.test",
        "good.test-",
        "a" * 64 + ".test",
        ".".join(["a" * 60] * 5),
        "[::1",
        "::1",
        "good_.test,x",
    ),
    *(
        "user:pw@good.test",
        "good.test:",
        "good.test:0",
        "good.test:65536",
        "good.test:-1",
        "good.test:8 0",
        "good.test:x",
    ),
)


async def test_a_host_is_plain_text_before_any_rule_sees_it(field: Field) -> None:
    async with web() as there:
        requests = [get(f"http://{host}/") for host in HOSTS_THAT_ARE_NONE]
        requests += [
            get("http://good.test/\r\nX: y"),
            get("http://good.test/ HTTP/1.1\r\nHost: evil"),
            get("good.test"),
        ]
        requests += [get(f"{scheme}://good.test/") for scheme in ("file", "gopher", "ftp", "data", "ws", "unix", "")]
        requests += [get("http://good.test/", method) for method in ("GET /x", "CONNECT", "TRACE", "G\r\nET", "")]
        requests += [get("http://good.test/", headers=((name, "x"),)) for name in ("Host", "X\r\nY", "X:", "", "Té")]
        requests += [
            get("http://good.test/", headers=(("X", value),)) for value in ("a\r\nHost: evil.test", "a\0b", "\n")
        ]
        setting = msgspec.structs.replace(there.setting("good.test"), hosts=("good.test", "*.good.test"))
        played = await play(field, *requests, setting=setting)
    started = [ran.action for ran in played.actions if ran.started]
    assert started == [], started
    assert {ran.word for ran in played.actions} <= {"denied/net_denied", "denied/name", "denied/limit", "denied/policy"}
    assert (there.resolve.asked, there.detour.dialled, there.server.connections) == ([], [], 0)


async def test_a_granted_name_that_leads_inside_is_not_dialled(field: Field) -> None:
    found = [[address] for address in CLOSED]
    resolve = Names({f"n{number}.good.test": [addresses] for number, addresses in enumerate(found)})
    mixed = Names({f"m{number}.good.test": [[PUBLIC, *addresses]] for number, addresses in enumerate(found)})

    async def either(name: str) -> Sequence[str]:
        return await (resolve if name.startswith("n") else mixed)(name)

    requests = [get(f"http://{kind}{n}.good.test/") for n in range(len(found)) for kind in "nm"]
    setting = Setting(hosts=("*.good.test",), ways=Ways(resolve=either, dial=dial_nobody), seconds_max=20)
    played = await play(field, *requests, setting=setting)
    assert words(played) == {"failed/net_addr"}


async def test_a_name_is_looked_up_once_and_what_was_checked_is_dialled(field: Field) -> None:
    resolve = Names({"good.test": [[PUBLIC], ["127.0.0.1"]]})
    async with web(resolve=resolve) as there:
        played = await play(field, *[get("http://good.test/")] * 2, setting=there.setting("good.test"))
    assert [ran.word for ran in played.actions] == ["completed", "failed/net_addr"]
    assert resolve.asked == ["good.test", "good.test"]
    assert there.detour.dialled == [(PUBLIC, 80)]


async def test_an_address_that_answers_for_another_one_is_let_go(field: Field) -> None:
    async with web() as there:
        there.detour = Detour(there.server.port, answering="127.0.0.1")
        played = await play(field, get("http://good.test/"), setting=there.setting("good.test"))
    assert words(played) == {"failed/net_addr"}
    assert there.server.received == []


ODD_ADDRESSES = (
    *(
        "2852039166",
        "0x7f.1",
        "0177.1",
        "127.1",
        "127.0.1",
        "0",
        "0x0",
        "[::ffff:7f00:1]",
        "[::ffff:127.0.0.1]",
        "[::1]",
    ),
    *("localhost", "localhost.", "foo.localhost", "LOCALHOST", "127.0.0.1.", "0127.0.0.1", "127.0.0.0x1", "1.2.3.4.5"),
    *("[::]", "[0:0:0:0:0:0:0:1]", "[fe80::1%25lo]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "4294967297", "١٢٧.0.0.1"),
    *("127。0。0。1", "①②⑦.0.0.1", "0.0.0.0", "169.254.169.254", "0xa9fea9fe", "[fd00:ec2::254]"),
)


@pytest.mark.parametrize("granted", [(), ("good.test",), ("*.test", "*.localhost")], ids=len)
async def test_this_machine_is_not_reached_in_any_spelling(field: Field, granted: tuple[str, ...]) -> None:
    resolve = Names({name: [["127.0.0.1"]] for name in ("localhost", "foo.localhost", "2852039166", "127.1")})
    setting = Setting(hosts=granted, ways=Ways(resolve=resolve, dial=dial_nobody), seconds_max=15)
    requests = [get(f"http://{host}:{field.port}/") for host in ODD_ADDRESSES] + [
        get(f"http://{h}/") for h in ODD_ADDRESSES
    ]
    played = await play(field, *requests, setting=setting)
    assert {ran.word for ran in played.actions} <= {
        "denied/net_denied",
        "denied/net_addr",
        "denied/name",
        "failed/net_addr",
    }
    assert resolve.asked == []


LEADING_ELSEWHERE = {
    "metadata": "http://169.254.169.254/latest/meta-data/",
    "a host that was not granted": "http://evil.test/",
    "the same host": "http://good.test/next",
    "a file": "file:///etc/passwd",
    "gopher": "gopher://good.test/",
    "data": "data:text/plain,hello",
    "this machine": "http://localhost/",
    "no scheme": "//evil.test/",
    "a path": "/next",
    "another scheme": "https://good.test/",
    "control bytes": "http://evil.test/\x1b]0;x\x07",
}


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_an_answer_that_points_elsewhere_is_data_and_nothing_is_followed(field: Field, status: int) -> None:
    head = f"HTTP/1.1 {status} Elsewhere\r\nContent-Length: 0\r\nRefresh: 0; url=http://evil.test/\r\nLocation: "
    for target in LEADING_ELSEWHERE.values():
        async with web(f"{head}{target}\r\n\r\n".encode()) as there:
            method = "POST" if status in (307, 308) else "GET"
            played = await play(field, get("http://good.test/", method), setting=there.setting("good.test"))
        if "\x1b" in target:
            assert not any(
                "\x1b" in json.dumps(msgspec.to_builtins(event), ensure_ascii=False) for event in played.events
            )
            assert played.only.word in ("completed", "failed/io", "failed/name")
            continue
        assert (played.only.word, played.only.response.status) == ("completed", status)
        assert played.only.response.location
        assert there.server.connections == 1
        assert there.resolve.asked == ["good.test"]


async def test_a_chain_ends_at_its_first_link(field: Field) -> None:
    asked: list[bytes] = []

    async def chain(stream: ByteStream) -> None:
        asked.append(await read_request(stream))
        await stream.send(
            b"HTTP/1.1 302 Found\r\nLocation: http://good.test/%d\r\nContent-Length: 0\r\n\r\n" % len(asked)
        )

    async with web(chain) as there:
        played = await play(field, get("http://good.test/"), setting=there.setting("good.test"))
    assert (words(played), len(asked)) == ({"completed"}, 1)


async def test_surroundings_neither_redirect_a_request_nor_add_to_it(
    field: Field, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = f"http://127.0.0.1:{field.port}"
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, proxy)
    monkeypatch.delenv("NO_PROXY", raising=False)
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSLKEYLOGFILE"):
        monkeypatch.setenv(name, f"{field.out}/keys")
    monkeypatch.setenv("NETRC", str(field.home / ".netrc"))
    (field.home / ".netrc").write_text(f"machine good.test login {field.canary} password {field.canary}\n")
    (field.home / ".netrc").chmod(0o600)
    received: list[bytes] = []

    async def at_once(stream: ByteStream) -> None:
        received.append(await stream.receive())
        await stream.send(OK)

    async with web(at_once) as there:
        played = await play(
            field, get("http://good.test/"), get("https://good.test/"), setting=there.setting("good.test")
        )
    assert played.actions[0].word == "completed"
    sent = received[0].lower()
    assert b"authorization" not in sent
    assert b"cookie" not in sent
    assert sent.startswith(b"get / http/1.1\r\nhost: good.test\r\n")
    # Of the other there is nobody who could prove to be good.test: it was dialled directly, and let go.
    assert there.detour.dialled == [(PUBLIC, 80), (PUBLIC, 443)]
    assert played.actions[1].word.startswith("failed/")
    assert not (field.out / "keys").exists()


MUTATED = {
    "another method": get("http://good.test/a", "POST"),
    "another path": get("http://good.test/b"),
    "a query": get("http://good.test/a?x"),
    "another port": get("http://good.test:443/a"),
    "another scheme": get("https://good.test/a"),
    "a header": get("http://good.test/a", headers=(("X-More", "1"),)),
    "credentials": get("http://good.test/a", headers=(("Authorization", "Bearer x"),)),
}


@pytest.mark.parametrize("how", MUTATED)
async def test_an_approved_request_is_that_request_and_no_other(field: Field, how: str) -> None:
    async with web() as there:
        setting = msgspec.structs.replace(there.setting("good.test"), answering=in_turn(True, False))
        played = await play(field, get("http://good.test/a"), MUTATED[how], setting=setting)
    assert [ran.word for ran in played.actions] == ["completed", "denied/rejected"]
    assert len({question.digest for question in played.asked}) == 2
    assert there.server.connections == 1


async def test_a_host_header_of_ones_own_is_refused(field: Field) -> None:
    async with web() as there:
        requests = [get("http://good.test/", headers=((name, "evil.test"),)) for name in ("Host", "host", "HOST")]
        played = await play(field, *requests, setting=there.setting("good.test"))
    assert not any(ran.started for ran in played.actions)
    assert there.server.connections == 0


async def test_no_rule_opens_a_host_that_was_not_granted(field: Field) -> None:
    anything = layer_of_rules(
        "anything", (Rule("anything", "*", "allow", Conditions(), "this person allows everything"),)
    )
    async with web() as there:
        setting = msgspec.structs.replace(there.setting("good.test"), rules=anything)
        urls = ["http://good.test/", "http://evil.test/", "http://169.254.169.254/", f"http://127.0.0.1:{field.port}/"]
        played = await play(field, *map(get, urls), setting=setting)
    assert played.actions[0].word == "completed"
    assert not [ran for ran in played.actions[1:] if ran.word == "completed"], words(played)
    assert {address for address, _ in there.detour.dialled} == {PUBLIC}


async def test_what_a_server_does_without_end_is_bounded(field: Field) -> None:
    async def endless(stream: ByteStream) -> None:
        await read_request(stream)
        await stream.send(b"HTTP/1.1 200 OK\r\n")
        for number in range(100_000):
            await stream.send(b"X-%d: " % number + b"x" * 1000 + b"\r\n")
            await anyio.lowlevel.checkpoint()

    async with web(endless) as there:
        played = await play(field, get("http://good.test/"), setting=there.setting("good.test"))
    assert played.only.word in ("failed/limit", "failed/io")
