"""Answers of servers that mean harm: bounded in time, in bytes before and after unpacking, and in their heads."""

import gzip
import tempfile
import tracemalloc
import zlib
from pathlib import Path

import anyio
import pytest
from anyio.abc import ByteStream

from cowork.adapters.blobs.store import FileBlobStore
from cowork.adapters.network.bounds import RequestLimits
from cowork.adapters.network.executor import NetworkExecutor
from cowork.domain.action import NetworkRequest
from cowork.engine.ports import Failed, Outcome, Unclear
from tests.adapters.network.requests import Client, permit_of, result_of, scope_of
from tests.adapters.network.servers import Handler, names, read_request, serving

pytestmark = pytest.mark.anyio

MIB = 1024 * 1024
SMALL = RequestLimits(idle_s=0.3, total_s=0.6, answer_bytes=MIB)


async def ask(answer: bytes | Handler, limits: RequestLimits = SMALL, method: str = "GET") -> tuple[Outcome, Client]:
    """Return what comes of a request to such a server."""
    async with serving(answer) as server:
        client = Client(names(good_test="127.0.0.1"), limits=limits)
        with anyio.fail_after(10):
            outcome = await client.request(method, f"http://good.test:{server.port}/", f"127.0.0.1:{server.port}")
        return outcome, client


def failure_of(outcome: Outcome) -> tuple[str, str]:
    assert isinstance(outcome, Failed), outcome
    return outcome.reason_code, outcome.reason


async def drip_head(stream: ByteStream) -> None:
    await read_request(stream)
    await stream.send(b"HTTP/1.1 200 OK\r\n")
    while True:
        await stream.send(b"X: y\r\n")
        await anyio.sleep(0.05)


async def drip_body(stream: ByteStream) -> None:
    await read_request(stream)
    await stream.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
    while True:
        await stream.send(b"x")
        await anyio.sleep(0.05)


async def drip_larger_body(stream: ByteStream) -> None:
    """Send slowly what is so large that the store takes it piece by piece, in a thread of its own."""
    await read_request(stream)
    await stream.send(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * (MIB + 200_000))
    while True:
        await stream.send(b"x")
        await anyio.sleep(0.05)


@pytest.mark.parametrize(("server_does", "limits"), [(drip_head, SMALL), (drip_body, SMALL),
                         (drip_larger_body, RequestLimits(idle_s=0.3, total_s=0.6))])  # fmt: skip
async def test_a_server_that_drips_is_left_when_the_time_is_over(server_does: Handler, limits: RequestLimits) -> None:
    began = anyio.current_time()
    outcome, _ = await ask(server_does, limits)
    assert failure_of(outcome) == ("limit", "it took too long in all")
    assert anyio.current_time() - began < 3


