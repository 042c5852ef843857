"""What is sent twice and what is not: requests that were cut off, and the key by which a server knows one again."""

import re
from collections.abc import Awaitable, Callable

import anyio
import msgspec
import pytest
from anyio.abc import ByteStream

from cowork.domain.action import NetworkRequest
from cowork.engine.ports import Done, Finding, NotApplied, Permit, Unclear
from tests.adapters.network.requests import Client, permit_of, scope_of
from tests.adapters.network.servers import Handler, Names, Server, names, read_request, serving

pytestmark = pytest.mark.anyio

MIB = 1024 * 1024


def keys_in(received: bytes) -> list[str]:
    return re.findall(r"(?im)^idempotency-key: (.*?)\r$", received.decode("latin-1"))


def place_of(server: Server) -> tuple[str, str]:
    return f"http://good.test:{server.port}/", f"127.0.0.1:{server.port}"


def permit_for(method: str, server: Server, action_id: str = "task-1.1", **parts: object) -> Permit:
    url, granted = place_of(server)
    action = msgspec.structs.replace(NetworkRequest(method=method, url=url), **parts)
    return msgspec.structs.replace(permit_of(action, scope_of(granted)), action_id=action_id)


# The key


@pytest.mark.parametrize("method", ["POST", "PATCH", "PURGE"])
async def test_every_attempt_of_an_action_bears_one_key_and_another_action_another(method: str) -> None:
    async with serving() as server:
        first, second = permit_for(method, server), permit_for(method, server, "task-1.2")
        for permit in (first, msgspec.structs.replace(first, attempt=2), second):
            # Each with an executor of its own, as after a crash.
            outcome = await Client(names(good_test="127.0.0.1")).executor.perform(permit)
            assert isinstance(outcome, Done)
        (one,), (again,), (other,) = map(keys_in, server.received)
        assert one == again
        assert one != other
        assert re.fullmatch(r'"[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"', one)


async def test_another_body_for_the_same_action_number_is_another_key() -> None:
    """A restored store numbers its actions anew: what is another request must not pass for a repetition."""
    async with serving() as server:
        client = Client(names(good_test="127.0.0.1"))
        for body in (b"one", b"two"):
            permit = permit_for("POST", server, body=client.blobs.put(body))
            assert isinstance(await client.executor.perform(permit), Done)
        assert len(set(map(tuple, map(keys_in, server.received)))) == 2


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PUT", "DELETE"])
async def test_a_request_that_may_be_repeated_bears_no_key(method: str) -> None:
    async with serving() as server:
        await Client(names(good_test="127.0.0.1")).executor.perform(permit_for(method, server))
        assert keys_in(server.received[0]) == []


@pytest.mark.parametrize("name", ["Idempotency-Key", "idempotency-key"])
async def test_a_key_of_the_plan_is_the_one_that_is_sent(name: str) -> None:
    async with serving() as server:
        permit = permit_for("POST", server, headers=((name, '"mine"'),))
        await Client(names(good_test="127.0.0.1")).executor.perform(permit)
        assert keys_in(server.received[0]) == ['"mine"']


# What is known of a request that was cut off


class Stage:
    """A server that lets a test wait until it has got as far as it should, and never gets any further."""

    def __init__(self, answer: bytes) -> None:
        self.reached = anyio.Event()
        self._answer = answer

    async def handle(self, stream: ByteStream) -> None:
        await read_request(stream)
        if self._answer:
            await stream.send(self._answer)
        self.reached.set()
        await anyio.sleep_forever()


async def cut_off(client: Client, permit: Permit, when: Callable[[], Awaitable[None]]) -> Finding:
    """Cancel an attempt at that moment; return what the probe says then."""
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client.executor.perform, permit)
            await when()
            tasks.cancel_scope.cancel()
    return await client.executor.reconcile(permit)


async def settled() -> None:
    """Wait until what was sent has been read, as far as a test can tell."""
    await anyio.sleep(0.2)


HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
async def test_a_request_cut_off_before_its_answer_can_not_be_told(method: str) -> None:
    stage = Stage(b"")
    async with serving(stage.handle) as server:
        client = Client(names(good_test="127.0.0.1"))
        permit = permit_for(method, server)
        found = await cut_off(client, permit, stage.reached.wait)
        assert isinstance(found, Unclear)
        assert found.observed.startswith(
            "the request was sent to good.test (127.0.0.1), and no whole answer came: it was interrupted; sent again,"
        )
        assert ("Idempotency-Key" in found.observed) == (method == "POST")
        # A process that comes later has not seen that anything was sent, nor that nothing was.
        later = await Client(Names({})).executor.reconcile(permit)
        assert isinstance(later, Unclear)
        assert later.observed.startswith("the request may have been sent")


async def test_a_request_cut_off_after_the_head_of_its_answer_has_happened() -> None:
    stage = Stage(HEAD + b"x")
    async with serving(stage.handle) as server:
        client = Client(names(good_test="127.0.0.1"))

        async def answered() -> None:
            await stage.reached.wait()
            await settled()

        found = await cut_off(client, permit_for("POST", server), answered)
        assert isinstance(found, Done)
        assert found.result is not None
        assert found.result.summary == (
            "200, 0 bytes from good.test (127.0.0.1): its body is not kept, because it was interrupted"
        )


@pytest.mark.parametrize("answer", [b"", HEAD, HEAD.replace(b"100", b"9000000") + b"x" * (MIB + 200_000)])
async def test_a_reading_that_was_cut_off_has_not_happened(answer: bytes) -> None:
    stage = Stage(answer)
    async with serving(stage.handle) as server:
        client = Client(names(good_test="127.0.0.1"))

        async def answered() -> None:
            await stage.reached.wait()
            await settled()

        assert await cut_off(client, permit_for("GET", server), answered) == NotApplied()


async def test_a_large_answer_that_was_cut_off_ends_at_once_and_is_not_kept() -> None:
    """The store takes it in a thread of its own: that has to hear of the end, too."""
    stage = Stage(HEAD.replace(b"100", b"9000000") + b"x" * (MIB + 200_000))
    async with serving(stage.handle) as server:
        client = Client(names(good_test="127.0.0.1"))

        async def answered() -> None:
            await stage.reached.wait()
            await settled()

        found = await cut_off(client, permit_for("POST", server), answered)
        assert isinstance(found, Done)
        assert found.result is not None
        assert found.result.digest == ""


async def test_a_request_cut_off_before_anything_left_has_not_happened() -> None:
    looking = anyio.Event()

    async def resolve(name: str) -> tuple[str, ...]:
        looking.set()
        await anyio.sleep_forever()
        return ()

    client = Client(resolve)
    permit = permit_of(NetworkRequest(method="POST", url="http://good.test/"), scope_of("good.test"))
    assert await cut_off(client, permit, looking.wait) == NotApplied()


async def test_a_connection_that_was_cut_off_is_closed() -> None:
    closed = anyio.Event()
    reached = anyio.Event()

    async def handle(stream: ByteStream) -> None:
        await read_request(stream)
        reached.set()
        try:
            await stream.receive()
        except (anyio.EndOfStream, anyio.BrokenResourceError):
            closed.set()

    handler: Handler = handle
    async with serving(handler) as server:
        client = Client(names(good_test="127.0.0.1"))
        await cut_off(client, permit_for("POST", server), reached.wait)
        with anyio.fail_after(5):
            await closed.wait()
