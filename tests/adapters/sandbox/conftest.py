"""A ground for the cases of commands, on a disk, with both event loops."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.adapters.sandbox.ground import Ground, Listeners


@pytest.fixture
def ground() -> Iterator[Ground]:
    """On a real disk, as a store is, and outside of the folders that the sandbox has of its own."""
    with tempfile.TemporaryDirectory(prefix="cowork-", dir="/var/tmp") as base:
        made = Ground(Path(base))
        yield made
        made.holder.close()


@pytest.fixture
def listeners(ground: Ground) -> Iterator[Listeners]:
    """Listeners of the host, outside of every grant."""
    made = Listeners(ground.out)
    yield made
    made.close()


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """Both event loops."""
    return str(request.param)
