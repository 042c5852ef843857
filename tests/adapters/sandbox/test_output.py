"""Secrets are masked in what commands print, whatever pieces it comes in, and no more than that is masked."""

import re
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cowork.adapters.sandbox.output import Collector
from cowork.adapters.sandbox.redaction import MASK, Redactor, secret_values

PASSWORD = b"hunter2-hunter2"
SECRETS = {
    "aws": b"AKIAIOSFODNN7EXAMPLE",
    "aws_secret": b"aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    "github": b"ghp_16C7e42F292c6912E7710c838347Ae178B4a",
    "github_fine": b"github_pat_11ABCDEFG0abcdefghijkl_ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789abcdefghijklmnopqrst",
    "gitlab": b"glpat-abcdefghijklmnopqrst",
    "slack": b"xoxb-123456789012-1234567890123-abcdefghijklmnopqrstuvwx",
    "slack_hook": b"https://hooks.slack.com/services/T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX",
    "model": b"sk-ant-api03-abcdefghijklmnopqrstuvwxyz0123456789",
    "payment": b"sk_live_abcdefghijklmnopqrstuvwx",
    "google": b"AIzaSyDaGmWKa4JsXZ-HjGw7ISLn_3namBGewQe",
    "npm": b"npm_abcdefghijklmnopqrstuvwxyz0123456789",
    "pypi": b"pypi-AgEIcHlwaS5vcmcCJGFiY2RlZmdoaWprbG1ub3A",
    "jwt": b"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U",
    "bearer": b"Authorization: Bearer abcDEF123456789.-_~+/xyz==",
    "basic": b"authorization: basic dXNlcjpwYXNzd29yZDEyMw==",
    "url": b"postgres://me:s3cr3t-passw0rd@db.internal:5432/x",
    "key": b"-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA\nabcd\n-----END RSA PRIVATE KEY-----",
    "ssh": b"-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXk\n-----END OPENSSH PRIVATE KEY-----",
    "pgp": b"-----BEGIN PGP PRIVATE KEY BLOCK-----\n\nlQHYBF\n-----END PGP PRIVATE KEY BLOCK-----",
    "value": PASSWORD,
}
TELLTALE = {
    "aws_secret": b"wJalrXUtnFEMI",
    "slack_hook": b"XXXXXXXX",
    "bearer": b"abcDEF",
    "basic": b"dXNlcjp",
    "url": b"s3cr3t",
    "key": b"MIIEp",
    "ssh": b"b3Blbn",
    "pgp": b"lQHYBF",
}


def masked(data: bytes, cuts: list[int] | None = None) -> bytes:
    redactor = Redactor((PASSWORD,))
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts or [])})
    pieces = [data[start:end] for start, end in pairwise(places)]
    return b"".join([redactor.feed(piece) for piece in pieces]) + redactor.finish()


@pytest.mark.parametrize("name", sorted(SECRETS))
@pytest.mark.parametrize("around", [b"%s", b"x = '%s';\n", b"\n%s\n", b"(%s)", b"a" * 5000 + b" %s " + b"b" * 5000])
def test_a_secret_is_masked_wherever_it_stands(name: str, around: bytes) -> None:
    found = masked(around % SECRETS[name])
    assert MASK in found
    assert TELLTALE.get(name, SECRETS[name][:12]) not in found
    assert TELLTALE.get(name, SECRETS[name][-8:]) not in found


@pytest.mark.parametrize("name", sorted(SECRETS))
def test_a_secret_is_masked_byte_by_byte_too(name: str) -> None:
    data = b"before " + SECRETS[name] + b" after"
    assert masked(data, list(range(len(data)))) == masked(data)