async def endless_body(stream: ByteStream) -> None:
    await read_request(stream)
    await stream.send(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        await stream.send(b"x" * 65536)


async def endless_chunks(stream: ByteStream) -> None:
    await read_request(stream)
    await stream.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        await stream.send(b"1\r\nx\r\n" * 10_000)


async def endless_header(stream: ByteStream) -> None:
    await read_request(stream)
    await stream.send(b"HTTP/1.1 200 OK\r\nX: ")
    while True:
        await stream.send(b"x" * 65536)


async def endless_headers(stream: ByteStream) -> None:
    await read_request(stream)
    await stream.send(b"HTTP/1.1 200 OK\r\n")
    while True:
        await stream.send(b"X: y\r\n" * 10_000)


async def endless_heads(stream: ByteStream) -> None:
    await read_request(stream)
    while True:
        await stream.send(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" * 1000)


async def endless_trailers(stream: ByteStream) -> None:
    await read_request(stream)
    await stream.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n")
    while True:
        await stream.send(b"X: y\r\n" * 10_000)


@pytest.mark.parametrize(
    "server_does", [endless_body, endless_chunks, endless_header, endless_headers, endless_heads, endless_trailers]
)
async def test_an_answer_without_end_is_cut_off(server_does: Handler) -> None:
    outcome, _ = await ask(server_does, RequestLimits(answer_bytes=MIB))
    assert isinstance(outcome, Failed)
    assert outcome.reason_code in ("limit", "io")
    assert outcome.result is None or outcome.result.digest == ""


async def test_an_answer_with_too_many_headers_is_refused() -> None:
    answer = b"HTTP/1.1 200 OK\r\n" + b"".join(b"X-%d: y\r\n" % n for n in range(200)) + b"Content-Length: 0\r\n\r\n"
    outcome, _ = await ask(answer)
    assert failure_of(outcome)[0] == "limit"
    outcome, _ = await ask(answer, method="POST")
    assert isinstance(outcome, Unclear)


def packed(data: bytes, header: bytes = b"gzip") -> bytes:
    body = gzip.compress(data)
    return b"HTTP/1.1 200 OK\r\nContent-Encoding: %s\r\nContent-Length: %d\r\n\r\n" % (header, len(body)) + body


async def test_a_packed_body_is_unpacked_and_its_headers_speak_of_what_is_kept() -> None:
    for header in (b"gzip", b"GZIP", b"x-gzip"):
        outcome, client = await ask(packed(b"hello " * 100, header))
        assert client.body_of(outcome) == b"hello " * 100
        response = result_of(outcome).response
        assert response is not None
        assert {name.lower() for name, _ in response.headers}.isdisjoint(["content-encoding", "content-length"])


async def test_a_body_in_several_packed_parts_is_unpacked_whole() -> None:
    body = gzip.compress(b"one ") + gzip.compress(b"two ") + gzip.compress(b"")
    outcome, client = await ask(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + body)
    assert client.body_of(outcome) == b"one two "


async def test_a_body_packed_twice_or_in_another_way_is_kept_as_it_came() -> None:
    data = gzip.compress(b"hello")
    for header in (b"gzip, gzip", b"deflate", b"br", b"zstd", b"identity", b"gzip\r\nContent-Encoding: gzip"):
        answer = b"HTTP/1.1 200 OK\r\nContent-Encoding: %s\r\nContent-Length: %d\r\n\r\n" % (header, len(data)) + data
        outcome, client = await ask(answer)
        assert client.body_of(outcome) == data
        response = result_of(outcome).response
        assert response is not None
        assert "content-encoding" in {name.lower() for name, _ in response.headers}


async def test_a_packed_body_that_blows_up_is_cut_off_before_it_fills_the_memory() -> None:
    pack = zlib.compressobj(9, zlib.DEFLATED, 31)
    body = b"".join(pack.compress(bytes(MIB)) for _ in range(500)) + pack.flush()
    answer = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    assert len(body) < MIB
    tracemalloc.start()
    try:
        outcome, _ = await ask(answer, RequestLimits(answer_bytes=8 * MIB))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert failure_of(outcome) == ("limit", f"the body is larger than {8 * MIB:,} bytes")
    assert peak < 40 * MIB


@pytest.mark.parametrize(
    "body", [gzip.compress(b"hello " * 1000)[:-9], b"not gzip at all", gzip.compress(b"x") + b"\0"]
)
async def test_a_packed_body_that_is_not_whole_is_not_kept(body: bytes) -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    outcome, _ = await ask(answer)
    assert failure_of(outcome)[0] == "io"


@pytest.mark.parametrize("method", ["POST", "DELETE"])
async def test_an_answer_whose_body_breaks_off_is_an_answer_all_the_same(method: str) -> None:
    answer = b"HTTP/1.1 201 Created\r\nContent-Length: 100\r\n\r\nonly this"
    outcome, client = await ask(answer, method=method)
    assert client.body_of(outcome) == b""
    summary = result_of(outcome).summary
    assert summary.startswith("201, 0 bytes from good.test (127.0.0.1): its body is not kept, because ")
    outcome, _ = await ask(answer)
    assert isinstance(outcome, Failed)
    assert outcome.result is not None
    assert outcome.result.response is not None
    assert outcome.result.response.status == 201


async def test_a_large_body_goes_into_the_store_piece_by_piece() -> None:
    size = 48 * MIB

    async def large(stream: ByteStream) -> None:
        await read_request(stream)
        await stream.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        for _ in range(size // 65536):
            await stream.send(b"y" * 65536)

    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        executor = NetworkExecutor(FileBlobStore(Path(folder)), resolve=names(good_test="127.0.0.1"))
        async with serving(large) as server:
            action = NetworkRequest(method="GET", url=f"http://good.test:{server.port}/")
            tracemalloc.start()
            try:
                outcome = await executor.perform(permit_of(action, scope_of(f"127.0.0.1:{server.port}")))
                _, peak = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
        result = result_of(outcome)
        assert result.size == size
        assert result.summary == f"200, {size:,} bytes from good.test (127.0.0.1)"
        assert FileBlobStore(Path(folder)).has(result.digest)
        assert peak < 12 * MIB


async def test_a_head_only_answer_and_one_without_body_keep_nothing() -> None:
    for method, answer in (("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\nContent-Encoding: gzip\r\n\r\n"),
                           ("GET", b"HTTP/1.1 204 No Content\r\n\r\n")):  # fmt: skip
        outcome, _ = await ask(answer, method=method)
        result = result_of(outcome)
        assert (result.digest, result.size) == ("", 0)


@pytest.mark.parametrize(
    "answer",
    [b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello", b"HTTP/1.1 200 OK\r\nX\0: y\r\n\r\n",
     b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", b"\x16\x03\x01\x02\x00",
     b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", b"HTTP/1.1 200 OK\r\n X: folded\r\n\r\n"],
)  # fmt: skip
async def test_an_answer_that_breaks_the_protocol_is_no_answer(answer: bytes) -> None:
    outcome, _ = await ask(answer)
    assert failure_of(outcome)[0] == "io"
    outcome, _ = await ask(answer, method="POST")
    assert isinstance(outcome, Unclear)
