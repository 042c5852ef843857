"""Finding by pattern: the same as matching every path, without entering what can't match or following anything."""

import os
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cowork.adapters.files.finder import GlobFinder
from cowork.adapters.files.resolver import Openat2Resolver, Resolver
from cowork.domain.errors import DomainError
from cowork.domain.glob import parse_glob
from cowork.domain.scope import Scope
from tests.adapters.files.cases.direct import RESOLVERS
from tests.adapters.files.cases.ground import Ground, folder_scope

pytestmark = pytest.mark.anyio

FILES = (
    "a.txt",
    "b/c.txt",
    "b/d/e.txt",
    "b/d/e.csv",
    "b-1.txt",
    ".hidden/f.txt",
    "b/.dot.txt",
    ".cowork/quarantine/x.txt",
    "2024/01/photo.JPG",
)


def plant(ground: Ground) -> None:
    for file in FILES:
        (ground.grant / file).parent.mkdir(parents=True, exist_ok=True)
        (ground.grant / file).touch()
    (ground.grant / "link.txt").symlink_to("a.txt")
    (ground.grant / "out").symlink_to(ground.out)
    os.mkfifo(ground.grant / "pipe.txt")


@pytest.mark.parametrize("resolver", RESOLVERS)
@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("**/*.txt", ["a.txt", "b-1.txt", "b/c.txt", "b/d/e.txt", "link.txt"]),
        ("*.txt", ["a.txt", "b-1.txt", "link.txt"]),
        ("b/**", ["b/c.txt", "b/d/e.csv", "b/d/e.txt"]),
        ("b/*/e.*", ["b/d/e.csv", "b/d/e.txt"]),
        ("**/.*.txt", ["b/.dot.txt"]),
        (".hidden/*", [".hidden/f.txt"]),
        (".*/*", [".hidden/f.txt"]),
        ("./b//c.txt", ["b/c.txt"]),
        ("out/*", []),
        ("**/secret.txt", []),
        ("out", ["out"]),
        (".cowork/**", []),
        ("nowhere/*.txt", []),
        ("a.txt/*", []),
        ("**/*.jpg", []),
        ("b", []),
    ],
)
async def test_find(pattern: str, found: list[str], resolver: str, ground: Ground) -> None:
    plant(ground)
    finder = GlobFinder(RESOLVERS[resolver]())
    assert await finder.find("g", pattern, ground.scope, limit=100) == found
    finder.close()


async def test_more_than_the_limit_is_an_error_and_as_many_is_none(ground: Ground) -> None:
    for name in "abc":
        (ground.grant / name).touch()
    finder = GlobFinder()
    assert await finder.find("g", "*", ground.scope, limit=3) == ["a", "b", "c"]
    with pytest.raises(DomainError) as caught:
        await finder.find("g", "*", ground.scope, limit=2)
    assert caught.value.code == "limit"
    finder.close()


async def test_a_grant_not_in_force_is_not_searched(ground: Ground) -> None:
    granted, _ = ground.scope.folders
    gone = msgspec.structs.replace(granted, root_path=str(ground.base / "gone"))
    replaced = msgspec.structs.replace(granted, root_path=str(ground.out))
    revoked = msgspec.structs.replace(granted, revoked=True)
    expired = msgspec.structs.replace(granted, expires_at=datetime.now(UTC) - timedelta(seconds=1))
    finder = GlobFinder()
    for folders in ((), (gone,), (replaced,), (revoked,), (expired,)):
        with pytest.raises(DomainError) as caught:
            await finder.find("g", "**", Scope(folders), limit=10)
        assert caught.value.code == "denied"
    for pattern in ("../*", "/etc/*", "", "a\0*"):
        with pytest.raises(DomainError) as caught:
            await finder.find("g", pattern, ground.scope, limit=10)
        assert caught.value.code == "invalid"
    finder.close()


class Counting(Openat2Resolver):
    """Notes which folders are opened."""

    def __init__(self) -> None:
        self.opened: list[bytes] = []

    def open(self, folder: int, path: bytes, flags: int) -> int:
        """See `Resolver.open`."""
        self.opened.append(path)
        return super().open(folder, path, flags)


async def test_folders_that_cannot_match_are_not_entered(ground: Ground) -> None:
    plant(ground)
    resolver = Counting()
    finder = GlobFinder(resolver)
    assert await finder.find("g", "b/d/*.csv", ground.scope, limit=10) == ["b/d/e.csv"]
    assert resolver.opened == [b"b/d", b""]
    resolver.opened.clear()
    assert await finder.find("g", "*/c.txt", ground.scope, limit=10) == ["b/c.txt"]
    assert sorted(resolver.opened) == [b"", b"", b"2024", b"b"]
    finder.close()


PARTS = st.lists(st.sampled_from(["a", "b", ".a", "ab"]), min_size=1, max_size=4).map("/".join)
PATTERNS = st.lists(st.sampled_from(["a", "*", "**", "?", ".*", "a*", ".a"]), min_size=1, max_size=4).map("/".join)


@given(st.lists(PARTS, max_size=8), PATTERNS)
def test_what_is_found_is_what_matches(files: list[str], pattern: str) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        top = Path(folder)
        for file in files:
            try:
                (top / file).parent.mkdir(parents=True, exist_ok=True)
                (top / file).touch()
            except OSError:
                continue
        every = sorted(path.relative_to(top).as_posix() for path in top.rglob("*") if path.is_file())
        finder: GlobFinder = GlobFinder(_resolver())
        scope = Scope((folder_scope(top, "g"),))
        found = anyio.run(lambda: finder.find("g", pattern, scope, limit=100))
        finder.close()
        assert found == [path for path in every if parse_glob(pattern).matches(path)]


def _resolver() -> Resolver:
    return Openat2Resolver()