TEXT = st.lists(
    st.one_of(
        st.sampled_from(sorted(SECRETS.values())),
        st.sampled_from([value[: len(value) // 2] for value in SECRETS.values()]),
        st.sampled_from(
            [b"\n", b" ", b"://", b"eyJ", b"-----BEGIN ", b"PRIVATE KEY-----", b"-----END ", b"Bearer ", b"a" * 700]
        ),
        st.binary(max_size=12),
    ),
    max_size=12,
).map(b"".join)


@given(data=TEXT, cuts=st.lists(st.integers(0, 1 << 16), max_size=30))
@example(data=SECRETS["key"] + b" " + SECRETS["jwt"] + PASSWORD, cuts=[700, 5, 90])
@settings(max_examples=400)
def test_how_the_output_is_cut_into_pieces_changes_nothing(data: bytes, cuts: list[int]) -> None:
    assert masked(data, cuts) == masked(data)


@given(data=st.binary(max_size=3000), cuts=st.lists(st.integers(0, 1 << 16), max_size=10))
def test_a_known_value_never_comes_through(data: bytes, cuts: list[int]) -> None:
    middle = len(data) // 2
    assert PASSWORD not in masked(data[:middle] + PASSWORD + data[middle:], cuts)


@pytest.mark.parametrize(
    "text",
    [
        b"the quick brown fox jumps over the lazy dog\n",
        b"commit 9e107d9d372bb6826bd81d3542a419d6e4d909d6\n",
        b"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        b"https://example.test:8443/a/b?c=d#e and user@example.test, http://[::1]:80/",
        b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n-----BEGIN PUBLIC KEY-----",
        b"basically bearer of bad news; skeleton-key; task-management-and-so-on-and-so-forth",
        b"def __init__(self, token: str) -> None: ...",
        bytes(range(256)) * 20,
    ],
)
def test_ordinary_output_stays_as_it_is(text: bytes) -> None:
    assert masked(text) == text


def test_a_key_block_without_an_end_does_not_swallow_everything() -> None:
    found = masked(b"-----BEGIN PRIVATE KEY-----\n" + b"x" * 100_000 + b"the end")
    assert found.endswith(b"the end")
    assert len(found) < 70_000


def test_memory_is_bounded_by_what_the_patterns_reach() -> None:
    redactor = Redactor((PASSWORD,))
    given_out = sum(len(redactor.feed(b"x" * 1000)) for _ in range(1000))
    assert 1_000_000 - given_out < 2000


@pytest.mark.parametrize(
    ("name", "value", "is_secret"),
    [
        ("API_TOKEN", "abcdefgh12345678", True),
        ("AWS_SECRET_ACCESS_KEY", "abcdefgh12345678", True),
        ("DB_PASSWORD", "correct horse battery", True),
        ("COWORK_TEST_SECRET", "CANARY-4f3c", True),
        ("openai_api_key", "abc-def-123", True),
        ("SESSION_COOKIE", "0a1b2c3d4e5f", True),
        ("API_TOKEN", "short", False),
        ("API_TOKEN", "password", False),
        ("SSH_KEY", "/home/me/.ssh/id_rsa", False),
        ("TOKEN_COUNT", "12345678", False),
        ("PATH", "/usr/bin:/bin:/opt/long/enough", False),
        ("KEYBOARD", "a-very-long-layout-name", False),
        ("PWDX", "not-a-secret-name", False),
        ("MONKEY", "not-a-secret-name", False),
    ],
)
def test_which_values_of_the_environment_count_as_secrets(name: str, value: str, is_secret: bool) -> None:
    assert secret_values({name: value}) == ((value.encode(),) if is_secret else ())


def test_a_secret_of_several_lines_is_masked_line_by_line() -> None:
    values = secret_values({"TLS_KEY": "first-line-of-it\nsecond-line-of-it\n"})
    redactor = Redactor(values)
    assert redactor.feed(b"a second-line-of-it b") + redactor.finish() == b"a [masked] b"


def test_a_long_secret_is_masked_to_its_end() -> None:
    secret = "".join(f"{number:05d}-" for number in range(500))
    redactor = Redactor(secret_values({"A_TOKEN": secret}))
    found = redactor.feed(b"<" + secret.encode() + b">") + redactor.finish()
    assert re.fullmatch(rb"<(\[masked\])+>", found)


class TestCollecting:
    def collect(self, pieces: list[bytes], bytes_max: int) -> tuple[bytes, int, bytes]:
        shown: list[bytes] = []
        collector = Collector(Redactor((PASSWORD,)), bytes_max, shown.append)
        for piece in pieces:
            collector.take(piece)
        printed = collector.end()
        return b"".join(printed.chunks), printed.cut, b"".join(shown)

    @given(
        data=st.binary(max_size=4000), cuts=st.lists(st.integers(0, 4000), max_size=8), bytes_max=st.integers(1, 5000)
    )
    def test_what_is_kept_and_what_is_cut_is_all_there_was(self, data: bytes, cuts: list[int], bytes_max: int) -> None:
        places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
        pieces = [data[start:end] for start, end in pairwise(places)]
        kept, cut, shown = self.collect(pieces, bytes_max)
        assert kept == shown
        assert len(kept) <= bytes_max
        if MASK not in kept:
            assert data.startswith(kept)
            assert len(kept) + cut == len(data)

    @pytest.mark.parametrize("at", range(1, len(PASSWORD) + 2))
    def test_a_secret_at_the_bound_is_not_kept_by_half(self, at: int) -> None:
        data = b"." * 2000 + PASSWORD + b"." * 2000
        kept, cut, _ = self.collect([data], 2000 + at)
        assert PASSWORD[:4] not in kept
        assert cut > 0
