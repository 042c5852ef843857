"""A field for each case, and one log per process in which the sandbox's self test is on record."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from cowork.adapters.bootstrap import LOG_FILE, open_application
from tests.acceptance.sandbox.field import Field

_DISK = "/var/tmp"  # a store and granted folders lie on a disk, and not in a folder that the sandbox has of its own


@pytest.fixture
def anyio_backend() -> str:
    """The event loop that `cowork` uses."""
    return "asyncio"


@pytest.fixture(scope="session")
def tried() -> Iterator[Path]:
    """A log in which the result of the self test is, whatever it was."""
    with tempfile.TemporaryDirectory(prefix="cowork-tried-", dir=_DISK) as store:
        app = open_application(Path(store), unsafe_as_root=os.geteuid() == 0)
        anyio.run(app.sandbox.run)
        app.close()
        yield Path(store) / LOG_FILE


@pytest.fixture
def field(tried: Path) -> Iterator[Field]:
    with tempfile.TemporaryDirectory(prefix="cowork-", dir=_DISK) as base:
        made = Field(Path(base), tried)
        try:
            yield made
        finally:
            made.close()


@pytest.fixture(params=["as whoever runs the tests", pytest.param("as root", marks=pytest.mark.as_root)])
def account(request: pytest.FixtureRequest) -> str:
    """Who the engine is: a case is tried as an ordinary user, and once more as root."""
    name = str(request.param)
    assert name != "as root" or os.geteuid() == 0, "`make test` runs these as root"
    return name
