"""TLS stays on the name although an address is dialled, and the environment has no say in what is believed."""

import ssl
import subprocess
import sys
from pathlib import Path

import pytest

from cowork.adapters.network.trust_store import trust_file, trust_system
from cowork.engine.ports import Failed
from tests.adapters.network.certificates import make_authority, serve_as
from tests.adapters.network.requests import Client, result_of
from tests.adapters.network.servers import names, serving

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with an authority in it."""
    made = tmp_path_factory.mktemp("certificates")
    make_authority(made)
    return made


async def test_the_name_is_what_the_server_is_asked_for_and_what_its_certificate_is_checked_against(
    folder: Path,
) -> None:
    asked: list[str | None] = []
    context = serve_as(folder, "good.test")
    context.sni_callback = lambda connection, name, served: asked.append(name)
    async with serving(tls=context) as server:
        client = Client(names(good_test="127.0.0.1"), trust=lambda: trust_file(str(folder / "authority.pem")))
        outcome = await client.get(f"https://GOOD.test.:{server.port}/x", f"127.0.0.1:{server.port}")
        assert result_of(outcome).summary == "200, 5 bytes from good.test (127.0.0.1)"
        assert client.body_of(outcome) == b"hello"
        assert asked == ["good.test"]
        assert f"Host: good.test:{server.port}".encode() in server.received[0]


@pytest.mark.parametrize("served", ["evil.test", "127.0.0.1", "good.test.evil.test"])
async def test_a_certificate_for_another_name_or_for_the_dialled_address_is_refused(folder: Path, served: str) -> None:
    async with serving(tls=serve_as(folder, served)) as server:
        client = Client(names(good_test="127.0.0.1"), trust=lambda: trust_file(str(folder / "authority.pem")))
        granted = f"127.0.0.1:{server.port}"
        outcome = await client.request("POST", f"https://good.test:{server.port}/", granted, body=b"secret")
        assert isinstance(outcome, Failed)
        assert outcome.reason_code == "io"
        assert "certificate for `good.test`" in outcome.reason
        assert server.received == []


async def test_an_address_is_believed_with_a_certificate_for_that_address(folder: Path) -> None:
    async with serving(tls=serve_as(folder, "127.0.0.1")) as server:
        client = Client(names(), trust=lambda: trust_file(str(folder / "authority.pem")))
        outcome = await client.get(f"https://127.0.0.1:{server.port}/", f"127.0.0.1:{server.port}")
        assert result_of(outcome).summary == "200, 5 bytes from 127.0.0.1"


async def test_the_environment_can_not_add_an_authority(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.setenv(name, str(folder / "authority.pem"))
    monkeypatch.setenv("SSL_CERT_DIR", str(folder))
    # Python's own default believes it, which is why that default is not used.
    assert ssl.create_default_context().cert_store_stats()["x509_ca"] == 1
    async with serving(tls=serve_as(folder, "good.test")) as server:
        client = Client(names(good_test="127.0.0.1"), trust=trust_system)
        outcome = await client.get(f"https://good.test:{server.port}/", f"127.0.0.1:{server.port}")
        assert isinstance(outcome, Failed)
        assert "not to be believed" in outcome.reason
        assert server.received == []


def test_the_keys_of_connections_are_not_written_down(folder: Path, tmp_path: Path) -> None:
    """In a process of its own, because OpenSSL could look at the variable when it is loaded."""
    log = tmp_path / "keys.log"
    source = (
        "import ssl; from cowork.adapters.network.trust_store import trust_system;"
        "assert ssl.create_default_context().keylog_filename; assert trust_system().keylog_filename is None"
    )
    subprocess.run([sys.executable, "-c", source], env={"SSLKEYLOGFILE": str(log), "PATH": "/usr/bin"}, check=True)


def test_certificates_and_names_are_always_checked() -> None:
    context = trust_system()
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert context.cert_store_stats()["x509_ca"] > 50
