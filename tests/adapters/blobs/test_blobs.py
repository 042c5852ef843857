"""The BlobStore port's contract over both stores, and what only files can get wrong."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cowork.adapters.blobs.memory import MemoryBlobStore
from cowork.adapters.blobs.store import FileBlobStore
from cowork.domain.action import Content
from cowork.domain.errors import DomainError
from cowork.engine.ports import BlobStore

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(params=["files", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> BlobStore:
    return FileBlobStore(tmp_path / "blobs") if request.param == "files" else MemoryBlobStore()


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


@pytest.mark.parametrize("data", [b"", b"x", bytes(range(256)) * 10_000])
def test_what_was_put_comes_back(data: bytes, store: BlobStore) -> None:
    content = store.put(data)
    assert content == Content(digest_of(data), len(data))
    assert store.get(content.digest) == data
    assert store.has(content.digest)


def test_a_stream_is_its_bytes(store: BlobStore) -> None:
    content = store.put_stream(bytes([n]) * 1000 for n in range(20))
    assert content == store.put(b"".join(bytes([n]) * 1000 for n in range(20)))
    assert store.put_stream(()) == store.put(b"")


def test_a_stream_that_breaks_off_keeps_nothing(store: BlobStore) -> None:
    def broken() -> Iterator[bytes]:
        yield b"begin"
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        store.put_stream(broken())
    assert not store.has(digest_of(b"begin"))


@pytest.mark.parametrize(
    "digest", [digest_of(b"never put"), "", "sha256:", "sha256:../../etc/passwd", "md5:abc", "sha256:" + "A" * 64]
)
def test_what_was_never_put_is_not_found(digest: str, store: BlobStore) -> None:
    assert not store.has(digest)
    with pytest.raises(DomainError) as caught:
        store.get(digest)
    assert caught.value.code == "not_found"


def files_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_the_same_bytes_are_kept_once_and_under_their_digest(tmp_path: Path) -> None:
    store = FileBlobStore(tmp_path)
    for _ in range(3):
        store.put(b"same")
        store.put_stream((b"sa", b"me"))
    name = hashlib.sha256(b"same").hexdigest()
    assert files_in(tmp_path) == [tmp_path / name[:2] / name[2:]]
    assert (tmp_path / name[:2] / name[2:]).stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("damage", [b"sane", b"", b"same and more"])
def test_damage_is_noticed_and_never_returned(damage: bytes, tmp_path: Path) -> None:
    store = FileBlobStore(tmp_path)
    content = store.put(b"same")
    (path,) = files_in(tmp_path)
    path.write_bytes(damage)
    with pytest.raises(DomainError) as caught:
        store.get(content.digest)
    assert caught.value.code == "damaged"


def test_a_blob_that_was_cut_short_is_put_again(tmp_path: Path) -> None:
    content = FileBlobStore(tmp_path).put(b"whole")
    (path,) = files_in(tmp_path)
    path.write_bytes(b"who")
    store = FileBlobStore(tmp_path)
    assert store.put(b"whole") == content
    assert store.get(content.digest) == b"whole"


def test_a_new_blob_is_synced_and_a_known_one_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced = []
    fsync = os.fsync

    def counting(fd: int) -> None:
        synced.append(os.readlink(f"/proc/self/fd/{fd}"))
        fsync(fd)

    monkeypatch.setattr(os, "fsync", counting)
    store = FileBlobStore(tmp_path)
    content = store.put(b"data")
    shard = tmp_path / content.digest.removeprefix("sha256:")[:2]
    assert [Path(path).parent.name for path in synced[:1]] == ["unfinished"]
    assert synced[1:] == [str(shard), str(tmp_path.parent), str(tmp_path)]
    synced.clear()
    store.put(b"data")
    assert synced == []
    # Another process may have died between the rename, or the making of a folder, and its sync.
    FileBlobStore(tmp_path).put(b"data")
    assert synced == [str(shard), str(tmp_path.parent), str(tmp_path)]


def test_leftovers_of_dead_processes_go_after_a_day(tmp_path: Path) -> None:
    FileBlobStore(tmp_path)
    for name, age in (("old", 25 * 3600), ("new", 60)):
        path = tmp_path / "unfinished" / name
        path.write_bytes(b"begun")
        then = path.stat().st_mtime - age
        os.utime(path, (then, then))
    FileBlobStore(tmp_path)
    assert [path.name for path in files_in(tmp_path)] == ["new"]


def test_a_store_that_cannot_be_written_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DomainError) as caught:
        FileBlobStore(tmp_path / "file" / "blobs")
    assert caught.value.code == "unavailable"
    store = FileBlobStore(tmp_path / "blobs")
    (tmp_path / "blobs" / "unfinished").rmdir()
    with pytest.raises(DomainError) as caught:
        store.put(b"x")
    assert caught.value.code == "unavailable"


WRITER = """
import sys
from pathlib import Path
from cowork.adapters.blobs.store import FileBlobStore
store = FileBlobStore(Path(sys.argv[1]))
for number in range(int(sys.argv[2])):
    print(store.put(b"%d" % number * 1000).digest, flush=True)
"""


def test_processes_share_a_store(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WRITER, str(tmp_path), "100"]
    writers = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) for _ in range(3)]
    outputs = [writer.communicate()[0] for writer in writers]
    assert {writer.returncode for writer in writers} == {0}
    assert outputs[0] == outputs[1] == outputs[2]
    assert len(files_in(tmp_path)) == 100


def test_what_was_returned_survives_a_kill(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WRITER, str(tmp_path), "100000"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        told = [writer.stdout.readline().decode().strip() for _ in range(30)]
        writer.kill()
    store = FileBlobStore(tmp_path)
    assert [store.get(digest) for digest in told] == [b"%d" % number * 1000 for number in range(30)]
    for path in files_in(tmp_path):
        if path.parent.name != "unfinished":
            assert hashlib.sha256(path.read_bytes()).hexdigest() == path.parent.name + path.name


@given(st.lists(st.binary(max_size=50), max_size=8))
def test_both_stores_say_the_same(chunks: list[bytes]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        stores: list[BlobStore] = [FileBlobStore(Path(folder)), MemoryBlobStore()]
        first, second = ([s.put(chunk) for chunk in chunks] + [s.put_stream(chunks)] for s in stores)
        assert first == second
        assert [stores[0].get(c.digest) for c in first] == [stores[1].get(c.digest) for c in second]
