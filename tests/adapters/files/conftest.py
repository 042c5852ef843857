"""A ground and a driver for it, in memory, with each resolver."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.adapters.files.cases.direct import RESOLVERS, DirectDriver, executor_of
from tests.adapters.files.cases.ground import Ground


@pytest.fixture
def ground() -> Iterator[Ground]:
    """In memory: the rules are the same there, and nobody waits for a disk."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as base:
        made = Ground(Path(base))
        yield made
        made.close()


@pytest.fixture(params=list(RESOLVERS))
def driver(ground: Ground, request: pytest.FixtureRequest) -> Iterator[DirectDriver]:
    """A driver with an executor of its own."""
    executor = executor_of(ground.blobs, ground.state, request.param)
    yield DirectDriver(executor, ground.blobs, ground.scope)
    executor.close()


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """Both event loops."""
    return str(request.param)
